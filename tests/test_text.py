"""Tables for a terminal: everything that was asked for, and nothing broken where it is narrow."""

import io
import json
from pathlib import Path

import pytest
from command_line import cli
from rich.console import Console
from rounds_data import a_failure, a_round, falling, healthy, reported

import refine_hooks
from refine_hooks.audit import Finding, audit
from refine_hooks.log.directions import Sampling
from refine_hooks.log.file import Journal, append
from refine_hooks.log.headline import with_headline
from refine_hooks.log.masks import MaskRecord
from refine_hooks.log.records import HalfMapsRecord, RoundRecord, Start, now
from refine_hooks.model import Key
from refine_hooks.report.text import row_of, screen, show_findings, show_round, show_rows
from refine_hooks.report.words import origin_words
from refine_hooks.watch.products import one_line

FAILED = a_failure(9, "chunk 2 is [torn]")
START = Start(started_at=now(), project="/data/p", program="test", versions={}, settings={}, host="h", pid=1)
RICH = {
    "unmasked": falling(24),
    "sphere": falling(25),
    "sphere_scaled": falling(36),
    "refinement": falling(29),
    "refinement_corrected": falling(29),
    "user": falling(28),
    "user_corrected": falling(28),
    "core": falling(27),
    "core_corrected": falling(27),
    "automask": falling(30),
    "automask_corrected": falling(30),
}


def full_round(iteration: int, **more: object) -> RoundRecord:
    return a_round(RICH, iteration, particles=123456, reported=reported(4.44, "FSC = 0.143"), **more)


def printed(width: int, log: Journal) -> str:
    out = io.StringIO()
    found = audit(log)
    rows = [row_of(record, [one for one in found if one.round == str(record.key)]) for record in log.rounds]
    show_rows(rows, log.failures, Console(file=out, width=width))
    return out.getvalue()


def test_a_wide_terminal_shows_every_mask_interval_change_particles_and_findings() -> None:
    log = Journal((full_round(1), full_round(2)))
    text = printed(170, log)
    head, body = text.split("run/1/1")
    for title in (
        "label",
        "halves",
        "scaled",
        "sphere",
        "refinement",
        "your",
        "core",
        "automask",
        "interval",
        "change",
    ):
        assert title in head
    for title in ("program", "particles", "warn-", "notes"):
        assert title in head
    record = log.rounds[1]
    row = next(line for line in body.splitlines() if line.startswith("run/2/1"))
    for name in (
        "sphere",
        "sphere_scaled",
        "refinement_corrected",
        "user_corrected",
        "core_corrected",
        "automask_corrected",
    ):
        assert f"{record.curve(name).resolution_A:.2f}" in row  # type: ignore[union-attr]
    coarse, fine = record.headline_curve().interval_A  # type: ignore[union-attr,misc]
    warnings = sum(f.round == "run/2/1" and f.severity == "warning" for f in audit(log))
    assert f"{coarse:.2f}-{fine:.2f}" in row
    assert row.split()[-5:-1] == ["+0.00", "4.44", "123456", str(warnings)]


@pytest.mark.parametrize("width", [60, 80, 100, 140])
def test_a_narrow_terminal_gets_fewer_columns_and_whole_numbers(width: int) -> None:
    log = Journal((full_round(1), full_round(2)))
    text = printed(width, log)
    lines = text.splitlines()
    assert all(len(line) <= width for line in lines)
    row = next(line for line in lines if line.startswith("run/2/1"))
    assert f"{log.rounds[1].headline_curve().resolution_A:.2f}" in row  # type: ignore[union-attr]
    assert "+0.00" in row
    assert sum(line.startswith("run/") for line in lines) == 2


@pytest.mark.parametrize("width", [40, 80, 200])
def test_a_terminal_of_any_width_shows_every_number_of_a_round(width: int) -> None:
    record, out = full_round(1), io.StringIO()
    show_round(record, (), Console(file=out, width=width))
    for curve in record.curves:
        assert f"{curve.resolution_at_half_A:.2f}" in out.getvalue()


def test_what_a_user_s_own_pattern_found_is_told_to_be_the_user_s_word() -> None:
    halves = HalfMapsRecord(origin="found", paths=("a", "b"))
    assert "the user's word" in origin_words(halves, "generic")
    assert "the user's word" not in origin_words(halves, "relion")


