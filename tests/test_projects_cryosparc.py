"""cryoSPARC: iterations and classes from file names, what job.json and job.log say, half maps that are cleared, tables."""

import json
import os
import shutil
import time
from pathlib import Path

import mrcfile
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

pytest.importorskip("h5py")

from cryosparc_data import (
    BOX,
    MASKS,
    PIXEL,
    fsc_table,
    job_log,
    job_table,
    steps,
    write_iteration,
    write_particles,
    write_project,
)
from eman2_data import halves_of
from opened import Opened

from refine_hooks.errors import NotReadyError, ParticlesError
from refine_hooks.files.mrc import Map, write_map
from refine_hooks.log.folder import Store
from refine_hooks.particles.cryosparc import read_cs
from refine_hooks.programs import claim
from refine_hooks.programs.cryosparc.halves import duplicates, read_fsc_table
from refine_hooks.programs.cryosparc.job import read_filter_radii, read_job, read_log
from refine_hooks.programs.unused import unused_half_maps
from refine_hooks.reconstruct import Desk, half_maps_of
from refine_hooks.settings import Settings
from refine_hooks.testing import check_adapter

cryosparc = Opened("cryosparc")


def _rounds(project: Path, store: Store) -> list:
    return list(cryosparc.rounds(project, Settings(), store))


def _aged(folder: Path, by_s: float = 60) -> None:
    """What was written just now was written a while ago."""
    for path in folder.rglob("*"):
        if path.is_file() and time.time() - path.stat().st_mtime < by_s / 2:
            os.utime(path, (time.time() - by_s,) * 2)


@pytest.mark.parametrize("stem", ["J5", "cryosparc_P1_J5", "P1_J5"])
def test_a_finished_project_keeps_the_promises_of_every_adapter(tmp_path: Path, stem: str) -> None:
    project = write_project(tmp_path / "project", 2, stem)
    assert claim(project)[0] == "cryosparc"
    assert claim(project / "J5")[0] == "cryosparc"
    rounds = check_adapter(cryosparc, project, tmp_path, with_halves=2)
    assert [(str(r.key), r.label) for r in rounds] == [("J5/0/1", "it000"), ("J5/1/1", "it001")]
    assert all(r.complete for r in rounds)
    assert [r.facts.particles for r in rounds] == [1000, 2000]


def test_half_maps_are_found_where_they_are_and_their_window_is_told(tmp_path: Path) -> None:
    project, store = write_project(tmp_path / "project"), Store(tmp_path / "out")
    round_ = _rounds(project, store)[1]
    halves = cryosparc.half_maps(project, round_, store)
    assert halves.origin == "found"
    assert halves.paths == tuple(project / "J5" / f"J5_001_volume_map_half_{h}.mrc" for h in "AB")
    np.testing.assert_array_equal(halves.half2.voxels, halves_of(2)[1])
    assert "window" in halves.masked_by
    assert round_.facts.alignment_limit_A == 20.0
    assert round_.facts.symmetry == "C1"
    assert round_.facts.voxel_size_A == PIXEL


def test_the_masks_of_a_round_are_named_by_their_use(tmp_path: Path) -> None:
    project, store = write_project(tmp_path / "project"), Store(tmp_path / "out")
    first, last = _rounds(project, store)
    halves = cryosparc.half_maps(project, last, store)
    np.testing.assert_array_equal(
        cryosparc.masks(project, last, halves).get("refinement").mask.voxels, MASKS["mask_refine"]
    )
    further = cryosparc.masks(project, last, halves)
    np.testing.assert_array_equal(further["program_fsc"].mask.voxels, MASKS["mask_fsc"])
    np.testing.assert_array_equal(further["program_fsc_auto"].mask.voxels, MASKS["mask_fsc_auto"])
    assert list(cryosparc.masks(project, first, halves)) == ["refinement", "program_fsc"]


def test_the_reported_resolution_is_that_of_the_last_curve_of_each_iteration(tmp_path: Path) -> None:
    project, store = write_project(tmp_path / "project"), Store(tmp_path / "out")
    first, last = _rounds(project, store)
    assert first.facts.reported.resolution_A == pytest.approx(BOX * PIXEL / 7)
    assert "Tight Mask" in first.facts.reported.rule
    assert last.facts.reported.resolution_A == pytest.approx(BOX * PIXEL / 9)
    assert "Noise Sub" in last.facts.reported.rule
    assert "No-Mask 12.00 A, Spherical Mask 9.60 A, Loose Mask 8.00 A, Tight Mask 6.86 A" in first.facts.notes[-1]


