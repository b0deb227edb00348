"""One pair of half maps: every curve by its name, and whatever cannot give a number is said."""

import dataclasses
from typing import Any

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from refine_hooks.curves.cistem import scaled_mask, scaled_sphere
from refine_hooks.errors import MapError
from refine_hooks.files.mrc import Map
from refine_hooks.log.headline import best_curve
from refine_hooks.log.records import HalfMapsRecord
from refine_hooks.masks import sphere
from refine_hooks.measure import Measurement, NamedMask, measure_halves, round_record
from refine_hooks.model import Facts, Fingerprint, FscCurve, HalfMaps, Key, Round
from refine_hooks.settings import load_settings

BOX, VOXEL_A = 48, 2.5
FACTS = Facts(voxel_size_A=VOXEL_A, molecular_mass_kDa=60.0, sphere_radius_A=50.0)


def a_pair(noise: float = 0.6, box_px: int = BOX) -> tuple[Map, Map]:
    rng = np.random.default_rng(2)
    z, y, x = (np.indices((box_px,) * 3) - box_px // 2) * VOXEL_A
    body = 1 / (1 + np.exp((np.sqrt((z / 14) ** 2 + (y / 16) ** 2 + (x / 34) ** 2) - 1) * 12))
    signal = body * (1.5 + 5 * gaussian_filter(rng.normal(size=body.shape), 1.2))
    one, two = (Map((signal + noise * rng.normal(size=body.shape)).astype(np.float32), VOXEL_A) for _ in range(2))
    return one, two


def measured(
    one: Map, two: Map, facts: Facts = FACTS, masks: list[NamedMask] | None = None, **more: Any
) -> Measurement:
    settings = load_settings(overrides=more.pop("overrides", {}))
    reported = more.pop("reported", [])
    return measure_halves(HalfMaps(one, two, **{"origin": "found", **more}), facts, settings, masks or [], reported)


def curves_of(m: Measurement) -> dict[str, Any]:
    return {c.name: c for c in m.curves}


def test_every_default_curve_is_there_with_its_mask_and_its_error() -> None:
    found = curves_of(measured(*a_pair()))
    assert list(found) == ["unmasked", "sphere", "sphere_corrected", "automask", "automask_corrected", "sphere_scaled"]
    for name, curve in found.items():
        assert curve.mask == (None if name == "unmasked" else name.split("_")[0])
        assert curve.sd is not None
        assert len(curve.correlation) == BOX // 2 + 1
    for name in ("automask", "automask_corrected", "sphere_scaled"):
        assert found[name].randomised_sd is not None
    assert max(found["automask_corrected"].randomised_sd) < 1
    coarse, fine = found["automask_corrected"].interval_A
    assert coarse > found["automask_corrected"].resolution_A > fine


def test_the_scaled_curves_are_what_cistem_would_print_and_say_how_sure() -> None:
    one, two = a_pair()
    user = Map(sphere(BOX, VOXEL_A, 40.0, 5.0), VOXEL_A)
    found = curves_of(measured(one, two, masks=[NamedMask("user", user)]))
    by_sphere = scaled_sphere(one.voxels, two.voxels, VOXEL_A, 50.0, 60.0)
    by_mask = scaled_mask(one.voxels, two.voxels, VOXEL_A, 50.0, user.voxels, 60.0)
    np.testing.assert_allclose(found["sphere_scaled"].correlation, by_sphere.part_fsc, atol=1e-6)
    np.testing.assert_allclose(found["user_scaled"].correlation, by_mask.part_fsc, atol=1e-6)
    assert found["sphere_scaled"].randomised_sd[-1] > 2 * found["sphere"].sd[-1]


def test_without_a_mass_nothing_is_scaled() -> None:
    assert "sphere_scaled" not in curves_of(measured(*a_pair(), Facts(sphere_radius_A=50.0)))


def test_a_sphere_that_does_not_fit_is_made_to_fit_and_said() -> None:
    m = measured(*a_pair(), Facts(sphere_radius_A=500.0))
    assert m.masks[0].record.parameters.radius_A == BOX / 2 * VOXEL_A - 5
    assert any("does not fit" in note for note in m.notes)


def same(one: Map, two: Map) -> tuple[Map, Map]:
    return one, one


def scaled_copy(one: Map, two: Map) -> tuple[Map, Map]:
    return one, Map(one.voxels * np.float32(3), VOXEL_A)


def empty(one: Map, two: Map) -> tuple[Map, Map]:
    return one, Map(np.zeros_like(one.voxels), VOXEL_A)


def constant(one: Map, two: Map) -> tuple[Map, Map]:
    return Map(np.full_like(one.voxels, 2.5), VOXEL_A), two


@pytest.mark.parametrize(
    ("change", "word"), [(same, "identical"), (scaled_copy, "identical"), (empty, "empty"), (constant, "constant")]
)
def test_halves_that_say_nothing_are_said_and_not_scored(change: Any, word: str) -> None:
    m = measured(*change(*a_pair()))
    assert any(word in note for note in m.notes)
    assert all(c.resolution_A is None for c in m.curves)


def test_shells_beyond_what_the_halves_hold_are_null_and_no_crossing() -> None:
    m = measured(*a_pair(), valid_shells=8, origin="regularised")
    for curve in m.curves:
        assert curve.correlation[9:] == (None,) * (BOX // 2 - 8)
        assert curve.resolution_A is None or curve.resolution_A >= BOX * VOXEL_A / 8


def test_a_band_limited_pair_is_found_out() -> None:
    limited = []
    for half in a_pair():
        f = np.fft.rfftn(half.voxels)
        k = np.fft.fftfreq(BOX) * BOX
        f[np.sqrt(k[:, None, None] ** 2 + k[:, None] ** 2 + np.arange(BOX // 2 + 1) ** 2) > 12.49] = 0
        limited.append(Map(np.fft.irfftn(f, s=(BOX,) * 3, axes=(0, 1, 2)).astype(np.float32), VOXEL_A))
    m = measured(*limited)
    assert any("beyond shell 12" in note for note in m.notes)
    assert all(c.correlation[13] is None for c in m.curves)


def test_halves_of_other_boxes_or_voxel_sizes_are_refused_with_both_named() -> None:
    one, two = a_pair()
    with pytest.raises(MapError, match=r"32 x 32 x 32.*48 x 48 x 48"):
        measured(one, a_pair(box_px=32)[1])
    with pytest.raises(MapError, match=r"2\.6 A.*2\.5 A"):
        measured(one, Map(two.voxels, 2.6))


@pytest.mark.parametrize(
    ("mask", "word"),
    [
        (Map(np.ones((32,) * 3, np.float32), VOXEL_A), "32 x 32 x 32"),
        (Map(np.ones((BOX,) * 3, np.float32), 3.0), "3 A"),
        (Map(np.full((BOX,) * 3, np.nan, np.float32), VOXEL_A), "NaN"),
        (Map(np.zeros((BOX,) * 3, np.float32), VOXEL_A), "empty"),
    ],
)
def test_a_mask_that_cannot_be_used_is_refused_with_the_reason(mask: Map, word: str) -> None:
    with pytest.raises(MapError, match=word):
        measured(*a_pair(), masks=[NamedMask("user", mask)])


def test_a_mask_above_1_is_divided_by_its_maximum_and_noted() -> None:
    values = 3 * sphere(BOX, VOXEL_A, 40.0, 5.0)
    m = measured(*a_pair(), masks=[NamedMask("user", Map(values, VOXEL_A))])
    (user,) = [mask for mask in m.masks if mask.record.name == "user"]
    assert "divided by 3" in user.record.note
    assert float(user.values.max()) == 1.0


def test_a_mask_that_leaves_its_range_by_rounding_alone_is_not_noted() -> None:
    soft = sphere(BOX, VOXEL_A, 40.0, 5.0) * np.float32(1 + 4e-7)
    m = measured(*a_pair(), masks=[NamedMask("user", Map(soft, VOXEL_A))])
    (user,) = [mask for mask in m.masks if mask.record.name == "user"]
    assert user.record.note is None
    assert user.values is not None
    assert float(user.values.max()) == 1.0


def test_reported_curves_are_passed_on_with_their_own_rule() -> None:
    values = np.r_[np.linspace(1, 0, BOX // 2), np.nan]
    m = measured(*a_pair(), reported=[FscCurve("part_fsc", values, "scaled", 6.0, rule="mean of two shells")])
    curve = curves_of(m)["reported_part_fsc"]
    assert (curve.resolution_A, curve.rule, curve.correlation[-1]) == (6.0, "mean of two shells", None)
    assert curve.crossings


def test_the_same_halves_give_the_same_measurement() -> None:
    first, second = measured(*a_pair()), measured(*a_pair())
    assert first.curves == second.curves
    for one, two in zip(first.masks, second.masks, strict=True):
        np.testing.assert_array_equal(one.values, two.values)


def test_noise_alone_gives_no_mask_and_says_so() -> None:
    rng = np.random.default_rng(0)
    one, two = (Map(rng.normal(size=(BOX,) * 3).astype(np.float32), VOXEL_A) for _ in range(2))
    m = measured(one, two)
    (mask,) = [mask for mask in m.masks if mask.record.name == "automask"]
    assert mask.values is None
    assert "no mask can be made" in mask.record.note


def test_the_change_of_a_mask_s_volume_against_the_former_round_is_in_its_record() -> None:
    m = measured(*a_pair())
    fingerprint, key = Fingerprint(), Key(run="r", iteration=1, class_id=1)
    round_ = Round(key, "test", "round 1", fingerprint, FACTS)
    pair = HalfMaps(*a_pair(), "found")
    records = [mask.record for mask in m.masks]
    first = round_record(round_, pair, m, HalfMapsRecord(origin="found"), records)
    assert all(mask.volume_change is None for mask in first.masks)
    grown = [record.model_copy(update={"volume_A3": 1.25 * record.volume_A3}) for record in records]
    second = round_record(round_, pair, m, HalfMapsRecord(origin="found"), grown, former=first)
    assert [mask.volume_change for mask in second.masks] == [pytest.approx(0.25)] * 2


def test_further_measurements_are_made_where_asked_for_and_never_of_filtered_halves() -> None:
    full = {"fsc": {"full": True}}
    assert measured(*a_pair()).analysis is None
    m = measured(*a_pair(), overrides=full)
    assert m.analysis is not None
    assert m.sharpened is not None
    assert measured(*a_pair(), overrides=full, origin="regularised").analysis is None


def test_imposed_symmetry_leaves_fewer_independent_coefficients() -> None:
    one, two = a_pair()
    plain = curves_of(measured(one, two))
    fourfold = curves_of(measured(one, two, dataclasses.replace(FACTS, symmetry="D2")))
    for name in ("unmasked", "sphere_corrected", "automask_corrected"):
        np.testing.assert_allclose(np.array(fourfold[name].sd)[10:], 2 * np.array(plain[name].sd)[10:], rtol=1e-6)
    assert fourfold["automask"].randomised_sd[-1] == pytest.approx(2 * plain["automask"].randomised_sd[-1])


def test_without_an_automask_the_corrected_sphere_is_the_headline() -> None:
    found = measured(*a_pair(), overrides={"automask": {"enabled": False}})
    assert best_curve(found.curves, [mask.record for mask in found.masks]).name == "sphere_corrected"


def test_cistem_s_scaled_curve_takes_the_radius_that_was_asked_for_beyond_the_box() -> None:
    one, two = a_pair()
    asked_A = 0.6 * BOX * VOXEL_A
    settings = load_settings(overrides={"sphere": {"radius_A": asked_A}, "program": {"molecular_mass_kDa": 40.0}})
    m = measure_halves(HalfMaps(one, two, "found"), Facts(voxel_size_A=VOXEL_A), settings)
    curve = next(curve for curve in m.curves if curve.name == "sphere_scaled")
    wanted = scaled_sphere(one.voxels, two.voxels, VOXEL_A, asked_A, 40.0).part_fsc
    measured = [v for v in curve.correlation if v is not None]
    np.testing.assert_allclose(measured, wanted[: len(measured)], atol=1e-6)
