"""The automask on half maps of known truth, and what it does when there is nothing to find."""

import warnings

import numpy as np
import pytest
import scipy.ndimage
from panel import Case, globule, make, micelle, rod
from panel_cases import BESIDE, CASES, FILLING, SMALL, THROUGH, of_models
from panel_score import claimed, missed, row, score
from panel_shapes import bilayer, capsid, disc

from refine_hooks import fsc, masks
from refine_hooks.files.mrc import Map
from refine_hooks.fourier import extent, shell_sums, transform
from refine_hooks.fsc import packed
from refine_hooks.fsc.randomised import expected_mean, randomised_sums, steady_planes, steady_sums
from refine_hooks.fsc.spread import mask_spectrum
from refine_hooks.masks.morphology import ball, components, distances, opened
from refine_hooks.masks.smooth import _blurred
from refine_hooks.measure import NamedMask, measure_halves
from refine_hooks.model import Facts, HalfMaps
from refine_hooks.settings import Settings

# The same cases at every push in seconds; the whole table is `scripts/panel`.
_QUICK_NAMES = (
    "capsid 84 %, core 1, good",
    "capsid 88 %, core 0.7, poor",
    "ball 95 %, good",
    "full of density, good",
    "amyloid, poor",
    "microtubule, poor",
    "bilayer, poor",
    "neighbours at two faces, fair",
    "box 32, capsid 88 %",
    "box 32, ball 92 %",
)
_LARGER = {case.name for group in (FILLING, THROUGH, BESIDE, SMALL) for case in group}
QUICK = [case for case in CASES if case.name in _QUICK_NAMES or (case.box_px <= 85 and case.name not in _LARGER)]


def made(case: Case, noise: float = 1.0) -> tuple[masks.Automask, np.ndarray]:
    """The automask of a case whose noise is made stronger or weaker, and the oracle's mask."""
    truth = make(case)
    half1, half2 = (truth.signal + np.float32(noise) * (half - truth.signal) for half in (truth.half1, truth.half2))
    transforms = transform(half1), transform(half2)
    sums = shell_sums(*transforms)
    onset = fsc.onset(fsc.correlation(sums), 0.8) or 1
    claim = masks.Claim(onset, sums, claimed)
    found = masks.automask(half1, half2, case.voxel_size_A, transforms=transforms, claim=claim)
    return found, truth.oracle


@pytest.mark.parametrize("case", QUICK, ids=lambda case: case.name)
def test_the_mask_is_as_tight_as_the_oracle_s_and_as_generous(case: Case) -> None:
    one = score(case)
    assert missed(one) == [], row(one)
    if case.quality == "hopeless":
        assert one.note is not None
        assert "no mask can be made" in one.note
    if case.quality == "full":
        assert one.parameters.reason == "no_solvent"


def test_a_particle_darker_than_the_solvent_is_said_to_be() -> None:
    case = next(case for case in QUICK if case.quality not in ("hopeless", "full"))
    truth = make(case)
    dark = masks.automask(-truth.half1, -truth.half2, case.voxel_size_A)
    assert dark.values is None
    assert dark.note is not None
    assert "multiply both half maps by -1" in dark.note


@pytest.mark.long
@pytest.mark.shared
def test_so_it_is_on_the_coordinates_of_real_proteins(shared) -> None:
    for case in of_models(shared / "realdata" / "models"):
        one = score(case)
        assert missed(one) == [], row(one)


def test_a_mask_that_correlates_by_itself_is_loosened_until_it_does_so_no_more_than_chance() -> None:
    found, _ = made(Case("thin rod", rod(140, 8), 80, 3.0, 14.0))
    steps = found.parameters.steps
    assert len(steps) > 2
    assert steps[0].randomised > 2 * steps[0].chance
    assert all(one.randomised > one.chance for one in steps[:-1])
    assert steps[-1].randomised <= steps[-1].chance
    assert (found.parameters.reach_A, found.parameters.edge_A) == (steps[-1].reach_A, steps[-1].edge_A)


def test_one_that_no_loosening_helps_stays_tight_and_is_marked() -> None:
    found, _ = made(Case("thin rod", rod(140, 8), 80, 3.0, 14.0, decay=16.0))
    steps = found.parameters.steps
    assert all(one.randomised > one.chance for one in steps)
    assert found.parameters.edge_A == steps[0].edge_A
    assert "more than chance" in (found.note or "")