def test_heartbeats_within_a_line_and_repeated_blocks_do_not_confuse_the_log(tmp_path: Path) -> None:
    (tmp_path / "job.log").write_text(job_log(3, ended=True))
    log = read_log(tmp_path / "job.log")
    assert log.ended
    assert [list(c.values()) for c in log.crossings] == [[4, 5, 6, 7], [5, 6, 7, 8], [6, 9.5, 9]]
    (tmp_path / "job.log").write_text(job_log(3, ended=False))
    assert not read_log(tmp_path / "job.log").ended


@pytest.mark.shared
def test_a_real_jobs_table_and_logs_agree_with_each_other(shared: Path) -> None:
    """J209 of cryoSPARC 2.15: 256 px of 1.0273 A; what the log says in shells, the event log says in Angstrom."""
    folder = shared / "realdata" / "cryosparc_J209"
    table, log = read_job(folder / "job.json"), read_log(folder / "job.log")
    radii_A = read_filter_radii(folder / "events.bson")
    assert (table.type, table.symmetry, table.split_A) == ("homo_refine_new", "C1", 20.0)
    assert table.particles == {0: 11764, 1: 53702, 2: 95796, 3: 95796, 4: 95796, 5: 95796}
    assert log.ended
    assert [len(c) for c in log.crossings] == [4, 4, 4, 4, 4, 5]
    ours_A = [256 * 1.0273438 / list(c.values())[-1] for c in log.crossings]
    np.testing.assert_allclose(ours_A, [radii_A[n] for n in range(6)], atol=6e-4)


@pytest.mark.shared
def test_a_real_table_of_particles_is_read_in_its_convention(shared: Path) -> None:
    found = read_cs(shared / "realdata" / "particles_real" / "cryosparc_P12_J24_001_particles.cs")
    assert len(found) == 2019
    assert set(found.half) == {1, 2}
    assert found.shift_x_A[0] == pytest.approx(-11.334375 * 2.95)
    assert found.image[0] == 1


@pytest.mark.parametrize("version", ["v2.15.0", "v4.4.1", "v5.0.0"])
def test_job_tables_of_all_versions_are_understood(tmp_path: Path, version: str) -> None:
    table = job_table("local_refine_new", "completed", 1, version, refine_symmetry="D7", refine_window=False)
    (tmp_path / "job.json").write_text(json.dumps(table))
    found = read_job(tmp_path / "job.json")
    assert (found.type, found.symmetry, found.split_A, found.windowed) == ("local_refine_new", "D7", 20.0, False)
    (tmp_path / "job.json").write_text(json.dumps(table)[:-20])
    with pytest.raises(NotReadyError):
        read_job(tmp_path / "job.json")


def test_what_the_user_set_stands_above_the_default(tmp_path: Path) -> None:
    table = job_table("homo_refine_new", "completed", 1)
    table["params_spec"] = {"refine_symmetry": {"value": "O"}}
    (tmp_path / "job.json").write_text(json.dumps(table))
    assert read_job(tmp_path / "job.json").symmetry == "O"


@pytest.mark.parametrize(
    ("kind", "refines"),
    [
        ("homo_refine_new", True),
        ("nonuniform_refine_new", True),
        ("new_local_refine", True),
        ("hetero_refine", True),
        ("homo_abinit", True),
        ("homo_reconstruct", True),
        ("helix_refine", True),
        ("extract_micrographs_multi", False),
        ("ctf_refine_local", False),
        ("class_2D_new", False),
    ],
)
def test_only_jobs_that_make_maps_are_looked_into(tmp_path: Path, kind: str, refines: bool) -> None:
    project = write_project(tmp_path, 1, kind=kind)
    assert bool(_rounds(project, Store(tmp_path / "out"))) == refines


def test_the_columns_of_a_curve_table_come_by_shell(tmp_path: Path) -> None:
    truth = fsc_table(tmp_path / "a.txt", 1)
    curves = {name: column.values for name, column in read_fsc_table(tmp_path / "a.txt", BOX).items()}
    for name, values in curves.items():
        assert len(values) == BOX // 2 + 1
        known = np.isfinite(values)
        np.testing.assert_allclose(values[known], truth[name][known], atol=1e-6)
    assert set(curves) == set(truth)
    assert np.isfinite(curves["tightmask"]).all()
    bad = ~(np.abs(truth["noisesub_true"]) <= 1)
    assert bad.any()
    assert np.isnan(curves["noisesub_true"][bad]).all()


