"""What a watch asks of the processes that measure, and what comes back."""

import pickle
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from refine_hooks.errors import RefineHooksError
from refine_hooks.files.acting import Owner
from refine_hooks.log.records import RoundRecord
from refine_hooks.model import Fingerprint, Key
from refine_hooks.settings import Settings
from refine_hooks.watch.config import Reconstruct


@dataclass(frozen=True, slots=True)
class Job:
    """One round of one project, or the local resolution of its newest rounds.

    Attributes:
        holder: who holds the lock of ``out``; nothing is written there for anybody else.
        key: the round; None for the local resolution of the newest ones.
        fingerprint: the state that it was seen in.
        owner: whom what is written is to belong to; None for this process's user.
    """

    project: Path
    program: str
    settings: Settings
    out: Path
    holder: str
    reconstruct: Reconstruct = "never"
    key: Key | None = None
    fingerprint: Fingerprint | None = None
    owner: Owner | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a job.

    Attributes:
        record: of the round; None where there is nothing new.
        poorer: whether the round gives less than the log holds.
        files_bytes: room on the disk that the files of the round take.
        local: the rounds that have a local resolution now.
        errors: why it could not be done, and what that came from; empty where it could.
    """

    record: RoundRecord | None = None
    poorer: bool = False
    files_bytes: int = 0
    local: tuple[Key, ...] = ()
    errors: tuple[BaseException, ...] = ()

    def checked(self) -> "Outcome":
        """Itself.

        Raises:
            Exception: the job could not be done; the error of the process that tried.
        """
        for error, cause in pairwise(self.errors):
            error.__cause__ = cause
        if self.errors:
            raise self.errors[0]
        return self


def failed(error: BaseException) -> Outcome:
    """The outcome of a job that ended with an error: it and its causes, in a form that another process can read."""
    chain: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None:
        chain.append(_readable(cause))
        cause = cause.__cause__
    return Outcome(errors=tuple(chain))


def _readable(error: BaseException) -> BaseException:
    if type(error).__module__ == RefineHooksError.__module__:
        return error
    try:
        return pickle.loads(pickle.dumps(error))  # type: ignore[no-any-return]  # noqa: S301  (our own bytes)
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
