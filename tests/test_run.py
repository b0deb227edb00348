"""The loop: every round once, nothing lost, nothing of the project touched."""

import errno
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from heard import hear
from small_program import BOX, a_watch, fingerprint, half_maps_of, lines_of, program, write_round

from refine_hooks.errors import StorageError
from refine_hooks.files import mrc
from refine_hooks.files.lock import TakenError, only_writer
from refine_hooks.files.mrc import Map, read_map, write_map
from refine_hooks.log.file import read_journal
from refine_hooks.log.folder import Store
from refine_hooks.log.records import Failed, RoundRecord, Start, Stop
from refine_hooks.model import KEPT_FIRST, Facts, HalfMaps, Origin, Round
from refine_hooks.reconstruct import Desk, _Foretelling
from refine_hooks.watch.config import Reconstruct
from refine_hooks.watch.loop import run, two_scans, watched_lines
from refine_hooks.watch.owners import Stopping
from refine_hooks.watch.session import _signals

pytestmark = pytest.mark.usefixtures("quick_rounds")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    write_round(folder, 1)
    return folder


def test_a_round_leaves_half_maps_masks_and_one_line(project: Path) -> None:
    before = fingerprint(project)
    run(a_watch(project), [0.0])
    (record,) = lines_of(project, RoundRecord)
    out = project / "refine_hooks"
    assert str(record.key) == "run/1/1"
    assert {"unmasked", "sphere", "sphere_scaled"} <= {c.name for c in record.curves}
    for path, half in zip(record.half_maps.paths, half_maps_of(1), strict=True):
        np.testing.assert_array_equal(read_map(out / path).voxels, half.voxels)
    for mask in record.masks:
        if mask.path is not None:
            assert hashlib.sha256((out / mask.path).read_bytes()).hexdigest() == mask.sha256
    assert (out / "report.html").is_file()
    assert len(lines_of(project, Start)) == len(lines_of(project, Stop)) == 1
    assert fingerprint(project) == before


def test_a_restart_neither_repeats_nor_skips(project: Path) -> None:
    run(a_watch(project), [0.0])
    write_round(project, 2)
    run(a_watch(project), [0.0])
    run(a_watch(project), [0.0])
    assert [str(r.key) for r in lines_of(project, RoundRecord)] == ["run/1/1", "run/2/1"]


def test_each_mask_s_change_of_volume_against_the_former_round_is_logged_even_after_a_restart(project: Path) -> None:
    run(a_watch(project), [0.0])
    write_round(project, 2)
    run(a_watch(project), [0.0])
    first, second = lines_of(project, RoundRecord)
    assert {mask.volume_change for mask in first.masks} == {None}
    for mask in second.masks:
        before = first.mask(mask.name)
        assert mask.volume_change == pytest.approx(mask.volume_A3 / before.volume_A3 - 1)


def test_a_round_whose_files_change_is_measured_again(project: Path) -> None:
    run(a_watch(project), [0.0])
    write_map(project / "it1_half1.mrc", half_maps_of(7)[0], "test")
    run(a_watch(project), [0.0])
    first, second = lines_of(project, RoundRecord)
    assert first.key == second.key
    assert first.fingerprint != second.fingerprint


def test_a_round_that_fails_is_a_line_and_the_others_go_on(project: Path) -> None:
    write_round(project, 2)
    whole = (project / "it1_half2.mrc").read_bytes()
    (project / "it1_half2.mrc").write_bytes(whole[:-100])
    run(a_watch(project), [0.0, 1.0])
    (failed,) = lines_of(project, Failed)
    assert "it1_half2.mrc" in failed.reason
    assert [str(r.key) for r in lines_of(project, RoundRecord)] == ["run/2/1"]
    run(a_watch(project), [0.0])
    assert len(lines_of(project, Failed)) == 1
    (project / "it1_half2.mrc").write_bytes(whole)
    run(a_watch(project), [0.0])
    assert [str(r.key) for r in lines_of(project, RoundRecord)] == ["run/2/1", "run/1/1"]
    assert read_journal(project / "refine_hooks" / "rounds.jsonl").failures == ()


