"""Half maps of a round, from its dumps or as Generate3D saved them; and the removal of dumps that are done with."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

from refine_hooks.errors import NotReadyError
from refine_hooks.files.atomic import beside
from refine_hooks.files.mrc import read_map
from refine_hooks.model import HalfMaps, Round
from refine_hooks.programs._saving import make_folder
from refine_hooks.programs.cistem import dumps
from refine_hooks.programs.cistem.dumps import Attempt
from refine_hooks.programs.cistem.rounds import Sources
from refine_hooks.sums.cistem import half_maps_from_dumps, read_dump_header


def half_maps(round_: Round, given_A: float = 0.0) -> HalfMaps | None:
    """Merged from the dumps, unmasked; else those that Generate3D saved under its sphere; else None.

    Args:
        round_: a round of `refine_hooks.programs.cistem.rounds.rounds`.
        given_A: the voxel size that the user gave; 0 believes the dumps.

    Raises:
        NotReadyError: a file is being written.
        SumsError: the dumps cannot be merged; every fault is named.
        MapError: a saved half map cannot be read.
    """
    sources: Sources = round_.inputs
    if sources.attempt is not None and sources.attempt.dumps:
        odd, even = ([dump.path for dump in sources.attempt.half(which)] for which in ("odd", "even"))
        _require_unchanged(sources.attempt)
        half1, half2, images = half_maps_from_dumps(odd, even)
        _require_unchanged(sources.attempt)
        if given_A:
            half1, half2 = (replace(half, voxel_size_A=given_A) for half in (half1, half2))
        last_shell = read_dump_header(odd[0]).last_shell
        return HalfMaps(half1, half2, "merged", independence="shared_reference", valid_shells=last_shell, images=images)
    if sources.half_maps is None:
        return None
    half1, half2 = (read_map(path, round_.facts.voxel_size_A) for path in sources.half_maps)
    radius_A = round_.facts.sphere_radius_A
    sphere = f"cisTEM's sphere of {radius_A:g} A, 10 A cosine edge" if radius_A else "cisTEM's sphere, 10 A cosine edge"
    return HalfMaps(
        half1,
        half2,
        "found",
        paths=sources.half_maps,
        masked="sphere",
        masked_by=sphere,
        independence="shared_reference",
    )


def _require_unchanged(attempt: Attempt) -> None:
    """A saved dump shares its file with the scratch folder's, where it may be written over, and its name there be gone by now.

    Raises:
        NotReadyError: a dump is not as it was when the round was looked at.
    """
    for dump in attempt.dumps:
        try:
            status = dump.path.stat()
        except OSError as error:
            raise NotReadyError(f"{dump.path}: is not there any more ({error.strerror})") from error
        if (status.st_size, status.st_mtime_ns) != (dump.size, dump.mtime_ns):
            raise NotReadyError(f"{dump.path}: changed while it was read; the round is looked at again")


def discard(round_: Round, spool: Path) -> None:
    """Remove the dumps saved for this round and what they superseded, leaving a note of what they were."""
    sources: Sources = round_.inputs
    root = dumps.spool_root(spool)
    for old in sources.superseded:
        if old.folder.is_relative_to(root):
            shutil.rmtree(old.folder, ignore_errors=True)
    attempt = sources.attempt
    if attempt is None or attempt.discarded or not attempt.folder.is_relative_to(root):
        return
    if sources.reconstruction_id is None and attempt.panel != dumps.STARTUP:
        return  # the entry may still come; the round then gets its own name, and its half maps once more
    ledger = {"images": dumps.images(attempt), "inputs": [file.model_dump() for file in attempt.inputs()]}
    make_folder(attempt.folder, spool)
    with beside(attempt.folder / dumps.DISCARDED) as temporary:
        temporary.write_text(json.dumps(ledger), encoding="utf-8")
    for dump in attempt.dumps:
        if dump.path.parent == attempt.folder:
            dump.path.unlink(missing_ok=True)
