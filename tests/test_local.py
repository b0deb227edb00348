"""Local resolution against parts of known signal and noise."""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from local_panel import Made, Part, Phantom, made
from small_program import a_watch, lines_of

from refine_hooks.analysis import _local_kernels as kernels
from refine_hooks.analysis import local, local_fit
from refine_hooks.analysis.domains import domains
from refine_hooks.analysis.local import BAND, _in_band, local_resolution
from refine_hooks.analysis.local_body import body_of
from refine_hooks.analysis.local_parts import read_parts
from refine_hooks.analysis.local_record import changed, measured_locally
from refine_hooks.files.mrc import Map, read_map, write_map
from refine_hooks.log.index import LogIndex
from refine_hooks.log.local import LocalPart, LocalResolution
from refine_hooks.log.masks import AutomaskParameters, MaskRecord
from refine_hooks.log.records import RoundRecord
from refine_hooks.masks import cosine_edge
from refine_hooks.model import Key
from refine_hooks.reanalyse import Analyses
from refine_hooks.report import local as local_report
from refine_hooks.report.local import local_words
from refine_hooks.watch import loop, steps

REACH_A = 8.0
SMALL = Phantom("two", 72, 2.0, (Part((0, 0, -27), (26, 26, 26), 5.2), Part((0, 2, 26), (27, 26, 26), 7.6)))

TINY = Phantom("one", 40, 3.0, (Part((0, 0, 0), (32, 28, 28), 8.0),))


@pytest.fixture(scope="module")
def two() -> Made:
    return made(SMALL)


def mask_about(phantom: Made, voxel_A: float) -> np.ndarray:
    from scipy.ndimage import distance_transform_edt

    return cosine_edge(distance_transform_edt(phantom.part < 0) * voxel_A - (REACH_A - 3), 6.0).astype(np.float32)


def about(**sizes: float) -> MaskRecord:
    return MaskRecord(
        name="automask", role="automask", volume_A3=1.0, volume_fraction=0.1, parameters=AutomaskParameters(**sizes)
    )


@pytest.fixture(scope="module")
def measured(two: Made):
    halves = (Map(half, SMALL.voxel_size_A, (3.0, 0.0, 0.0)) for half in (two.half1, two.half2))
    found = measured_locally(*halves, mask_about(two, SMALL.voxel_size_A), about(reach_A=REACH_A), overall_A=6.0)
    assert found is not None
    return found


def test_each_part_has_its_own_resolution_and_nearly_every_place_that_of_its_part(two: Made, measured):
    values = measured.map.voxels
    step = round(measured.map.voxel_size_A / SMALL.voxel_size_A)
    at = np.argwhere(values > 0)
    part = two.part[tuple((at * step).T)]
    found = values[tuple(at.T)]
    for number, one in enumerate(SMALL.parts):
        assert np.median(found[part == number]) == pytest.approx(
            one.resolution_A, rel=0.07
        )  # parts of 7 wavelengths; the panel has larger ones
    true = np.array([one.resolution_A for one in SMALL.parts])[part]
    assert (np.abs(found / true - 1) < 0.12).mean() > 0.9
    resolutions = sorted(one.resolution_A for one in measured.record.parts)
    assert resolutions == pytest.approx([5.2, 7.6], rel=0.07)
    for one in measured.record.parts:
        assert one.interval_A[0] > one.resolution_A > one.interval_A[1]


def test_the_words_of_a_local_resolution_hold_for_each_map() -> None:
    part = LocalPart(number=1, volume_share=0.7, at_A=(-0.2, 1, 9), resolution_A=6.0, interval_A=(6.2, 5.8))
    known = LocalResolution(
        mask="automask", threshold=0.143, voxel_size_A=4, places=100, finest_A=5.5, quartiles_A=(5.5, 5.5, 6.2), coarsest_A=7.0,
        histogram_from_A=(5.5, 7.0), histogram_share=(1.0,), not_stated=0.7, beyond_nyquist=0.6, place_error=0.12, parts=(part,),
    )  # fmt: skip
    said = " ".join(local_words(known, 7.5))
    assert (
        "local resolution: 5.50 Å or better in the middle of all places, half of them 5.50 Å or better to 6.20 Å"
        in said
    )
    assert "; in phantoms of known resolution nine of ten places are right within 12 %" in said
    without = " ".join(
        local_words(known.model_copy(update={"note": "the particle is not told apart from the solvent"}), 7.5)
    )
    assert not any(words in without for words in ("right within", "one part", "is solvent"))
    most = local_words(known.model_copy(update={"beyond_nyquist": 0.9}))[0]
    assert (
        "90 % of all places are good up to the limit of the voxels, the poorest twentieth is at 7.00 Å or coarser"
        in most
    )
    assert "nearly all places are better than the 7.50 Å of the whole" in said
    assert "the particle is one part: 6.00 Å (6.20-5.80)" in said
    other = part.model_copy(update={"number": 2, "resolution_A": 7.0, "interval_A": (7.2, 6.8), "volume_share": 0.3})
    said = " ".join(local_words(known.model_copy(update={"parts": (part, other)}), 6.5))
    assert "part 2 is poorer than part 1" in said
    assert "(70 % of it, at 0, 1, 9 Å)" in said
    assert "of the whole" not in said


