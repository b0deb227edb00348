"""RELION's arrays are kept from removal: by the watch as by the hook, once, and never those of an earlier run."""

import os
import tarfile
from pathlib import Path

import mrcfile
import numpy as np
import pytest
from opened import Opened

from refine_hooks.log.folder import Store
from refine_hooks.model import HalfMaps, Round
from refine_hooks.programs.relion import files
from refine_hooks.programs.relion.spool import keep
from refine_hooks.settings import load_settings

relion = Opened("relion")

SETTINGS = load_settings(program="relion")
JOB = Path("Refine3D") / "job001"
BOX_PX, CURRENT_PX = 24, 20
_TABLE = """
data_external_reconstruct_general

_rlnExtReconsDataReal  {stem}_data_real.mrc
_rlnExtReconsDataImag  {stem}_data_imag.mrc
_rlnExtReconsWeight    {stem}_weight.mrc
_rlnPaddingFactor      2.000000
_rlnOriginalImageSize  {box_px}
_rlnCurrentImageSize   {current_px}
"""


def write_arrays(job: Path, seed: int) -> list[Path]:
    """Arrays and tables of both halves of iteration 9, as RELION writes them: in place, the table last."""
    rng = np.random.default_rng(seed)
    written = []
    for half in (1, 2):
        stem = f"run_it009_half{half}_class001_external_reconstruct"
        shape = (2 * BOX_PX, 2 * BOX_PX, BOX_PX + 1)
        for name, values in (
            ("data_real", rng.normal(size=shape)),
            ("data_imag", rng.normal(size=shape)),
            ("weight", rng.uniform(0.5, 1, shape)),
        ):
            written.append(job / f"{stem}_{name}.mrc")
            with mrcfile.new(written[-1], overwrite=True) as mrc:
                mrc.set_data(values.astype(np.float32))
        written.append(job / f"{stem}.star")
        written[-1].write_text(_TABLE.format(stem=f"{JOB}/{stem}", box_px=BOX_PX, current_px=CURRENT_PX))
    return written


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return project_in(tmp_path)


def project_in(place: Path) -> Path:
    """A refinement of Debian's relion, as if run with --external_reconstruct."""
    folder = place / "project"
    folder.mkdir()
    with tarfile.open(Path(__file__).parent / "data" / "relion_refine3d.tgz") as archive:
        archive.extractall(folder, filter="data")
    optimiser = folder / JOB / "run_it009_optimiser.star"
    text = optimiser.read_text()
    name = "_rlnDoExternalReconstruct"
    line = next(line for line in text.splitlines() if line.startswith(name))
    optimiser.write_text(text.replace(line, f"{name} 1"))
    write_arrays(folder / JOB, 1)
    return folder


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "out")


def ninth(project: Path, store: Store) -> Round:
    return next(r for r in relion.rounds(project, SETTINGS, store) if r.label == "it009")


def halves_of(project: Path, round_: Round, store: Store) -> HalfMaps:
    halves = relion.half_maps(project, round_, store)
    assert halves is not None
    return halves


def test_arrays_that_are_removed_after_they_were_kept_still_give_the_half_maps(project: Path, store: Store) -> None:
    before = halves_of(project, ninth(project, store), store)
    assert len(relion.capture(project, store.spool)) == 2
    for path in (project / JOB).glob("*external_reconstruct*"):
        path.unlink()
    after = halves_of(project, ninth(project, store), store)
    assert before.origin == after.origin == "merged"
    np.testing.assert_array_equal(before.half2.voxels, after.half2.voxels)


def test_a_watch_with_an_output_folder_finds_what_the_hook_kept_in_the_project(project: Path, store: Store) -> None:
    before = halves_of(project, ninth(project, store), store)
    hook_s = project / "refine_hooks" / "spool"
    hook_s.parent.mkdir()
    for star in sorted((project / JOB).glob("*external_reconstruct.star")):
        keep(star, hook_s)
    for path in (project / JOB).glob("*external_reconstruct*"):
        path.unlink()
    assert len(relion.capture(project, store.spool)) == 2
    round_ = ninth(project, store)
    after = halves_of(project, round_, store)
    assert (after.origin, relion.capture(project, store.spool)) == ("merged", [])
    np.testing.assert_array_equal(before.half2.voxels, after.half2.voxels)
    relion.discard(round_, store.spool)
    assert not list(hook_s.rglob("*.mrc")), "nobody else would ever remove them"


