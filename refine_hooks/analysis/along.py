"""The resolution along an axis, with its interval, from the FSC of the coefficients within 20 degrees of it.

The axes of the box, and two of 256 axes: "worst" is the one about which the noise is strongest, "best" that with the weakest.
They are chosen by the noise, not by their FSC: the best and the worst of 256 readings with errors of 5 % lie 10 % further out than
the map's own, where the noise of a cone is known to a percent or two.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from refine_hooks import curves
from refine_hooks.analysis.axes import AXES, HALF_ANGLE_DEG
from refine_hooks.analysis.cones import Cones
from refine_hooks.fourier import Curve
from refine_hooks.fsc import sampling_sd
from refine_hooks.fsc.crossing import Errors, crossing_interval
from refine_hooks.log.directions import Along, AxisName
from refine_hooks.log.local import PartState

_BOX: tuple[tuple[AxisName, int], ...] = (("x", 2), ("y", 1), ("z", 0))
_FEWEST = (
    20  # independent coefficients: in fewer of them one signal is weak by chance, in shells that are far above a level
)
_SHARE = 1 - np.cos(np.deg2rad(HALF_ANGLE_DEG))


@dataclass(frozen=True, slots=True)
class Shells:
    """What is known of the shells beside their curves.

    Attributes:
        frequency_per_A: of the shells 0..N//2.
        independent: coefficients of each that count.
        together: correlation of the errors of shells 0, 1, 2 .. apart.
        threshold: level of the FSC.
        whole: FSC of the whole shells.
    """

    frequency_per_A: Curve
    independent: Curve
    together: Curve
    threshold: float
    whole: Curve


def along_axes(cones: Cones, shells: Shells) -> tuple[Along, ...]:
    """The resolution along x, y and z, and about the axes with the weakest and the strongest noise.

    Shells of which a cone holds fewer than twenty independent coefficients count as whole ones.

    Args:
        cones: with the axes z, y and x after the 256.
        shells: of the same halves.
    """
    found = [_along(name, cones.axes[AXES + place], cones.curves[AXES + place], shells) for name, place in _BOX]
    noise = cones.noise[:AXES]
    ends: tuple[tuple[AxisName, int], ...] = (("best", int(noise.argmin())), ("worst", int(noise.argmax())))
    for name, place in ends:
        found.append(_along(name, cones.axes[place], cones.curves[place], shells))
    return tuple(found)


def _along(name: AxisName, axis: NDArray[np.float64], curve: Curve, shells: Shells) -> Along:
    z, y, x = axis.tolist()
    curve = np.where(shells.independent * _SHARE >= _FEWEST, curve, shells.whole)
    resolution = curves.resolution_A(curve, shells.frequency_per_A, shells.threshold)
    if resolution is None:
        state, interval_A = _without_crossing(curve, shells)
        return Along(name=name, axis=(x, y, z), state=state, interval_A=interval_A)
    step = float(shells.frequency_per_A[1])
    errors = Errors(np.maximum(shells.independent * _SHARE, 1.0), shells.together)
    low, high = crossing_interval(curve, errors, 1 / (resolution * step), shells.threshold)
    return Along(name=name, axis=(x, y, z), resolution_A=resolution, interval_A=(1 / (low * step), 1 / (high * step)))


def _without_crossing(curve: Curve, shells: Shells) -> tuple[PartState, tuple[float, float] | None]:
    """Why a curve crosses nowhere; and where it may do so within its error, down to Nyquist, if that is why."""
    level, frequency = shells.threshold, shells.frequency_per_A
    if curve[1] < level:
        return "never_above", None
    if not np.isfinite(curve[1:]).all():
        return "truncated", None
    held = shells.independent * _SHARE
    sd = sampling_sd(curve, np.where(held >= _FEWEST, held, shells.independent), 1.0)
    lower = curve - curves.NORMAL_90 * sd
    if (lower[1:] >= level).all():
        return "never_below", None
    coarse_A = curves.resolution_A(lower, frequency, level) or float(1 / frequency[1])
    return "undecided", (coarse_A, float(1 / frequency[-1]))
