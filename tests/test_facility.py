"""Many projects in one process: which are found, whose turn it is, and that none harms another."""

import errno
import grp
import multiprocessing
import os
import queue
import re
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from heard import hear
from small_program import a_watch, write_round

from refine_hooks.cli import _many
from refine_hooks.cli._umask import obey_umask
from refine_hooks.errors import NotReadyError, ProjectError, SettingsError, StorageError
from refine_hooks.facility import worker
from refine_hooks.facility.child import Child, CrashedError
from refine_hooks.facility.finding import Finder, is_project
from refine_hooks.facility.jobs import Job, Outcome, failed
from refine_hooks.facility.named import PROJECT, named
from refine_hooks.facility.pool import Pool
from refine_hooks.facility.turns import STARVES_AFTER_S, Ticket, Urgency, expected_bytes, next_of
from refine_hooks.facility.watches import Watches, opener, out_for
from refine_hooks.files.folders import give_to_group
from refine_hooks.log.file import read_journal
from refine_hooks.log.records import RoundRecord
from refine_hooks.model import Fingerprint, InputFile, Key, Round
from refine_hooks.settings import Settings
from refine_hooks.watch.config import Measurer
from refine_hooks.watch.loop import run as once
from refine_hooks.watch.state import Watch

_OPEN: list[Any] = []


def folders(root: Path, *names: str) -> None:
    for name in names:
        (root / name).mkdir(parents=True)


def found(root: Path, pattern: str, depth: int = 2, ignore: tuple[str, ...] = ()) -> set[str]:
    finder = Finder(str(root / pattern), depth, ignore, asked=lambda folder: folder.name.startswith("project"))
    return {str(path.relative_to(root)) for path in finder.search()}


def test_projects_are_found_by_pattern_and_below_it_and_none_inside_another(tmp_path: Path) -> None:
    folders(tmp_path, "a/project1/project9", "a/x/project2", "a/x/y/project3", "b/project4", ".hidden/project5")
    assert found(tmp_path, "*") == {"a/project1", "a/x/project2", "b/project4"}
    assert found(tmp_path, "a/project1", 0) == {"a/project1"}
    assert found(tmp_path, "*", 3) == {"a/project1", "a/x/project2", "a/x/y/project3", "b/project4"}
    assert found(tmp_path, "*/x", 0) == set()


@pytest.mark.parametrize("ignore", [("x",), ("*/a/x",), ("project2",)])
def test_what_is_to_be_left_out_is_not_looked_into(tmp_path: Path, ignore: tuple[str, ...]) -> None:
    folders(tmp_path, "a/project1", "a/x/project2")
    assert found(tmp_path, "*", 2, ignore) == {"a/project1"}


def test_no_link_leads_the_search_out(tmp_path: Path) -> None:
    folders(tmp_path, "data/eve", "secret/project1", "data/bob/project2")
    (tmp_path / "data/eve/project").symlink_to(tmp_path / "secret/project1")
    (tmp_path / "data/mallory").symlink_to(tmp_path / "secret")
    assert found(tmp_path, "data/*") == {"data/bob/project2"}
    assert found(tmp_path, "data/*/project*", 0) == {"data/bob/project2"}


def test_a_folder_that_was_no_project_is_asked_again_once_it_has_changed(tmp_path: Path) -> None:
    folders(tmp_path, "a")
    asked: list[Path] = []

    def is_project(folder: Path) -> bool:
        asked.append(folder)
        return (folder / "database").exists()

    finder = Finder(str(tmp_path / "*"), 0, asked=is_project)
    assert [finder.search(), finder.search(), len(asked)] == [[], [], 1]
    (tmp_path / "a/database").touch()
    assert finder.search() == [tmp_path / "a"]


def test_a_settings_file_makes_a_folder_a_project_that_no_program_recognises(tmp_path: Path) -> None:
    folders(tmp_path, "a", "b")
    (tmp_path / "b" / "refine_hooks.toml").touch()
    assert [is_project(tmp_path / name) for name in "ab"] == [False, True]


def a_ticket(project: str, urgency: Urgency = Urgency.LIVE, memory_bytes: int = 1, since_s: float = 0.0) -> Ticket:
    job = Job(Path(project), "test", Settings(), Path(project), "")
    return Ticket(job, urgency, memory_bytes, since_s, threading.Event())


