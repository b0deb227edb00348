"""EMAN2: refinements in numbered folders, whose half maps are filtered and masked in place and copied without a number.

A directory is a project (with folders refine_NN, r3d_NN, spt_NN or gmm_NN) or one such folder.
"""

from collections.abc import Iterable
from pathlib import Path

from refine_hooks.programs.adapter import no_angular_distribution, no_particles
from refine_hooks.programs.eman2.folder import runs
from refine_hooks.programs.eman2.halves import discard, further_masks, half_maps, refinement_mask, reported
from refine_hooks.programs.eman2.rounds import capture, rounds

__all__ = [
    "angular_distribution",
    "bells",
    "capture",
    "discard",
    "further_masks",
    "half_maps",
    "particles",
    "recognises",
    "refinement_mask",
    "reported",
    "rounds",
    "why",
]

angular_distribution = no_angular_distribution
particles = no_particles


def recognises(directory: Path) -> bool:
    """Whether a directory holds a refinement folder of EMAN2, or is one (``threed_NN_even.hdf``)."""
    return bool(runs(directory))


def why(directory: Path) -> str:
    """Which refinement folders there are."""
    found = [run.name for run in runs(directory)]
    return (
        f"refinements {', '.join(found)}"
        if found
        else "no folder refine_NN, r3d_NN, spt_NN or gmm_NN with threed_NN_*.hdf"
    )


def bells(directory: Path) -> Iterable[tuple[Path, bool]]:
    """The refinement folders, and the project for new ones."""
    return [(directory, False), *((run.folder, False) for run in runs(directory) if run.folder != directory)]
