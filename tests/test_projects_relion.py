"""RELION's disk: rounds, half maps with their honest origin, its own curves and masks."""

import gzip
import os
import re
import shutil
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from command_line import cli
from heard import hear
from numpy.typing import NDArray
from opened import Opened
from particles_data import columns, write_relion_star, write_stack

from refine_hooks.audit import audit
from refine_hooks.curves import beyond_neighbours
from refine_hooks.curves.relion import postprocess_fsc
from refine_hooks.errors import NotReadyError, ParticlesError, ProjectError
from refine_hooks.explain import explain
from refine_hooks.files.mrc import Map, read_map, write_map
from refine_hooks.files.star import parse_star
from refine_hooks.fourier import transform
from refine_hooks.fsc import fsc
from refine_hooks.log.file import read_journal
from refine_hooks.log.folder import Store
from refine_hooks.measure import NamedMask, measure_halves
from refine_hooks.model import Round
from refine_hooks.programs import adapter_called, claim
from refine_hooks.programs.relion.external import half_map_from_external
from refine_hooks.settings import load_settings
from refine_hooks.testing import check_adapter
from refine_hooks.watch.state import Watch
from refine_hooks.watch.steps import say_what_is_reconstructed

relion = Opened("relion")

SETTINGS = load_settings(program="relion")
JOB = Path("Refine3D") / "job001"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """What Debian's relion 3.1.3 wrote in a small auto-refinement, thinned out: it000, it009 and the final round."""
    folder = tmp_path / "project"
    folder.mkdir()
    with tarfile.open(Path(__file__).parent / "data" / "relion_refine3d.tgz") as archive:
        archive.extractall(folder, filter="data")
    return folder


def a_watch_of(project: Path) -> Watch:
    return Watch.of(project, "relion", adapter_called("relion"), SETTINGS, Store(project.parent / "out"))


def rounds_of(project: Path) -> dict[str, Round]:
    return {r.label: r for r in relion.rounds(project, SETTINGS, Store(project.parent / "out"))}


