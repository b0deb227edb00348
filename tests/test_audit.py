"""The audit speaks where it must and is silent where it must be."""

import csv
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from direction_panel import histogram, views_of
from hypothesis import given, settings
from hypothesis import strategies as st
from rounds_data import (
    BOX,
    FREQUENCY,
    SHELLS,
    Values,
    a_failure,
    a_round,
    falling,
    healthy,
    masks_of,
    reported,
    rule_names,
    warned,
)

from refine_hooks import curves
from refine_hooks.analysis.axes import fibonacci_axes
from refine_hooks.analysis.sampling import sampling
from refine_hooks.analysis.views import Views
from refine_hooks.audit import Finding, audit, worst
from refine_hooks.curves.cistem import gain, part_fsc
from refine_hooks.errors import InputError
from refine_hooks.fourier import voxels_in_shell
from refine_hooks.log.checks import (
    Checks,
    NoiseByDirection,
    Pattern,
    PowerRatio,
    ProgramDifference,
    Share,
    SignalByDirection,
    Solvent,
    Voxels,
)
from refine_hooks.log.file import Journal
from refine_hooks.log.headline import with_headline
from refine_hooks.log.masks import AutomaskParameters, MaskRecord, SignalOutside
from refine_hooks.log.records import Analysis, HalfMapsRecord, LogLine, RoundRecord, now
from refine_hooks.measure.record import _as_tested
from refine_hooks.model import Fingerprint, InputFile, Key, Masked
from refine_hooks.programs.relion.star import read_star
from refine_hooks.report import deposit
from refine_hooks.report.words import verdict


def rules(*lines: LogLine) -> dict[str, Finding]:
    return {finding.rule: finding for finding in audit(Journal(lines))}


def test_a_healthy_series_gets_no_warning() -> None:
    found = audit(Journal((healthy(1, 26), healthy(2, 29), healthy(3, 30))))
    assert [f for f in found if f.severity == "warning"] == []


# --- the scaled curve ---------------------------------------------------------------------------------------------------


def scaled_round(fsc: Values, fraction: float = 0.02, noise_sd: float = 0.01, **more: Any) -> RoundRecord:
    """A round whose sphere's FSC is ``fsc``, and what cisTEM makes of it for a particle of that share of the sphere."""
    record = a_round({"sphere": fsc, "automask": falling(28), "automask_corrected": falling(28)}, **more)
    scaled = curves.curve(
        "sphere_scaled",
        "sphere",
        part_fsc(fsc, fraction),
        FREQUENCY,
        kind="scaled",
        volume_fraction=fraction,
        randomised_mean=np.zeros(SHELLS),
        randomised_sd=gain(fsc, fraction) * noise_sd,
    )
    return record.model_copy(update={"curves": (*record.curves, scaled)})


SHELL = np.arange(SHELLS)
RINGING = falling(18) + 0.012 * np.sin(SHELL / 2)


def noisy(shell: float, noise_sd: float, seed: int = 1) -> Values:
    return falling(shell) + noise_sd * np.random.default_rng(seed).normal(size=SHELLS)


def test_a_scaled_curve_that_is_its_own_noise_is_called_so_with_the_noise_it_would_need() -> None:
    record = scaled_round(RINGING)
    found = rules(record)["scaled_curve"]
    assert (found.severity, found.curve) == ("warning", "sphere_scaled")
    claim = found.shells[0]  # type: ignore[index]
    behind = record.curve("sphere").correlation[claim]  # type: ignore[union-attr]
    assert found.evidence["fsc"] == pytest.approx(behind, rel=1e-4), "the scaling is undone exactly"
    assert found.evidence["noise_sd"] == pytest.approx(0.01, rel=1e-4)
    assert found.evidence["sd_needed"] == pytest.approx(behind / 3, rel=1e-4)  # type: ignore[operator]
    assert f"{found.evidence['sd_needed']:.4f} or less" in found.message
    assert "50 times the particle's volume" in found.message
    assert "Read automask_corrected" in found.message


@pytest.mark.parametrize(("fraction", "noise_sd"), [(0.9, 0.01), (0.3, 0.0005), (0.02, 1e-6)])
def test_a_scaled_curve_that_its_noise_supports_is_left_alone(fraction: float, noise_sd: float) -> None:
    assert "scaled_curve" not in rules(scaled_round(falling(24), fraction, noise_sd))


def test_the_program_s_own_table_of_the_same_curve_is_named_with_it_and_not_told_twice() -> None:
    record = scaled_round(RINGING)
    own = record.curve("sphere_scaled")
    assert own is not None
    told_by = {"name": "reported_part_fsc", "kind": "reported", "made": "scaled", "mask": None}
    same = own.model_copy(update={**told_by, "volume_fraction": None, "randomised_sd": None})
    both = record.model_copy(update={"curves": (*record.curves, same)})
    told = [f for f in audit(Journal((both,))) if f.rule == "scaled_curve"]
    assert [f.curve for f in told] == ["sphere_scaled"]
    assert "part_fsc" in told[0].message
    fsc = curves.curve("reported_fsc", None, RINGING, FREQUENCY, kind="reported", made="fsc")
    alone = record.model_copy(update={"curves": (*(c for c in record.curves if c is not own), fsc, same)})
    assert [f.curve for f in audit(Journal((alone,))) if f.rule == "scaled_curve"] == ["reported_part_fsc"]


def test_a_refinement_mask_so_wide_that_the_scaled_curve_is_noise_is_advised_to_be_tighter() -> None:
    record = scaled_round(RINGING)
    own = record.curve("sphere_scaled")
    assert own is not None
    wide = own.model_copy(update={"name": "refinement_scaled", "mask": "refinement"})
    found = rules(record.model_copy(update={"curves": (*record.curves[:-1], wide)}))["scaled_curve"]
    assert found.curve == "refinement_scaled"
    assert "the mask 'refinement' holds 50 times the particle's volume, too wide for scaling" in found.message


