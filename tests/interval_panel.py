"""Synthetic pairs whose expected FSC is known, to hold intervals against."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from panel import Case, make
from scipy import fft

from refine_hooks import curves
from refine_hooks.files.mrc import Map
from refine_hooks.fourier import shell_frequency_per_A, shell_sums, transform, voxels_in_shell
from refine_hooks.masks import cosine_edge
from refine_hooks.measure import NamedMask, measure_halves
from refine_hooks.model import Facts, HalfMaps
from refine_hooks.settings import load_settings

BOX_PX, VOXEL_A = 64, 2.5
# Half axes (z, y, x) of an ellipsoid in Angstrom, and the noise over the signal inside it.
SHAPES = {
    "globule": ((28.0, 28.0, 28.0), 2.0),
    "rod": ((14.0, 14.0, 62.0), 2.0),
    "disc": ((12.0, 50.0, 50.0), 2.0),
    "globule, noisy": ((28.0, 28.0, 28.0), 6.0),
    "rod, noisy": ((14.0, 14.0, 62.0), 6.0),
}


@dataclass(frozen=True)
class Result:
    """``held``: share of intervals that hold the truth; ``width``: median width over that of the crossings' own 90 %.

    ``truth_A`` is None where the pairs have different ones.
    """

    truth_A: float | None
    pairs: int
    held: float
    width: float


def signal_and_mask(
    axes_A: tuple[float, float, float], seed: int = 3
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Random density that fades with resolution, inside an ellipsoid; and a mask around it."""
    rng = np.random.default_rng(seed)
    grid = [((np.arange(BOX_PX) - BOX_PX // 2) * VOXEL_A / a) ** 2 for a in axes_A]
    radius = np.sqrt(grid[0][:, None, None] + grid[1][:, None] + grid[2])
    beyond_A = (radius - 1) * min(axes_A)
    frequency2 = sum(
        np.meshgrid(*[fft.fftfreq(BOX_PX, VOXEL_A) ** 2] * 2, fft.rfftfreq(BOX_PX, VOXEL_A) ** 2, indexing="ij")
    )
    texture = fft.irfftn(
        fft.rfftn(rng.normal(size=radius.shape)) * np.exp(-frequency2 * 250 / 4) * (1 + 30 * np.exp(-frequency2 * 900))
    )
    signal = (texture * cosine_edge(beyond_A + 2, 4.0)).astype(np.float32)
    return signal / signal[radius < 1].std(), cosine_edge(beyond_A - 4, 8.0)


def calibrate(shape: str, pairs: int, repeats: int = 5) -> dict[str, Result]:
    """Intervals of the masked and of the corrected curve against the truth."""
    axes_A, noise = SHAPES[shape]
    signal, mask = signal_and_mask(axes_A)
    frequency = shell_frequency_per_A(BOX_PX, VOXEL_A)
    power = shell_sums(transform(signal * mask), transform(signal * mask)).power1

    expected = power / (power + noise**2 * float(np.sum(mask.astype(np.float64) ** 2)) * voxels_in_shell(BOX_PX))
    truth_A = curves.resolution_A(expected, frequency, 0.143)
    assert truth_A is not None
    settings = load_settings(overrides={"fsc": {"repeats": repeats}, "automask": {"enabled": False}})
    rng = np.random.default_rng(11)
    found: dict[str, list[tuple[float, float, float]]] = {"user": [], "user_corrected": []}
    for pair in range(pairs):
        halves = [Map((signal + noise * rng.normal(size=signal.shape)).astype(np.float32), VOXEL_A) for _ in range(2)]
        own = settings.model_copy(update={"fsc": settings.fsc.model_copy(update={"seed": 1000 * pair})})
        measured = measure_halves(HalfMaps(*halves, "found"), Facts(), own, [NamedMask("user", Map(mask, VOXEL_A))])
        for curve in measured.curves:
            if curve.name in found and curve.resolution_A and curve.interval_A:
                found[curve.name].append((curve.resolution_A, *curve.interval_A))
    return {name: _result(np.array(rows), truth_A) for name, rows in found.items() if len(rows) > pairs // 2}


def calibrate_on_panel(cases: Sequence[Case], seeds: int) -> dict[str, Result]:
    """The same on the panel's cases with fresh signal and noise, under their oracle masks.

    Widths are compared in units of each case's own, since cases differ: (crossing - truth) / width of its interval has a
    standard deviation of 1 / 3.29 where the intervals are as narrow as they can be.
    """
    settings = load_settings(overrides={"automask": {"enabled": False}})
    found: dict[str, list[tuple[float, float, float, float]]] = {"user": [], "user_corrected": []}
    for case in (replace(case, seed=1000 + seed) for case in cases for seed in range(seeds)):
        truth = make(case)
        frequency = shell_frequency_per_A(case.box_px, case.voxel_size_A)
        halves = HalfMaps(*(Map(half, case.voxel_size_A) for half in (truth.half1, truth.half2)), "found")
        own = settings.model_copy(update={"fsc": settings.fsc.model_copy(update={"seed": 1000 * case.seed})})
        named = [NamedMask("user", Map(truth.oracle, case.voxel_size_A))]
        expected_A = curves.resolution_A(truth.expected, frequency, 0.143)
        for curve in measure_halves(halves, Facts(), own, named).curves:
            if curve.name in found and curve.resolution_A and curve.interval_A and expected_A:
                found[curve.name].append((curve.resolution_A, *curve.interval_A, expected_A))
    return {name: _on_panel(1 / np.array(rows)) for name, rows in found.items()}


def _on_panel(rows: NDArray[np.float64]) -> Result:
    crossing, low, high, truth = rows.T
    held = np.mean((low <= truth) & (truth <= high))
    spread = np.std((crossing - truth) / (high - low))
    return Result(None, len(rows), float(held), float(1 / (2 * curves.NORMAL_90 * spread)))


def _result(rows: NDArray[np.float64], truth_A: float) -> Result:
    crossing, low, high = (1 / rows).T
    held = np.mean((low <= 1 / truth_A) & (1 / truth_A <= high))
    return Result(
        truth_A, len(rows), float(held), float(np.median(high - low) / (2 * curves.NORMAL_90 * crossing.std()))
    )
