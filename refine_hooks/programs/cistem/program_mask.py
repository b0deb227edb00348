"""The mask that cisTEM itself used, in the frame of the half maps."""

from pathlib import Path

import numpy as np

from refine_hooks.files.mrc import Map, Volume, read_map
from refine_hooks.model import HalfMaps, ProgramMask, ProgramMaskParameters, Round
from refine_hooks.programs._reading import Memory
from refine_hooks.programs.cistem import database
from refine_hooks.programs.cistem.match import volume_path
from refine_hooks.programs.cistem.rounds import Sources
from refine_hooks.programs.cistem.tables import Content, Details, Refinement, rerooted

FILTER_A, REBIN = 7.0, 0.1  # what the program's panels use, unlike create_mask
_MANUAL_SHARE = 0.75


def refinement_mask(directory: Path, memory: Memory, round_: Round, halves: HalfMaps) -> ProgramMask:
    """The supplied mask, or the program's automask of the map that the round wrote; says in words where there is none.

    Raises:
        MapError: a map or a mask that cannot be read; names it.
        NotReadyError: the database is being written.
    """
    sources: Sources = round_.inputs
    if sources.database is None or sources.reconstruction_id is None:
        return ProgramMask(None, note="the database has no entry of this round, so its mask is not known")
    content = database.content(sources.database, memory, database.COMMIT_S)
    refinement = content.refinements.get(sources.refinement_id)
    details = refinement.details.get(sources.class_id) if refinement else None
    if refinement is None or details is None:
        return ProgramMask(None, note="the database does not say how this class was refined")
    if details.supplied_mask:
        return _supplied(directory, content, details)
    if not details.automask:
        return ProgramMask(
            None, parameters=ProgramMaskParameters(made="none"), note="the refinement used no mask but its sphere"
        )
    reconstruction = content.reconstructions.get(sources.reconstruction_id)
    volume = volume_path(content, reconstruction, directory) if reconstruction else None
    if volume is None or not volume.is_file():
        return ProgramMask(None, note=f"{volume or 'the map'}: is gone, so the automask cannot be made of it")
    return _automask(
        read_map(volume, halves.half1.voxel_size_A), volume, _radius_A(content, refinement, details), halves
    )


def _supplied(directory: Path, content: Content, details: Details) -> ProgramMask:
    volume = content.volumes.get(details.mask_volume_id)
    if volume is None:
        return ProgramMask(
            None,
            note=f"the mask that the refinement used (volume {details.mask_volume_id}) is no longer in the database",
        )
    path = rerooted(volume.path, content.folder, directory)
    if not path.is_file():
        return ProgramMask(None, path, note=f"{path}: the mask that the refinement used is gone")
    parameters = ProgramMaskParameters(
        made="supplied",
        file=path.name,
        refinement_edge_A=details.mask_edge_A,
        outside_weight=details.outside_weight,
    )
    return ProgramMask(read_map(path, volume.voxel_size_A or None), path, parameters, cistem_edge=True)


def _radius_A(content: Content, refinement: Refinement, details: Details) -> float:
    """Outer radius of the automask: the mask radius, and in the manual panels a share of the particle's size."""
    package = content.packages.get(refinement.package_id)
    if refinement.name.startswith("Auto") or package is None or package.particle_size_A <= 0:
        return details.mask_radius_A
    return _MANUAL_SHARE * package.particle_size_A


def _automask(volume: Map, path: Path, radius_A: float, halves: HalfMaps) -> ProgramMask:
    from refine_hooks.masks.cistem import cistem_automask

    if volume.box_px != halves.half1.box_px:
        sizes = f"its box of {volume.box_px} is not that of the half maps ({halves.half1.box_px})"
        return ProgramMask(None, note=f"{path}: {sizes}, so no automask was made")
    mask = cistem_automask(volume.voxels, volume.voxel_size_A, radius_A, FILTER_A, REBIN)
    shift = moved_by(volume.voxels, halves.half1.voxels + halves.half2.voxels)
    unmoved = np.roll(mask, [-step for step in shift], (0, 1, 2)).astype(np.float32)
    z, y, x = shift
    parameters = ProgramMaskParameters(
        made="automask",
        source="cisTEM's automask of the map that the round wrote",
        file=path.name,
        radius_A=radius_A,
        filter_A=FILTER_A,
        rebin=REBIN,
        centring_undone_px_xyz=(x, y, z),
    )
    note = None
    if any(shift):
        note = f"the program had moved its map by ({x:+d}, {y:+d}, {z:+d}) px in x, y, z against its half maps; that is undone"
    return ProgramMask(Map(unmoved, volume.voxel_size_A), None, parameters, note, cistem_edge=True)


def moved_by(volume: Volume, reference: Volume) -> tuple[int, int, int]:
    """By how many whole voxels (z, y, x) ``volume`` lies away from ``reference``: the peak of their cross-correlation.

    The program's filter depends on the shell alone, so the peak is where the centring put it.
    """
    from scipy import fft

    product = fft.rfftn(volume, workers=-1)
    product *= fft.rfftn(reference, workers=-1).conj()
    product[0, 0, 0] = 0
    correlation = fft.irfftn(product, s=volume.shape, workers=-1, overwrite_x=True)
    peak = np.unravel_index(int(np.argmax(correlation)), volume.shape)
    z, y, x = ((int(p) + n // 2) % n - n // 2 for p, n in zip(peak, volume.shape, strict=True))
    return z, y, x