# --- one round: rule, what must make it speak, how gravely, what must not -----------------------------------------------

FADING = 1 - 0.7 * SHELL / (SHELLS - 1)
BOTH = HalfMapsRecord(origin="merged", paths=("a", "b"))
INDEPENDENT = BOTH.model_copy(update={"independence": "independent"})
UNDER_A_SPHERE = BOTH.model_copy(update={"masked": "sphere", "masked_by": "a sphere of 60 A"})
INSCRIBED = BOTH.model_copy(update={"masked": "inscribed_sphere", "masked_by": "RELION's sphere"})
SHARED = np.where(SHELL <= 40, np.maximum(falling(30), 0.4), 0.0)  # a reference up to shell 40
ONE_SPIKE = falling(25) + 0.5 * (SHELL == 50)
CUT = np.where(SHELL <= 30, np.maximum(falling(40), 0.3), 0.0)
COLLAPSED = np.where((SHELL > 14) & (SHELL < 18), 0.05, falling(30))
TIGHT_NULL = {"automask": 0.4}


def masked(corrected: Values, plain: Values | None = None, **more: Any) -> RoundRecord:
    plain = corrected if plain is None else plain
    return a_round({"sphere": falling(26), "automask": plain, "automask_corrected": corrected}, **more)


def with_null(null: float, sphere: float, shell: float = 32) -> RoundRecord:
    """A mask under which randomised phases correlate by ``null`` everywhere."""
    record = a_round({"sphere": falling(sphere), "automask": falling(shell + 2), "automask_corrected": falling(shell)})
    changed = [
        c.model_copy(update={"randomised_mean": (null,) * SHELLS}) if c.name == "automask" else c for c in record.curves
    ]
    return record.model_copy(update={"curves": tuple(changed)})


def under_a_users_mask(null: float) -> RoundRecord:
    """A user's mask, no automask; randomised phases correlate by ``null`` under it."""
    values = {
        "sphere": falling(20),
        "sphere_corrected": falling(20),
        "user": falling(36),
        "user_corrected": falling(32),
    }
    small = MaskRecord(name="user", role="user", volume_A3=1e3, volume_fraction=0.003)
    record = a_round(values, masks=(*(one for one in healthy().masks if one.role == "sphere"), small))
    changed = [
        c.model_copy(update={"randomised_mean": (null,) * SHELLS}) if c.name == "user" else c for c in record.curves
    ]
    return with_headline(record.model_copy(update={"curves": tuple(changed)}))


def cutting(share: float, sd: float = 0.01, *others: MaskRecord) -> RoundRecord:
    mask = MaskRecord(
        name="refinement",
        role="refinement",
        volume_A3=1e5,
        volume_fraction=0.02,
        signal_outside=SignalOutside(share=share, sd=sd, at_A=(40.0, 0.0, -12.0)),
    )
    return healthy(masks=(mask, *others))


def with_smooth_part(share: float) -> RoundRecord:
    how = AutomaskParameters(smooth_share=share, without_smooth_A=5.25)
    mask = MaskRecord(name="automask", role="automask", volume_A3=1e5, volume_fraction=0.02, parameters=how)
    return healthy(masks=(mask,))


def with_checks(**numbers: Any) -> RoundRecord:
    return healthy(checks=Checks(**numbers))


@pytest.mark.parametrize(("turned_deg", "masked"), [(0.0, "mask"), (40.0, "none")])
def test_what_is_weaker_outside_of_turned_halves_is_no_mask(turned_deg: float, masked: str) -> None:
    checks = Checks(noise_outside=0.01, rotated_deg=turned_deg)
    before = healthy().half_maps
    assert before is not None
    assert _as_tested(before, "mask", checks).masked == masked


def with_voxels(
    repeated: tuple[float | None, float | None] = (0.0, 0.0),
    clipped: tuple[float, float] = (0.0, 0.0),
    outliers: tuple[int, int] = (0, 0),
    holes: float = 0.0,
    **more: Any,
) -> RoundRecord:
    return with_checks(voxels=Voxels(repeated=repeated, clipped=clipped, outliers=outliers, holes=holes), **more)


def in_solvent(value: float = 0.0, sd: float = 0.004, pattern: Pattern | None = None) -> RoundRecord:
    return with_checks(solvent=Solvent(value=value, sd=sd, coarse_A=16.0, fine_A=4.0, cubes=20, pattern=pattern))


def with_signal(lowest: float) -> RoundRecord:
    noise = NoiseByDirection(lowest=0.95, highest=1.05, sd=0.02)
    signal = SignalByDirection(lowest=lowest, sd=0.02, typical=0.9, quarter=0.8, lowest_axis=(0, 0, 1))
    return with_checks(noise_by_direction=noise, signal_by_direction=signal)


WAVE = Pattern(period_A=8.0, direction=(1.0, 0.0, 0.0), times=(40.0, 41.0), coherent=0.98)
WAVE_IN_ONE = Pattern(period_A=8.0, direction=(1.0, 0.0, 0.0), times=(1.1, 41.0), coherent=0.1)


def by_direction(lowest: float, highest: float, analysis: Analysis | None = None, sd: float = 0.04) -> RoundRecord:
    noise = NoiseByDirection(lowest=lowest, highest=highest, lowest_axis=(0, 0, 1), highest_axis=(1, 0, 0), sd=sd)
    return healthy(checks=Checks(noise_by_direction=noise), analysis=analysis)