def test_curves_before_and_after_the_tightening_keep_their_names(tmp_path: Path) -> None:
    project, store = write_project(tmp_path / "project"), Store(tmp_path / "out")
    first, last = _rounds(project, store)
    assert "tightmask" in [c.name for c in cryosparc.reported(project, first)]
    assert not any("after" in c.name for c in cryosparc.reported(project, first))
    named = {c.name: c for c in cryosparc.reported(project, last)}
    assert {"tightmask", "tightmask_after_tightening", "noisesub_after_tightening"} <= set(named)
    assert named["noisesub_after_tightening"].resolution_A == last.facts.reported.resolution_A
    assert named["noisesub"].resolution_A is None


def test_a_curve_table_that_is_cut_off_is_not_ready(tmp_path: Path) -> None:
    fsc_table(tmp_path / "a.txt", 1)
    text = (tmp_path / "a.txt").read_text()
    (tmp_path / "a.txt").write_text(text[: text.rindex("\t")])
    with pytest.raises(NotReadyError):
        read_fsc_table(tmp_path / "a.txt", BOX)


def test_classes_count_from_1_and_have_no_half_maps(tmp_path: Path) -> None:
    job = tmp_path / "project" / "J6"
    job.mkdir(parents=True)
    (job / "job.json").write_text(json.dumps(job_table("hetero_refine", "completed", 0)))
    for index in (0, 1):
        for iteration in (0, 42):
            path = job / f"J6_class_{index:02d}_{iteration:05d}_volume.mrc"
            write_map(path, Map(halves_of(1)[index], PIXEL), "cryosparc")
    write_map(job / "J6_class_00_final_volume.mrc", Map(halves_of(1)[0], PIXEL), "cryosparc")
    rounds = check_adapter(cryosparc, tmp_path / "project", tmp_path, with_halves=0)
    assert [(str(r.key), r.label) for r in rounds] == [
        ("J6/0/1", "it000"),
        ("J6/42/1", "it042"),
        ("J6/43/1", "final"),
        ("J6/0/2", "it000"),
        ("J6/42/2", "it042"),
    ]
    assert not any(r.missing for r in rounds)
    assert "no half maps of a class" in rounds[0].facts.notes[0]


def test_a_reconstruction_without_refinement_has_no_iteration(tmp_path: Path) -> None:
    project = write_project(tmp_path / "project", 1, kind="homo_reconstruct")
    for path in (project / "J5").glob("J5_000_volume*"):
        path.rename(path.with_name(path.name.replace("J5_000", "J5")))
    (round_,) = check_adapter(cryosparc, project, tmp_path, with_halves=1)
    assert (str(round_.key), round_.label) == ("J5/0/1", "reconstruction")


@pytest.mark.parametrize(
    ("kind", "independence"),
    [
        ("nonuniform_refine_new", "independent"),
        ("new_local_refine", "independent"),
        ("hetero_refine", "shared_reference"),
        ("homo_reconstruct", "unknown"),
        ("flex_highres", "one_set_of_poses"),
    ],
)
def test_the_kind_of_job_says_whether_its_halves_are_independent(tmp_path: Path, kind: str, independence: str) -> None:
    project = write_project(tmp_path / "project", 1, kind=kind)
    opened = cryosparc.open(project, Settings(), tmp_path / "spool")
    halves = [opened.half_maps(round_) for round_ in opened.rounds()]
    assert {pair.independence for pair in halves if pair is not None} == {independence}


def test_half_maps_of_a_job_that_refines_none_are_named_with_the_reason(tmp_path: Path) -> None:
    project = write_project(tmp_path / "project", 1)
    write_project(tmp_path / "other", 1, kind="volume_tools")
    (tmp_path / "other" / "J5").rename(project / "J6")
    opened = cryosparc.open(project, Settings(), tmp_path / "spool")
    unused = unused_half_maps(opened, opened.rounds())
    assert {each.path.parent.name for each in unused} == {"J6"}
    assert all("volume_tools" in each.reason for each in unused)


