import errno
import fcntl
import gzip
import os
import shutil
import sqlite3
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cistem_project as project
import numpy as np
import pytest
from cistem_data import sphere_masked
from opened import Opened
from scipy.ndimage import gaussian_filter

from refine_hooks.errors import NotReadyError, StorageError
from refine_hooks.files.mrc import Map, read_map
from refine_hooks.log.file import read_journal
from refine_hooks.log.folder import Store
from refine_hooks.masks.cistem import cistem_automask
from refine_hooks.model import HalfMaps, Round
from refine_hooks.programs import adapter_called
from refine_hooks.programs.cistem.half_maps import half_maps
from refine_hooks.programs.cistem.particles import _results
from refine_hooks.programs.cistem.program_mask import moved_by
from refine_hooks.settings import Settings, load_settings
from refine_hooks.testing import check_adapter, fingerprint
from refine_hooks.watch.loop import Watch, run

cistem = Opened("cistem")

PATIENT = Settings.model_validate({"watch": {"metadata_wait_s": 1e6}})
NO_WAIT = Settings.model_validate({"watch": {"metadata_wait_s": 0.0}})
AUTO = "AutoRefine3D"


class Scene:
    """A project, a spool, and the time: each file is a second younger than the one written before it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "project"
        self.database = project.begin(self.folder)
        self.store = Store(folder / "out")
        self.clock = int(time.time()) - 10_000

    def tick(self, path: Path) -> Path:
        self.clock += 1
        os.utime(path, (self.clock, self.clock))
        return path

    def parameters(self, refinement_id: int, class_id: int = 1, panel: str = AUTO) -> None:
        project.write_parameters(self.folder, panel, refinement_id, class_id)
        name = f"{project.PARAMETERS[panel]}_{refinement_id}_{class_id}.cistem"
        self.tick(self.folder / "Assets" / "Parameters" / name)

    def dump(self, name: str, content: bytes, panel: str = AUTO) -> Path:
        path = self.folder / "Scratch" / panel / name
        path.write_bytes(content)
        return self.tick(path)

    def dumps(self, files: dict[str, bytes], panel: str = AUTO) -> None:
        for name, content in files.items():
            self.dump(name, content, panel)

    def volume(self, name: str) -> None:
        self.tick(project.write_volume(self.folder, name, seed=1))

    def capture(self) -> list[str]:
        return sorted(path.name for path in cistem.capture(self.folder, self.store.spool))

    def rounds(self, settings: Settings = PATIENT) -> dict[str, Round]:
        return {str(r.key): r for r in cistem.rounds(self.folder, settings, self.store)}

    def only_round(self, settings: Settings = PATIENT) -> Round:
        (round_,) = self.rounds(settings).values()
        return round_

    def play(self, refinement_id: int = 2, panel: str = AUTO, **kind: Any) -> None:
        """A whole round of one class with the watch looking on."""
        self.parameters(refinement_id, panel=panel)
        self.dumps(project.dumps(refinement_id, **kind), panel)
        self.capture()
        self.volume(f"volume_{refinement_id}_1.mrc")
        project.wipe(self.folder, panel)
        project.commit(self.database, refinement_id)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def merged_average(scene: Scene, round_: Round) -> np.ndarray:
    halves = half_maps(round_)
    assert halves is not None
    return halves.half1.voxels + halves.half2.voxels


def test_the_adapter_keeps_its_promises_on_a_finished_project(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    project.whole_project(folder)
    for half in (1, 2):
        project.write_volume(folder, f"generate3d_volume_4_4_1_map{half}.mrc", seed=half)
    project.write_volume(folder, "generate3d_volume_4_4_1.mrc", seed=1)
    for class_id in (1, 2):
        project.write_parameters(folder, "ManualRefine3D", 6, class_id)
        for name, content in project.dumps(6, class_id).items():
            (folder / "Scratch" / "ManualRefine3D" / name).write_bytes(content)
    rounds = check_adapter(cistem, folder, tmp_path, with_halves=3)
    assert [(str(r.key), r.label, r.fingerprint.revision) for r in rounds] == [
        ("package_1/2/1", "Auto #2 - Round 1", "reconstruction 1"),
        ("package_1/3/1", "Auto #3 - Round 2", "reconstruction 2"),
        ("package_1/4/1", "Auto #4 - Round 3", "reconstruction 3"),
        ("package_1/generate3d_4/4/1", "Generate3D 1 of Auto #4 - Round 3", "reconstruction 4"),
        ("package_2/6/1", "Local Refinement #6", "reconstruction 5"),
        ("package_2/6/2", "Local Refinement #6", "reconstruction 6"),
    ]
    assert all(r.complete and not r.fault and not r.missing for r in rounds)


def test_facts_are_what_the_database_says_of_that_round(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    project.whole_project(folder)
    rounds = {str(r.key): r.facts for r in cistem.rounds(folder, Settings(), Store(tmp_path / "out"))}
    facts = rounds["package_1/2/1"]
    assert (facts.voxel_size_A, facts.sphere_radius_A, facts.symmetry, facts.particles) == (2.5, 75.0, "C1", 700)
    assert facts.molecular_mass_kDa == pytest.approx(91.66)
    assert (facts.alignment_limit_A, facts.reconstruction_limit_A) == (20.0, pytest.approx(10.667, abs=1e-3))
    assert facts.reported.resolution_A == pytest.approx(9.705883)
    assert rounds["package_1/4/1"].reconstruction_limit_A is None
    generated = rounds["package_1/generate3d_4/4/1"]
    assert generated.sphere_radius_A == 72.0
    assert generated.reported is None, "the estimate in the database is still the round's own"
    assert rounds["package_2/6/2"].reported.resolution_A == pytest.approx(6.811594)


def test_a_round_that_is_watched_is_whole_though_its_dumps_die_before_its_entry_is_there(scene: Scene) -> None:
    files = project.dumps(2)
    scene.parameters(2)
    (first, *others) = files
    growing = scene.folder / "Scratch" / AUTO / first
    with growing.open("wb") as stream:
        stream.write(files[first][:100])
        stream.flush()
        assert scene.capture() == [first]
        assert any("being written" in text for text in scene.only_round().missing)
        stream.write(files[first][100:])
    scene.tick(growing)
    for name in others:
        scene.dump(name, files[name])
        assert scene.capture() == [name]
    assert scene.only_round().missing == ("the database entry of refinement 2",)
    scene.volume("volume_2_1.mrc")
    project.wipe(scene.folder, AUTO)
    seen: list[tuple[str, ...]] = []
    project.commit(scene.database, 2, during=lambda: seen.append(scene.only_round().missing))
    assert seen == [("the database entry of refinement 2",)], "an open transaction is not seen"
    round_ = scene.only_round()
    assert (str(round_.key), round_.complete, round_.fault, round_.missing) == ("package_1/2/1", True, None, ())
    assert [file.name for file in round_.fingerprint.inputs] == sorted(f"Scratch/{AUTO}/{name}" for name in files)
    halves = cistem.half_maps(scene.folder, round_, scene.store)
    assert halves is not None
    assert (halves.origin, halves.images, halves.masked_by) == ("merged", (350, 350), None)
    assert halves.valid_shells == 4, "sums over 8 voxels hold four shells"


def test_a_dump_is_linked_and_costs_no_space(scene: Scene) -> None:
    scene.parameters(2)
    path = scene.dump(*next(iter(project.dumps(2).items())))
    scene.capture()
    (saved,) = scene.store.spool.rglob("*.dump")
    assert saved.samefile(path)
    assert [p for p in scene.store.spool.rglob("*") if p.name.endswith(".part")] == []


def test_where_links_cannot_be_had_whole_dumps_are_copied_and_growing_ones_wait(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(*_: object, **__: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", no_links)
    (first, second, *_), files = project.dumps(2), project.dumps(2)
    scene.parameters(2)
    path = scene.dump(first, files[first])
    scene.dump(second, files[second][:-1])
    assert scene.capture() == [first]
    (saved,) = scene.store.spool.rglob("*.dump")
    assert (saved.read_bytes(), saved.stat().st_mtime_ns) == (files[first], path.stat().st_mtime_ns)
    assert not saved.samefile(path)
    scene.dump(second, files[second])
    assert scene.capture() == [second]
    assert scene.capture() == []


def test_a_spool_that_cannot_be_written_is_told_with_its_name(scene: Scene) -> None:
    scene.parameters(2)
    scene.dumps(project.dumps(2))
    scene.store.out.write_text("a file, not a folder")
    with pytest.raises(StorageError, match=r"spool.*--out"):
        scene.capture()


@pytest.mark.parametrize("aborted_after", [1, 2, 3, 4])
def test_dumps_of_an_aborted_run_never_mix_with_those_of_the_run_that_gets_its_number(
    scene: Scene, aborted_after: int
) -> None:
    old, new = project.dumps(2, score=10.0, seed=7), project.dumps(2, score=20.0, seed=8)
    scene.parameters(2)
    for name in list(old)[:aborted_after]:
        scene.dump(name, old[name])
    scene.capture()
    project.wipe(scene.folder, AUTO)
    scene.parameters(2)
    for name in reversed(new):
        scene.dump(name, new[name])
        scene.capture()
        assert scene.only_round().fault is None
    scene.volume("volume_2_1.mrc")
    project.wipe(scene.folder, AUTO)
    project.commit(scene.database, 2)
    round_ = scene.only_round()
    assert (round_.fault, round_.complete) == (None, True)
    attempt = round_.inputs.attempt
    assert {dump.path.name: dump.path.read_bytes() for dump in attempt.dumps} == new
    cistem.discard(round_, scene.store.spool)
    assert list(scene.store.spool.rglob("*.dump")) == [], "what was superseded goes too"


def test_a_run_in_fewer_chunks_than_the_aborted_one_before_it_is_whole(scene: Scene) -> None:
    scene.parameters(2)
    scene.dump("dump_file_2_0_odd_3.dump", project.dump_bytes("odd", 100))
    scene.capture()
    project.wipe(scene.folder, AUTO)
    scene.play(2)
    round_ = scene.only_round()
    assert (round_.fault, round_.complete) == (None, True)


def test_a_dump_that_changes_while_it_is_copied_is_not_saved(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    def written_meanwhile(*_: object) -> None:
        os.utime(path)
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(os, "link", no_links)
    monkeypatch.setattr(fcntl, "ioctl", written_meanwhile)
    scene.parameters(2)
    path = scene.dump(*next(iter(project.dumps(2).items())))
    assert scene.capture() == []
    assert [found for found in scene.store.spool.rglob("*") if found.is_file()] == []
    monkeypatch.setattr(fcntl, "ioctl", no_links)
    assert scene.capture() == [path.name]


def test_dumps_of_an_aborted_run_that_are_written_over_in_place_are_those_of_the_new_run(scene: Scene) -> None:
    old, new = project.dumps(2, score=10.0, seed=7), project.dumps(2, score=20.0, seed=8)
    scene.parameters(2)
    scene.dumps(old)
    scene.capture()
    scene.parameters(2)
    for number, (name, content) in enumerate(new.items()):
        if number:
            assert any("another round" in text for text in scene.only_round().missing)
        scene.dump(name, content)
        scene.capture()
    scene.volume("volume_2_1.mrc")
    project.wipe(scene.folder, AUTO)
    project.commit(scene.database, 2)
    round_ = scene.only_round()
    assert round_.fault is None
    assert {dump.path.name: dump.path.read_bytes() for dump in round_.inputs.attempt.dumps} == new


def test_an_aborted_run_in_one_panel_does_not_lend_its_dumps_to_another_panel(scene: Scene) -> None:
    scene.parameters(2, panel="ManualRefine3D")
    scene.dumps(project.dumps(2, score=10.0), "ManualRefine3D")
    scene.capture()
    scene.play(2, score=20.0)
    round_ = scene.only_round()
    assert {dump.path.parent.parent.parent.name for dump in round_.inputs.attempt.dumps} == {AUTO}


@pytest.mark.parametrize("first_is_captured", [True, False])
def test_every_generate3d_of_a_refinement_gets_its_own_dumps(scene: Scene, first_is_captured: bool) -> None:
    scene.play(4)
    for number, reconstruction_id in enumerate((4, 7)):
        scene.parameters(4, panel="Generate3D")
        scene.dumps(project.dumps(4, seed=number), "Generate3D")
        if number or first_is_captured:
            scene.capture()
        if number:
            assert "package_1/generate3d/4/1" in scene.rounds(), "waits for its entry beside the earlier one"
        scene.volume(f"generate3d_volume_{reconstruction_id}_4_1.mrc")
        project.commit_generate(scene.database, reconstruction_id)
        project.wipe(scene.folder, "Generate3D")
    rounds = scene.rounds()
    assert list(rounds) == ["package_1/4/1", "package_1/generate3d_4/4/1", "package_1/generate3d_7/4/1"]
    first, second = (rounds[f"package_1/generate3d_{n}/4/1"] for n in (4, 7))
    expected = project.dumps(4, seed=1)
    assert {dump.path.name: dump.path.read_bytes() for dump in second.inputs.attempt.dumps} == expected
    if first_is_captured:
        assert {dump.path.name: dump.path.read_bytes() for dump in first.inputs.attempt.dumps} == project.dumps(
            4, seed=0
        )
    else:
        assert cistem.half_maps(scene.folder, first, scene.store) is None


def spoil_nothing(files: dict[str, bytes]) -> None:
    pass


def spoil_missing(files: dict[str, bytes]) -> None:
    del files["dump_file_2_0_even_1.dump"]


def spoil_torn(files: dict[str, bytes]) -> None:
    files["dump_file_2_0_odd_2.dump"] = files["dump_file_2_0_odd_2.dump"][:-1]


def spoil_score(files: dict[str, bytes]) -> None:
    files["dump_file_2_0_odd_2.dump"] = project.dump_bytes("odd", 175, score=51.0)


def spoil_box(files: dict[str, bytes]) -> None:
    files["dump_file_2_0_even_2.dump"] = project.dump_bytes("even", 175, box_px=16)


def spoil_half(files: dict[str, bytes]) -> None:
    files["dump_file_2_0_even_2.dump"] = project.dump_bytes("odd", 175)


def spoil_late(files: dict[str, bytes]) -> None:
    del files["dump_file_2_0_odd_2.dump"], files["dump_file_2_0_even_2.dump"]


def spoil_more(files: dict[str, bytes]) -> None:
    files["dump_file_2_0_odd_3.dump"] = project.dump_bytes("odd", 10)
    files["dump_file_2_0_even_3.dump"] = project.dump_bytes("even", 10)


def spoil_noise(files: dict[str, bytes]) -> None:
    files["dump_file_2_0_odd_1.dump"] = b"\xff" * len(files["dump_file_2_0_odd_1.dump"])


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (spoil_nothing, None),
        (spoil_missing, "dump_file_2_0_even_1.dump is missing"),
        (spoil_torn, "dump_file_2_0_odd_2.dump: holds"),
        (spoil_score, "dump_file_2_0_odd_2.dump is of another round"),
        (spoil_box, "dump_file_2_0_even_2.dump is of another round"),
        (spoil_half, "dump_file_2_0_even_2.dump holds the other half"),
        (spoil_late, "hold 175 + 175 of the 350 + 350 images"),
        (spoil_more, "another round"),
        (spoil_noise, "dump_file_2_0_odd_1.dump: is not a dump"),
    ],
)
def test_a_round_of_which_dumps_are_missing_torn_or_of_another_round_is_a_fault_that_names_them(
    scene: Scene, spoil: Any, told: str | None
) -> None:
    files = project.dumps(2)
    spoil(files)
    scene.parameters(2)
    scene.dumps(files)
    scene.capture()
    scene.volume("volume_2_1.mrc")
    project.wipe(scene.folder, AUTO)
    project.commit(scene.database, 2)
    round_ = scene.only_round()
    if told is None:
        assert round_.fault is None
    else:
        assert round_.fault is not None
        assert told in round_.fault


def test_images_are_counted_against_the_database_where_the_parameter_file_is_gone(scene: Scene) -> None:
    files = project.dumps(2)
    spoil_late(files)
    scene.dumps(files)
    scene.capture()
    project.wipe(scene.folder, AUTO)
    project.commit(scene.database, 2)
    assert "of the 350 + 350 images" in (scene.only_round().fault or "")


def test_fewer_images_are_no_fault_where_only_a_share_of_the_particles_was_asked_for(scene: Scene) -> None:
    files = project.dumps(2)
    spoil_late(files)
    scene.parameters(2)
    scene.dumps(files)
    scene.capture()
    project.commit(scene.database, 2)
    connection = project.open_as_cistem(scene.database)
    connection.execute("UPDATE REFINEMENT_LIST SET PERCENT_USED = 50 WHERE REFINEMENT_ID = 2")
    connection.close()
    round_ = scene.only_round()
    assert (round_.fault, round_.complete) == (None, False)
    assert "50 % of the particles were used" in round_.facts.notes


def test_dumps_without_an_entry_wait_and_are_then_measured_with_what_their_headers_tell(scene: Scene) -> None:
    scene.parameters(2)
    scene.dumps(project.dumps(2))
    scene.capture()
    project.wipe(scene.folder, AUTO)
    assert scene.only_round().missing == ("the database entry of refinement 2",)
    round_ = scene.only_round(NO_WAIT)
    assert (str(round_.key), round_.missing, round_.fault, round_.complete) == (
        "package_unknown/AutoRefine3D/2/1",
        (),
        None,
        True,
    )
    assert (round_.facts.voxel_size_A, round_.facts.symmetry, round_.facts.particles) == (2.5, "C1", 700)
    assert round_.facts.alignment_limit_A is None
    assert cistem.half_maps(scene.folder, round_, scene.store) is not None
    cistem.discard(round_, scene.store.spool)
    project.commit(scene.database, 2)
    known = scene.only_round()
    assert str(known.key) == "package_1/2/1"
    assert cistem.half_maps(scene.folder, known, scene.store) is not None, "kept for the entry that came late after all"


@pytest.mark.parametrize(("in_scratch", "told"), [(True, "missing"), (False, "fault")])
def test_dumps_without_an_entry_that_may_not_be_all_are_not_measured(scene: Scene, in_scratch: bool, told: str) -> None:
    files = project.dumps(2)
    spoil_late(files)
    scene.parameters(2)
    scene.dumps(files)
    scene.capture()
    if not in_scratch:
        project.wipe(scene.folder, AUTO)
    assert "of the 350 + 350 images" in str(getattr(scene.only_round(NO_WAIT), told))


def test_a_locked_database_stops_the_look_only_when_nothing_else_is_known(scene: Scene) -> None:
    lock = scene.folder / "tcr_pmhc.db.lock"
    lock.mkdir()
    with pytest.raises(NotReadyError, match="writing it at this moment"):
        scene.rounds()
    scene.parameters(2)
    scene.dumps(project.dumps(2))
    scene.capture()
    assert scene.only_round(NO_WAIT).missing == ("tcr_pmhc.db, which is being written",)
    os.utime(lock, (1, 1))
    with pytest.raises(NotReadyError, match="crash left it behind"):
        scene.rounds()


def test_ab_initio_rounds_are_copied_by_change_once_merge3d_has_proved_them_whole(scene: Scene) -> None:
    scratch = scene.folder / "Scratch" / "Startup"
    told: list[list[str]] = []
    for number in (1, 2):
        for class_id in (1, 2):
            scene.dumps(project.dumps(0, class_id, score=float(number), seed=number, startup=True), "Startup")
            told.append(scene.capture())
        for class_id in (1, 2):
            path = scratch / f"startup3d_{number}_{class_id - 1}.mrc"
            project.write_map(path, project.small_map(class_id), "test")
            scene.tick(path)
            told.append(scene.capture())
    assert [len(names) for names in told] == [0, 0, 0, 8, 0, 0, 0, 8]
    rounds = scene.rounds()
    assert list(rounds) == ["startup/1/1", "startup/1/2", "startup/2/1", "startup/2/2"]
    assert all(r.complete and not r.fault for r in rounds.values())
    first, second = (merged_average(scene, rounds[f"startup/{n}/1"]) for n in (1, 2))
    assert not np.allclose(first, second), "the first round's sums were not written over"
    for round_ in rounds.values():
        cistem.discard(round_, scene.store.spool)
    assert scene.capture() == [], "what was measured is not taken for another round"
    assert [r.fingerprint for r in scene.rounds().values()] == [r.fingerprint for r in rounds.values()]


def test_ab_initio_rounds_are_measured_although_later_ones_have_taken_their_names(scene: Scene) -> None:
    scratch = scene.folder / "Scratch" / "Startup"
    for number in (1, 2):
        scene.dumps(project.dumps(0, 1, score=float(number), seed=number, startup=True), "Startup")
        project.write_map(scratch / f"startup3d_{number}_0.mrc", project.small_map(1), "test")
        scene.tick(scratch / f"startup3d_{number}_0.mrc")
        scene.capture()
    w = Watch.of(scene.folder, "cistem", cistem, NO_WAIT, scene.store)
    run(w, [0.0])
    log = read_journal(scene.store.log)
    assert [str(record.key) for record in log.rounds] == ["startup/1/1", "startup/2/1"]
    assert all(record.half_maps is not None for record in log.rounds)


def test_a_round_stays_what_it_was_when_its_dumps_are_discarded(scene: Scene) -> None:
    scene.parameters(2)
    scene.dumps(project.dumps(2))
    scene.capture()
    project.commit(scene.database, 2)
    round_ = scene.only_round()
    cistem.discard(round_, scene.store.spool)
    assert list(scene.store.spool.rglob("*.dump")) == []
    assert scene.capture() == [], "they are still in the scratch folder, and done with"
    again = scene.only_round()
    assert (again.fingerprint, again.facts.particles, again.complete, again.fault) == (
        round_.fingerprint,
        700,
        True,
        None,
    )
    assert len(list((scene.folder / "Scratch" / AUTO).iterdir())) == 4, "the program's own files stay"


def test_half_maps_that_generate3d_saved_are_found_and_said_to_be_under_its_sphere(tmp_path: Path) -> None:
    folder, store = tmp_path / "project", Store(tmp_path / "out")
    project.whole_project(folder)
    paths = tuple(project.write_volume(folder, f"generate3d_volume_4_4_1_map{half}.mrc", seed=half) for half in (1, 2))
    round_ = next(r for r in cistem.rounds(folder, Settings(), store) if "generate3d" in r.key.run)
    halves = cistem.half_maps(folder, round_, store)
    assert halves is not None
    assert (halves.origin, halves.paths, halves.masked_by) == (
        "found",
        paths,
        "cisTEM's sphere of 72 A, 10 A cosine edge",
    )


def reported_of(tmp_path: Path, key: str) -> dict[str, Any]:
    folder = tmp_path / "project"
    project.whole_project(folder)
    round_ = next(r for r in cistem.rounds(folder, Settings(), Store(tmp_path / "out")) if str(r.key) == key)
    return {curve.name: curve for curve in cistem.reported(folder, round_)}


def test_reported_curves_end_at_nyquist_and_are_undefined_where_the_program_cut_them(tmp_path: Path) -> None:
    curves = reported_of(tmp_path, "package_1/2/1")
    assert list(curves) == ["fsc", "part_fsc"]
    rows = (
        project.stored()
        .execute("SELECT FSC, PART_FSC FROM REFINEMENT_RESOLUTION_STATISTICS_2_1 ORDER BY SHELL")
        .fetchall()
    )
    for column, curve in enumerate(curves.values()):
        expected = np.array([row[column] for row in rows[:33]])
        assert (expected[17:] == 0).all()
        np.testing.assert_array_equal(curve.correlation[:17], expected[:17])
        assert np.isnan(curve.correlation[17:]).all()
        assert "no resolution" in curve.note
    assert curves["part_fsc"].resolution_A is None, "it fell where it was cut"


def test_statistics_that_generate3d_took_over_are_its_own_and_no_longer_the_rounds(tmp_path: Path) -> None:
    assert reported_of(tmp_path / "a", "package_1/4/1") == {}
    curves = reported_of(tmp_path / "b", "package_1/generate3d_4/4/1")
    assert curves["part_fsc"].resolution_A == pytest.approx(6.039886, abs=1e-5)
    assert np.isfinite(curves["fsc"].correlation).all()


def test_views_are_counted_where_the_particles_look(tmp_path: Path) -> None:
    folder = tmp_path / "project"
    project.whole_project(folder)
    round_ = next(iter(cistem.rounds(folder, Settings(), Store(tmp_path / "out"))))
    views = cistem.viewing_directions(folder, round_)
    assert views is not None
    angles = np.deg2rad(project.stored().execute("SELECT THETA, PHI FROM REFINEMENT_RESULT_2_1").fetchall())
    theta, phi = angles[:, 0], angles[:, 1]
    axis = np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)])
    both = np.concatenate([axis, -axis], axis=1)
    latitude, longitude = np.arccos(np.clip(both[2], -1, 1)), np.arctan2(both[1], both[0]) % (2 * np.pi)
    # Bins of 30 degrees: the program's own bins of equal area are as wide as 19 degrees at the pole.
    edges = np.linspace(0, np.pi, 7), np.linspace(0, 2 * np.pi, 13)
    expected = np.histogram2d(latitude, longitude, edges)[0] / 2
    got = views.reshape(6, 6, 12, 6).sum((1, 3))
    assert views.sum() == pytest.approx(700)
    assert np.abs(got - expected).sum() < 0.08 * 700


@pytest.mark.parametrize("shift", [(0, 0, 0), (-2, 2, -3), (5, 0, -7)])
def test_the_programs_centring_is_found_from_the_maps_alone(shift: tuple[int, int, int]) -> None:
    voxels = project.small_map(3).voxels
    noise = np.random.default_rng(1).normal(size=voxels.shape).astype(np.float32)
    assert moved_by(np.roll(voxels, shift, (0, 1, 2)), voxels + noise) == shift


def mask_of(tmp_path: Path, change: str, name: str = "volume_4_1.mrc") -> Any:
    folder, store = tmp_path / "project", Store(tmp_path / "out")
    database = project.whole_project(folder)
    connection = sqlite3.connect(database, isolation_level=None)
    connection.executescript(change)
    connection.close()
    project.write_volume(folder, name, seed=1)
    round_ = next(r for r in cistem.rounds(folder, Settings(), store) if str(r.key) == "package_1/4/1")
    halves = HalfMaps(project.small_map(1), project.small_map(1), "merged")
    return cistem.masks(folder, round_, halves).get("refinement")


SUPPLIED = "UPDATE REFINEMENT_DETAILS_4 SET SHOULD_USE_SUPPLIED_MASK = 1, MASK_ASSET_ID = {}, MASK_EDGE_WIDTH = 12;"


def test_a_supplied_mask_is_the_file_that_the_database_names_wherever_the_project_is_now(tmp_path: Path) -> None:
    found = mask_of(tmp_path, SUPPLIED.format(1), "start_reference.mrc")
    assert found.path == tmp_path / "project" / "Assets" / "Volumes" / "start_reference.mrc"
    assert found.parameters.refinement_edge_A == 12
    assert found.cistem_edge
    np.testing.assert_array_equal(found.mask.voxels, project.small_map(1).voxels)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (SUPPLIED.format(1), "is gone"),
        (SUPPLIED.format(77), "no longer in the database"),
        ("UPDATE REFINEMENT_DETAILS_4 SET SHOULD_AUTOMASK = 0;", "no mask but its sphere"),
        ("DROP TABLE REFINEMENT_DETAILS_4;", "does not say"),
    ],
)
def test_a_mask_that_cannot_be_had_is_explained(tmp_path: Path, change: str, told: str) -> None:
    found = mask_of(tmp_path, change)
    assert found.mask is None
    assert told in found.note


def test_the_automask_is_made_of_the_rounds_map_in_the_frame_of_the_half_maps(tmp_path: Path) -> None:
    folder, store = tmp_path / "project", Store(tmp_path / "out")
    project.whole_project(folder)
    body = project.small_map(1)
    moved = project.Map(np.roll(body.voxels, (-2, 2, -3), (0, 1, 2)), 2.5)
    project.write_map(folder / "Assets" / "Volumes" / "volume_4_1.mrc", moved, "test")
    round_ = next(r for r in cistem.rounds(folder, Settings(), store) if str(r.key) == "package_1/4/1")
    found = cistem.masks(folder, round_, HalfMaps(body, body, "merged")).get("refinement")
    assert found is not None
    assert found.mask is not None
    assert found.parameters.centring_undone_px_xyz == (-3, 2, -2)
    expected = cistem_automask(moved.voxels, 2.5, 75.0, 7.0, 0.1)
    np.testing.assert_array_equal(np.roll(found.mask.voxels, (-2, 2, -3), (0, 1, 2)), expected)


@pytest.fixture
def replay(shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The life of the reference project, as the program lived it, with the watch looking whenever the program pauses."""
    monkeypatch.syspath_prepend(str(shared / "golden" / "cistem"))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    from replay_cistem import Replay

    folder = tmp_path / "project"
    folder.mkdir()
    store = Store(tmp_path / "out")

    class Watched(Replay):  # type: ignore[misc]
        def pause(self, seconds: float) -> None:
            cistem.capture(self.dst, store.spool)

    played = Watched(folder, 0)
    played.begin_project()
    for event in played.history["events"]:
        played.play(*event)
    played.db.close()
    yield folder, store
    sys.modules.pop("replay_cistem", None)