def masked_by(kind: Masked, noise_outside: float = 1e-6, **checks: Any) -> RoundRecord:
    halves = HalfMapsRecord(origin="found", paths=("a", "b"), masked=kind)
    return healthy(half_maps=halves, checks=Checks(noise_outside=noise_outside, **checks))


NOTHING = np.random.default_rng(4).normal(size=SHELLS) / np.sqrt(np.maximum(voxels_in_shell(BOX), 1))


def of_shape(unmasked: Values, **more: Any) -> RoundRecord:
    return a_round({"unmasked": unmasked, "sphere": unmasked}, **more)


def seen_evenly(anisotropic: bool) -> dict[str, Any]:
    """A round of even views, whose noise is that of few views along z, or even, too."""
    axes = fibonacci_axes()
    noise = 1 + 0.8 * axes[:, 2] ** 2 if anisotropic else np.ones(len(axes))
    noise = noise / noise.mean() + np.random.default_rng(5).normal(0, 0.02, len(axes))
    even = sampling(Views(histogram(views_of("even", 5000, 1))))
    checks = Checks(noise_by_direction=NoiseByDirection(lowest=0.9, highest=1.1, sd=0.02, cones=tuple(noise)))
    return {"checks": checks, "sampling": even}


SPEAKS = [
    ("views_disagree", healthy(**seen_evenly(anisotropic=True)), "note", "differs by"),
    ("no_signal", of_shape(NOTHING), "warning", "share no signal"),
    ("anticorrelated", of_shape(-falling(30)), "warning", "opposite signs"),
    ("anticorrelated", of_shape(np.where(SHELL > 40, -0.3, falling(30))), "warning", "phase flipping"),
    ("never_above", of_shape(np.where(SHELL < 4, 0.05, falling(30))), "warning", "begins below 0.143"),
    ("halves_mirrored", with_checks(mirrored=True), "warning", "the other hand"),
    ("halves_inverted", with_checks(inverted=True), "warning", "the opposite contrast"),
    ("halves_turned", with_checks(rotated_deg=6.0), "warning", "turned by 6.0 degrees"),
    (
        "halves_turned",
        with_checks(rotated_deg=40.0),
        "warning",
        "or turned and of the other hand, which is not certain",
    ),
    (
        "halves_mirrored",
        with_checks(mirrored=True, rotated_deg=40.0),
        "warning",
        "and turned: mirror one of them and align",
    ),
    ("same_voxels", with_checks(same_voxels=0.012), "warning", "in 1.2 % of the box"),
    ("voxels_repeated", with_voxels(repeated=(0.02, 0.02)), "warning", "correlates: the resolution is too good"),
    ("voxels_repeated", with_voxels(repeated=(None, 0.02)), "warning", "of half map 2 have exactly"),
    ("voxels_clipped", with_voxels(clipped=(0.4, 0.4)), "warning", "40 % of the voxels of both half maps"),
    ("outlier_voxels", with_voxels(outliers=(0, 3)), "warning", "single voxels of half map 2"),
    ("hole_in_halves", with_voxels(holes=0.02), "warning", "2 % of the box is empty"),
    ("pattern_in_halves", in_solvent(pattern=WAVE), "warning", "a wave of 8.00 A along x, y, z = 1.00, 0.00, 0.00"),
    ("pattern_in_halves", in_solvent(pattern=WAVE_IN_ONE), "warning", "too low at that resolution"),
    ("solvent_correlates", in_solvent(value=0.04), "warning", "the halves correlate by 0.040 (+- 0.004)"),
    ("background_gradient", with_checks(background_gradient=(0.0, 5.0)), "warning", "of half map 2 rises by 5.0"),
    ("anisotropy", with_signal(0.01), "warning", "signal is missing in some directions"),
    ("halves_shifted", with_checks(shift_px=(0.3, 0.0, -0.4), shift_sd_px=0.05), "warning", "shifted by 0.50 voxels"),
    (
        "halves_magnified",
        with_checks(larger=-0.02, larger_sd=0.001),
        "warning",
        "half map 2 is 2.0 % smaller than half",
    ),
    (
        "halves_unlike",
        with_checks(power_ratio=PowerRatio(value=0.02, at_A=5.0)),
        "warning",
        "half map 2 has 50 times less power than half map 1 at 5.00 A",
    ),
    ("masked_halves", masked_by("mask"), "warning", "no resolution is stated"),
    ("masked_halves", masked_by("sphere"), "warning", "1.0e-06 of the power inside"),
    ("duplicates", with_checks(common_noise_share=Share(value=0.02, sd=0.004)), "warning", "2.0 % of their noise"),
    (
        "unmasked_differs",
        with_checks(unmasked_against_program=ProgramDifference(worst=0.2, sd=0.02)),
        "warning",
        "up to 0.20",
    ),
    (
        "unmasked_differs",
        with_checks(unmasked_against_program=ProgramDifference(worst=0.02, sd=0.0)),
        "warning",
        "up to 0.02",
    ),
    ("identical_halves", a_round({"unmasked": np.ones(SHELLS), "sphere": np.ones(SHELLS)}), "warning", "the same map"),
    ("identical_halves", a_round({"unmasked": np.ones(SHELLS)}, iteration=0), "note", "starting reference"),
    (
        "identical_halves",
        a_round({"unmasked": np.ones(SHELLS)}, iteration=0, program="arrays"),
        "warning",
        "the same map",
    ),
    (
        "identical_halves",
        a_round({"unmasked": np.ones(SHELLS)}, iteration=0, program="files"),
        "warning",
        "which files",
    ),
    ("never_below", masked(FADING), "warning", "the FSC reaches Nyquist"),
    ("never_below", masked(np.maximum(falling(30), 0.25)), "warning", "duplicates"),
    ("never_below", a_round({"sphere": falling(20), "user": np.maximum(falling(30), 0.2)}), "note", "levelled off"),
    (
        "recrossing",
        masked(falling(30) + 0.4 * (np.abs(SHELL - 50) < 5)),
        "warning",
        "falls below 0.143 at 5.42 A, down to 0.007, and re-crosses it between 4.17 and 3.56 A (9 shells)",
    ),
    (
        "recrossing",
        a_round({"sphere": falling(20) + 0.3 * (np.abs(SHELL - 40) < 3), "automask": falling(30)}),
        "note",
        "",
    ),
    (
        "rising_tail",
        a_round({"sphere": falling(25) + 0.3 * np.maximum(SHELL - 52, 0) / 12}),
        "warning",
        "climbs towards its end",
    ),
    ("spike", masked(ONE_SPIKE), "warning", "spike of 0.50"),
    ("truncation", masked(CUT), "note", "cut off"),
    ("truncation", a_round({"sphere": np.where(SHELL <= 30, 0.5, np.nan)}), "note", "cut off"),
    ("mask_correlates", with_null(0.4, sphere=20), "warning", "randomised phases still give 0.40"),
    ("mask_correlates", with_null(0.4, sphere=31), "note", "so the number stands"),
    ("mask_correlates", under_a_users_mask(0.4), "warning", "the resolution is read from sphere_corrected instead"),
    ("mask_too_tight", masked(COLLAPSED, falling(30)), "warning", "this dip, not the resolution"),
    (
        "mask_and_sphere",
        a_round({"sphere": falling(20), "automask": falling(30)}),
        "note",
        "the mask holds 6.7 % of the sphere",
    ),
    ("mask_and_sphere", a_round({"sphere": falling(30), "automask": falling(20)}), "warning", "cuts the molecule"),
    (
        "mask_misses",
        healthy(curves=a_round({"unmasked": falling(30), "sphere": falling(12)}).curves),
        "warning",
        "the unmasked FSC at 5.42 A, 18 shells further",
    ),
    ("signal_outside", cutting(0.8), "warning", "the mask is inverted, in another frame, or made for another map"),
    (
        "signal_outside",
        cutting(0.8, 0.01, MaskRecord(name="automask", role="automask", volume_A3=1e6, volume_fraction=0.2)),
        "warning",
        "has 10 % of the automask's volume and lies where the density is highest",
    ),
    ("smooth_density", with_smooth_part(0.4), "note", "40 % of the density under the mask 'automask' holds no detail"),
    ("smooth_density", with_smooth_part(0.4), "note", "A mask without it reaches 5.25 A"),
    (
        "signal_outside",
        cutting(0.2),
        "warning",
        "cuts density: 20 % of the signal (give or take 1.0) lies outside it, most of it around x, y, z = 40, 0, -12 A",
    ),
    (
        "mask_missing",
        healthy(masks=(MaskRecord(name="user", role="user", volume_A3=0, volume_fraction=0, note="gone"),)),
        "note",
        "gone",
    ),
    ("alignment_limit", healthy(alignment_limit_A=5.0), "warning", "coarser than"),
    (
        "step_in_fsc",
        a_round({"unmasked": SHARED}),
        "warning",
        f"is 0.40 at {192 / 40:.2f} A and 0.00 one shell further",
    ),
    ("alignment_limit", healthy(alignment_limit_A=192 / 35), "warning", "the limit's doing"),
    (
        "limit_unsupported",
        healthy(alignment_limit_A=4.0),
        "warning",
        "may be overestimated. Set the next round's",
    ),
    (
        "limit_unsupported",
        healthy(alignment_limit_A=4.0, half_maps=INDEPENDENT),
        "warning",
        "Set the next round's high-resolution limit to",
    ),
    (
        "anisotropy",
        healthy(analysis=Analysis(cfar=0.3, cfar_best_A=4.0, cfar_worst_A=9.0, worst_axis=(0.0, 0.6, 0.8))),
        "warning",
        "9.00 A in the worst (x, y, z = 0.00, 0.60, 0.80)",
    ),
    ("anisotropy", by_direction(0.05, 1.1), "warning", "views are missing: 0.05 of the mean noise power about"),
    ("anisotropy", by_direction(0.7, 3.3), "warning", "some views are preferred: 3.30 of the mean"),
    ("reported_curve", a_round({"sphere": falling(26), "reported_fsc": falling(34)}), "warning", "should be one curve"),
    ("reported_number", healthy(reported=reported(3.5, "FSC = 0.143")), "warning", "A better ("),
    ("reported_number", healthy(reported=reported(12.0, "FSC = 0.143")), "note", "A worse ("),
    (
        "halves_altered",
        healthy(half_maps=HalfMapsRecord(origin="regularised", paths=("a", "b"))),
        "warning",
        "filtered",
    ),
    (
        "halves_altered",
        healthy(half_maps=UNDER_A_SPHERE),
        "note",
        "EMDB wants",
    ),
    (
        "halves_altered",
        healthy(1, 4, half_maps=BOTH.model_copy(update={"joined_below_A": 15.0})),
        "warning",
        "the joining",
    ),
    ("halves_unequal", healthy(half_maps=BOTH.model_copy(update={"images": (900, 400)})), "note", "unequal"),
    (
        "one_set_of_poses",
        healthy(half_maps=BOTH.model_copy(update={"independence": "one_set_of_poses"})),
        "warning",
        "is no gold standard",
    ),
    ("no_half_maps", a_round({"reported_fsc": falling(20)}, half_maps=None), "note", "--reconstruct"),
]

