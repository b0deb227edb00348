"""SPHIRE's meridien: regularised halves of each iteration, the unfiltered ones at the end, facts from its Tracker."""

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("h5py")

from eman2_data import BOX, filtered, fsc, halves_of, masks, write_hdf
from opened import Opened

from refine_hooks.log.folder import Store
from refine_hooks.programs import adapter_called, claim
from refine_hooks.programs.unused import unused_half_maps
from refine_hooks.settings import Settings
from refine_hooks.testing import check_adapter

sphire = Opened("sphire")

PIXEL = 2.5


def write_meridien(folder: Path, iterations: int = 2, final: bool = True) -> Path:
    """Meridien's output: headers that say 1 A, since it writes no pixel size into its volumes."""
    for number in range(iterations + 1):
        main = folder / f"main{number:03d}"
        main.mkdir(parents=True)
        tracker = {
            "constants": {
                "pixel_size": PIXEL,
                "nnxo": BOX,
                "radius": 9,
                "symmetry": "d3",
                "fuse_freq": 50,
                "mask3D": None,
            },
            "mainiteration": number,
            "fuse_freq": 1,
            "fsc143": 6 if number else 0,
            "fsc05": 5,
            "nxinit": 20,
        }
        (main / f"Tracker_{number:03d}.json").write_text(json.dumps(tracker))
        if not number:
            continue
        even, odd = halves_of(number)
        (main / f"driver_{number:03d}.txt").write_text("".join(f"  {v:12.5g}\n" for v in fsc(even, odd)))
        for half, voxels in enumerate((even, odd)):
            write_hdf(main / f"vol_{half}_{number:03d}.hdf", filtered(voxels), 1.0)
    if final:
        for half, voxels in enumerate(halves_of(iterations)):
            write_hdf(folder / f"vol_{half}_unfil_{iterations:03d}.hdf", voxels, 1.0)
        (folder / f"final_params_{iterations:03d}.txt").touch()
    return folder


def _rounds(project: Path, tmp_path: Path) -> list:
    return list(sphire.rounds(project, Settings(), Store(tmp_path / "out")))


@pytest.mark.parametrize("inside", ["", "11_MERIDIEN"])
def test_it_keeps_the_promises_of_every_adapter(tmp_path: Path, inside: str) -> None:
    write_meridien(tmp_path / "project" / inside)
    assert claim(tmp_path / "project")[0] == "sphire"
    rounds = check_adapter(sphire, tmp_path / "project", tmp_path, with_halves=3)
    run = inside or "project"
    assert [(str(r.key), r.label) for r in rounds] == [
        (f"{run}/1/1", "it001"),
        (f"{run}/2/1", "it002"),
        (f"{run}/3/1", "final"),
    ]


def test_voxel_size_radius_symmetry_and_joining_come_from_the_tracker(tmp_path: Path) -> None:
    project = write_meridien(tmp_path / "project")
    first, _, final = _rounds(project, tmp_path)
    assert first.facts.voxel_size_A == PIXEL
    assert first.facts.sphere_radius_A == 9 * PIXEL
    assert first.facts.symmetry == "D3"
    assert first.facts.reported.resolution_A == BOX * PIXEL / 6
    halves = sphire.half_maps(project, first, Store(tmp_path / "out"))
    assert halves.origin == "regularised"
    assert halves.half1.voxel_size_A == PIXEL
    assert halves.joined_below_A == BOX * PIXEL
    last = sphire.half_maps(project, final, Store(tmp_path / "out"))
    assert last.origin == "found"
    np.testing.assert_array_equal(last.half2.voxels, halves_of(2)[1])


def test_without_a_tracker_the_header_is_believed_and_that_is_said(tmp_path: Path) -> None:
    project = write_meridien(tmp_path / "project")
    for path in project.glob("main*/Tracker*"):
        path.unlink()
    final = _rounds(project, tmp_path)[-1]
    halves = sphire.half_maps(project, final, Store(tmp_path / "out"))
    assert final.facts.voxel_size_A == 1.0
    assert "no Tracker" in halves.notes[0]


def test_its_curve_has_a_value_for_every_shell(tmp_path: Path) -> None:
    project = write_meridien(tmp_path / "project")
    (curve,) = sphire.reported(project, _rounds(project, tmp_path)[0])
    np.testing.assert_allclose(curve.correlation, fsc(*halves_of(1)), atol=1e-4)
    assert curve.name == "driver"


def test_a_mask_of_the_users_is_found_beside_the_run(tmp_path: Path) -> None:
    project = write_meridien(tmp_path / "project" / "run")
    for path in project.glob("main*/Tracker*"):
        path.write_text(path.read_text().replace('"mask3D": null', '"mask3D": "mask.hdf"'))
    round_ = _rounds(project, tmp_path)[0]
    halves = sphire.half_maps(project, round_, Store(tmp_path / "out"))
    assert "not there" in sphire.masks(project, round_, halves).get("refinement").note
    write_hdf(project.parent / "mask.hdf", masks()[0])
    np.testing.assert_allclose(
        sphire.masks(project, round_, halves).get("refinement").mask.voxels, masks()[0].astype(np.float32)
    )


def test_a_half_that_has_not_come_is_awaited(tmp_path: Path) -> None:
    project = write_meridien(tmp_path / "project", final=False)
    (project / "main002" / "vol_1_002.hdf").unlink()
    assert [r.missing for r in _rounds(project, tmp_path)] == [(), ("vol_1_002.hdf",)]


def test_a_tracker_that_is_being_written_is_awaited(tmp_path: Path) -> None:
    project = write_meridien(tmp_path / "project", final=False)
    (project / "main002" / "Tracker_002.json").write_text('{"constants": {"pixel')
    assert "no complete JSON" in _rounds(project, tmp_path)[-1].missing[0]


def test_half_maps_under_other_names_in_any_iteration_are_named(tmp_path: Path) -> None:
    write_meridien(tmp_path)
    opened = adapter_called("sphire").open(tmp_path, Settings(), tmp_path / "spool")
    assert unused_half_maps(opened, opened.rounds()) == []
    for folder in ("main001", "main002"):
        (tmp_path / folder / "mine_half_A.hdf").write_bytes(b"")
    assert {each.path.parent.name for each in unused_half_maps(opened, opened.rounds())} == {"main001", "main002"}