def expected_half(shared: Path, folder: Path, name: str, half: int) -> np.ndarray:
    packed = shared / "golden" / "cistem" / "expected" / f"{name}_map{half}.mrc.gz"
    path = folder / "Assets" / "Volumes" / f"{name}_map{half}.mrc"
    if packed.exists():
        path = folder.parent / "expected.mrc"
        path.write_bytes(gzip.decompress(packed.read_bytes()))
    return read_map(path, 2.5).voxels


MAPS = {
    "volume_2_1": [-3, 2, -2],
    "volume_3_1": [0, 1, -1],
    "volume_4_1": [0, 0, 0],
    "generate3d_volume_4_4_1": [0, 0, 0],
    "volume_6_1": [0, 0, 0],
    "volume_6_2": [0, 0, 0],
}


@pytest.mark.shared
def test_a_whole_replayed_project_is_captured_and_gives_the_half_maps_of_merge3d(replay: Any, shared: Path) -> None:
    folder, store = replay
    before = fingerprint(folder)
    rounds = list(cistem.rounds(folder, Settings(), store))
    assert len(rounds) == len(MAPS)
    for round_, (name, moved) in zip(rounds, MAPS.items(), strict=True):
        assert (round_.complete, round_.fault, round_.missing) == (True, None, ())
        halves = cistem.half_maps(folder, round_, store)
        assert halves is not None
        assert halves.origin == "merged"
        for half, ours in ((1, halves.half1), (2, halves.half2)):
            expected = expected_half(shared, folder, name, half)
            masked, _ = sphere_masked(ours, round_.facts.sphere_radius_A or 0.0)
            assert np.linalg.norm(masked.voxels - expected) < 1e-5 * np.linalg.norm(expected)
        mask = cistem.masks(folder, round_, halves).get("refinement")
        assert mask is not None
        assert mask.mask is not None
        assert mask.parameters.centring_undone_px_xyz == tuple(moved)
        body = gaussian_filter((halves.half1.voxels + halves.half2.voxels).astype(float), 10 / 2.5 / 2)
        apart_px = np.linalg.norm(centre_px(mask.mask.voxels) - centre_px(body > 0.15 * body.max()))
        assert apart_px < 1.3, f"{name}: the mask lies {apart_px:.1f} px away from the half maps' density"
    assert fingerprint(folder) == before


