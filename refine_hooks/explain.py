"""What a directory is, why, and what a watch of it would do now. Nothing is written anywhere."""

import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from refine_hooks.errors import RefineHooksError
from refine_hooks.files import file_system
from refine_hooks.log.records import Failed
from refine_hooks.log.summary import RoundSummary
from refine_hooks.model import KEPT_FIRST, Round
from refine_hooks.programs import Claim
from refine_hooks.programs.unused import unused_half_maps, used_by
from refine_hooks.watch.loop import Watch

_FEW = 4  # names that fit into a line

Action = Literal["measure", "record", "capture", "wait", "fail", "nothing"]


@dataclass(frozen=True, slots=True)
class ReadFile:
    """A file that a round would be measured from; ``size`` in bytes, None where it is not there (any more)."""

    name: str
    size: int | None


@dataclass(frozen=True, slots=True)
class ExplainedRound:
    """One round: where its half maps would come from, what it waits for, what would be done with it.

    Attributes:
        origin: ``none`` where there are no half maps, ``unknown`` where only reading them tells.
        action: measure it, record what the program reports without half maps, capture its half maps first, wait, write it down as
            failed, or nothing.
    """

    key: str
    label: str
    origin: str
    action: Action
    why: str
    missing: tuple[str, ...]
    fault: str | None
    reads: tuple[ReadFile, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """The folder that would be written to."""

    path: str
    exists: bool
    writable: bool
    free_GB: float | None
    same_file_system: bool
    log: str


@dataclass(frozen=True, slots=True)
class UnusedFile:
    """A half map, by its name, that belongs to no round, and why nothing is measured from it."""

    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """A project at this moment.

    Attributes:
        events: whether changes would be seen at once; otherwise the disk is only looked at every ``poll_s``.
        captures: whether files are saved before the program deletes or overwrites them; ``kept`` of them are saved now.
        faults: why the rounds cannot be looked at now.
        nothing: where there is no round, what was looked for, where, and what to do.
    """

    project: str
    program: str
    claims: tuple[Claim, ...]
    file_system: str
    events: bool
    poll_s: float
    captures: bool
    kept: int
    out: Place
    rounds: tuple[ExplainedRound, ...]
    unused: tuple[UnusedFile, ...]
    faults: tuple[str, ...]
    nothing: tuple[str, ...]


def explain(w: Watch, claims: Iterable[Claim] = ()) -> Explanation:
    """What a watch would see and do at this moment.

    Args:
        w: a watch that has not begun.
        claims: what the adapters said of its project.
    """
    faults: list[str] = []
    past = _past(w, faults)
    try:
        rounds = list(w.opened.rounds())
    except Exception as error:  # a watch waits, whatever the reason
        faults.append(f"the rounds cannot be looked at now: {error or type(error).__name__}")
        rounds = []
    unused = unused_half_maps(w.opened, rounds)
    faults += [f"{folder}: cannot be read" for folder in file_system.unreadable(w.opened.watched_folders)]
    return Explanation(
        project=str(w.project),
        program=w.program,
        claims=tuple(claims),
        file_system=file_system.file_system_type(w.project) or "unknown",
        events=not w.settings.watch.force_poll and file_system.events_arrive(w.project),
        poll_s=w.settings.watch.poll_s,
        captures=w.opened.captures,
        kept=sum(1 for path in w.store.spool.rglob("*") if path.is_file()),
        out=_place(w, past),
        rounds=tuple(_explained(w, round_) for round_ in rounds),
        unused=tuple(UnusedFile(_relative(w.project, each.path), each.reason) for each in unused),
        faults=tuple(faults),
        nothing=() if rounds else tuple(_nothing(w)),
    )


def _nothing(w: Watch) -> Iterator[str]:
    """What was looked for where no round is, and what to do."""
    folders = [_relative(w.project, folder) for folder, _ in w.opened.watched_folders()]
    where = ", ".join(folders[:_FEW]) + (f" and {len(folders) - _FEW} more" if len(folders) > _FEW else "")
    if w.program != "generic":
        yield f"looked for rounds of {w.program} in {where or 'no folder: none of those that hold them is there'}"
        yield "a watch waits for the first one; if there should be some, --why says what each program's project would hold"
        return
    own = w.settings.generic
    patterns = " and ".join(f"{name} = {text!r}" for name, text in (("half1", own.half1), ("half2", own.half2)) if text)
    yield f"looked in {', '.join(map(repr, own.folders))} for files whose whole path in the project matches {patterns}"
    maps = sorted(
        {_relative(w.project, path) for folder in w.opened.folders_with_maps() for path in folder.glob("*.mrc")}
    )
    if maps:
        yield f"none of the {len(maps)} .mrc files there does, such as {', '.join(maps[:_FEW])}; change the pattern, or folders"
    else:
        yield "no .mrc file is there yet; if there should be some, name their folders in [generic] folders"


def _past(w: Watch, faults: list[str]) -> str:
    """What the log holds, in words; the watch remembers it."""
    try:
        faults += w.log.recall()
    except RefineHooksError as error:
        faults += error.faults
        return "cannot be read"
    if w.index.start is None and not w.index.summaries():
        return "none yet"
    failed = {line.key for line in w.index.failures()}
    measured = sum(summary.key not in failed for summary in w.index.summaries())
    return f"rounds measured: {measured}, failed: {len(failed)}"


def _place(w: Watch, log: str) -> Place:
    out = w.store.out
    there = out
    while not there.exists() and there != there.parent:
        there = there.parent
    try:
        free_GB: float | None = round(shutil.disk_usage(there).free / 1e9, 2)
        same = there.stat().st_dev == w.project.stat().st_dev
    except OSError:
        free_GB, same = None, False
    writable = there.is_dir() and os.access(there, os.W_OK | os.X_OK)
    return Place(str(out), out.is_dir(), writable, free_GB, same, log)


def _explained(w: Watch, round_: Round) -> ExplainedRound:
    origin = round_.origin or "none"
    action, why = _action(w, round_, origin)
    last = w.index.last(round_.key)
    done = action == "nothing"
    if done and isinstance(last, RoundSummary) and last.origin is not None:
        origin = last.origin
    return ExplainedRound(
        key=str(round_.key),
        label=round_.label,
        origin=origin,
        action=action,
        why=why,
        missing=round_.missing,
        fault=round_.fault,
        reads=() if done else tuple(_reads(w.project, round_)),
    )


def _action(w: Watch, round_: Round, origin: str) -> tuple[Action, str]:
    if round_.missing:
        if round_.missing == (KEPT_FIRST,):
            return "capture", "its half maps are copied, then measured from the copy"
        return "wait", f"for {', '.join(round_.missing)}"
    if w.done(round_):
        last = w.index.last(round_.key)
        return "nothing", f"the log has it as failed: {last.reason}" if isinstance(last, Failed) else "the log has it"
    settle = f"once its files have not changed for {w.settings.watch.settle_s:g} s"
    if round_.fault:
        return "fail", f"{settle}: {round_.fault}"
    words = ["again, since its files have changed"] if w.index.last(round_.key) else []
    words.append("ready to measure" if round_.complete else settle)
    particles = w.opened.names_particles(round_) and not round_.starting
    poor = origin in ("none", "regularised")
    if poor and particles and w.config.reconstruct != "never":
        words.append("from the particles where they can be had")
    elif poor:
        hint = " ('once' and --reconstruct missing try the particles)" if particles else ""
        what = (
            "only what the program reports"
            if origin == "none"
            else "the program filtered these half maps: no resolution"
        )
        words.append(what + hint)
        return "record" if origin == "none" else "measure", "; ".join(words)
    return "measure", "; ".join(words)


def _reads(project: Path, round_: Round) -> Iterator[ReadFile]:
    """The files of the fingerprint and those that the adapter's own inputs name."""
    for path in used_by(project, round_):
        if path.is_dir():
            continue
        try:
            size: int | None = path.stat().st_size
        except OSError:
            size = None
        yield ReadFile(_relative(project, path), size)


def _relative(project: Path, path: Path) -> str:
    return str(path.relative_to(project) if path.is_relative_to(project) else path)
