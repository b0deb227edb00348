"""Scipion: the protocols of a project are told apart by name and handed to the adapter of the program inside them."""

import os
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("h5py")

import cryosparc_data
import eman2_data
from opened import Opened

from refine_hooks.files.mrc import Map, read_map, write_map
from refine_hooks.log.folder import Store
from refine_hooks.programs import claim
from refine_hooks.programs.scipion import protocols
from refine_hooks.programs.unused import unused_half_maps
from refine_hooks.settings import load_settings
from refine_hooks.testing import check_adapter

scipion = Opened("scipion")

SETTINGS = load_settings(program="scipion")
RELION, SPARC, EMAN = "000422_ProtRelionRefine3D", "000511_ProtCryoSparcNewNonUniformRefine3D", "000630_EmanProtRefine"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with a real small auto-refinement of RELION, and what the other two programs would have left."""
    folder, runs = tmp_path / "project", tmp_path / "project" / "Runs"
    for name in ("000002_ProtImportParticles", "000300_ProtRelionClassify2D", RELION, SPARC, EMAN):
        (runs / name / "extra").mkdir(parents=True)
    (folder / "project.sqlite").touch()
    (runs / "000300_ProtRelionClassify2D" / "extra" / "relion_it025_model.star").touch()
    with tarfile.open(Path(__file__).parent / "data" / "relion_refine3d.tgz") as archive:
        archive.extractall(tmp_path / "relion", filter="data")
    for path in (tmp_path / "relion" / "Refine3D" / "job001").iterdir():
        shutil.move(path, runs / RELION / "extra" / path.name.replace("run_", "relion_", 1))
    cryosparc_data.write_project(tmp_path / "sparc", 1, "cryosparc_P1_J5")
    for path in (tmp_path / "sparc" / "J5").glob("*_volume_map*.mrc"):
        shutil.move(path, runs / SPARC / "extra" / path.name)
    eman2_data.write_project(runs / EMAN / "extra", 2)
    for path in [path for path in folder.rglob("*") if path.is_file()]:  # long enough ago to be at rest
        a_minute_ago_ns = path.stat().st_mtime_ns - 60 * 10**9
        os.utime(path, ns=(a_minute_ago_ns, a_minute_ago_ns))
    return folder


def test_it_keeps_the_promises_of_every_adapter_for_all_programs_inside(project: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    assert claim(project)[0] == "scipion"
    rounds = check_adapter(scipion, project, tmp_path / "elsewhere", with_halves=6, settings=SETTINGS)
    assert [(r.program, str(r.key)) for r in rounds] == [
        ("relion", f"{RELION}/0/1"),
        ("relion", f"{RELION}/9/1"),
        ("relion", f"{RELION}/10/1"),
        ("cryosparc", f"{SPARC}/0/1"),
        ("eman2", f"{EMAN}/refine_01/1/1"),
        ("eman2", f"{EMAN}/refine_01/2/1"),
    ]
    for round_ in rounds:
        assert all(
            file.name.startswith(f"Runs/{round_.key.run.split('/')[0]}/extra/") for file in round_.fingerprint.inputs
        )


def test_protocols_that_make_no_half_maps_are_left_out(project: Path) -> None:
    assert [p.name for p in protocols(project)] == [RELION, SPARC, EMAN]
    assert "000300" not in scipion.why(project)


def test_half_maps_are_those_of_the_program(project: Path, tmp_path: Path) -> None:
    store = Store(tmp_path / "out")
    found = {str(r.key): r for r in scipion.rounds(project, SETTINGS, store)}
    final = scipion.half_maps(project, found[f"{RELION}/10/1"], store)
    assert final.origin == "found"
    one = next((project / "Runs" / RELION / "extra").glob("relion_half1_class001_unfil.mrc"))
    np.testing.assert_array_equal(final.half1.voxels, read_map(one).voxels)
    assert scipion.half_maps(project, found[f"{EMAN}/refine_01/1/1"], store).origin == "regularised"
    assert scipion.half_maps(project, found[f"{EMAN}/refine_01/2/1"], store).origin == "found"


def test_a_mask_is_looked_for_from_the_projects_folder(project: Path, tmp_path: Path) -> None:
    """As RELION wrote it down, relative to where Scipion started it."""
    extra = project / "Runs" / RELION / "extra"
    mask = project / "Runs" / "000400_ProtRelionCreateMask3D" / "mask.mrc"
    for path in extra.glob("*optimiser.star"):
        text = path.read_text()
        lines = [
            f"_rlnSolventMaskName {mask.relative_to(project)}" if "_rlnSolventMaskName" in line else line
            for line in text.splitlines()
        ]
        path.write_text("\n".join(lines) + "\n")
    store = Store(tmp_path / "out")
    round_ = next(r for r in scipion.rounds(project, SETTINGS, store) if r.key.iteration == 9)
    halves = scipion.half_maps(project, round_, store)
    mask.parent.mkdir()
    write_map(mask, Map(np.ones_like(halves.half1.voxels), halves.half1.voxel_size_A), "mask")
    own = scipion.masks(project, round_, halves).get("refinement")
    assert own.mask is not None, own.note
    assert own.path == mask


def test_what_two_protocols_save_lies_apart(project: Path, tmp_path: Path) -> None:
    second = "000700_EmanProtRefine"
    shutil.copytree(project / "Runs" / EMAN, project / "Runs" / second)
    store = Store(tmp_path / "out")
    saved = scipion.capture(project, store.spool)
    assert {path.relative_to(store.spool / "scipion").parts[0] for path in saved} == {EMAN, second}
    assert scipion.capture(project, store.spool) == []


def test_a_folder_of_runs_alone_is_no_project(tmp_path: Path) -> None:
    (tmp_path / "Runs").mkdir()
    assert not scipion.recognises(tmp_path)


def test_half_maps_under_other_names_are_named_as_the_program_s_adapter_does(project: Path, tmp_path: Path) -> None:
    opened = claim(project)[1].open(project, SETTINGS, tmp_path / "spool")
    assert unused_half_maps(opened, opened.rounds()) == []
    extras = [project / "Runs" / RELION / "extra", project / "Runs" / EMAN / "extra" / "refine_01"]
    for extra in extras:
        (extra / "mine_half_A.mrc").write_bytes(b"")
    assert [each.path.parent for each in unused_half_maps(opened, opened.rounds())] == extras


def test_the_start_of_a_relion_refinement_inside_is_known_as_one(project: Path, tmp_path: Path) -> None:
    opened = claim(project)[1].open(project, SETTINGS, tmp_path / "spool")
    assert [str(each.key) for each in opened.rounds() if each.starting] == [f"{RELION}/0/1"]
