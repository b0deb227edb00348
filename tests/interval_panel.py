"""Synthetic pairs whose expected FSC is known, to hold intervals against, in families.

A family is a shape, a kind of noise, a point group and a mask. With S and N the power of the signal and the expected power of one
half's noise under the mask, the expected FSC is S / (S + N), and its first crossing of 0.143 is the truth. The truth of a corrected
curve is read off the same with what the mask carries from below the onset taken out: (E - m) / (1 - m) with m of the signal alone.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.ndimage import affine_transform

from refine_hooks import curves, fsc
from refine_hooks.files.mrc import Map
from refine_hooks.fourier import ShellSums, shell_frequency_per_A, shell_sums, transform
from refine_hooks.log.curves import Curve
from refine_hooks.masks import cosine_edge
from refine_hooks.measure.noise import noise_of, with_uneven_noise
from refine_hooks.measure.pair import prepared
from refine_hooks.measure.scores import mask_curves, randomised_of
from refine_hooks.measure.under import NamedMask, checked_mask
from refine_hooks.model import Facts, HalfMaps
from refine_hooks.settings import load_settings
from refine_hooks.sums.symmetry import rotations

BOX_PX, VOXEL_A = 48, 2.5
LEVEL = 0.143
GOAL_HELD, GOAL_WIDTH = (85.0, 95.0), 1.3
_NOISE_DRAWS = 60
Volume = NDArray[np.float32]


@dataclass(frozen=True)
class Family:
    """Half axes (z, y, x) of an ellipsoid in A, the noise over the signal inside it, and what is special."""

    axes_A: tuple[float, float, float]
    noise: float
    symmetry: str = "C1"
    kind: str = "white"
    mask_edge_A: float = 8.0
    mask_reach_A: float = 4.0
    bilayer: bool = False


FAMILIES = {
    "C1": Family((26.0, 26.0, 26.0), 2.0),
    "C4": Family((30.0, 24.0, 24.0), 2.0, "C4"),
    "D7": Family((26.0, 28.0, 28.0), 2.0, "D7"),
    "O": Family((30.0, 30.0, 30.0), 2.0, "O"),
    "I": Family((42.0, 42.0, 42.0), 0.7, "I"),
    "uneven by direction": Family((24.0, 26.0, 30.0), 1.0, kind="direction"),
    "uneven by place": Family((24.0, 26.0, 34.0), 1.0, kind="place"),
    "red noise": Family((26.0, 22.0, 30.0), 2.0, kind="red"),
    "poor": Family((26.0, 26.0, 26.0), 6.0),
    "membrane": Family((22.0, 30.0, 30.0), 2.0, bilayer=True),
    "filament": Family((500.0, 18.0, 18.0), 2.0),
    "edge of 4 A": Family((24.0, 24.0, 30.0), 2.0, mask_edge_A=4.0, mask_reach_A=2.0),
}


@dataclass(frozen=True)
class Result:
    """``held``: percent of intervals that hold the truth; ``width``: median over that of the crossings' own 90 %."""

    truth_A: float
    pairs: int
    held: float
    width: float

    @property
    def reaches_the_goal(self) -> bool:
        return GOAL_HELD[0] <= self.held <= GOAL_HELD[1] and self.width <= GOAL_WIDTH


@dataclass(frozen=True)
class Setting:
    """What all pairs of one family and shape have in common."""

    family: Family
    signal: Volume
    mask: Volume
    truth_A: dict[str, float]


@cache
def _frequency2() -> NDArray[np.float64]:
    full, half = fft.fftfreq(BOX_PX, VOXEL_A) ** 2, fft.rfftfreq(BOX_PX, VOXEL_A) ** 2
    return np.asarray(full[:, None, None] + full[:, None] + half)