SILENT = [
    ("views_disagree", healthy(**seen_evenly(anisotropic=False))),
    ("views_disagree", healthy()),
    ("no_signal", of_shape(falling(30))),
    ("no_signal", of_shape(falling(2, 1))),
    ("no_signal", of_shape(NOTHING, checks=Checks(mirrored=True))),  # the cause is named
    ("anticorrelated", of_shape(falling(30) + 0.05 * NOTHING)),
    ("anticorrelated", of_shape(-falling(30), checks=Checks(inverted=True))),
    ("never_above", of_shape(falling(30))),
    ("halves_mirrored", with_checks(mirrored=False)),
    ("halves_inverted", with_checks(inverted=False)),
    ("halves_turned", with_checks(rotated_deg=1.0)),
    ("halves_turned", with_checks(rotated_deg=4.0, rotated_sd_deg=1.5)),
    ("halves_shifted", with_checks(shift_px=(0.3, 0.0, 0.0), shift_sd_px=0.1)),
    ("halves_shifted", with_checks()),
    ("same_voxels", with_checks(same_voxels=0.0)),
    ("voxels_repeated", with_voxels(repeated=(1e-4, None))),
    ("voxels_clipped", with_voxels(clipped=(1e-3, 1e-3))),
    ("outlier_voxels", with_voxels()),
    ("hole_in_halves", with_voxels()),
    ("pattern_in_halves", in_solvent(value=0.04)),
    ("solvent_correlates", in_solvent(value=0.015, sd=0.001)),
    ("solvent_correlates", in_solvent(value=0.04, sd=0.01)),
    ("solvent_correlates", in_solvent(value=0.04, pattern=WAVE)),
    ("background_gradient", with_checks(background_gradient=(1.5, 0.0))),
    ("anisotropy", with_signal(0.1)),
    ("halves_turned", with_checks(rotated_deg=6.0, background_gradient=(0.0, 5.0))),
    ("duplicates", with_checks(common_noise_share=Share(value=0.02, sd=0.004), background_gradient=(5.0, 5.0))),
    ("halves_magnified", with_voxels(repeated=(0.0, 0.02), larger=0.02, larger_sd=0.001)),
    ("halves_unlike", with_voxels(outliers=(3, 0), power_ratio=PowerRatio(value=9.0, at_A=5.0))),
    ("halves_magnified", with_checks(larger=0.02, larger_sd=0.005)),
    ("halves_unlike", with_checks(power_ratio=PowerRatio(value=2.9, at_A=5.0))),
    ("masked_halves", masked_by("inscribed_sphere")),
    ("masked_halves", masked_by("none")),
    ("masked_halves", masked_by("mask", 0.01, rotated_deg=40.0)),
    ("duplicates", with_checks(common_noise_share=Share(value=0.02, sd=0.008))),
    ("unmasked_differs", with_checks(unmasked_against_program=ProgramDifference(worst=0.04, sd=0.001))),
    ("unmasked_differs", with_checks(unmasked_against_program=ProgramDifference(worst=0.001, sd=0.0))),
    ("identical_halves", masked(falling(30))),
    ("identical_halves", a_round({"unmasked": np.full(SHELLS, 0.95), "sphere": np.full(SHELLS, 0.95)})),
    ("never_below", masked(np.maximum(falling(30), 0.12))),
    ("recrossing", masked(falling(30) + 0.04 * np.random.default_rng(2).normal(size=SHELLS) * (SHELL > 40))),
    ("rising_tail", a_round({"sphere": noisy(25, 0.03)})),
    ("spike", masked(noisy(25, 0.03))),
    ("spike", masked(falling(25) + 0.4 * (np.abs(SHELL - 50) < 4))),
    ("truncation", masked(falling(30))),
    ("mask_correlates", with_null(0.05, sphere=20)),
    ("mask_too_tight", masked(falling(30), falling(31))),
    ("mask_too_tight", masked(falling(14, 1), falling(30))),
    ("mask_and_sphere", a_round({"sphere": falling(29), "automask": falling(30)})),
    (
        "mask_and_sphere",  # a sphere that cuts density correlates by itself
        a_round({"sphere": falling(30), "sphere_corrected": falling(21), "automask": falling(20)}),
    ),
    ("mask_misses", healthy()),
    ("mask_misses", healthy(curves=a_round({"unmasked": falling(14), "sphere": falling(13)}).curves)),
    ("signal_outside", cutting(0.02, sd=0.001)),
    ("smooth_density", with_smooth_part(0.05)),
    ("signal_outside", cutting(0.2, sd=0.1)),
    ("mask_missing", healthy()),
    ("alignment_limit", healthy(alignment_limit_A=20.0)),
    ("alignment_limit", healthy()),
    ("step_in_fsc", a_round({"unmasked": falling(30)})),
    ("step_in_fsc", a_round({"unmasked": falling(30, 0.6)})),  # steep, and so were the shells before
    ("step_in_fsc", a_round({"unmasked": np.where(SHELL == 20, 0.02, falling(30))})),  # a dip
    ("step_in_fsc", a_round({"unmasked": np.where(SHELL <= 40, SHARED, np.nan)})),  # nothing was reconstructed beyond
    ("step_in_fsc", a_round({"unmasked": SHARED}, alignment_limit_A=192 / 40)),  # said by another rule
    ("alignment_limit", healthy(alignment_limit_A=5.0, half_maps=INDEPENDENT)),
    ("limit_unsupported", healthy(alignment_limit_A=12.0)),
    ("limit_unsupported", healthy(alignment_limit_A=6.2)),
    ("anisotropy", healthy(analysis=Analysis(cfar=0.8))),
    ("anisotropy", healthy(analysis=Analysis(cfar=0.4, cfar_by_chance=0.35))),
    ("anisotropy", by_direction(0.76, 1.33, Analysis(cfar=0.11, cfar_by_chance=0.2))),
    ("anisotropy", by_direction(0.1, 2.4, sd=0.3)),
    ("reported_curve", a_round({"sphere": falling(26), "reported_fsc": falling(26.3)})),
    ("reported_number", healthy(reported=reported(5.5, "FSC = 0.143"))),
    ("reported_number", healthy(reported=reported(192 / 27, "FSC = 0.5 (RELION)"))),
    ("halves_altered", healthy()),
    ("halves_altered", healthy(half_maps=INSCRIBED)),
    ("halves_altered", healthy(half_maps=BOTH.model_copy(update={"joined_below_A": 30.0, "images": (500, 480)}))),
    ("halves_unequal", healthy(half_maps=BOTH.model_copy(update={"joined_below_A": 30.0, "images": (500, 480)}))),
    ("one_set_of_poses", healthy(half_maps=BOTH)),
    ("no_half_maps", healthy()),
    ("scaled_curve", healthy()),
]