def test_a_bug_in_an_adapter_is_a_line_and_never_ends_the_watch(project: Path) -> None:
    def broken(*_: object) -> None:
        raise KeyError("nobody thought of this")

    run(a_watch(project, half_maps=broken), [0.0])
    (failed,) = lines_of(project, Failed)
    assert "bug of refine_hooks (KeyError: 'nobody thought of this')" in failed.reason


def test_a_project_that_cannot_be_looked_at_is_waited_for_and_said_once(project: Path) -> None:
    calls = 0
    real = program().rounds

    def gone_twice(*args: object) -> object:
        nonlocal calls
        calls += 1
        if calls <= 2:
            raise OSError(errno.ESTALE, "Stale file handle")
        return real(*args)

    said: list[str] = []
    run(a_watch(project, said, rounds=gone_twice), [0.0, 1.0, 2.0])
    assert len(lines_of(project, RoundRecord)) == 1
    assert sum("Stale file handle" in text for text in said) == 1


def test_a_capture_that_fails_is_said_and_the_rounds_on_disk_are_measured_all_the_same(project: Path) -> None:
    def broken(*_: object) -> list[Path]:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    said: list[str] = []
    run(a_watch(project, said, capture=broken), [0.0])
    assert len(lines_of(project, RoundRecord)) == 1
    assert sum("cross-device" in text for text in said) == 1


