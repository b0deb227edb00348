"""EMAN2: HDF5 maps, numbered folders, halves that are filtered in place, copies that carry no number."""

import itertools
import os
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("h5py")

from eman2_data import APIX, BOX, filtered, fsc, halves_of, masks, steps, write_hdf, write_project
from opened import Opened

from refine_hooks.errors import MapError, NotReadyError
from refine_hooks.files.hdf import read_hdf_header, read_hdf_map
from refine_hooks.log.folder import Store
from refine_hooks.programs import claim
from refine_hooks.programs._reading import Memory
from refine_hooks.programs.eman2.folder import runs
from refine_hooks.programs.hdf import whole_hdf
from refine_hooks.settings import Settings
from refine_hooks.testing import check_adapter

eman2 = Opened("eman2")


def test_a_map_comes_back_as_z_y_x_with_its_voxel_size(tmp_path: Path) -> None:
    voxels = np.arange(6**3, dtype=np.float32).reshape(6, 6, 6)
    write_hdf(tmp_path / "a.hdf", voxels, 1.35)
    volume = read_hdf_map(tmp_path / "a.hdf")
    np.testing.assert_array_equal(volume.voxels, voxels)
    assert volume.voxel_size_A == 1.35
    assert read_hdf_map(tmp_path / "a.hdf", 2.0).voxel_size_A == 2.0


def test_a_compressed_map_is_scaled_back_to_within_half_a_step(tmp_path: Path) -> None:
    voxels = np.random.default_rng(1).normal(size=(8, 8, 8)).astype(np.float32)
    write_hdf(tmp_path / "a.hdf", voxels, bits=10)
    step = (voxels.max() - voxels.min()) / 1023
    assert np.abs(read_hdf_map(tmp_path / "a.hdf").voxels - voxels).max() <= 0.501 * step


