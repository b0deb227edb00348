"""The command ``serve`` in a child of the tests' process, which need not begin from nothing."""

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn  # noqa: F401  (the child has it then)

from refine_hooks.cli import main
from refine_hooks.serve import app, server  # noqa: F401


@contextmanager
def served(place: Path) -> Iterator[str]:
    """The address of the live page of a folder; the server is killed at the end."""
    told, tells = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.setpgid(0, 0)
            os.dup2(tells, 1)
            sys.stdout = os.fdopen(1, "w", closefd=False)
            sys.argv = ["refine-hooks", "serve", str(place), "--port", "0", "--poll", "0.1"]
            main()
        finally:
            os._exit(3)
    os.close(tells)
    try:
        with os.fdopen(told) as stream:
            address = stream.readline().strip()
            assert address.startswith("http"), "the server has ended"
            yield address
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
