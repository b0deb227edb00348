"""What names say: half maps of one folder put together to pairs, by expressions over their paths relative to the project.

The named groups of such an expression: ``half`` tells the halves apart (where a kind has two expressions, these do), ``iteration``
and ``class`` are numbers, ``run`` is a name, and ``state`` names a state that has no number: such states are numbered in the order
of their times.
"""

import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from refine_hooks.errors import InputError
from refine_hooks.files.mrc import Map, MrcHeader, read_header, read_map, read_voxels
from refine_hooks.log.folder import component
from refine_hooks.model import Independence, Masked, Origin
from refine_hooks.programs import _overwritten as overwritten
from refine_hooks.programs._overwritten import Kept

TOGETHER_S = 60.0  # files of one iteration are written within this time, unless the program's next one comes first
_QUICKEST_NS = 10**9  # no iteration of any program takes less
Numbered = Sequence[tuple[int, Path]]
_Key = tuple[str, int, int | None, str]


@dataclass(frozen=True, slots=True)
class Kind:
    """One way of a program's to call its half maps, and what is known of such maps.

    Attributes:
        names: one expression with a group ``half``, or one for each half.
        origin: ``found`` where the maps are neither filtered nor regularised.
        independence: whether noise can agree in the two by the way this program refines.
        valid_shells: the last shell with data, from the box in px.
        removed: the program removes them later, so copies are what is recorded.
        before: the name of the state before that of a half map; states are numbered along this chain.
        header: what a file says of its voxels, where it is no MRC file.
    """

    names: tuple[re.Pattern[str], ...]
    origin: Origin
    masked: Masked = "none"
    masked_by: str | None = None
    independence: Independence = "unknown"
    valid_shells: Callable[[int], int] | None = None
    notes: tuple[str, ...] = ()
    removed: bool = False
    before: Callable[[Path], str | None] | None = None
    header: Callable[[Path], MrcHeader] = read_header

    def read(self, path: Path, voxel_size_A: float | None) -> Map:
        """One half.

        Raises:
            NotReadyError, MapError: see `refine_hooks.files.mrc.read_map`.
        """
        if self.header is read_header:
            return read_map(path, voxel_size_A)
        return Map(read_voxels(path, self.header(path)), voxel_size_A or 0.0)


@dataclass(frozen=True, slots=True)
class Pair:
    """The files of one round as they are now.

    Attributes:
        iteration: None while only their times may tell it.
        fault: why it cannot be told which files are its halves.
    """

    run: str
    class_id: int
    iteration: int | None
    state: str
    kind: Kind
    files: dict[str, Path] = field(hash=False)
    fault: str | None = None

    @property
    def halves(self) -> tuple[Path, Path] | None:
        """Both halves in the order of their names; None where one is not there, or more claim to be them."""
        ordered = [self.files[half] for half in sorted(self.files)]
        return (ordered[0], ordered[1]) if len(ordered) == 2 and not self.fault else None

    @property
    def other_half(self) -> str:
        """What is awaited, where one half is there."""
        return f"the other half of {next(iter(self.files.values())).name}"

    @property
    def newest_ns(self) -> int:
        """When the youngest of its files was written; 0 where none is there."""
        return max((ns for path in self.files.values() if (ns := written_ns(path)) is not None), default=0)


def pairs_in(directory: Path, names: Iterable[str], kinds: Iterable[Kind]) -> list[Pair]:
    """Every round that has a half among ``names``, of the best kind that is not out of date, oldest first.

    Raises:
        InputError: the expressions take something for a number that is none, in all names that they match.
    """
    found: dict[_Key, list[Pair]] = {}
    wrong: list[str] = []
    names = list(names)
    for kind in kinds:
        for pair in _sorted_files(directory, names, kind, wrong):
            key = (pair.run, pair.class_id, pair.iteration, pair.state)
            found.setdefault(key, []).append(pair)
    if wrong and not found:
        raise InputError(wrong[0])
    best = [_best(candidates) for candidates in found.values()]
    return sorted(_with_numbers(best), key=lambda pair: (pair.run, pair.iteration or 0, pair.class_id))


def _sorted_files(directory: Path, names: Iterable[str], kind: Kind, wrong: list[str]) -> Iterator[Pair]:
    """The rounds of one kind; what is wrong with names of no round is added to ``wrong``."""
    found: dict[_Key, dict[str, list[str]]] = {}
    for name in names:
        for position, pattern in enumerate(kind.names):
            match = pattern.fullmatch(name)
            if match is None:
                continue
            half = match.groupdict().get("half") or str(position + 1)
            try:
                found.setdefault(key_of(match, name), {}).setdefault(half, []).append(name)
            except InputError as error:
                wrong.append(str(error))
    for key, halves in found.items():
        faults = [
            f"{' and '.join(claiming)}: both would be half {half} of one round; the pattern tells too little"
            for half, claiming in halves.items()
            if len(claiming) > 1
        ]
        files = {half: directory / claiming[0] for half, claiming in halves.items()}
        if len(files) > 2:
            faults.append(f"more than two half maps of one round: {', '.join(sorted(p.name for p in files.values()))}")
        yield Pair(*key, kind, files, "; ".join(faults) or None)


def key_of(match: re.Match[str], name: str) -> _Key:
    """Run, class (from 1), iteration and state that a name tells.

    Raises:
        InputError: the expression takes something for a number that is none.
    """
    wrong = not_a_number(match, name)
    if wrong:
        raise InputError(wrong)
    groups = match.groupdict()
    run = "/".join(component(part) for part in (groups.get("run") or "run").split("/"))
    iteration = groups.get("iteration")
    return run, int(groups.get("class") or 1), None if iteration is None else int(iteration), groups.get("state") or ""