def test_a_file_that_is_cut_off_is_not_ready(tmp_path: Path) -> None:
    path = tmp_path / "a.hdf"
    write_hdf(path, np.ones((8, 8, 8), np.float32))
    assert whole_hdf(path, Memory())
    content = path.read_bytes()
    for length in (0, 4, 100, len(content) // 2, len(content) - 8):
        path.write_bytes(content[:length])
        assert not whole_hdf(path, Memory())
        with pytest.raises((NotReadyError, MapError)):
            read_hdf_map(path)


def test_what_cannot_be_measured_is_told(tmp_path: Path) -> None:
    write_hdf(tmp_path / "oblong.hdf", np.ones((4, 6, 8), np.float32))
    with pytest.raises(MapError, match="box is 8 x 6 x 4"):
        read_hdf_map(tmp_path / "oblong.hdf")
    hole = np.ones((4, 4, 4), np.float32)
    hole[1, 2, 3] = np.nan
    write_hdf(tmp_path / "nan.hdf", hole)
    with pytest.raises(MapError, match="NaN"):
        read_hdf_map(tmp_path / "nan.hdf")
    (tmp_path / "text.hdf").write_text("not at all HDF5")
    with pytest.raises(MapError, match="is not an HDF5 file"):
        read_hdf_map(tmp_path / "text.hdf")


def test_without_h5py_the_way_to_get_it_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_hdf(tmp_path / "a.hdf", np.ones((4, 4, 4), np.float32))
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    with pytest.raises(MapError, match=r"pip install 'refine_hooks\[hdf\]'"):
        read_hdf_map(tmp_path / "a.hdf")


def test_a_project_is_recorded_as_failed_with_the_way_out_where_h5py_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, store = write_project(tmp_path / "project", 1), Store(tmp_path / "out")
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    (round_,) = _rounds(project, store).values()
    assert "pip install 'refine_hooks[hdf]'" in round_.fault
    assert eman2.capture(project, store.spool) == []


def test_a_finished_project_keeps_the_promises_of_every_adapter(tmp_path: Path) -> None:
    project = write_project(tmp_path / "project", 2)
    assert claim(project)[0] == "eman2"
    assert claim(project / "refine_01")[0] == "eman2"
    _aged(project, 100)
    rounds = check_adapter(eman2, project, tmp_path, with_halves=2)
    assert [str(r.key) for r in rounds] == ["refine_01/1/1", "refine_01/2/1"]
    assert rounds[0].facts.symmetry == "C1"
    assert rounds[0].facts.molecular_mass_kDa == 450.0
    assert rounds[0].facts.voxel_size_A == APIX


def _aged(project: Path, by_s: float) -> None:
    for path in project.rglob("*"):
        ns = path.stat().st_mtime_ns - int(by_s * 1e9)
        os.utime(path, ns=(ns, ns))


def _rounds(project: Path, store: Store) -> dict[int, object]:
    return {r.key.iteration: r for r in eman2.rounds(project, Settings(), store)}


def test_a_finished_project_has_clean_halves_of_its_last_iteration_only(tmp_path: Path) -> None:
    project, store = write_project(tmp_path / "project", 3), Store(tmp_path / "out")
    _aged(project, 3e6)
    assert eman2.capture(project, store.spool) == [], "what nobody writes over any more is read where it is"
    rounds = _rounds(project, store)
    halves = {n: eman2.half_maps(project, r, store) for n, r in rounds.items()}
    assert [h.origin for h in halves.values()] == ["regularised", "regularised", "found"]
    raw = halves_of(3)
    for half, truth in zip((halves[3].half1, halves[3].half2), raw, strict=True):
        assert np.abs(half.voxels - truth).max() < np.ptp(truth) / 4095, "12 bits of the truth"
    assert halves[1].masked_by
    assert halves[3].masked_by is None


def test_every_moment_of_a_watch_leads_to_the_halves_as_they_were_reconstructed(tmp_path: Path) -> None:
    """Looks fall between all files; whatever is measured in the end is unfiltered, and of the right iteration."""
    project, store = tmp_path / "project", Store(tmp_path / "out")
    clock = itertools.count(time.time() - 10000, 5.0)
    for _ in steps(project, 3, raw_copies=False, clock=lambda: next(clock)):
        eman2.capture(project, store.spool)
        assert all(r.complete is False or r.inputs.origin == "found" for r in _rounds(project, store).values())
    for number, round_ in _rounds(project, store).items():
        assert round_.complete
        assert not round_.missing
        halves = eman2.half_maps(project, round_, store)
        assert halves.origin == "found"
        for half, truth in zip((halves.half1, halves.half2), halves_of(number), strict=True):
            np.testing.assert_array_equal(half.voxels, truth)


@pytest.mark.parametrize("looked_at", ["copied odd", "unmasked curve", "curves", "unmasked copies", "done"])
def test_a_watch_that_looks_seldom_still_gets_the_copies_of_the_right_iteration(tmp_path: Path, looked_at: str) -> None:
    project, store = tmp_path / "project", Store(tmp_path / "out")
    clock = itertools.count(time.time() - 10000, 5.0)
    for step in steps(project, 3, clock=lambda: next(clock)):
        if step.endswith(looked_at):
            eman2.capture(project, store.spool)
    eman2.capture(project, store.spool)
    for number, round_ in _rounds(project, store).items():
        halves = eman2.half_maps(project, round_, store)
        late = looked_at == "copied odd" and number < 3
        assert halves.origin == ("regularised" if late else "found"), round_.inputs.kind
        truth = halves_of(number)[0]
        if late:
            assert halves.masked_by is None
            np.testing.assert_allclose(halves.half1.voxels, filtered(truth), atol=1e-4)
        else:
            assert np.abs(halves.half1.voxels - truth).max() <= np.ptp(truth) / 4095


def test_a_project_that_was_copied_without_its_times_never_passes_filtered_halves_as_clean(tmp_path: Path) -> None:
    project, store = write_project(tmp_path / "project", 2, raw_copies=False), Store(tmp_path / "out")
    names = sorted(project.rglob("*.*"), key=lambda p: p.name, reverse=True)
    for age, path in enumerate(names):
        os.utime(path, (time.time() - 5000 + age,) * 2)
    eman2.capture(project, store.spool)
    for round_ in _rounds(project, store).values():
        assert eman2.half_maps(project, round_, store).origin == "regularised"


def test_copies_without_a_number_are_never_taken_for_those_of_an_earlier_iteration(tmp_path: Path) -> None:
    """Whatever the times say: the project was copied, and the curve of iteration 1 came last."""
    project, store = write_project(tmp_path / "project", 3), Store(tmp_path / "out")
    folder = project / "refine_01"
    times = {"fsc_unmasked_03.txt": 100, "fsc_masked_03.txt": 900, "fsc_unmasked_01.txt": 800, "fsc_masked_01.txt": 50}
    for path in folder.iterdir():
        os.utime(path, (time.time() - 5000 + times.get(path.name, 500),) * 2)
    eman2.capture(project, store.spool)
    for number, round_ in _rounds(project, store).items():
        halves = eman2.half_maps(project, round_, store)
        assert halves.origin == ("found" if number == 3 else "regularised"), number
    assert np.abs(halves.half1.voxels - halves_of(3)[0]).max() <= np.ptp(halves_of(3)[0]) / 4095


def test_raw_copies_whose_fsc_is_not_the_iteration_s_own_are_not_taken_for_it(tmp_path: Path) -> None:
    """EMAN2 makes them once only in some of its programs: their times then fit, and they are of another reconstruction."""
    project, store = write_project(tmp_path / "project", 2), Store(tmp_path / "out")
    folder = project / "refine_01"
    at_s = (folder / "fsc_unmasked_02.txt").stat().st_mtime - 0.01
    for which, half in zip(("even", "odd"), halves_of(1), strict=True):
        write_hdf(folder / f"threed_raw_{which}.hdf", half, bits=12)
        os.utime(folder / f"threed_raw_{which}.hdf", (at_s, at_s))
    eman2.capture(project, store.spool)
    assert eman2.half_maps(project, _rounds(project, store)[2], store).origin == "regularised"


def test_the_programs_curves_and_masks_are_those_that_it_wrote(tmp_path: Path) -> None:
    project, store = write_project(tmp_path / "project", 2), Store(tmp_path / "out")
    last, first = _rounds(project, store)[2], _rounds(project, store)[1]
    curves = {c.name: c.correlation for c in eman2.reported(project, last)}
    assert list(curves) == ["unmasked", "masked", "maskedtight"]
    truth = fsc(*halves_of(2))
    np.testing.assert_allclose(curves["unmasked"][1:-1], truth[1:-1], atol=1e-5)
    assert np.isnan(curves["unmasked"][[0, -1]]).all()
    assert len(curves["unmasked"]) == BOX // 2 + 1
    halves = eman2.half_maps(project, last, store)
    mask = eman2.masks(project, last, halves).get("refinement")
    assert np.abs(mask.mask.voxels - masks()[0]).max() < 1 / 255
    tight = eman2.masks(project, last, halves)["program_tight"]
    assert np.abs(tight.mask.voxels - masks()[1]).max() < 1 / 255
    assert eman2.masks(project, first, halves).get("refinement").mask is None, (
        "the mask of round 1 has been written over"
    )
    assert list(eman2.masks(project, first, halves)) == ["refinement"]


def test_a_round_is_awaited_until_its_post_processing_has_ended(tmp_path: Path) -> None:
    project, store = tmp_path / "project", Store(tmp_path / "out")
    awaited = []
    for step in steps(project, 1):
        (round_,) = _rounds(project, store).values() or (None,)
        awaited.append((step, bool(round_.missing), round_.complete))
    assert [missing for _, missing, _ in awaited] == [True] * 6 + [False] * 5
    assert [complete for _, _, complete in awaited] == [False] * 10 + [True]


@pytest.mark.parametrize("name", ["refine_01", "r3d_03", "spt_12", "gmm_00"])
def test_the_folders_of_all_its_refinements_are_known(tmp_path: Path, name: str) -> None:
    write_project(tmp_path, 1, name)
    assert [run.name for run in runs(tmp_path)] == [name]
    assert read_hdf_header(tmp_path / name / "threed_01_even.hdf").shape == (BOX,) * 3


def test_other_folders_are_not_its_own(tmp_path: Path) -> None:
    (tmp_path / "refine_01").mkdir()
    (tmp_path / "refine_01" / "something.txt").touch()
    (tmp_path / "threed_01.hdf").touch()
    assert not eman2.recognises(tmp_path)
    assert eman2.why(tmp_path)