def test_a_cause_is_said_once_however_many_curves_show_it() -> None:
    risen = np.maximum(falling(20), np.where(SHELL > 44, 0.4, 0))
    findings = [f for f in audit([masked(risen, risen)]) if f.rule == "recrossing"]
    assert len(findings) == 1
    assert "The same holds for" in findings[0].message


def test_a_number_is_advised_only_where_nothing_warns() -> None:
    sound = a_round(
        {"unmasked": falling(20), "sphere": falling(20), "automask_corrected": falling(30), "automask": falling(30)}
    )
    doubted = sound.model_copy(update={"checks": Checks(mirrored=True)})
    said = [" ".join(f.message for f in audit([record]) if f.rule == "mask_and_sphere") for record in (sound, doubted)]
    assert "Quote the corrected curve" in said[0]
    assert said[1]
    assert "Quote" not in said[1]


def test_a_curve_that_falls_up_to_nyquist_wants_smaller_pixels_and_a_level_one_a_look_for_duplicates() -> None:
    fine = 0.98 / (1 + np.exp((SHELL - 100) / 16.0))
    for curve, words in ((fine, "smaller pixel"), (np.full(SHELLS, 0.4), "levelled off")):
        assert words in next(f.message for f in audit([of_shape(curve)]) if f.rule == "never_below")


