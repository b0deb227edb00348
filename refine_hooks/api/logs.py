"""A log as scripts and notebooks have it: its rounds stay on disk until they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from refine_hooks.audit.judge import Judge
from refine_hooks.audit.reading import Finding
from refine_hooks.errors import InputError
from refine_hooks.log.file import find_log
from refine_hooks.log.folder import Store
from refine_hooks.log.index import LogIndex
from refine_hooks.log.notebook import table_html
from refine_hooks.log.records import Failed, RoundRecord
from refine_hooks.log.summary import RoundSummary
from refine_hooks.model import Key
from refine_hooks.reanalyse import Analyses
from refine_hooks.settings import Settings, settings_of

if TYPE_CHECKING:
    from pandas import DataFrame

_AT_ONCE = 8  # records that are in memory together
_SHOWN = 50  # rounds of a log that a notebook shows: the newest


@dataclass(frozen=True, slots=True)
class LoggedRounds(Sequence[RoundRecord]):
    """Rounds of a log in its order; each record is read from disk when it is asked for."""

    _index: LogIndex
    _keys: tuple[Key, ...]

    def __len__(self) -> int:
        return len(self._keys)

    def __iter__(self) -> Iterator[RoundRecord]:
        for start in range(0, len(self._keys), _AT_ONCE):
            yield from map(self._completed, self._index.records(self._keys[start : start + _AT_ONCE]))

    @overload
    def __getitem__(self, place: int) -> RoundRecord: ...

    @overload
    def __getitem__(self, place: slice) -> LoggedRounds: ...

    def __getitem__(self, place: int | slice) -> RoundRecord | LoggedRounds:
        if isinstance(place, slice):
            return LoggedRounds(self._index, self._keys[place])
        return self._completed(self._index.record(self._keys[place]))

    def _completed(self, record: RoundRecord) -> RoundRecord:
        """With what was measured of the round since it was logged."""
        return Analyses(Store(self._index.out)).completed(record)


@dataclass(frozen=True, slots=True)
class Log:
    """The rounds of one log, the newest line of each. Records stay on disk; their summaries are in memory.

    Attributes:
        path: of the log.
        rounds: the measured rounds in the order of the log, a sequence of `RoundRecord`; each is read when it is asked for.
        failures: the rounds that could not be measured.
        faults: what could not be read, a sentence a line.
        settings: of the newest watch that wrote into the log.
    """

    path: Path
    rounds: LoggedRounds
    failures: tuple[Failed, ...]
    faults: tuple[str, ...]
    settings: Settings

    def __len__(self) -> int:
        return len(self.rounds)

    def __iter__(self) -> Iterator[RoundRecord]:
        return iter(self.rounds)

    def __getitem__(self, key: str) -> RoundRecord:
        """A round by its key, RUN/ITERATION/CLASS.

        Raises:
            InputError: that is no key, or the log has no such round; names those that it has.
        """
        if (parsed := Key.parse(key)) in self.rounds._keys:
            return self.rounds._completed(self.rounds._index.record(parsed))
        raise InputError(f"{self.path}: no round {key!r}; it has {', '.join(map(str, self.rounds._keys)) or 'none'}")

    def where(
        self,
        *,
        run: str | None = None,
        class_id: int | None = None,
        origin: str | None = None,
        better_than_A: float | None = None,
    ) -> Log:
        """The rounds that fit all that is given; nothing is read from disk for it.

        Args:
            run: the run's name.
            class_id: the class.
            origin: of the half maps: `found`, `merged`, `reconstructed` or `regularised`.
            better_than_A: the headline's resolution is below this, in Angstrom.
        """

        def fits(known: RoundSummary) -> bool:
            resolution_A = _row(known)["resolution_A"]
            return (
                (run is None or known.key.run == run)
                and (class_id is None or known.key.class_id == class_id)
                and (origin is None or known.origin == origin)
                and (better_than_A is None or (resolution_A is not None and resolution_A < better_than_A))
            )

        return self._with(fits)

    def _with(self, fits: Callable[[RoundSummary], bool]) -> Log:
        keys = tuple(known.key for known in self._summaries() if fits(known))
        return Log(self.path, LoggedRounds(self.rounds._index, keys), self.failures, self.faults, self.settings)

    def _summaries(self) -> list[RoundSummary]:
        found = map(self.rounds._index.summary, self.rounds._keys)
        return [known for known in found if known is not None]

    def to_dataframe(self, *, curves: bool = False) -> DataFrame:
        """A table of pandas, which the extra ``pandas`` installs.

        Args:
            curves: one row a shell of each curve (`round`, `curve`, `kind`, `mask`, `shell`, `frequency_per_A`, `correlation`,
                NaN where nothing is measured), instead of one row a round: its key, its particles, and the headline with its
                90 % interval in Angstrom (`worst_A`, `best_A`).

        Raises:
            InputError: pandas is not installed.
        """
        try:
            from pandas import DataFrame
        except ImportError as error:
            raise InputError("to_dataframe needs pandas: pip install 'refine_hooks[pandas]'") from error
        if curves:
            return DataFrame([row for record in self for row in _shells(record)], columns=_OF_A_SHELL)
        return DataFrame([_row(known) for known in self._summaries()], columns=_OF_A_ROUND)

    def _repr_html_(self) -> str:
        known = self._summaries()
        left = f", the newest {_SHOWN} of {len(known)} rounds" if len(known) > _SHOWN else ""
        return table_html(f"{self.path}{left}", _SHOWN_OF_A_ROUND, [_row(one) for one in known[-_SHOWN:]])


_SHOWN_OF_A_ROUND = ("round", "label", "origin", "curve", "resolution_A", "worst_A", "best_A", "particles")
_OF_A_ROUND = (
    *("round", "run", "iteration", "class_id", "label", "program", "measured_at", "particles", "origin"),
    *("independence", "curve", "resolution_A", "worst_A", "best_A"),
)
_OF_A_SHELL = ("round", "curve", "kind", "mask", "shell", "frequency_per_A", "correlation")


def _row(known: RoundSummary) -> dict[str, Any]:
    curve = known.headline_curve
    if curve is not None and curve.identity.of_program:
        curve = None
    worst_A, best_A = (curve.interval_A if curve else None) or (None, None)
    return {
        "round": str(known.key),
        "run": known.key.run,
        "iteration": known.key.iteration,
        "class_id": known.key.class_id,
        "label": known.label,
        "program": known.program,
        "measured_at": known.measured_at,
        "particles": known.particles,
        "origin": known.origin,
        "independence": known.independence,
        "curve": curve.name if curve else None,
        "resolution_A": curve.resolution_A if curve else None,
        "worst_A": worst_A,
        "best_A": best_A,
    }


def _shells(record: RoundRecord) -> Iterator[tuple[Any, ...]]:
    for curve in record.curves:
        what = str(record.key), curve.name, curve.kind, curve.mask
        for shell, numbers in enumerate(zip(record.frequency_per_A, curve.values(), strict=True)):
            yield (*what, shell, *numbers)


def read_log(place: Path | str) -> Log:
    """The log of a project, of an output folder, or a log by its name. Of a round only a summary is kept in memory.

    Raises:
        InputError: there is none, or it cannot be read.
    """
    path = find_log(Path(place))
    index = LogIndex(path)
    try:
        index.read()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    rounds = LoggedRounds(index, tuple(known.key for known in index.summaries()))
    settings = settings_of(index.start.settings if index.start else None)
    return Log(path, rounds, tuple(index.failures()), tuple(index.faults), settings)


def audit_log(log: Log | Path | str) -> list[Finding]:
    """What the audit says of the rounds of a log, each beside the rounds before it, as ``refine-hooks audit`` has it.

    Args:
        log: a log, or where it is. Of a log that was filtered, its rounds are audited; the others serve as their history.

    Returns:
        The findings of each round, its warnings before its notes, in the order of the log; limits are those of the watch that
        wrote it.

    Raises:
        InputError: there is no log.
    """
    log = log if isinstance(log, Log) else read_log(log)
    index = log.rounds._index
    judge = Judge(index, log.settings, completed=Analyses(Store(index.path.absolute().parent)).completed)
    found = {key: findings for key, _, findings in judge.judged(log.rounds._keys)}
    in_order = [one for key in log.rounds._keys for one in found.get(key, [])]
    return [*in_order, *judge.of_failures()]
