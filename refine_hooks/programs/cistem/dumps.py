"""The dump files of a cisTEM project: which are there, to which attempt at a reconstruction they belong, where they are kept.

Names are given again: an aborted round's number goes to the next run, and every Generate3D of a refinement uses the number of
that refinement. What tells attempts apart is that all dumps of one live together in the scratch folder, which is wiped whole,
and that the parameter file they were made from is written just before them. So an attempt is a folder in the spool, named by
the time of that parameter file:

    spool/cistem/<panel>/<refinement>_<class>/<time>/dump_file_<refinement>_<class from 0>_<odd|even>_<job>.dump

Ab-initio's dumps carry no number at all and are written over in place, round after round; they are told by `startup`.
"""

import os
import re
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from refine_hooks.errors import RefineHooksError
from refine_hooks.files.reading import open_plain, parsed_json, read_text
from refine_hooks.model import InputFile
from refine_hooks.programs._reading import Memory
from refine_hooks.programs._still import COARSE_NS, state
from refine_hooks.sums.cistem import DumpHeader, disagreements, read_dump_header

PANELS = ("AutoRefine3D", "ManualRefine3D", "RefineCTF", "Generate3D")
STARTUP = "Startup"
_TOLD_GAPS = 20
DISCARDED = "discarded.json"
SEALED = "sealed"

_NAME = re.compile(r"dump_file_(\d{1,9})_(\d{1,6})_(odd|even)_(\d{1,6})\.dump")
_STARTUP_NAME = re.compile(r"startup_dump_file_()(\d{1,6})_(odd|even)_(\d{1,6})\.dump")
_PLACE_NAME = re.compile(r"(\d{1,9})_(\d{1,6})")
_PARAMETERS = {
    "AutoRefine3D": "auto_output_par_{}_{}.cistem",
    "ManualRefine3D": "output_par_{}_{}.cistem",
    "RefineCTF": "beam_tilt_output_par_{}_{}.cistem",
    "Generate3D": "generate3d_par_{}_{}.cistem",
}

Place = tuple[str, int, int]  # panel, refinement id, class counted from 1


@dataclass(frozen=True, slots=True)
class Dump:
    """One dump file where it can be read now: the sums of one chunk of one half."""

    half: str
    job: int
    path: Path
    size: int
    mtime_ns: int
    inode: tuple[int, int]
    memory: Memory = field(default_factory=Memory, compare=False, repr=False)

    def same(self, other: "Dump") -> bool:
        """Whether both are one file, or one is an up-to-date copy of the other."""
        return self.inode == other.inode or (self.size, self.mtime_ns) == (other.size, other.mtime_ns)


@dataclass(frozen=True, slots=True)
class Attempt:
    """The dumps of one reconstruction of one class, as far as they are there.

    Attributes:
        folder: where they are kept, or are to be.
        sealed: merge3d was about to start when they were captured, so nothing can be missing.
        discarded: what they were, after their half maps were made and they were removed.
        images: particle images in the halves, where ``discarded`` tells.
    """

    panel: str
    refinement_id: int
    class_id: int
    started_ns: int
    folder: Path
    dumps: tuple[Dump, ...] = ()
    sealed: bool = False
    discarded: tuple[InputFile, ...] = ()
    images: tuple[int | None, int | None] = (None, None)

    def half(self, which: str) -> list[Dump]:
        """The chunks of ``odd`` or ``even`` in the order of their jobs."""
        return sorted((dump for dump in self.dumps if dump.half == which), key=lambda dump: dump.job)

    @property
    def newest_ns(self) -> int:
        """When the last of the dumps was written."""
        return max((dump.mtime_ns for dump in self.dumps), default=self.started_ns)

    def inputs(self) -> tuple[InputFile, ...]:
        """The dumps as a fingerprint names them: by the place that cisTEM gave them, wherever they are kept."""
        if self.discarded:
            return self.discarded
        stem = f"Scratch/{self.panel}/"
        files = (InputFile(name=stem + dump.path.name, size=dump.size, mtime_ns=dump.mtime_ns) for dump in self.dumps)
        return tuple(sorted(files, key=lambda file: file.name))


def header_of(dump: Dump) -> DumpHeader | str:
    """The header of a dump in this state, or why it has none: it is being written, torn, or no dump at all."""
    return dump.memory.of(("header", dump), lambda: _read_header(dump))


def _read_header(dump: Dump) -> DumpHeader | str:
    try:
        return read_dump_header(dump.path)
    except RefineHooksError as error:
        return str(error).replace(str(dump.path), dump.path.name)


