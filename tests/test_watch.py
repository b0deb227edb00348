"""When a round is ready, and when to scan; no test waits for a clock."""

import ctypes
import errno
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from small_program import a_watch, lines_of, write_round

from refine_hooks.files.file_system import events_arrive, file_system_type, locks_stay_here, unreadable
from refine_hooks.log.records import RoundRecord
from refine_hooks.model import Fingerprint, InputFile, Key, Round
from refine_hooks.watch import events
from refine_hooks.watch.events import ChangeNotifier
from refine_hooks.watch.loop import run
from refine_hooks.watch.schedule import Awaited, Schedule, scan_times, settled

pytestmark = pytest.mark.usefixtures("quick_rounds")


def a_round(size: int, iteration: int = 1, **more: object) -> Round:
    fingerprint = Fingerprint(inputs=(InputFile(name="file", size=size, mtime_ns=0),))
    return Round(Key(run="run", iteration=iteration, class_id=1), "program", "label", fingerprint, **more)  # type: ignore[arg-type]


def play(states: list[list[Round]], settle_s: float, moments: list[float]) -> list[tuple[float, Round]]:
    """Rounds that come out, with the moment at which they do; each is done once it has come out in that state."""
    out: list[tuple[float, Round]] = []
    present = iter(states)
    clock = iter(moments)
    at = 0.0

    def ticks() -> object:
        nonlocal at
        for at in clock:
            yield at

    for ready in settled(
        lambda: next(present),
        ticks(),
        Schedule(5.0, settle_s),
        lambda r: any(r.fingerprint == o.fingerprint and r.key == o.key for _, o in out),
    ):  # type: ignore[arg-type]
        out.append((at, ready))
    return out


def test_a_round_is_ready_when_its_inputs_have_not_changed_for_the_settling_time() -> None:
    states = [[a_round(1)], [a_round(2)], [a_round(2)], [a_round(2)], [a_round(2)]]
    assert [at for at, _ in play(states, 2.0, [0, 1, 2, 3, 4])] == [3]


def test_inputs_that_prove_that_they_are_whole_need_no_time() -> None:
    assert [at for at, _ in play([[a_round(1, complete=True)]], 60.0, [0])] == [0]


def test_a_round_that_something_is_awaited_for_is_not_ready_and_its_time_starts_anew() -> None:
    waiting = a_round(1, missing=("the other half",))
    assert [at for at, _ in play([[a_round(1)], [waiting], [a_round(1)], [a_round(1)]], 1.0, [0, 1, 2, 3])] == [3]


def test_a_fault_must_persist_before_it_counts() -> None:
    broken = a_round(1, fault="chunk 2 is missing", complete=True)
    assert [at for at, _ in play([[broken], [broken], [broken]], 2.0, [0, 1, 2])] == [2]


def test_a_round_that_changes_after_it_was_done_is_ready_again() -> None:
    states = [[a_round(1, complete=True)], [a_round(1, complete=True)], [a_round(2, complete=True)]]
    assert [(at, r.fingerprint.inputs[0].size) for at, r in play(states, 0.0, [0, 1, 2])] == [(0, 1), (2, 2)]


def test_what_lacks_something_keeps_a_watch_going_only_while_it_changes() -> None:
    awaited = Awaited()
    lacking = a_round(1, missing=("its table",))
    changed = a_round(2, missing=("its table",))
    scans_ = [
        (0, lacking),
        (59, lacking),
        (61, lacking),
        (62, changed),
        (121, changed),
        (123, changed),
        (124, a_round(2)),
    ]
    told = [awaited.hopefully([round_], moment, 60) for moment, round_ in scans_]
    assert told == [True, True, False, True, True, False, False]


def test_many_rounds_at_once_all_come_out_once() -> None:
    many = [a_round(1, iteration=i, complete=True) for i in range(100)]
    assert len(play([many, many], 5.0, [0, 1])) == 100


def test_a_clock_that_jumps_back_only_delays() -> None:
    states = [[a_round(1)]] * 5
    assert [at for at, _ in play(states, 2.0, [100, 10, 50, 101, 103])] == [103]


