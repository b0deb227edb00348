"""FSC, its randomised FSC and its error against the definitions written out in full."""

from functools import cache
from unittest.mock import patch

import numpy as np
import pytest
import scipy.fft
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from refine_hooks import fsc, masks
from refine_hooks.fourier import extent, shell_frequency_per_A, shell_sums, transform, voxels_in_shell
from refine_hooks.fsc import packed
from refine_hooks.fsc.randomised import randomised, randomised_sums, randomised_wide, steady_planes


@cache
def shells_of(box_px: int) -> NDArray[np.int64]:
    k = np.fft.fftfreq(box_px) * box_px
    z, y, x = np.meshgrid(k, k, k, indexing="ij")
    return np.floor(np.sqrt(z**2 + y**2 + x**2) + 0.5).astype(int)


def definition(one: NDArray[np.floating], two: NDArray[np.floating]) -> NDArray[np.float64]:
    """FSC over the whole transform, in float64."""
    f1, f2 = scipy.fft.fftn(one.astype(float)), scipy.fft.fftn(two.astype(float))
    products = ((f1 * f2.conj()).real, f1.real**2 + f1.imag**2, f2.real**2 + f2.imag**2)
    shells, last = shells_of(len(one)).ravel(), len(one) // 2
    cross, power1, power2 = (np.bincount(shells, product.ravel())[: last + 1] for product in products)
    return cross / np.sqrt(power1 * power2)


def a_pair(box_px: int, seed: int, noise: float = 1.0) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    rng = np.random.default_rng(seed)
    signal = rng.normal(size=(box_px,) * 3)
    one, two = ((signal + noise * rng.normal(size=signal.shape)).astype(np.float32) for _ in range(2))
    return one, two


def a_mask(box_px: int, seed: int) -> NDArray[np.float32]:
    """Soft, off the centre, in a corner of its own."""
    rng = np.random.default_rng(seed)
    centre, reach = rng.uniform(0.3, 0.7, 3) * box_px, rng.uniform(0.15, 0.35) * box_px
    z, y, x = np.indices((box_px,) * 3)
    distance = np.sqrt((z - centre[0]) ** 2 + (y - centre[1]) ** 2 + (x - centre[2]) ** 2)
    return masks.cosine_edge((distance - reach).astype(np.float32), 4.0)


@settings(max_examples=25, deadline=None)
@given(box_px=st.integers(8, 33), seed=st.integers(0, 2**32 - 1))
def test_the_fsc_is_that_of_the_whole_transform_in_even_and_odd_boxes(box_px: int, seed: int) -> None:
    one, two = a_pair(box_px, seed)
    np.testing.assert_allclose(fsc.fsc(transform(one), transform(two)), definition(one, two), atol=2e-6)


@settings(max_examples=25, deadline=None)
@given(box_px=st.integers(12, 33), seed=st.integers(0, 2**32 - 1))
def test_the_masked_fsc_is_that_of_the_multiplied_maps(box_px: int, seed: int) -> None:
    one, two = a_pair(box_px, seed)
    mask = a_mask(box_px, seed)
    found, wanted = fsc.masked_fsc(one, two, mask), definition(one * mask, two * mask)
    few = box_px // 3
    np.testing.assert_allclose(fsc.masked_fsc(one, two, mask, last=few), found[: few + 1], atol=1e-6)
    np.testing.assert_allclose(found[1:], wanted[1:], atol=1e-5)
    # Shell 0 is one coefficient in float32: the sum of voxels that may all but cancel.
    cancelled = max(np.abs(half * mask).sum() / np.abs((half * mask).sum(dtype=float)) for half in (one, two))
    assert found[0] == pytest.approx(wanted[0], abs=1e-4 + 1e-6 * cancelled)
    assert np.all(np.abs(found) <= 1)


