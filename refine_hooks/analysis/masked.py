"""Whether half maps were multiplied by a mask before: where their noise is, and where it is not.

The difference of two half maps holds no signal. Its power far from the particle is about that inside it, unless a mask took it
away: then it is 1e-14 to 1e-3 of it, even if the maps were moved, resampled or stored with fewer bits since.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from refine_hooks.analysis.blocks import Blocks, Table
from refine_hooks.kernels.order import quantile
from refine_hooks.log.checks import QUIET

Masked = Literal["none", "inscribed_sphere", "sphere", "mask"]

_LEAST_SHARE = 0.04  # of the blocks within the inscribed sphere; a few quiet ones are no mask
_INSCRIBED = 0.455  # radius over the box's edge: a sphere with a soft edge that touches the box has 0.46 at half height
_WHOLE = 0.97  # of the box
_FEWEST = 12  # blocks at a border, to fit a sphere to
_SPHERE_FAULTS = (
    0.15  # of the blocks with noise: as many may a sphere sort wrongly, but no more than a twentieth of all
)


@dataclass(frozen=True, slots=True)
class MaskedBefore:
    """What the noise says of a mask.

    Attributes:
        kind: ``inscribed_sphere`` cuts only the corners of the box.
        noise_outside: noise power in the quietest tenth of the box over that where it is strongest.
        noise_share: share of the box that holds noise.
        radius: of the sphere, in units of the box's edge; None for another shape, or for no mask.
    """

    kind: Masked
    noise_outside: float
    noise_share: float
    radius: float | None = None


def masked_before(blocks: Blocks) -> MaskedBefore | None:
    """Kind of the mask that a pair of half maps was multiplied by; None where the halves do not differ.

    One half that was masked alone is found by its own power, which is then next to nothing where the other has noise.
    """
    quiet, outside = _quiet(blocks)
    if quiet is None:
        return None
    share = 1 - _weighted_share(blocks, quiet)
    within = blocks.radius < _INSCRIBED
    if share > _WHOLE:
        return MaskedBefore("none", outside, share)
    radius, wrong = _sphere(blocks, quiet)
    if wrong <= min(0.05, _SPHERE_FAULTS * share):
        return MaskedBefore("inscribed_sphere" if radius >= _INSCRIBED else "sphere", outside, share, radius)
    if float(np.mean(quiet[within])) < _LEAST_SHARE:
        return MaskedBefore("none", outside, share)
    return MaskedBefore("mask", outside, share)


def _quiet(blocks: Blocks) -> tuple[np.ndarray | None, float]:
    """Where there is no noise, and how much is left there."""
    strong = _strongest(blocks.noise)
    total = max(_strongest(blocks.power1), _strongest(blocks.power2))
    if strong <= 1e-12 * total or strong <= 0:
        return None, 0.0
    ratio = blocks.noise / strong
    tiny = 1e-30 * total
    one_sided = np.minimum(blocks.power1, blocks.power2) / np.maximum(np.maximum(blocks.power1, blocks.power2), tiny)
    ratio = np.minimum(ratio, one_sided)
    return ratio < QUIET, quantile(ratio, 0.05)


def _strongest(power: Table) -> float:
    """Power where it is strongest: the mean of the loudest hundredth of the blocks, at least eight."""
    loud = np.sort(power.ravel())[::-1][: max(8, power.size // 100)]
    return quantile(loud, 0.5)


def _weighted_share(blocks: Blocks, chosen: np.ndarray) -> float:
    length = np.diff(blocks.edges_px).astype(float)
    voxels = length[:, None, None] * length[:, None] * length
    return float(voxels[chosen].sum() / voxels.sum())


def _sphere(blocks: Blocks, quiet: np.ndarray) -> tuple[float, float]:
    """Radius of the sphere through the border of the quiet blocks, wherever its centre is, and the share that it sorts wrongly."""
    middle = blocks.middle
    z, y, x = np.meshgrid(middle, middle, middle, indexing="ij", sparse=True)
    border = np.zeros(quiet.shape, bool)
    for axis in range(3):
        one, other = (np.moveaxis(a, axis, 0) for a in (border, quiet))
        change = other[1:] != other[:-1]
        one[1:] |= change
        one[:-1] |= change
    places = np.argwhere(border)
    if len(places) < _FEWEST:
        return 0.0, 1.0
    at = middle[places]
    # |p|^2 = 2 c p + (r^2 - |c|^2) is linear in the centre c and in the last term.
    terms = np.column_stack([2 * at, np.ones(len(at))])
    (cz, cy, cx, rest), *_ = np.linalg.lstsq(terms, np.square(at).sum(axis=1), rcond=None)
    distance = np.sqrt((z - cz) ** 2 + (y - cy) ** 2 + (x - cx) ** 2)
    radius = float(np.sqrt(max(rest + cz**2 + cy**2 + cx**2, 0.0)))
    return radius, float(np.mean((distance > radius) != quiet))