def test_a_flexible_reconstruction_gives_one_round_with_and_one_without_its_deformations(tmp_path: Path) -> None:
    project = write_project(tmp_path / "project", 1, kind="flex_highres")
    for path in (project / "J5").glob("J5_000_volume_map*"):
        shutil.copy2(path, path.with_name(path.name.replace("000_volume", "noflex")))
        path.rename(path.with_name(path.name.replace("000_volume", "flex")))
    for path in (project / "J5").glob("J5_000_*"):
        path.unlink()
    rounds = check_adapter(cryosparc, project, tmp_path, with_halves=2)
    assert [str(round_.key) for round_ in rounds] == ["J5/flex/0/1", "J5/noflex/0/1"]


def test_every_iteration_of_a_running_job_survives_the_clearing(tmp_path: Path) -> None:
    project, store = tmp_path / "project", Store(tmp_path / "out")
    fingerprints = {}
    for _ in steps(project, 3):
        _aged(project)
        before = [r for r in _rounds(project, store) if not r.missing]
        assert all(r.inputs.kept for r in before), "nothing is measured that may be cleared before it is saved"
        cryosparc.capture(project, store.spool)
        for round_ in _rounds(project, store):
            if not round_.missing:
                assert fingerprints.setdefault(round_.key, round_.fingerprint) == round_.fingerprint, (
                    "seen again as it was"
                )
    assert not list((project / "J5").glob("J5_000_volume*"))
    rounds = _rounds(project, store)
    assert [r.key.iteration for r in rounds] == [0, 1, 2]
    for round_ in rounds:
        halves = cryosparc.half_maps(project, round_, store)
        np.testing.assert_array_equal(halves.half1.voxels, halves_of(round_.key.iteration + 1)[0])
        assert halves.paths is None, "they are written into the store, since the job's own go"


def test_saving_waits_for_the_masks_and_takes_no_space(tmp_path: Path) -> None:
    project, store = tmp_path / "project", Store(tmp_path / "out")
    for step in steps(project, 1):
        if step == "0: map_half_B":
            assert cryosparc.capture(project, store.spool) == [], "written this moment: the masks are still to come"
        if step == "0: particles":
            break
    _aged(project)
    saved = cryosparc.capture(project, store.spool)
    assert [p.name.removeprefix("J5_000_volume_") for p in saved] == [
        "map_half_A.mrc",
        "map_half_B.mrc",
        "mask_refine.mrc",
        "mask_fsc.mrc",
        "mask_fsc_auto.mrc",
    ]
    assert (project / "J5" / saved[0].name).stat().st_nlink == 2
    (round_,) = _rounds(project, store)
    for path in (project / "J5").glob("*volume*"):
        path.unlink()
    (round_,) = _rounds(project, store)
    halves = cryosparc.half_maps(project, round_, store)
    assert cryosparc.masks(project, round_, halves).get("refinement").mask is not None
    assert set(cryosparc.masks(project, round_, halves)) == {"refinement", "program_fsc", "program_fsc_auto"}


def test_nothing_is_saved_of_jobs_that_have_ended(tmp_path: Path) -> None:
    project, store = write_project(tmp_path / "project"), Store(tmp_path / "out")
    _aged(project)
    assert cryosparc.capture(project, store.spool) == []


def test_half_maps_that_have_not_come_are_awaited_while_the_job_runs(tmp_path: Path) -> None:
    project, store = tmp_path / "project", Store(tmp_path / "out")
    seen = []
    for step in steps(project, 2, clears=False):
        seen.append((step, [(r.key.iteration, bool(r.missing), r.complete) for r in _rounds(project, store)]))
    by_step = dict(seen)
    assert by_step["0: map"] == [(0, True, False)]
    assert by_step["0: map_half_A"] == [(0, True, False)]
    assert by_step["0: map_half_B"] == [(0, True, False)], "whole, but not saved yet"
    assert by_step["1: map"] == [(0, True, False), (1, True, False)]
    assert by_step["ended"] == [(0, False, True), (1, False, True)]


def test_half_maps_that_were_cleared_before_anyone_looked_are_told(tmp_path: Path) -> None:
    project, store = write_project(tmp_path / "project"), Store(tmp_path / "out")
    for path in (project / "J5").glob("J5_000_volume_map_half*"):
        path.unlink()
    first, last = _rounds(project, store)
    assert cryosparc.half_maps(project, first, store) is None
    assert "cleared them before they could be kept" in first.facts.notes[0]
    assert cryosparc.half_maps(project, last, store) is not None


