"""A log that grows: what is known of it without holding it, and that this says the same as the whole log does."""

import base64
import gc
import json
import re
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from rounds_data import a_failure, a_round, falling, healthy, warned
from small_program import a_watch, lines_of, write_round

from refine_hooks.audit import audit
from refine_hooks.audit.judge import Judge
from refine_hooks.log import file as file_of_log
from refine_hooks.log import file as journal
from refine_hooks.log import summary
from refine_hooks.log.folder import Store
from refine_hooks.log.index import LogIndex
from refine_hooks.log.records import Failed, LogLine, RoundRecord, Start
from refine_hooks.log.summary import HISTORY, listed
from refine_hooks.model import Fingerprint, InputFile, Key
from refine_hooks.report import file
from refine_hooks.report.view import LogView
from refine_hooks.settings import KeepSettings
from refine_hooks.watch.loop import run
from refine_hooks.watch.retention import expired, remove_superseded


def a_night(rounds: int = 3 * HISTORY) -> list[LogLine]:
    """Two classes of one run: better and worse rounds, equal ones, jumps, warnings, failures, gaps and repeated measurements."""
    rng = np.random.default_rng(7)
    lines: list[LogLine] = []
    for number in (n for n in range(1, rounds) if n % 11):
        for class_id in (1, 2):
            shell = 30.0 if number % 7 == 0 else float(rng.integers(18, 40))
            more: dict[str, Any] = {
                "key": Key(run="run", iteration=number, class_id=class_id),
                "particles": int(rng.choice([1000, 1000, 2000])),
                **(warned("other", "warning: something of this program") if number > 4 else {}),
            }
            if number % 13 == 5:
                lines.append(a_failure(number, "torn").model_copy(update={"key": more["key"]}))
                continue
            record = healthy(number, shell, **more)
            if number % 9 == 4:
                fingerprint = Fingerprint(inputs=(InputFile(name="a", size=number, mtime_ns=1),))
                lines.append(record.model_copy(update={"fingerprint": fingerprint}))
            lines.append(record)
    return lines


def test_a_round_is_judged_as_it_arrives_as_the_whole_log_judges_it_then(tmp_path: Path) -> None:
    log = LogIndex(tmp_path / "rounds.jsonl")
    judge = Judge(log)
    lines = a_night(2 * HISTORY)
    rules = set()
    for number, line in enumerate(lines, 1):
        ((offset, length),) = journal.append(log.path, [line])
        log.add(line, offset, length)
        assert isinstance(line, RoundRecord | Failed)
        whole = [finding for finding in audit(lines[:number]) if finding.round == str(line.key)]
        assert judge.findings_of(line) == whole
        rules |= {finding.rule for finding in whole}
    assert {"worse", "missing_round", "program_warning", "repeated_round", "failed_round", "particles_jumped"} <= rules


def test_a_log_that_was_read_later_is_warned_of_as_it_was_while_it_grew(tmp_path: Path) -> None:
    lines = [line for line in a_night() if isinstance(line, RoundRecord)]
    journal.append(tmp_path / "rounds.jsonl", lines)
    grown, later = (LogView.of(tmp_path / "rounds.jsonl") for _ in range(2))
    for log, most in ((grown, 1), (later, 1000)):
        assert log.index.refresh()
        while log.judge.judge(most):
            pass
    warnings = [[row["found"][0] for row in log.rows()] for log in (grown, later)]
    assert warnings[0] == warnings[1]
    assert sum(warnings[0]) > 0


def test_what_a_round_costs_does_not_grow_with_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    real = file_of_log._record_at

    def counted(stream: Any, offset: int, length: int, bare: bool) -> RoundRecord | None:
        read.append(length)
        return real(stream, offset, length, bare)

    monkeypatch.setattr(file_of_log, "_record_at", counted)
    monkeypatch.setattr(summary, "HISTORY", 4)
    w = a_watch(tmp_path)
    before = records_in_memory()

    def ticks():
        for number in range(1, 13):
            write_round(tmp_path, number)
            yield float(number)
            read.append(0)

    run(w, ticks())
    costs = " ".join(str(length) for length in read).split(" 0 ")
    of_a_round = [len(one.split()) for one in costs[:-1]]
    assert max(of_a_round) <= 4 + 6 < 12
    assert records_in_memory() <= before + 2, "records stay on disk"


