"""How watches stand: those of this machine, and those whose logs are seen."""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from refine_hooks.audit.judge import Judge
from refine_hooks.errors import InputError, RefineHooksError
from refine_hooks.files.lock import owner_of
from refine_hooks.log.file import find_log
from refine_hooks.log.folder import LOG_NAME, OUT_NAME, Store
from refine_hooks.log.index import LogIndex
from refine_hooks.log.orders import Orders, Standing, read_orders, read_standing
from refine_hooks.log.summary import RoundSummary, newest_number
from refine_hooks.log.watching import watching
from refine_hooks.reanalyse import Analyses, newest_of_series

State = Literal["running", "paused", "stalled", "stopped", "failed", "not watched"]
_NEEDS_A_PERSON = {"stalled", "failed"}


@dataclass(frozen=True, slots=True)
class Status:
    """One log and its watch.

    Attributes:
        state: stalled: not heard of, or nothing new for ``[watch] stalled_after_s``; failed: the last round could not be
            measured, or the watch ended without a word.
        why: what is wrong, or waited for; empty where all is well.
        last: the newest round, as its program calls it.
        resolution_A: the headline number of the newest round that has one, of ours where there is any, with its 90 % interval.
        of, curve, level: that round's key, and how the number was read.
        warnings: of the audit, on the newest round of each run and class.
        waiting: rounds that could be measured and are not yet; None where no watch says so.
        used_bytes, free_bytes: of the output folder, and of its disk.
    """

    project: str
    program: str
    out: str
    state: State
    why: str
    host: str
    pid: int | None
    rounds: int
    failed: int
    last: str
    key: str
    at: str
    resolution_A: float | None
    interval_A: tuple[float, float] | None
    of: str
    curve: str
    level: float | None
    warnings: int
    waiting: int | None
    muted: bool
    used_bytes: int
    free_bytes: int | None

    @property
    def needs_a_person(self) -> bool:
        """Whether somebody should look."""
        return self.state in _NEEDS_A_PERSON or self.warnings > 0 or (self.state == "running" and bool(self.why))

    def fields(self) -> dict[str, Any]:
        """As plain values."""
        return {**asdict(self), "needs_a_person": self.needs_a_person}


def watched_here() -> list[Path]:
    """The output folders that watches of this machine hold, as far as this user may see their processes; by their paths."""
    found: set[Path] = set()
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            for handle in os.scandir(process / "fd"):
                with suppress(OSError):
                    name = os.readlink(handle.path)
                    if name.endswith("/.lock") and (Path(name).parent / LOG_NAME).is_file():
                        found.add(Path(name).parent)
    return sorted(found)


def status_of(log: Path) -> Status:
    """How one log and its watch stand.

    Raises:
        OSError: the log cannot be read.
    """
    index = LogIndex(log.absolute())
    index.read()
    judge = Judge(index, completed=Analyses(Store(index.out)).completed)
    start, watch, owner = index.start, watching(index), owner_of(index.out)
    orders, standing = read_orders(index.out, os.geteuid() if owner is None else owner), read_standing(index.out)
    state, why = _state(index, judge, orders, standing)
    newest = max(index.summaries(), key=lambda one: one.measured_at, default=None)
    of, curve = newest_number(index.summaries()) or (None, None)
    alive = watch.state in ("live", "stalled")
    return Status(
        project=start.project if start else str(index.out),
        program=start.program if start else "",
        out=str(index.out),
        state=state,
        why=why,
        host=start.host if start else "",
        pid=start.pid if start and alive else None,
        rounds=len(index.summaries()),
        failed=len(index.failures()),
        last=newest.label if newest else "",
        key=str(newest.key) if newest else "",
        at=newest.measured_at.isoformat() if newest else "",
        resolution_A=curve.resolution_A if curve else None,
        interval_A=curve.interval_A if curve else None,
        of=str(of.key) if of else "",
        curve=curve.name if curve else "",
        level=curve.threshold if curve else None,
        warnings=_warnings(judge, newest_of_series(index)),
        waiting=standing.waiting if alive else None,
        muted=orders.muted,
        used_bytes=_used_bytes(index.out),
        free_bytes=_free_bytes(index.out),
    )


def _state(index: LogIndex, judge: Judge, orders: Orders, standing: Standing) -> tuple[State, str]:
    """State, and what is wrong or waited for."""
    watch = watching(index)
    summaries, failures = index.summaries(), index.failures()
    last = max(failures, key=lambda one: one.failed_at, default=None)
    if last is not None and not any(one.measured_at >= last.failed_at for one in summaries):
        return "failed", f"{last.key} {last.label}: {last.reason}"
    if watch.state == "stopped" and not index.ended:
        return "failed", "the watch ended without a word: start it again"
    if watch.state == "stalled":
        return "stalled", "the watch was not heard of for longer than it waits between two scans"
    if watch.state == "live":
        return _of_live(index, judge, orders, standing)
    return watch.state, ""


def _of_live(index: LogIndex, judge: Judge, orders: Orders, standing: Standing) -> tuple[State, str]:
    if orders.paused:
        return "paused", "asked to pause"
    limits, free_bytes = judge.limits(), _free_bytes(index.out)
    if free_bytes is not None and free_bytes < limits.keep.min_free_GB * 1e9:
        return "running", f"less than {limits.keep.min_free_GB:g} GB are free: nothing is written"
    idle_s = _since_s(index, index.summaries())
    if idle_s >= limits.watch.stalled_after_s:
        return "stalled", f"nothing new for {idle_s / 3600:.0f} hours: the refinement may have ended, or hang"
    return "running", standing.why


def _since_s(index: LogIndex, summaries: Sequence[RoundSummary]) -> float:
    """Seconds since something was last logged."""
    moments = [one.measured_at for one in summaries]
    if index.start is not None:
        moments.append(index.start.started_at)
    return (datetime.now(UTC) - max(moments)).total_seconds() if moments else 0.0


def _warnings(judge: Judge, newest: list[RoundSummary]) -> int:
    with suppress(RefineHooksError, OSError):
        return sum(
            one.severity == "warning" for _, _, found in judge.judged([one.key for one in newest]) for one in found
        )
    return 0


def _used_bytes(out: Path) -> int:
    return sum(_sizes(out))


def _sizes(folder: Path) -> Iterator[int]:
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with suppress(OSError):
                if entry.is_dir(follow_symlinks=False):
                    yield from _sizes(Path(entry.path))
                else:
                    yield entry.stat(follow_symlinks=False).st_blocks * 512


def _free_bytes(out: Path) -> int | None:
    try:
        return shutil.disk_usage(out).free
    except OSError:
        return None


def out_of(place: Path) -> Path:
    """The output folder that a log, its folder, or a project means; for a project that is watched elsewhere, that of its watch.

    Raises:
        InputError: there is none.
    """
    try:
        return find_log(place).absolute().parent
    except InputError:
        for out in watched_here():
            index = LogIndex(out / LOG_NAME)
            with suppress(OSError):
                index.read()
            if index.start is not None and Path(index.start.project) == place.absolute():
                return out
        if (place / OUT_NAME).is_dir():
            return (place / OUT_NAME).absolute()
        raise