def test_live_rounds_go_before_old_ones_and_no_project_is_passed_over_for_ever() -> None:
    old, live, local = a_ticket("a", Urgency.OLD), a_ticket("b"), a_ticket("c", Urgency.LOCAL)
    assert next_of([local, old, live], {}, 1.0) is live
    assert next_of([local, old], {}, 1.0) is old
    assert next_of([a_ticket("b"), old], {Path("b"): 5.0}, STARVES_AFTER_S) is old
    first, second = a_ticket("a"), a_ticket("b")
    assert next_of([first, second], {Path("a"): 2.0, Path("b"): 1.0}, 3.0) is second
    assert next_of([], {}, 0.0) is None


def test_the_memory_of_a_round_follows_from_its_largest_map() -> None:
    files = (InputFile(name="one.mrc", size=4_000_000_000, mtime_ns=0), InputFile(name="t.star", size=10, mtime_ns=0))
    round_ = Round(Key(run="r", iteration=1, class_id=1), "test", "r", Fingerprint(inputs=files))
    assert expected_bytes(round_) == 100_000_000 + 40_000_000_000 + 30


class Played(Child):
    """In place of a process: says which jobs it was given, and waits to be told to end each."""

    begun: list[str]
    go_on: threading.Event

    def do(self, job: Job, stop: Callable[[], bool]) -> Outcome:
        self.begun.append(job.project.name)
        self.go_on.wait(5.0)
        if job.project.name == "crash":
            raise CrashedError("ended")
        return Outcome(files_bytes=1)


def played(workers: int, memory_bytes: int) -> tuple[Pool, list[str], threading.Event]:
    kind: Any = type("Playing", (Played,), {"begun": [], "go_on": threading.Event()})
    return Pool(workers, memory_bytes, 1, child=kind), kind.begun, kind.go_on


def wait_for(what: Callable[[], object], within_s: float = 20.0) -> None:
    ends_s = time.monotonic() + within_s
    while not what():
        assert time.monotonic() < ends_s, "it did not happen"
        time.sleep(0.01)


def test_what_is_measured_at_once_stays_within_the_memory_and_what_needs_more_is_measured_alone() -> None:
    pool, begun, go_on = played(workers=3, memory_bytes=10)
    tickets = [
        a_ticket(name, memory_bytes=size, since_s=n) for n, (name, size) in enumerate([("a", 6), ("b", 6), ("c", 99)])
    ]
    for ticket in tickets:
        pool.add(ticket)
    wait_for(lambda: begun)
    time.sleep(0.05)
    assert begun == ["a"]
    go_on.set()
    wait_for(lambda: all(ticket.done.is_set() for ticket in tickets))
    assert begun == ["a", "b", "c"]
    pool.close()


def test_a_reconstruction_holds_up_no_round() -> None:
    pool, begun, go_on = played(workers=1, memory_bytes=10)
    pool.add(a_ticket("long", Urgency.RECONSTRUCTION))
    wait_for(lambda: begun == ["long"])
    pool.add(a_ticket("round"))
    wait_for(lambda: begun == ["long", "round"])
    go_on.set()
    pool.close()


def test_a_process_that_crashes_costs_one_try_and_a_job_that_waits_can_be_taken_back() -> None:
    pool, begun, go_on = played(workers=1, memory_bytes=10)
    crash, later = a_ticket("crash"), a_ticket("later", since_s=1.0)
    pool.add(crash)
    wait_for(lambda: begun)
    pool.add(later)
    pool.drop(later)
    go_on.set()
    wait_for(crash.done.is_set)
    with pytest.raises(CrashedError, match="ended"):
        crash.outcome.checked()
    with pytest.raises(NotReadyError):
        later.outcome.checked()
    pool.close()


def test_an_error_comes_back_from_another_process_with_what_it_came_from() -> None:
    class UnpicklableError(Exception):
        def __init__(self, one: int, two: int) -> None:
            super().__init__("odd")

    error = ProjectError("here", "and there")
    error.__cause__ = UnpicklableError(1, 2)
    with pytest.raises(ProjectError, match="and there") as caught:
        failed(error).checked()
    assert "odd" in str(caught.value.__cause__)


