"""The solvent's level of half maps, which is no signal: a constant that a mask would make into one.

A reconstruction has no constant of its own; what the maps hold comes from how they were normalised or stored (unsigned modes).
Under a mask a constant in both halves becomes the mask itself, which correlates.
"""

import numpy as np
from numpy.typing import NDArray

from refine_hooks.analysis.blocks import Blocks
from refine_hooks.analysis.masked import MaskedBefore
from refine_hooks.kernels.order import quantile

_FAR_SHARE = 0.4  # of the blocks that hold noise, the farthest from the centre
_CORNERS = 0.5
_OUTER, _OUTER_IN_SPHERE, _IN_SPHERE = 0.45, 0.3, 0.4  # of the box's edge: where a slope is looked for
_FEWEST = 64  # blocks
_A_SLOPE = 0.5  # of the variance of the levels


def solvent_levels(blocks: Blocks, masked: MaskedBefore | None) -> tuple[float, float]:
    """Level of the solvent in each half map.

    The median of the blocks' levels, which is the solvent's where it fills most of what is far from the centre. Where a
    mask left nothing outside, the level is that of the outside.

    Args:
        blocks: of the two halves.
        masked: what is known of a mask in them.
    """
    chosen = blocks.radius >= min(_CORNERS, float(blocks.radius.max()))
    if masked is not None and masked.kind in ("inscribed_sphere", "sphere"):
        strong = _inner(blocks.noise > 0.5 * quantile(blocks.noise[blocks.noise > 0], 0.5))
        limit = quantile(blocks.radius[strong], 1 - _FAR_SHARE) if strong.any() else 0.0
        chosen = strong & (blocks.radius >= limit) if strong.any() else chosen
    first, second = (quantile(level[chosen], 0.5) for level in (blocks.level1, blocks.level2))
    return first, second


def _inner(chosen: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Those whose neighbours, diagonal ones included, are chosen too: a sphere's edge lowers the level."""
    inner = chosen.copy()
    for axis in range(3):
        for step in (1, -1):
            inner &= np.roll(inner, step, axis)
    return inner


def gradients(blocks: Blocks, masked: MaskedBefore | None) -> tuple[float, float]:
    """By how much the level of the solvent rises over the box in each half, in standard deviations of the noise.

    0 where what differs between the levels of the blocks away from the centre is not a slope in the main.
    """
    whole = masked is None or masked.kind == "none"
    chosen = (blocks.radius > (_OUTER if whole else _OUTER_IN_SPHERE)) & (blocks.noise > 0)
    chosen &= blocks.radius < (1.0 if whole else _IN_SPHERE)
    if int(chosen.sum()) < _FEWEST:
        return 0.0, 0.0
    terms = np.column_stack([blocks.middle[np.argwhere(chosen)], np.ones(int(chosen.sum()))])
    sd = float(np.sqrt(quantile(blocks.noise[chosen], 0.5)))
    first, second = (_slope(terms, level[chosen]) / sd for level in (blocks.level1, blocks.level2))
    return first, second


def _slope(terms: NDArray[np.float64], levels: NDArray[np.float64]) -> float:
    fit, *_ = np.linalg.lstsq(terms, levels, rcond=None)
    steep = float(np.var(levels - terms @ fit)) < (1 - _A_SLOPE) * float(np.var(levels))
    return float(np.linalg.norm(fit[:3])) if steep else 0.0
