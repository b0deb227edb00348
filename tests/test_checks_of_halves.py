"""What is looked at in two half maps before a number is read off them; small phantoms of known truth."""

from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray
from panel import Atoms, Case, globule, make, two_bodies
from scipy import fft, ndimage
from scipy.spatial.transform import Rotation

from refine_hooks import fsc
from refine_hooks.analysis.background import solvent_levels
from refine_hooks.analysis.blocks import in_blocks
from refine_hooks.analysis.coarse import middle
from refine_hooks.analysis.duplicates import common_noise, same_voxels, uneven_by_direction, uneven_by_place
from refine_hooks.analysis.fits import TurnFit, fine_shift
from refine_hooks.analysis.masked import masked_before
from refine_hooks.analysis.superposition import Superposition, superposition
from refine_hooks.files.mrc import Map
from refine_hooks.fourier import transform, voxels_in_shell
from refine_hooks.log.checks import magnified, unlike
from refine_hooks.log.signal import most_negative
from refine_hooks.masks import sphere
from refine_hooks.measure import measure_halves
from refine_hooks.measure.checks import _against_program
from refine_hooks.measure.pair import Pair, prepared
from refine_hooks.model import Facts, FscCurve, HalfMaps
from refine_hooks.settings import Settings

N = 48
Volume = NDArray[np.float32]


def particle(turn_deg: float = 0.0, mirror: bool = False) -> NDArray[np.float64]:
    """Blobs in an elongated body with an arm, off centre: no symmetry, and a hand."""
    rng = np.random.default_rng(7)
    points = rng.normal(size=(900, 3))
    points /= np.linalg.norm(points, axis=1)[:, None]
    points *= rng.random(len(points))[:, None] ** (1 / 3) * np.array([14, 6, 5])
    points[:220] += np.array([1, 6, 2])
    if mirror:
        points = points * np.array([1, 1, -1])
    points = points @ Rotation.from_rotvec(np.deg2rad(turn_deg) * np.array([0.6, 0.48, 0.64])).as_matrix().T
    # On a finer grid, so that a turn of a few degrees is not lost in the voxels.
    counts, _ = np.histogramdd(points + N / 2, [np.arange(2 * N + 1) / 2 - 0.25] * 3)
    return np.asarray(ndimage.gaussian_filter(counts, 2.6)[::2, ::2, ::2]) * 40


def halves(
    first: NDArray[np.float64], second: NDArray[np.float64], noise: float = 1.5, seed: int = 1
) -> tuple[Volume, Volume]:
    rng = np.random.default_rng(seed)
    one, two = ((s / s.std() * 0.5 + noise * rng.standard_normal(s.shape)).astype(np.float32) for s in (first, second))
    return one, two


def laid(one: Volume, two: Volume) -> Superposition:
    found = superposition((transform(one), transform(two)), len(one))
    assert found is not None
    return found


def moved(volume: NDArray[np.float64], z: float, y: float, x: float) -> NDArray[np.float64]:
    return np.asarray(fft.ifftn(ndimage.fourier_shift(fft.fftn(volume), (z, y, x))).real)


# --- superposition ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_halves_that_lie_on_each_other_are_left_alone(seed: int) -> None:
    found = laid(*halves(particle(), particle(), seed=seed))
    assert (found.mirrored, found.inverted, found.turned_deg) == (False, False, 0)
    assert np.linalg.norm(found.shift_px) < max(0.15, 4 * found.shift_sd_px)


@pytest.mark.parametrize("shift", [(0.0, 0.0, 0.25), (0.2, -0.3, 0.5), (3.0, 0.0, -2.0), (24.0, 24.0, 24.0)])
def test_the_shift_of_a_half_is_found_within_its_error(shift: tuple[float, float, float]) -> None:
    found = laid(*halves(particle(), moved(particle(), *shift), noise=0.8))
    apart = (np.array(found.shift_px[::-1]) - shift + N / 2) % N - N / 2
    assert np.abs(apart).max() < 0.05 + 3 * found.shift_sd_px
    assert (found.mirrored, found.turned_deg) == (False, 0)