@pytest.mark.parametrize("box_px", [7, 8, 15, 16, 30])
def test_shells_are_counted_over_the_full_transform(box_px: int) -> None:
    shells = shells_of(box_px)
    assert voxels_in_shell(box_px).tolist() == [int(np.sum(shells == k)) for k in range(box_px // 2 + 1)]


@pytest.mark.parametrize("box_px", [15, 16])
def test_a_transform_is_scipy_s_and_comes_back(box_px: int) -> None:
    volume, _ = a_pair(box_px, 3)
    half = transform(volume)
    np.testing.assert_allclose(half, np.fft.rfftn(volume), rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(np.fft.irfftn(half, volume.shape, axes=(0, 1, 2)), volume, atol=1e-5)


def test_frequencies_are_those_of_the_shells() -> None:
    np.testing.assert_allclose(shell_frequency_per_A(10, 2.0), np.arange(6) / 20)


def test_a_mask_s_extent_is_its_smallest_box_and_its_sums() -> None:
    mask = np.zeros((12,) * 3, np.float32)
    mask[2:5, 3, 4:9] = 0.5
    found = extent(mask)
    assert found.box == (slice(2, 5), slice(3, 4), slice(4, 9))
    assert (found.total, found.squares) == (7.5, 3.75)
    assert extent(np.zeros((4,) * 3, np.float32)).box is None


@pytest.mark.parametrize("constant", [0.0, 3.0])
def test_a_shell_without_power_is_undefined_and_never_infinite(constant: float) -> None:
    flat = np.full((8,) * 3, constant, np.float32)
    values = fsc.fsc(transform(flat), transform(flat))
    assert not np.isfinite(values[2:]).any() or np.all(np.abs(values[np.isfinite(values)]) <= 1 + 1e-6)


def brute_randomised(
    one: NDArray[np.float32], two: NDArray[np.float32], mask: NDArray[np.float32], onset: int, repeats: int
) -> NDArray[np.float64]:
    """Curves of halves whose phases from the onset on are random and Hermitian, then masked: the definition."""
    rng = np.random.default_rng(99)
    beyond = shells_of(len(one))[..., : len(one) // 2 + 1] >= onset
    transforms = [scipy.fft.rfftn(half) for half in (one, two)]
    curves = []
    for _ in range(repeats):
        randomised = []
        for f in transforms:
            phases = scipy.fft.rfftn(rng.standard_normal(one.shape, np.float32))
            drawn = np.where(beyond, np.abs(f) * (phases / np.abs(phases)), f)
            randomised.append(scipy.fft.irfftn(drawn, s=one.shape) * mask)
        curves.append(definition(*randomised))
    return np.array(curves)


@pytest.mark.parametrize("box_px", [24, 25])
def test_the_randomised_fsc_is_that_of_many_brute_randomisations(box_px: int) -> None:
    one, two = a_pair(box_px, 5, noise=0.7)
    mask, onset = a_mask(box_px, 8), 5
    brute = brute_randomised(one, two, mask, onset, 400)
    found = randomised((transform(one), transform(two)), mask, onset, 200, 1)
    error = brute.std(axis=0) / np.sqrt(400) + found.sd / np.sqrt(200)
    assert np.all(np.abs(found.mean - brute.mean(axis=0))[1:] < 4.5 * error[1:] + 2e-3)
    np.testing.assert_allclose(found.sd[onset + 2 :], brute.std(axis=0)[onset + 2 :], rtol=0.3)


@pytest.mark.parametrize("box_px", [16, 17])
def test_two_pairs_give_the_sums_of_each_first_half_with_each_second_one(box_px: int) -> None:
    mask = a_mask(box_px, 8)
    box = extent(mask).box
    assert box is not None
    pairs = [a_pair(box_px, seed) for seed in (1, 2)]
    planes = [packed.masked(*pair, mask, box) for pair in pairs]
    (found,) = packed.summed(planes, box[0], *packed.shell_work(box_px))
    for sums, (one, two) in zip(packed.sums_of_two_pairs(found), ((0, 0), (1, 1), (0, 1), (1, 0)), strict=True):
        wanted = shell_sums(transform(pairs[one][0] * mask), transform(pairs[two][1] * mask))
        for name in ("cross", "power1", "power2"):
            largest = np.abs(getattr(wanted, name)).max()
            np.testing.assert_allclose(getattr(sums, name), getattr(wanted, name), rtol=1e-4, atol=1e-6 * largest)


@pytest.mark.parametrize("reach", [0.12, 0.3], ids=["several places", "one place"])
def test_no_two_repeats_of_a_randomised_fsc_are_correlated(reach: float) -> None:
    box_px, onset, repeats = 32, 4, 10
    z, y, x = np.indices((box_px,) * 3) - box_px // 2 + 0.5
    mask = masks.cosine_edge((np.sqrt(z**2 + y**2 + x**2) - reach * box_px).astype(np.float32), 3.0)
    box = extent(mask).box
    assert box is not None
    assert (2 * (box[0].stop - box[0].start) <= box_px) == (reach < 0.2)
    one, two = a_pair(box_px, 5, noise=0.7)
    halves = transform(one), transform(two)
    low = packed.middle(steady_planes(halves, onset, box, box_px), onset)
    beyond = slice(onset + 4, None)
    curves = [
        [fsc.correlation(sums)[beyond] for sums in randomised_sums(halves, mask, onset, repeats, seed, box, low)]
        for seed in range(0, 1000, 10)
    ]
    spread = np.array(curves) - np.mean(curves, axis=(0, 1))
    together = np.einsum("sik,sjk->ijk", spread, spread) / len(curves) / np.mean(spread**2, axis=(0, 1))
    apart = ~np.eye(repeats, dtype=bool)
    # Each figure is the mean of 100 products with a standard deviation of 1; neighbouring shells hang together.
    assert np.abs(together[apart].mean(axis=1)).max() < 0.25
    assert abs(together[apart].mean()) < 0.02
    np.testing.assert_allclose(together[~apart].mean(axis=1), 1, atol=0.2)


def test_five_repeats_tell_the_spread_at_every_shell() -> None:
    one, two = a_pair(32, 5, noise=0.7)
    mask, onset = a_mask(32, 8), 4
    beyond = slice(onset + 2, None)
    true = randomised((transform(one), transform(two)), mask, onset, 400, 1).sd[beyond]
    ratios = [
        randomised((transform(one), transform(two)), mask, onset, 5, seed).sd[beyond] / true for seed in range(50, 80)
    ]
    assert np.min(ratios) > 0.5
    assert np.max(ratios) < 1.6
    assert np.mean(ratios) == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize(("last", "coarser_px"), [(20, 64), (10, 48)], ids=["in its box", "in a coarser box"])
def test_what_a_mask_carries_may_be_measured_up_to_a_shell_only(last: int, coarser_px: int) -> None:
    one, two = a_pair(64, 5, noise=0.7)
    mask, onset = a_mask(64, 16), 4
    with patch.object(packed, "remasked", wraps=packed.remasked) as remasked:
        randomised((transform(one), transform(two)), mask, onset, 2, 7, last_shell=last)
    assert {call.args[0].shape[1] for call in remasked.call_args_list} == {coarser_px}
    halves = transform(one), transform(two)
    true = randomised(halves, mask, onset, 100, 1)
    found, short = (randomised(halves, mask, onset, 20, 7, last_shell=up_to) for up_to in (None, last))
    np.testing.assert_allclose(short.mean[: last + 1], found.mean[: last + 1], atol=2e-5)
    np.testing.assert_array_equal(short.mean[last + 1 :], 0)
    assert np.abs(found.mean[last + 1 :]).max() < 1e-3
    np.testing.assert_allclose(short.sd[: last - 3], found.sd[: last - 3], rtol=0.02)
    np.testing.assert_allclose(short.sd[last + 1 :], true.sd[last + 1 :], rtol=0.25)


@pytest.mark.parametrize("axis", [0, 2])
def test_a_mask_of_one_plane_is_not_taken_in_a_coarser_box(axis: int) -> None:
    one, two = a_pair(64, 5, noise=0.7)
    mask = np.zeros((64, 64, 64), np.float32)
    np.moveaxis(mask, axis, 0)[-1] = 1
    halves = transform(one), transform(two)
    found, short = (randomised(halves, mask, 4, 2, 7, last_shell=up_to) for up_to in (None, 12))
    np.testing.assert_allclose(short.mean[:13], found.mean[:13], atol=1e-5)


def test_what_a_hard_mask_carries_is_measured_to_the_end() -> None:
    z, y, x = np.indices((64,) * 3) - 32
    strong = 300 * np.exp(-(z**2 + y**2 + x**2) / 100).astype(np.float32)
    one, two = (half + strong for half in a_pair(64, 5))
    mask = np.zeros((64,) * 3, np.float32)
    mask[25:39, 27:37, 12:52] = 1
    halves = transform(one), transform(two)
    whole, short = (randomised(halves, mask, 6, 4, 7, last_shell=up_to) for up_to in (None, 14))
    assert whole.mean[20:].max() > 0.05
    np.testing.assert_array_equal(short.mean, whole.mean)
    np.testing.assert_array_equal(short.sd, whole.sd)


def test_the_randomised_fsc_leaves_what_is_below_the_onset_and_repeats_itself() -> None:
    one, two = a_pair(24, 5)
    mask = np.ones((24,) * 3, np.float32)
    halves = transform(one), transform(two)
    found, again = (randomised(halves, mask, 6, 5, 42) for _ in range(2))
    np.testing.assert_allclose(found.mean[:6], fsc.fsc(*halves)[:6], atol=1e-5)
    np.testing.assert_array_equal(found.mean, again.mean)
    np.testing.assert_array_equal(found.sd, again.sd)
    assert not np.array_equal(found.sd, randomised(halves, mask, 6, 5, 43).sd)


def test_the_correction_takes_the_randomised_fsc_out_from_two_shells_past_the_onset() -> None:
    masked = np.array([1.0, 0.9, 0.8, 0.7, 0.6, 0.5])
    mean = np.full(6, 0.2)
    np.testing.assert_allclose(fsc.corrected(masked, mean, 2), [1, 0.9, 0.8, 0.7, 0.5, 0.375])


def test_the_onset_is_the_first_shell_below_the_level() -> None:
    assert fsc.onset(np.array([0.1, 0.9, 0.79, 0.95]), 0.8) == 2
    assert fsc.onset(np.array([0.1, 0.9, 0.85]), 0.8) is None
    assert fsc.onset(np.array([0.1, 0.9, 0.79, np.nan]), 0.8) == 2


def test_the_onset_is_neither_a_dip_before_strong_signal_nor_behind_a_lone_spike() -> None:
    dip = np.array([1.0, 0.3, 0.95, 0.97, 0.9, 0.7, 0.85, 0.2, 0.1, 0.9, 0.0])
    assert fsc.onset(dip, 0.8) == 5
    two = np.array([1.0, 0.95, 0.4, 0.5, 0.9, 0.9, 0.3, 0.2])
    assert fsc.onset(two, 0.8) == 6


def test_the_mean_of_the_randomised_fsc_does_not_depend_on_the_seed_under_a_tight_mask() -> None:
    box_px, onset = 48, 6
    z, y, x = np.indices((box_px,) * 3) - box_px // 2
    distance = np.maximum(np.hypot(z, y) - 4, np.abs(x) - 18).astype(np.float32)
    mask = masks.cosine_edge(distance, 2.0)
    rng = np.random.default_rng(3)
    k = np.fft.fftfreq(box_px) * box_px
    decay = 1 + 400 * np.exp(-(k[:, None, None] ** 2 + k[:, None] ** 2 + k**2) / 18)
    signal = np.fft.ifftn(np.fft.fftn(rng.normal(size=mask.shape)) * decay).real * mask
    one, two = ((signal + 3 * rng.normal(size=mask.shape)).astype(np.float32) for _ in range(2))
    found = [randomised((transform(one), transform(two)), mask, onset, 5, seed).mean for seed in (1, 2)]
    np.testing.assert_array_equal(*found)
    brute = brute_randomised(one, two, mask, onset, 100).mean(axis=0)
    tested = slice(onset + 2, onset + 12)
    assert brute[tested].max() > 0.5
    np.testing.assert_allclose((1 - found[0][tested]) / (1 - brute[tested]), 1, atol=0.06)


@pytest.mark.parametrize("box_px", [48, 49])
def test_a_sphere_is_corrected_by_what_draws_of_its_phases_give(box_px: int) -> None:
    one, two = a_pair(box_px, 5, noise=2.0)
    k = np.fft.fftfreq(box_px) * box_px
    decay = np.exp(-(k[:, None, None] ** 2 + k[:, None] ** 2 + k**2) / 60)
    rng = np.random.default_rng(0)
    sphere = masks.sphere(box_px, 2.0, 20.0, 4.0)
    common = (
        60 * np.fft.ifftn(np.fft.fftn(rng.normal(size=one.shape)) * decay).real * masks.sphere(box_px, 2.0, 16.0, 4.0)
    )
    halves = tuple(transform((half + common).astype(np.float32)) for half in (one, two))
    onset = 8
    drawn = randomised((halves[0], halves[1]), sphere, onset, 40, 1)
    found = randomised_wide(
        (halves[0], halves[1]),
        lambda box: masks.sphere(box, 2.0 * box_px / box, 20.0, 4.0),
        onset,
        16,
        correlated=fsc.correlated_voxels(sphere),
    )
    assert drawn.mean[onset + 2] > 0.1
    np.testing.assert_allclose(found.mean[onset:15], drawn.mean[onset:15], atol=0.01)
    np.testing.assert_allclose(found.sd[onset + 4 :], drawn.sd[onset + 4 :], rtol=0.25)


@pytest.mark.parametrize("level", [0.0, 0.6])
def test_the_stated_standard_deviation_is_that_of_fresh_noise(level: float) -> None:
    box_px, mask = 40, a_mask(40, 4)
    rng = np.random.default_rng(0)
    signal = rng.normal(size=mask.shape) * np.sqrt(level / (1 - level))
    curves = []
    for _ in range(80):
        one, two = ((signal + rng.normal(size=signal.shape)).astype(np.float32) for _ in range(2))
        curves.append(fsc.masked_fsc(one, two, mask))
    seen, mean = np.std(curves, axis=0), np.mean(curves, axis=0)
    stated = fsc.sampling_sd(mean, voxels_in_shell(box_px), fsc.correlated_voxels(mask))
    assert np.median((seen / stated)[6:]) == pytest.approx(1.0, abs=0.1)


def test_without_a_mask_every_coefficient_is_independent() -> None:
    assert fsc.correlated_voxels(np.ones((32,) * 3, np.float32)) == pytest.approx(1.0)