@pytest.mark.parametrize(("rule", "record", "severity", "words"), SPEAKS, ids=[f"{c[0]}-{c[3]}" for c in SPEAKS])
def test_a_rule_speaks_of_its_case_in_words_and_numbers(
    rule: str, record: RoundRecord, severity: str, words: str
) -> None:
    found = rules(record)[rule]
    assert found.severity == severity
    assert words in found.message
    assert found.round == str(record.key)
    assert len(found.message) > 40


@pytest.mark.parametrize(("rule", "record"), SILENT, ids=[f"{n}-{c[0]}" for n, c in enumerate(SILENT)])
def test_a_rule_is_silent_where_its_case_is_not(rule: str, record: RoundRecord) -> None:
    assert rule not in rules(record)


# --- the whole log ------------------------------------------------------------------------------------------------------


def sphere_of(fraction: float) -> dict[str, Any]:
    return {"masks": masks_of(fraction)}


FAILURE = a_failure(2, "chunk 2 is missing")
CHANGED = healthy(1, fingerprint=Fingerprint(inputs=(InputFile(name="1", size=2, mtime_ns=2),)))
DIPPED = warned(
    "fsc_rises_again",
    "WARNING: FSC dipped below 0.5 and rose again. Using higher resolution of 20.8 A",
)
NEVER = warned(
    "never_below_0.8",
    "WARNING: FSC curve between unmasked maps never drops below 0.8. Using unmasked FSC",
)
POST = warned("unmasked_beyond_masked", "WARNING: the unmasked FSC extends beyond the solvent-corrected FSC.")
SWING = (healthy(1, 20), healthy(2, 30), healthy(3, 20), healthy(4, 30), healthy(5, 20))
REGULARISED = {"half_maps": HalfMapsRecord(origin="regularised", paths=("a", "b"))}

LOGS = [
    ("worse", (healthy(1, 34), healthy(2, 26)), "warning", "from 4.87 A in run/1/1 to"),
    ("worse", (healthy(1, 34, particles=900), healthy(2, 30.5, particles=500)), "note", "900 -> 500 particles"),
    ("worse", (healthy(1, 34), healthy(2, 26, alignment_limit_A=9.0)), "warning", "alignment limit none -> 9.00 A"),
    ("oscillates", SWING, "note", "does not settle"),
    ("particles_jumped", (healthy(1, particles=1000), healthy(2, particles=2000)), "note", "+100 %"),
    ("mask_jumped", (healthy(1, **sphere_of(0.02)), healthy(2, **sphere_of(0.03))), "note", "+50 %"),
    ("failed_round", (healthy(1), FAILURE), "warning", "chunk 2 is missing"),
    ("missing_round", (healthy(1), healthy(2), healthy(4), healthy(5)), "note", "round 3 of run is not in the log"),
    ("missing_round", (healthy(2), healthy(8), healthy(9)), "note", "rounds 3, 4, 5, 6, 7 of run are"),
    ("repeated_round", (healthy(1), CHANGED), "note", "measured 2 times"),
    ("repeated_round", (healthy(1), healthy(2)), "note", "number for number"),
    (
        "program_warning",
        (healthy(1, 20, **DIPPED), healthy(2, **DIPPED)),
        "warning",
        "took the higher resolution",
    ),
    ("program_warning", (healthy(1, **NEVER),), "warning", "left the correction for its mask out"),
    ("program_warning", (healthy(1, **POST),), "warning", "takes signal away"),
]

