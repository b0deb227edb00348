"""What nights bring: projects that go and come back, rights that are taken, clocks that jump, forty rounds at once."""

import errno
import os
import shutil
import sqlite3
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cistem_project
import numpy as np
import pytest
from opened import Opened
from small_program import a_watch, fingerprint, half_maps_of, lines_of, program, without_root_rights, write_round

from refine_hooks.errors import StorageError
from refine_hooks.files import lock
from refine_hooks.files.mrc import read_map, write_map
from refine_hooks.log.file import read_journal
from refine_hooks.log.folder import Store, slug
from refine_hooks.log.index import LogIndex
from refine_hooks.log.records import Failed, RoundRecord, Stop
from refine_hooks.model import Key
from refine_hooks.settings import load_settings
from refine_hooks.watch.loop import Watch, run

pytestmark = pytest.mark.usefixtures("quick_rounds")

cistem = Opened("cistem")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    write_round(folder, 1)
    return folder


def rounds_in(w: Watch) -> list[str]:
    return [str(line.key) for line in read_journal(w.store.log).lines if isinstance(line, RoundRecord)]


def failures_in(w: Watch) -> list[Failed]:
    return [line for line in read_journal(w.store.log).lines if isinstance(line, Failed)]


def test_a_project_renamed_away_and_back_loses_nothing(project: Path, tmp_path: Path) -> None:
    said: list[str] = []
    w = a_watch(project, said, store=Store(tmp_path / "out"))

    def ticks() -> Iterator[float]:
        yield 0.0
        project.rename(tmp_path / "away")
        yield 1.0
        (tmp_path / "away").rename(project)
        write_round(project, 2)
        yield 2.0

    run(w, ticks())
    assert rounds_in(w) == ["run/1/1", "run/2/1"]
    assert any("gone or out of reach" in text for text in said)
    assert not failures_in(w)


def test_a_project_renamed_away_while_a_round_is_read_is_measured_when_it_is_back(
    project: Path, tmp_path: Path
) -> None:
    calls = 0

    def away(directory: Path, round_: Any, store: Store) -> Any:
        nonlocal calls
        calls += 1
        if calls == 1:
            project.rename(tmp_path / "away")
        return program().half_maps(directory, round_, store)

    w = a_watch(project, [], half_maps=away, store=Store(tmp_path / "out"))

    def ticks() -> Iterator[float]:
        yield 0.0
        yield 1.0
        (tmp_path / "away").rename(project)
        yield 2.0

    run(w, ticks())
    assert rounds_in(w) == ["run/1/1"]
    assert not failures_in(w)