def centre_px(values: np.ndarray) -> np.ndarray:
    return np.array([(np.indices(values.shape)[axis] * values).sum() / values.sum() for axis in range(3)])


@pytest.mark.shared
def test_the_automask_of_a_real_round_is_create_masks_in_every_voxel(shared: Path, tmp_path: Path) -> None:
    folder, store = shared / "golden" / "cistem" / "project", Store(tmp_path / "out")
    round_ = next(r for r in cistem.rounds(folder, Settings(), store) if str(r.key) == "package_1/4/1")
    halves = HalfMaps(
        *(Map(expected_half(shared, tmp_path / "x", "volume_4_1", half), 2.5) for half in (1, 2)), "merged"
    )
    mask = cistem.masks(folder, round_, halves).get("refinement")
    assert mask is not None
    assert mask.mask is not None
    made = tmp_path / "mask.mrc"
    made.write_bytes(
        gzip.decompress((shared / "golden/cistem/expected/masks/create_mask_volume_4_1_7A_0.10.mrc.gz").read_bytes())
    )
    np.testing.assert_array_equal(mask.mask.voxels, read_map(made, 2.5).voxels)


def test_result_tables_of_older_versions_are_completed_from_the_package_s_particles(tmp_path: Path) -> None:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE REFINEMENT_RESULT_2_1 (POSITION_IN_STACK, PSI)")
    connection.execute(
        "CREATE TABLE REFINEMENT_PACKAGE_CONTAINED_PARTICLES_7"
        " (POSITION_IN_STACK, PIXEL_SIZE, SPHERICAL_ABERRATION, MICROSCOPE_VOLTAGE, AMPLITUDE_CONTRAST, ASSIGNED_SUBSET)"
    )
    for at in (3, 1, 2):
        connection.execute("INSERT INTO REFINEMENT_RESULT_2_1 VALUES (?, ?)", (at, 10.0 * at))
        connection.execute(
            "INSERT INTO REFINEMENT_PACKAGE_CONTAINED_PARTICLES_7 VALUES (?, 2.5, 2.7, 300.0, 0.07, ?)",
            (at, at % 2 + 1),
        )
    names, found = _results(connection, 2, 1, 7)
    assert names == [
        *("POSITION_IN_STACK", "PSI"),
        *("PIXEL_SIZE", "MICROSCOPE_VOLTAGE", "MICROSCOPE_CS", "AMPLITUDE_CONTRAST", "ASSIGNED_SUBSET"),
    ]
    assert found == [(at, 10.0 * at, 2.5, 300.0, 2.7, 0.07, at % 2 + 1) for at in (3, 1, 2)]