QUIET_LOGS = [
    ("worse", (healthy(1, 26), healthy(2, 30))),
    ("worse", (healthy(1, 30), healthy(2, 29.5))),
    ("worse", (healthy(1, 30, **REGULARISED), healthy(2, 20))),
    ("oscillates", (healthy(1, 20), healthy(2, 22), healthy(3, 24), healthy(4, 26), healthy(5, 28))),
    ("particles_jumped", (healthy(1, particles=1000), healthy(2, particles=1010))),
    ("mask_jumped", (healthy(1, **sphere_of(0.02)), healthy(2, **sphere_of(0.021)))),
    ("mask_jumped", (healthy(1, **sphere_of(0.02), **REGULARISED), healthy(2, **sphere_of(0.03)))),
    ("failed_round", (healthy(1), FAILURE, healthy(2))),
    ("missing_round", (healthy(1), healthy(2), healthy(3))),
    ("missing_round", (healthy(10), healthy(20), healthy(30))),
    ("repeated_round", (healthy(1, 20), healthy(2, 30))),
    ("program_warning", (healthy(1, notes=("refined with Blush: the references of the iterations are denoised",)),)),
]


@pytest.mark.parametrize(("rule", "lines", "severity", "words"), LOGS, ids=[f"{c[0]}-{c[3]}" for c in LOGS])
def test_a_rule_of_the_log_speaks_of_its_case(rule: str, lines: tuple[LogLine, ...], severity: str, words: str) -> None:
    found = rules(*lines)[rule]
    assert found.severity == severity
    assert words in found.message


@pytest.mark.parametrize(("rule", "lines"), QUIET_LOGS, ids=[f"{n}-{c[0]}" for n, c in enumerate(QUIET_LOGS)])
def test_a_rule_of_the_log_is_silent_where_its_case_is_not(rule: str, lines: tuple[LogLine, ...]) -> None:
    assert rule not in rules(*lines)


def test_every_rule_is_tested_where_it_speaks_and_where_it_is_silent() -> None:
    names = rule_names()
    assert len(names) >= 26
    assert names <= {case[0] for case in (*SPEAKS, *LOGS)} | {"scaled_curve"}
    assert names <= {case[0] for case in (*SILENT, *QUIET_LOGS)}


def test_a_warning_of_the_program_is_told_once_of_a_run_and_a_lasting_loss_once() -> None:
    noted = [healthy(n, 20 + n, **DIPPED) for n in (1, 2, 3)]
    assert [f.round for f in audit(Journal(tuple(noted))) if f.rule == "program_warning"] == ["run/1/1"]
    falls = (healthy(1, 34), healthy(2, 26), healthy(3, 26.1), healthy(4, 20))
    assert [f.round for f in audit(Journal(falls)) if f.rule == "worse"] == ["run/2/1", "run/4/1"]


def test_the_limit_that_is_advised_is_the_coarse_end_of_the_interval() -> None:
    found = rules(healthy(alignment_limit_A=4.0, half_maps=INDEPENDENT))["limit_unsupported"]
    interval = healthy().headline_curve().interval_A  # type: ignore[union-attr]
    assert interval is not None
    advised = float(re.findall(r"limit to ([\d.]+) A or coarser", found.message)[0])
    assert interval[0] <= advised < interval[0] + 0.1


def test_only_some_rounds_are_looked_at_with_the_others_as_their_history() -> None:
    log = Journal((healthy(1, 34), healthy(2, 26, alignment_limit_A=4.0), healthy(3, 26.0, alignment_limit_A=4.0)))
    only = audit(log, only=[Key(run="run", iteration=2, class_id=1)])
    assert {f.round for f in only} == {"run/2/1"}
    assert "worse" in {f.rule for f in only}


def test_the_gravest_severity_is_the_worst() -> None:
    assert worst(audit(Journal((healthy(1, 34), healthy(2, 26))))) == "warning"
    assert worst(audit(Journal((healthy(1, particles=1), healthy(2, 31, particles=9))))) == "note"
    assert worst([]) is None


curve_values = st.lists(st.one_of(st.none(), st.floats(-1, 1)), min_size=SHELLS, max_size=SHELLS).filter(
    lambda v: any(x is not None for x in v)
)


@settings(max_examples=30, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["unmasked", "sphere", "sphere_scaled", "automask", "automask_corrected"]),
        curve_values,
        min_size=1,
    )
)
def test_no_curve_makes_the_audit_fail(values: dict[str, list[float | None]]) -> None:
    arrays = {name: np.array([np.nan if v is None else v for v in numbers]) for name, numbers in values.items()}
    audit(Journal((a_round(arrays), a_round(arrays, 2))))


# --- real curves --------------------------------------------------------------------------------------------------------