MOUNTS = """22 1 254:0 / / rw - ext4 /dev/vda rw
30 22 0:40 / /home rw - nfs4 server:/home rw
31 22 0:41 / /scratch rw - lustre mds@tcp:/s rw
32 22 0:42 / /mnt/with\\040blank rw - fuse.sshfs host: rw
33 30 0:43 / /home/me/local rw - xfs /dev/vdb rw
"""


@pytest.mark.parametrize(
    ("place", "kind", "told"),
    [
        ("/data/project", "ext4", True),
        ("/home/me/project", "nfs4", False),
        ("/home/me/local/p", "xfs", True),
        ("/homes/me", "ext4", True),
        ("/scratch/x", "lustre", False),
        ("/mnt/with blank/p", "fuse.sshfs", False),
    ],
)
def test_events_are_trusted_only_where_the_file_system_is_local(place: str, kind: str, told: bool) -> None:
    assert file_system_type(Path(place), MOUNTS) == kind
    assert events_arrive(Path(place), MOUNTS) is told


NFS = "40 22 0:50 / /home rw,relatime - {} server:/export rw,vers=3,hard,{}proto=tcp,local_lock={},addr=10.0.1.1\n"


@pytest.mark.parametrize(
    ("kind", "more", "local", "here"),
    [
        ("nfs", "nolock,", "all", True),
        ("nfs", "", "flock", True),
        ("nfs", "", "posix", False),
        ("nfs4", "", "none", False),
        ("ext4", "", "all", False),
    ],
)
def test_an_nfs_mount_that_keeps_locks_to_itself_is_known(kind: str, more: str, local: str, here: bool) -> None:
    assert locks_stay_here(Path("/home/me/out"), MOUNTS.splitlines()[0] + "\n" + NFS.format(kind, more, local)) is here
    assert not locks_stay_here(Path("/data"), MOUNTS + NFS.format(kind, more, local))


def test_an_unknown_file_system_is_polled() -> None:
    assert not events_arrive(Path("/data"), "")


@pytest.mark.parametrize("own", [32, 0])
def test_a_change_is_noticed_and_folders_made_anew_are_watched_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: int
) -> None:
    monkeypatch.setattr(events, "_OWN_OBSERVERS", own)
    folder = tmp_path / "scratch"
    folder.mkdir()
    notifier = ChangeNotifier(lambda: [(folder, False), (tmp_path, False)])
    try:
        notifier.keep_watching()
        (folder / "one").write_text("x")
        heard = notifier.wait(0, 10.0)
        assert heard > 0
        (folder / "one").unlink()
        folder.rmdir()
        folder.mkdir()
        notifier.keep_watching()
        heard = notifier.wait(heard, 10.0)
        drained = heard
        while (later := notifier.wait(drained, 0.2)) > drained:
            drained = later
        for scan in range(20):  # a notifier is renewed at every scan; where its emitter has yet to notice, at the next
            (folder / f"two_{scan}").write_text("x")
            if notifier.wait(drained, 0.5) > drained:
                break
            notifier.keep_watching()
        else:
            pytest.fail("the folder made anew is not heard")
    finally:
        notifier.close()


@pytest.mark.parametrize("own", [32, 0])
def test_a_notifier_whose_observer_died_watches_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: int
) -> None:
    monkeypatch.setattr(events, "_OWN_OBSERVERS", own)
    notifier = ChangeNotifier(lambda: [(tmp_path, False)])
    try:
        notifier.keep_watching()
        notifier._observer.stop()
        notifier._observer.join(5.0)
        notifier.keep_watching()
        (tmp_path / "file").write_text("x")
        assert notifier.wait(0, 10.0) > 0
    finally:
        notifier.close()


