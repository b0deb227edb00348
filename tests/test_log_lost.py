"""A log that is cut, emptied, deleted or replaced while a watch writes to it."""

import gzip
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from small_program import a_watch, half_maps_of, lines_of, write_round

from refine_hooks.files.mrc import write_map
from refine_hooks.log.file import append
from refine_hooks.log.records import RoundRecord, Start, Stop
from refine_hooks.watch import log_writer
from refine_hooks.watch.loop import run

pytestmark = pytest.mark.usefixtures("quick_rounds")

FAST = {"automask": {"enabled": False}, "fsc": {"repeats": 2}}


def deleted(log: Path) -> None:
    log.unlink()


def emptied(log: Path) -> None:
    log.write_bytes(b"")


def cut_within_a_line(log: Path) -> None:
    os.truncate(log, log.stat().st_size - 100)


def replaced_by_less(log: Path) -> None:
    first = log.read_bytes().splitlines(keepends=True)[0]
    log.with_name("other").write_bytes(first)
    log.with_name("other").replace(log)


HARMS = (deleted, emptied, cut_within_a_line, replaced_by_less)


@pytest.mark.parametrize("harm", HARMS, ids=lambda harm: harm.__name__)
@pytest.mark.parametrize("then", ["another round", "rest"])
def test_a_log_that_is_harmed_while_it_is_written_holds_every_round_in_the_end(
    tmp_path: Path, harm: Callable[[Path], None], then: str
) -> None:
    write_round(tmp_path, 1)
    run(a_watch(tmp_path, overrides=FAST), [0.0])
    said: list[str] = []
    w = a_watch(tmp_path, said, FAST)

    def ticks() -> Iterator[float]:
        write_round(tmp_path, 2)
        yield 0.0
        harm(w.store.log)
        if then == "another round":
            write_round(tmp_path, 3)
        yield 1.0
        yield 2.0

    run(w, ticks())
    logged = [str(line.key) for line in lines_of(tmp_path, RoundRecord)]
    assert sorted(logged) == ["run/1/1", "run/2/1"] + (["run/3/1"] if then == "another round" else [])
    assert len(lines_of(tmp_path, Stop)) >= 1
    assert lines_of(tmp_path, Start)
    assert sum("while it is written to" in text for text in said) == 1


def test_rounds_of_earlier_watches_whose_files_are_gone_are_written_again(tmp_path: Path) -> None:
    write_round(tmp_path, 1)
    run(a_watch(tmp_path, overrides=FAST), [0.0])
    for path in tmp_path.glob("it1_*"):
        path.unlink()
    before = lines_of(tmp_path, RoundRecord)
    w = a_watch(tmp_path, [], FAST)

    def ticks() -> Iterator[float]:
        yield 0.0
        emptied(w.store.log)
        yield 1.0

    run(w, ticks())
    assert lines_of(tmp_path, RoundRecord) == before


def test_of_very_many_lines_only_the_last_ones_are_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_writer, "MOST_HELD_BYTES", 1)
    w = a_watch(tmp_path, [], FAST)
    write_round(tmp_path, 1)
    run(w, [0.0])
    assert len(w.log._held) == 1


def cut_to_a_third(log: Path) -> None:
    os.truncate(log, log.stat().st_size // 3)


def removed_with_its_index(log: Path) -> None:
    log.unlink()
    log.with_suffix(".index").unlink(missing_ok=True)


@pytest.mark.parametrize(
    "harm", [emptied, cut_to_a_third, replaced_by_less, removed_with_its_index], ids=lambda harm: harm.__name__
)
def test_a_log_that_is_harmed_while_no_watch_runs_gets_its_rounds_back(
    tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    for number in (1, 2):
        write_round(tmp_path, number)
    run(a_watch(tmp_path, overrides=FAST), [0.0])
    before = lines_of(tmp_path, RoundRecord)
    for path in tmp_path.glob("it*"):
        path.unlink()
    harm(tmp_path / "refine_hooks" / "rounds.jsonl")
    said: list[str] = []
    run(a_watch(tmp_path, said, FAST), [0.0, 1.0])
    assert lines_of(tmp_path, RoundRecord) == before
    assert sum("measured before and not in it" in text for text in said) == 1
    run(a_watch(tmp_path, said, FAST), [0.0])
    assert lines_of(tmp_path, RoundRecord) == before


def test_a_round_that_was_measured_again_comes_back_as_it_was_last(tmp_path: Path) -> None:
    write_round(tmp_path, 1)
    run(a_watch(tmp_path, overrides=FAST), [0.0])
    write_map(tmp_path / "it1_half1.mrc", half_maps_of(2)[0], "again")
    run(a_watch(tmp_path, overrides=FAST), [0.0])
    last = lines_of(tmp_path, RoundRecord)[-1]
    deleted(tmp_path / "refine_hooks" / "rounds.jsonl")
    run(a_watch(tmp_path, overrides=FAST), [0.0])
    assert lines_of(tmp_path, RoundRecord) == [last]


def test_copies_that_are_harmed_or_of_elsewhere_are_passed_over(tmp_path: Path) -> None:
    for number in range(1, 6):
        write_round(tmp_path, number)
    run(a_watch(tmp_path, overrides=FAST), [0.0])
    before = lines_of(tmp_path, RoundRecord)
    folder = tmp_path / "refine_hooks" / "records" / "run"
    one, two, three, four, five = sorted(folder.iterdir())
    one.write_bytes(one.read_bytes()[:-200])
    two.write_bytes(gzip.compress(b"[" * 100_000))
    three.unlink()
    os.mkfifo(three)
    four.rename(four.with_name("9_class1.json.gz"))
    for path in tmp_path.glob("it*"):
        path.unlink()
    deleted(tmp_path / "refine_hooks" / "rounds.jsonl")
    said: list[str] = []
    run(a_watch(tmp_path, said, FAST), [0.0])
    assert five.is_file()
    assert lines_of(tmp_path, RoundRecord) == before[-1:]
    assert [
        text for text in said if "half maps of rounds that the log does not hold" in text and "3 more pairs" in text
    ]


def test_a_round_that_is_known_by_another_name_since_is_not_brought_back(tmp_path: Path) -> None:
    write_round(tmp_path, 1)
    w = a_watch(tmp_path, overrides=FAST)
    run(w, [0.0])
    record = lines_of(tmp_path, RoundRecord)[0]
    copy = w.store.record_path(record.key)
    kept = copy.read_bytes()
    named = record.model_copy(update={"key": record.key.model_copy(update={"run": "named"}), "supersedes": record.key})
    append(w.store.log, [named])
    copy.write_bytes(kept)
    (tmp_path / "it1_half1.mrc").unlink()
    run(a_watch(tmp_path, overrides=FAST), [0.0])
    assert [line.key.run for line in lines_of(tmp_path, RoundRecord)] == ["run", "named"]