def test_a_particle_that_was_picked_twice_in_one_micrograph_is_found_in_the_package_of_the_project(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "project"
    database = project.whole_project(folder)
    round_ = next(iter(cistem.rounds(folder, Settings(), Store(tmp_path / "out"))))
    opened = cistem.project(folder, Settings(), tmp_path / "spool")
    assert opened.duplicates(round_) is None, "no place is known of an imported particle"
    connection = project.open_as_cistem(database)
    shifts = connection.execute("SELECT POSITION_IN_STACK, XSHIFT, YSHIFT, ASSIGNED_SUBSET FROM REFINEMENT_RESULT_2_1")
    rows = {at: (x, y, half) for at, x, y, half in shifts.fetchall()}
    first, again = (next(at for at, row in rows.items() if row[2] == half) for half in (1, 2))
    # Each particle's refined centre on a grid, the last one 10 A from the first; a particle is 140 A long.
    centres = {at: (400.0 * (at % 30), 400.0 * (at // 30)) for at in rows}
    centres[again] = (centres[first][0] + 10.0, centres[first][1])
    columns = "PARENT_IMAGE_ASSET_ID, POSITION_IN_STACK, X_POSITION, Y_POSITION"
    insert = f"INSERT INTO REFINEMENT_PACKAGE_CONTAINED_PARTICLES_1 ({columns}) VALUES (?, ?, ?, ?)"
    places = [(3, at, x - rows[at][0], y - rows[at][1]) for at, (x, y) in centres.items()]
    connection.executemany(insert, places)
    connection.commit()
    connection.close()
    found = opened.duplicates(round_)
    assert found is not None
    assert (found.images, found.places, found.first_rows) == (0, 1, (again,))


def test_a_voxel_size_that_the_user_gives_is_that_of_the_half_maps(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.parameters(2)
    scene.dumps(project.dumps(2))
    scene.capture()
    project.commit(scene.database, 2)
    given = Settings.model_validate({"program": {"voxel_size_A": 2.75}})
    opened = cistem.project(scene.folder, given, scene.store.spool)
    (round_,) = opened.rounds()
    halves = opened.half_maps(round_)
    assert halves is not None
    assert (round_.facts.voxel_size_A, halves.half1.voxel_size_A, halves.half2.voxel_size_A) == (2.75, 2.75, 2.75)
    assert round_.fingerprint != scene.only_round().fingerprint, "measured again where another voxel size is given"


POOR = {
    "automask": {"enabled": False},
    "fsc": {"repeats": 2},
    "analysis": {"local": "never"},
    "watch": {"settle_s": 0.0, "metadata_wait_s": 0.0},
}


def require_nothing_poorer(folder: Path, store: Store, rounds: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Watch a project to its end, delete the spool, and start `watch` and `once` anew."""

    def started(reconstruct: Any) -> Watch:
        settings = load_settings(program="cistem", overrides=POOR)
        w = Watch.of(folder, "cistem", adapter_called("cistem"), settings, store, reconstruct)
        run(w, [0.0, 1.0])
        return w

    def no_particles(*_: object) -> None:
        pytest.fail("half maps are reconstructed although better ones are there")

    monkeypatch.setattr("refine_hooks.reconstruct.reconstructed", no_particles)
    assert started("never").counts.measured == rounds
    before = read_journal(store.log).rounds
    assert {record.half_maps.origin for record in before if record.half_maps} <= {"merged", "found"}
    maps = fingerprint(store.out / "half_maps")
    shutil.rmtree(store.spool)
    for reconstruct in ("never", "missing"):
        assert started(reconstruct).counts.done == 0
    assert read_journal(store.log).rounds == before
    assert fingerprint(store.out / "half_maps") == maps


@pytest.mark.shared
@pytest.mark.early
@pytest.mark.usefixtures("quick_rounds")
def test_a_replayed_project_keeps_its_rounds_when_the_spool_is_deleted(
    replay: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    require_nothing_poorer(*replay, len(MAPS), monkeypatch)


def test_a_project_keeps_its_rounds_when_the_spool_is_deleted(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.parameters(2)
    scene.dumps(project.dumps(2))
    scene.capture()
    project.commit(scene.database, 2)
    project.wipe(scene.folder, AUTO)
    require_nothing_poorer(scene.folder, scene.store, 1, monkeypatch)