def test_the_randomised_fsc_that_the_mask_is_tested_with_is_that_of_many_randomisations() -> None:
    case = next(case for case in CASES if case.name == "rod, poor")
    truth = make(case)
    halves = transform(truth.half1), transform(truth.half2)
    sums = shell_sums(*halves)
    onset = fsc.onset(fsc.correlation(sums), 0.8) or 1
    found = extent(truth.oracle)
    steady = steady_sums(halves, truth.oracle, onset, found.box)
    closed = expected_mean(steady, sums, mask_spectrum(truth.oracle), onset, len(truth.oracle))
    box = found.box
    low = packed.middle(steady_planes(halves, onset, box, len(truth.oracle)), onset)
    drawn = np.mean([fsc.correlation(s) for s in randomised_sums(halves, truth.oracle, onset, 40, 1, box, low)], axis=0)
    np.testing.assert_allclose(closed[onset + 2 :], drawn[onset + 2 :], atol=0.012)
    assert closed[onset + 2] > 0.2


def test_a_rising_resolution_does_not_make_the_mask_flicker() -> None:
    case = next(case for case in CASES if case.name == "ring, poor")
    volumes = np.array([float(made(case, noise)[0].values.sum()) for noise in np.geomspace(2.5, 0.05, 12)])
    steps = np.abs(np.diff(volumes) / volumes[:-1])
    assert steps.max() < 0.12
    assert np.median(steps) < 0.03
    assert volumes[-1] / volumes[0] == pytest.approx(1, abs=0.2)


def test_identical_halves_give_identical_masks() -> None:
    case = CASES[2]
    (one, _), (two, _) = made(case), made(case)
    np.testing.assert_array_equal(one.values, two.values)
    assert one.parameters == two.parameters


def test_the_mask_does_not_look_at_where_the_halves_agree() -> None:
    truth = make(CASES[2])
    average, difference = truth.half1 + truth.half2, truth.half1 - truth.half2
    flipped = [(average + sign * difference[::-1, ::-1].copy()) / 2 for sign in (1, -1)]
    own = masks.automask(truth.half1, truth.half2, CASES[2].voxel_size_A)
    other = masks.automask(*flipped, CASES[2].voxel_size_A)
    # Where the noise lies in the half difference is of no account: only how strong it is.
    assert np.abs(own.values - other.values).max() < 0.02


def test_density_beyond_the_limiting_sphere_is_left_out() -> None:
    case = CASES[2]
    truth = make(case)
    mask = masks.automask(truth.half1, truth.half2, case.voxel_size_A, limit_radius_A=40.0).values
    z, y, x = np.nonzero(mask > 0)
    far_A = np.sqrt((z - 40.0) ** 2 + (y - 40.0) ** 2 + (x - 40.0) ** 2).max() * case.voxel_size_A
    assert far_A < 40.0 + 20.0


def test_a_sphere_that_hugs_the_particle_still_leaves_a_mask() -> None:
    case = next(case for case in CASES if case.name == "globule, poor")
    truth = make(case)
    mask = masks.automask(truth.half1, truth.half2, case.voxel_size_A, limit_radius_A=40.0).values
    assert float((mask >= 0.5).sum()) == pytest.approx(float((truth.oracle >= 0.5).sum()), rel=0.2)


def test_halves_that_do_not_differ_give_no_mask_and_the_reason() -> None:
    truth = make(CASES[2])
    found = masks.automask(truth.half1, truth.half1, CASES[2].voxel_size_A)
    assert found.values is None
    assert "do not differ" in found.note


@pytest.mark.parametrize("box_px", [4, 6, 8, 10])
def test_a_box_that_holds_nothing_under_any_filter_is_said_and_breaks_nothing(box_px: int) -> None:
    one, two = (np.random.default_rng(seed).normal(size=(box_px,) * 3).astype(np.float32) for seed in (1, 2))
    made = masks.automask(one, two, 1.3)
    assert made.values is not None or made.note


def case_of(name: str) -> Case:
    return next(case for case in CASES if case.name == name)


def test_neighbours_that_a_face_cuts_off_are_counted_and_left_out() -> None:
    case = case_of("neighbours at two faces, fair")
    found, oracle = made(case)
    assert (found.parameters.components, found.parameters.neighbours) == (1, 2)
    assert float((found.values[oracle < 0.01] > 0.5).mean()) < 0.01


def test_neighbours_that_hold_more_than_the_particle_are_left_out_all_the_same() -> None:
    above = np.zeros((32,) * 3, np.float32)
    above[12:20, 12:20, 12:20] = 1
    above[0:9, 8:24, 8:24] = 1
    found, counted = components(above > 0.5, above, ball(32, 16.0))
    assert counted == {"components": 1, "neighbours": 1}
    assert found.sum() == 8**3