def faults(attempt: Attempt) -> list[str]:
    """Why these dumps are not, or not yet, all chunks of both halves of one reconstruction; as far as they tell by themselves."""
    headers = {dump: header_of(dump) for dump in attempt.dumps}
    found = [header for header in headers.values() if isinstance(header, str)]
    found += [f"{name} is missing" for name in _gaps(attempt)]
    whole = [(dump, header) for dump, header in headers.items() if not isinstance(header, str)]
    for dump, header in whole:
        if header.half != {"odd": 1, "even": 2}[dump.half]:
            found.append(f"{dump.path.name} holds the other half")
        differs = disagreements(whole[0][1], header, same_half=False)
        if differs:
            found.append(f"{dump.path.name} is of another round than {whole[0][0].path.name}: {', '.join(differs)}")
    return found


def _gaps(attempt: Attempt) -> list[str]:
    """Names that chunks 1..n of both halves would have, of those that are not there."""
    there = {(dump.half, dump.job) for dump in attempt.dumps}
    last = min(max((job for _, job in there), default=1), 2 * len(there) + _TOLD_GAPS)
    stem = "startup_dump_file_" if attempt.panel == STARTUP else f"dump_file_{attempt.refinement_id}_"
    absent = [(half, job) for job in range(1, last + 1) for half in ("odd", "even") if (half, job) not in there]
    return [f"{stem}{attempt.class_id - 1}_{half}_{job}.dump" for half, job in absent]


def images(attempt: Attempt) -> tuple[int, int]:
    """Particle images in the odd and in the even half, as the headers count them."""
    counts = {"odd": 0, "even": 0}
    for dump in attempt.dumps:
        header = header_of(dump)
        if not isinstance(header, str):
            counts[dump.half] += header.images
    return counts["odd"], counts["even"]


def spool_root(spool: Path) -> Path:
    """The part of the spool that is cisTEM's."""
    return spool / "cistem"


def scratch(directory: Path, panel: str) -> Path:
    """The scratch folder of a panel."""
    return directory / "Scratch" / panel


def living(directory: Path, memory: Memory | None = None) -> dict[Place, dict[str, Dump]]:
    """Numbered dumps that are in the scratch folders at this moment, by place and file name."""
    found: dict[Place, dict[str, Dump]] = {}
    for panel in PANELS:
        for (refinement_id, class_id), dump in _listed(scratch(directory, panel), _NAME, memory):
            found.setdefault((panel, refinement_id, class_id), {})[dump.path.name] = dump
    return found


def startup_living(directory: Path, memory: Memory | None = None) -> dict[int, dict[str, Dump]]:
    """Ab-initio's dumps that are in the scratch folder at this moment, by class counted from 1 and file name."""
    found: dict[int, dict[str, Dump]] = {}
    for (_, class_id), dump in _listed(scratch(directory, STARTUP), _STARTUP_NAME, memory):
        found.setdefault(class_id, {})[dump.path.name] = dump
    return found


def _listed(folder: Path, pattern: re.Pattern[str], memory: Memory | None) -> Iterator[tuple[tuple[int, int], Dump]]:
    """Plain files in ``folder`` that are named like dumps; links and folders of that name are no dumps."""
    memory = memory or Memory()
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return
    for entry in entries:
        match = pattern.fullmatch(entry.name)
        if match is None:
            continue
        try:
            # Not entry.stat(): on some network file systems the listing's own numbers are old.
            status = os.stat(entry.path, follow_symlinks=False)
        except OSError:
            continue
        if stat.S_ISREG(status.st_mode):
            identity = (status.st_dev, status.st_ino)
            half, job, path = match[3], int(match[4]), Path(entry.path)
            dump = Dump(half, job, path, status.st_size, status.st_mtime_ns, identity, memory)
            yield (int(match[1] or 0), int(match[2]) + 1), dump


def kept(spool: Path, memory: Memory | None = None) -> dict[Place, list[Attempt]]:
    """Attempts in the spool, each place's oldest first."""
    memory = memory or Memory()
    found: dict[Place, list[Attempt]] = {}
    for panel in PANELS:
        for name, place in _named_folders(spool_root(spool) / panel):
            numbers = _PLACE_NAME.fullmatch(name)
            if numbers:
                key = (panel, int(numbers[1]), int(numbers[2]))
                found[key] = list(_kept_here(key, place, memory))
    return found


def _kept_here(key: Place, place: str, memory: Memory) -> tuple[Attempt, ...]:
    """A place of which all is discarded changes no more, until a new attempt makes a new folder in it."""
    began_ns, seen = time.time_ns(), state(place)
    known: tuple[Attempt, ...] | None = memory.get((place, seen))
    if known is not None:
        return known
    folders = sorted(((int(name), path) for name, path in _named_folders(Path(place)) if name.isdecimal()))
    attempts = (kept_attempt(*key, Path(path), started_ns, memory) for started_ns, path in folders)
    here = tuple(attempt for attempt in attempts if attempt.dumps or attempt.discarded)
    if here and all(each.discarded and not each.dumps for each in here) and seen.mtime_ns + COARSE_NS < began_ns:
        memory.of((place, seen), lambda: here)
    return here


