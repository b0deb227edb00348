"""Fourier sums that vanish, are cut, grow or become another round's at any read call: a round is of one whole state, or waits."""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from typing import Any

import cistem_project
import numpy as np
import pytest
import test_relion_spool as arrays
from full_disk import of_cistem
from opened import Opened

from refine_hooks.files import mrc, reading
from refine_hooks.files.mrc import read_map
from refine_hooks.log.file import read_journal
from refine_hooks.log.folder import Store
from refine_hooks.log.records import RoundRecord
from refine_hooks.programs.relion import external
from refine_hooks.settings import load_settings
from refine_hooks.sums import cistem as sums
from refine_hooks.watch.loop import Watch, run

pytestmark = pytest.mark.usefixtures("quick_rounds")

relion = Opened("relion")

FAST = {
    "watch": {"settle_s": 0.0},
    "automask": {"enabled": False},
    "fsc": {"repeats": 2},
    "analysis": {"local": "never"},
}
Halves = tuple[np.ndarray, np.ndarray]
STRIDE = int(os.environ.get("CHANGES_STRIDE", "101"))  # one of so many moments is tried; 1 tries them all
Fault = Callable[[Path, bytes], None]


def deleted(path: Path, other: bytes) -> None:
    path.unlink(missing_ok=True)


def cut(path: Path, other: bytes) -> None:
    os.truncate(path, path.stat().st_size - 100)


def emptied(path: Path, other: bytes) -> None:
    os.truncate(path, 0)


def grown(path: Path, other: bytes) -> None:
    with path.open("ab") as stream:
        stream.write(b"more")


def replaced(path: Path, other: bytes) -> None:
    part = path.with_name(".new")
    part.write_bytes(other)
    part.rename(path)


def written_over(path: Path, other: bytes) -> None:
    with path.open("r+b") as stream:
        stream.write(other)


def written_over_and_deleted(path: Path, other: bytes) -> None:
    written_over(path, other)
    path.unlink()


FAULTS: list[Fault] = [deleted, cut, emptied, grown, replaced, written_over, written_over_and_deleted]


@dataclass
class Trap:
    """Counts read calls on the files of a project, and strikes before the n-th of them, as often as it is armed."""

    files: set[str]
    strike: Callable[[Path], None]
    at: int = 0
    calls: int = 0
    read: list[Path] = field(default_factory=list)

    def call(self, path: Path) -> None:
        if path.name in self.files:
            self.calls += 1
            self.read.append(path)
            if self.calls == self.at:
                self.strike(path)


class _Watched(FileIO):
    trap: Trap
    path: Path

    def read(self, size: int | None = -1) -> Any:
        self.trap.call(self.path)
        return super().read(-1 if size is None else size)

    def readinto(self, buffer: Any) -> Any:
        self.trap.call(self.path)
        return super().readinto(buffer)


def set_trap(patch: pytest.MonkeyPatch, trap: Trap) -> None:
    def opened(path: Path) -> FileIO:
        with reading.open_plain(path) as stream:
            watched = _Watched(os.dup(stream.fileno()), "rb")
        watched.trap, watched.path = trap, path
        return watched

    fromfile = np.fromfile

    def voxels(path: Path, *args: Any, **more: Any) -> Any:
        trap.call(path)
        return fromfile(path, *args, **more)

    for module in (sums, mrc):
        patch.setattr(module, "open_plain", opened)
    patch.setattr(np, "fromfile", voxels)


@dataclass(frozen=True)
class Scene:
    """A project in its first state, and how the program makes all of it anew."""

    watch: Watch
    key: str
    names: frozenset[str]
    other: Callable[[Path], bytes]
    again: Callable[[], None]


def of_dumps(folder: Path) -> Scene:
    project = folder / "project"
    w = of_cistem(project, folder / "out", FAST)
    second = cistem_project.dumps(2, seed=5, score=61.0)

    def again() -> None:
        cistem_project.wipe(project, "AutoRefine3D")
        cistem_project.write_parameters(project, "AutoRefine3D", 2)
        for name, content in second.items():
            (project / "Scratch" / "AutoRefine3D" / name).write_bytes(content)

    return Scene(w, "package_1/2/1", frozenset(second), lambda path: second[path.name], again)