def test_a_membrane_that_runs_through_the_box_is_no_neighbour_of_what_stands_beside_it() -> None:
    above = np.zeros((32,) * 3, np.float32)
    above[12:16] = 1
    above[20:26, 13:19, 13:19] = 1
    _, counted = components(above > 0.5, above, ball(32, 16.0))
    assert counted == {"components": 2, "neighbours": 0}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda mask: mask, None),
        (np.ones_like, "too wide"),
        (lambda mask: 1 - mask, "inverted"),
        (lambda mask: np.roll(mask, 24, 2), "beside the particle"),
    ],
)
def test_a_given_mask_that_can_hardly_be_meant_is_named(change, words: str | None) -> None:
    case = case_of("globule, poor")
    truth = make(case)
    maps = [Map(half, case.voxel_size_A) for half in (truth.half1, truth.half2)]
    given = NamedMask("mask", Map(np.ascontiguousarray(change(truth.oracle)), case.voxel_size_A))
    measured = measure_halves(HalfMaps(*maps, origin="found"), Facts(), Settings(), [given])
    note = next(mask.record.note for mask in measured.masks if mask.record.name == "mask")
    assert (words is None and note is None) or words in (note or "")


def test_a_particle_that_runs_through_the_faces_is_followed_there() -> None:
    found, _ = made(case_of("microtubule, poor"))
    assert found.parameters.neighbours == 0
    assert found.values[0].max() == 1
    assert found.values[-1].max() == 1


def test_a_mask_whose_curve_never_crosses_fails_its_test_where_random_phases_correlate_under_it() -> None:
    case = Case("thin rod", rod(140, 8), 80, 3.0, 14.0)
    truth = make(case)
    halves = transform(truth.half1), transform(truth.half2)
    sums = shell_sums(*halves)
    onset = fsc.onset(fsc.correlation(sums), 0.8) or 1
    # The curve is read only so far that it has not crossed yet.
    claim = masks.Claim(onset, sums, lambda curve: claimed(curve[: onset + 4]))
    found = masks.automask(truth.half1, truth.half2, case.voxel_size_A, transforms=halves, claim=claim)
    first = found.parameters.steps[0]
    assert first.claimed_shell == onset + 3
    assert first.randomised > first.chance
    assert len(found.parameters.steps) > 1


def test_every_version_of_scikit_image_that_is_allowed_fills_holes_without_a_warning() -> None:
    inside = np.zeros((16,) * 3, np.float32)
    inside[3:12, 3:12, 3:12] = 1
    inside[6, 6, 6] = 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found, counted = components(inside > 0.5, inside, ball(16, 8.0))
    assert found.sum() == 9**3
    assert counted == {"components": 1, "neighbours": 0}


@pytest.mark.parametrize("radius_px", [0.7, 1.0, 1.34, 1.42, 2.1])
@pytest.mark.parametrize("filled", [0.0, 0.9, 0.98, 1.0])
def test_an_opening_keeps_what_a_ball_fits_into_also_at_the_faces(radius_px, filled) -> None:
    voxels = np.random.default_rng(3).random((14, 12, 13)) < filled
    assert np.array_equal(opened(voxels, radius_px), distances(~(distances(voxels) > radius_px)) <= radius_px)


@pytest.mark.parametrize(("box_px", "sigma_px"), [(40, 1.7), (29, 0.4), (11, 2.5), (6, 3.0)])
def test_a_blur_is_a_gaussian_mirrored_at_the_faces(box_px, sigma_px) -> None:
    volume = np.random.default_rng(4).normal(size=(box_px,) * 3).astype(np.float32)
    wanted = scipy.ndimage.gaussian_filter(volume, sigma_px, mode="reflect", truncate=4.0)
    assert np.allclose(_blurred(volume, sigma_px), wanted, atol=1e-6)


def test_the_claim_of_a_curve_that_never_falls_is_its_last_shell_with_data() -> None:
    case = Case("globule", globule(26), 48, 3.6, 8.0)
    truth = make(case)
    maps = [Map(half, case.voxel_size_A) for half in (truth.half1, truth.half2)]
    measured = measure_halves(HalfMaps(*maps, origin="found", valid_shells=16), Facts(), Settings())
    steps = next(mask.record.parameters.steps for mask in measured.masks if mask.record.role == "automask")
    assert steps[0].claimed_shell == 16


@pytest.mark.parametrize(
    ("shape", "target_A", "least"),
    [(disc(45, 40, 22), 6.0, 0.4), (bilayer(22, 80), 6.0, 0.4), (micelle(1.1), 8.0, 0.12)],
    ids=["nanodisc", "bilayer", "micelle"],
)
def test_smooth_density_is_reported_with_its_share_and_the_resolution_without_it(shape, target_A, least) -> None:
    found, _ = made(Case("smooth", shape, 56, 2.6, target_A))
    assert least < found.parameters.smooth_share < 0.7
    assert found.parameters.without_smooth_A <= target_A + 0.2


@pytest.mark.parametrize("shape", [rod(110, 13), globule(30), capsid(65, 24, 0.0)], ids=["rod", "globule", "capsid"])
def test_protein_alone_has_no_smooth_part(shape) -> None:
    found, _ = made(Case("protein", shape, 64, 2.4, 6.0))
    assert found.parameters.smooth_share < 0.02
    assert found.parameters.without_smooth_A is None