def test_many_notifiers_take_one_inotify_instance_and_each_hears_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "_OWN_OBSERVERS", 0)
    folders = [tmp_path / name for name in "abcdef"]
    for folder in folders:
        folder.mkdir()

    def instances() -> int:
        handles = [os.path.realpath(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd")]
        return sum("inotify" in handle for handle in handles)

    before = instances()
    notifiers = [ChangeNotifier(lambda folder=folder: [(folder, True)]) for folder in folders]
    try:
        for notifier in notifiers:
            notifier.keep_watching()
        assert instances() <= before + 1
        assert all(notifier.hears_all for notifier in notifiers)
        (folders[0] / "one").touch()
        assert notifiers[0].wait(0, 10.0) > 0
        notifiers[1].close()
        (folders[2] / "two").touch()
        assert notifiers[2].wait(0, 10.0) > 0, "the end of another is not its own"
        assert [notifier._changes for notifier in (notifiers[1], notifiers[3])] == [0, 0]
    finally:
        for notifier in notifiers:
            notifier.close()


def test_scanning_ends_when_nothing_happens_for_long_enough() -> None:
    moments = list(scan_times(None, threading.Event(), Schedule(0.01, 0.0), 0.0, lambda: -1e9))
    assert len(moments) == 1


def test_scanning_ends_when_it_is_told_to_stop() -> None:
    stop = threading.Event()
    for count, _ in enumerate(scan_times(None, stop, Schedule(0.01, 0.0), None, lambda: 0.0), 1):
        if count == 3:
            stop.set()
    assert count == 3


def test_a_job_s_folder_that_may_not_be_read_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("Refine3D/job001", "Refine3D/job002", "Trash/job003"):
        (tmp_path / name).mkdir(parents=True)
    closed = {tmp_path / "Refine3D" / "job002", tmp_path / "Trash" / "job003"}
    monkeypatch.setattr("refine_hooks.files.file_system.os.access", lambda path, _: Path(path) not in closed)
    folders = [
        (tmp_path, False),
        (tmp_path / "Refine3D", True),
        (tmp_path / "Class3D", True),
        (tmp_path / "Trash", False),
    ]
    assert unreadable(lambda: folders) == [tmp_path / "Refine3D" / "job002"]


def test_what_a_round_lacks_for_long_is_told_once() -> None:
    awaited, round_ = Awaited(), a_round(1, missing=("half2.mrc",))
    told = []
    for moment in (0.0, 30.0, 60.0, 90.0):
        awaited.hopefully([round_], moment, 600.0)
        told.append(awaited.overdue(round_.key, moment, 60.0))
    assert told == [False, False, True, False]
    awaited.hopefully([], 95.0, 600.0)
    assert not awaited.overdue(round_.key, 95.0, 60.0)


@pytest.mark.parametrize(("call", "number"), [("inotify_add_watch", errno.ENOSPC), ("inotify_init", errno.EMFILE)])
def test_without_inotify_watches_rounds_are_found_by_scans_and_that_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    inotify = pytest.importorskip("watchdog.observers.inotify_c")

    def refused(*_: object) -> int:
        ctypes.set_errno(number)
        return -1

    said: list[str] = []
    w = a_watch(tmp_path, said, {"automask": {"enabled": False}, "fsc": {"repeats": 2}})
    notifier = ChangeNotifier(lambda: [(tmp_path, False)])
    with monkeypatch.context() as patch:
        patch.setattr(inotify, call, refused)

        def ticks() -> Iterator[float]:
            for tick in (0.0, 1.0, 2.0):
                notifier.keep_watching()
                yield tick
                write_round(tmp_path, 1 + int(tick))

        run(w, ticks(), notifier)
    assert [line.key.iteration for line in lines_of(tmp_path, RoundRecord)] == [1, 2]
    assert sum("max_user_watches" in text for text in said) == 1
    try:
        notifier.keep_watching()
        heard = notifier.wait(0, 0.0)
        write_round(tmp_path, 9)
        assert notifier.wait(heard, 5.0) > heard, "there are watches again, and they are used"
    finally:
        notifier.close()


def test_watches_that_do_not_reach_all_folders_are_said(tmp_path: Path) -> None:
    """A limit of a user namespace stands in for fs.inotify.max_user_watches."""
    for number in range(9):
        (tmp_path / f"job{number}").mkdir()
    code = (
        "import sys; from pathlib import Path; from refine_hooks.watch.events import ChangeNotifier\n"
        "one = ChangeNotifier(lambda: [(Path(sys.argv[1]), True)]); one.keep_watching(); one.keep_watching(); one.close()"
    )
    limited = 'echo 4 > /proc/sys/user/max_inotify_watches && exec "$@"'
    command = ["unshare", "-Ur", "sh", "-c", limited, "sh", sys.executable, "-c", code, str(tmp_path)]
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parent.parent)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    if "unshare" in done.stderr or "max_inotify" in done.stderr:
        pytest.skip("no user namespace can be had")
    assert done.stderr.count("max_user_watches") == 1
