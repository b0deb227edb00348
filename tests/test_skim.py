"""Summaries that are read off a line without its numbers."""

import json
import tracemalloc
from pathlib import Path

import pytest
from rounds_data import a_round, falling

from refine_hooks.log.file import append
from refine_hooks.log.index import LogIndex
from refine_hooks.log.skim import skimmed, without_long_arrays
from refine_hooks.log.summary import summary_of


def line(**changes: object) -> bytes:
    record = a_round({"unmasked": falling(20), "sphere": falling(30)}).model_copy(update=changes)
    return record.model_dump_json().encode() + b"\n"


def test_a_summary_is_the_one_of_the_whole_record() -> None:
    record = a_round({"unmasked": falling(20), "sphere": falling(30)})
    assert skimmed(record.model_dump_json().encode() + b"\n") == summary_of(record)


@pytest.mark.parametrize("label", ['a":[1,2', '\\":[1', "Round [7]", 'x":[{', "ÅÅ"])
def test_a_text_that_looks_like_numbers_is_left_alone(label: str) -> None:
    found = skimmed(line(label=label))
    assert found is not None
    assert found.label == label


def test_only_arrays_over_the_shells_are_replaced() -> None:
    table = {"frequency_per_A": [0.5] * 20, "a": [1, 2], "b": list(range(21)), "c": [{"d": [None] * 20}]}
    short = without_long_arrays(json.dumps(table, separators=(",", ":")).encode())
    assert short is not None
    assert json.loads(short) == {"frequency_per_A": [0], "a": [1, 2], "b": list(range(21)), "c": [{"d": [0]}]}


@pytest.mark.parametrize(("name", "value"), [("box_px", "two dozen"), ("voxels_in_shell", [1] * 10)])
def test_a_line_that_was_edited_is_parsed_whole(name: str, value: object) -> None:
    table = json.loads(line())
    assert skimmed(json.dumps({**table, name: value}, separators=(",", ":")).encode() + b"\n") is None


def test_a_torn_line_is_parsed_whole() -> None:
    whole = line()
    middle = whole.index(b'"correlation":[') + 30
    assert skimmed(whole[:middle] + b"\n") is None
    assert skimmed(whole[:middle] + whole) is None


def test_the_rounds_of_a_long_log_stay_on_disk(tmp_path: Path) -> None:
    log = tmp_path / "rounds.jsonl"
    record = a_round({f"mask{number}": falling(20) for number in range(8)})
    keys = [record.key.model_copy(update={"iteration": number}) for number in range(1, 201)]
    append(log, (record.model_copy(update={"key": key}) for key in keys))
    index = LogIndex(log)
    tracemalloc.start()
    index.read()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [known.key for known in index.summaries()] == keys
    assert peak < log.stat().st_size / 2 + (2 << 20)
