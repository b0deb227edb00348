import numpy as np
import pytest
from cistem_data import (
    GOLDEN,
    MASS_KDA,
    ROUND2,
    VOXEL_SIZE_A,
    golden_dumps,
    golden_halves,
    golden_map,
    sphere_by_definition,
    sphere_masked,
    squared_distance,
    table,
    unpacked_round2,
)

from refine_hooks.curves import cistem
from refine_hooks.errors import InputError
from refine_hooks.fsc import masked_fsc
from refine_hooks.masks.cistem import apply_mask_soft
from refine_hooks.masks.shapes import sphere
from refine_hooks.sums.cistem import half_maps_from_dumps, read_dump_header

TIGHT = [case for case in GOLDEN if case.name not in {"volume_2_1", "volume_3_1"}]


@pytest.fixture(scope="module")
def round2(tmp_path_factory):
    dumps = unpacked_round2(tmp_path_factory.mktemp("round2"))
    half1, half2, _ = half_maps_from_dumps(*dumps)
    return half1, half2, read_dump_header(dumps[0][0]).last_shell


def assert_printed(curve, path):
    fsc, part = table(path)
    np.testing.assert_allclose(curve.fsc[1:], fsc, atol=1e-5)
    np.testing.assert_allclose(curve.part_fsc[1:], part, atol=1e-5)


def fsc_of(half1: np.ndarray, half2: np.ndarray, voxel_size_A: float) -> np.ndarray:
    """cisTEM's smoothed FSC of two half maps as they are."""
    sums = cistem._summed(*cistem._planes(half1, half2), voxel_size_A)
    return cistem._smoothed(sums, len(half1), voxel_size_A)


def test_scaled_sphere_of_a_binned_round_is_what_merge3d_prints(round2):
    half1, half2, last_shell = round2
    curve = cistem.scaled_sphere(half1.voxels, half2.voxels, VOXEL_SIZE_A, 75, MASS_KDA, last_shell=last_shell)
    assert_printed(curve, ROUND2 / "volume_2_1_stats.txt")
    assert curve.resolution_A == pytest.approx(9.70588, abs=1e-5)
    assert curve.volume_fraction == pytest.approx(0.0672, abs=1e-4)
    np.testing.assert_allclose(curve.frequency_per_A, np.arange(33) / 160)


def test_scaled_sphere_of_written_half_maps_is_what_calculate_fsc_prints(round2):
    written = [sphere_masked(half, 75)[0].voxels for half in round2[:2]]
    assert_printed(cistem.scaled_sphere(*written, VOXEL_SIZE_A, 75, MASS_KDA), ROUND2 / "volume_2_1_sphere75.txt")


@pytest.mark.shared
@pytest.mark.parametrize("case", GOLDEN, ids=lambda c: c.name)
def test_scaled_sphere_of_every_golden_round_is_what_both_programs_print(case, shared, tmp_path):
    dumps = golden_dumps(shared, case)
    half1, half2, _ = half_maps_from_dumps(*dumps)
    last_shell = read_dump_header(dumps[0][0]).last_shell
    curve = cistem.scaled_sphere(
        half1.voxels, half2.voxels, VOXEL_SIZE_A, case.radius_A, MASS_KDA, last_shell=last_shell
    )
    expected = shared / "golden" / "cistem" / "expected"
    assert_printed(curve, expected / f"{case.name}_stats.txt")
    written = golden_halves(shared, case, tmp_path)
    curve = cistem.scaled_sphere(*written, VOXEL_SIZE_A, case.radius_A, MASS_KDA)
    assert_printed(curve, expected / "fsc" / f"{case.name}_sphere{case.radius_A}.txt")


@pytest.mark.shared
@pytest.mark.parametrize("case", TIGHT, ids=lambda c: c.name)
def test_scaled_mask_of_every_golden_round_is_what_calculate_fsc_prints(case, shared, tmp_path):
    half1, half2, _ = half_maps_from_dumps(*golden_dumps(shared, case))
    expected = shared / "golden" / "cistem" / "expected"
    mask = golden_map(expected / "masks" / "tight_mask.mrc", tmp_path)
    curve = cistem.scaled_mask(half1.voxels, half2.voxels, VOXEL_SIZE_A, case.radius_A, mask, MASS_KDA)
    assert_printed(curve, expected / "fsc" / f"{case.name}_tight.txt")


