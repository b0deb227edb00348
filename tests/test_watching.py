"""Whether a watch is alive, as log and page say it; and that nothing poorer takes the place of a better result."""

import asyncio
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from heard import hear
from rounds_data import healthy
from small_program import a_watch, half_maps_of, lines_of, write_round

from refine_hooks.files.mrc import Map, read_map
from refine_hooks.log.file import append
from refine_hooks.log.folder import Store
from refine_hooks.log.index import LogIndex
from refine_hooks.log.records import RoundRecord, Start, Stop, now
from refine_hooks.log.watching import watching
from refine_hooks.model import HalfMaps, Key, Origin
from refine_hooks.serve.app import keep_looking
from refine_hooks.serve.collection import LogCollection
from refine_hooks.serve.events import Hub
from refine_hooks.watch import products
from refine_hooks.watch.loop import run

pytestmark = pytest.mark.usefixtures("quick_rounds")


def a_start(pid: int, host: str = "elsewhere") -> Start:
    settings = {"watch": {"poll_s": 3.0}}
    return Start(started_at=now(), project="/p", program="t", versions={}, settings=settings, host=host, pid=pid)


@pytest.mark.parametrize(
    ("lines", "age_s", "state"),
    [
        ([healthy()], 0, "not watched"),
        ([a_start(1)], 5, "live"),
        ([a_start(1)], 7, "stalled"),
        ([a_start(4194304 - 1, os.uname().nodename)], 7, "stopped"),
        ([a_start(os.getpid(), os.uname().nodename)], 7, "stalled"),
        ([a_start(1), Stop(stopped_at=now(), reason="", rounds_measured=0, rounds_failed=0)], 0, "stopped"),
    ],
)
def test_a_watch_is_live_while_it_was_heard_of_within_twice_its_pause(
    tmp_path: Path, lines: list[Any], age_s: float, state: str
) -> None:
    append(tmp_path / "rounds.jsonl", lines)
    (tmp_path / ".lock").touch()
    os.utime(tmp_path / ".lock", (time.time() - age_s,) * 2)
    index = LogIndex(tmp_path / "rounds.jsonl")
    index.refresh()
    assert watching(index).state == state


def test_a_watch_is_heard_of_while_it_runs_and_stopped_afterwards(tmp_path: Path) -> None:
    w = a_watch(tmp_path, overrides={"watch": {"settle_s": 0.0, "poll_s": 0.05}})
    states = []

    def ticks():
        yield 0.0
        os.utime(w.store.out / ".lock", (0, 0))
        end = time.monotonic() + 10
        while watching(w.index).state != "live" and time.monotonic() < end:
            time.sleep(0.05)
        states.append(watching(w.index).state)

    run(w, ticks())
    assert [*states, watching(w.index).state] == ["live", "stopped"]


def test_the_live_page_goes_on_after_a_look_that_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    append(tmp_path / "rounds.jsonl", [healthy()])
    logs, hub, said = LogCollection(tmp_path / "rounds.jsonl"), Hub(), []
    hear(said)
    real, failing = logs.refresh, [OSError(24, "Too many open files")] * 3

    def refresh(_: LogCollection) -> Any:
        if failing:
            raise failing.pop()
        return real()

    monkeypatch.setattr(LogCollection, "refresh", refresh)

    async def story() -> str | None:
        place, turn = hub.enter(), asyncio.Semaphore(5)
        assert place is not None
        task = asyncio.create_task(keep_looking(logs, hub, turn.acquire))
        told = await asyncio.wait_for(place.get(), 30)
        task.cancel()
        return told

    told = asyncio.run(story())
    assert told is not None
    assert told.startswith("event: logs")
    assert sum("Too many open files" in text for text in said) == 1


def test_as_many_streams_are_given_as_there_are_places_and_each_place_comes_back() -> None:
    async def story() -> None:
        hub = Hub(most=3)
        places = [hub.enter() for _ in range(5)]
        assert [place is not None for place in places] == [True] * 3 + [False] * 2
        assert places[0] is not None
        hub.leave(places[0])
        assert hub.enter() is not None

    asyncio.run(story())


@dataclass(frozen=True)
class Inputs:
    one: Path
    two: Path


ORDER: list[Origin | None] = [None, "regularised", "reconstructed", "merged"]


@pytest.mark.parametrize("better", ORDER[1:])
@pytest.mark.parametrize("poorer", ORDER[:-1])
def test_a_poorer_result_never_takes_the_place_of_a_better_one(
    tmp_path: Path, better: Origin, poorer: Origin | None
) -> None:
    write_round(tmp_path, 1)
    given: list[Origin | None] = [better]

    def half_maps(*_: object) -> HalfMaps | None:
        one, two = half_maps_of(1)
        return None if given[0] is None else HalfMaps(one, two, given[0], images=(10, 10))

    run(a_watch(tmp_path, half_maps=half_maps), [0.0])
    (first,) = lines_of(tmp_path, RoundRecord)
    maps = {path: path.read_bytes() for path in (tmp_path / "refine_hooks" / "half_maps").rglob("*.mrc")}
    os.utime(tmp_path / "it1_half1.mrc", (1, 1))
    given[0] = poorer
    run(a_watch(tmp_path, half_maps=half_maps), [0.0, 1.0, 2.0])
    records = lines_of(tmp_path, RoundRecord)
    if ORDER.index(poorer) < ORDER.index(better):
        assert records == [first]
        assert {path: path.read_bytes() for path in maps} == maps
    else:
        assert len(records) == 2


def test_inputs_that_are_gone_are_no_reason_to_measure_again(tmp_path: Path) -> None:
    write_round(tmp_path, 1)
    run(a_watch(tmp_path), [0.0])
    (record,) = lines_of(tmp_path, RoundRecord)
    (tmp_path / "it1_half2.mrc").unlink()
    asked: list[object] = []
    w = a_watch(tmp_path, half_maps=lambda *_: asked.append(1))
    run(w, [0.0, 1.0])
    assert lines_of(tmp_path, RoundRecord) == [record]
    assert not asked


def test_a_file_of_better_half_maps_is_never_written_over_though_the_log_is_gone(tmp_path: Path) -> None:
    store, key, voxels = Store(tmp_path), Key(run="r", iteration=1, class_id=1), np.zeros((8, 8, 8), np.float32)

    def written(origin: Origin, value: float) -> tuple[str, str]:
        halves = HalfMaps(Map(voxels + value, 2.0), Map(voxels + value, 2.0), origin)
        paths = products.write_half_maps(store, key, "it1", halves).paths
        assert paths is not None
        return paths

    merged = written("merged", 1.0)
    poorer = written("reconstructed", 2.0)
    assert not set(merged) & set(poorer)
    assert read_map(tmp_path / merged[0]).voxels.max() == 1.0
    assert read_map(tmp_path / poorer[0]).voxels.max() == 2.0
    assert written("merged", 3.0) == merged
