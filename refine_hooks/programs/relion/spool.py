"""Keeping the arrays of external reconstruction where nobody removes them: links made by the hook in RELION's loop and the watch.

spool/relion/<run>/<the files' own names>
spool/relion/<run>/discarded.json       which writing of a table was measured and removed from here
"""

import contextlib
import errno
import json
import os
import re
import secrets
import shutil
from pathlib import Path

from refine_hooks.errors import RefineHooksError, StorageError
from refine_hooks.files.atomic import beside
from refine_hooks.files.reading import parsed_json, read_text
from refine_hooks.log.folder import OUT_NAME, Store, component
from refine_hooks.programs._reading import size_of
from refine_hooks.programs._saving import KEEP_FREE_BYTES, make_folder, require_room, unwritable
from refine_hooks.programs.relion.external import read_external, require_arrays, state_of
from refine_hooks.programs.relion.files import Job, job_folders, run_name, written_at

SPOOL = "relion"
DISCARDED = "discarded.json"
TABLE = "_external_reconstruct.star"
_UNWRITABLE = {errno.EACCES, errno.EROFS, errno.ENOSPC, errno.EDQUOT}  # links that cannot be had are another matter
_OF_ONE_HALF = re.compile(r"_half[12]_")


def spool_folder(spool: Path, run: str) -> Path:
    """Where the kept arrays of a run lie."""
    return spool.joinpath(SPOOL, *(component(part) for part in run.split("/")))


def spool_of_the_hook(job: Job) -> Path:
    """Where the hook keeps a job's arrays when no output folder is named to it: RELION runs it in the project's folder."""
    return spool_folder(Store(job.project / OUT_NAME).spool, job.run)


def keep(star: Path, spool: Path, *, links_only: bool = False, run: str = "") -> list[Path]:
    """Hard-link, or copy where that cannot be, one half's table and arrays into the spool; returns what is there now.

    Nothing is kept of the last, joined reconstruction: it is of both halves.

    A link shares the file: should RELION write the same iteration again, the kept arrays are the new ones, too. That is what
    is wanted, since the round is then measured again.

    Args:
        star: the table, beside its arrays.
        spool: the folder for saved inputs of any program.
        run: whose arrays they are; empty takes the folder's name.
        links_only: fail where links cannot be had, instead of copying what may be gigabytes.

    Raises:
        NotReadyError, SumsError: the table cannot be understood.
        OSError: neither linking nor copying is possible.
        StorageError: a copy would take the last of the disk, or the output folder is gone.
    """
    if not _OF_ONE_HALF.search(star.name):
        return []
    external = read_external(star)
    folder = spool_folder(spool, run or run_name(star.resolve().parent))
    make_folder(folder, spool)
    return [_keep_one(path, folder / path.name, links_only) for path in (*external.files[1:], star)]


def _keep_one(source: Path, target: Path, links_only: bool) -> Path:
    part = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
    try:
        try:
            os.link(source, part)
        except OSError:
            if links_only:
                raise
            require_room(part.parent, source.stat().st_size, KEEP_FREE_BYTES)
            shutil.copy2(source, part)
            with part.open("rb") as stream:
                os.fsync(stream.fileno())  # the source may vanish as soon as the copy has its name
        os.replace(part, target)
    finally:
        # A rename onto another link of the same file does nothing at all, and leaves both names.
        with contextlib.suppress(FileNotFoundError):
            part.unlink()
    return target


def capture(directory: Path, spool: Path) -> list[Path]:
    """Hard-link the arrays of every iteration that is not measured yet: people remove them as soon as RELION has gone on.

    Where no links can be had, nothing is done: RELION itself removes no arrays.

    Args:
        directory: the project.
        spool: the folder for saved inputs of any program.

    Returns:
        The tables newly kept.

    Raises:
        StorageError: the spool cannot be written to.
    """
    saved = []
    for job in job_folders(directory):
        folder = spool_folder(spool, job.run)
        done = _discarded(folder)
        hook_s = spool_of_the_hook(job)
        from_hook = [] if hook_s.absolute() == folder.absolute() else _tables_of_halves(hook_s)
        for star in (*from_hook, *_tables_of_halves(job.folder)):
            try:
                state = state_of(star)
                kept = folder / star.name
                if done.get(star.name) == state or (kept.exists() and state_of(kept) == state):
                    continue
                if _unfiltered(star).exists():
                    continue  # there is something better, and nothing to merge
                require_arrays(read_external(star))
                saved += keep(star, spool, links_only=True, run=job.run)[-1:]
            except OSError as error:
                if error.errno in _UNWRITABLE:
                    raise unwritable(folder, error) from error
            except StorageError:
                raise
            except RefineHooksError:
                continue
    return saved


def _tables_of_halves(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if entry.name.endswith(TABLE)]
    except OSError:
        return []
    return [folder / name for name in sorted(names) if _OF_ONE_HALF.search(name)]


def _unfiltered(star: Path) -> Path:
    return star.with_name(f"{star.name.removesuffix(TABLE)}_unfil.mrc")


def discard_kept(star: Path) -> None:
    """Remove one half's table and arrays from the spool, and note which writing of them it was, so that it is not kept again.

    Args:
        star: the kept table.
    """
    try:
        external, state = read_external(star), state_of(star)
    except RefineHooksError:
        return
    done = {**_discarded(star.parent), star.name: state}
    with beside(star.parent / DISCARDED) as temporary:
        temporary.write_text(json.dumps(done), encoding="utf-8")
    for path in external.files:
        path.unlink(missing_ok=True)


def _discarded(folder: Path) -> dict[str, tuple[int, int]]:
    try:
        table = parsed_json(read_text(folder / DISCARDED))
        return {str(name): (int(size), int(mtime_ns)) for name, (size, mtime_ns) in table.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def tables_of_sums(stem: str, kind: str, number: int) -> tuple[str, str]:
    """Names of the tables of both halves' arrays."""
    one, two = (f"{stem}_half{half}_{kind}{number:03d}_external_reconstruct.star" for half in (1, 2))
    return one, two


def sums_of(job: Job, spool: Path, stem: str, kind: str, number: int) -> tuple[Path, Path] | None:
    """The tables of both halves' arrays, in the spool or in the job folder; None where an array has been removed.

    What is in the spool cannot be removed by others, so it goes first unless it is of an earlier writing.

    Raises:
        NotReadyError, SumsError: see `refine_hooks.programs.relion.external.require_arrays`.
    """
    names = tables_of_sums(stem, kind, number)
    kept, own = ((folder / names[0], folder / names[1]) for folder in (spool_folder(spool, job.run), job.folder))
    for stars in (own, kept) if _outdated(kept, own) else (kept, own):
        if min(size_of(star) for star in stars) <= 0:
            continue
        both = [job.memory.file(read_external, star) for star in stars]
        if any(size_of(path) < 0 for external in both for path in external.files):
            continue
        for external in both:
            require_arrays(external)
        return stars
    return None


def _outdated(kept: tuple[Path, Path], own: tuple[Path, Path]) -> bool:
    pairs = [(a, b) for a, b in zip(kept, own, strict=True) if size_of(a) > 0 and size_of(b) > 0]
    return any(written_at(a) < written_at(b) for a, b in pairs)