def records_in_memory() -> int:
    gc.collect()
    return sum(type(one) is RoundRecord for one in gc.get_objects())


def unpacked(held: dict[str, Any]) -> Any:
    return json.loads(zlib.decompress(base64.b64decode(held["deflated"]), -zlib.MAX_WBITS))


def told_by(path: Path) -> dict[str, Any]:
    html = path.read_text(encoding="utf-8")
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.S)
    assert found is not None
    (log,) = json.loads(found[1])["logs"]
    log["rows"] = unpacked(log["rows"])
    assert log.pop("written_at")
    log.pop("watch", None)  # a whole log that was read into memory knows of no watch, and of nothing that is beside it
    for row in log["rows"]:
        row.pop("revision", None)
    elements = re.findall(r'data-round="(.*?)">(.*?)</script>', html, re.S)
    log["details"] = {key: unpacked(json.loads(element)["detail"]) for key, element in elements}
    for detail in log["details"].values():
        detail["local"] = detail["convergence"] = detail["shown"]["local"] = None
    return log


def test_a_report_that_grew_with_the_log_is_the_one_made_from_the_whole_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, most in (("ROUNDS_WITH_CURVES", 4), ("WARNED_WITH_CURVES", 2), ("ROUNDS_WITH_PICTURES", 2)):
        monkeypatch.setattr(file, name, most)
    w = a_watch(tmp_path)

    def ticks():
        for number in range(1, 9):
            write_round(tmp_path, number)
            yield float(number)

    run(w, ticks())
    whole = journal.read_journal(w.store.log)
    grown = told_by(w.store.report)
    assert grown.pop("heard_at")  # of the watch, and not in its log
    w.store.write_text(w.store.report, file.report_html(w.store, whole, audit(whole)))
    assert grown == told_by(w.store.report)
    assert len(grown["rows"]) == 8


def test_a_line_that_is_gone_from_under_a_log_is_left_out_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "rounds.jsonl"
    lines = [healthy(number, 30.0) for number in range(1, 6)]
    journal.append(path, lines)
    log = LogView.of(path)
    log.index.refresh()
    path.write_bytes(path.read_bytes()[: log.index.summary(lines[4].key).place[0]])
    assert log.index.before(Key(run="run", iteration=5, class_id=1)) == lines[3]
    assert log.index.before(Key(run="run", iteration=6, class_id=1)) is None
    assert len(log.rows()) == 5
    text = b"".join(parts_of(log))
    assert b'data-round="run/4/1"' in text
    assert b'data-round="run/5/1"' not in text


def test_many_threads_that_ask_for_different_rounds_get_each_its_own_findings(tmp_path: Path) -> None:
    lines = [line for line in a_night(2 * HISTORY) if isinstance(line, RoundRecord)]
    journal.append(tmp_path / "rounds.jsonl", lines)
    alone, shared = (LogView.of(tmp_path / "rounds.jsonl") for _ in range(2))
    for log in (alone, shared):
        log.index.refresh()
    keys = [line.key for line in lines]
    expected = {key: alone.detail(key)["shown"]["findings"] for key in keys}
    assert sum(map(bool, expected.values())) > 3

    def asked(number: int) -> list[tuple[Key, list[Any]]]:
        order = keys[number:] + keys[:number]
        return [(key, shared.detail(key)["shown"]["findings"]) for key in order]

    with ThreadPoolExecutor(4) as threads:
        answers = [answer for one in threads.map(asked, range(0, 32, 8)) for answer in one]
    wrong = [key for key, found in answers if found != expected[key]]
    assert not wrong, f"{len(wrong)} of {len(answers)}"


def parts_of(log: LogView) -> list[bytes]:
    return list(file.Report(Store(log.index.out)).parts(log))


