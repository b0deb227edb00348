"""Projects that were copied without their times: each finished one gives the rounds that it gave before."""

import os
import shutil
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import eman2_data
import pytest
from cryosparc_data import write_project
from pairs_data import PROGRAMS

from refine_hooks.programs import adapter_called
from refine_hooks.settings import load_settings


def relion(folder: Path) -> None:
    with tarfile.open(Path(__file__).parent / "data" / "relion_refine3d.tgz") as archive:
        archive.extractall(folder, filter="data")


def all_equal(number: int) -> float:
    return 0.0


def in_order_of_names(number: int) -> float:
    return 0.001 * number


def in_no_order(number: int) -> float:
    return 0.001 * (number * 7919 % 101)


def against_the_order_of_names(number: int) -> float:
    return -0.001 * number


MAKERS: dict[str, Callable[[Path], object]] = {
    **{name: program.finished for name, program in PROGRAMS.items()},
    "relion": relion,
    "eman2": eman2_data.write_project,
    "cryosparc": lambda folder: write_project(folder, 3),
}


def what_is_there(name: str, project: Path, spool: Path) -> list[tuple[object, ...]]:
    program = dict(PROGRAMS[name].settings) if name in PROGRAMS else {}
    settings = load_settings(program=name, overrides={"program": program, "watch": {"settle_s": 0.0}})
    opened = adapter_called(name).open(project, settings, spool)
    opened.capture()
    found = []
    for round_ in opened.rounds():
        curves = [] if round_.missing or round_.fault else opened.reported(round_)
        halves = None if round_.missing or round_.fault else opened.half_maps(round_)
        content = None if halves is None else halves.half1.voxels.tobytes()
        found.append((str(round_.key), round_.label, round_.missing, round_.fault, len(curves), content))
    return found


@pytest.mark.parametrize("order", [all_equal, in_order_of_names, in_no_order, against_the_order_of_names])
@pytest.mark.parametrize("name", sorted(MAKERS))
def test_a_finished_project_gives_the_same_rounds_after_a_copy(
    name: str, order: Callable[[int], float], tmp_path: Path
) -> None:
    project, copied = tmp_path / "a" / "project", tmp_path / "b" / "project"
    project.mkdir(parents=True)
    MAKERS[name](project)
    before = what_is_there(name, project, tmp_path / "spool_a")
    shutil.copytree(project, copied)
    copied_at_s = time.time() - 3600
    for number, path in enumerate(sorted(copied.rglob("*"))):
        os.utime(path, (copied_at_s + order(number),) * 2)
    assert before
    assert what_is_there(name, copied, tmp_path / "spool_b") == before
