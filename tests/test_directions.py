"""Resolution, noise and sampling by direction: phantoms with a known preference of views."""

from pathlib import Path

import chimerax_grammar
import numpy as np
import pytest
from direction_panel import JUDGED, Preference, histogram, made, scored, views_of
from rounds_data import healthy

import refine_hooks
from refine_hooks import fsc, masks
from refine_hooks.analysis.along import Shells, along_axes
from refine_hooks.analysis.axes import fibonacci_axes
from refine_hooks.analysis.cones import Cones
from refine_hooks.analysis.directions import noise_directions
from refine_hooks.analysis.further import analyse
from refine_hooks.analysis.sampling import Sampled, sampled, sampling
from refine_hooks.analysis.views import Views
from refine_hooks.analysis.views_agree import agreement
from refine_hooks.audit.directions import views_disagree
from refine_hooks.errors import InputError, MapError, SettingsError
from refine_hooks.files.mrc import Map, write_map
from refine_hooks.fourier import shell_sums, transform
from refine_hooks.log.checks import Checks, NoiseByDirection
from refine_hooks.log.directions import Along
from refine_hooks.log.records import Analysis, HalfMapsRecord, RoundRecord
from refine_hooks.report.beyond_plot import plot_directions
from refine_hooks.report.by_direction import along_words, direction_words, sampling_words
from refine_hooks.report.viewer import chimerax_script
from refine_hooks.settings import Settings


def even(count: int = 20000) -> np.ndarray:
    views = np.random.default_rng(1).normal(size=(count, 3))
    return views / np.linalg.norm(views, axis=1, keepdims=True)


def test_even_views_have_a_factor_of_one_and_views_from_the_side_8_over_pi_squared() -> None:
    found = sampling(Views(histogram(even())))
    assert found is not None
    assert found.factor == pytest.approx(1, abs=0.005)
    assert found.unseen == 0
    assert "cost next to nothing" in sampling_words(found)
    flat = even() * [1, 1, 0.01]
    side = sampling(Views(histogram(flat / np.linalg.norm(flat, axis=1, keepdims=True))))
    assert side is not None
    assert side.factor == pytest.approx(8 / np.pi**2, abs=0.015)
    assert abs(side.highest_axis[2]) > 0.95
    assert 0 < side.factor_sd < 0.01


def test_views_along_one_axis_leave_directions_unseen_and_symmetry_mates_fill_them() -> None:
    counts = np.zeros((18, 72))
    counts[0] = 100.0
    top = sampling(Views(counts))
    assert top is not None
    assert top.unseen > 0.6
    assert "not seen at all" in sampling_words(top)
    filled = sampling(Views(counts, "O"))
    assert filled is not None
    assert filled.unseen < top.unseen - 0.2
    assert sampling(Views(np.zeros((18, 72)))) is None


def test_the_resolution_along_an_axis_is_that_of_signal_and_noise_in_its_cone() -> None:
    ratios, held = scored(JUDGED[0], [3])
    assert len(ratios) == 5
    assert np.mean(ratios) == pytest.approx(1, abs=0.08)
    assert sum(held) >= 4


def test_a_coarse_shell_of_which_a_cone_holds_hardly_anything_is_no_resolution() -> None:
    axes, shell = np.concatenate([fibonacci_axes(), np.eye(3)]), np.arange(33)
    whole = 1 / (1 + np.exp((shell - 20) / 2))
    by_axis = np.tile(whole, (len(axes), 1))
    by_axis[:, 5] = 0.1
    cones = Cones(axes, by_axis, by_axis, np.ones(len(axes)), np.ones(len(axes)), 1.0)
    independent = 4 * np.pi * shell**2 / 8.0
    shells = Shells(shell / 128, independent, np.eye(33)[0], 0.143, whole)
    assert [one.resolution_A for one in along_axes(cones, shells)] == pytest.approx([128 / 23.6] * 5, abs=0.1)


def seen_by(views: str) -> Sampled:
    return sampled(histogram(views_of(views, 6000, 11)))


def record_of(own: str, told: str, filtered: bool, with_signal: bool = True) -> RoundRecord:
    """A round whose map was made from the views ``own``, with the angles of ``told``."""
    truth, angles = seen_by(own), sampling(Views(histogram(views_of(told, 5000, 1))))
    rng = np.random.default_rng(5)
    noise = np.ones(256) if filtered else truth.noise_in_cones()
    if filtered and own == "even":
        noise = 1 + 0.8 * fibonacci_axes()[:, 0] ** 2
    noise = noise / noise.mean() + rng.normal(0, 0.02, 256)
    ratio = truth.in_cones() * rng.lognormal(0, 0.1, 256) if with_signal else ()
    checks = Checks(noise_by_direction=NoiseByDirection(lowest=0.9, highest=1.1, sd=0.02, cones=tuple(noise)))
    return healthy(checks=checks, sampling=angles, analysis=Analysis(signal_to_noise=tuple(ratio)))


