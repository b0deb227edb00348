"""Surroundings that are seldom met: times of two seconds, rights that another user takes, rounds that come by the thousand."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from played_time import PlayedClock, PlayedNotifier, PlayedStop
from small_program import a_watch, half_maps_of, lines_of, program, without_root_rights, write_round

from refine_hooks.errors import StorageError
from refine_hooks.files.mrc import read_map, write_map
from refine_hooks.log.file import read_journal
from refine_hooks.log.folder import Store
from refine_hooks.log.index import LogIndex
from refine_hooks.log.records import Failed, RoundRecord
from refine_hooks.model import Facts, Fingerprint, InputFile, Key, Round
from refine_hooks.report.file import Report
from refine_hooks.settings import load_settings
from refine_hooks.watch.loop import Watch, run

pytestmark = pytest.mark.usefixtures("quick_rounds")
GRAIN_NS = 2 * 10**9
_TIMES = ("st_atime", "st_mtime", "st_ctime")


class CoarseStatus:
    """A file's status as a file system has it whose times go by two seconds."""

    def __init__(self, real: os.stat_result) -> None:
        self._real = real

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._real, name)
        if name.removesuffix("_ns") not in _TIMES:
            return value
        return value // GRAIN_NS * GRAIN_NS if name.endswith("_ns") else value // 2 * 2

    def __getitem__(self, index: int) -> Any:
        return self._real[index]