def kept_attempt(
    panel: str, refinement_id: int, class_id: int, folder: Path, started_ns: int, memory: Memory | None = None
) -> Attempt:
    """One attempt's folder in the spool."""
    pattern = _STARTUP_NAME if panel == STARTUP else _NAME
    listed = [dump for (_, owner), dump in _listed(folder, pattern, memory) if owner == class_id]
    dumps = tuple(sorted(listed, key=lambda dump: (dump.half, dump.job)))
    gone, images = _ledger(folder / DISCARDED, memory or Memory())
    sealed = (folder / SEALED).exists()
    return Attempt(panel, refinement_id, class_id, started_ns, folder, dumps, sealed, gone, images)


def _named_folders(folder: Path) -> list[tuple[str, str]]:
    try:
        with os.scandir(folder) as entries:
            return [(entry.name, entry.path) for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []


def attempts(
    directory: Path, spool: Path, memory: Memory | None = None, *, living_only: bool = False
) -> dict[Place, list[Attempt]]:
    """All attempts: what is kept, and what is in the scratch folders and not (or not yet, or no longer so) in the spool.

    Args:
        directory: the project.
        spool: the folder for saved inputs of any program.
        memory: of the project that was opened.
        living_only: only those of places that have dumps in the scratch folders now, at no cost for all others.
    """
    memory = memory or Memory()
    alive = living(directory, memory)
    found = (
        {place: list(_kept_here(place, _place_folder(spool, place), memory)) for place in alive}
        if living_only
        else kept(spool, memory)
    )
    for place, dumps in alive.items():
        known = found.setdefault(place, [])
        latest = known[-1] if known else None
        started_ns = _started_ns(directory, place, dumps)
        if latest is not None and latest.discarded:
            if _any_discarded(latest, dumps):
                continue
        elif latest is not None and (_any_same(latest, dumps) or latest.started_ns == started_ns):
            known[-1] = _joined(latest, dumps)
            continue
        if latest is not None:
            started_ns = max(started_ns, latest.started_ns + 1)
        folder = Path(_place_folder(spool, place), str(started_ns))
        known.append(_joined(Attempt(*place, started_ns, folder), dumps))
    return found


def _place_folder(spool: Path, place: Place) -> str:
    panel, refinement_id, class_id = place
    return os.path.join(spool_root(spool), panel, f"{refinement_id}_{class_id}")


def _joined(attempt: Attempt, dumps: dict[str, Dump]) -> Attempt:
    by_name = {dump.path.name: dump for dump in attempt.dumps}
    for name, dump in dumps.items():
        if name not in by_name or not by_name[name].same(dump):
            by_name[name] = dump
    ordered = sorted(by_name.values(), key=lambda dump: (dump.half, dump.job))
    return replace(attempt, dumps=tuple(ordered))


def _any_same(attempt: Attempt, dumps: dict[str, Dump]) -> bool:
    return any(dump.path.name in dumps and dump.same(dumps[dump.path.name]) for dump in attempt.dumps)


def _any_discarded(attempt: Attempt, dumps: dict[str, Dump]) -> bool:
    gone = {(Path(file.name).name, file.size, file.mtime_ns) for file in attempt.discarded}
    return any((name, dump.size, dump.mtime_ns) in gone for name, dump in dumps.items())


def _started_ns(directory: Path, place: Place, dumps: dict[str, Dump]) -> int:
    """When the parameter file that the dumps are made from was written; without it, when the first dump was.

    It is opened, not only looked at: on NFS that fetches the server's time instead of a remembered one.
    """
    try:
        with open_plain(_parameters(directory, *place)) as stream:
            return os.fstat(stream.fileno()).st_mtime_ns
    except OSError:
        return min(dump.mtime_ns for dump in dumps.values())


def still_in_scratch(directory: Path, attempt: Attempt) -> bool:
    """Whether cisTEM has not wiped the scratch folder yet."""
    folder = scratch(directory, attempt.panel)
    return any((folder / dump.path.name).exists() for dump in attempt.dumps)


def parameter_file(directory: Path, attempt: Attempt) -> Path:
    """The parameter file that the dumps of an attempt are made from."""
    return _parameters(directory, attempt.panel, attempt.refinement_id, attempt.class_id)


def _parameters(directory: Path, panel: str, refinement_id: int, class_id: int) -> Path:
    return directory / "Assets" / "Parameters" / _PARAMETERS[panel].format(refinement_id, class_id)


def _ledger(path: Path, memory: Memory) -> tuple[tuple[InputFile, ...], tuple[int | None, int | None]]:
    try:
        status = path.stat()
    except OSError:
        return (), (None, None)
    return memory.of((path, status.st_mtime_ns), lambda: _read_ledger(path))


def _read_ledger(path: Path) -> tuple[tuple[InputFile, ...], tuple[int | None, int | None]]:
    try:
        table = parsed_json(read_text(path))
        odd, even = table["images"]
        return tuple(InputFile.model_validate(each) for each in table["inputs"]), (odd, even)
    except (OSError, ValueError, KeyError, TypeError):
        return (), (None, None)
