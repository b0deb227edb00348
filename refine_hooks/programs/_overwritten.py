"""Half maps that a program writes over, or cleans away: a copy of the pair each time it has changed, by iteration.

    spool/<program>/<run>/class<k>/it<NNN>/<the files under their own names> and kept.json

The files' names often carry no number; it comes from files that have one, by their times (`written_after`, `written_before`).
A look may fall between the writing of the two halves. So a pair is taken only where both halves are whole, still, and another
state than in every pair that was taken before; of two pairs that share a half, the one whose halves were written closer
together is the true one.
"""

import json
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from refine_hooks.errors import RefineHooksError
from refine_hooks.files.atomic import beside
from refine_hooks.files.mrc import read_header
from refine_hooks.files.reading import parsed_json, read_text
from refine_hooks.log.folder import component
from refine_hooks.model import Fingerprint, InputFile
from refine_hooks.programs._saving import KEEP_FREE_BYTES, copy_whole, link, make_folder, require_room, unwritable

_LEDGER = "kept.json"
_FOLDER = re.compile(r"it(\d+)")
_STILL_S = 2.0


@dataclass(frozen=True, slots=True)
class Kept:
    """What was kept of one iteration of one class.

    Attributes:
        folder: where the copies lie.
        files: the two halves first, then whatever was kept beside them, as they were in the project.
        discarded: the copies have been removed since their half maps were written.
    """

    iteration: int
    folder: Path
    files: tuple[InputFile, ...]
    discarded: bool = False

    @property
    def halves(self) -> tuple[Path, Path] | None:
        """The copies of the two halves; None once they are discarded."""
        first, second = (self.folder / file.name for file in self.files[:2])
        return None if self.discarded else (first, second)

    def file(self, name: str) -> Path | None:
        """The copy of another file of that name; None where none was kept, or it is discarded."""
        path = self.folder / name
        return path if not self.discarded and any(file.path == Path(name) for file in self.files) else None

    def fingerprinted(self, run: str) -> tuple[InputFile, ...]:
        """The two halves as inputs of a round: under names that the project never has, since there they are written over."""
        return tuple(
            file.model_copy(update={"name": f"{run}/{self.folder.name}/{file.name}"}) for file in self.files[:2]
        )


def spool_folder(spool: Path, program: str, run: str, class_id: int = 1) -> Path:
    """Where the kept pairs of one class of one run lie."""
    return spool.joinpath(program, *(component(part) for part in run.split("/") if part), f"class{class_id}")


def kept(folder: Path) -> dict[int, Kept]:
    """Everything kept in ``folder`` (of `spool_folder`), by iteration."""
    try:
        names = [child.name for child in folder.iterdir()]
    except OSError:
        return {}
    found = {}
    for name in names:
        number = _FOLDER.fullmatch(name)
        ledger = _read(folder / name) if number else None
        if ledger is not None:
            found[ledger.iteration] = ledger
    return dict(sorted(found.items()))