def of_arrays(folder: Path) -> Scene:
    folder.mkdir()
    project = arrays.project_in(folder)
    job = project / arrays.JOB
    second = {path.name: path.read_bytes() for path in arrays.write_arrays(job, 2) if path.suffix == ".mrc"}
    arrays.write_arrays(job, 1)
    settings = load_settings(program="relion", overrides=FAST)
    w = Watch.of(project, "relion", relion, settings, Store(folder / "out"))  # type: ignore[arg-type]

    def again() -> None:
        arrays.write_arrays(job, 2)
        for table in job.glob("run_it009*_model.star"):
            table.touch()

    return Scene(w, "Refine3D/job001/9/1", frozenset(second), lambda path: second[path.name], again)


SCENES = {"cistem": of_dumps, "relion": of_arrays}


def logged(scene: Scene) -> list[RoundRecord]:
    lines = read_journal(scene.watch.store.log).lines
    return [line for line in lines if isinstance(line, RoundRecord) and str(line.key) == scene.key]


def halves(scene: Scene) -> Halves | None:
    """The merged half maps of the last record; None where it is, and says so, of what the program filtered."""
    record = logged(scene)[-1]
    assert record.half_maps is not None
    assert record.half_maps.paths is not None
    if record.half_maps.origin != "merged":
        return None
    first, second = (read_map(scene.watch.store.out / path).voxels for path in record.half_maps.paths)
    return first, second


def same(one: Halves | None, other: Halves | None) -> bool:
    return one is not None and other is not None and all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.fixture(scope="module", params=SCENES)
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Halves, Halves, int]:
    """A scene's name, its half maps in the first and in the second state, and how many read calls the first takes."""
    folder = tmp_path_factory.mktemp(request.param)
    scene = SCENES[request.param](folder / "first")
    trap = Trap(scene.names, lambda _: None)
    with pytest.MonkeyPatch.context() as patch:
        set_trap(patch, trap)
        run(scene.watch, [0.0])
    anew = SCENES[request.param](folder / "second")
    anew.again()
    run(anew.watch, [0.0])
    before, after = halves(scene), halves(anew)
    assert before is not None
    assert after is not None
    assert not same(before, after)
    return request.param, before, after, trap.calls


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_sums_that_change_at_any_read_call_are_measured_in_one_whole_state_or_not(
    whole: tuple[str, Halves, Halves, int], fault: Fault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, before, after, calls = whole
    monkeypatch.setattr(external, "_NEXT_WITHIN_NS", 600 * 10**9)  # a look may take seconds on a busy machine
    # A file that was read a while ago is changed as well as the one at hand.
    moments = [(at, back) for at in range(1, calls + 1) for back in (0, 4)]
    struck = 0
    for at, back in moments[FAULTS.index(fault) % STRIDE :: STRIDE]:
        folder = tmp_path / f"{at}_{back}"
        folder.mkdir()
        scene = SCENES[name](folder / "scene")
        trap = Trap(scene.names, lambda _: None, at)

        def strike(path: Path, scene: Scene = scene, trap: Trap = trap, back: int = back) -> None:
            victim = next((p for p in scene.watch.project.rglob(trap.read[max(-1 - back, -len(trap.read))].name)), None)
            if victim is not None:
                fault(victim, scene.other(victim))

        trap.strike = strike
        found: list[Halves | None] = []

        def ticks(scene: Scene = scene, found: list[Halves | None] = found) -> Iterator[float]:
            for tick in range(10):
                if tick == 3:
                    scene.again()
                yield float(tick)
                if len(logged(scene)) > len(found):
                    found.append(halves(scene))

        with monkeypatch.context() as patch:
            set_trap(patch, trap)
            run(scene.watch, ticks())
        struck += trap.calls >= at
        where = f"{name}, {fault.__name__} before call {at} of {calls}, {back} calls back: {trap.read[at - 1].name}"
        assert found, where
        assert found[-1] is not None, where
        assert all(each is None or same(each, before) or same(each, after) for each in found), where
        shutil.rmtree(folder)
    assert struck > calls // STRIDE
