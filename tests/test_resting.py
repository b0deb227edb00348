"""Looks at a project between two rounds are left out while a glance shows nothing new, and any change is seen at the next one."""

import os
import sqlite3
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import cistem_project
import pytest
from small_program import a_watch, write_round

from refine_hooks.log.folder import Store
from refine_hooks.programs.adapter import Adapter, Project
from refine_hooks.programs.cistem import ADAPTER as CISTEM
from refine_hooks.programs.relion import ADAPTER as RELION
from refine_hooks.settings import Settings
from refine_hooks.watch.events import ChangeNotifier
from refine_hooks.watch.resting import Resting
from refine_hooks.watch.scan import Scan

FOUND = Scan()


def age(*folders: Path) -> None:
    long_ago = time.time() - 10_000
    for folder in folders:
        for path in (*folder.rglob("*"), folder):
            os.utime(path, (long_ago, long_ago))


@pytest.fixture
def relion(tmp_path: Path) -> Path:
    with tarfile.open(Path(__file__).parent / "data" / "relion_refine3d.tgz") as archive:
        archive.extractall(tmp_path, filter="data")
    age(tmp_path)
    return tmp_path


@pytest.fixture
def cistem(tmp_path: Path) -> Path:
    database = cistem_project.begin(tmp_path)
    cistem_project.commit(database, 2)
    panel = tmp_path / "Scratch" / "AutoRefine3D"
    panel.mkdir(parents=True, exist_ok=True)
    (panel / "dump_file_4_0_odd_1.dump").write_bytes(b"x" * 100)
    age(tmp_path)
    return tmp_path


def opened(folder: Path, adapter: Adapter) -> Project:
    return adapter.open(folder, Settings(), Store(folder / "refine_hooks").spool)


def rests(resting: Resting, project: Project, changes: int | None = 1) -> bool:
    """Whether a look is left out; one that is not finds nothing open."""
    found = resting.found(project, changes, 0)
    if found is None:
        resting.looked(FOUND, nothing_open=True)
    return found is FOUND


def _new_map(folder: Path) -> None:
    (folder / "Refine3D/job001/run_it010_half1_class001.mrc").touch()


def _new_job(folder: Path) -> None:
    (folder / "Refine3D/job002").mkdir()


def _new_kind_of_job(folder: Path) -> None:
    (folder / "Class3D/job003").mkdir(parents=True)


def _kept_by_the_hook(folder: Path) -> None:
    (folder / "refine_hooks/spool/relion/Refine3D/job001").mkdir(parents=True)


def _postprocessed(folder: Path) -> None:
    (folder / "PostProcess/job004").mkdir(parents=True)


@pytest.mark.parametrize("change", [_new_map, _new_job, _new_kind_of_job, _kept_by_the_hook, _postprocessed])
def test_what_comes_into_a_relion_project_is_looked_at_at_once(relion: Path, change: Callable[[Path], None]) -> None:
    resting, project = Resting(), opened(relion, RELION)
    assert [rests(resting, project) for _ in range(3)] == [False, True, True]
    change(relion)
    assert not rests(resting, project)


def _database_written(folder: Path) -> None:
    with sqlite3.connect(next(folder.glob("*.db"))) as connection:
        connection.execute("CREATE TABLE more (one)")


def _dump_comes(folder: Path) -> None:
    (folder / "Scratch/AutoRefine3D/dump_file_4_0_even_1.dump").touch()


def _dump_grows(folder: Path) -> None:
    with (folder / "Scratch/AutoRefine3D/dump_file_4_0_odd_1.dump").open("ab") as stream:
        stream.write(b"more")


def _new_panel(folder: Path) -> None:
    (folder / "Scratch/NewPanel").mkdir()


def _half_maps_come(folder: Path) -> None:
    (folder / "Assets/Volumes/one.mrc").touch()


@pytest.mark.parametrize("change", [_database_written, _dump_comes, _dump_grows, _new_panel, _half_maps_come])
def test_what_comes_into_a_cistem_project_is_looked_at_at_once(cistem: Path, change: Callable[[Path], None]) -> None:
    resting, project = Resting(), opened(cistem, CISTEM)
    assert [rests(resting, project) for _ in range(3)] == [False, True, True]
    change(cistem)
    assert not rests(resting, project)


def test_a_change_that_is_heard_of_another_log_and_every_twelfth_look_are_looked_at(relion: Path) -> None:
    resting, project = Resting(), opened(relion, RELION)
    assert [rests(resting, project) for _ in range(25)] == 2 * [False, *11 * [True]] + [False]
    assert not rests(resting, project, changes=2)
    assert rests(resting, project, changes=2)
    assert resting.found(project, 2, 1) is None


def test_what_changed_a_moment_ago_and_what_nobody_hears_of_is_looked_at_again(relion: Path) -> None:
    resting, project = Resting(), opened(relion, RELION)
    _new_map(relion)
    assert not any(rests(resting, project) for _ in range(3))
    ten_s_ago = time.time() - 10
    os.utime(relion / "Refine3D/job001", (ten_s_ago, ten_s_ago))
    assert not any(rests(resting, project, None) for _ in range(3))
    assert [rests(resting, project) for _ in range(2)] == [False, True]


def test_nothing_is_left_out_while_a_round_is_open(relion: Path) -> None:
    resting, project = Resting(), opened(relion, RELION)
    for _ in range(3):
        assert resting.found(project, 1, 0) is None
        resting.looked(FOUND, nothing_open=False)


def test_a_program_that_cannot_tell_is_looked_at_every_time(tmp_path: Path) -> None:
    write_round(tmp_path, 1)
    w = a_watch(tmp_path, [])
    assert w.opened.glance() is None
    assert not any(rests(Resting(), w.opened) for _ in range(3))


def test_what_the_watch_itself_reads_is_no_change(tmp_path: Path) -> None:
    (tmp_path / "one").write_text("x")
    notifier = ChangeNotifier(lambda: [(tmp_path, True)])
    heard: list[object] = []
    notifier.dispatch = heard.append  # type: ignore[method-assign, assignment]
    try:
        notifier.keep_watching()
        assert notifier.hears_all
        (tmp_path / "one").read_text()
        list(tmp_path.iterdir())
        time.sleep(0.2)
        assert heard == []
        (tmp_path / "one").write_text("y")
        ends_s = time.monotonic() + 5.0
        while not heard and time.monotonic() < ends_s:
            time.sleep(0.01)
        assert heard
    finally:
        notifier.close()
