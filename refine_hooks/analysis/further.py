"""More from the same halves, on request: other criteria, false discovery rate, directions, B factor, a map to look at."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from refine_hooks import curves, fsc
from refine_hooks.analysis import criteria
from refine_hooks.analysis.along import Shells, along_axes
from refine_hooks.analysis.axes import AXES, HALF_ANGLE_DEG
from refine_hooks.analysis.cones import FEWEST, Cones, cfar_by_chance, in_cones
from refine_hooks.analysis.guinier import Guinier, guinier, sharpened
from refine_hooks.files.mrc import Volume
from refine_hooks.fourier import Curve, shell_frequency_per_A, shell_sums, transform, voxels_in_shell
from refine_hooks.log.records import Analysis

_LEAST_FSC = 0.02
_FARTHEST, _HALVINGS = 5.0, 20  # of ln of a cone's S / N over the shell's


@dataclass(frozen=True, slots=True)
class Analysed:
    """What goes into the record, and the sharpened map; None where no resolution was found to sharpen to."""

    record: Analysis
    map: Volume | None


def analyse(
    half1: Volume,
    half2: Volume,
    voxel_size_A: float,
    mask: Volume,
    mask_name: str,
    correlation: Curve,
    *,
    threshold: float = 0.143,
    symmetry_order: int = 1,
) -> Analysed:
    """Everything that is measured on request.

    Args:
        half1: unmasked half map [z, y, x].
        half2: the other one.
        voxel_size_A: of both.
        mask: under which all of it is measured.
        mask_name: its name in the log.
        correlation: the round's FSC under that mask, corrected where it could be, over the shells 0..N//2; NaN where not measured.
        threshold: the level of the resolution.
        symmetry_order: how many operators the imposed point group has.
    """
    n = len(half1)
    frequency, counts = shell_frequency_per_A(n, voxel_size_A), voxels_in_shell(n)
    masked = transform(half1 * mask), transform(half2 * mask)
    sums = shell_sums(*masked)
    plain = np.where(np.isfinite(correlation), fsc.correlation(sums), np.nan)
    correlated = fsc.correlated_voxels(mask)
    independent = criteria.independent_voxels(counts, correlated, symmetry_order)
    mean, sd = criteria.permutation_null(*masked)
    q = criteria.q_values(plain, mean, criteria.null_sd_under_mask(sd, correlated, symmetry_order), independent)
    cones = in_cones(*masked, frequency, threshold)
    even = cones.even[:AXES]
    cone_sd = _sd_of_cones(even, independent, counts)
    together = max(1, round(np.sqrt(correlated)))
    apart = fsc.shells_together(mask)
    shells = Shells(frequency, independent, apart / apart[0], threshold, plain)
    finest_A = curves.resolution_A(correlation, frequency, threshold)
    line = guinier(sums, counts.astype(np.float64), correlation, frequency, finest_A) if finest_A else None
    del masked
    first = criteria.first_tested(independent)
    record = Analysis(
        mask=mask_name,
        independent_voxels=tuple(independent.tolist()),
        half_bit_A=criteria.first_below(correlation, criteria.half_bit(independent), frequency, first),
        three_sigma_A=criteria.first_below(correlation, criteria.three_sigma(independent), frequency, first),
        fdr_A=criteria.first_below(-q, np.full(len(q), -criteria.FALSE_DISCOVERIES), frequency, first),
        fdr_q=curves.listed(q) or (),
        **_of_cones(cones),
        cfar_by_chance=cfar_by_chance(even, cone_sd, threshold, together),
        along=along_axes(cones, shells),
        signal_to_noise=_signal_to_noise(cones, plain, frequency, finest_A),
        **_of_line(line),
    )
    if finest_A is None:
        return Analysed(record, None)
    whole = transform(half1), transform(half2)
    return Analysed(record, sharpened(*whole, correlation, voxel_size_A, line.b_factor_A2 if line else 0.0, finest_A))


def _sd_of_cones(even: NDArray[np.float64], independent: Curve, counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Error [axis, shell] of the FSC in a cone, for a signal that is given."""
    share = 1 - np.cos(np.deg2rad(HALF_ANGLE_DEG))
    sd = (1 - np.clip(even, -1, 1) ** 2) / np.sqrt(np.maximum(independent * share, 1.0))
    return np.where(counts * share / 2 < FEWEST, 0.0, sd)


def _signal_to_noise(cones: Cones, whole: Curve, frequency: Curve, finest_A: float | None) -> tuple[float, ...]:
    """S / N of each of the 256 cones over its mean, of the shells from half the resolution's frequency to it; empty where none.

    It is one factor on S / N of the whole shells, so that FSC / (1 - FSC) of a cone is that many times the shell's: by least
    squares of the FSC, each shell as its coefficients tell. The signal's own scatter makes a shell of a high FSC tell no more
    than others.
    """
    if finest_A is None:
        return ()
    band = (frequency > 0.5 / finest_A) & (frequency <= 1 / finest_A) & (whole > _LEAST_FSC)
    shell = np.flatnonzero(band)
    if not shell.size:
        return ()
    level, own = np.clip(whole[band], _LEAST_FSC, 1 - _LEAST_FSC), cones.curves[:AXES, band]
    weight = shell**2 / ((1 - level) * (1 + level) ** 2)
    ratio = level / (1 - level)
    low, high = np.full(AXES, -_FARTHEST), np.full(AXES, _FARTHEST)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        expected = ratio * np.exp(middle)[:, None]
        more = (own - expected / (1 + expected)) @ weight > 0
        low, high = np.where(more, middle, low), np.where(more, high, middle)
    found = np.exp(low)
    return tuple(np.round(found / found.mean(), 4).tolist())


def _of_cones(cones: Cones) -> dict[str, object]:
    of_cones, even_curves = cones.resolution_A[:AXES], cones.curves[:AXES]
    known = np.isfinite(of_cones)
    worst = int(np.argmax(np.where(known, of_cones, -1.0)))
    z, y, x = cones.axes[worst].tolist()
    return {
        "cfar": cones.cfar,
        "cfar_best_A": float(of_cones[known].min()) if known.any() else None,
        "cfar_worst_A": float(of_cones[known].max()) if known.any() else None,
        "worst_axis": (x, y, z) if known.any() else None,
        "conical_lowest": curves.listed(even_curves.min(axis=0)),
        "conical_mean": curves.listed(even_curves.mean(axis=0)),
        "conical_highest": curves.listed(even_curves.max(axis=0)),
    }


def _of_line(line: Guinier | None) -> dict[str, object]:
    if line is None:
        return {}
    return {
        "b_factor_A2": line.b_factor_A2,
        "b_factor_range_A": line.range_A,
        "b_factor_fit": line.fit,
        "guinier_squared_per_A2": tuple(line.squared_per_A2.tolist()),
        "guinier_ln_amplitude": tuple(line.ln_amplitude.tolist()),
    }
