"""Messages: levels, equal lines, and a standard error that cannot be written."""

import contextlib
import logging

import pytest

from refine_hooks.cli._logging import TerminalHandler, set_level


def record(text: str, level: int = logging.INFO) -> logging.LogRecord:
    return logging.LogRecord("refine_hooks.x", level, "", 0, text, (), None)


def test_equal_lines_in_a_row_become_one_with_a_count(capsys: pytest.CaptureFixture[str]) -> None:
    clock = [0.0]
    handler = TerminalHandler(lambda: clock[0])
    for _ in range(12):
        handler.handle(record("the disk is full"))
    handler.handle(record("on it goes"))
    handler.handle(record("on it goes"))
    clock[0] = 40.0
    handler.handle(record("on it goes"))
    handler.close()
    assert capsys.readouterr().err.splitlines() == [
        "refine-hooks: the disk is full",
        "refine-hooks: (the same line 11 more times)",
        "refine-hooks: on it goes",
        "refine-hooks: (the same line 2 more times)",
    ]


def test_a_standard_error_that_cannot_be_written_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    handler = TerminalHandler()
    monkeypatch.setattr("sys.stderr", None)
    handler.handle(record("x"))
    full = open("/dev/full", "w")  # noqa: SIM115 - closing it fails
    monkeypatch.setattr("sys.stderr", full)
    for text in ("y", "y", "z"):
        handler.handle(record(text))
    handler.close()
    with contextlib.suppress(OSError):
        full.close()


def test_a_colour_is_chosen_by_the_level_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from rich.console import Console

    console = Console(force_terminal=True, record=True, width=200, color_system="standard")
    handler = TerminalHandler()
    handler.console = console
    handler.handle(record("this FAILED", logging.INFO))
    handler.handle(record("all is well", logging.ERROR))
    first, second = console.export_text(styles=True).splitlines()
    assert "\x1b[1;31m" not in first
    assert "\x1b[1;31mall is well" in second


@pytest.mark.parametrize("other", [logging.NullHandler(), logging.Handler()], ids=["silent", "of all levels"])
def test_handlers_of_others_without_a_level_silence_no_message(
    other: logging.Handler, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = logging.getLogger("refine_hooks")
    monkeypatch.setattr(tree, "handlers", [other])
    monkeypatch.setattr(tree, "level", tree.level)
    set_level()
    assert tree.getEffectiveLevel() <= logging.INFO
    tree.manager._clear_cache()  # type: ignore[attr-defined]
