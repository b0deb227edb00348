"""One log, one answer: whoever reads a log uses the settings that it was written with, and ``--config`` laid over them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rounds_data import healthy
from starlette.testclient import TestClient
from test_report import content_of

from refine_hooks.audit import Finding
from refine_hooks.cli._commands import application as commands
from refine_hooks.log.file import append
from refine_hooks.log.records import Start, now
from refine_hooks.report import deposit, plot
from refine_hooks.serve.app import application
from refine_hooks.serve.collection import collection_at
from refine_hooks.serve.events import Hub
from refine_hooks.settings import own_table

LAST = "run/2/1"
Answers = dict[str, set[str]]


def of_the_command_line(*arguments: object) -> None:
    commands()([str(argument) for argument in arguments], standalone_mode=False)


def by_audit(log: Path, config: list[object], capsys: pytest.CaptureFixture[str]) -> set[str]:
    capsys.readouterr()
    of_the_command_line("audit", log, "--json", *config)
    return {found["rule"] for found in json.loads(capsys.readouterr().out) if found["round"] == LAST}


def by_show(log: Path, config: list[object], capsys: pytest.CaptureFixture[str]) -> set[str]:
    capsys.readouterr()
    of_the_command_line("show", log, LAST, *config)
    told = capsys.readouterr().out
    return {part.partition("]")[0] for part in told.split("[")[1:]}


def by_report(log: Path, config: list[object], capsys: pytest.CaptureFixture[str]) -> set[str]:
    target = log.parent / "r.html"
    of_the_command_line("report", log, "--out", target, *config)
    content = content_of(target.read_text(encoding="utf-8"))
    return {found["rule"] for found in content["details"][LAST]["shown"]["findings"]}


def by_the_page(log: Path, config: list[object], capsys: pytest.CaptureFixture[str]) -> set[str]:
    logs = collection_at(log, own_table(config[1] if config else None))  # type: ignore[arg-type]

    async def never() -> None:
        raise AssertionError("nobody looks")

    asked = TestClient(application(logs, Hub(), never), base_url="http://127.0.0.1")
    told = asked.get(f"/api/log/{next(iter(logs.logs))}/round", params={"key": LAST}).json()
    return {found["rule"] for found in told["shown"]["findings"]}


READERS: dict[str, Callable[[Path, list[object], pytest.CaptureFixture[str]], set[str]]] = {
    "audit": by_audit,
    "show": by_show,
    "report": by_report,
    "serve": by_the_page,
}


def a_log(folder: Path, settings: dict[str, Any]) -> Path:
    """A round that is eight shells worse than the one before, of 40 % fewer particles."""
    log = folder / "rounds.jsonl"
    start = Start(started_at=now(), project="/p", program="test", versions={}, settings=settings, host="h", pid=1)
    append(log, [start, healthy(1, 30, particles=1000), healthy(2, 22, particles=600)])
    return log


@pytest.mark.parametrize("reader", READERS)
def test_the_settings_of_the_log_count_and_those_of_a_file_over_them(
    tmp_path: Path, reader: str, capsys: pytest.CaptureFixture[str]
) -> None:
    own = tmp_path / "own.toml"
    own.write_text("[audit]\njump_fraction = 0.3\n")
    for settings, config, told in (
        ({}, [], {"worse", "particles_jumped"}),
        ({"audit": {"jump_fraction": 0.5, "disagree_shells": 9.0}}, [], set()),
        ({"audit": {"jump_fraction": 0.5}}, [], {"worse"}),
        ({"audit": {"jump_fraction": 0.5, "disagree_shells": 9.0}}, ["--config", own], {"particles_jumped"}),
    ):
        log = a_log(tmp_path, settings)
        found = READERS[reader](log, list(config), capsys)
        log.unlink()
        assert found & {"worse", "particles_jumped"} == told


def test_figures_and_depositions_are_made_with_the_same_findings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[set[str]] = []

    def taken(*arguments: Any) -> Any:
        given.append({one.rule for part in arguments if isinstance(part, tuple | list) for one in _findings(part)})
        return

    monkeypatch.setattr(deposit, "prepared", taken)
    monkeypatch.setattr(deposit, "write", lambda *_: [])
    log = a_log(tmp_path, {"audit": {"jump_fraction": 0.5}})
    of_the_command_line("deposit", log, LAST, "--out", tmp_path / "out")
    monkeypatch.setattr(plot, "plot_curves", taken)
    lax = tmp_path / "lax.toml"
    lax.write_text("[audit]\ndisagree_shells = 9.0\n")
    of_the_command_line("plot", log, LAST, "--findings", "--out", tmp_path / "x.png")
    of_the_command_line("plot", log, LAST, "--findings", "--out", tmp_path / "x.png", "--config", lax)
    assert [found & {"worse", "particles_jumped"} for found in given] == [{"worse"}, {"worse"}, set()]


def _findings(part: Any) -> list[Finding]:
    return [one for one in part if isinstance(one, Finding)]
