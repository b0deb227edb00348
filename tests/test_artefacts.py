"""What was done to half maps after their reconstruction, or is in both that is no particle; small phantoms of known truth."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage
from test_checks_of_halves import N, halves, particle, tight_mask

import refine_hooks
from refine_hooks.analysis.background import gradients
from refine_hooks.analysis.blocks import Blocks, in_blocks
from refine_hooks.analysis.signal_directions import signal_directions
from refine_hooks.analysis.solvent import Solvent, solvent
from refine_hooks.analysis.voxels import clipped, holes, outliers, repeated
from refine_hooks.audit import audit
from refine_hooks.fourier import extent, shell_sums, transform
from refine_hooks.measure.checks import _signal_by_direction
from refine_hooks.measure.noise import Noise

Volume = NDArray[np.float32]
Change = Callable[[Volume], NDArray[np.floating]]
NOISE = 1.5


@cache
def body() -> NDArray[np.float64]:
    return particle()


@cache
def around() -> NDArray[np.float64]:
    return tight_mask()


def sound(noise: float = NOISE, seed: int = 1) -> tuple[Volume, Volume]:
    return halves(body(), body(), noise, seed)


def blocks_of(one: NDArray[np.floating], two: NDArray[np.floating]) -> Blocks:
    return in_blocks(*(np.ascontiguousarray(half, np.float32) for half in (one, two)))


def in_solvent(one: NDArray[np.floating], two: NDArray[np.floating]) -> Solvent:
    mask = (ndimage.binary_dilation(around() > 0.01, iterations=2)).astype(np.float32)
    box = extent(mask).box
    assert box is not None
    pair = np.asarray(one, np.float32), np.asarray(two, np.float32)
    found = solvent(pair, (mask, box), in_blocks(*pair), (0.1, 0.5), 1)
    assert found is not None
    return found


def wave(period_px: float) -> NDArray[np.float64]:
    return np.broadcast_to(np.cos(2 * np.pi * np.arange(N) / period_px), (N, N, N))


def turned(order: int, degrees: float) -> Change:
    return lambda half: ndimage.rotate(half, degrees, axes=(1, 2), reshape=False, order=order, mode="wrap")


@pytest.mark.parametrize(
    "change",
    [
        turned(0, 3.0),
        turned(0, 45.0),
        lambda half: ndimage.median_filter(half, 3),
        lambda half: np.repeat(half, 2, 0)[:N],
    ],
    ids=["turned by 3 degrees", "turned by 45 degrees", "median", "twice as long"],
)
def test_voxels_that_stand_twice_are_found(change: Change) -> None:
    one, _ = sound()
    share = repeated(np.ascontiguousarray(change(one), np.float32))
    assert share is not None
    assert share > 1e-3


@pytest.mark.parametrize(
    "change",
    [
        lambda half: half,
        turned(3, 10.0),
        lambda half: ndimage.gaussian_filter(half, 2.0),
        lambda half: half * (around() > 0.3),
        lambda half: half.astype(np.float16),
    ],
    ids=["as it is", "turned by splines", "low-passed", "masked", "stored with 16 bits"],
)
def test_no_voxels_of_other_maps_stand_twice(change: Change) -> None:
    one, _ = sound()
    share = repeated(np.ascontiguousarray(change(one), np.float32))
    assert share is None or share < 1e-4


def test_few_values_say_nothing_of_voxels_that_stand_twice() -> None:
    one, _ = sound()
    assert repeated(np.round(one * 5).astype(np.float32)) is None


def test_single_voxels_that_stick_out_are_counted_and_the_particle_is_not() -> None:
    one, two = sound(0.02)
    blocks = blocks_of(one, two)
    assert outliers(one, blocks.power1, blocks) == 0
    one, two = sound()
    two[5, 6, 7] += 60 * NOISE
    blocks = blocks_of(one, two)
    assert (outliers(one, blocks.power1, blocks), outliers(two, blocks.power2, blocks)) == (0, 1)


def test_a_hole_is_found_where_neither_half_has_noise() -> None:
    z, y, x = np.indices((N,) * 3) - N // 2
    edge = np.clip((np.sqrt(z**2 + y**2 + x**2) - 4) / 3, 0, 1)
    one, two = sound()
    assert holes(blocks_of(one * edge, two * edge)) > 0
    assert holes(blocks_of(one, two * edge)) == 0
    off_centre = ((z - 8) ** 2 + y**2 + x**2 < 20**2).astype(float)
    assert holes(blocks_of(one * off_centre, two * off_centre)) == 0
    assert holes(blocks_of(*(ndimage.gaussian_filter(half, 2.0) for half in (one, two)))) == 0


def test_values_that_were_cut_off_are_found() -> None:
    one, _ = sound()
    assert clipped(one) < 1e-4
    assert clipped(np.maximum(one, 0)) > 0.4
    assert clipped(np.minimum(one, 2 * NOISE)) > 0.01


def test_a_slope_of_the_background_is_measured_and_the_particle_is_none() -> None:
    slope = 3 * NOISE * (np.indices((N,) * 3)[2] / N - 0.5)
    one, two = sound()
    first, second = gradients(blocks_of(one, two + slope), None)
    assert first == 0
    assert second == pytest.approx(3, rel=0.1)


def test_the_solvent_of_independent_halves_has_nothing_in_common() -> None:
    scores = [in_solvent(*sound(seed=seed)) for seed in range(20, 32)]
    values = np.array([one.value / one.sd for one in scores])
    assert np.abs(values).max() < 3.5
    assert 0.4 < values.std() < 1.4
    assert not any(one.pattern for one in scores)


def test_noise_that_is_in_both_halves_correlates_in_the_solvent_as_its_share() -> None:
    one, two = sound()
    common = NOISE * np.random.default_rng(9).standard_normal(one.shape)
    found = in_solvent(*(np.sqrt(0.8) * half + np.sqrt(0.2) * common for half in (one, two)))
    assert found.value == pytest.approx(0.2, abs=3 * found.sd)
    assert found.value > 5 * found.sd


def test_a_wave_is_found_in_one_half_and_in_both() -> None:
    one, two = sound()
    added = NOISE * wave(4.0)
    both, alone = in_solvent(one + added, two + added).pattern, in_solvent(one, two + added).pattern
    assert both is not None
    assert alone is not None
    assert both.period_px == pytest.approx(4, rel=0.05)
    assert both.direction == pytest.approx((1, 0, 0), abs=0.1)
    assert both.coherent > 0.9
    assert alone.times[0] < 3 < 10 < alone.times[1]


def test_neighbours_in_the_solvent_are_no_pattern_and_do_not_correlate() -> None:
    one, two = sound()
    other = np.zeros((N,) * 3)
    other[:10, :10, :10] = 8 * np.random.default_rng(4).standard_normal((10, 10, 10))
    found = in_solvent(one + other, two + other)
    assert found.pattern is None
    assert abs(found.value) < 4 * found.sd


def test_noise_that_few_views_make_is_no_wave() -> None:
    """Single patches of Fourier space that are loud, as where few particles cover it."""
    frequencies = np.stack(np.meshgrid(*[np.fft.fftfreq(N) * N] * 2, np.arange(N // 2 + 1), indexing="ij"))
    gain = np.ones(frequencies.shape[1:])
    for patch in ((9, 5, 7), (-6, 10, 4), (3, -8, 9)):
        apart = np.square(frequencies - np.array(patch)[:, None, None, None]).sum(axis=0)
        gain += 12 * np.exp(-apart / 4)
    found = in_solvent(*(np.fft.irfftn(np.fft.rfftn(half) * gain, (N,) * 3, (0, 1, 2)) for half in sound()))
    assert found.pattern is None


def without_cone(half_angle_deg: float) -> NDArray[np.float64]:
    """The particle without its signal in a double cone about x + y, in any frequency but 0."""
    axes = np.meshgrid(*(np.fft.fftfreq(N),) * 3, indexing="ij")
    length = np.sqrt(np.sum(np.square(axes), axis=0))
    along = np.abs(axes[1] + axes[2]) / np.sqrt(2)
    kept = (along <= np.cos(np.deg2rad(half_angle_deg)) * length) | (length == 0)
    return np.asarray(np.fft.ifftn(np.fft.fftn(body()) * kept).real)


@pytest.mark.parametrize("half_angle_deg", [0, 20, 35])
def test_signal_that_is_missing_in_a_cone_is_seen_where_noise_is_not(half_angle_deg: float) -> None:
    signal = without_cone(half_angle_deg) if half_angle_deg else body()
    rng = np.random.default_rng(half_angle_deg)
    noise = 0.1 * float(body().std())
    one, two = (transform((signal + noise * rng.standard_normal(signal.shape)).astype(np.float32)) for _ in range(2))
    found = signal_directions(one, two, shell_sums(one, two), valid_shells=None, correlated=1)
    assert found is not None
    seen = _signal_by_direction(Noise(1, None, None, found))
    assert seen is not None
    assert seen.missing == (half_angle_deg > 0)
    if half_angle_deg:
        assert abs(found.lowest) < 0.03 + 3 * found.sd
        assert abs(np.dot(found.axis, (1, 1, 0))) / np.sqrt(2) > np.cos(np.deg2rad(half_angle_deg))
    else:
        assert found.lowest > 0.1


# --- words of the audit -----------------------------------------------------------------------------------------------


def gradient(half: Volume) -> NDArray[np.floating]:
    return half + 8 * NOISE * (np.indices(half.shape)[2] / N - 0.5)


def with_outliers(half: Volume) -> NDArray[np.floating]:
    changed = half.copy()
    changed[tuple(np.random.default_rng(3).integers(0, N, (3, 10)))] += 100 * NOISE
    return changed


@dataclass(frozen=True)
class Named:
    """What is done to the second half, or to both, which warnings name it, and which do not."""

    id: str
    change: Change
    both: bool
    rules: tuple[str, ...]
    noise: float = 0.5
    not_said: tuple[str, ...] = field(default=("halves_magnified", "halves_unlike", "anisotropy", "duplicates"))


@pytest.mark.parametrize(
    "one",
    [
        Named("both turned by nearest voxels", turned(0, 10.0), True, ("voxels_repeated",)),
        Named("a slope in one", gradient, False, ("background_gradient",)),
        Named("outliers in one", with_outliers, False, ("outlier_voxels",)),
        Named("a wave in one", lambda half: half + wave(4.0), False, ("pattern_in_halves",)),
        Named("a wave in both", lambda half: half + wave(4.0), True, ("pattern_in_halves",)),
        Named("cut off at zero", lambda half: np.maximum(half, 0), True, ("voxels_clipped",)),
        Named("nothing", lambda half: half, True, ()),
    ],
    ids=lambda one: one.id,
)
def test_what_was_done_to_half_maps_is_what_the_audit_says(one: Named) -> None:
    first, second = sound(one.noise)
    first = np.ascontiguousarray(one.change(first), np.float32) if one.both else first
    record = refine_hooks.measure_half_maps(first, np.asarray(one.change(second), np.float32), 2.0).record
    warned = {finding.rule for finding in audit([record]) if finding.severity == "warning"}
    assert set(one.rules) <= warned
    assert not set(one.not_said) & warned
    assert one.rules or not warned
