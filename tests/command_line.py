"""The command line in this process: what a shell would see of it, without a second start-up."""

import contextlib
import io
import logging
import subprocess
import sys
from pathlib import Path
from unittest import mock

from refine_hooks.cli import main
from refine_hooks.cli._logging import TerminalHandler

TREE = logging.getLogger("refine_hooks")


def cli(*args: object, cwd: Path | None = None) -> "subprocess.CompletedProcess[str]":
    """What ``refine-hooks`` with these words prints, and its exit code."""
    words = list(map(str, args))
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
    with (
        _fresh_logging(),
        contextlib.chdir(cwd or "."),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        mock.patch.object(sys, "argv", ["refine-hooks", *words]),
    ):
        try:
            main()
            code = 0
        except SystemExit as ended:
            code = int(ended.code or 0)
    texts = (each.buffer.getvalue().decode() for each in (out, err))  # type: ignore[attr-defined]
    return subprocess.CompletedProcess(words, code, *texts)


@contextlib.contextmanager
def _fresh_logging():  # type: ignore[no-untyped-def]
    """No handler of an earlier command, and the handlers of this test as they were afterwards."""
    before, level, propagate = list(TREE.handlers), TREE.level, TREE.propagate
    TREE.handlers = [each for each in before if not isinstance(each, TerminalHandler)]
    try:
        yield
    finally:
        for each in TREE.handlers:
            if each not in before and isinstance(each, logging.FileHandler):
                each.close()
        TREE.handlers, TREE.propagate = before, propagate
        TREE.setLevel(level)