def _read(folder: Path) -> Kept | None:
    try:
        ledger = parsed_json(read_text(folder / _LEDGER))
        files = tuple(InputFile.model_validate(file) for file in ledger["files"])
        return Kept(int(ledger["iteration"]), folder, files, bool(ledger["discarded"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def keep(
    pair: tuple[Path, Path],
    iteration: int | None,
    folder: Path,
    *,
    spool: Path,
    beside_it: Sequence[Path] = (),
    whole: Callable[[Path], bool],
    rewritten: bool = True,
    still_s: float = _STILL_S,
    keep_free_bytes: int = KEEP_FREE_BYTES,
) -> list[Path]:
    """Keep a pair of half maps if it is whole, still and not kept yet.

    Args:
        pair: the halves in the project; their names differ.
        iteration: its number; None while nothing says it, and nothing is kept then.
        folder: of `spool_folder`.
        spool: the folder for saved inputs of any program.
        beside_it: files to keep with it (masks); those that are not there or not whole are left out.
        whole: whether a file proves by its own contents that it is whole, e.g. `whole_mrc`.
        rewritten: the program writes over its files, so that a link would change with them; False: it removes them.
        keep_free_bytes: room on the disk that no copy is made into.
        still_s: how long the halves must have been as they are. 0 where the number proves that they are done.

    Returns:
        What was newly kept.

    Raises:
        StorageError: the spool cannot be written to.
    """
    if iteration is None:
        return []
    states = [_state(path) for path in pair]
    first, second = states
    if first is None or second is None or time.time_ns() - max(first.mtime_ns, second.mtime_ns) < still_s * 1e9:
        return []
    mixed = _mixed_with_this(kept(folder).values(), (first, second))
    if mixed is None or not all(whole(path) for path in pair):
        return []
    more = {path: state for path in beside_it if (state := _state(path)) is not None and whole(path)}
    make_folder(folder, spool)
    saved = _save([*pair, *more], [first, second, *more.values()], iteration, folder, rewritten, keep_free_bytes)
    for wrong in mixed if saved else ():
        if wrong.iteration != iteration:
            shutil.rmtree(wrong.folder, ignore_errors=True)
    return saved


def _state(path: Path) -> InputFile | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return InputFile(name=path.name, size=status.st_size, mtime_ns=status.st_mtime_ns)


def _mixed_with_this(others: Iterable[Kept], pair: tuple[InputFile, InputFile]) -> list[Kept] | None:
    """The kept pairs that were mixed from two iterations, as this pair shows; None where this one is mixed, or kept already."""
    wrong = []
    for other in others:
        same = [one == two for one, two in zip(other.files, pair, strict=False)]
        if all(same):
            return None
        if any(same):
            if _apart_ns(other.files) <= _apart_ns(pair):
                return None
            wrong.append(other)
    return wrong


def _apart_ns(files: Sequence[InputFile]) -> int:
    return abs(files[0].mtime_ns - files[1].mtime_ns)


def _save(
    paths: Sequence[Path],
    files: Sequence[InputFile],
    iteration: int,
    folder: Path,
    rewritten: bool,
    keep_free_bytes: int,
) -> list[Path]:
    """All files and the ledger under their final name together, or not at all."""
    target = folder / f"it{iteration:03d}"
    part = folder / f".{target.name}.{secrets.token_hex(4)}.part"

    def copied(path: Path, file: InputFile) -> bool:
        return copy_whole(path, part / file.name, file.size, file.mtime_ns, keep_free_bytes)

    try:
        for stale in folder.glob(".it*.part"):
            shutil.rmtree(stale, ignore_errors=True)
        part.mkdir()
        if rewritten:
            require_room(part, sum(file.size for file in files), keep_free_bytes)
        for path, file in zip(paths, files, strict=True):
            linked = None if rewritten else link(path, part / file.name)
            if linked is False or (linked is None and not copied(path, file)):
                return []
        if [_state(path) for path in paths[:2]] != list(files[:2]):
            return []
        _write(Kept(iteration, part, tuple(files)))
        shutil.rmtree(target, ignore_errors=True)
        part.rename(target)
    except OSError as error:
        raise unwritable(target, error) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return [target / file.name for file in files]


def _write(this: Kept) -> None:
    ledger = {
        "iteration": this.iteration,
        "discarded": this.discarded,
        "files": [file.model_dump() for file in this.files],
    }
    with beside(this.folder / _LEDGER) as temporary:
        temporary.write_text(json.dumps(ledger), encoding="utf-8")


def discard(this: Kept) -> None:
    """Remove the copies, leaving the ledger, so that the same pair is not kept again."""
    if this.discarded or not this.folder.is_dir():
        return
    _write(Kept(this.iteration, this.folder, this.files, discarded=True))
    for file in this.files:
        (this.folder / file.name).unlink(missing_ok=True)


def with_kept(fingerprint: Fingerprint, run: str, this: Kept | None) -> Fingerprint:
    """A fingerprint that holds the kept pair, too: a round is measured again once better halves have been kept."""
    return (
        fingerprint
        if this is None
        else fingerprint.model_copy(update={"inputs": (*fingerprint.inputs, *this.fingerprinted(run))})
    )


def written_after(pair: tuple[Path, Path], numbered: Iterable[tuple[int, Path]]) -> int | None:
    """The iteration of a pair whose program writes a numbered file after it: the first that is no older than both halves.

    Such a number proves that the pair is done. None where no file is that new yet.
    """
    newest_ns = _newest_ns(pair)
    times = [(ns, number) for number, path in numbered if (ns := _newest_ns((path,))) is not None]
    return None if newest_ns is None else min((t for t in times if t[0] >= newest_ns), default=(0, None))[1]


def written_before(pair: tuple[Path, Path], numbered: Iterable[tuple[int, Path]]) -> int | None:
    """The iteration of a pair whose program writes a numbered file before it: the last that is no newer than either half."""
    times_ns = [_newest_ns((path,)) for path in pair]
    if None in times_ns:
        return None
    oldest_ns = min(ns for ns in times_ns if ns is not None)
    times = [(ns, number) for number, path in numbered if (ns := _newest_ns((path,))) is not None]
    return max((t for t in times if t[0] <= oldest_ns), default=(0, None))[1]


def _newest_ns(paths: Iterable[Path]) -> int | None:
    try:
        return max(path.stat().st_mtime_ns for path in paths)
    except OSError:
        return None


def whole_mrc(path: Path) -> bool:
    """Whether an MRC file holds all the bytes that its header states."""
    try:
        read_header(path)
    except (RefineHooksError, OSError):
        return False
    return True