@pytest.fixture
def coarse_times(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("stat", "lstat", "fstat"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *args, _real=real, **more: CoarseStatus(_real(*args, **more)))


def measured(w: Watch) -> dict[str, np.ndarray]:
    """The second half map of each round, which must be logged once."""
    records = [line for line in read_journal(w.store.log).lines if isinstance(line, RoundRecord)]
    keys = [str(record.key) for record in records]
    assert len(keys) == len(set(keys)), keys
    return {str(one.key): read_map(w.store.path(one.half_maps.paths[1])).voxels for one in records}  # type: ignore[union-attr]


@pytest.mark.usefixtures("coarse_times")
def test_a_finished_project_is_measured_once_where_times_go_by_two_seconds(tmp_path: Path) -> None:
    for iteration in (1, 2, 3):
        write_round(tmp_path, iteration)
    for _ in range(2):
        w = a_watch(tmp_path)
        run(w, [0.0])
    assert list(measured(w)) == ["run/1/1", "run/2/1", "run/3/1"]
    assert lines_of(tmp_path, Failed) == []


@pytest.mark.parametrize("kind", ["notifies", "dead"])
@pytest.mark.usefixtures("coarse_times")
def test_what_is_written_again_within_two_seconds_is_what_is_measured(kind: str, tmp_path: Path) -> None:
    """Neither size nor time tells the last two writings apart; the settling time is no shorter than the file system's step."""
    project, began_s = tmp_path / "project", 1_000_000.0
    project.mkdir()

    def half(iteration: int, number: int, content: int) -> None:
        path = project / f"it{iteration}_half{number}.mrc"
        write_map(path, half_maps_of(content)[number - 1], "test")
        os.utime(path, (began_s + clock.now_s,) * 2)
        notifier.notify()

    moments = [(0.2, 1, 1), (1.1, 2, 7), (2.1, 2, 8), (2.5, 2, 9), (3.9, 2, 1)]
    deeds = [
        (20.0 * (it - 1) + at_s, lambda it=it, number=number, content=content: half(it, number, it * content))
        for it in (1, 2, 3)
        for at_s, number, content in moments
    ]
    clock = PlayedClock(deeds, 70.0)
    notifier = PlayedNotifier(clock, kind == "notifies")
    settings = load_settings(
        overrides={"fsc": {"repeats": 2}, "automask": {"enabled": False}, "analysis": {"local": "never"}}
    )
    w = Watch.of(
        project,
        "test",
        program(),
        settings,
        Store(tmp_path / "out"),
        clock=clock,
        asked_to_stop=PlayedStop(clock),
    )
    run(w, w.scan_times(notifier), notifier)
    found = measured(w)
    assert list(found) == ["run/1/1", "run/2/1", "run/3/1"]
    for iteration in (1, 2, 3):
        np.testing.assert_array_equal(found[f"run/{iteration}/1"], half_maps_of(iteration)[1].voxels)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives a folder to another user")
@pytest.mark.parametrize(("taken", "told"), [("project", "cannot be read"), ("", "gone or out of reach")])
def test_a_folder_that_another_user_takes_is_said_once_and_the_watch_goes_on(
    taken: str, told: str, tmp_path: Path
) -> None:
    folder = tmp_path / "home" / taken
    project = tmp_path / "home" / "project"
    project.mkdir(parents=True)
    write_round(project, 1)

    def rounds(*given: Any) -> Any:
        """As an adapter that takes what it may not enter for empty."""
        try:
            return program().rounds(*given)
        except PermissionError:
            return []

    def night() -> str:
        said: list[str] = []
        w = a_watch(project, said, store=Store(tmp_path / "out"), rounds=rounds)

        def ticks() -> Iterator[float]:
            yield from (0.0, 1.0)
            write_round(project, 2)
            folder.chmod(0o700)
            os.chown(folder, 65534, 65534)
            yield from (2.0, 3.0, 4.0)
            assert list(measured(w)) == ["run/1/1"]
            assert len([text for text in said if str(project) in text and told in text]) == 1
            os.chown(folder, 0, 0)
            yield from (5.0, 6.0)

        run(w, ticks())
        assert not any(isinstance(line, Failed) for line in read_journal(w.store.log).lines)
        return " ".join(measured(w))

    assert without_root_rights(night) == "run/1/1 run/2/1"


@pytest.mark.long
def test_of_rounds_that_come_at_three_thousand_a_minute_none_is_lost(tmp_path: Path) -> None:
    """Fifty at each of ten looks, of seven runs; a second reader of the log looks after each, as a live page does."""
    come: list[Round] = []
    w = a_watch(tmp_path, rounds=lambda *_: list(come), half_maps=lambda *_: None)
    reader, seen = LogIndex(w.store.log), []

    def ticks() -> Iterator[float]:
        for second in range(10):
            for number in range(50 * second, 50 * second + 50):
                come.append(a_round(number))
            yield float(second)
            reader.refresh()
            seen.append(len(reader.summaries()))

    run(w, ticks())
    lines = read_journal(w.store.log).lines
    keys = [str(line.key) for line in lines if isinstance(line, RoundRecord)]
    assert sorted(keys) == sorted(str(round_.key) for round_ in come)
    assert not any(isinstance(line, Failed) for line in lines)
    assert seen == [50 * second for second in range(1, 11)]
    assert [summary.key for summary in reader.summaries()] == [summary.key for summary in w.index.summaries()]


def test_of_rounds_that_come_at_once_the_report_takes_a_small_share(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each writing of it takes a second here, and nothing else takes any time."""
    come, now, written = [], [0.0], []

    def write(report: Report, view: Any) -> None:
        now[0] += 1.0
        written.append(len(list(view.rows())))

    monkeypatch.setattr("refine_hooks.notify.observers.time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(Report, "write", write)

    def measured(*_: Any) -> None:
        now[0] += 0.5

    def ticks() -> Iterator[float]:
        for number in range(40):
            come.append(a_round(number))
        yield 0.0
        yield 1.0
        come.append(a_round(40))
        yield 2.0
        assert written[-1] == 40
        yield 3.0
        assert written[-1] == 41

    run(a_watch(tmp_path, rounds=lambda *_: list(come), half_maps=measured), ticks())
    assert written == [1, 21, 40, 41, 41]


@pytest.mark.parametrize("back", [True, False])
def test_a_folder_that_takes_the_place_of_the_output_folder_gets_nothing(back: bool, tmp_path: Path) -> None:
    """As the mount point of a share that was named with --out itself."""
    out, away, said = tmp_path / "out", tmp_path / "away", []
    write_round(tmp_path, 1)

    def ticks() -> Iterator[float]:
        yield from (0.0, 1.0)
        out.rename(away)
        out.mkdir()
        write_round(tmp_path, 2)
        yield from (2.0, 3.0)
        assert list(out.iterdir()) == []
        if back:
            out.rmdir()
            away.rename(out)
            yield from (4.0, 5.0)

    run(a_watch(tmp_path, said, store=Store(out)), ticks())
    assert back or list(out.iterdir()) == []
    expected = ["run/1/1", "run/2/1"] if back else ["run/1/1"]
    assert [str(one.key) for one in read_journal((out if back else away) / "rounds.jsonl").rounds] == expected
    assert any("nothing is written until it is back" in text for text in said)


def test_a_report_that_could_not_be_written_is_written_once_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_round(tmp_path, 1)
    said: list[str] = []
    full, write = [True], Report.write

    def refused(report: Report, view: Any) -> Any:
        if full:
            raise StorageError("report.html: cannot be written (Disk quota exceeded)")
        return write(report, view)

    def ticks() -> Iterator[float]:
        yield from (0.0, 1.0, 2.0, 3.0)
        full.clear()
        yield 4.0
        assert (tmp_path / "refine_hooks" / "report.html").exists()

    monkeypatch.setattr(Report, "write", refused)
    run(a_watch(tmp_path, said), ticks())
    assert len([text for text in said if "Disk quota exceeded" in text]) == 1


@pytest.mark.skipif(not os.path.exists("/proc/self/oom_score_adj"), reason="Linux tells it")
def test_where_memory_runs_out_the_watch_is_ended_before_the_refinement(tmp_path: Path) -> None:
    write_round(tmp_path, 1)
    score, seen = Path("/proc/self/oom_score_adj"), []
    before = int(score.read_text())

    def half_maps(*given: Any) -> None:
        seen.append(int(score.read_text()))

    run(a_watch(tmp_path, half_maps=half_maps), [0.0])
    assert seen == [max(before, 500)]
    assert int(score.read_text()) == before


def test_a_link_that_leads_in_a_circle_is_a_fault_in_words(tmp_path: Path) -> None:
    (tmp_path / "half_maps").symlink_to("half_maps")
    with pytest.raises(StorageError, match="half_maps: cannot be reached"):
        Store(tmp_path).require_own_folders()


def test_a_round_that_failed_for_long_is_measured_as_soon_as_the_share_is_back(tmp_path: Path) -> None:
    write_round(tmp_path, 1)
    away: list[str] = []

    def failing(name: str) -> Any:
        def called(*given: Any) -> Any:
            if name in away:
                raise OSError(errno.EIO, "Input/output error")
            return getattr(program(), name)(*given)

        return called

    w = a_watch(tmp_path, [], rounds=failing("rounds"), half_maps=failing("half_maps"))

    def ticks() -> Iterator[float]:
        away.append("half_maps")
        yield from range(40)
        away.append("rounds")
        yield 40.0
        away.clear()
        yield 41.0
        assert [str(line.key) for line in lines_of(tmp_path, RoundRecord)] == ["run/1/1"]

    run(w, ticks())


def a_round(number: int) -> Round:
    key = Key(run=f"run_{number % 7}", iteration=number // 7 + 1, class_id=1)
    fingerprint = Fingerprint(inputs=(InputFile(name=f"{key}.mrc", size=1, mtime_ns=number),))
    return Round(key, "test", f"it{key.iteration}", fingerprint, Facts(), complete=True, inputs=())