def test_a_job_that_follows_one_that_was_asked_to_end_is_done_to_its_end() -> None:
    ours, theirs = multiprocessing.Pipe()
    desk, jobs = worker._Desk(), queue.SimpleQueue[Any]()
    threading.Thread(target=worker._read, args=(theirs, jobs, desk), daemon=True).start()
    ours.send(None)  # comes when the job before has just been done
    ours.send("a job")
    assert jobs.get(timeout=20) == "a job"
    assert not desk.asked_to_stop.is_set()
    ours.send(None)
    assert desk.asked_to_stop.wait(20)
    _OPEN.append(ours)  # the reader ends its process when this is closed


def test_messages_begin_with_their_project() -> None:
    assert named("text") == "text"
    token = PROJECT.set("/data/a")
    assert [named("text"), named("/data/a: text")] == ["/data/a: text", "/data/a: text"]
    PROJECT.reset(token)


def test_the_process_is_made_as_the_settings_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    monkeypatch.setattr(_many, "Pool", lambda *given: made.append(given))
    monkeypatch.setattr(Watches, "find", lambda self, finders: made.extend([self.search_s, *finders]))
    monkeypatch.setattr(Watches, "run", lambda self: None)
    monkeypatch.setattr(_many, "_end_at_signals", lambda watches: None)
    monkeypatch.setattr(_many, "project_in_front", lambda change: None)
    own = {"workers": 7, "memory_GB": 3.0, "search_s": 9.0, "depth": 4, "ignore": ["old"]}
    _many.watch_many([tmp_path], True, None, None, None, "", {"watch": own})
    (workers, memory_bytes, _), search_s, finder = made
    assert (workers, memory_bytes, search_s) == (7, 3_000_000_000, 9.0)
    assert (finder.pattern, finder.depth, finder.ignore) == (str(tmp_path), 4, ("old",))


def test_a_link_of_a_user_s_in_the_place_of_the_output_folder_is_not_followed(tmp_path: Path) -> None:
    said, project = hear(), a_project(tmp_path / "p", 0)
    (tmp_path / "elsewhere").mkdir()
    (project / "refine_hooks").symlink_to(tmp_path / "elsewhere")
    watches = Watches(Pool(1, 1, 1), opener(None, "", {}))
    watches.add([project])
    run(watches, lambda: said)
    assert "is a link, which is not followed" in said[0]
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.parametrize(
    ("out", "expected"),
    [
        ("/results/{name}", "/results/relion"),
        ("/r/{parent}/of {name}", "/r/p 1-/of relion"),
        ("/r/{path}/x", "/r/data_p_1_relion-/x"),
        ("/results", "/results/data_p_1_relion-"),
    ],
)
def test_an_output_folder_is_named_by_its_project(out: str, expected: str) -> None:
    found = str(out_for(Path(out), Path("/data/p 1/relion")))
    assert re.sub("-[0-9a-f]{8}", "-", found) == expected.replace("p 1", "p_1")


def test_two_projects_never_share_an_output_folder(tmp_path: Path) -> None:
    watches = Watches(Pool(0, 1, 1), opener(None, "", {}), out=tmp_path / "{name}")
    assert watches._out_of(Path("/a/relion")) == tmp_path / "relion" == watches._out_of(Path("/a/relion"))
    with pytest.raises(StorageError, match="as well; tell them apart"):
        watches._out_of(Path("/b/relion"))


