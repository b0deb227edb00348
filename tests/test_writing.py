"""What is written under ``--out``: by one at a time, below the folder that was locked, and nothing half written stays."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from rounds_data import healthy
from small_program import a_watch, fingerprint, lines_of, write_round

from refine_hooks.errors import StorageError
from refine_hooks.files.lock import only_writer
from refine_hooks.log.file import Appender, append, read_journal, spelled
from refine_hooks.log.folder import OWN_FOLDERS, Store
from refine_hooks.log.records import RoundRecord
from refine_hooks.watch.loop import run

_APPEND = """
import sys
from pathlib import Path
from refine_hooks.log.file import append, read_journal
path = Path(sys.argv[1])
(line,) = read_journal(path.with_name("one.jsonl")).rounds
for number in range(40):
    append(path, [line.model_copy(update={"key": line.key.model_copy(update={"run": sys.argv[2], "iteration": number})})])
"""


def test_lines_that_several_processes_and_threads_append_at_once_are_all_there(tmp_path: Path) -> None:
    path = tmp_path / "rounds.jsonl"
    append(tmp_path / "one.jsonl", [healthy()])
    others = [subprocess.Popen([sys.executable, "-c", _APPEND, str(path), name]) for name in ("a", "b")]
    record = healthy()

    def appended(number: int) -> None:
        append(
            path, [record.model_copy(update={"key": record.key.model_copy(update={"run": "c", "iteration": number})})]
        )

    with ThreadPoolExecutor(3) as threads:
        list(threads.map(appended, range(40)))
    assert [other.wait() for other in others] == [0, 0]
    log = read_journal(path)
    assert not log.faults
    assert {(r.key.run, r.key.iteration) for r in log.rounds} == {(run, n) for run in "abc" for n in range(40)}


@pytest.mark.parametrize("another", [False, True])
def test_what_a_failed_write_left_is_cut_off_later_but_not_under_another_writers_line(
    another: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "rounds.jsonl"
    appender = Appender(path)
    appender.append([spelled(healthy(1))])
    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", lambda handle: (_ for _ in ()).throw(OSError(5, "Input/output error")))
        real, cuts = os.ftruncate, []

        def truncated_once(handle: int, length: int) -> None:
            cuts.append(length)
            if len(cuts) > 1:
                raise OSError(5, "Input/output error")
            real(handle, length)

        broken.setattr(os, "ftruncate", truncated_once)
        with pytest.raises(StorageError):
            appender.append([spelled(healthy(2))])
    if another:
        append(path, [healthy(3)])
    appender.append([spelled(healthy(4))])
    assert [record.key.iteration for record in read_journal(path).rounds] == ([1, 2, 3, 4] if another else [1, 4])


@pytest.mark.parametrize("folder", OWN_FOLDERS)
def test_every_own_folder_is_swept_and_no_link_out_of_it_is_written_through(tmp_path: Path, folder: str) -> None:
    out = tmp_path / "out"
    torn = out / folder / "run" / ".x.mrc.0123abcd.part"
    torn.parent.mkdir(parents=True)
    torn.touch()
    store = Store(out)
    store.sweep()
    assert torn.exists() == (folder == "spool"), "into the spool a hook writes as well: what is new there stays"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (out / folder).rename(tmp_path / "away")
    (out / folder).symlink_to(elsewhere)
    with pytest.raises(StorageError, match="link"):
        store.require_own_folders()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    place = tmp_path / "project"
    place.mkdir()
    write_round(place, 1)
    return place


@pytest.mark.parametrize("instead", ["nothing", "another folder"])
def test_a_folder_that_vanishes_is_waited_for_and_nothing_is_made_in_its_place(project: Path, instead: str) -> None:
    said: list[str] = []
    w = a_watch(project, said)
    out, away = w.store.out, project.parent / "away"

    def ticks():
        yield 0.0
        write_round(project, 2)
        out.rename(away)
        if instead == "another folder":
            out.mkdir()
            (out / ".lock").write_text("somebody else's, long ago")
            (out / ".lock").unlink()
        yield 1.0
        yield 2.0
        assert not out.exists() or not list(out.iterdir())
        if out.exists():
            out.rmdir()
        away.rename(out)
        yield 3.0

    run(w, ticks())
    assert [record.key.iteration for record in lines_of(project, RoundRecord)] == [1, 2]
    assert sum("nothing is written until" in text for text in said) == 1


def test_a_folder_of_another_inode_is_not_written_to(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with only_writer(out, "me") as lock:
        out.rename(tmp_path / "away")
        out.mkdir()
        (out / ".lock").write_text("me")
        with pytest.raises(StorageError, match="another folder"):
            lock.require()
        with pytest.raises(StorageError):
            Store(out, guard=lock.require).write_text(out / "report.html", "x")
        assert [path.name for path in out.iterdir()] == [".lock"]


def test_the_project_is_as_it_was(project: Path) -> None:
    before = fingerprint(project)
    run(a_watch(project), [0.0])
    assert fingerprint(project) == before
