"""Guinier plot, B factor, and an FSC-weighted, sharpened map for looking.

ln of the mean amplitude of the averaged halves, weighted with C = sqrt(2 FSC / (1 + FSC)), falls with the squared frequency by
B / 4 (Rosenthal & Henderson 2003, J Mol Biol 333:721, doi:10.1016/j.jmb.2003.07.013). The same weight and exp(B s^2 / 4) make
the map. RELION's relion_postprocess fits the same line from 10 Angstrom on.
"""

from dataclasses import dataclass

import numpy as np

from refine_hooks.files.mrc import Volume
from refine_hooks.fourier import Curve, HalfTransform, ShellSums, workers
from refine_hooks.kernels import fft

FROM_A = 10.0
_FEWEST_SHELLS = 4
_EDGE_SHELLS = 2.0


@dataclass(frozen=True, slots=True)
class Guinier:
    """The fitted line.

    Attributes:
        b_factor_A2: how fast the amplitudes fall; positive.
        range_A: coarse and fine end of the fit.
        squared_per_A2: s^2 of each shell of the fit.
        ln_amplitude: of the weighted average there.
        fit: share of the variance that the line explains.
    """

    b_factor_A2: float
    range_A: tuple[float, float]
    squared_per_A2: Curve
    ln_amplitude: Curve
    fit: float


def fsc_weight(correlation: Curve) -> Curve:
    """sqrt(2 FSC / (1 + FSC)): the average's correlation with the truth; 0 where the FSC is not positive."""
    f = np.clip(np.nan_to_num(correlation), 0, 1)
    return np.sqrt(2 * f / (1 + f))


def guinier(
    sums: ShellSums,
    voxels: Curve,
    correlation: Curve,
    frequency_per_A: Curve,
    finest_A: float,
    coarsest_A: float = FROM_A,
) -> Guinier | None:
    """The line through ln of the weighted amplitude; None where fewer than four shells lie in the range.

    Args:
        sums: shell sums of the two halves under the mask that made ``correlation``.
        voxels: of each shell.
        correlation: the FSC that weights.
        frequency_per_A: of the shells.
        finest_A: end of the fit, the resolution.
        coarsest_A: begin of the fit.
    """
    power = (sums.power1 + sums.power2 + 2 * sums.cross) / 4 / np.maximum(voxels, 1)
    amplitude = np.sqrt(np.maximum(power, 0)) * fsc_weight(correlation)
    kept = (frequency_per_A >= 1 / coarsest_A) & (frequency_per_A <= 1 / finest_A) & (amplitude > 0)
    if kept.sum() < _FEWEST_SHELLS:
        return None
    x, y = frequency_per_A[kept] ** 2, np.log(amplitude[kept])
    slope, start = np.polyfit(x, y, 1)
    rest, all_ = np.sum((y - start - slope * x) ** 2), np.sum((y - y.mean()) ** 2)
    ends = 1 / frequency_per_A[kept][[0, -1]]
    return Guinier(
        float(-4 * slope), (float(ends[0]), float(ends[1])), x, y, float(1 - rest / all_) if all_ > 0 else 1.0
    )


def sharpened(
    half1: HalfTransform,
    half2: HalfTransform,
    correlation: Curve,
    voxel_size_A: float,
    b_factor_A2: float,
    finest_A: float,
) -> Volume:
    """The average of two halves, weighted with their FSC and sharpened, up to a resolution: to look at, not to measure.

    Args:
        half1: half transform [kz, ky, kx].
        half2: the other one.
        correlation: FSC over the shells 0..N//2.
        voxel_size_A: of the maps.
        b_factor_A2: what is taken out.
        finest_A: a cosine edge two shells wide ends here.
    """
    n = half1.shape[0]
    last = 1 / finest_A * n * voxel_size_A
    shells = np.arange(n // 2 + 1)
    edge = 0.5 + 0.5 * np.cos(np.pi * np.clip((shells - last) / _EDGE_SHELLS + 0.5, 0, 1))
    gain = fsc_weight(correlation) * edge * np.exp(b_factor_A2 / 4 * (shells / (n * voxel_size_A)) ** 2)
    axis = np.fft.fftfreq(n) * n
    out = np.empty(half1.shape, np.complex64)
    for iz in range(n):
        radius = np.sqrt(axis[iz] ** 2 + axis[:, None] ** 2 + shells**2)
        weight = np.interp(radius, shells, gain, right=0.0).astype(np.float32)
        out[iz] = (half1[iz] + half2[iz]) * (np.float32(0.5) * weight)
    return np.asarray(fft.irfftn(out, s=(n,) * 3, workers=workers(), overwrite_x=True), np.float32)