@pytest.mark.parametrize(
    ("keep", "left"),
    [
        ({"half_maps": "all"}, [0, 1, 2, 3, 4, 5]),
        ({"half_maps": "last", "last": 2}, [4, 5]),
        ({"half_maps": "every", "every": 2}, [0, 2, 4, 5]),
        ({"half_maps": "flagged"}, [1, 3, 5]),
    ],
)
def test_maps_stay_as_the_rule_says_and_the_newest_under_every_rule(keep: dict[str, Any], left: list[int]) -> None:
    rule = KeepSettings.model_validate(keep)
    assert [number for number in range(6) if not expired(rule, number, 6, warned=number in (1, 3))] == left


def test_no_file_stays_of_a_round_that_stands_under_another_key(tmp_path: Path) -> None:
    store, key = Store(tmp_path), Key(run="run", iteration=2, class_id=1)
    local = store.local_path(key, "it2")
    files = (
        *store.half_map_paths(key, "it2"),
        *(store.mask_path(key, "it2", "automask"), store.sharpened_path(key, "it2")),
        *(local, local.with_suffix(".json"), store.analysis_path(key, "it2"), store.record_path(key)),
        store.picture_path(key, "it2", "slices.png"),
    )
    other = store.local_path(key, "it3")
    for path in (*files, other):
        store.write_text(path, "x")
    gone = SimpleNamespace(key=key, label="it2", masks=("automask",))
    remove_superseded(store, SimpleNamespace(superseded=lambda: [gone]))  # type: ignore[arg-type]
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [other]


@pytest.mark.usefixtures("quick_rounds")
def test_maps_of_rounds_that_are_warned_of_are_kept_over_a_restart(tmp_path: Path) -> None:
    keep = {"keep": {"half_maps": "flagged"}}
    for number in range(1, 4):
        write_round(tmp_path, number)
    run(a_watch(tmp_path, overrides=keep), [0.0])
    for number in range(4, 7):
        write_round(tmp_path, number)
    run(a_watch(tmp_path, overrides=keep), [0.0])
    log = journal.read_journal(tmp_path / "refine_hooks" / "rounds.jsonl")
    warned = {finding.round for finding in audit(log) if finding.severity == "warning"}
    there = {str(r.key) for r in log.rounds if (tmp_path / "refine_hooks" / r.half_maps.paths[0]).exists()}
    assert there == warned | {"run/6/1"}
    assert len(lines_of(tmp_path, Start)) == 2


def test_maps_older_than_the_days_go_under_every_rule() -> None:
    for rule in ("all", "last", "every", "flagged"):
        keep = KeepSettings(half_maps=rule, last=9, every=1, days=30.0)
        found = [expired(keep, number, 3, warned=True, age_days=31.0 - number) for number in range(3)]
        assert found == [True, False, False]
    assert not expired(KeepSettings(days=30.0), 2, 3, warned=False, age_days=99.0), "the newest stays"
    assert not expired(KeepSettings(), 0, 3, warned=False, age_days=99.0)


def test_of_many_rounds_the_last_ones_are_listed() -> None:
    keys = [Key(run="run", iteration=number, class_id=1) for number in range(5000)]
    assert listed(keys[:2]) == "run/0/1, run/1/1"
    assert listed(keys).startswith("5000 rounds, the last ones run/4990/1, ")
    assert len(listed(keys)) < 300


def test_rounds_that_others_are_compared_with_are_read_without_the_errors_of_their_curves(tmp_path: Path) -> None:
    path, held = tmp_path / "rounds.jsonl", {}
    note = {"note": 'a text may hold "sd":[1] as well'}
    lines = [a_round({"unmasked": falling(20)}, number) for number in range(1, 4)]
    lines = [line.model_copy(update={"curves": (line.curves[0].model_copy(update=note),)}) for line in lines]
    journal.append(path, lines)
    index = LogIndex(path)
    index.read()
    near = index.beside([lines[2].key], held)
    assert near.rounds == {lines[2].key: lines[2]}
    none = {"sd": None, "randomised_mean": None, "randomised_sd": None}
    assert [line.curves[0] for line in near.lines[:2]] == [line.curves[0].model_copy(update=none) for line in lines[:2]]
    assert list(held.values()) == [lines[2]], "what is held is whole"
    assert index.beside([lines[1].key, lines[2].key], held).lines[1:] == lines[1:]