@pytest.mark.parametrize(
    ("own", "told", "filtered", "fault"),
    [
        ("top", "top", False, None),
        ("even", "even", False, None),
        ("side", "top", False, "angles"),
        ("even", "side", False, "angles"),
        ("side", "even", False, "angles"),
        ("x", "side", False, "angles"),
        ("top", "top", True, "map"),
        ("even", "even", True, "map"),
    ],
)
def test_the_angles_and_the_map_agree_and_where_they_do_not_it_is_said_which_is_at_fault(
    own: str, told: str, filtered: bool, fault: str | None
) -> None:
    record = record_of(own, told, filtered)
    found = list(views_disagree(record, Settings()))
    assert [one.evidence["at_fault"] for one in found] == ([] if fault is None else [fault])
    assert [one.severity for one in found] == ([] if fault is None else ["warning"])
    said = " ".join(direction_words(record))
    assert "1 over the sampling by these angles" in said or "is even, as these views make it" in said
    assert "noise power by direction, over its mean: 0.90 ± 0.02 to 1.10 ± 0.02" in said


def test_noise_that_does_not_go_as_1_over_the_sampling_by_the_program_s_own_rule_is_no_fault() -> None:
    """cisTEM adds a constant to its weights; and half maps that were made here of these angles cannot be at odds with them."""
    record = record_of("side", "top", False)
    assert list(views_disagree(record, Settings()))
    of_cistem = record.model_copy(update={"program": "cistem"})
    assert not list(views_disagree(of_cistem, Settings()))
    said = " ".join(direction_words(of_cistem))
    assert "cisTEM adds a constant to its weights" in said
    assert "seen less often" not in said
    made_here = record.model_copy(update={"half_maps": HalfMapsRecord(origin="reconstructed")})
    assert not list(views_disagree(made_here, Settings()))
    even, top = (np.array(seen_by(views).in_cones()) for views in ("even", "top"))
    noise = 1 / np.exp(0.5 * (np.log(even) + np.log(top)))  # half of the way
    fault = [agreement(top, noise / noise.mean(), 0.02, (), particles) for particles in (None, 5000, 300)]
    assert [one.fault if one else None for one in fault] == ["map", "map", "none"]


def test_whether_directions_differ_by_more_than_their_errors_is_said() -> None:
    def of(*resolutions_A: float) -> str:
        names = ("x", "y", "z", "best", "worst")
        along = tuple(
            Along(name=name, axis=(1, 0, 0), resolution_A=one, interval_A=(one + 0.2, one - 0.2))
            for name, one in zip(names, resolutions_A, strict=False)
        )
        analysis = Analysis(along=along, cfar=0.3, cfar_by_chance=0.2 if resolutions_A[0] == resolutions_A[1] else 0.9)
        return " ".join(direction_words(healthy(analysis=analysis)))

    assert "the map is as good along one axis as along another" in of(5.0, 5.0, 5.1)
    assert "no direction is poorer than chance makes it" in of(5.0, 5.0, 5.1)
    apart = of(5.0, 6.0, 5.5)
    assert "the map is poorer along y than along x, by more than the 90 % intervals" in apart
    assert "the map is poorer in some directions" in apart


@pytest.mark.parametrize(
    ("curve", "state", "said"),
    [
        (np.full(33, 0.5), "never_below", "good to the limit of the voxels"),
        (np.r_[np.full(20, 0.8), np.full(13, 0.15)], "undecided", "not told, the FSC is too noisy from 6."),
        (np.r_[np.full(20, 0.8), np.full(13, np.nan)], "truncated", "good as far as the half maps go"),
        (np.full(33, 0.1), "never_above", "no resolution"),
    ],
)
def test_why_an_axis_has_no_resolution_is_told_apart(curve: np.ndarray, state: str, said: str) -> None:
    curves, frequency = np.tile(curve, (259, 1)), np.arange(33) / 128.0
    cones = Cones(np.ones((259, 3)), curves, curves, np.ones(259), np.full(259, np.nan), 1.0)
    together = np.r_[1.0, np.zeros(8)]
    for one in along_axes(cones, Shells(frequency, 4.0 * np.pi * np.arange(33) ** 2, together, 0.143, curve)):
        assert (one.resolution_A, one.state) == (None, state)
        assert said in along_words(one)
        assert one.interval_A is None or one.interval_A[1] == 4.0
    known = Along(name="y", axis=(0, 1, 0), resolution_A=5.0, interval_A=(5.2, 4.8))
    along = (known, known.model_copy(update={"name": "z"}), one)
    words = " ".join(direction_words(healthy(analysis=Analysis(along=along))))
    assert ("of the axes with a number: within these" in words) == (state != "never_above")