def test_a_smooth_rod_is_not_called_shifted_along_itself() -> None:
    z, y, x = np.indices((32,) * 3) - 16
    rod = ndimage.gaussian_filter(((np.abs(z) < 12) & (np.hypot(y, x) < 3)).astype(float), 1.2)
    scores = []
    for seed in range(24):
        one, two = (transform(half) for half in halves(rod, rod, noise=2.0, seed=seed))
        shift, sd = fine_shift(one, two, 32, np.zeros(3))
        scores.append(np.linalg.norm(shift) / sd)
    assert max(scores) < 4


def test_the_other_hand_is_named() -> None:
    one, two = halves(particle(), particle(), noise=0.5)
    for other in (two[::-1], two[:, :, ::-1], two[::-1, ::-1, ::-1]):
        assert laid(one, np.ascontiguousarray(other)).mirrored


def test_the_other_contrast_is_named() -> None:
    one, two = halves(particle(), particle())
    found = laid(one, -two)
    assert (found.mirrored, found.inverted, found.turned_deg) == (False, True, 0)


@pytest.mark.parametrize("degrees", [3.0, 8.0, 20.0])
def test_the_angle_between_turned_halves_is_found(degrees: float) -> None:
    found = laid(*halves(particle(), particle(turn_deg=degrees), noise=0.8))
    assert found.turned_deg == pytest.approx(degrees, abs=max(1.0, 0.2 * degrees))


