"""A job of RELION's type External measures another job and tells RELION of its results."""

import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from command_line import cli
from gemmi import cif
from rounds_data import healthy

from refine_hooks.cli import relion_job
from refine_hooks.log.file import read_journal
from refine_hooks.log.masks import MaskRecord
from refine_hooks.log.records import HalfMapsRecord
from refine_hooks.report.relion_nodes import output_nodes

OUT = "External/job002/"
MAP = "Refine3D/job001/run_class001.mrc"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    with tarfile.open(Path(__file__).parent / "data" / "relion_refine3d.tgz") as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path


def nodes(text: str) -> dict[str, tuple[str, str]]:
    block = cif.read_string(text).find_block("output_nodes")
    columns = block.find("_rlnPipeLineNode", ["Name", "Type", "TypeLabel"])
    return {cif.as_string(row[0]): (row[1], row[2]) for row in columns}


def exits(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("RELION_JOB_*")}


def test_a_job_is_measured_and_its_results_become_nodes(project: Path) -> None:
    folder = project / OUT
    folder.mkdir(parents=True)
    (folder / "RELION_JOB_EXIT_FAILURE").touch()
    done = cli("relion-job", "--o", OUT, "--in_3dref", MAP, "--radius", 40, "--j", 1, "--gpu", "0", cwd=project)
    assert done.returncode == 0, done.stderr
    assert exits(folder) == {"RELION_JOB_EXIT_SUCCESS"}
    assert "--gpu 0" in done.stderr
    assert "Refine3D/job001/" in done.stdout
    journal = read_journal(folder / "rounds.jsonl")
    assert journal.start is not None
    assert (journal.start.settings["sphere"]["radius_A"], journal.start.settings["reconstruct"]["threads"]) == (40, 1)
    found = nodes((folder / "RELION_OUTPUT_NODES.star").read_text("utf-8"))
    assert found[f"{OUT}logfile.pdf"] == ("13", "LogFile.pdf.relion")
    assert {kind for kind, _ in found.values()} <= {"7", "13"}
    assert all((project / name).is_file() for name in found)


def test_half_maps_that_the_job_made_are_nodes_and_those_of_other_jobs_are_not(tmp_path: Path) -> None:
    folder = tmp_path / OUT
    (folder / "half maps").mkdir(parents=True)
    for name in ("half maps/a_half1.mrc", "half maps/a_half2.mrc", "mask.mrc", "sphere.mrc", "../theirs.mrc"):
        (folder / name).touch()
    of_automask, of_sphere = (
        MaskRecord(name=name, role=name, path=path, volume_A3=1.0, volume_fraction=0.1)  # type: ignore[arg-type]
        for name, path in (("automask", "mask.mrc"), ("sphere", "sphere.mrc"))
    )
    own = HalfMapsRecord(origin="reconstructed", paths=("half maps/a_half1.mrc", "half maps/a_half2.mrc"))
    theirs = HalfMapsRecord(origin="found", paths=("../theirs.mrc", "../gone.mrc"))
    records = [
        healthy(1).model_copy(update={"half_maps": own, "masks": (of_automask, of_sphere)}),
        healthy(2).model_copy(update={"half_maps": theirs}),
    ]
    found = nodes(output_nodes(records, folder, folder / "logfile.pdf", tmp_path))
    assert found == {
        f"{OUT}half maps/a_half1.mrc": ("10", "DensityMap.mrc.halfmap"),
        f"{OUT}half maps/a_half2.mrc": ("10", "DensityMap.mrc.halfmap"),
        f"{OUT}mask.mrc": ("7", "Mask3D.mrc"),
    }


@pytest.mark.parametrize(
    ("words", "said"), [([], "input 3D reference"), (["--in_3dref", "nowhere/map.mrc"], "nowhere")]
)
def test_a_job_that_cannot_be_done_says_so_to_relion_too(project: Path, words: list[str], said: str) -> None:
    done = cli("relion-job", "--o", OUT, *words, cwd=project)
    assert done.returncode in (1, 2)
    assert said in done.stderr
    assert exits(project / OUT) == {"RELION_JOB_EXIT_FAILURE"}


def test_relion_s_abort_ends_it(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / OUT).mkdir(parents=True)
    (project / OUT / "RELION_JOB_ABORT_NOW").touch()
    monkeypatch.setattr(relion_job, "_LOOK_EVERY_S", 0.01)
    done = cli("relion-job", "--o", OUT, "--in_3dref", MAP, cwd=project)
    assert done.returncode == 130
    assert exits(project / OUT) == {"RELION_JOB_EXIT_ABORTED"}


JOB = """
# version 30001

data_job

_rlnJobType                            99
_rlnJobIsContinue                       0

# version 30001

data_joboptions_values

loop_
_rlnJobOptionVariable #1
_rlnJobOptionValue #2
"""
OPTIONS = {"do_queue": "No", "fn_exe": "./job.sh", "in_3dref": MAP, "nr_threads": "1", "min_dedicated": "1"}
OPTIONS |= dict.fromkeys(
    ("in_coords", "in_mask", "in_mic", "in_mov", "in_part", "other_args", "qsub", "qsubscript"), '""'
)
OPTIONS |= {f"param{n}_{what}": '""' for n in range(1, 11) for what in ("label", "value")} | {"queuename": '""'}
OPTIONS |= {"param1_label": "radius", "param1_value": "40"}
PIPELINE = """
# version 30001

data_pipeline_general

_rlnPipeLineJobCounter                       2
"""


@pytest.mark.long
@pytest.mark.relion
@pytest.mark.skipif(shutil.which("relion_pipeliner") is None, reason="needs relion_pipeliner")
def test_relion_s_own_pipeliner_runs_it_and_takes_the_nodes(project: Path) -> None:
    script = f'#!/bin/sh\nexec "{sys.executable}" -c "from refine_hooks.cli import main; main()" relion-job "$@"\n'
    (project / "job.sh").write_text(script)
    (project / "job.sh").chmod(0o755)
    (project / "job.star").write_text(JOB + "".join(f"{name} {value}\n" for name, value in OPTIONS.items()))
    (project / "default_pipeline.star").write_text(PIPELINE)
    for words in (["--addJobFromStar", "job.star"], ["--RunJobs", OUT, "--schedule", "one", "--sec_wait_after", "1"]):
        subprocess.run(["relion_pipeliner", *words], cwd=project, check=True, capture_output=True, env={**os.environ})
    pipeline = cif.read(str(project / "default_pipeline.star"))
    processes = pipeline.find_block("pipeline_processes").find("_rlnPipeLineProcess", ["Name", "Status"])
    assert {row[0]: row[1] for row in processes} == {OUT: "2"}  # finished
    kinds = pipeline.find_block("pipeline_nodes").find("_rlnPipeLineNode", ["Name", "Type"])
    assert {row[0]: row[1] for row in kinds}[f"{OUT}logfile.pdf"] == "13"
