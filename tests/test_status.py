"""How watches stand, and what can be asked of one that runs."""

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from heard import hear
from rounds_data import SHELLS, a_round, healthy
from small_program import a_watch, lines_of, write_round

from refine_hooks.cli import _status
from refine_hooks.errors import InputError
from refine_hooks.facility import status as standing_of
from refine_hooks.facility.status import status_of, watched_here
from refine_hooks.log.file import append
from refine_hooks.log.orders import give_orders, read_orders, read_standing
from refine_hooks.log.records import RoundRecord
from refine_hooks.notify import messages
from refine_hooks.watch.loop import Watch, watched_lines

pytestmark = pytest.mark.usefixtures("quick_rounds")

SOON = {"watch": {"poll_s": 0.05, "settle_s": 0.0, "force_poll": True}, "keep": {"min_free_GB": 0.01}}


def wait_for(what: Callable[[], object], within_s: float = 20.0) -> None:
    ends_s = time.monotonic() + within_s
    while not what():
        assert time.monotonic() < ends_s, "it did not happen"
        time.sleep(0.01)


@contextmanager
def watched(project: Path, overrides: dict[str, Any] | None = None) -> Iterator[Watch]:
    w = a_watch(project, [], SOON | (overrides or {}))
    thread = threading.Thread(target=lambda: list(watched_lines(w)))
    thread.start()
    try:
        wait_for(lambda: read_standing(w.store.out).holder and w.store.log.exists())
        yield w
    finally:
        w.stopping.asked.set()
        thread.join(20.0)
    assert not thread.is_alive()


def rounds(project: Path) -> list[int]:
    return [line.key.iteration for line in lines_of(project, RoundRecord)]


def test_a_paused_watch_measures_nothing_and_goes_on_and_a_stopped_one_ends(tmp_path: Path) -> None:
    with watched(tmp_path) as w:
        _status.ask([tmp_path], paused=True)
        wait_for(lambda: w.obeying.paused)
        write_round(tmp_path, 1)
        wait_for(lambda: w.retries.scans > 2)
        scans = w.retries.scans
        wait_for(lambda: w.retries.scans > scans + 2)
        assert (rounds(tmp_path), status_of(w.store.log).state) == ([], "paused")
        wait_for(lambda: status_of(w.store.log).waiting == 1)
        _status.ask([tmp_path], paused=False)
        wait_for(lambda: rounds(tmp_path) == [1])
        assert status_of(w.store.log).state == "running"
        _status.stop([tmp_path], 20.0)
        assert (w.stopping.why, status_of(w.store.log).state) == ("stopped", "stopped")
    with pytest.raises(InputError, match="no watch writes there"):
        _status.stop([tmp_path], 0.0)


def test_what_was_asked_of_another_process_or_by_another_user_is_not_obeyed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with watched(tmp_path) as w:
        give_orders(w.store.out, stop="refine-hooks on elsewhere, process 1")
        scans = w.retries.scans
        wait_for(lambda: w.retries.scans > scans + 3)
        assert not w.stopping.asked.is_set()
    give_orders(w.store.out, paused=True)
    assert read_orders(w.store.out, os.geteuid()).paused
    os.chown(w.store.out / ".orders.json", 12345, -1)
    assert not read_orders(w.store.out, os.geteuid()).paused
    os.chown(w.store.out / ".lock", 12345, -1)
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    with pytest.raises(InputError, match="is watched by user 12345, who alone may do that"):
        _status.ask([tmp_path], paused=True)


def test_a_stop_of_before_does_not_end_a_process_that_has_the_same_number(tmp_path: Path) -> None:
    with watched(tmp_path) as w:
        holder = read_standing(w.store.out).holder
    give_orders(w.store.out, stop=holder)
    with watched(tmp_path) as w:
        scans = w.retries.scans
        wait_for(lambda: w.retries.scans > scans + 3)
        assert not w.stopping.asked.is_set()