def real_round(name: str, columns: dict[str, Values], frequency: Values, box_over_particle: float) -> RoundRecord:
    """A round of RELION as its own postprocess saw it, and the curve that a scaling to the particle's volume makes of it."""
    shells, step = len(frequency), float(np.median(np.diff(frequency)))
    box_px, frequency = 2 * (shells - 1), np.arange(shells) * step
    below = np.flatnonzero(columns["unmasked"][1:] < 0.8)
    null = {
        "randomised_mean": columns["randomised"],
        "randomised_sd": np.full(shells, np.nan),
        "onset_shell": int(below[0]) + 1 if below.size else None,
    }
    made = [
        curves.curve("unmasked", None, columns["unmasked"], frequency),
        curves.curve("user", "user", columns["masked"], frequency, **null),  # type: ignore[arg-type]
        curves.curve("user_corrected", "user", columns["corrected"], frequency, kind="corrected"),
        curves.curve(
            "reported_part_fsc",
            None,
            part_fsc(columns["unmasked"], 1 / box_over_particle),
            frequency,
            kind="reported",
            made="scaled",
        ),
    ]
    return RoundRecord(
        program="relion",
        label=name,
        measured_at=now(),
        key=Key(run=name.split("/", maxsplit=1)[0], iteration=int(re.findall(r"\d+", name)[-1]), class_id=1),
        fingerprint=Fingerprint(inputs=(InputFile(name=name, size=1, mtime_ns=1),)),
        box_px=box_px,
        voxel_size_A=1 / (step * box_px),
        frequency_per_A=tuple(frequency.tolist()),
        voxels_in_shell=tuple(voxels_in_shell(box_px).tolist()),
        half_maps=HalfMapsRecord(origin="found", paths=("a", "b")),
        curves=tuple(made),
    )


STAR_COLUMNS = {
    "unmasked": "FourierShellCorrelationUnmaskedMaps",
    "masked": "FourierShellCorrelationMaskedMaps",
    "corrected": "FourierShellCorrelationCorrected",
    "randomised": "CorrectedFourierShellCorrelationPhaseRandomizedMaskedMaps",
}


def real_rounds(shared: Path) -> dict[str, RoundRecord]:
    folder = shared / "realdata" / "relion_postprocess_rounds"
    with (folder / "part_fsc_audit.csv").open() as stream:
        volumes = {row["round"].split("/")[0]: float(row["f"]) for row in csv.DictReader(stream)}
    rounds = {}
    for path in sorted((folder / "csv").rglob("*.csv")):
        with path.open() as stream:
            rows = list(csv.DictReader(stream))
        table = {key: np.array([float(row[key] or "nan") for row in rows]) for key in rows[0]}
        table["randomised"] = table["phase_randomised"]
        name = f"{path.parent.name}/{path.stem}"
        rounds[name] = real_round(name, table, table["spatial_frequency_per_A"], volumes[path.parent.name])
    for path in sorted((shared / "realdata" / "relion5_hiv_sta" / "PostProcess").rglob("postprocess.star")):
        block = read_star(path)["fsc"]
        table = {kind: np.array(block.array(f"rln{column}"), float) for kind, column in STAR_COLUMNS.items()}
        name = f"HIV-STA/{path.parent.name}"
        rounds[name] = real_round(name, table, np.array(block.array("rlnResolution"), float), volumes["HIV-STA"])
    return rounds


def falls_once(record: RoundRecord) -> bool:
    """Whether the masked and the corrected curve cross 0.143 once, downwards, and stay down."""
    crossings = [
        [c.direction for c in curve.crossings if c.level != 0.5]
        for curve in record.curves
        if curve.name in ("user", "user_corrected")
    ]
    return crossings == [["down"], ["down"]]


@pytest.mark.shared
def test_real_curves_that_fall_once_give_at_most_two_false_alarms_and_their_scaled_curves_are_called_noise(
    shared: Path,
) -> None:
    rounds = real_rounds(shared)
    assert len(rounds) == 58
    found = {name: audit(Journal((record,))) for name, record in rounds.items()}
    clean = [name for name, record in rounds.items() if falls_once(record)]
    assert len(clean) == 51
    alarmed = {n: [f.rule for f in found[n] if f.severity == "warning" and f.rule != "scaled_curve"] for n in clean}
    assert sum(bool(told) for told in alarmed.values()) <= 2, {k: v for k, v in alarmed.items() if v}
    scaled = [name for name, told in found.items() if any(f.rule == "scaled_curve" for f in told)]
    assert len(scaled) > 29


@pytest.mark.shared
def test_a_mask_under_which_randomised_phases_correlate_to_nyquist_is_named_in_real_rounds(shared: Path) -> None:
    rounds = real_rounds(shared)
    for number in range(7):
        found = rules(rounds[f"EMPIAR-10200/iter0{number}"])
        assert "the mask 'user' correlates by itself" in found["never_below"].message


def test_halves_without_a_common_signal_have_no_headline_and_every_reader_is_told_why(tmp_path: Path) -> None:
    """A curve above the threshold by chance is no resolution, and neither is the number that the program states."""
    chance = np.where(np.arange(SHELLS) < 6, 0.5, 0.0)
    record = a_round({"unmasked": NOTHING, "sphere": chance, "reported_fsc": falling(30)})
    assert record.curve("sphere").resolution_A is not None  # type: ignore[union-attr]
    assert (record.headline, record.headline_withheld) == (None, ("no_signal",))
    told = verdict(record, None, [])
    assert (told.headline, "no more than noise" in told.basis) == ("No resolution", True)
    with pytest.raises(InputError, match="no more than noise"):
        deposit.prepared(record, tmp_path)


def test_few_independent_coefficients_do_not_make_a_signal_of_chance() -> None:
    """Twenty-four mates are one coefficient: what is certain of C1 is chance of O."""
    weak = np.where(np.arange(SHELLS) < 8, 0.2, 0.0)
    record = a_round({"unmasked": weak, "sphere": weak})
    assert record.headline == "sphere"
    assert with_headline(record, symmetry_order=24 * 8).headline is None


@pytest.mark.parametrize(("null", "headline"), [(0.05, "user_corrected"), (0.4, "sphere_corrected")])
def test_no_resolution_is_read_where_a_users_mask_correlates_by_itself(null: float, headline: str) -> None:
    assert under_a_users_mask(null).headline == headline
