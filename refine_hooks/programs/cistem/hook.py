"""What happens in front of merge3d: every dump is complete at that moment, and is saved before the program starts.

A file system that lags may not show what other machines have written, so the odd and the even chunks are waited for until they
agree - but not for ever: the refinement waits behind this.
"""

import logging
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from refine_hooks.errors import RefineHooksError, StorageError
from refine_hooks.files.folders import make_named
from refine_hooks.log.folder import OUT_NAME, Store
from refine_hooks.programs.cistem import dumps
from refine_hooks.programs.cistem.capture import capture
from refine_hooks.programs.cistem.dumps import SEALED, STARTUP, Attempt
from refine_hooks.programs.cistem.startup import capture_startup

logger = logging.getLogger(__name__)

_MERGE = re.compile(r"(^|[/\s;&])merge3d(_\w+)?(\s|$)")
_PAUSE_S = 0.2


def merges(command: Sequence[str]) -> bool:
    """Whether a command starts merge3d: as its program, or behind another one such as ssh or srun."""
    return any(_MERGE.search(word) for word in command)


def before_merge(directory: Path, spool: Path, wait_s: float, pause: Callable[[float], None] = time.sleep) -> None:
    """Save all dumps of the reconstruction that is about to be merged, and mark them as all that there are.

    Args:
        directory: the project.
        spool: the folder for saved inputs of any program; made if need be, with the output folder around it.
        wait_s: how long dumps that do not show yet are waited for.
        pause: how to wait.

    Raises:
        StorageError: the spool cannot be written to.
    """
    make_named(spool.parent)
    deadline = time.monotonic() + wait_s
    while True:
        capture(directory, spool)
        newest = _newest(directory, spool)
        waiting = [fault for attempt in newest for fault in dumps.faults(attempt)]
        if not newest:
            waiting = [f"no dump is to be seen below {directory / 'Scratch'}"]
        if not waiting or time.monotonic() >= deadline:
            break
        pause(_PAUSE_S)
    if waiting:
        logger.warning(f"{directory}: not all dumps could be saved within {wait_s:g} s: {'; '.join(waiting)}")
    elif newest[0].panel == STARTUP:
        capture_startup(directory, spool, about_to_merge=True)
    else:
        _seal(newest)


def _newest(directory: Path, spool: Path) -> list[Attempt]:
    """All classes of the reconstruction whose dumps were written last, of those that are in the scratch folders now."""
    groups: dict[tuple[str, int], list[Attempt]] = {}
    there = dumps.living(directory)
    for (panel, refinement_id, class_id), attempts in dumps.attempts(directory, spool).items():
        if (panel, refinement_id, class_id) in there and not attempts[-1].discarded:
            groups.setdefault((panel, refinement_id), []).append(attempts[-1])
    for class_id, files in dumps.startup_living(directory).items():
        folder = dumps.spool_root(spool) / STARTUP
        groups.setdefault((STARTUP, 0), []).append(Attempt(STARTUP, 0, class_id, 0, folder, tuple(files.values())))
    return max(groups.values(), key=lambda group: max(attempt.newest_ns for attempt in group), default=[])


def _seal(attempts: Sequence[Attempt]) -> None:
    for attempt in attempts:
        try:
            (attempt.folder / SEALED).touch()
        except OSError as error:
            raise StorageError(f"{attempt.folder}: cannot be written ({error.strerror})") from error


def save_before(command: Sequence[str], directory: Path, out: Path | None, wait_s: float) -> None:
    """`before_merge` when ``command`` is one that merges; whatever goes wrong is said and harms nothing."""
    if not merges(command):
        return
    try:
        from refine_hooks.programs.cistem import recognises

        if not recognises(directory):
            logger.warning(f"{directory}: is not a cisTEM project, so nothing is saved from it")
            return
        before_merge(directory, Store(out or directory / OUT_NAME).spool, wait_s)
    except RefineHooksError as error:
        logger.warning(str(error))
    except OSError as error:
        logger.warning(
            f"{error.filename or directory}: {error.strerror or error}; the dumps are not saved, the refinement goes on"
        )
    except Exception as error:
        logger.warning(f"saving the dumps failed ({type(error).__name__}: {error}); this is a bug of refine_hooks")
