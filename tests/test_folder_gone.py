"""The output folder goes, with the share that it lies on: no writer makes it anew, nor anything above it."""

from collections.abc import Callable
from pathlib import Path

import cistem_project
import numpy as np
import pytest
import test_relion_spool as arrays

from refine_hooks.errors import StorageError
from refine_hooks.files.atomic import beside
from refine_hooks.files.mrc import Map, write_map
from refine_hooks.log.folder import Store
from refine_hooks.model import Key
from refine_hooks.programs import _overwritten as overwritten
from refine_hooks.programs.cistem.capture import capture as capture_cistem
from refine_hooks.programs.cistem.startup import capture_startup
from refine_hooks.programs.relion import spool as relion
from refine_hooks.reconstruct import checkpoint
from refine_hooks.report.pictures import write_pictures

MAP = Map(np.ones((8,) * 3, np.float32), 1.0)
KEY = Key(run="run", iteration=1, class_id=1)


def _beside(project: Path, out: Path) -> None:
    with beside(out / "rounds.index") as temporary:
        temporary.write_text("x")


def _pair(project: Path, out: Path) -> None:
    pair = project / "half1.mrc", project / "half2.mrc"
    for path in pair:
        write_map(path, MAP, "a half")
    folder = overwritten.spool_folder(out / "spool", "some", "run", 1)
    overwritten.keep(pair, 1, folder, spool=out / "spool", whole=overwritten.whole_mrc, still_s=0, keep_free_bytes=0)


def _cistem(project: Path, panel: str) -> None:
    scratch = project / "Scratch" / panel
    scratch.mkdir(parents=True)
    startup = panel == "Startup"
    for name, content in cistem_project.dumps(0 if startup else 2, startup=startup).items():
        (scratch / name).write_bytes(content)


def _dumps(project: Path, out: Path) -> None:
    _cistem(project, "AutoRefine3D")
    capture_cistem(project, out / "spool")


def _startup_dumps(project: Path, out: Path) -> None:
    _cistem(project, "Startup")
    capture_startup(project, out / "spool", about_to_merge=True, keep_free_bytes=0)


def _arrays_of_one_half(project: Path, out: Path) -> None:
    star = next(path for path in arrays.write_arrays(project, 1) if path.suffix == ".star")
    relion.keep(star, out / "spool", run="run")


def _arrays_of_a_project(project: Path, out: Path) -> None:
    relion.capture(arrays.project_in(project), out / "spool")


WRITERS: dict[str, Callable[[Path, Path], object]] = {
    "a file": _beside,
    "a map": lambda _, out: write_map(out / "half_maps" / "map.mrc", MAP, "label"),
    "a map of a round": lambda _, out: Store(out).write_map(out / "half_maps" / "map.mrc", MAP, "label"),
    "the report": lambda _, out: Store(out).write_text(out / "report.html", "x"),
    "pictures": lambda _, out: write_pictures(Store(out), KEY, "it1", MAP, None, None),
    "partial sums": lambda _, out: checkpoint.save(out / "checkpoints" / "a.sums", "what", 1, np.zeros(3, np.float32)),
    "a pair": _pair,
    "dumps": _dumps,
    "dumps of ab-initio": _startup_dumps,
    "arrays of one half": _arrays_of_one_half,
    "arrays of a project": _arrays_of_a_project,
}


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("left", ["nothing", "the mount point"])
def test_an_output_folder_that_is_gone_is_not_made_anew(name: str, left: str, tmp_path: Path) -> None:
    project, share = tmp_path / "project", tmp_path / "share"
    project.mkdir()
    if left == "the mount point":
        share.mkdir()
    with pytest.raises(StorageError):
        WRITERS[name](project, share / "out")
    assert list(share.rglob("*")) == []
    assert share.exists() == (left == "the mount point")