def test_without_the_map_s_signal_to_noise_it_is_not_decided_which_is_at_fault() -> None:
    found = list(views_disagree(record_of("side", "top", False, with_signal=False), Settings()))
    assert [(one.severity, one.evidence["at_fault"]) for one in found] == [("note", "undecided")]
    assert not list(views_disagree(healthy(), Settings()))


def test_a_map_that_was_filtered_by_direction_is_found_to_be_at_fault() -> None:
    halves = made(Preference("top"), 3, filtered=True)
    mask = masks.sphere(len(halves[0]), 2.0, 40.0, 8.0)
    transforms = [transform(half) for half in halves]
    noise = noise_directions(*transforms, shell_sums(*transforms))
    record = analyse(*halves, 2.0, mask, "m", fsc.masked_fsc(*halves, mask)).record
    assert noise is not None
    found = agreement(seen_by("top").relative, noise.cones, noise.sd, record.signal_to_noise)
    assert found is not None
    assert found.fault == "map"
    assert found.of_the_map == pytest.approx(1, abs=0.15)
    assert [one.name for one in record.along] == ["x", "y", "z", "best", "worst"]
    assert "about x, y, z" in " ".join(along_words(one) for one in record.along)


def test_from_python_the_directions_of_maps_and_the_sampling_of_angles_are_what_a_round_has() -> None:
    halves = made(Preference("top"), 3)
    found = {
        one.name: one for one in refine_hooks.resolution_by_direction(*halves, 2.0, mask=masks.sphere(64, 2.0, 40, 8))
    }
    assert set(found) == {"x", "y", "z", "best", "worst"}
    assert abs(found["worst"].axis[2]) > 0.9
    views = views_of("top", 4000, 1)
    theta, phi = np.degrees(np.arccos(views[:, 2])), np.degrees(np.arctan2(views[:, 1], views[:, 0]))
    known = refine_hooks.sampling_of_views(theta, phi)
    turned = refine_hooks.sampling_of_views(-theta, phi + 180)
    assert known.factor == pytest.approx(0.79, abs=0.03)
    assert turned.factor == pytest.approx(known.factor, abs=1e-6)
    with pytest.raises(MapError, match="as many"):
        refine_hooks.sampling_of_views([1.0], [])
    with pytest.raises(SettingsError, match="point group"):
        refine_hooks.resolution_by_direction(*halves, 2.0, symmetry="Q7")


def test_the_rods_of_the_best_and_worst_axis_are_drawn_and_the_figures(tmp_path: Path) -> None:
    along = tuple(
        Along(name=name, axis=axis, resolution_A=5.0, interval_A=(5.2, 4.8))
        for name, axis in (("x", (1, 0, 0)), ("best", (0, 1, 0)), ("worst", (0, 0, 1)))
    )
    record = record_of("top", "top", False)
    record = record.model_copy(update={"analysis": Analysis(along=along)})
    record = record.model_copy(update={"half_maps": HalfMapsRecord(origin="found", paths=("a.mrc", "b.mrc"))})
    for name in ("a.mrc", "b.mrc"):
        write_map(tmp_path / name, Map(np.zeros((8, 8, 8), np.float32), 2.0, (10.0, 0.0, 0.0)), "flat")
    script = chimerax_script(record, tmp_path)
    rods = [line for line in script.splitlines() if line.startswith("shape cylinder")]
    assert len(rods) == 2
    assert "\nlog text Resolution by direction: along x 5.00 Å (5.20-4.80)" in script
    half_A = record.voxel_size_A * record.box_px / 2
    assert f"fromPoint {10 + half_A:g},{0:g}," in rods[0]
    chimerax_grammar.run(script)
    plot_directions(record, tmp_path / "directions.png", 8.0)
    assert (tmp_path / "directions.png").stat().st_size > 1000
    assert record.checks is not None
    noise = record.checks.noise_by_direction
    assert noise is not None
    for sd, bars in ((0.01, 256), (None, 0)):
        checks = record.checks.model_copy(update={"noise_by_direction": noise.model_copy(update={"sd": sd})})
        plot_directions(record.model_copy(update={"checks": checks}), tmp_path / "d.svg", 8.0)
        drawn = (tmp_path / "d.svg").read_text().partition('id="LineCollection')[2].partition("</g>")[0]
        assert drawn.count("<path") == bars
    with pytest.raises(InputError, match="no resolution by direction"):
        plot_directions(healthy(), tmp_path / "none.png")