def not_a_number(match: re.Match[str], name: str) -> str:
    """Which numbers of a name are none; empty where all are."""
    groups = match.groupdict()
    wrong = [f"{what} {groups[what]!r}" for what in ("iteration", "class") if not (groups.get(what) or "0").isdecimal()]
    return f"{name}: {' and '.join(wrong)} is no number; correct the pattern" if wrong else ""


def _best(candidates: list[Pair]) -> Pair:
    """The first kind whose pair is complete and not left over from an earlier iteration."""
    complete = [pair for pair in candidates if pair.halves is not None]
    newest_ns = max((pair.newest_ns for pair in complete), default=0)
    return next((p for p in complete if p.newest_ns >= newest_ns - TOGETHER_S * 1e9), candidates[0])


def _with_numbers(pairs: list[Pair]) -> Iterator[Pair]:
    """States are numbered along their chain, else by their times; classes that the program counts from 0 are counted from 1."""
    after = _places_in_chain(pairs)
    order: dict[tuple[str, int], int] = {}
    from_zero = {pair.run for pair in pairs if pair.class_id == 0}
    for pair in sorted(pairs, key=lambda p: (after.get((p.run, p.class_id, p.state), 0), p.newest_ns, p.state)):
        number = pair.iteration
        if pair.state:
            number = order[pair.run, pair.class_id] = order.get((pair.run, pair.class_id), 0) + 1
        yield replace(pair, iteration=number, class_id=pair.class_id + (pair.run in from_zero))


def _places_in_chain(pairs: list[Pair]) -> dict[tuple[str, int, str], int]:
    """How many known states came before each state that says which one did."""
    before = {
        (pair.run, pair.class_id, pair.state): pair.kind.before(next(iter(pair.files.values())))
        for pair in pairs
        if pair.state and pair.kind.before is not None
    }
    places = {}
    for (run, class_id, state), previous in before.items():
        seen, at = {state}, previous
        while at is not None and at not in seen and (run, class_id, at) in before:
            seen.add(at)
            at = before[run, class_id, at]
        places[run, class_id, state] = len(seen) - 1
    return places


def written_ns(path: Path) -> int | None:
    """When a file was last written; None where it is not there."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return None


def iteration_of(pair: Pair, numbered: Numbered, kept: dict[int, Kept]) -> int | None:
    """The iteration of a pair that is written over: that of the numbered file written after it, else of the nearest in time.

    None while such a file may still come. Where none comes, pairs are counted on. After a copy that kept no times it is the last.
    """
    if pair.halves is None:
        return None
    if not _times_tell(pair.newest_ns, numbered):
        return max(number for number, _ in numbered)
    after = overwritten.written_after(pair.halves, numbered)
    if after is not None:
        return after
    near = [(abs(ns - pair.newest_ns), number) for number, path in numbered if (ns := written_ns(path)) is not None]
    apart_ns, number = min(near, default=(0, 0))
    awaited = time.time_ns() - pair.newest_ns < TOGETHER_S * 1e9
    if near and apart_ns < (_QUICKEST_NS if awaited else TOGETHER_S * 1e9):
        return number
    if near and awaited:
        return None
    return max([*kept, *(n for n, _ in numbered)], default=0) + 1


def _times_tell(pair_ns: int, numbered: Numbered) -> bool:
    """Whether numbered files were written one after the other, the pair with the last of them, and not all at once by a copy.

    In a program's own folder a pair is never older than the files of two iterations: it would have been written over.
    """
    first_of: dict[int, int] = {}
    for number, path in numbered:
        ns = written_ns(path)
        if ns is not None:
            first_of[number] = min(ns, first_of.get(number, ns))
    if len(first_of) < 2:
        return True
    apart = max(first_of.values()) - min(first_of.values()) >= _QUICKEST_NS * (len(first_of) - 1)
    return apart and sum(ns >= pair_ns for ns in first_of.values()) < 2


def at_rest(halves: tuple[Path, Path], settle_s: float) -> bool:
    """Whether the files were written so long ago that nobody writes them now."""
    newest_ns = max(written_ns(path) or 0 for path in halves)
    return time.time_ns() - newest_ns > max(settle_s, 2.0) * 1e9


def unequal(halves: tuple[Path, Path], headers: Sequence[MrcHeader], voxel_size_A: float | None) -> str | None:
    """What is wrong with the boxes and voxel sizes of two halves, all of it; None where nothing is.

    Args:
        halves: their files, for their names.
        headers: of both.
        voxel_size_A: the one that is known better than the headers know it.
    """
    one, two = (path.name for path in halves)
    boxes = [" x ".join(str(n) for n in (header.nx, header.ny, header.nz)) for header in headers]
    sizes_A = [size for header in headers for size in header.voxel_size_A]
    faults = []
    if boxes[0] != boxes[1]:
        faults.append(f"{one} has a box of {boxes[0]} voxels, {two} one of {boxes[1]}")
    elif not headers[0].nx == headers[0].ny == headers[0].nz:
        faults.append(f"{one}: box is {boxes[0]}; only cubic maps can be measured")
    if not voxel_size_A and min(sizes_A) <= 0:
        faults.append(f"{one}: does not state its voxel size; give it in a settings file: voxel_size_A in [program]")
    elif not voxel_size_A and max(sizes_A) > 1.002 * min(sizes_A):
        faults.append(
            f"{one}, {two}: voxel sizes of {min(sizes_A):g} to {max(sizes_A):g} A; give the true one: voxel_size_A in [program]"
        )
    return "; ".join(faults) or None