def test_solvent_and_the_edge_of_the_mask_have_no_resolution(two: Made, measured):
    values = measured.map.voxels
    step = round(measured.map.voxel_size_A / SMALL.voxel_size_A)
    solvent = two.part[::step, ::step, ::step] < 0
    assert (values[solvent] == 0).mean() > 0.98
    assert (values[~solvent] > 0).mean() > 0.8
    assert 0.3 < measured.record.not_stated < 0.8
    assert "is solvent or its edge and has no local resolution" in " ".join(local_words(measured.record))
    assert measured.map.origin_A == (3.0, 0.0, 0.0)


def test_a_box_that_the_particle_reaches_out_of_is_the_same_as_one_that_it_lies_in(two: Made):
    labels = (two.part + 1).astype(np.int16)
    inside = local_resolution(two.half1, two.half2, 2.0, labels, overall_A=4.0)
    moved = [np.roll(volume, (36, 36, 36), (0, 1, 2)) for volume in (two.half1, two.half2, labels)]
    across = local_resolution(moved[0], moved[1], 2.0, moved[2], overall_A=4.0)
    assert inside is not None
    assert across is not None
    back = np.roll(across.resolution_A, (-36 // across.step_px,) * 3, (0, 1, 2))
    at = (inside.resolution_A > 0) & (back > 0)
    assert np.median(np.abs(back[at] / inside.resolution_A[at] - 1)) < 0.02


@pytest.mark.parametrize("slope", [6.0, 10.0, 14.0])
def test_a_curve_without_noise_is_read_where_it_passes_the_level(slope: float):
    logs = np.log(1 / 30) + 0.13 * np.arange(20)
    true = np.log(1 / np.array([4.1, 7.3, 11.0]))
    curves = np.stack([local_fit.seen_in_bands(logs - one, slope, BAND, 0.143) for one in true], axis=1)
    found, below, above = local_fit.crossings(logs, curves.astype(np.float32), BAND, 0.143, 0.02)
    assert np.log(found) == pytest.approx(true, abs=0.02)
    assert not below.any()
    assert not above.any()


def test_a_band_is_looked_at_in_every_second_of_its_voxels():
    rng = np.random.default_rng(3)
    whole = (rng.standard_normal((20, 24, 24)) + 1j * rng.standard_normal((20, 24, 24))).astype(np.complex64)
    at = np.meshgrid(*(np.fft.fftfreq(n) * n for n in whole.shape), indexing="ij")
    radius = np.sqrt(sum(x * x for x in at))
    few = whole[np.ix_(*(np.r_[0:8, n - 8 : n] for n in whole.shape))]
    weight = np.where(abs(radius - 5) < 3 * 0.7, np.exp(-0.5 * ((radius - 5) / 0.7) ** 2), 0)
    weight = weight[np.ix_(*(np.r_[0:8, n - 8 : n] for n in whole.shape))]
    values = np.fft.ifftn(few * weight) * few.size / whole.size
    bands = np.empty((4, 8, 8, 8), np.complex64)
    kernels.band(whole, np.ones(3), 5.0, 0.7, 0, 8, bands)
    voxels = np.fft.ifftn(bands, axes=(1, 2, 3))
    odd = ((0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 0))
    for found, (z, y, x) in zip(voxels, odd, strict=True):
        assert found == pytest.approx(values[z::2, y::2, x::2], abs=0.02 * abs(values).max())
    parts = (rng.random((16, 16, 16)) < 0.6).astype(np.int16)
    sums = np.empty((2, 8, 8, 8), np.float32)
    kernels.pooled(voxels.astype(np.complex64), parts, 0, 8, sums)
    inside = values * parts
    expected = sum(np.square(inside[z::2, y::2, x::2].imag) for z, y, x in odd)
    assert sums[1] == pytest.approx(expected, abs=0.05 * expected.max())


def test_noise_alone_has_no_resolution_and_identical_halves_have_none_but_the_voxels_limit():
    logs = np.log(1 / 30) + 0.13 * np.arange(20)
    curves = np.stack([np.zeros(20), np.ones(20)], axis=1).astype(np.float32)
    _, below, above = local_fit.crossings(logs, curves, BAND, 0.143, 0.02)
    assert below.tolist() == [True, False]
    assert above.tolist() == [False, True]
    assert (
        local_resolution(*(np.zeros((16,) * 3, np.float32),) * 2, 2.0, np.zeros((16,) * 3, np.int16), overall_A=8)
        is None
    )


@pytest.mark.parametrize(
    ("end", "volume_A3", "state"),
    [
        (0.17, 3e5, "undecided"),
        (0.17, 3e8, "never_below"),
        (0.6, 3e5, "never_below"),
        (0.0, 3e5, "crosses"),
        (None, 3e5, "never_above"),
    ],
)
def test_a_part_near_the_level_up_to_the_last_band_is_not_said_to_be_good(
    end: float | None, volume_A3: float, state: str
) -> None:
    logs = np.log(1 / 30) + local.STEP * np.arange(9)
    curve = np.full(9, -0.1) if end is None else np.maximum([0.97, 0.94, 0.9, 0.8, 0.6, 0.35, 0.22, end, end], end)
    sums = np.stack([1 + curve, 1 - curve], axis=1)[:, :, None]
    (found,) = read_parts(logs, sums, np.array([volume_A3]), BAND, 0.143, 10.9)
    assert found.state == state
    part = LocalPart(
        number=1, volume_share=1, at_A=(0, 0, 0), resolution_A=found.resolution_A, interval_A=found.interval_A, state=found.state
    )  # fmt: skip
    said = local_report.part_words(part).partition(": ")[2]
    if state == "undecided":
        assert found.interval_A is not None
        assert found.interval_A[0] > 12
        assert found.interval_A[1] == 10.9
        assert said.startswith("not told, the FSC is too noisy from 1")
    assert (said == "good to the limit of the voxels") == (state == "never_below")


def test_parts_without_a_number_are_not_said_to_be_like_the_others() -> None:
    known = [
        LocalPart(number=n, volume_share=0.3, at_A=(0, 0, 0), resolution_A=5.0, interval_A=(5.2, 4.8)) for n in (1, 2)
    ]
    poor = LocalPart(number=3, volume_share=0.4, at_A=(0, 0, 0), state="never_above")
    (said,) = local_report._parts_words((*known, poor))
    assert said.endswith("no resolution: of those with a number, the parts are alike within these intervals")


def test_no_place_is_finer_than_its_voxels_show() -> None:
    half = np.random.default_rng(1).standard_normal((32,) * 3).astype(np.float32)
    found = local_resolution(half, half, 3.0, shaped((0, 0, 0, 10))[8:40, 8:40, 8:40].astype(np.int16), overall_A=6.0)
    assert found is not None
    assert found.resolution_A[found.resolution_A > 0] == pytest.approx(6.0, abs=1e-5)
    assert found.finer.sum() == (found.resolution_A > 0).sum()
    assert [one.state for one in found.parts] == ["never_below"]


def shaped(*balls: tuple[float, float, float, float]) -> np.ndarray:
    at = np.indices((48,) * 3) - 24
    return np.any([sum((x - c) ** 2 for x, c in zip(at, ball, strict=False)) < ball[3] ** 2 for ball in balls], axis=0)


@pytest.mark.parametrize(
    ("body", "count"),
    [
        (shaped((0, 0, 0, 14)), 1),
        (shaped((0, 0, -11, 10), (0, 0, 9, 8)), 2),
        (shaped((0, 0, -14, 7), (0, 0, 14, 7)), 2),
        (shaped((0, 0, -14, 7), (0, 13, 6, 7), (0, -13, 6, 7)), 3),
        (shaped((0, 0, -14, 12), (20, 20, 20, 1.5)), 1),
        (np.zeros((48,) * 3, bool), 0),
    ],
    ids=["a ball", "two that touch", "two apart", "three apart", "a ball and a speck", "nothing"],
)
def test_a_particle_is_divided_at_its_necks_and_where_it_is_not_connected(body: np.ndarray, count: int):
    parts = domains(body, 3.0)
    assert parts.max() == count
    assert not parts[~body].any()
    sizes = np.bincount(parts.ravel())[1:]
    assert sizes.tolist() == sorted(sizes, reverse=True)
    if count == 2:
        assert parts[24, 24, 12] != parts[24, 24, 36]


def test_a_body_lies_as_deep_in_its_mask_as_it_is_said():
    radius = np.sqrt(((np.indices((64,) * 3) - 32) ** 2).sum(0)) * 1.5
    body = body_of(cosine_edge(radius - 30.0, 6.0).astype(np.float32), 1.5, 12.0)  # 1/2 at 33 A
    assert (3 / 4 / np.pi * body.sum()) ** (1 / 3) * 1.5 == pytest.approx(21.0, abs=1.5)


def test_the_change_against_the_last_round_is_counted_place_by_place(measured):
    worse = Map(measured.map.voxels * 1.2, measured.map.voxel_size_A, measured.map.origin_A)
    key = Key(run="r", iteration=1, class_id=1)
    change = changed(measured.record, measured.map, worse, key).change
    assert change is not None
    assert (change.better, change.worse) == (1.0, 0.0)
    assert change.median_A == pytest.approx(-0.2 * measured.record.median_A, rel=0.1)
    elsewhere = Map(worse.voxels, worse.voxel_size_A, (50.0, 0.0, 0.0))
    assert changed(measured.record, measured.map, elsewhere, key).change is None


@cache
def phantom_of(number: int) -> Made:
    return made(TINY, number)


def write_rounds(project: Path, *rounds: int) -> None:
    project.mkdir(exist_ok=True)
    for number in rounds:
        phantom = phantom_of(number)
        for half, voxels in ((1, phantom.half1), (2, phantom.half2)):
            write_map(project / f"it{number}_half{half}.mrc", Map(voxels, TINY.voxel_size_A), "test")


FEW = {"keep": {"min_free_GB": 0.01}, "fsc": {"repeats": 2}, "analysis": {"local": "newest"}}


@pytest.mark.early
@pytest.mark.usefixtures("quick_rounds")
def test_a_watch_measures_the_newest_round_locally_beside_the_log_and_all_of_them_where_asked(tmp_path: Path):
    for which, having in (("newest", [False, True]), ("all", [True, True])):
        project = tmp_path / which
        write_rounds(project, *range(1, 1 + len(having)))
        w = a_watch(project, [], {**FEW, "analysis": {"local": which}})
        loop.run(w, iter([0.0, 1.0]))
        logged = lines_of(project, RoundRecord)
        assert [one.local is not None for one in logged] == [which == "all"] * len(having)
        completed = [w.analyses.completed(one).local for one in logged]
        assert [one is not None for one in completed] == having
        if which == "all":
            assert completed[1].change is not None
            assert completed[1].change.against == logged[0].key
        for one in completed:
            if one is not None:
                assert isinstance(one, LocalResolution)
                assert read_map(w.store.path(one.path)).voxels.max() > 3
        newest = w.analyses.completed(logged[-1]).convergence
        assert newest is not None
        assert newest.with_last is not None
        assert newest.with_last.against == logged[0].key
        assert newest.with_last.signal < 0.7  # of two phantoms with other details
        assert newest.verdict == "changing"
        shown = w.observers.view.detail(logged[-1].key)["shown"]["local"]
        assert bool(shown) == having[-1]
    never = w.settings.model_copy(update={"analysis": w.settings.analysis.model_copy(update={"local": "never"})})
    index = LogIndex(w.store.log)
    index.refresh()
    assert Analyses(w.store).measure_newest_locally(index, never) == []


@pytest.mark.usefixtures("quick_rounds")
def test_a_local_resolution_is_put_off_where_a_round_comes_or_the_watch_ends(tmp_path: Path, monkeypatch) -> None:
    project, bands = tmp_path / "p", []
    write_rounds(project, 1)
    w = a_watch(project, [], FEW)

    def in_band(*given):
        bands.append(len(lines_of(project, RoundRecord)))
        if len(bands) == 2:
            write_rounds(project, 2)
        if len(bands) == 4:
            w.stopping.asked.set()
        return _in_band(*given)

    monkeypatch.setattr(local, "_in_band", in_band)
    # A look before every band, however long one takes.
    for name, value in (("_GLANCE_EVERY_S", 0.0), ("_GLANCES_SHARE", np.inf)):
        monkeypatch.setattr(steps, name, value)
    loop.run(w, iter([0.0, 1.0, 2.0, 3.0]))
    assert bands == [1, 1, 2, 2]  # the second round is in the log before a band more is looked at
    assert [w.analyses.completed(one).local for one in lines_of(project, RoundRecord)] == [None, None]


@pytest.mark.usefixtures("quick_rounds")
def test_a_local_resolution_beside_the_log_counts_only_for_the_maps_it_was_made_from(tmp_path: Path):
    project = tmp_path / "p"
    write_rounds(project, 1)
    w = a_watch(project, [], FEW)
    loop.run(w, iter([0.0, 1.0]))
    record = LogIndex(w.store.log)
    record.refresh()
    (one,) = record.records([summary.key for summary in record.summaries()])
    kept = w.store.local_path(one.key, one.label).with_suffix(".json")
    assert w.analyses.completed(one).local is not None
    told = json.loads(kept.read_text())
    kept.write_text(json.dumps({**told, "made_from": "others"}))
    assert w.analyses.completed(one).local is None
    assert w.analyses.measure_locally(record, one, w.settings)
    assert w.analyses.completed(one).local is not None