def test_a_full_disk_is_waited_for_and_nothing_is_lost(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    w = a_watch(project, said)
    real, full = os.replace, [True]

    def replace(a: str, b: Path) -> None:
        if full[0] and str(b).endswith("half2.mrc"):
            raise OSError(errno.ENOSPC, "No space left on device")
        real(a, b)

    monkeypatch.setattr(mrc.os, "replace", replace)

    def ticks() -> Any:
        yield 0.0
        yield 1.0
        full[0] = False
        yield 2.0

    run(w, ticks())
    assert len(lines_of(project, RoundRecord)) == 1
    assert lines_of(project, Failed) == []
    assert sum("nothing is lost" in text for text in said) == 1
    assert not list((project / "refine_hooks").rglob("*.part"))


def test_nothing_is_written_into_the_last_of_the_disk(project: Path) -> None:
    w = a_watch(project, store=Store(project / "refine_hooks", min_free_bytes=1 << 60))
    run(w, [0.0])
    assert lines_of(project, RoundRecord) == lines_of(project, Failed) == []
    assert "min_free_GB" in w.waits.waiting


def test_files_that_change_while_they_are_read_are_read_again(project: Path) -> None:
    real = program().half_maps
    calls = 0

    def replaced_meanwhile(directory: Path, round_: Round, store: Store) -> HalfMaps:
        nonlocal calls
        calls += 1
        halves = real(directory, round_, store)
        if calls == 1:
            write_map(project / "it1_half1.mrc", half_maps_of(9)[0], "test")
        return halves

    run(a_watch(project, half_maps=replaced_meanwhile), [0.0, 1.0, 2.0])
    (record,) = lines_of(project, RoundRecord)
    written = read_map(project / "refine_hooks" / record.half_maps.paths[0])
    np.testing.assert_array_equal(written.voxels, half_maps_of(9)[0].voxels)
    assert lines_of(project, Failed) == []


def test_a_file_that_is_removed_between_look_and_read_is_looked_for_anew(project: Path) -> None:
    real = program().half_maps
    calls = 0

    def removed_meanwhile(directory: Path, round_: Round, store: Store) -> HalfMaps:
        nonlocal calls
        calls += 1
        return real(directory, round_ if calls > 1 else replace(round_, inputs=(project / "gone.mrc",) * 2), store)

    run(a_watch(project, half_maps=removed_meanwhile), [0.0, 1.0])
    assert len(lines_of(project, RoundRecord)) == 1
    assert lines_of(project, Failed) == []


def test_a_file_that_is_promised_and_never_there_is_a_failure_in_the_end(project: Path) -> None:
    def promised(directory: Path, round_: Round, store: Store) -> HalfMaps:
        return program().half_maps(directory, replace(round_, inputs=(project / "gone.mrc",) * 2), store)

    run(a_watch(project, half_maps=promised), [float(at) for at in range(9)])
    (failed,) = lines_of(project, Failed)
    assert "gone.mrc" in failed.reason


def test_two_things_that_are_waited_for_in_turn_are_each_said_once(project: Path) -> None:
    def broken(*_: object) -> list[Path]:
        raise OSError(errno.ENOSPC, "No space left on device")

    said: list[str] = []
    w = a_watch(project, said, capture=broken, store=Store(project / "refine_hooks", min_free_bytes=1 << 60))
    run(w, [0.0, 1.0, 2.0, 3.0])
    assert sum("No space left" in text for text in said) == 1
    assert sum("min_free_GB" in text and "Waiting" in text for text in said) == 1
    assert sum(text.startswith("nothing could be measured: ") and "min_free_GB" in text for text in said) == 1


def test_a_round_whose_sums_were_missed_is_made_good_from_its_particles(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = program().rounds

    def with_fault(*args: Any) -> list[Round]:
        return [replace(round_, fault="chunk 2 is missing") for round_ in real(*args)]

    run(a_watch(project, rounds=with_fault), [0.0])
    assert [f.reason for f in lines_of(project, Failed)] == ["chunk 2 is missing"]
    monkeypatch.setattr(
        "refine_hooks.reconstruct.reconstructed", lambda *_: HalfMaps(*half_maps_of(1), "reconstructed")
    )
    w = a_watch(project, rounds=with_fault, reconstruct="missing")
    run(w, [0.0])
    (record,) = lines_of(project, RoundRecord)
    assert record.half_maps.origin == "reconstructed"
    assert any("chunk 2 is missing" in note for note in record.notes)


def test_a_round_that_was_watched_with_filtered_halves_is_reconstructed_once_that_is_asked_for(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def filtered(*_: Any) -> HalfMaps:
        return HalfMaps(*half_maps_of(1), "regularised")

    def in_the_log() -> list[str]:
        return [record.half_maps.origin for record in lines_of(project, RoundRecord)]

    run(a_watch(project, half_maps=filtered), [0.0, 1.0])
    w = a_watch(project, half_maps=filtered, reconstruct="missing")
    monkeypatch.setattr("refine_hooks.reconstruct.reconstructed", lambda *_: None)
    run(w, [0.0, 1.0])
    assert (in_the_log(), w.counts.measured) == (["regularised"], 0)
    w = a_watch(project, half_maps=filtered, reconstruct="missing")
    monkeypatch.setattr(
        "refine_hooks.reconstruct.reconstructed", lambda *_: HalfMaps(*half_maps_of(1), "reconstructed")
    )
    run(w, [0.0, 1.0])
    assert in_the_log() == ["regularised", "reconstructed"]


@pytest.mark.parametrize("reconstruct", ["missing", "always"])
def test_a_starting_reference_is_not_sought_in_the_particles(
    project: Path, monkeypatch: pytest.MonkeyPatch, reconstruct: Reconstruct
) -> None:
    real, said = program(), list[str]()

    def rounds(*args: Any) -> list[Round]:
        return [replace(r, inputs=SimpleNamespace(origin="regularised", starting=True)) for r in real.rounds(*args)]

    def never(*_: Any) -> HalfMaps:
        raise AssertionError("the particles were asked")

    monkeypatch.setattr("refine_hooks.reconstruct.reconstructed", never)
    options: Any = {"half_maps": lambda *_: HalfMaps(*half_maps_of(1), "regularised"), "reconstruct": reconstruct}
    options["viewing_directions"] = lambda *_: np.eye(18, 36)
    for _ in range(2):
        w = a_watch(project, said, rounds=rounds, **options)
        run(w, [0.0, 1.0])
    (record,) = lines_of(project, RoundRecord)
    assert (record.half_maps.origin, w.counts.measured) == ("regularised", 0)
    assert record.sampling is None  # no map was made with these angles
    assert not any("reconstructed from" in text for text in said)


@pytest.mark.parametrize("before", [None, "regularised"])
def test_half_maps_that_come_after_the_tables_are_measured_though_the_state_is_the_same(
    project: Path, before: Origin | None
) -> None:
    halves = [project / f"it1_half{number}.mrc" for number in (1, 2)]
    real = program()

    def rounds(*args: Any) -> list[Round]:
        origin = "merged" if halves[1].with_suffix(".there").exists() else before
        return [replace(r, inputs=SimpleNamespace(origin=origin)) for r in real.rounds(*args)]

    def half_maps(directory: Path, round_: Round, store: Store) -> HalfMaps | None:
        return HalfMaps(*half_maps_of(1), round_.inputs.origin) if round_.inputs.origin else None

    def ticks() -> Any:
        yield from (0.0, 1.0)
        halves[1].with_suffix(".there").touch()
        yield from (2.0, 3.0)

    for other in sorted(project.glob("it[2-9]*")):
        other.unlink()
    w = a_watch(project, rounds=rounds, half_maps=half_maps)
    run(w, ticks())
    logged = [record.half_maps and record.half_maps.origin for record in lines_of(project, RoundRecord)]
    assert (logged, w.config.reconstruct) == ([before, "merged"], "never")


def test_a_look_asks_nothing_of_rounds_that_were_finished_at_the_last_one(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remembered, asked = program().rounds(project, None, None), []
    w = a_watch(project, rounds=lambda *_: remembered)
    last = type(w.index).last
    monkeypatch.setattr(type(w.index), "last", lambda index, key: (asked.append(key), last(index, key))[1])

    def ticks() -> Any:
        yield from (0.0, 1.0, 2.0)
        assert asked
        asked.clear()
        yield 3.0
        assert asked == []
        remembered[0] = replace(remembered[0], label="anew")
        yield 4.0
        assert set(asked) == {remembered[0].key}

    run(w, ticks())


def test_nothing_is_measured_while_the_disk_is_full(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a disk that is full for hours, each look must cost next to nothing."""
    calls = 0
    real = program().half_maps

    def counted(directory: Path, round_: Round, store: Store) -> HalfMaps:
        nonlocal calls
        calls += 1
        return real(directory, round_, store)

    w = a_watch(project, half_maps=counted)
    usage = shutil.disk_usage(project)
    free = [4 * 32**3]  # less than the four maps of a round need
    monkeypatch.setattr("refine_hooks.log.folder.shutil.disk_usage", lambda path: usage._replace(free=free[0]))

    def ticks() -> Any:
        yield from (0.0, 1.0, 2.0)
        free[0] = 1 << 30
        yield 3.0

    run(w, ticks())
    assert calls == 2
    assert len(lines_of(project, RoundRecord)) == 1


def test_a_watch_is_not_idle_before_a_round_that_it_has_just_seen_can_have_settled(project: Path) -> None:
    real = program().rounds

    def unproven(*args: Any) -> list[Round]:
        return [replace(round_, complete=False) for round_ in real(*args)]

    w = a_watch(project, rounds=unproven)
    before = w.activity.last_s
    run(w, [0.0])
    seen_until = w.activity.last_s
    assert seen_until >= before + w.settings.watch.settle_s
    run(w, [0.0])
    assert w.activity.last_s == seen_until


def test_once_says_what_is_still_awaited(project: Path) -> None:
    (project / "it1_half2.mrc").unlink()
    said: list[str] = []
    w = a_watch(project, said)
    run(w, two_scans(w))
    assert any("still awaited: it1_half2.mrc" in text for text in said)
    assert lines_of(project, Failed) == []


def test_once_waits_for_half_maps_that_are_copied_first_to_come_to_rest(project: Path) -> None:
    real, looks, said = program().rounds, iter(range(100)), list[str]()

    def at_rest_later(*args: Any) -> list[Round]:
        at_rest = next(looks) > 4
        return [round_ if at_rest else replace(round_, missing=(KEPT_FIRST,)) for round_ in real(*args)]

    w = a_watch(project, said, rounds=at_rest_later)
    run(w, two_scans(w))
    assert len(lines_of(project, RoundRecord)) == 1
    assert sum("waiting for the half maps to come to rest" in text for text in said) == 1


def test_how_to_have_unfiltered_half_maps_is_said_once(project: Path) -> None:
    real, said = program().half_maps, list[str]()
    w = a_watch(project, said, half_maps=lambda *given: replace(real(*given), origin="regularised"))
    w.config.opened.unfiltered_by = "refine-hooks install relion"
    run(w, [0.0, 1.0])
    run(w, [0.0])
    assert sum(f"refine-hooks install relion {project}" in text for text in said) == 1


def test_a_second_watcher_says_who_is_there_and_leaves(project: Path) -> None:
    holder = only_writer(project / "refine_hooks", "refine-hooks on node7, process 12")
    with holder, pytest.raises(TakenError, match="node7, process 12"):
        run(a_watch(project), [0.0])
    run(a_watch(project), [0.0])
    assert len(lines_of(project, RoundRecord)) == 1


@pytest.mark.parametrize("moment", ["before a look", "while a round is measured", "at the end"])
def test_a_watch_that_lost_its_lock_to_another_one_writes_nothing_more(project: Path, moment: str) -> None:
    """As on NFS, where the server gives the lock of a machine that is cut off to the next one that asks."""

    def taken() -> None:
        (project / "refine_hooks" / ".lock").write_text("refine-hooks on node7, process 12")

    def half_maps(directory: Path, round_: Round, store: Store) -> HalfMaps:
        if round_.key.iteration == 2:
            taken()
        return program().half_maps(directory, round_, store)

    def ticks() -> Any:
        yield 0.0
        if moment == "while a round is measured":
            write_round(project, 2)
        else:
            taken()
        if moment != "at the end":
            yield 1.0

    with pytest.raises(TakenError, match="node7, process 12 has taken over"):
        run(a_watch(project, half_maps=half_maps), ticks())
    assert [line.key.iteration for line in lines_of(project, RoundRecord)] == [1]
    assert lines_of(project, Stop) == []


@pytest.mark.parametrize("failing", ["the first reading", "the writing"])
def test_a_lock_that_cannot_be_read_or_written_for_a_moment_throws_nobody_out(
    project: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    name, happened = {"the first reading": "read", "the writing": "fsync"}[failing], []
    real = getattr(os, name)

    def once(*args: Any) -> Any:
        if not happened:
            happened.append(args)
            raise OSError(errno.EIO, "Input/output error")
        return real(*args)

    monkeypatch.setattr(f"refine_hooks.files.lock.os.{name}", once)
    with only_writer(project / "refine_hooks", "refine-hooks on node7, process 12") as lock:
        lock.require()
        lock.require()
    assert happened


def test_a_lock_that_other_machines_do_not_see_is_told(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr("refine_hooks.files.file_system.locks_stay_here", lambda out: out == project / "refine_hooks")
    run(a_watch(project, said), [0.0])
    assert any("keeps locks to itself" in text for text in said)


def test_the_lock_dies_with_its_holder(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; from refine_hooks.files.lock import only_writer\n"
        "with only_writer(Path(sys.argv[1]), 'me'): print('held', flush=True); os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("held\n", -signal.SIGKILL)
    with only_writer(tmp_path, "next"):
        pass


def test_a_folder_that_cannot_be_written_to_asks_for_another(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="--out"), only_writer(tmp_path / "file" / "out", "me"):
        pass


def test_a_signal_that_comes_while_the_watch_begins_to_wait_ends_it_all_the_same() -> None:
    stopping = Stopping(threading.Event())
    child = os.fork()
    if child == 0:
        with _signals(stopping):
            with stopping.asked._cond:  # type: ignore[attr-defined]
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(0.01)
            os._exit(not (stopping.asked.wait(5.0) and stopping.why == "terminated"))
    ends_s = time.monotonic() + 8.0
    while (ended := os.waitpid(child, os.WNOHANG)) == (0, 0) and time.monotonic() < ends_s:
        time.sleep(0.01)
    if ended == (0, 0):
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert ended == (child, 0)


@pytest.mark.parametrize(("number", "why"), [(signal.SIGTERM, "terminated"), (signal.SIGINT, "interrupted")])
def test_a_signal_lets_the_round_in_hand_be_finished(project: Path, number: int, why: str) -> None:
    write_round(project, 2)
    real = program().half_maps

    def interrupted(directory: Path, round_: Round, store: Store) -> HalfMaps:
        os.kill(os.getpid(), number)
        return real(directory, round_, store)

    w = a_watch(project, half_maps=interrupted)
    assert run(w, [0.0, 1.0]) == why
    assert len(lines_of(project, RoundRecord)) == 1
    assert lines_of(project, Stop)[-1].reason == why


def test_a_signal_at_rest_speaks_of_no_round_in_hand(tmp_path: Path) -> None:
    said: list[str] = []
    w = a_watch(tmp_path, said)

    def ticks() -> Iterator[float]:
        yield 0.0
        os.kill(os.getpid(), signal.SIGINT)
        yield 1.0

    assert run(w, ticks()) == "interrupted"
    assert any("interrupted: stopping" in text for text in said)
    assert not any("in hand" in text for text in said)


def test_a_signal_at_rest_ends_the_watch_at_once(tmp_path: Path) -> None:
    scanned_at: list[float] = []

    def none(*_: object) -> list[Round]:
        scanned_at.append(time.monotonic())
        threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
        return []

    w = a_watch(tmp_path, rounds=none, overrides={"watch": {"poll_s": 6.0}})
    assert list(watched_lines(w)) == []
    assert (w.stopping.why, time.monotonic() - scanned_at[0] < 4.0) == ("interrupted", True)


@pytest.mark.parametrize(("reconstruct", "told"), [("missing", True), ("never", False)])
def test_what_is_reconstructed_is_said_before_it_begins(
    project: Path, monkeypatch: pytest.MonkeyPatch, reconstruct: Reconstruct, told: bool
) -> None:
    write_round(project, 2)
    listed = program().rounds

    def without_half_maps(*given: Any) -> list[Round]:
        facts = Facts(voxel_size_A=3.0, sphere_radius_A=30.0, particles=70_000)
        return [replace(each, facts=facts, inputs=SimpleNamespace(origin=None)) for each in listed(*given)]

    said: list[str] = []
    began: list[int] = []

    def reconstructed(_: object, round_: Round, __: object, desk: Desk) -> HalfMaps:
        assert any("2 rounds" in text and "140000 particles" in text for text in said)
        began.append(desk.in_all)
        return HalfMaps(*half_maps_of(round_.key.iteration), "reconstructed")

    monkeypatch.setattr("refine_hooks.reconstruct.reconstructed", reconstructed)
    w = a_watch(project, said, rounds=without_half_maps, half_maps=lambda *_: None, reconstruct=reconstruct)
    run(w, two_scans(w))
    assert began == ([140_000, 70_000] if told else [])
    assert any("--reconstruct never" in text for text in said) == told


def test_how_long_all_rounds_take_is_said_after_the_first_thousand_particles(monkeypatch: pytest.MonkeyPatch) -> None:
    said = hear()
    now = iter((0.0, 60.0, 0.0, 30.0))
    monkeypatch.setattr("time.monotonic", lambda: next(now))
    foretell = _Foretelling("run/1/1", 10_000, 50_000)
    foretell(0)
    foretell(1000)
    few = _Foretelling("run/2/1", 600, 40_000)
    few(0)
    few(600)
    first = "run/1/1: about 9 min more for 9000 particles, about 49 min for all 50000 that are still to come, measured on 1000"
    later = "run/2/1: about 33 min for all 40000 that are still to come, measured on 600"
    assert [text.partition("; ")[0] for text in said] == [first, later]


def test_a_second_signal_drops_the_round_in_hand(project: Path) -> None:
    def twice(directory: Path, round_: Round, store: Store) -> HalfMaps:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        raise AssertionError("not reached")

    run(a_watch(project, half_maps=twice), [0.0])
    assert lines_of(project, RoundRecord) == lines_of(project, Failed) == []
    assert lines_of(project, Stop)[-1].reason == "interrupted"


def test_a_mask_of_another_box_is_said_and_does_not_stop_the_round(project: Path, tmp_path: Path) -> None:
    write_map(tmp_path / "mask.mrc", Map(np.ones((8, 8, 8), np.float32), 3.0), "mask")
    run(a_watch(project, overrides={"masks": {"core": str(tmp_path / "mask.mrc")}}), [0.0])
    (record,) = lines_of(project, RoundRecord)
    assert "8 x 8 x 8" in record.mask("core").note
    assert record.curve("core") is None


def test_a_user_s_mask_gets_its_curves_and_its_hash(project: Path, tmp_path: Path) -> None:
    z, y, x = np.indices((BOX,) * 3) - BOX // 2
    soft = np.clip(1.5 - np.sqrt(z**2 + y**2 + x**2) / 8, 0, 1).astype(np.float32)
    path = tmp_path / "mask.mrc"
    write_map(path, Map(soft, 3.0), "mask")
    run(a_watch(project, overrides={"masks": {"core": str(path)}}), [0.0])
    (record,) = lines_of(project, RoundRecord)
    assert record.mask("core").sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert record.curve("core").mask == "core"


@pytest.mark.parametrize(
    ("keep", "left"),
    [
        ({"half_maps": "all"}, [1, 2, 3, 4]),
        ({"half_maps": "last", "last": 2}, [3, 4]),
        ({"half_maps": "every", "every": 2}, [1, 3, 4]),
        ({"most_GB": 0.0004}, [3, 4]),
        ({"most_GB": 0.000001}, [4]),
    ],
)
def test_retention_removes_maps_and_never_lines(project: Path, keep: dict[str, Any], left: list[int]) -> None:
    for iteration in (2, 3, 4):
        write_round(project, iteration)
    out = project / "refine_hooks"
    for iteration in (1, 2, 3, 4):
        for ending in ("mrc", "json"):
            path = out / "local" / "run" / f"it{iteration}_class1_local.{ending}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("as if measured locally")
    run(a_watch(project, overrides={"keep": keep}), [0.0])

    def there(folder: str, ending: str) -> list[int]:
        return sorted(int(path.name[2]) for path in (out / folder / "run").glob(f"*{ending}"))

    assert there("half_maps", "half1.mrc") == left
    assert there("local", ".mrc") == sorted({*left, 3}), "the newest round is compared with the one before it"
    assert there("local", ".json") == [1, 2, 3, 4]
    assert len(lines_of(project, RoundRecord)) == 4
    assert len(list(project.glob("it*_half1.mrc"))) == 4
