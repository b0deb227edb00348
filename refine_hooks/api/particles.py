"""Half maps from the particles of a parameter file."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from refine_hooks.files.mrc import Volume
from refine_hooks.log.particles import MoreParticles, Substitution
from refine_hooks.reconstruct import Desk, half_maps_of
from refine_hooks.reconstruct.jobs import job_of_file
from refine_hooks.settings import Settings


@dataclass(frozen=True, slots=True)
class ReconstructedPair:
    """What `reconstruct_half_maps` gives.

    Attributes:
        half1: unfiltered, unmasked half map, float32 [z, y, x].
        half2: the other one.
        voxel_size_A: edge of a voxel of both.
        images: how many particles went into each.
        notes: what is known to differ from the program's own reconstruction, a sentence each.
        more_particles: B factor, and what more particles would give; None unless ``settings.reconstruct.subsets``.
        substitution: noise that the angles were fitted to; None unless ``settings.reconstruct.substitute_from_A``.
    """

    half1: Volume
    half2: Volume
    voxel_size_A: float
    images: tuple[int | None, int | None]
    notes: tuple[str, ...]
    more_particles: MoreParticles | None = None
    substitution: Substitution | None = None


def reconstruct_half_maps(
    particles: Path | str,
    *,
    symmetry: str = "C1",
    package: str = "",
    stack: Path | str | None = None,
    root: Path | str | None = None,
    class_id: int | None = None,
    mask_radius_A: float | None = None,
    score_weight_A2: float = 0.0,
    white: bool = False,
    settings: Settings | None = None,
    checkpoint: Path | str | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
    **known: float,
) -> ReconstructedPair:
    """The two half maps of a parameter file and its particle stacks, as ``refine-hooks reconstruct`` makes them.

    The sums follow the program that the file is of: cisTEM's (Grant, Rohou & Grigorieff 2018, doi:10.7554/eLife.35383), or RELION's
    with its search for even sampling (Scheres 2012, doi:10.1016/j.jsb.2012.09.006).

    Args:
        particles: ``.cistem``, ``.star`` of cisTEM or RELION, ``.par`` or ``.cs``.
        symmetry: point group, in that program's setting.
        package: "cistem" or "relion": whose rules of summing; those of the file where empty.
        stack: the particle stack, where the file names none or another.
        root: the folder that stack paths start from (RELION).
        class_id: only this class (RELION); all where None.
        mask_radius_A: of the particle: images are normalised by the noise outside, as cisTEM does.
        score_weight_A2: cisTEM's particle weighting factor.
        white: particles are brighter than the ice (cisTEM).
        settings: ``reconstruct`` (threads, block size, ``subsets``, ``substitute_from_A``), ``cluster``; the defaults where None.
        checkpoint: a file for partial sums: the same call goes on from there after it was interrupted. Remove it afterwards.
        progress: called with the particles that are done, and all.
        known: what the file does not tell: ``pixel_size_A``, ``voltage_kV``, ``cs_mm``, ``amplitude_contrast``.

    Raises:
        RefineHooksError: a file, a stack or a half set that is missing or wrong; an option that is not for this file.
        KeyboardInterrupt: by the user; what was done is in the checkpoint.
    """
    given: dict[str, Any] = {
        "stack": None if stack is None else Path(stack),
        "root": None if root is None else Path(root),
        "class_id": class_id,
        "contrast": 1 if white else None,
        **known,
    }
    options = {name: value for name, value in given.items() if value is not None}
    path = Path(particles)
    job = job_of_file(path, package, symmetry, mask_radius_A or 0.0, score_weight_A2, **options)
    desk = Desk(progress, checkpoint=None if checkpoint is None else Path(checkpoint))
    made = half_maps_of(job, path.name, settings or Settings(), desk)
    return ReconstructedPair(
        made.half1.voxels,
        made.half2.voxels,
        made.half1.voxel_size_A,
        made.images,
        tuple(map(str, made.notes)),
        next((one for one in made.measured if isinstance(one, MoreParticles)), None),
        next((one for one in made.measured if isinstance(one, Substitution)), None),
    )