def test_particles_are_joined_with_the_passthrough_table_by_their_uid(tmp_path: Path) -> None:
    project, store = write_project(tmp_path / "project"), Store(tmp_path / "out")
    job = cryosparc.particles(project, _rounds(project, store)[1])
    assert job.package == "relion"
    assert len(job.particles) == 40
    assert job.particles.stacks[0].name == "stack.mrc"
    own = np.load(project / "J5" / "J5_001_particles.cs")
    np.testing.assert_array_equal(job.particles.image - 1, own["uid"])
    np.testing.assert_array_equal(job.particles.half - 1, own["alignments3D/split"])


def test_particles_of_both_half_sets_are_counted_by_image_and_by_place(tmp_path: Path) -> None:
    """The images and places are in the passthrough table; the refined shift is part of the place."""
    project, store = write_project(tmp_path / "project"), Store(tmp_path / "out")
    path = project / "J5" / "J5_passthrough_particles.cs"
    own, blobs = np.load(project / "J5" / "J5_001_particles.cs"), np.load(path)
    more = [("location/micrograph_uid", "<u8"), ("location/micrograph_psize_A", "<f4"), ("blob/shape", "<u4", (2,))]
    more += [
        ("location/micrograph_shape", "<u4", (2,)),
        ("location/center_x_frac", "<f4"),
        ("location/center_y_frac", "<f4"),
    ]
    wide = np.zeros(len(blobs), [*blobs.dtype.descr, *more])
    for name in blobs.dtype.names:
        wide[name] = blobs[name]
    wide["location/micrograph_psize_A"], wide["blob/shape"] = 1.0, 100
    wide["location/micrograph_shape"] = 4000, 6000
    wide["location/center_x_frac"] = wide["location/center_y_frac"] = np.linspace(0.1, 0.9, len(wide))
    at = {uid: row for row, uid in enumerate(wide["uid"])}
    first, second, third, fourth = (at[own["uid"][row]] for row in (0, 1, 2, 3))  # half sets 0, 1, 0, 1
    wide["blob/idx"][second] = wide["blob/idx"][first]
    wide["location/center_x_frac"][fourth] = wide["location/center_x_frac"][third] + 2 / 6000
    wide["location/center_y_frac"][fourth] = wide["location/center_y_frac"][third]
    np.save(path.open("wb"), wide)
    seen = duplicates(_rounds(project, store)[1])
    assert seen is not None
    assert (seen.images, seen.places) == (1, 1)
    assert set(seen.first_rows) <= {1, 2, 3, 4}


def test_a_pose_takes_the_image_into_the_volume(tmp_path: Path) -> None:
    """Rz(phi) Ry(theta) Rz(psi) is the rotation of the vector, written out by Rodrigues' formula."""
    project = write_project(tmp_path / "project")
    found = read_cs(project / "J5" / "J5_001_particles.cs")
    own = np.load(project / "J5" / "J5_001_particles.cs")

    def about(axis: str, deg: float) -> np.ndarray:
        c, s = np.cos(np.radians(deg)), np.sin(np.radians(deg))
        return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]] if axis == "z" else [[c, 0, s], [0, 1, 0], [-s, 0, c]])

    for row in (0, 7, 39):
        vector = own["alignments3D/pose"][row].astype(float)
        angle = np.linalg.norm(vector)
        x, y, z = vector / angle
        cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
        rotation = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
        ours = about("z", found.phi_deg[row]) @ about("y", found.theta_deg[row]) @ about("z", found.psi_deg[row])
        np.testing.assert_allclose(ours, rotation, atol=1e-6)