def halves(n, seed=3):
    """Two noisy copies of a blob that sits on a background, so that the mean outside the mask matters."""
    generator = np.random.default_rng(seed)
    blob = 5 * np.exp(-squared_distance(n) / (2 * (n / 8) ** 2)) + 2
    return [(blob + generator.standard_normal((n,) * 3)).astype(np.float32) for _ in range(2)]


def smoothed_fsc_by_definition(half1, half2, voxel_size_A):
    """Every coefficient of the half transform split between two shells, then the smoothing, all written out."""
    n = len(half1)
    f1, f2 = np.fft.rfftn(half1.astype(float)), np.fft.rfftn(half2.astype(float))
    doubled = 2 * (n // 2)
    points = int((n // 2 + 1) * 3**0.5) + 1
    sums = np.zeros((points + 1, 3))
    for iz, iy, kx in np.ndindex(f1.shape):
        kz, ky = (i if 2 * i < n else i - n for i in (iz, iy))
        if not (kx > 0 or kz > 0 or (kz == 0 and ky > 0)):
            continue
        weight = 0.25 if kx == 0 and ky != 0 else 1
        r = doubled * ((kx / n) ** 2 + (ky / n) ** 2 + (kz / n) ** 2) ** 0.5
        a, b = f1[iz, iy, kx], f2[iz, iy, kx]
        terms = weight * np.array([(a * b.conjugate()).real, abs(a) ** 2, abs(b) ** 2])
        sums[int(r)] += (1 - (r - int(r))) * terms
        sums[int(r) + 1] += (r - int(r)) * terms
    cross, power1, power2 = sums[:points].T
    fsc = np.where(power1 * power2 > 0, cross / np.sqrt(np.maximum(power1 * power2, 1e-300)), 0)
    fsc[0] = fsc[1]
    x = np.array([0] + [voxel_size_A * doubled / i for i in range(1, points)])
    window = max(min(int(20 / voxel_size_A + 0.5), points // 10), 5)
    window += 1 - window % 2
    half = window // 2
    fit = np.empty(points)
    for i in range(half, points - half):
        part = slice(i - half, i + half + 1)
        fit[i] = np.polynomial.Polynomial.fit(x[part], fsc[part], 3)(x[i])
    # cisTEM's first window: raw values in its first half, smoothed ones in its second.
    first = np.polynomial.Polynomial.fit(x[:window], np.r_[fsc[:half], fit[half:window]], 3)
    fit[:half] = first(x[:half])
    smooth = fsc * abs(fsc) + fit * (1 - abs(fsc))
    return np.clip(smooth, -1, 1)[: n // 2 + 1]


@pytest.mark.parametrize(("n", "voxel_size_A"), [(16, 1.0), (17, 2.0), (24, 0.5)])
def test_fsc_is_the_one_that_is_written_out(n, voxel_size_A):
    pair = halves(n)
    np.testing.assert_allclose(fsc_of(*pair, voxel_size_A), smoothed_fsc_by_definition(*pair, voxel_size_A), atol=1e-5)


@pytest.mark.parametrize(
    ("n", "radius_A", "hole_A"),
    [(32, 24, 0), (31, 24, 0), (32, 24, 7), (32, 20, 2), (32, 200, 0), (32, 3, 0), (32, 31, 0)],
)
def test_scaled_sphere_is_the_written_out_fsc_of_the_written_out_sphere(n, radius_A, hole_A):
    voxel_size_A = 2.0
    masked = [sphere_by_definition(half, radius_A / 2, hole_A / 2, 5) for half in halves(n)]
    expected = smoothed_fsc_by_definition(masked[0][0], masked[1][0], voxel_size_A)
    curve = cistem.scaled_sphere(*halves(n), voxel_size_A, radius_A, 20, hole_A)
    np.testing.assert_allclose(curve.fsc, expected, atol=1e-5)
    fraction = 20_000 / 0.81 / voxel_size_A**3 / masked[0][1]
    assert curve.volume_fraction == pytest.approx(fraction)
    np.testing.assert_allclose(
        curve.part_fsc, expected / fraction / (1 + (1 / fraction - 1) * abs(expected)), atol=1e-4
    )


def test_the_plain_fsc_and_the_scaled_one_come_from_one_transform():
    pair = halves(32)
    mask = sphere(32, 2.0, 24, 10)
    plain, scaled = cistem.sphere_curves(*pair, 2.0, 24, 20, mask)
    np.testing.assert_allclose(plain, masked_fsc(*pair, mask), atol=1e-6)
    np.testing.assert_array_equal(scaled.part_fsc, cistem.scaled_sphere(*pair, 2.0, 24, 20).part_fsc)


def test_scaled_mask_is_the_written_out_fsc_under_the_soft_mask_after_the_sphere():
    n, voxel_size_A, radius_A = 32, 2.0, 26
    mask = (squared_distance(n) <= 36).astype(np.float32)
    soft = apply_mask_soft(mask, voxel_size_A).astype(float)
    masked = []
    for half in halves(n):
        inside, _ = sphere_by_definition(half, radius_A / 2, 0, 5)
        outside = inside[np.sqrt(squared_distance(n)) > 0.4 * n].mean()
        masked.append(soft * inside + (1 - soft) * outside)
    expected = smoothed_fsc_by_definition(*masked, voxel_size_A)
    curve = cistem.scaled_mask(*halves(n), voxel_size_A, radius_A, mask, 20)
    np.testing.assert_allclose(curve.fsc, expected, atol=1e-5)
    assert curve.mask_volume_voxels == pytest.approx(soft.sum())
    softened = cistem.scaled_mask(*halves(n), voxel_size_A, radius_A, soft.astype(np.float32), 20, softened=True)
    np.testing.assert_array_equal(softened.fsc, curve.fsc)


@pytest.mark.parametrize("fraction", [0.03, 0.3, 1.0, 1.7])
def test_gain_is_the_slope_of_the_scaled_curve(fraction):
    fsc = np.array([-0.9, -0.3, -0.01, 0.004, 0.05, 0.4, 0.99])
    step = 1e-6
    slope = (cistem.part_fsc(fsc + step, fraction) - cistem.part_fsc(fsc - step, fraction)) / (2 * step)
    np.testing.assert_allclose(cistem.gain(fsc, fraction), slope, rtol=1e-5)


def test_a_small_fraction_makes_much_of_little():
    assert cistem.part_fsc(np.array([0.0076]), 0.046)[0] == pytest.approx(0.143, abs=2e-3)
    assert cistem.gain(np.array([0.0]), 0.046)[0] == pytest.approx(1 / 0.046)


@pytest.mark.parametrize(
    ("curve", "expected_A"),
    [
        ([1, 1, 0.9, 0.1, 0.5, 0.1, 0.0, 0.0, 0.0], (16 / 2 + 16 / 3) / 2),
        ([1, 1, 0.9, 0.143, 0.142, 0.5, 0.0, 0.0, 0.0], (16 / 3 + 16 / 4) / 2),
        ([1, 1, 1, 1, 1, 1, 1, 1, 0.0], (16 / 7 + 2) / 2),
        ([1, 1, 1, 1, 1, 1, 1, 1, 1], 2),
        ([1, 0, 0, 0, 0, 0, 0, 0, 0], 8),
    ],
    ids=["first crossing", "at the level", "last shell", "never", "at once"],
)
def test_estimated_resolution_is_the_mean_of_two_shells_at_the_first_crossing(curve, expected_A):
    assert cistem.estimated_resolution(np.array(curve, float), 16, 1.0) == pytest.approx(expected_A)


def test_all_bad_inputs_are_told_at_once():
    half1, half2 = np.zeros((8, 8, 8), np.float32), np.zeros((6, 6, 6), np.float32)
    with pytest.raises(InputError) as caught:
        cistem.scaled_sphere(half1, half2, 0.0, 10, -1)
    assert len(caught.value.faults) == 3


@pytest.mark.parametrize("mask", [np.zeros((8, 8, 8)), np.ones((6, 6, 6)), -np.ones((8, 8, 8))])
def test_a_mask_that_is_empty_or_of_another_shape_is_refused(mask):
    with pytest.raises(InputError, match="fits no map"):
        cistem.scaled_mask(*[np.ones((8, 8, 8), np.float32)] * 2, 1.0, 4, mask.astype(np.float32), 20)


@pytest.mark.parametrize("empty", [(0, 0), (0, 1), (1, 0)])
def test_empty_half_maps_give_finite_curves(empty):
    pair = [half * np.float32(keep) for half, keep in zip(halves(16), empty, strict=True)]
    curve = cistem.scaled_sphere(*pair, 2.0, 12, 20)
    assert np.isfinite(curve.part_fsc).all()
    assert np.abs(curve.fsc).max() <= 1
    if not any(empty):
        assert not curve.fsc.any()
