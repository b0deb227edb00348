"""Projects as RELION 5, SIMPLE and cryoDRGN wrote them, copied without their times, from the folder to the record."""

import shutil
from pathlib import Path

import pytest
from command_line import cli

from refine_hooks.log.file import read_journal
from refine_hooks.log.records import RoundRecord
from refine_hooks.model import Round
from refine_hooks.programs import claim
from refine_hooks.settings import Settings

pytestmark = pytest.mark.shared


def rounds_of(project: Path, spool: Path) -> dict[str, Round]:
    name, adapter = claim(project)
    assert name == "relion"
    return {
        f"{each.key.iteration}/{each.key.class_id}": each for each in adapter.open(project, Settings(), spool).rounds()
    }


def measured(source: Path, tmp_path: Path, automask: bool = True) -> dict[str, RoundRecord]:
    copy = shutil.copytree(source, tmp_path / source.name, copy_function=shutil.copyfile)
    config = tmp_path / "settings.toml"
    config.write_text(
        f"[watch]\nsettle_s = 0.1\n[automask]\nenabled = {str(automask).lower()}\n[fsc]\nrepeats = 2\n[analysis]\nlocal = 'never'\n"
    )
    done = cli("once", copy, "--out", tmp_path / "out", "--config", config, "--reconstruct", "never")
    assert done.returncode == 0, done.stderr
    return {str(record.key): record for record in read_journal(tmp_path / "out" / "rounds.jsonl").rounds}


def test_the_rounds_of_a_job_folder_alone_are_found_beside_its_copy_of_the_pipeline(
    shared: Path, tmp_path: Path
) -> None:
    job = shared / "golden" / "relion501" / "Refine3D" / "job011"
    assert (job / "default_pipeline.star").is_file()
    found = rounds_of(job, tmp_path / "spool")
    assert {key: each.origin for key, each in found.items()} == {"0/1": "regularised", "1/1": "found", "2/1": "found"}
    assert [each.label for each in found.values()][-1] == "final"


def test_particles_of_two_boxes_are_reconstructed_on_the_model_s_grid(shared: Path, tmp_path: Path) -> None:
    project = shared / "golden" / "relion501"
    opened = claim(project)[1].open(project, Settings(), tmp_path / "spool")
    round_ = next(each for each in opened.rounds() if str(each.key) == "Refine3D/job013/1/1")
    job = opened.particles(round_)
    assert job is not None
    assert job.grid == (48, pytest.approx(5.4667, abs=1e-4))


def test_classes_have_their_own_particles_and_share_a_reference_up_to_the_image_size(
    shared: Path, tmp_path: Path
) -> None:
    found = rounds_of(shared / "golden" / "relion501" / "Class3D" / "job014", tmp_path / "spool")
    assert sum(found[f"3/{number}"].facts.particles or 0 for number in (1, 2)) == 600
    assert found["3/1"].inputs.independence == "shared_reference"
    assert found["3/1"].facts.alignment_limit_A == pytest.approx(13.81, abs=0.01)


@pytest.mark.parametrize(("job", "rounds"), [("job018", (1, 2)), pytest.param("job009", (1,), marks=pytest.mark.long)])
def test_sums_are_measured_and_give_relion_s_own_curve_again(
    shared: Path, tmp_path: Path, job: str, rounds: tuple[int, ...]
) -> None:
    records = measured(shared / "golden" / "relion501" / "Refine3D" / job, tmp_path)
    for number in rounds:
        record = records[f"{job}/{number}/1"]
        assert record.half_maps is not None
        assert record.half_maps.origin == "merged"
        own = record.curve("reported_gold_standard")
        assert own is not None
        assert own.reproduced_to is not None
        assert own.reproduced_to < 1e-5
        assert record.headline == "automask_corrected"


def test_the_last_pair_of_simple_is_that_of_its_last_iteration(shared: Path, tmp_path: Path) -> None:
    records = measured(shared / "golden" / "simple", tmp_path, automask=False)
    assert set(records) == {"1_reconstruct3D/1/1", "2_refine3D/3/1"}
    for record in records.values():
        assert record.half_maps is not None
        assert record.half_maps.origin == "found"
        assert record.curve("reported_fsc") is not None


@pytest.mark.parametrize(("folder", "voxel_A"), [pytest.param(".", 4.1, marks=pytest.mark.long), ("without_ctf", 1.0)])
def test_cryodrgn_s_own_unmasked_curve_is_ours_and_its_default_pixel_is_doubted(
    shared: Path, tmp_path: Path, folder: str, voxel_A: float
) -> None:
    source, copy = shared / "golden" / "cryodrgn" / folder, tmp_path / "made"
    copy.mkdir()
    for path in source.iterdir():
        if path.is_file():
            shutil.copyfile(path, copy / path.name)
    (record,) = measured(copy, tmp_path / "again", automask=False).values()
    assert record.voxel_size_A == pytest.approx(voxel_A)
    assert any("no pixel size was given" in note for note in record.notes) == (voxel_A == 1.0)
    difference = record.checks and record.checks.unmasked_against_program
    assert difference is not None
    assert not difference.is_of_another
