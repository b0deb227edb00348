"""Calls for metadata are counted, whoever makes them, and those that look through projects stay below a rate together."""

import os
import shutil
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from heard import hear

from refine_hooks.cli import _many
from refine_hooks.facility.pool import Pool
from refine_hooks.facility.watches import Watches, opener
from refine_hooks.files.metadata import SWEEPS, Pace, counting


def test_every_way_to_ask_is_counted_and_afterwards_all_is_as_before(tmp_path: Path) -> None:
    (tmp_path / "one").write_text("x")
    before = os.stat, os.open, open
    pace = Pace()
    with counting(pace):
        os.stat(tmp_path)
        (tmp_path / "one").exists()
        os.path.isdir(tmp_path)
        os.listdir(tmp_path)
        (tmp_path / "one").read_text()
        assert pace.calls == 5
        with open(os.open(tmp_path / "one", os.O_RDONLY)) as stream:
            os.stat(stream.fileno())
        assert pace.calls == 6
        shutil.copy2(tmp_path / "one", tmp_path / "two", follow_symlinks=False)
        (tmp_path / "tree").mkdir()
        shutil.rmtree(tmp_path / "tree")
    assert (os.stat, os.open, open) == before
    assert (tmp_path / "two").stat().st_mtime_ns == (tmp_path / "one").stat().st_mtime_ns
    counted = pace.calls
    os.stat(tmp_path)
    assert pace.calls == counted


def test_threads_that_sweep_stay_below_the_rate_together(tmp_path: Path) -> None:
    pace, ended = Pace(per_s=100.0), []

    def sweep() -> None:
        SWEEPS.set(True)
        for _ in range(40):
            os.stat(tmp_path)
        ended.append(time.monotonic())

    with counting(pace):
        begun_s = time.monotonic()
        threads = [threading.Thread(target=sweep) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert pace.calls == 120
    assert max(ended) - begun_s >= 0.15, "120 calls, of which 100 may come at once"


def test_only_who_sweeps_waits_and_goes_on_when_all_are_to_end() -> None:
    pace, begun_s = Pace(per_s=0.001), time.monotonic()
    for _ in range(10):
        pace.take()
    assert time.monotonic() - begun_s < 5.0, "this thread does not sweep"
    thread = threading.Thread(target=lambda: (SWEEPS.set(True), pace.take(), pace.take()), daemon=True)
    thread.start()
    ends_s = time.monotonic() + 5.0
    while not pace.waiting:
        assert time.monotonic() < ends_s
    pace.end()
    thread.join(5.0)
    assert not thread.is_alive()
    assert not pace.waiting


def test_the_rate_of_the_settings_is_that_of_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[Any] = []

    def runs(watches: Watches) -> None:
        os.stat(tmp_path)
        ran.extend([watches.pace, watches.pace and watches.pace.calls])

    monkeypatch.setattr(Watches, "run", runs)
    monkeypatch.setattr(_many, "_end_at_signals", lambda watches: None)
    monkeypatch.setattr(_many, "project_in_front", lambda change: None)
    for rate in (70.0, 0.0):
        _many.watch_many([tmp_path], False, None, None, None, "", {"watch": {"metadata_per_s": rate}})
    pace, calls, none, _ = ran
    assert (pace.per_s, none) == (70.0, None)
    assert calls >= 1


def test_a_rate_that_makes_looks_too_slow_is_said_once() -> None:
    said = hear()
    watches = Watches(Pool(1, 1, 1), opener(None, "", {}), pace=Pace(per_s=5.0))

    class Slow:
        class retries:  # noqa: N801
            scans = 9

        class schedule:  # noqa: N801
            scan_s = 30.0

        class settings:  # noqa: N801
            class watch:  # noqa: N801
                poll_s = 5.0

    one: Any = type("One", (), {"watch": Slow})()
    for _ in range(2):
        watches._say_if_it_is_slow(one)
    watches.pool.close()
    assert len(said) == 1
    assert "metadata_per_s = 5" in said[0]
    assert "30 s" in said[0]