def test_what_is_written_has_the_group_and_the_rights_that_the_settings_say(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        obey_umask(Settings.model_validate({"files": {"umask": "027"}}))
        group = grp.getgrgid(os.getgroups()[0] if os.getgroups() else os.getgid()).gr_name
        w = a_watch(tmp_path, [], {"files": {"group": group}})
        once(w, [0.0])
        status = w.store.log.stat()
    finally:
        os.umask(before)
    assert (oct(status.st_mode & 0o777), grp.getgrgid(status.st_gid).gr_name) == ("0o640", group)
    assert w.store.out.stat().st_mode & stat.S_ISGID
    with pytest.raises(SettingsError, match="there is no group"):
        give_to_group(tmp_path, "no such group")
    with pytest.raises(ValueError, match="write 027"):
        Settings.model_validate({"files": {"umask": "rwx"}})


SETTINGS = """[generic]
half1 = 'it(?P<iteration>[0-9]+)_half(?P<half>[12])[.]mrc'
[watch]
settle_s = 0.0
poll_s = 0.2
[analysis]
local = "never"
[keep]
min_free_GB = 0.01
"""


def a_project(folder: Path, rounds: int) -> Path:
    folder.mkdir(parents=True)
    (folder / "refine_hooks.toml").write_text(SETTINGS)
    for number in range(1, rounds + 1):
        write_round(folder, number)
    return folder


def logged(project: Path, out: Path | None = None) -> list[int]:
    log = (out or project / "refine_hooks") / "rounds.jsonl"
    lines = read_journal(log).lines if log.exists() else []
    return sorted(line.key.iteration for line in lines if isinstance(line, RoundRecord))


def run(watches: Watches, until: Callable[[], object], within_s: float = 60.0) -> None:
    thread = threading.Thread(target=watches.run, args=(0.05,))
    thread.start()
    try:
        wait_for(until, within_s)
    finally:
        watches.asked_to_stop.set()
        thread.join(30.0)
    assert not thread.is_alive()


def test_every_round_of_every_project_is_logged_once_though_a_process_is_killed_one_hangs_and_one_is_none(
    tmp_path: Path,
) -> None:
    said = hear()
    a, b = a_project(tmp_path / "data/a", 1), a_project(tmp_path / "data/b", 1)
    folders(tmp_path, "data/none", "data/hangs")
    answers, opened = threading.Event(), opener(None, "", {})

    def open_(project: Path, out: Path | None, measurer: Measurer) -> Watch:
        if project.name == "hangs":
            answers.wait()
        return opened(project, out, measurer)

    pool = Pool(1, 10**9, 1)
    watches = Watches(pool, open_, out=tmp_path / "out", search_s=0.1, given_up_after_s=0.3)
    watches.add([a, tmp_path / "data/none", tmp_path / "data/hangs"])
    watches.find([Finder(str(tmp_path / "data/*"), 0, asked=lambda folder: (folder / "refine_hooks.toml").exists())])
    outs: list[Path] = []

    def all_logged() -> bool:
        outs[:] = sorted((tmp_path / "out").glob("*/"))
        if not killed and pool.pids():
            killed.append(pool.pids()[0])
            os.kill(killed[0], signal.SIGKILL)
        return len(outs) == 2 and [logged(a, out) for out in outs] == [[1], [1]]

    killed: list[int] = []
    run(watches, all_logged)
    answers.set()
    assert killed
    assert any("was ended by signal 9. It is tried again" in text for text in said)
    assert any("data/none: is empty" in text for text in said)
    assert any("data/hangs: does not answer, and is left as it is" in text for text in said)
    assert not (b / "refine_hooks").exists()


def test_a_full_disk_of_one_project_holds_up_no_round_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick_rounds: None
) -> None:
    said, full, real = hear(), threading.Event(), os.fsync
    one, other = tmp_path / "one", tmp_path / "other"
    for project in (one, other):
        project.mkdir()
        write_round(project, 1)

    def fsync(handle: int) -> None:
        if full.is_set() and Path(f"/proc/self/fd/{handle}").readlink().is_relative_to(one / "refine_hooks"):
            raise OSError(errno.ENOSPC, "No space left on device")
        real(handle)

    def open_(project: Path, out: Path | None, measurer: Measurer) -> Watch:
        fast = {"watch": {"settle_s": 0.0, "poll_s": 0.05}, "automask": {"enabled": False}, "fsc": {"repeats": 2}}
        return a_watch(project, overrides=fast)

    def played() -> bool:
        both = logged(one), logged(other)
        if both == ([1], [1]) and not begun:
            begun.append(full.set())
            for project in (one, other):
                write_round(project, 2)
        if both == ([1], [1, 2]) and any("No space left" in text and "nothing is lost" in text for text in said):
            full.clear()
        return both == ([1, 2], [1, 2])

    begun: list[None] = []
    monkeypatch.setattr(os, "fsync", fsync)
    watches = Watches(Pool(0, 10**9, 1), open_)
    watches.add([one, other])
    run(watches, played, 20.0)


@pytest.mark.early
def test_rounds_of_cistem_and_relion_projects_are_logged_once_beside_one_that_is_full_of_faults() -> None:
    script = Path(__file__).resolve().parent.parent / "scripts" / "facility"
    played = subprocess.run(
        [sys.executable, script, *["3", "1", "1", "0", "0.5"]], capture_output=True, text=True, check=False
    )
    assert played.stdout.startswith("2 rounds of 3 projects: 0 missing"), played.stdout + played.stderr
    assert played.returncode == 0