def _filtered(volume: NDArray[np.floating], gain: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(fft.irfftn(fft.rfftn(volume) * gain))


def symmetrised(volume: NDArray[np.float64], symmetry: str) -> NDArray[np.float64]:
    """The mean over a point group, of what is smooth enough for linear interpolation."""
    if symmetry == "C1":
        return volume
    turns = np.array([turn[::-1, ::-1] for turn in rotations(symmetry, "cistem")], np.float64)
    return np.asarray(_mean_of_mates(_filtered(volume, np.exp(-_frequency2() * 60 / 4)), turns))


def _mean_of_mates(volume: NDArray[np.float64], turns: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each voxel's mean over its mates about the box's centre, linear between voxels; the box goes round."""
    middle = np.full(3, len(volume) // 2)
    mates = (affine_transform(volume, t, middle - t @ middle, order=1, mode="grid-wrap") for t in turns)
    return np.asarray(sum(mates) / len(turns), np.float64)


def a_noise(family: Family, rng: np.random.Generator) -> NDArray[np.float64]:
    """One draw of a half's noise."""
    white = rng.normal(size=(BOX_PX,) * 3)
    k = np.maximum(_frequency2(), 1e-12)
    if family.kind == "direction":
        return family.noise * _filtered(white, np.sqrt(1 + 30 * (fft.fftfreq(BOX_PX, VOXEL_A) ** 2)[:, None, None] / k))
    if family.kind == "place":
        across = np.linspace(-1, 1, BOX_PX) * BOX_PX * VOXEL_A / 2 / family.axes_A[2]
        return np.asarray(family.noise * white * np.sqrt(1 + 7 * np.clip((across + 1) / 2, 0, 1)))
    if family.kind == "red":
        return family.noise * _filtered(white, (k / 0.05**2 + 0.1) ** -0.5)
    scale = np.sqrt(len(rotations(family.symmetry, "cistem")))
    return np.asarray(family.noise * scale * symmetrised(white, family.symmetry))


def setting(family: Family, seed: int) -> Setting:
    """Random density that fades with resolution, inside an ellipsoid; a mask around it; the truth."""
    rng = np.random.default_rng(seed)
    axes = np.array(family.axes_A) * rng.uniform(0.92, 1.08)
    grid = [((np.arange(BOX_PX) - BOX_PX // 2) * VOXEL_A / a) ** 2 for a in axes]
    radius = np.sqrt(grid[0][:, None, None] + grid[1][:, None] + grid[2])
    beyond_A = (radius - 1) * min(axes)
    gain = np.exp(-_frequency2() * 250 / 4) * (1 + 30 * np.exp(-_frequency2() * 900))
    texture = symmetrised(_filtered(rng.normal(size=radius.shape), gain), family.symmetry)
    signal = texture * cosine_edge((beyond_A + 2).astype(np.float32), 4.0)
    signal /= signal[radius < 1].std()
    if family.bilayer:
        z_A = (np.arange(BOX_PX) - BOX_PX // 2) * VOXEL_A
        leaflets = np.exp(-((np.abs(z_A) - 14) ** 2) / 50)[:, None, None]
        signal += 1.5 * leaflets * cosine_edge((beyond_A + 2).astype(np.float32), 6.0)
    edge_A = family.mask_edge_A
    mask = cosine_edge((beyond_A - family.mask_reach_A).astype(np.float32), edge_A)
    return Setting(family, signal.astype(np.float32), mask, _truth(family, signal.astype(np.float32), mask))


@cache
def _draws(family: Family) -> list[Volume]:
    rng = np.random.default_rng(987)
    return [a_noise(family, rng).astype(np.float32) for _ in range(_NOISE_DRAWS)]


def _truth(family: Family, signal: Volume, mask: Volume) -> dict[str, float]:
    noise, whole = (np.mean([_power(draw * m) for draw in _draws(family)], axis=0) for m in (mask, np.ones_like(mask)))
    frequency = shell_frequency_per_A(BOX_PX, VOXEL_A)
    power, under = _power(signal), _power(signal * mask)
    onset = fsc.onset(power / (power + whole), 0.8) or 1
    low = transform(signal)
    k = np.sqrt(_frequency2()) * BOX_PX * VOXEL_A
    leaked = _power(fft.irfftn(np.where(np.floor(k + 0.5) < onset, low, 0)).astype(np.float32) * mask)
    expected = under / (under + noise)
    corrected = fsc.corrected(expected, leaked / (under + noise), onset)
    found = {"user": expected, "user_corrected": corrected}
    read = {name: curves.resolution_A(curve, frequency, LEVEL) for name, curve in found.items()}
    return {name: value for name, value in read.items() if value is not None}


def _power(volume: Volume) -> NDArray[np.float64]:
    half = transform(np.ascontiguousarray(volume))
    sums: ShellSums = shell_sums(half, half)
    return sums.power1


def pairs_of(made: Setting, pairs: int, seed: int) -> Iterator[HalfMaps]:
    """One signal, fresh noise."""
    rng = np.random.default_rng(seed)
    for _ in range(pairs):
        halves = [Map((made.signal + a_noise(made.family, rng)).astype(np.float32), VOXEL_A) for _ in range(2)]
        yield HalfMaps(halves[0], halves[1], "found")


def measured(made: Setting, halves: HalfMaps, seed: int) -> list[Curve]:
    """The masked and the corrected curve of a pair, as a round has them."""
    settings = load_settings(overrides={"fsc": {"seed": seed}})
    facts = Facts(symmetry=made.family.symmetry)
    pair = prepared(halves, facts, settings)
    noise = noise_of(pair, facts)
    mask = with_uneven_noise(pair, checked_mask(pair, NamedMask("user", Map(made.mask, VOXEL_A))), noise, LEVEL)
    drawn = randomised_of(pair, [mask], settings, noise.order)
    return [curve for curve in mask_curves(pair, settings, mask, drawn.get("user"), noise.order) if curve is not None]


def calibrate(name: str, pairs: int, seed: int, shapes: int = 6) -> dict[str, Result]:
    """Intervals of the masked and of the corrected curve against the truth, over the shapes of a family."""
    rows: dict[str, list[NDArray[np.float64]]] = {"user": [], "user_corrected": []}
    truths: dict[str, list[float]] = {"user": [], "user_corrected": []}
    for shape in range(shapes):
        made = setting(FAMILIES[name], seed + shape)
        found: dict[str, list[tuple[float, float, float]]] = {"user": [], "user_corrected": []}
        for number, halves in enumerate(pairs_of(made, -(-pairs // shapes), seed + 100 + shape)):
            for curve in measured(made, halves, 1000 * number):
                if curve.resolution_A and curve.interval_A:
                    found[curve.name].append((curve.resolution_A, *curve.interval_A))
        for curve_name, own_rows in found.items():
            if len(own_rows) > (shapes < pairs) and curve_name in made.truth_A:
                own = [(*one, made.truth_A[curve_name]) for one in own_rows]
                rows[curve_name].append(1 / np.array(own))
                truths[curve_name].append(made.truth_A[curve_name])
    return {name: _result(found, truths[name]) for name, found in rows.items() if found}


def _result(rows: list[NDArray[np.float64]], truths: list[float]) -> Result:
    """Shares and widths over all shapes; ``rows`` are crossing and interval of each shape's pairs, and its truth, in 1 / A.

    Crossings scatter about each shape's mean, and where it has but one pair about its truth.
    """
    every = np.concatenate(rows)
    if len(every) > len(rows):
        spread = np.sqrt(np.average([one[:, 0].var(ddof=1) for one in rows], weights=[len(one) for one in rows]))
    else:
        spread = np.sqrt(np.mean((every[:, 0] - every[:, 3]) ** 2))
    held = (every[:, 1] <= every[:, 3]) & (every[:, 3] <= every[:, 2])
    width = float(np.median(every[:, 2] - every[:, 1]) / (2 * curves.NORMAL_90 * spread))
    return Result(float(np.mean(truths)), len(every), 100 * float(held.mean()), width)
