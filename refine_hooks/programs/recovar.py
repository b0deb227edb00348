"""RECOVAR: the mean and the states that it reconstructs, each with two unfiltered halves (``output/output_paths.py`` of 1.0.5).

Those of the mean lie in ``output/volumes``; `analyze` puts those of its centres into ``analysis_N/kmeans`` and of its trajectories
into ``analysis_N/trajNNN``, `compute_state` and `compute_trajectory` into a folder of the user's. All are softly masked by the
sphere inscribed in the box (seen in a real run; ``use_spherical_mask``), whatever the solvent mask.
"""

import re

from refine_hooks.programs.names import Kind
from refine_hooks.programs.pairs import Pairs, mask_called

_SPHERE = "RECOVAR's sphere inscribed in the box"
_HALF = r"_half(?P<half>[12])_unfil\.mrc"

ADAPTER = Pairs(
    program="recovar",
    marks=(
        "output/volumes/*_half[12]_unfil.mrc",
        "volumes/*_half[12]_unfil.mrc",
        "analysis_*/*/*_half[12]_unfil.mrc",
        "state*_half[12]_unfil.mrc",
    ),
    folders=("output/volumes", "volumes", "analysis_*/kmeans", "analysis_*/traj*", "path*", "."),
    kinds=(
        Kind(
            (re.compile(rf"(?:output/)?volumes/(?P<run>[^/]+){_HALF}"),),
            "found",
            masked="inscribed_sphere",
            masked_by=_SPHERE,
            independence="one_set_of_poses",
        ),
        Kind(
            (re.compile(rf"(?P<run>(?:analysis_[^/]+/[^/]+/|path\d*/)?(?:center|state|vol)\d+){_HALF}"),),
            "found",
            masked="inscribed_sphere",
            masked_by=_SPHERE,
            independence="one_set_of_poses",
            notes=(
                "a state: RECOVAR chose, place by place, how many images it is made of, by how well the halves foretell each "
                "other: one choice for both",
            ),
        ),
    ),
    beside=lambda half: (half.with_name("mask.mrc"),),
    masks=mask_called("mask.mrc"),
)