def test_arrays_are_kept_once_and_not_again_after_they_were_measured(project: Path, store: Store) -> None:
    assert len(relion.capture(project, store.spool)) == 2
    assert relion.capture(project, store.spool) == []
    relion.discard(ninth(project, store), store.spool)
    assert [path.name for path in store.spool.rglob("*") if path.is_file()] == ["discarded.json"]
    assert relion.capture(project, store.spool) == []
    assert len(list((project / JOB).glob("*external_reconstruct*"))) == 8


def test_arrays_that_were_removed_and_made_anew_are_kept_anew(project: Path, store: Store) -> None:
    relion.capture(project, store.spool)
    for path in (project / JOB).glob("*external_reconstruct*"):
        path.unlink()
    write_arrays(project / JOB, 2)
    direct = halves_of(project, ninth(project, store), store)
    assert len(relion.capture(project, store.spool)) == 2
    for path in (project / JOB).glob("*external_reconstruct*"):
        path.unlink()
    kept = halves_of(project, ninth(project, store), store)
    np.testing.assert_array_equal(kept.half1.voxels, direct.half1.voxels)


def test_arrays_that_are_not_whole_are_not_kept_yet(project: Path, store: Store) -> None:
    path = project / JOB / "run_it009_half1_class001_external_reconstruct_weight.mrc"
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    assert [p.name for p in relion.capture(project, store.spool)] == [
        "run_it009_half2_class001_external_reconstruct.star"
    ]
    path.write_bytes(whole)
    assert relion.capture(project, store.spool) == []  # RELION writes the table after its arrays
    path.with_name("run_it009_half1_class001_external_reconstruct.star").touch()
    assert len(relion.capture(project, store.spool)) == 1


def test_arrays_are_not_kept_where_relion_wrote_the_half_maps_themselves(project: Path, store: Store) -> None:
    for half in (1, 2):
        (project / JOB / f"run_it009_half{half}_class001_unfil.mrc").touch()
    assert relion.capture(project, store.spool) == []


def test_arrays_of_an_earlier_run_in_the_folder_are_not_this_run_s(project: Path, store: Store) -> None:
    optimiser = project / JOB / "run_it009_optimiser.star"
    optimiser.write_text(optimiser.read_text().replace("_rlnDoExternalReconstruct 1", "_rlnDoExternalReconstruct 0"))
    assert halves_of(project, ninth(project, store), store).origin == "regularised"


def test_a_map_that_comes_while_the_folder_is_read_is_not_taken_for_removed(
    project: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tables are seen without their maps where both came during one reading; in this one half 2's map was not yet listed."""
    for path in (project / JOB).glob("*external_reconstruct*"):
        path.unlink()
    names = sorted(path.name for path in (project / JOB).iterdir())
    readings = [[name for name in names if name != "run_it009_half2_class001.mrc"], names]
    monkeypatch.setattr(files, "_names", lambda folder: readings.pop(0))
    assert ninth(project, store).inputs.origin == "regularised"


def test_a_table_that_comes_while_the_folder_is_read_is_awaited(
    project: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = sorted(path.name for path in (project / JOB).iterdir())
    early = [name for name in names if not name.startswith("run_it009_half2")]
    readings = [early, [*early, "run_it009_half2_model.star"]]
    monkeypatch.setattr(files, "_names", lambda folder: readings.pop(0))
    assert ninth(project, store).missing


def stamped(job: Path, real: str, imaginary: str, weight: str) -> None:
    """Write into the labels of both halves' arrays when RELION wrote them."""
    for half in (1, 2):
        for name, at in (("data_real", real), ("data_imag", imaginary), ("weight", weight)):
            with (job / f"run_it009_half{half}_class001_external_reconstruct_{name}.mrc").open("r+b") as stream:
                stream.seek(224)
                stream.write(f"Relion    28-Nov-26  {at}".encode().ljust(80, b"\0"))


def test_arrays_that_were_copied_after_their_table_are_used_at_once(project: Path, store: Store) -> None:
    stamped(project / JOB, "01:50:09", "01:50:09", "01:50:10")
    assert ninth(project, store).inputs.origin == "merged", "they are younger than their tables by this very moment"
    assert len(relion.capture(project, store.spool)) == 2


def test_arrays_of_two_writings_are_never_merged_whatever_their_times(project: Path, store: Store) -> None:
    stamped(project / JOB, "01:58:14", "01:50:09", "01:50:10")
    for path in (project / JOB).iterdir():
        os.utime(path, (1e9, 1e9))
    (awaited,) = ninth(project, store).missing
    assert "its arrays are of two writings" in awaited
    assert relion.capture(project, store.spool) == []
