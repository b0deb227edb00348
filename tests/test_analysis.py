"""The further measurements against cases worked out by hand, definitions written out, and RELION."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import fft
from scipy.ndimage import gaussian_filter

from refine_hooks import fsc, masks
from refine_hooks.analysis import criteria
from refine_hooks.analysis.axes import HALF_ANGLE_DEG, fibonacci_axes
from refine_hooks.analysis.cones import area, in_cones
from refine_hooks.analysis.further import Analysed, analyse
from refine_hooks.analysis.guinier import fsc_weight, guinier, sharpened
from refine_hooks.files.mrc import Map, write_map
from refine_hooks.fourier import shell_frequency_per_A, shell_sums, transform, voxels_in_shell

BOX, VOXEL_A = 48, 2.0
FREQUENCY = shell_frequency_per_A(BOX, VOXEL_A)


def radius_of(box_px: int) -> NDArray[np.float64]:
    k = np.fft.fftfreq(box_px) * box_px
    return np.sqrt(k[:, None, None] ** 2 + k[None, :, None] ** 2 + np.arange(box_px // 2 + 1) ** 2)


def shaped(box_px: int, seed: int, gain: NDArray[np.float64]) -> NDArray[np.float32]:
    """White noise with a given gain on its half transform."""
    white = np.random.default_rng(seed).normal(size=(box_px,) * 3)
    return fft.irfftn(fft.rfftn(white) * gain, s=(box_px,) * 3).astype(np.float32)


def a_pair(gain: NDArray[np.float64], noise: float = 1.0) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    signal = shaped(BOX, 1, gain)
    one, two = (signal + np.float32(noise) * shaped(BOX, seed, np.ones_like(gain)) for seed in (2, 3))
    return one, two


def test_the_half_bit_and_three_sigma_levels_are_those_worked_out_by_hand() -> None:
    n = np.array([100.0, 10000.0])
    np.testing.assert_allclose(criteria.half_bit(n), [0.39812 / 1.29812, 0.226202 / 1.216202], rtol=1e-9)
    np.testing.assert_allclose(criteria.three_sigma(n), [3 / 12, 3 / 102])


def test_a_curve_crosses_a_level_that_moves_where_the_two_lines_meet() -> None:
    frequency = np.arange(6) / 60
    level = np.array([1.0, 0.9, 0.6, 0.4, 0.2, 0.1])
    curve = np.array([1.0, 0.5, 0.9, 0.5, 0.1, 0.0])
    assert criteria.first_below(curve, level, frequency, 2) == pytest.approx(60 / 3.5)
    assert criteria.first_below(curve, level, frequency, 1) is None
    assert criteria.first_below(np.ones(6), level, frequency, 1) is None
    assert criteria.first_tested(np.array([1.0, 4.0, 39.9, 40.0, 80.0])) == 3


@pytest.mark.parametrize("box_px", [14, 15])
def test_the_permutation_null_has_the_moments_of_many_permutations(box_px: int) -> None:
    rng = np.random.default_rng(7)
    shape = (box_px, box_px, box_px // 2 + 1)
    # Real and imaginary parts that go together, and a mean: every moment counts.
    halves = [
        (rng.normal(0.4, 1, shape) * (1 + 0.8j) + 0.3j * rng.normal(size=shape)).astype(np.complex64) for _ in "12"
    ]
    mean, sd = criteria.permutation_null(*halves)
    labels = np.floor(radius_of(box_px) + 0.5).astype(int)
    columns = np.arange(box_px // 2 + 1)
    own = (columns > 0) & (2 * columns != box_px)
    for shell in (2, 4, box_px // 2):
        a, b = (half[(labels == shell) & own] for half in halves)
        power = np.sqrt(np.sum(abs(a) ** 2) * np.sum(abs(b) ** 2))
        drawn = [np.sum(a * rng.permutation(b).conj()).real / power for _ in range(4000)]
        assert mean[shell] == pytest.approx(np.mean(drawn), abs=4 * sd[shell] / np.sqrt(4000))
        assert sd[shell] == pytest.approx(np.std(drawn), rel=0.06)


def test_p_values_are_adjusted_as_benjamini_and_yekutieli_do() -> None:
    p = np.random.default_rng(0).random(40) ** 3
    from scipy import stats  # which takes a second to import

    expected = stats.false_discovery_control(p, method="by")
    np.testing.assert_allclose(criteria.adjusted(np.r_[np.nan, p, np.nan])[1:-1], expected)


def test_the_false_discovery_rate_ends_where_the_signal_does_and_finds_none_in_noise() -> None:
    one, two = a_pair(3.0 * (radius_of(BOX) < 12.5))
    found = analysed(one, two)
    assert BOX * VOXEL_A / found.record.fdr_A == pytest.approx(12.5, abs=0.7)
    assert found.record.half_bit_A == pytest.approx(found.record.fdr_A, rel=0.08)
    assert found.record.three_sigma_A == pytest.approx(found.record.fdr_A, rel=0.08)
    q = np.array(analysed(*a_pair(0.0 * radius_of(BOX))).record.fdr_q[3:])
    assert q.min() > 0.01


def test_noise_under_a_mask_is_rarely_taken_for_signal() -> None:
    mask = masks.sphere(BOX, VOXEL_A, 22.0, 8.0)
    lowest = []
    for seed in range(8):
        one, two = (shaped(BOX, 100 + 2 * seed + half, np.ones_like(radius_of(BOX))) for half in (0, 1))
        q = np.array(analyse(one, two, VOXEL_A, mask, "m", fsc.masked_fsc(one, two, mask)).record.fdr_q[5:])
        lowest.append(q.min())
    assert sum(value < 0.01 for value in lowest) <= 1


def analysed(one: NDArray[np.float32], two: NDArray[np.float32]) -> Analysed:
    whole = np.ones(one.shape, np.float32)
    return analyse(one, two, VOXEL_A, whole, "none", fsc.fsc(transform(one), transform(two)))


def test_symmetry_leaves_fewer_independent_voxels_and_raises_the_levels() -> None:
    one, two = a_pair(2.0 * np.exp(-((radius_of(BOX) / 12) ** 2)))
    whole, curve = np.ones(one.shape, np.float32), fsc.fsc(transform(one), transform(two))
    plain, seven = (analyse(one, two, VOXEL_A, whole, "m", curve, symmetry_order=n).record for n in (1, 14))
    assert seven.independent_voxels[10] == pytest.approx(plain.independent_voxels[10] / 14)
    assert seven.half_bit_A > plain.half_bit_A
    assert seven.fdr_A > plain.fdr_A


def test_a_cone_s_curve_is_the_fsc_of_the_coefficients_within_20_degrees_of_its_axis() -> None:
    one, two = a_pair(2.0 * np.exp(-((radius_of(BOX) / 14) ** 2)))
    found = in_cones(transform(one), transform(two), FREQUENCY, 0.143)
    k = np.stack(np.meshgrid(*[np.fft.fftfreq(BOX) * BOX] * 3, indexing="ij"), axis=-1)
    radius = np.linalg.norm(k, axis=-1)
    f1, f2, shells = np.fft.fftn(one), np.fft.fftn(two), np.floor(radius + 0.5)
    for axis in (0, 100, 255):
        inside = np.abs(k @ found.axes[axis]) >= np.cos(np.deg2rad(HALF_ANGLE_DEG)) * radius * (1 - 1e-6)
        for shell in (6, 15, 24):
            a, b = (f[inside & (shells == shell)] for f in (f1, f2))
            expected = np.sum(a * b.conj()).real / np.sqrt(np.sum(abs(a) ** 2) * np.sum(abs(b) ** 2))
            assert found.curves[axis, shell] == pytest.approx(expected, abs=2e-3)


def test_the_axes_are_even_over_the_half_sphere() -> None:
    axes = fibonacci_axes()
    assert axes.shape == (256, 3)
    np.testing.assert_allclose(np.linalg.norm(axes, axis=1), 1)
    np.testing.assert_allclose(axes.mean(axis=0), [0.5, 0, 0], atol=0.01)
    nearest = np.sort(axes @ axes.T, axis=1)[:, -2]
    assert np.degrees(np.arccos(nearest.min())) < 11


def test_an_area_ends_with_the_first_crossing() -> None:
    curve = np.array([1.0, 0.9, 0.5, 0.1, 0.3])
    assert area(curve, np.arange(5) / 10, 10 / 2.5) == pytest.approx(0.9 + 0.5 * 4)
    assert area(curve, np.arange(5) / 10, None) == pytest.approx(0.9 + 2.0 + 0.9 + 4.8)


def test_an_even_map_has_a_ratio_near_one_and_one_with_a_missing_cone_tells_its_axis() -> None:
    radius = radius_of(BOX)
    gain = 3.0 * np.exp(-((radius / 13) ** 2))
    even = analysed(*a_pair(gain)).record
    assert even.cfar > max(0.55, even.cfar_by_chance)
    k = np.fft.fftfreq(BOX) * BOX
    tilt = np.abs(k)[:, None, None] / np.maximum(radius, 1e-9)
    missing = analysed(*a_pair(gain * (1 - 0.97 * (tilt > np.cos(np.deg2rad(35))) * (radius > 5)))).record
    assert missing.cfar < 0.4
    assert abs(missing.worst_axis[2]) > 0.85
    assert missing.cfar_worst_A > 1.5 * missing.cfar_best_A


@pytest.mark.parametrize("noise", [0.7, 2.0])
def test_a_rod_in_even_noise_stays_above_the_ratio_that_chance_and_its_shape_make(noise: float) -> None:
    box_px, below = 24, 0
    z, y, x = np.indices((box_px,) * 3) - box_px // 2
    rod = ((np.hypot(z, y) < 3) & (np.abs(x) < 9)).astype(np.float32)
    for seed in range(8):
        rng = np.random.default_rng(seed)
        signal = gaussian_filter(rng.normal(size=rod.shape) * rod, 0.8)
        signal /= signal[rod > 0].std()
        one, two = ((signal + noise * rng.normal(size=rod.shape)).astype(np.float32) for _ in range(2))
        curve = fsc.fsc(transform(one * rod), transform(two * rod))
        record = analyse(one, two, VOXEL_A, rod, "rod", curve).record
        below += record.cfar < record.cfar_by_chance
    assert below <= 1


def test_the_b_factor_is_the_one_that_was_put_in() -> None:
    b_factor_A2 = 90.0
    gain = 30 * np.exp(-b_factor_A2 / 4 * (radius_of(BOX) / (BOX * VOXEL_A)) ** 2)
    one, two = a_pair(gain, noise=0.5)
    halves = transform(one), transform(two)
    line = guinier(shell_sums(*halves), voxels_in_shell(BOX), fsc.fsc(*halves), FREQUENCY, 2 * VOXEL_A)
    assert line.b_factor_A2 == pytest.approx(b_factor_A2, rel=0.05)
    assert line.fit > 0.95
    assert guinier(shell_sums(*halves), voxels_in_shell(BOX), fsc.fsc(*halves), FREQUENCY, 9.0) is None


def test_a_sharpened_map_has_the_weighted_amplitudes() -> None:
    one, two = a_pair(2.0 * np.exp(-((radius_of(BOX) / 14) ** 2)))
    halves = transform(one), transform(two)
    curve = fsc.fsc(*halves)
    made = fft.rfftn(sharpened(*halves, curve, VOXEL_A, 100.0, 6.0))
    whole = fft.rfftn((one + two) / 2)
    gain = fsc_weight(curve) * np.exp(25.0 * FREQUENCY**2)
    for place, shell in (((5, 0, 0), 5), ((0, 9, 0), 9), ((0, 0, 12), 12)):
        assert abs(made[place]) == pytest.approx(gain[shell] * abs(whole[place]), rel=2e-3)
    assert np.abs(made[radius_of(BOX) > 96 / 6 + 3]).max() < 1e-3 * np.abs(made).max()


def test_the_weight_is_the_root_of_2f_over_1_plus_f() -> None:
    np.testing.assert_allclose(fsc_weight(np.array([1.0, 1 / 3, 0.0, -0.5, np.nan])), [1, np.sqrt(0.5), 0, 0, 0])


@pytest.mark.relion
def test_the_b_factor_is_relion_s(tmp_path: Path) -> None:
    gain = 20 * np.exp(-80.0 / 4 * (radius_of(BOX) / (BOX * VOXEL_A)) ** 2)
    one, two = a_pair(gain, noise=1.5)
    for number, half in ((1, one), (2, two)):
        write_map(tmp_path / f"half{number}_class001_unfil.mrc", Map(half, VOXEL_A), "test")
    command = ["relion_postprocess", "--i", "half1_class001_unfil.mrc", "--o", "post", "--angpix", f"{VOXEL_A}"]
    # It fits, writes its table, and then may fail to draw the plots.
    subprocess.run([*command, "--auto_bfac", "--autob_lowres", "10"], cwd=tmp_path, check=False, capture_output=True)
    text = (tmp_path / "post.star").read_text()
    theirs = float(next(line.split()[1] for line in text.splitlines() if "rlnBfactorUsedForSharpening" in line))
    halves = transform(one), transform(two)
    curve = fsc.fsc(*halves)
    finest_A = float(next(line.split()[1] for line in text.splitlines() if "rlnFinalResolution" in line))
    line = guinier(shell_sums(*halves), voxels_in_shell(BOX), curve, FREQUENCY, finest_A)
    assert line.b_factor_A2 == pytest.approx(-theirs, rel=0.05)