def test_particles_give_back_the_density_that_they_are_images_of(tmp_path: Path) -> None:
    """Projections of six balls, written out: a ball at p of the volume is seen at (R^T p) - shift of the image, and is dark."""
    project, store = write_project(tmp_path / "project", 1), Store(tmp_path / "out")
    path = project / "J5" / "J5_000_particles.cs"
    write_particles(path.parent, path.name, 400)
    own = np.load(path)
    own["ctf/df1_A"] = own["ctf/df2_A"] = own["ctf/cs_mm"] = 0
    own["ctf/amp_contrast"] = 1
    own["alignments3D/shift"] = np.random.default_rng(5).uniform(-2, 2, (len(own), 2))
    with path.open("wb") as stream:
        np.save(stream, own)
    balls = np.array([[0, 0, 0], [5, 0, 0], [0, 4, 0], [3, 3, 2], [-4, 0, 3], [0, -3, -5]], float)
    image_number = own["uid"].astype(int)  # write_particles numbers the images so
    grid = np.arange(BOX) - BOX // 2
    stack = np.zeros((image_number.max() + 1, BOX, BOX), np.float32)
    for row, number in zip(own, image_number, strict=True):
        rotation = Rotation.from_rotvec(row["alignments3D/pose"].astype(float)).as_matrix()
        for seen_x, seen_y in (balls @ rotation)[:, :2] - row["alignments3D/shift"]:  # rows: R^T p
            stack[number] -= np.exp(-((grid[:, None] - seen_y) ** 2 + (grid - seen_x) ** 2) / 4.5)
    with mrcfile.new(project / "J2" / "extract" / "stack.mrc") as mrc:
        mrc.set_data(stack)
        mrc.voxel_size = PIXEL
    z, y, x = np.meshgrid(grid, grid, grid, indexing="ij")
    truth = sum(np.exp(-((x - a) ** 2 + (y - b) ** 2 + (z - c) ** 2) / 4.5) for a, b, c in balls)
    made = half_maps_of(cryosparc.particles(project, _rounds(project, store)[0]), "J5", Settings(), Desk())
    assert made.origin == "reconstructed"
    assert made.images == (200, 200)
    for half in (made.half1, made.half2):
        assert np.corrcoef(half.voxels.ravel(), truth.ravel())[0, 1] > 0.97
        assert np.corrcoef(half.voxels[:, :, ::-1].ravel(), truth.ravel())[0, 1] < 0.7


def test_views_are_counted_from_the_poses(tmp_path: Path) -> None:
    project, store = write_project(tmp_path / "project"), Store(tmp_path / "out")
    views = cryosparc.viewing_directions(project, _rounds(project, store)[0])
    assert views.shape == (18, 72)
    assert views.sum() == 40


@pytest.mark.parametrize("fault", ["symmetry", "no table", "no passthrough"])
def test_particles_that_cannot_be_had_are_explained(tmp_path: Path, fault: str) -> None:
    project = write_project(tmp_path / "project", refine_symmetry="D7" if fault == "symmetry" else "C1")
    if fault == "no table":
        (project / "J5" / "J5_001_particles.cs").unlink()
    if fault == "no passthrough":
        (project / "J5" / "J5_passthrough_particles.cs").unlink()
    words = {
        "symmetry": "refined in D7",
        "no table": "holds no J5_001",
        "no passthrough": "lacks the columns blob/path",
    }
    with pytest.raises(ParticlesError, match=words[fault]):
        cryosparc.particles(project, _rounds(project, Store(tmp_path / "out"))[1])


def test_a_map_that_is_being_written_is_awaited(tmp_path: Path) -> None:
    project, store = write_project(tmp_path / "project", 1), Store(tmp_path / "out")
    path = project / "J5" / "J5_000_volume_map_half_A.mrc"
    path.write_bytes(path.read_bytes()[:5000])
    (round_,) = _rounds(project, store)
    assert "being written" in round_.missing[0]


def test_names_that_only_look_like_cryosparcs_are_not_its(tmp_path: Path) -> None:
    (tmp_path / "J5").mkdir()
    (tmp_path / "project.txt").touch()
    assert not cryosparc.recognises(tmp_path)
    assert next(iter(write_iteration(tmp_path / "J5", "J5", 0, tightened=True))) == "map"
    assert cryosparc.recognises(tmp_path / "J5")


def test_wave_numbers_that_no_box_has_take_no_memory(tmp_path: Path) -> None:
    table = tmp_path / "fsc.txt"
    table.write_text("wave\tfsc_nomask\n0\t1\n1\t0.5\nnan\t0.4\n1e9\t0.3\n-3\t0.2\n")
    np.testing.assert_array_equal(read_fsc_table(table, None)["nomask"].values, [1, 0.5])
    table.write_text("wave\tfsc_nomask\n1e9\t0.3\n")
    with pytest.raises(NotReadyError, match="no rows with a wave number"):
        read_fsc_table(table, None)


def test_the_final_pair_of_a_running_job_is_kept_under_a_number_of_its_own(tmp_path: Path) -> None:
    project, store = tmp_path / "project", Store(tmp_path / "out")
    for step in steps(project, 2, clears=False):
        if step == "1: particles":
            break
    job = project / "J5"
    for half in "AB":
        shutil.copy(job / f"J5_001_volume_map_half_{half}.mrc", job / f"J5_final_volume_map_half_{half}.mrc")
    _aged(project)
    cryosparc.capture(project, store.spool)
    kept = {r.label: r.inputs.kept.iteration for r in _rounds(project, store) if r.inputs.kept}
    assert kept == {"it000": 0, "it001": 1, "final": 2}


