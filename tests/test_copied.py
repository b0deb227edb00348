"""Projects that were copied without their times: each finished one gives the rounds that it gave before."""

import os
import shutil
import tarfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import cistem_project
import eman2_data
import pytest
from cryosparc_data import write_project
from pairs_data import PROGRAMS, put
from small_program import half_maps_of
from test_projects_sphire import write_meridien

from refine_hooks.programs import adapter_called
from refine_hooks.settings import load_settings


def relion(folder: Path) -> None:
    with tarfile.open(Path(__file__).parent / "data" / "relion_refine3d.tgz") as archive:
        archive.extractall(folder, filter="data")


def cistem(folder: Path) -> None:
    """A finished project, and one whose last round lies in the scratch folder."""
    cistem_project.whole_project(folder)
    cistem_project.write_parameters(folder, "AutoRefine3D", 4)
    cistem_project.write_volume(folder, "generate3d_volume_4_4_1.mrc")
    for half in (1, 2):
        cistem_project.write_volume(folder, f"generate3d_volume_4_4_1_map{half}.mrc", seed=half)
    for name, content in cistem_project.dumps(4).items():
        (folder / "Scratch" / "AutoRefine3D" / name).write_bytes(content)


def scipion(folder: Path) -> None:
    extra = folder / "Runs" / "000630_EmanProtRefine" / "extra"
    extra.mkdir(parents=True)
    (folder / "project.sqlite").touch()
    eman2_data.write_project(extra, 2)
    simple = folder / "Runs" / "000700_ProtRelionRefine3D" / "extra"
    relion(folder / "unpacked")
    shutil.move(folder / "unpacked" / "Refine3D" / "job001", simple)


def generic(folder: Path) -> None:
    for half, volume in enumerate(half_maps_of(1), 1):
        put(folder / f"half_{half}.mrc", volume)


@dataclass(frozen=True)
class Copying:
    """In which order the files of a copy come, how many seconds apart, and how long ago the last of them."""

    key: Callable[[Path], object]
    apart_s: float
    ago_s: float = 3600.0

    def done(self, folder: Path) -> None:
        files = sorted(sorted(folder.rglob("*")), key=self.key)
        for left, path in enumerate(reversed(files)):
            os.utime(path, (time.time() - self.ago_s - left * self.apart_s,) * 2)


ORDERS = {
    "all_equal": Copying(str, 0.0),
    "in_order_of_names": Copying(str, 0.001),
    "in_no_order": Copying(lambda path: crc32(path.name.encode()), 0.001),
    "against_the_order_of_names": Copying(lambda path: [-ord(letter) for letter in str(path)], 0.001),
    "slowly_the_largest_first": Copying(lambda path: (-path.stat().st_size, str(path)), 2.0),
    "just_now": Copying(lambda path: crc32(path.name.encode()), 0.001, 2.2),
}
MORE_ORDERS = ("in_order_of_names", "against_the_order_of_names", "all_equal")
MAKERS: dict[str, Callable[[Path], object]] = {
    **{name: program.finished for name, program in PROGRAMS.items()},
    "relion": relion,
    "cistem": cistem,
    "generic": generic,
    "scipion": scipion,
    "eman2": eman2_data.write_project,
    "sphire": write_meridien,
    "cryosparc": lambda folder: write_project(folder, 3),
}


def what_is_there(name: str, project: Path, spool: Path) -> list[tuple[object, ...]]:
    program = dict(PROGRAMS[name].settings) if name in PROGRAMS else {}
    pattern = {"half1": r"half_1\.mrc", "half2": r"half_2\.mrc"}
    settings = load_settings(
        program=name, overrides={"program": program, "watch": {"settle_s": 0.0}, "generic": pattern}
    )
    opened = adapter_called(name).open(project, settings, spool)
    opened.capture()
    found = []
    for round_ in opened.rounds():
        curves = [] if round_.missing or round_.fault else opened.reported(round_)
        halves = None if round_.missing or round_.fault else opened.half_maps(round_)
        content = None if halves is None else halves.half1.voxels.tobytes()
        found.append((str(round_.key), round_.label, round_.missing, round_.fault, len(curves), content))
    return found


@pytest.mark.parametrize(
    "order", [pytest.param(name, marks=pytest.mark.long) if name in MORE_ORDERS else name for name in ORDERS]
)
@pytest.mark.parametrize("name", sorted(MAKERS))
def test_a_finished_project_gives_the_same_rounds_after_a_copy(name: str, order: str, tmp_path: Path) -> None:
    project, copied = tmp_path / "a" / "project", tmp_path / "b" / "project"
    project.mkdir(parents=True)
    MAKERS[name](project)
    for path in project.rglob("*"):
        written_s = path.stat().st_mtime
        if time.time() - written_s < 60:
            os.utime(path, (written_s - 7200,) * 2)
    before = what_is_there(name, project, tmp_path / "spool_a")
    shutil.copytree(project, copied)
    ORDERS[order].done(copied)
    assert any(content for *_, content in before)
    assert what_is_there(name, copied, tmp_path / "spool_b") == before


def test_a_final_round_of_relion_s_whose_tables_a_slow_copy_brought_last_is_not_taken_for_an_earlier_run(
    tmp_path: Path,
) -> None:
    relion(tmp_path)
    job = tmp_path / "Refine3D" / "job001"
    numbered = [job / f"run_it00{number}_half{half}_model.star" for number in (0, 9) for half in (1, 2)]
    os.utime(job / "run_model.star", (time.time() - 900,) * 2)
    for path, after_s in zip(numbered, (300, 100, 400, 200), strict=True):
        os.utime(path, (time.time() - 900 + after_s,) * 2)
    *_, (key, label, missing, fault, curves, content) = what_is_there("relion", tmp_path, tmp_path / "spool")
    assert (key, label, missing, fault, curves) == ("Refine3D/job001/10/1", "final", (), None, 1)
    assert content