def test_a_muted_watch_sends_no_messages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str] = []
    monkeypatch.setattr(messages, "send", lambda queue, notify, number, title, body: sent.append(title) or [])
    told = {"notify": {"targets": ["json://localhost/"], "on": ["round"]}}
    with watched(tmp_path, told) as w:
        _status.ask([tmp_path], muted=True)
        wait_for(lambda: w.obeying.orders.muted)
        write_round(tmp_path, 1)
        wait_for(lambda: rounds(tmp_path) == [1])
        scans = w.retries.scans
        wait_for(lambda: w.retries.scans > scans + 1)
        _status.ask([tmp_path], muted=False)
        wait_for(lambda: not w.obeying.orders.muted)
        write_round(tmp_path, 2)
        wait_for(lambda: sent)
    assert len(sent) == 1
    assert "it2" in sent[0]


def test_the_watches_of_this_machine_are_found_with_what_they_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_round(tmp_path, 1)
    with watched(tmp_path) as w:
        wait_for(lambda: rounds(tmp_path) == [1])
        assert w.store.out in watched_here()
        (one,) = [each for each in _status.statuses(None) if each.out == str(w.store.out)]
        assert (one.state, one.rounds, one.last, one.pid, one.muted) == ("running", 1, "it1", os.getpid(), False)
        assert one.used_bytes > 1000
    _status.tell(_status.statuses(tmp_path), True)
    (fields,) = json.loads(capsys.readouterr().out)
    assert (fields["state"], fields["waiting"], fields["key"]) == ("stopped", None, "run/1/1")
    _status.tell(_status.statuses(tmp_path), False)
    said = capsys.readouterr().out
    assert "stopped" in said
    assert said.splitlines()[1].startswith(f"{tmp_path} "), "no name is broken, however long it is"
    assert "run/1/1 it1 (" in said


def test_the_number_of_the_newest_round_that_has_one_stands_with_how_it_was_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    append(tmp_path / "rounds.jsonl", [healthy(1, 28), a_round({"unmasked": np.ones(SHELLS)}, 2)])
    one = status_of(tmp_path / "rounds.jsonl")
    assert (one.key, one.of, one.curve, one.level) == ("run/2/1", "run/1/1", "automask_corrected", 0.143)
    _status.tell([one], False)
    said = capsys.readouterr().out
    assert f"{one.resolution_A:.2f} Å" in said
    assert "automask_corrected at 0.143 of run/1/1" in said


@pytest.mark.parametrize(
    ("break_it", "state", "why"),
    [
        (lambda w, patch: patch.setattr(standing_of, "_free_bytes", lambda out: 5), "running", "are free: nothing is"),
        (lambda w, patch: patch.setattr(standing_of, "_since_s", lambda *_: 1e9), "stalled", "nothing new for"),
        (
            lambda w, patch: os.truncate(w.store.log, w.store.log.read_bytes().rindex(b"\n", 0, -1) + 1),
            "failed",
            "word",
        ),
    ],
    ids=["disk", "idle", "killed"],
)
def test_what_needs_a_person_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, break_it: Callable[[Watch, Any], object], state: str, why: str
) -> None:
    write_round(tmp_path, 1)
    with watched(tmp_path) as w:
        wait_for(lambda: rounds(tmp_path) == [1])
        if state != "failed":
            break_it(w, monkeypatch)
            found = status_of(w.store.log)
    if state == "failed":
        break_it(w, monkeypatch)
        os.utime(w.store.out / ".lock", (0, 0))
        monkeypatch.setattr(os.path, "exists", lambda path: False)
        found = status_of(w.store.log)
    assert (found.state, why in found.why, found.needs_a_person) == (state, True, True)


def test_a_round_that_failed_makes_its_project_one_that_needs_a_person(tmp_path: Path) -> None:
    said = hear()
    write_round(tmp_path, 1)
    (tmp_path / "it1_half2.mrc").write_bytes(b"no map")
    with watched(tmp_path) as w:
        wait_for(lambda: status_of(w.store.log).failed)
        found = status_of(w.store.log)
    assert found.state == "failed"
    assert found.why.startswith("run/1/1 it1: ")
    assert said