@pytest.mark.parametrize("what", ["folder", "file"])
def test_rights_that_are_taken_and_given_back_lose_nothing(what: str, tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    write_round(project, 1)
    target = project if what == "folder" else project / "it1_half2.mrc"
    rights = target.stat().st_mode

    def night() -> str:
        w = a_watch(project, [], store=Store(tmp_path / "out"))

        def ticks() -> Iterator[float]:
            target.chmod(0)
            yield from (0.0, 1.0, 2.0, 3.0)
            assert rounds_in(w) == []
            target.chmod(rights)
            yield from (4.0, 5.0)

        run(w, ticks())
        failures = [failed.reason for failed in failures_in(w)]
        if what == "file":
            assert len(failures) == 1
            assert "Permission denied" in failures[0]
        else:
            assert failures == []
        return " ".join(rounds_in(w))

    assert without_root_rights(night) == "run/1/1"


@pytest.mark.parametrize("number", [errno.ESTALE, errno.EIO, errno.ENOTCONN, errno.EACCES, errno.EMFILE, errno.ENOMEM])
def test_a_share_that_fails_for_an_hour_is_told_once_and_its_rounds_come_later(project: Path, number: int) -> None:
    tries: list[int] = []

    def failing(directory: Path, round_: Any, store: Store) -> Any:
        tries.append(w.retries.scans)
        if w.retries.scans < 200:
            raise OSError(number, os.strerror(number))
        return program().half_maps(directory, round_, store)

    said: list[str] = []
    w = a_watch(project, said, half_maps=failing)
    run(w, map(float, range(300)))
    assert len(lines_of(project, Failed)) == 1
    assert len(lines_of(project, RoundRecord)) == 1
    assert len(tries) < 15  # a share that is down is not asked at every look
    assert sum(os.strerror(number) in text for text in said) <= 3


def test_a_failed_round_is_tried_once_more_by_the_next_watch_and_never_told_twice(project: Path) -> None:
    broken = [True]

    def half_maps(directory: Path, round_: Any, store: Store) -> Any:
        if broken[0]:
            raise ValueError("an older version could not do this")
        return program().half_maps(directory, round_, store)

    for _ in range(3):
        run(a_watch(project, half_maps=half_maps), [0.0, 1.0, 2.0])
    assert len(lines_of(project, Failed)) == 1
    broken[0] = False
    run(a_watch(project, half_maps=half_maps), [0.0])
    assert len(lines_of(project, RoundRecord)) == 1
    assert read_journal(project / "refine_hooks" / "rounds.jsonl").failures == ()


@pytest.mark.parametrize(
    "error",
    [
        sqlite3.OperationalError("x"),
        MemoryError(),
        *(
            pytest.param(e, marks=pytest.mark.long)
            for e in (RuntimeError("x"), struct.error("x"), RecursionError(), EOFError())
        ),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("function", ["watched_folders", "rounds", "capture", "half_maps", "reported", "masks"])
def test_an_adapter_that_raises_anything_never_ends_the_watch(project: Path, function: str, error: Exception) -> None:
    calls = 0

    def raising(*args: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls <= 2:
            raise error
        return getattr(program(), function)(*args)

    said: list[str] = []
    write_round(project, 2)
    w = a_watch(project, said, **{function: raising})
    assert run(w, [float(n) for n in range(8)]) == "done"
    done = {str(line.key) for line in lines_of(project, RoundRecord)}
    failed = {str(line.key) for line in lines_of(project, Failed)}
    assert done | failed == {"run/1/1", "run/2/1"}
    assert len(rounds_in(w)) == len(done)
    if isinstance(error, MemoryError) or function in ("watched_folders", "rounds", "capture"):
        assert failed == set()


@pytest.mark.parametrize("function", ["discard", "viewing_directions"])
def test_what_is_only_tidying_or_a_picture_cannot_fail_a_round(project: Path, function: str) -> None:
    def raising(*_: object) -> None:
        raise RuntimeError("not today")

    said: list[str] = []
    run(a_watch(project, said, **{function: raising}), [0.0])
    assert len(lines_of(project, RoundRecord)) == 1
    assert lines_of(project, Failed) == []
    assert any("not today" in text for text in said)


def test_an_input_growing_while_it_is_watched_is_waited_for(project: Path) -> None:
    second = project / "it1_half2.mrc"
    whole = second.read_bytes()
    w = a_watch(project, [], {"watch": {"settle_s": 2.0}})

    def ticks() -> Iterator[float]:
        for step, size in enumerate((2000, 9000, 20000, len(whole))):
            second.write_bytes(whole[:size])
            os.utime(second, ns=(10**9 * (step + 1), 10**9 * (step + 1)))
            yield float(step)
        yield 10.0

    run(w, ticks())
    assert lines_of(project, Failed) == []
    (record,) = lines_of(project, RoundRecord)
    np.testing.assert_array_equal(
        read_map(project / "refine_hooks" / record.half_maps.paths[1]).voxels, read_map(second).voxels
    )


def _deleted(path: Path, other: bytes) -> None:
    path.unlink()


def _truncated(path: Path, other: bytes) -> None:
    os.truncate(path, 3000)


def _emptied(path: Path, other: bytes) -> None:
    os.truncate(path, 0)


def _replaced(path: Path, other: bytes) -> None:
    part = path.with_suffix(".new")
    part.write_bytes(other)
    part.rename(path)


def _written_over(path: Path, other: bytes) -> None:
    path.write_bytes(other)


def _growing(path: Path, other: bytes) -> None:
    with path.open("ab") as stream:
        stream.write(b"more")


@pytest.mark.parametrize("moment", ["before the header", "before the voxels", "after the voxels"])
@pytest.mark.parametrize("half", [1, 2])
@pytest.mark.parametrize("fault", [_deleted, _truncated, _emptied, _replaced, _written_over, _growing])
def test_an_input_that_changes_while_it_is_read_is_never_measured_half(
    project: Path, monkeypatch: pytest.MonkeyPatch, fault: Callable[[Path, bytes], None], half: int, moment: str
) -> None:
    from refine_hooks.files import mrc

    path = project / f"it1_half{half}.mrc"
    write_map(project / "other", half_maps_of(5)[0], "test")
    other = (project / "other").read_bytes()
    struck = []

    def strike(at: str, of: Path) -> None:
        if at == moment and of == path and not struck:
            struck.append(True)
            fault(path, other)

    header, voxels = mrc.read_header, mrc.read_voxels

    def read_header(of: Path) -> Any:
        strike("before the header", of)
        return header(of)

    def read_voxels(of: Path, known: Any) -> Any:
        strike("before the voxels", of)
        read = voxels(of, known)
        strike("after the voxels", of)
        return read

    monkeypatch.setattr(mrc, "read_header", read_header)
    monkeypatch.setattr(mrc, "read_voxels", read_voxels)

    def ticks() -> Iterator[float]:
        yield from (0.0, 1.0)
        if not path.exists() or path.stat().st_size != len(other):
            path.write_bytes(other)
        yield from (2.0, 3.0)

    w = a_watch(project, [])
    run(w, ticks())
    assert struck
    final = read_map(project / "refine_hooks" / lines_of(project, RoundRecord)[-1].half_maps.paths[half - 1])
    np.testing.assert_array_equal(final.voxels, half_maps_of(5)[0].voxels)
    # A whole state that was there before the last one is measured, too; a torn one is told at most, and only if it stays.
    whole_before = fault is _growing or (fault, moment) == (_deleted, "after the voxels")
    assert len(lines_of(project, RoundRecord)) == 1 + whole_before
    assert all(path.name in failed.reason for failed in lines_of(project, Failed))


def test_a_read_only_project_is_measured_elsewhere_and_stays_as_it_is(project: Path, tmp_path: Path) -> None:
    before = fingerprint(project)
    for path in project.iterdir():
        path.chmod(0o444)
    project.chmod(0o555)
    w = a_watch(project, [], store=Store(tmp_path / "out"))
    try:
        run(w, [0.0])
    finally:
        project.chmod(0o755)
    assert len(rounds_in(w)) == 1
    assert fingerprint(project) == before
    assert not (project / "refine_hooks").exists()


def test_eight_rounds_that_arrive_at_once_are_each_measured_once(project: Path) -> None:
    def ticks() -> Iterator[float]:
        yield 0.0
        for iteration in range(2, 9):
            for half in (1, 2):
                os.link(project / f"it1_half{half}.mrc", project / f"it{iteration}_half{half}.mrc")
        yield from (1.0, 2.0)

    fast = {"automask": {"enabled": False}, "fsc": {"repeats": 2}}
    run(a_watch(project, [], fast), ticks())
    assert sorted(line.key.iteration for line in lines_of(project, RoundRecord)) == list(range(1, 9))
    assert lines_of(project, Failed) == []


@pytest.mark.parametrize("jump_s", [-3e8, -4000.0, 4000.0, 3e8])
def test_a_clock_that_jumps_loses_no_round_and_repeats_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jump_s: float
) -> None:
    folder = tmp_path / "project"
    database = cistem_project.begin(folder)
    quick = {"fsc": {"repeats": 2}, "automask": {"enabled": False}, "analysis": {"local": "never"}}
    settings = load_settings(overrides={"watch": {"settle_s": 0.0, "metadata_wait_s": 900.0}, **quick})
    w = Watch.of(folder, "cistem", cistem, settings, Store(tmp_path / "out"))  # type: ignore[arg-type]
    real = time.time

    def put_dumps(refinement_id: int) -> None:
        cistem_project.write_parameters(folder, "AutoRefine3D", refinement_id)
        for name, content in cistem_project.dumps(refinement_id, seed=refinement_id).items():
            (folder / "Scratch" / "AutoRefine3D" / name).write_bytes(content)

    def ticks() -> Iterator[float]:
        put_dumps(2)
        yield 0.0
        monkeypatch.setattr(time, "time", lambda: real() + jump_s)
        cistem_project.commit(database, 2)
        cistem_project.wipe(folder, "AutoRefine3D")
        yield 1.0
        put_dumps(3)  # of this round the database never hears
        yield 2.0
        monkeypatch.setattr(time, "time", lambda: real() + jump_s + 1000.0)
        yield 3.0

    run(w, ticks())
    assert rounds_in(w) == ["package_1/2/1", "package_unknown/AutoRefine3D/3/1"]
    assert failures_in(w) == []


@pytest.mark.parametrize("gone", ["", "spool", "spool and maps", "another's"])
def test_a_round_whose_entry_comes_after_the_wait_stands_under_its_later_name_only(gone: str, tmp_path: Path) -> None:
    folder = tmp_path / "project"
    database = cistem_project.begin(folder)
    settings = load_settings(
        overrides={
            "watch": {"settle_s": 0.0, "metadata_wait_s": 0.0},
            "fsc": {"repeats": 2},
            "automask": {"enabled": False},
        }
    )
    w = Watch.of(folder, "cistem", cistem, settings, Store(tmp_path / "out"))  # type: ignore[arg-type]
    unnamed = []

    def ticks() -> Iterator[float]:
        cistem_project.write_parameters(folder, "AutoRefine3D", 2)
        for name, content in cistem_project.dumps(2).items():
            (folder / "Scratch" / "AutoRefine3D" / name).write_bytes(content)
        yield 0.0
        yield 1.0
        unnamed.extend(rounds_in(w))
        local = w.store.local_path(w.index.summaries()[0].key, w.index.summaries()[0].label)
        for path in (local, local.with_suffix(".json")):
            w.store.write_text(path, "as if measured locally")
        if gone:
            shutil.rmtree(w.store.spool)
        if gone == "spool and maps":
            shutil.rmtree(w.store.out / "half_maps")
        if gone == "another's":  # the number of an aborted round was given again
            cistem_project.write_parameters(folder, "AutoRefine3D", 2)
        cistem_project.commit(database, 2)
        cistem_project.wipe(folder, "AutoRefine3D")
        yield 2.0
        yield 3.0

    run(w, ticks())
    assert unnamed == ["package_unknown/AutoRefine3D/2/1"]
    if gone == "another's":
        assert rounds_in(w) == ["package_unknown/AutoRefine3D/2/1", "package_1/2/1"]
        return
    if gone == "spool and maps":
        assert rounds_in(w) == unnamed
        return
    journal = read_journal(w.store.log)
    index = LogIndex(w.store.log)
    index.read()
    for rounds in (journal.rounds, w.index.summaries(), index.summaries()):
        assert [str(each.key) for each in rounds] == ["package_1/2/1"]
    assert str(journal.rounds[0].supersedes) == "package_unknown/AutoRefine3D/2/1"
    assert [summary.number for summary in index.summaries()] == [0]
    ours = [p for p in w.store.out.rglob("*") if p.is_file() and p.parent != w.store.out and "spool" not in p.parts]
    assert {p.relative_to(w.store.out).parts[1] for p in ours} == {"package_1"}
    once_more = Watch.of(folder, "cistem", cistem, settings, Store(tmp_path / "out"))  # type: ignore[arg-type]
    run(once_more, [0.0, 1.0])
    assert (once_more.counts.done, len(rounds_in(w))) == (0, 2)


def test_a_hook_that_hangs_is_ended_with_all_its_children_and_the_rounds_go_on(project: Path, tmp_path: Path) -> None:
    script = f"cd {tmp_path}; sleep 600 & : > child$!; : > child$$; wait"
    hooks = {"hooks": [{"command": ["/bin/sh", "-c", script], "timeout_s": 1.0}]}
    said: list[str] = []
    write_round(project, 2)
    w = a_watch(project, said, hooks)
    run(w, [0.0])
    assert rounds_in(w) == ["run/1/1", "run/2/1"]
    assert len(lines_of(project, Stop)) == 1
    assert any("was stopped after 1 s" in text for text in said + w.observers.teller.finish(w.settings, 10.0))
    pids = [int(path.name[5:]) for path in tmp_path.glob("child*")]
    assert len(pids) >= 2
    assert not any(_runs(pid) for pid in pids)


def _runs(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


@pytest.mark.parametrize("number", sorted(lock.CANNOT_LOCK))
def test_a_file_system_without_locks_is_told_and_watched_all_the_same(
    project: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(lock.fcntl, "flock", refuse)
    said: list[str] = []
    w = a_watch(project, said)
    run(w, [0.0])
    assert rounds_in(w) == ["run/1/1"]
    assert sum("no locks" in text for text in said) == 1


def test_a_log_that_was_edited_cut_or_written_by_a_newer_version_is_told_line_by_line_and_made_whole(
    project: Path,
) -> None:
    for iteration in (2, 3, 4):
        write_round(project, iteration)
    run(a_watch(project), [0.0])
    log = project / "refine_hooks" / "rounds.jsonl"
    start, one, two, three, four, _ = log.read_bytes().splitlines(keepends=True)
    newer = two.replace(b'"schema_version":2', b'"schema_version":7')
    edited = three.replace(b'"box_px":24', b'"box_px":"two dozen"')
    log.write_bytes(start + one + newer + edited + b"my own note\n" + four[:300])
    said: list[str] = []
    run(a_watch(project, said), [0.0, 1.0])
    for number, word in ((3, "newer version (schema 7"), (4, "box_px"), (5, "not JSON")):
        assert sum(text.startswith(f"{log}:{number}: ") and word in text for text in said) == 1
    measured = [str(line.key) for line in lines_of(project, RoundRecord)]
    assert measured == ["run/1/1", "run/2/1", "run/3/1", "run/4/1"]
    assert newer in log.read_bytes()  # nothing of anybody's is removed but a torn tail
    assert len(read_journal(log).faults) == 3


def test_a_log_that_is_removed_under_a_watch_is_whole_again_at_once_and_after_the_next(project: Path) -> None:
    def ticks() -> Iterator[float]:
        yield 0.0
        (project / "refine_hooks" / "rounds.jsonl").unlink()
        write_round(project, 2)
        yield 1.0

    run(a_watch(project), ticks())
    for _ in range(2):
        assert sorted(str(line.key) for line in lines_of(project, RoundRecord)) == ["run/1/1", "run/2/1"]
        run(a_watch(project), [0.0])


@pytest.mark.parametrize("what", ["rounds.jsonl", ".lock", "half_maps", "masks", "pictures", "spool"])
def test_a_link_out_of_the_store_is_refused_and_what_it_leads_to_stays_as_it_is(
    project: Path, tmp_path: Path, what: str
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    target = outside
    if "." in what:
        target = outside / "precious"
        target.write_text("of the user")
    (project / "refine_hooks").mkdir()
    (project / "refine_hooks" / what).symlink_to(target)
    before = fingerprint(outside)
    with pytest.raises(StorageError, match=what):
        run(a_watch(project), [0.0])
    assert fingerprint(outside) == before
    assert {path.name for path in outside.iterdir()} <= {"precious"}


def test_a_link_that_is_put_in_the_way_during_the_watch_is_not_followed_either(project: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()

    def ticks() -> Iterator[float]:
        yield 0.0
        folder = project / "refine_hooks" / "half_maps" / "run"
        folder.rename(tmp_path / "aside")
        folder.symlink_to(outside)
        write_round(project, 2)
        yield 1.0
        folder.unlink()
        (tmp_path / "aside").rename(folder)
        yield 2.0

    said: list[str] = []
    run(a_watch(project, said), ticks())
    assert list(outside.iterdir()) == []
    assert [str(line.key) for line in lines_of(project, RoundRecord)] == ["run/1/1", "run/2/1"]
    assert any("by a link" in text for text in said)


@pytest.mark.parametrize(
    "run_name",
    ["../../etc", "/etc/passwd", "a/../../b", "..", ".hidden/..", "nul\0byte", "a" * 30 + "/\n", "Refine3D/job001"],
)
def test_no_name_of_a_project_leads_out_of_the_store(tmp_path: Path, run_name: str) -> None:
    store = Store(tmp_path / "out")
    key = Key(run=run_name, iteration=1, class_id=1)
    for path in (
        *store.half_map_paths(key, "../x"),
        store.mask_path(key, "/y", "../m"),
        store.picture_path(key, "..", "../p.png"),
    ):
        assert path.resolve().is_relative_to((tmp_path / "out").resolve())
        assert "\0" not in str(path)


@pytest.mark.parametrize(
    ("text", "wanted"), [("Auto #4 - Round 3", "Auto_4_-_Round_3"), ("..", "_"), ("", "_"), ("a/b", "a_b"), (".x", "x")]
)
def test_a_slug_is_one_harmless_name(text: str, wanted: str) -> None:
    assert slug(text) == wanted