def test_a_table_that_counts_half_shells_is_brought_to_whole_ones(tmp_path: Path) -> None:
    waves = np.arange(BOX // 2) + 0.5
    rows = [f"{wave}\t{1 - wave / 50:.6f}\t{1 - wave / 25:.6f}" for wave in waves]
    (tmp_path / "a.txt").write_text("\n".join(["wave_number\tfsc_nomask\tfsc_tightmask", *rows]) + "\n")
    curves = read_fsc_table(tmp_path / "a.txt", BOX)
    shells = np.arange(1, BOX // 2)
    np.testing.assert_allclose(curves["nomask"].values[1:-1], 1 - shells / 50, atol=1e-5)
    np.testing.assert_allclose(curves["tightmask"].values[1:-1], 1 - shells / 25, atol=1e-5)
    assert curves["nomask"].crossing_shell is None


def test_the_number_of_a_table_of_half_shells_is_read_between_its_own_points(tmp_path: Path) -> None:
    """Means of neighbours fall elsewhere: here first between 6 and 7, where the table itself has 0.11 at 5.5."""
    values = [0.9] * 5 + [0.11, 0.18] + [0.0] * 4
    rows = [f"{number + 0.5}\t{value}" for number, value in enumerate(values)]
    (tmp_path / "a.txt").write_text("\n".join(["wave_number\tfsc_nomask", *rows]) + "\n")
    crossing = read_fsc_table(tmp_path / "a.txt", BOX)["nomask"].crossing_shell
    assert crossing == pytest.approx(4.5 + (0.9 - 0.143) / (0.9 - 0.11))


@pytest.mark.parametrize("version", [2, 3, 4, 5])
def test_job_json_keeps_every_curve_and_the_stated_resolution(tmp_path: Path, version: int) -> None:
    project, store = write_project(tmp_path / "project"), Store(tmp_path / "out")
    job = project / "J5"
    for path in (*job.glob("*fsc_iteration*.txt"), *job.glob("events.bson")):
        path.unlink()
    (job / "job.log").write_text("========= main process now complete at 2024-01-01\n")
    waves = np.arange(BOX // 2) + 0.5
    info = {"radwns": list(waves), "fsc_nomask": list(1 - waves / 50), "fsc_noisesub": list(1 - waves / 25)}
    stats = [{"fsc_info_best": {**info, "radwn_final_A": 6.3 + n}} for n in (1, 0)]
    table = json.loads((job / "job.json").read_text())
    groups = [{"name": "volume", "summary_stats": stats}]
    table |= {"output_result_groups": groups} if version < 5 else {"spec": {**table.get("spec", {}), "outputs": groups}}
    table["version"] = f"v{version}.0.0"
    (job / "job.json").write_text(json.dumps(table))
    first, last = _rounds(project, store)
    assert (first.facts.reported.resolution_A, last.facts.reported.resolution_A) == (7.3, 6.3)
    curves = {curve.name: curve for curve in cryosparc.reported(project, last)}
    assert set(curves) == {"nomask", "noisesub"}
    assert curves["noisesub"].resolution_A == 6.3
    np.testing.assert_allclose(curves["nomask"].correlation[1:-1], 1 - np.arange(1, BOX // 2) / 50, atol=1e-6)


def test_an_iteration_that_was_cleared_before_it_could_be_kept_is_said_with_its_curves(tmp_path: Path) -> None:
    project, store = write_project(tmp_path / "project", 3), Store(tmp_path / "out")
    before = {r.label: cryosparc.reported(project, r) for r in _rounds(project, store)}
    for path in (project / "J5").glob("J5_001_*"):
        path.unlink()
    cleared = next(r for r in _rounds(project, store) if r.label == "it001")
    assert (cleared.missing, cleared.fault, cryosparc.half_maps(project, cleared, store)) == ((), None, None)
    assert any("cleared them before they could be kept" in note for note in cleared.facts.notes)
    for one, two in zip(cryosparc.reported(project, cleared), before["it001"], strict=True):
        assert (one.name, one.resolution_A) == (two.name, two.resolution_A)
        np.testing.assert_array_equal(one.correlation, two.correlation)