def test_the_adapter_keeps_every_promise(project: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    check_adapter(Opened("relion"), project, tmp_path / "elsewhere", with_halves=3)


def test_a_job_folder_alone_is_a_project_too(project: Path, tmp_path: Path) -> None:
    assert claim(project)[0] == claim(project / JOB)[0] == "relion"
    inside = list(relion.rounds(project / JOB, SETTINGS, Store(tmp_path / "out")))
    assert [r.key for r in inside] == [r.key for r in rounds_of(project).values()]


def test_rounds_say_what_their_half_maps_are(project: Path, tmp_path: Path) -> None:
    found = rounds_of(project)
    assert list(found) == ["it000", "it009", "final"]
    store = Store(tmp_path / "out")
    numbered = relion.half_maps(project, found["it009"], store)
    final = relion.half_maps(project, found["final"], store)
    assert numbered is not None
    assert final is not None
    assert (numbered.origin, final.origin) == ("regularised", "found")
    assert (numbered.independence, final.independence) == ("independent", "independent")
    assert numbered.valid_shells == 12
    assert numbered.joined_below_A == 60.0
    assert final.joined_below_A is None
    assert final.paths is not None
    assert [p.name for p in final.paths] == ["run_half1_class001_unfil.mrc", "run_half2_class001_unfil.mrc"]


def test_the_program_s_curve_ends_where_it_measured(project: Path) -> None:
    found = rounds_of(project)
    (gold,) = [c for c in relion.reported(project, found["it009"]) if c.name == "gold_standard"]
    halves = relion.half_maps(project, found["it009"], Store(project.parent / "out"))
    assert halves is not None
    shells = halves.valid_shells
    assert shells is not None
    assert np.isfinite(gold.correlation[: shells + 1]).all()
    assert np.isnan(gold.correlation[shells + 1 :]).all()


def test_the_fsc_of_a_run_without_padding_is_not_that_of_its_maps(project: Path) -> None:
    for table in (project / JOB).glob("*_model.star"):
        table.write_text(re.sub(r"_rlnPaddingFactor +\S+", "_rlnPaddingFactor 1.0", table.read_text()))
    (own,) = relion.reported(project, rounds_of(project)["final"])
    assert own.made == "fsc"


@pytest.mark.parametrize("corrects", [False, True])
def test_its_fsc_must_be_that_of_its_unfiltered_halves_but_for_a_corrected_one(project: Path, corrects: bool) -> None:
    optimiser = project / JOB / "run_it009_optimiser.star"
    text = re.sub(
        r"_rlnDoSolventFscCorrection +\d", f"_rlnDoSolventFscCorrection {int(corrects)}", optimiser.read_text()
    )
    optimiser.write_text(text)
    found = rounds_of(project)
    made = {label: relion.reported(project, found[label])[0].made for label in ("it009", "final")}
    assert made == {"it009": "fsc", "final": "fsc" if corrects else "unmasked"}
    if not corrects:
        halves = relion.half_maps(project, found["final"], Store(project.parent / "out"))
        assert halves is not None
        ours = fsc(transform(halves.half1.voxels), transform(halves.half2.voxels))
        (own,) = relion.reported(project, found["final"])
        assert np.nanmax(beyond_neighbours(ours, own.correlation)[1:]) < 0.05


def test_facts_are_those_of_the_program_with_its_changing_rule(project: Path) -> None:
    found = rounds_of(project)
    facts = found["it009"].facts
    assert facts.voxel_size_A == 5.0
    assert facts.sphere_radius_A == 45.0
    assert "0.5" in (facts.reported.rule)
    assert "0.143" in (found["final"].facts.reported.rule)


def test_identical_halves_of_the_start_are_said_and_not_scored(project: Path, tmp_path: Path) -> None:
    start = rounds_of(project)["it000"]
    halves = relion.half_maps(project, start, Store(tmp_path / "out"))
    assert halves is not None
    assert halves.independence == "shared_reference"
    measured = measure_halves(halves, start.facts, SETTINGS)
    assert all(c.resolution_A is None for c in measured.curves)


def half_written(project: Path) -> None:
    path = project / JOB / "run_it009_half2_class001.mrc"
    path.write_bytes(path.read_bytes()[:-500])


def table_awaited(project: Path) -> None:
    (project / JOB / "run_it009_half1_model.star").unlink()


def table_half_written(project: Path) -> None:
    path = project / JOB / "run_it009_half2_model.star"
    path.write_text(path.read_text()[:700])


@pytest.mark.parametrize("change", [half_written, table_awaited, table_half_written])
def test_a_round_that_is_being_written_is_awaited(project: Path, change: Callable[[Path], None]) -> None:
    change(project)
    unfinished = rounds_of(project).get("it009")
    assert unfinished is None or unfinished.missing or unfinished.fault


def test_decoys_are_no_rounds(project: Path) -> None:
    before = {str(r.key) for r in rounds_of(project).values()}
    for decoy in (".Nodes/DensityMap/Refine3D/job001", "Trash/Refine3D/job001"):
        (project / decoy).mkdir(parents=True)
        (project / decoy / "run_half1_class001_unfil.mrc").touch()
        (project / decoy / "run_it003_half1_class001.mrc").touch()
    (project / JOB / "run_it004_half1_class001_external_reconstruct_data_real.mrc").touch()
    assert {str(r.key) for r in rounds_of(project).values() if not r.missing} == before


def test_an_iteration_overwritten_in_place_is_another_state(project: Path) -> None:
    before = rounds_of(project)["it009"]
    path = project / JOB / "run_it009_half1_model.star"
    os.utime(path, ns=(path.stat().st_mtime_ns + 1, path.stat().st_mtime_ns + 1))
    assert rounds_of(project)["it009"].fingerprint != before.fingerprint


def test_maps_that_were_cleaned_away_leave_the_round_as_it_was_measured(project: Path) -> None:
    before = rounds_of(project)["it009"]
    for path in (project / JOB).glob("run_it009_half?_class001.mrc"):
        path.unlink()
    after = rounds_of(project)["it009"]
    assert after.fingerprint == before.fingerprint
    assert relion.half_maps(project, after, Store(project.parent / "out")) is None


def test_unfiltered_maps_of_the_joined_iteration_are_the_final_round_s_and_awaited_by_nobody(project: Path) -> None:
    for half in (1, 2):
        source = project / JOB / f"run_half{half}_class001_unfil.mrc"
        shutil.copy(source, project / JOB / f"run_it010_half{half}_class001_unfil.mrc")
    found = list(relion.rounds(project, SETTINGS, Store(project.parent / "out")))
    assert [(r.label, r.missing) for r in found] == [("it000", ()), ("it009", ()), ("final", ())]


def test_a_continued_run_is_one_series_and_what_it_made_anew_stands_for_the_old(project: Path) -> None:
    for path in list((project / JOB).glob("run_it009_*")):
        text = path.read_bytes().replace(b"run_it009", b"run_ct8_it009")
        (path.parent / path.name.replace("run_it009", "run_ct8_it009")).write_bytes(text)
    found = list(relion.rounds(project, SETTINGS, Store(project.parent / "out")))
    assert [str(r.key) for r in found] == [f"Refine3D/job001/{n}/1" for n in (0, 9, 10)]
    assert {Path(f.name).name for f in found[1].fingerprint.inputs} == {
        f"run_ct8_it009_half{h}_model.star" for h in (1, 2)
    }


@pytest.mark.parametrize(("again", "awaited"), [((0, 9), True), ((0,), True), ((), False)])
def test_the_end_of_a_run_that_is_run_again_in_its_folder_is_awaited(
    project: Path, again: tuple[int, ...], awaited: bool
) -> None:
    now_s = time.time()
    for path in (project / JOB).iterdir():
        number = int(path.name[6:9]) if "_it" in path.name else 10
        os.utime(path, (now_s - (600 if number in again else 7200) + 70 * number,) * 2)
    missing = rounds_of(project)["final"].missing
    assert ("the new end of this run" in " ".join(missing)) == awaited


def test_the_end_of_a_continued_run_without_iterations_of_its_own_keeps_number_and_particles(project: Path) -> None:
    before = rounds_of(project)["final"]
    for path in list((project / JOB).glob("run_*")):
        if "_it" not in path.name:
            path.rename(path.with_name(path.name.replace("run_", "run_ct9_")))
    after = rounds_of(project)["final"]
    assert (after.key, after.facts.particles) == (before.key, before.facts.particles)
    assert after.facts.particles


def test_a_round_that_was_never_finished_is_told_when_its_particles_are_asked_for(project: Path) -> None:
    (project / JOB / "run_it009_half2_model.star").unlink()
    (project / JOB / "RELION_JOB_EXIT_ABORTED").touch()
    round_ = rounds_of(project)["it009"]
    with pytest.raises(ParticlesError, match=r"run_it009_half2_model\.star: is not there"):
        relion.particles(project, round_)


def test_particles_are_promised_only_of_rounds_whose_table_is_there(project: Path) -> None:
    found = rounds_of(project)
    there = {label for label, round_ in found.items() if relion.project(project).names_particles(round_)}
    assert there == {"final"}
    said = explain(a_watch_of(project)).rounds
    assert ["particles" in one.why for one in said] == [False, False, False]
    assert "filtered these half maps: no resolution" in said[1].why
    (project / JOB / "run_it009_data.star").write_bytes((project / JOB / "run_data.star").read_bytes())
    assert "try the particles" in explain(a_watch_of(project)).rounds[1].why


def test_rounds_without_a_table_of_particles_are_named_once_and_never_tried(project: Path) -> None:
    said = hear()
    (project / JOB / "run_data.star").unlink()
    w = Watch.of(project, "relion", adapter_called("relion"), SETTINGS, Store(project.parent / "out"), "always")
    rounds = [round_ for round_ in w.opened.rounds() if not round_.starting]
    say_what_is_reconstructed(w, rounds)
    assert len(said) == 1
    assert f"{rounds[0].key} and {len(rounds) - 1} more: not reconstructed" in said[0]


def test_a_job_folder_is_a_project_although_relion_copies_its_pipeline_into_it(project: Path, tmp_path: Path) -> None:
    (project / JOB / "default_pipeline.star").write_text("data_pipeline_general\n\n_rlnPipeLineJobCounter 2\n")
    inside = list(relion.rounds(project / JOB, SETTINGS, Store(tmp_path / "out")))
    assert [r.key for r in inside] == [r.key for r in rounds_of(project).values()]


def test_a_helix_and_two_pixel_sizes_are_said_of_every_round(project: Path, tmp_path: Path) -> None:
    for table in (project / JOB).glob("*model.star"):
        at_ns = table.stat().st_mtime_ns
        text = re.sub(r"_rlnIsHelix +0", "_rlnIsHelix 1", table.read_text())
        table.write_text(re.sub(r"_rlnPixelSize +\S+", "_rlnPixelSize 5.1", text))
        os.utime(table, ns=(at_ns, at_ns))
    write_relion_star(project / JOB / "run_data.star", columns(), "s.mrcs", pixel_sizes={1: 5.0})
    final = rounds_of(project)["final"]
    assert any("a helix of" in note for note in final.facts.notes)
    assert any("its pixel size is 5 A, the model table's is 5.1 A" in note for note in final.facts.notes)


@pytest.mark.parametrize("subset", [True, False])
def test_halves_of_a_classification_share_one_reference_up_to_its_image_size(project: Path, subset: bool) -> None:
    job = project / "Class3D" / "job007"
    job.mkdir(parents=True)
    shutil.copy2(project / JOB / "run_it009_half1_model.star", job / "run_it009_model.star")
    stack = write_stack(project / "Extract/particles.mrcs", box=24)
    write_relion_star(
        job / "run_it009_data.star", columns(), "Extract/particles.mrcs", **({} if subset else {"RandomSubset": None})
    )
    (round_,) = [
        r for r in relion.rounds(project, SETTINGS, Store(project.parent / "out")) if r.key.run == "Class3D/job007"
    ]
    assert round_.facts.alignment_limit_A == pytest.approx(24 * 5.0 / 12)
    job_of_particles = relion.particles(project, round_)
    assert job_of_particles.independence == "shared_reference"
    assert len(stack) == len(job_of_particles.particles)


@pytest.mark.parametrize("said", ["SUCCESS", "FAILURE", "ABORTED"])
def test_nothing_is_awaited_of_a_job_that_has_ended(project: Path, said: str) -> None:
    (project / JOB / "run_it009_half2_model.star").unlink()
    assert rounds_of(project)["it009"].missing
    (project / JOB / f"RELION_JOB_EXIT_{said}").touch()
    ended = rounds_of(project)["it009"]
    assert not ended.missing
    assert "the job ended before this iteration was complete: run_it009_half2_model.star" in str(ended.fault)


def test_a_torn_table_is_awaited_for_a_minute_and_is_broken_then(project: Path) -> None:
    table = project / JOB / "run_it009_half1_model.star"
    table.write_bytes(table.read_bytes()[:1500])
    assert "line" in rounds_of(project)["it009"].missing[0]
    long_ago = time.time() - 120
    os.utime(table, (long_ago, long_ago))
    assert "it has not changed for a minute" in str(rounds_of(project)["it009"].fault)


def _optimisers_say(project: Path, **values: int) -> None:
    for table in (project / JOB).glob("run_*optimiser.star"):
        text = table.read_text()
        for name, value in values.items():
            text = re.sub(rf"_{name} +\S+\n", "", text).replace("\n\n_rln", f"\n\n_{name} {value}\n_rln", 1)
        table.write_text(text)


def test_references_of_gradient_refinement_under_the_name_unfil_are_filtered(project: Path) -> None:
    for half in (1, 2):
        shutil.copy(
            project / JOB / f"run_half{half}_class001_unfil.mrc",
            project / JOB / f"run_it009_half{half}_class001_unfil.mrc",
        )
    assert rounds_of(project)["it009"].inputs.origin == "found"
    _optimisers_say(project, rlnDoGradientRefine=1)
    found = rounds_of(project)
    assert (found["it009"].inputs.origin, found["final"].inputs.origin) == ("regularised", "found")


def test_iterations_that_gradient_refinement_never_writes_are_not_missing(project: Path) -> None:
    for half in (1, 2):
        unfiltered = project / JOB / f"run_half{half}_class001_unfil.mrc"
        shutil.copy(unfiltered, project / JOB / f"run_it005_half{half}_class001_unfil.mrc")
    assert "it005" in rounds_of(project)
    _optimisers_say(project, rlnDoGradientRefine=1)
    for name in ("run_it000_optimiser.star", "run_it009_optimiser.star"):
        shutil.copy(project / JOB / name, project / JOB / "run_it005_optimiser.star")
    found = rounds_of(project)
    assert list(found) == ["it000", "it009", "final"]
    assert found["it009"].facts.own_numbers
    assert found["it009"].facts.number is None


@pytest.mark.parametrize("value", ["data_1@s.mrcs", "save_9", "_x", "'a", "$b", "Bär"])
def test_values_of_a_star_file_are_what_stands_between_blanks(value: str) -> None:
    text = f"data_particles\n\nloop_\n_rlnImageName #1\n_rlnAngleRot #2\nx 2.5 stray\n{value} 1.5\n\n"
    block = parse_star(text, "x.star")["particles"]
    assert block.columns == {"rlnImageName": ["x", value], "rlnAngleRot": ["2.5", "1.5"]}


def test_a_short_row_is_told_with_its_line() -> None:
    with pytest.raises(NotReadyError, match=r"x\.star: line 6: has 1 of 2 values"):
        parse_star("data_a\n\nloop_\n_b\n_c\n1\n2 3\n", "x.star")


def test_two_programs_in_one_folder_are_told_apart_only_by_the_user(project: Path) -> None:
    import sqlite3

    (project / "Assets").mkdir()
    connection = sqlite3.connect(project / "x.db")
    connection.execute("CREATE TABLE MASTER_SETTINGS(NUMBER INTEGER)")
    connection.commit()
    connection.close()
    with pytest.raises(ProjectError, match=r"cistem and relion.*--program"):
        claim(project)
    assert claim(project, "relion")[0] == "relion"


# --- against the programs' own output -----------------------------------------------------------------------------------


@pytest.mark.shared
def test_sums_of_an_iteration_give_relion_s_own_unregularised_map(shared: Path, tmp_path: Path) -> None:
    source = shared / "golden" / "relion" / "Refine3D" / "job007"
    for path in source.glob("run_it003_half*_external_reconstruct*"):
        if path.suffix == ".gz":
            with gzip.open(path) as packed, (tmp_path / path.stem).open("wb") as plain:
                shutil.copyfileobj(packed, plain)
        else:
            text = path.read_bytes()
            (tmp_path / path.name).write_bytes(text)
    for table in tmp_path.glob("*_external_reconstruct.star"):
        table.touch()  # RELION writes it after its arrays
    for half in (1, 2):
        made, _ = half_map_from_external(tmp_path / f"run_it003_half{half}_class001_external_reconstruct.star")
        wanted = read_map(source / f"run_it003_half{half}_class001_unfil.mrc")
        difference = np.abs(made.voxels - wanted.voxels).max() / np.abs(wanted.voxels).max()
        assert difference < 2e-3


@pytest.mark.shared
def test_a_body_s_mask_is_measured_under_and_not_judged_as_the_particle_s(shared: Path, tmp_path: Path) -> None:
    golden, job = shared / "golden" / "relion", tmp_path / "project" / "MultiBody" / "job009"
    job.mkdir(parents=True)
    shutil.copy(golden / "default_pipeline.star", job.parents[1])
    for path in (golden / "MultiBody" / "job009").glob("run_it003_*"):
        shutil.copyfile(path, job / path.name)
    half = read_map(job / "run_it003_half1_body001_unfil.mrc")
    z, y, x = np.indices(half.voxels.shape) - half.box_px // 2
    part = np.clip(1 - (np.sqrt(x**2 + y**2 + (z - 6) ** 2) - 7) / 4, 0, 1).astype(np.float32)
    write_map(job / "run_body001_mask.mrc", Map(part, half.voxel_size_A), "a part of the particle")
    (tmp_path / "c.toml").write_text("[watch]\nsettle_s = 0.1\n[fsc]\nrepeats = 2\n[analysis]\nlocal = 'never'\n")
    words = ["--out", tmp_path / "out", "--reconstruct", "never", "--config", tmp_path / "c.toml"]
    assert cli("once", job.parents[1], *words).returncode == 0
    record = next(one for one in read_journal(tmp_path / "out" / "rounds.jsonl").rounds if one.half_maps)
    mask = record.mask("program_body")
    assert mask is not None
    assert (mask.role, mask.note) == ("program", None)
    assert mask.volume_fraction < 0.02
    assert record.curve("program_body_corrected") is not None
    assert record.headline == "automask_corrected"
    told = [
        finding for finding in audit([record]) if "program_body" in finding.message and finding.severity == "warning"
    ]
    assert told == []


def counted_as_relion_counts(one: NDArray[np.floating], two: NDArray[np.floating]) -> NDArray[np.float64]:
    """RELION's FSC written out: the half transform as it lies in memory, without weights."""
    n = len(one)
    f1, f2 = np.fft.rfftn(one.astype(float)), np.fft.rfftn(two.astype(float))
    k = np.fft.fftfreq(n) * n
    shells = (
        np.floor(np.sqrt(k[:, None, None] ** 2 + k[:, None] ** 2 + np.arange(n // 2 + 1) ** 2) + 0.5)
        .astype(int)
        .ravel()
    )
    cross, power1, power2 = (
        np.bincount(shells, v.ravel())[: n // 2 + 1] for v in ((f1 * f2.conj()).real, np.abs(f1) ** 2, np.abs(f2) ** 2)
    )
    return cross / np.sqrt(power1 * power2)


@pytest.mark.parametrize("n", [24, 25])
def test_counting_as_postprocess_does_is_the_written_out_sum_over_the_half_transform(n: int) -> None:
    rng = np.random.default_rng(3)
    signal, mask = rng.normal(size=(n,) * 3), rng.uniform(size=(n,) * 3).astype(np.float32)
    one, two = ((signal + rng.normal(size=signal.shape)).astype(np.float32) for _ in range(2))
    np.testing.assert_allclose(
        postprocess_fsc(one, two, mask), counted_as_relion_counts(one * mask, two * mask), atol=1e-6
    )


@pytest.mark.shared
def test_our_curves_stand_beside_postprocess_own_and_the_corrected_one_agrees_within_its_error(shared: Path) -> None:
    project, store = shared / "golden" / "relion", Store(Path("unused"))
    rounds = relion.rounds(project, SETTINGS, store)
    final = next(r for r in rounds if r.key.run == "Refine3D/job001" and r.label == "final")
    halves = relion.half_maps(project, final, store)
    assert halves is not None
    own = relion.masks(project, final, halves).get("refinement")
    assert own is not None
    assert isinstance(own.mask, Map)
    reported = relion.reported(project, final)
    measured = measure_halves(
        halves, final.facts, SETTINGS, [NamedMask("refinement", own.mask, own.path, role="refinement")], reported
    )
    curves = {c.name: np.array(c.correlation, float) for c in measured.curves}
    maps = halves.half1.voxels, halves.half2.voxels
    for ours, theirs, mask in (
        ("unmasked", "unmasked", np.ones_like(maps[0])),
        ("refinement", "masked", own.mask.voxels),
    ):
        wanted = curves[f"reported_postprocess_{theirs}"]
        np.testing.assert_allclose(postprocess_fsc(*maps, mask), wanted, atol=1e-5)
        np.testing.assert_allclose(curves[ours], wanted, atol=6e-3)
    (masked,) = [c for c in measured.curves if c.name == "reported_postprocess_masked"]
    assert masked.reproduced_to is not None
    assert masked.reproduced_to < 1e-5
    (record,) = [c for c in measured.curves if c.name == "refinement_corrected"]
    apart = np.abs(curves["refinement_corrected"] - curves["reported_postprocess_corrected"])
    assert record.randomised_from_shell is not None
    beyond = slice(record.randomised_from_shell + 2, None)
    assert np.all(apart[beyond] <= np.array(record.randomised_sd, float)[beyond])
    assert np.all(apart[: beyond.start] <= 6e-3)


@pytest.mark.shared
@pytest.mark.parametrize(
    ("job", "labels"),
    [("Class3D/job005", 2), ("InitialModel/job008", 2), ("MultiBody/job009", 6), ("Refine3D/job006", 2)],
)
def test_every_kind_of_job_gives_its_rounds(shared: Path, job: str, labels: int) -> None:
    found = [
        r
        for r in relion.rounds(shared / "golden" / "relion", SETTINGS, Store(Path("unused")))
        if r.key.run.startswith(job)
    ]
    assert len(found) == labels
    if job.startswith(("Class3D", "InitialModel")):
        assert all(relion.half_maps(shared / "golden" / "relion", r, Store(Path("unused"))) is None for r in found)


def with_solvent_mask(project: Path, name: str) -> None:
    for path in (project / JOB).glob("run_it009_optimiser.star"):
        text = path.read_text()
        path.write_text(re.sub(r"(_rlnSolventMaskName +)\S+", rf"\g<1>{name}", text))


@pytest.mark.parametrize("label", ["it009", "final"])
@pytest.mark.parametrize(
    ("box_px", "voxel_size_A", "told"),
    [
        (None, 5.0, "is not there any more"),
        (24, 5.0, ""),
        (24, 4.0, "voxel size is 4 A"),
        (24, 5.03, "voxel size is 5.03 A"),
        (30, 5.0, "box is 30 x 30 x 30"),
    ],
    ids=["deleted", "fits", "other voxel size", "slightly other voxel size", "other box"],
)
def test_the_solvent_mask_of_an_iteration_is_found_or_said_in_words(
    label: str, box_px: int | None, voxel_size_A: float, told: str, project: Path, tmp_path: Path
) -> None:
    with_solvent_mask(project, "MaskCreate/job003/mask.mrc")
    if box_px is not None:
        (project / "MaskCreate" / "job003").mkdir(parents=True)
        mask = Map(np.ones((box_px,) * 3, np.float32), voxel_size_A)
        write_map(project / "MaskCreate" / "job003" / "mask.mrc", mask, "mask")
    round_ = rounds_of(project)[label]
    halves = relion.half_maps(project, round_, Store(tmp_path / "out"))
    assert halves is not None
    found = relion.masks(project, round_, halves).get("refinement")
    assert found is not None
    assert (found.mask is None) == bool(told)
    assert told in (found.note or "")
    assert found.parameters.file == "MaskCreate/job003/mask.mrc"


def test_a_refinement_without_a_mask_is_said_to_have_none(project: Path, tmp_path: Path) -> None:
    round_ = rounds_of(project)["it009"]
    halves = relion.half_maps(project, round_, Store(tmp_path / "out"))
    assert halves is not None
    found = relion.masks(project, round_, halves).get("refinement")
    assert found is not None
    assert (found.mask, found.note) == (None, "the refinement used no mask but its sphere")


def test_the_mask_that_relion_fitted_to_its_box_takes_the_place_of_one_that_does_not_fit(
    project: Path, tmp_path: Path
) -> None:
    with_solvent_mask(project, "mask.mrc")
    write_map(project / "mask.mrc", Map(np.ones((30,) * 3, np.float32), 5.0), "mask")
    write_map(project / JOB / "run_solvent_mask.mrc", Map(np.ones((24,) * 3, np.float32), 5.0), "mask")
    round_ = rounds_of(project)["it009"]
    halves = relion.half_maps(project, round_, Store(tmp_path / "out"))
    assert halves is not None
    found = relion.masks(project, round_, halves).get("refinement")
    assert found is not None
    assert found.path == project / JOB / "run_solvent_mask.mrc"