def test_what_the_table_of_rounds_leaves_out_is_named() -> None:
    log = Journal((full_round(1),))
    assert "Not shown at 60 characters: " in printed(60, log)
    assert "Not shown" not in printed(250, log)


def test_the_change_is_against_the_last_round_that_is_quoted_by_the_same_curve() -> None:
    other = a_round({"sphere": falling(20)}, 2)
    text = printed(120, Journal((healthy(1, 26), other, healthy(3, 30))))
    rows = {line.split()[0]: line for line in text.splitlines() if line.startswith("run/")}
    change = healthy(3, 30).headline_curve().resolution_A - healthy(1, 26).headline_curve().resolution_A  # type: ignore[union-attr,operator]
    assert f"{change:+.2f}" not in rows["run/3/1"], "a round by another curve lies between"
    assert "+" not in rows["run/2/1"]
    steady = printed(120, Journal((healthy(1, 26), healthy(3, 30))))
    assert f"{change:+.2f}" in steady


def test_a_failed_round_and_an_empty_log_are_said() -> None:
    assert "run/9/1 Round 9: FAILED: chunk 2 is [torn]" in printed(120, Journal((START, healthy(1), FAILED)))
    assert "FAILED" in printed(120, Journal((START, FAILED)))
    assert "holds no round yet" in printed(120, Journal((START,)))


def test_one_round_is_shown_with_its_files_hashes_rules_and_notes() -> None:
    masks = (
        MaskRecord(
            name="automask", role="automask", path="masks/a.mrc", sha256="ab" * 32, volume_A3=2e5, volume_fraction=0.02
        ),
        MaskRecord(
            name="refinement", role="refinement", volume_A3=0, volume_fraction=0, note="not used: the mask was deleted"
        ),
    )
    halves = HalfMapsRecord(origin="merged", paths=("half_maps/1.mrc", "half_maps/2.mrc"), images=(10, 11))
    record = full_round(1, masks=masks, half_maps=halves, notes=("a note [of] the round",), alignment_limit_A=8.0)
    out = io.StringIO()
    show_round(record, audit(Journal((record,))), Console(file=out, width=200))
    text = out.getvalue()
    for fact in (
        "half_maps/1.mrc",
        "half_maps/2.mrc",
        "ab" * 32,
        "not used: the mask was deleted",
        "- a note [of] the round",
        "first crossing of 0.143",
        "123456 particles",
        "up to 8.00 A",
        "the program states 4.44 A (FSC = 0.143)",
        "from the Fourier sums",
    ):
        assert fact in text
    assert all(name in text for name in RICH)


def shown(findings: list[Finding]) -> list[str]:
    out = io.StringIO()
    show_findings(findings, Console(file=out, width=80))
    return [line.strip() for line in out.getvalue().splitlines()]


def test_findings_stand_below_their_round_with_warnings_first() -> None:
    log = Journal((healthy(1, 34), healthy(2, 26, alignment_limit_A=4.0, particles=3)))
    lines = shown(audit(log))
    marks = [line.split()[0] for line in lines if line.startswith(("warning [", "note ["))]
    assert "run/2/1" in lines
    assert marks == sorted(marks, reverse=True)
    assert "warning" in marks


def test_each_curve_of_a_round_that_a_rule_doubts_is_said() -> None:
    doubted = [("run/1/1", "a"), ("run/1/1", "b"), ("run/2/1", "c"), ("run/2/1", "d")]
    findings = [Finding(round=key, rule="scaled_curve", severity="warning", message=name) for key, name in doubted]
    assert [line for line in shown(findings[2:]) if line] == [
        "run/2/1",
        "warning [scaled_curve] c",
        "warning [scaled_curve] d",
    ]
    assert [line for line in shown(findings) if line] == [
        "run/1/1, run/2/1",
        "warning [scaled_curve] the newest, run/2/1: c",
        "warning [scaled_curve] d",
    ]


def test_what_concerns_thirty_rounds_is_said_once_with_the_rounds_and_fits_on_a_screen() -> None:
    findings = audit(Journal(tuple(healthy(number, alignment_limit_A=4.0) for number in range(1, 31))))
    assert len(findings) > 30
    lines = shown(findings)
    assert any(line.startswith("30 rounds: run/1/1, run/2/1, ..., run/30/1") for line in lines)
    assert sum("[limit_unsupported]" in line for line in lines) == 1
    assert len(lines) < 40