@pytest.mark.parametrize("factor", [0.98, 1.0, 1.01, 1.03])
def test_how_much_larger_one_half_is_is_found_within_its_error(factor: float) -> None:
    one, two = halves(particle(), particle(), noise=0.3)
    matrix, middle = np.eye(3) / factor, np.full(3, N // 2)
    larger = ndimage.affine_transform(two, matrix, middle - matrix @ middle, order=3, mode="grid-wrap")
    found = laid(one, two if factor == 1 else larger)
    assert found.larger is not None
    assert found.larger_sd is not None
    assert found.larger_sd < 0.003
    assert found.larger == pytest.approx(factor - 1, abs=3 * found.larger_sd + 0.1 * abs(factor - 1))
    assert magnified(found.larger, found.larger_sd) == (factor != 1)
    assert found.turned_deg == 0


def test_halves_turned_by_a_right_angle_are_named() -> None:
    one, two = halves(particle(), particle())
    found = laid(one, np.ascontiguousarray(np.rot90(two, 1, (1, 2))))
    assert found.turned_deg == pytest.approx(90)
    assert not found.mirrored


def test_halves_turned_by_any_angle_are_named() -> None:
    found = laid(*halves(particle(), particle(turn_deg=70), noise=0.8))
    assert found.turned_deg == pytest.approx(70, abs=15)


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("shape", [globule(22), two_bodies(16, 8)], ids=["globule", "two bodies"])
def test_the_hand_of_halves_that_are_turned_far_is_told(
    shape: Callable[[np.random.Generator], Atoms], mirrored: bool
) -> None:
    truth = make(Case("turned", shape, 32, 2.6, 8.0, seed=2))
    other = truth.half2[:, :, ::-1] if mirrored else truth.half2
    found = laid(truth.half1, ndimage.rotate(other, 40, axes=(0, 2), reshape=False, order=3, mode="wrap"))
    assert found.mirrored == mirrored
    assert mirrored or found.turned_deg == pytest.approx(40, abs=3)


def test_of_a_particle_that_is_its_own_mirror_image_the_hand_is_not_claimed() -> None:
    z, y, x = np.indices((N,) * 3) - N // 2
    block = ndimage.gaussian_filter(((np.abs(z) < 14) & (np.abs(y) < 7) & (np.abs(x) < 4)).astype(float), 1.0)
    turned = ndimage.rotate(block, 40, axes=(0, 2), reshape=False, order=3)
    found = laid(*halves(block, turned, noise=0.5))
    assert found.mirrored is None
    assert found.turned_deg == pytest.approx(40, abs=3)


def test_noise_that_makes_the_normal_matrix_singular_makes_no_turn() -> None:
    z, y, x = np.indices((32,) * 3) - 16
    lump = np.exp(-(z**2 + (y / 1.2) ** 2 + x**2) / 32)
    for seed in range(8):
        one, two = (middle(transform(half), 32) for half in halves(lump, lump, noise=2.0, seed=seed))
        covariance = TurnFit(one, two, 32).solved(np.zeros(3)).covariance
        assert np.linalg.eigvalsh(covariance[3:6, 3:6])[0] > 0
        assert np.linalg.cond(covariance) < 1e20


def test_halves_of_noise_alone_lie_nowhere() -> None:
    rng = np.random.default_rng(3)
    one, two = (rng.standard_normal((N, N, N)).astype(np.float32) for _ in range(2))
    assert superposition((transform(one), transform(two)), N) is None


# --- masked before ----------------------------------------------------------------------------------------------------


def tight_mask(edge: float = 1.5) -> NDArray[np.float64]:
    blurred = ndimage.gaussian_filter(particle(), 2.0)
    return np.asarray(ndimage.gaussian_filter((blurred > 0.1 * blurred.max()).astype(float), edge).clip(0, 1))


def resampled(volume: NDArray[np.float64]) -> NDArray[np.float64]:
    whole, cut = fft.fftshift(fft.fftn(volume)), 6
    return np.asarray(fft.ifftn(fft.ifftshift(whole[cut:-cut, cut:-cut, cut:-cut])).real)


@dataclass(frozen=True)
class Before:
    name: str
    mask: NDArray[np.float64]
    moved: bool = False
    resampled: bool = False
    kept: float = 0.0


@pytest.mark.parametrize(
    "case",
    [
        Before("hard", (tight_mask() > 0.3).astype(float)),
        Before("soft", tight_mask()),
        Before("Gaussian edge", tight_mask(4.0)),
        Before("masked, then moved", tight_mask(), moved=True),
        Before("masked, then resampled", tight_mask(), resampled=True),
        Before("a millionth left outside", tight_mask(), kept=1e-6),
        Before("a hundredth of the power left outside", tight_mask(), kept=0.1),
    ],
    ids=lambda case: case.name,
)
def test_halves_that_were_masked_before_are_found_by_their_noise(case: Before) -> None:
    masked = [half * (case.kept + (1 - case.kept) * case.mask) for half in halves(particle(), particle())]
    if case.moved:
        masked = [moved(half, 0.3, 0.3, 0.3) for half in masked]
    if case.resampled:
        masked = [resampled(half) for half in masked]
    one, two = (half.astype(np.float32) for half in masked)
    found = masked_before(in_blocks(one, two))
    assert found is not None
    assert found.kind == "mask"


def test_one_half_that_was_masked_alone_is_found() -> None:
    one, two = halves(particle(), particle())
    found = masked_before(in_blocks(one, (two * tight_mask()).astype(np.float32)))
    assert found is not None
    assert found.kind == "mask"


@pytest.mark.parametrize(
    ("radius_px", "kind"), [(22.0, "inscribed_sphere"), (24.0, "inscribed_sphere"), (20.0, "sphere"), (14.0, "sphere")]
)
def test_a_sphere_is_told_from_a_mask(radius_px: float, kind: str) -> None:
    ball = sphere(N, 1.0, radius_px, 3.0)
    one, two = (half * ball for half in halves(particle(), particle()))
    found = masked_before(in_blocks(one, two))
    assert found is not None
    assert found.kind == kind


@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_uneven_noise_is_no_mask(offset: float) -> None:
    uneven = np.sqrt(8 ** np.linspace(0, 1, N))[:, None, None].astype(np.float32)
    one, two = (half * uneven + np.float32(offset) for half in halves(particle(), particle()))
    found = masked_before(in_blocks(one, two))
    assert found is not None
    assert found.kind == "none"


def test_identical_halves_have_no_noise_to_tell_by() -> None:
    one, _ = halves(particle(), particle())
    assert masked_before(in_blocks(one, one)) is None


def measured(one: Volume, two: NDArray[np.floating]) -> Pair:
    made = [Map(np.asarray(half, np.float32), 2.0) for half in (one, two)]
    return prepared(HalfMaps(made[0], made[1], "found"), Facts(), Settings())


def test_a_half_that_was_filtered_alone_is_no_masked_one() -> None:
    one, two = halves(particle(), particle())
    for half in (ndimage.gaussian_filter(two, 1.0, mode="wrap"), ndimage.gaussian_filter(two, 2.0, mode="wrap")):
        pair = measured(one, half)
        assert pair.masked_before is not None
        assert pair.masked_before.kind == "none"
        assert pair.power_ratio is not None
        assert pair.power_ratio.value < 0.01
        assert unlike(pair.power_ratio.value)
    pair = measured(one, ndimage.gaussian_filter(two, 1.0, mode="wrap") * tight_mask())
    assert pair.masked_before is not None
    assert pair.masked_before.kind == "mask"


def test_a_part_that_is_the_same_in_both_halves_is_found() -> None:
    one, two = halves(particle(), particle(), noise=0.05)
    part = two.copy()
    part[20:32, 20:32, 20:32] = one[20:32, 20:32, 20:32]
    assert same_voxels(in_blocks(one, two)) == 0
    assert same_voxels(in_blocks(one, part)) > (9 / N) ** 3 / 2
    assert same_voxels(in_blocks(*(np.asarray(h * tight_mask(), np.float32) for h in (one, two)))) == 0


def test_halves_of_uneven_shares_of_the_particles_have_the_same_spectrum() -> None:
    rng = np.random.default_rng(3)
    ours = particle() / particle().std()
    one, two = (ours + noise * rng.standard_normal(ours.shape) for noise in (1.0, 1.5))
    pair = measured(one.astype(np.float32), two)
    assert pair.power_ratio is not None
    assert pair.power_ratio.value > 1.5
    assert not unlike(pair.power_ratio.value)


# --- background -------------------------------------------------------------------------------------------------------


def test_the_solvents_level_is_that_of_each_half() -> None:
    one, two = halves(particle(), particle())
    blocks = in_blocks(one + np.float32(300), two - np.float32(20))
    assert solvent_levels(blocks, masked_before(blocks)) == pytest.approx((300, -20), abs=0.1)


def test_under_a_sphere_the_level_is_that_of_the_solvent_inside() -> None:
    ball = sphere(N, 1.0, 21.0, 3.0)
    one, two = ((half + np.float32(50)) * ball for half in halves(particle(), particle()))
    blocks = in_blocks(one, two)
    assert solvent_levels(blocks, masked_before(blocks)) == pytest.approx((50, 50), abs=0.3)


# --- common noise -----------------------------------------------------------------------------------------------------


def floor(one: Volume, two: Volume, correlated: float = 1.0) -> tuple[float, float, bool]:
    both = transform(one), transform(two)
    found = common_noise(fsc.fsc(*both), voxels_in_shell(N), 10.0, N // 2, correlated)
    assert found is not None
    return found.value, found.sd, found.flat


def test_the_floor_of_the_fsc_is_the_share_of_noise_in_both_halves() -> None:
    rng = np.random.default_rng(5)
    own, other, common = (rng.standard_normal((N, N, N)).astype(np.float32) for _ in range(3))
    one, two = (np.sqrt(np.float32(0.95)) * half + np.sqrt(np.float32(0.05)) * common for half in (own, other))
    value, sd, flat = floor(one, two)
    assert value == pytest.approx(0.05, abs=3 * sd)
    assert value > 6 * sd
    assert flat


def test_independent_halves_have_no_floor() -> None:
    scores = []
    for seed in range(12):
        rng = np.random.default_rng(seed)
        one, two = (rng.standard_normal((N, N, N)).astype(np.float32) for _ in range(2))
        value, sd, _ = floor(one, two)
        scores.append(value / sd)
    assert np.abs(scores).max() < 3.2
    assert 0.5 < np.std(scores) < 1.6


def test_uneven_noise_makes_the_floor_less_certain() -> None:
    rng = np.random.default_rng(5)
    uneven = np.sqrt(8 ** np.linspace(0, 1, N))[:, None, None].astype(np.float32)
    one, two = (rng.standard_normal((N, N, N)).astype(np.float32) for _ in range(2))
    assert uneven_by_place(in_blocks(one, two)) == pytest.approx(1.0, abs=0.1)
    power = 8 ** np.linspace(0, 1, N)
    expected = float(np.mean(power**2) / np.mean(power) ** 2)
    assert uneven_by_place(in_blocks(one * uneven, two * uneven)) == pytest.approx(expected, rel=0.1)


def test_noise_of_one_direction_makes_the_floor_less_certain() -> None:
    rng = np.random.default_rng(5)
    whole = [fft.rfftn(rng.standard_normal((N, N, N)).astype(np.float32)) for _ in range(2)]
    along = np.abs(np.fft.fftfreq(N) * N) > 12
    one, two = (half * (1 + 4 * along[:, None, None]) for half in whole)
    assert uneven_by_direction(*whole, (14, 22)) == pytest.approx(1.0, abs=0.05)
    assert uneven_by_direction(one, two, (14, 22)) > 1.3


def test_a_floor_that_rises_to_nyquist_is_no_share_of_the_noise() -> None:
    shells = np.arange(N // 2 + 1)
    risen = np.where(shells > N // 2 - 4, 0.2 * (shells - N // 2 + 4), 0.0)
    level = np.full(len(shells), 0.02)
    for curve, flat in ((risen, False), (level, True)):
        found = common_noise(curve, voxels_in_shell(N), 10.0, N // 2, 1.0)
        assert found is not None
        assert found.flat is flat


def test_halves_of_opposite_signs_are_not_taken_for_masked_ones() -> None:
    one, two = (Map(volume, 2.0) for volume in halves(particle(), particle(), noise=0.1))
    opposite = Map(-two.voxels, 2.0)
    found = prepared(HalfMaps(one, opposite, "found"), Facts(), Settings()).masked_before
    assert found is not None
    assert found.kind == "none"
    unmasked = fsc.fsc(transform(one.voxels), transform(opposite.voxels))
    assert most_negative(unmasked, 1 / np.sqrt(voxels_in_shell(N))) is not None


def test_a_curve_of_the_program_is_counted_on_the_halves_as_they_were_read() -> None:
    one, two = (Map(volume + np.float32(5), 2.0) for volume in halves(particle(), particle(), noise=0.1))
    pair = prepared(HalfMaps(one, two, "found"), Facts(), Settings())
    assert pair.as_read[0] is one.voxels
    assert abs(float(pair.half1.voxels.mean()) - float(one.voxels.mean()) + 5) < 0.1


def test_the_shell_that_tells_most_of_two_pairs_is_named_and_not_one_where_both_are_nearly_1() -> None:
    ours = SimpleNamespace(name="unmasked", made=None, correlation=(1.0, 0.99999, 0.5, 0.7), sd=(0.0, 1e-6, 0.05, 0.05))
    theirs = SimpleNamespace(
        name="reported_nomask", made="unmasked", correlation=(0.999, 0.999, 0.3, 0.3), reproduced_to=None
    )
    difference = _against_program([ours, theirs])
    assert difference is not None
    assert difference.worst == pytest.approx(0.4)


def test_a_curve_of_the_program_is_held_against_the_sums_where_they_are_at_hand() -> None:
    one, two = (Map(volume, 2.0) for volume in halves(particle(), particle(), noise=0.1))
    stated = np.linspace(1, 0, one.box_px // 2 + 1)
    own = stated.copy()
    own[3], own[-1] = own[3] + 1e-4, own[-1] + 0.1  # of the last shell the grid of the sums holds a part only
    pair = HalfMaps(one, two, "merged", valid_shells=one.box_px // 2, of_sums={"gold": own})
    measured = measure_halves(pair, Facts(), Settings(), (), [FscCurve("gold", stated, "unmasked")])
    difference = measured.checks and measured.checks.unmasked_against_program
    assert difference is not None
    assert difference.worst == pytest.approx(1e-4)
    assert (difference.sd, difference.is_of_another) == (0.0, False)


@pytest.mark.parametrize("seed", [1, 3])
def test_what_rounding_leaves_beyond_the_last_shell_moves_no_half(seed: int) -> None:
    n, last = 52, 18
    rng, k = np.random.default_rng(seed), np.fft.fftfreq(n) * n
    away = np.sqrt(k[:, None, None] ** 2 + k[:, None] ** 2 + k[: n // 2 + 1] ** 2)
    body = np.fft.fftshift(np.abs(np.hypot(np.hypot(k[:, None, None], k[:, None]), k)) < 0.28 * n)
    spectrum = np.fft.rfftn((rng.standard_normal(body.shape) + 1.5) * body) * np.exp(-((away / (0.3 * n)) ** 4))
    signal = np.fft.irfftn(spectrum, body.shape, (0, 1, 2))
    halves = []
    for _ in range(2):
        whole = np.fft.rfftn(signal + 1.8 * signal.std() * rng.standard_normal(body.shape))
        halves.append(np.fft.irfftn(np.where(away > last, 0, whole), body.shape, (0, 1, 2)).astype(np.float32))
    found = superposition((transform(halves[0]), transform(halves[1])), n)
    assert found is not None
    assert np.linalg.norm(found.shift_px) < 4 * found.shift_sd_px