def test_show_prints_one_record_or_all_as_json(tmp_path: Path) -> None:
    views = Sampling(
        factor=0.5, factor_sd=0.01, unseen=0, lowest=0.2, lowest_axis=(0, 0, 1), highest=2, highest_axis=(1, 0, 0)
    )
    append(tmp_path / "rounds.jsonl", [START, healthy(1), healthy(2, sampling=views)])
    one = json.loads(cli("show", "run/2/1", "--log", tmp_path, "--json").stdout)
    (limit,) = [limit for limit in one.pop("limits") if limit["kind"] == "views"]
    assert (limit["value"], limit["unit"]) == (2.0, "times")
    assert limit["interval"] == pytest.approx([1 / 0.516, 1 / 0.484], abs=0.002)
    assert limit["sentence"] in cli("show", "run/2/1", "--log", tmp_path).stdout.replace("\n", " ")
    record = RoundRecord.model_validate(one)
    assert record.key == Key(run="run", iteration=2, class_id=1)
    assert limit in [one.model_dump(mode="json") for one in refine_hooks.what_limits(record)]
    assert ["limits" in one for one in json.loads(cli("show", "--log", tmp_path, "--json").stdout)] == [True, True]
    assert "run/2/1" in cli("show", "--log", tmp_path).stdout
    assert "first crossing of 0.143" in cli("show", "run/2/1", "--log", tmp_path).stdout
    wrong = cli("show", "2", "--log", tmp_path)
    assert (wrong.returncode, "RUN/ITERATION/CLASS" in wrong.stderr) == (1, True)


def test_audit_fails_on_what_it_is_asked_to_fail_on(tmp_path: Path) -> None:
    quiet, noted, lying = (tmp_path / name for name in ("quiet", "noted", "lying"))
    for folder in (quiet, noted, lying):
        folder.mkdir(exist_ok=True)
    append(
        quiet / "rounds.jsonl",
        [a_round({"sphere": falling(29), "automask": falling(29.5), "automask_corrected": falling(29.5)})],
    )
    append(noted / "rounds.jsonl", [healthy(1, particles=10), healthy(2, 31, particles=99)])
    append(lying / "rounds.jsonl", [healthy(1, alignment_limit_A=4.0)])
    codes = {
        (place.name, level): cli("audit", place, *level).returncode
        for place in (quiet, noted, lying)
        for level in ((), ("--fail-on", "note"), ("--fail-on", "warning"))
    }
    failing = {key for key, code in codes.items() if code == 4}
    assert failing == {
        ("noted", ("--fail-on", "note")),
        ("lying", ("--fail-on", "note")),
        ("lying", ("--fail-on", "warning")),
    }
    found = json.loads(cli("audit", lying, "--json").stdout)
    assert {"rule", "severity", "round", "curve", "shells", "message", "evidence"} <= set(found[0])
    assert "Set the next round's" in cli("audit", lying).stdout
    assert cli("audit", lying, "--fail-on", "all").returncode == 2


def test_no_number_stands_where_the_halves_were_filtered_by_the_program() -> None:
    halves = HalfMapsRecord(origin="regularised", paths=("a", "b"))
    record = with_headline(full_round(1, half_maps=halves))
    numbers = {f"{curve.resolution_A:.2f}" for curve in record.curves if curve.resolution_A is not None}
    row = next(line for line in printed(170, Journal((record,))).splitlines() if line.startswith("run/1/1"))
    assert "filtered" in row
    line = one_line(record)
    assert "the program filters" in line
    assert "4.44 A" in line
    for number in numbers:
        assert number not in row
        assert number not in line
    out = io.StringIO()
    show_round(record, (), Console(file=out, width=100))
    assert "No resolution is stated." in out.getvalue()


@pytest.mark.parametrize("coloured", [False, True])
def test_numbers_are_looked_for_where_colours_are_seen_alone(coloured: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TTY_COMPATIBLE", str(int(coloured)))
    monkeypatch.setenv("FORCE_COLOR", "1" if coloured else "")
    assert bool(screen().render_str("8.38 A").spans) is coloured
