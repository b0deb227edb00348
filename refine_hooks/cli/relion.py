"""The hook inside RELION's loop: RELION's own external reconstruction, with its sums kept on the way."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from refine_hooks.cli._app import app

if TYPE_CHECKING:
    import subprocess
    from types import FrameType

logger = logging.getLogger(__name__)
PROGRAM_VARIABLE = "REFINE_HOOKS_RELION_EXTERNAL_RECONSTRUCT"
OUT_VARIABLE = "REFINE_HOOKS_OUT"


@app.command(
    name="relion-external-reconstruct",
    short_help="RELION's hook: reconstruct, and keep the sums.",
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)
def relion_external_reconstruct(
    context: typer.Context,
    star: Annotated[Path, typer.Argument(help="the STAR file that RELION names", show_default=False, readable=False)],
) -> None:
    """Stand in for relion_external_reconstruct, and keep the sums that it works from.

    Refine with --external_reconstruct and this in the environment:

    export RELION_EXTERNAL_RECONSTRUCT_EXECUTABLE="refine-hooks relion-external-reconstruct"

    RELION's own program does the work that RELION waits for: all further arguments, its exit code and what it prints
    are passed on. Meanwhile the arrays are linked into the spool below $REFINE_HOOKS_OUT (default: refine_hooks in the
    current folder, which RELION makes the project's), so that honest half maps of every iteration can be made from them
    even if they are removed from the job's folder. Should that fail, a line on stderr says so, and the refinement goes on.
    $REFINE_HOOKS_RELION_EXTERNAL_RECONSTRUCT names another program than the relion_external_reconstruct on PATH.
    """
    command = [os.environ.get(PROGRAM_VARIABLE) or "relion_external_reconstruct", str(star), *context.args]
    process = _started(command)
    keep_sums(star)
    code = process.wait()
    raise typer.Exit(code if code >= 0 else 128 - code)


def _started(command: list[str]) -> subprocess.Popen[bytes]:
    import signal
    import subprocess

    try:
        process = subprocess.Popen(command)
    except OSError as error:
        logger.error(
            f"{command[0]} cannot be started ({error.strerror}); put RELION's programs on PATH, "
            f"or name it in {PROGRAM_VARIABLE}"
        )
        raise typer.Exit(127) from error

    def pass_on(number: int, _: FrameType | None) -> None:
        process.send_signal(number)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, pass_on)
    return process


def keep_sums(star: Path) -> None:
    """Keep one half's arrays in the spool; whatever goes wrong is said on stderr and harms nothing."""
    try:
        from refine_hooks.log.folder import Store
        from refine_hooks.programs.relion.spool import keep

        out = Path(os.environ.get(OUT_VARIABLE) or "refine_hooks")
        keep(star, Store(out.absolute()).spool)
    except Exception as error:  # the refinement must never suffer from its observer
        logger.warning(f"the sums of {star} are not kept: {error}; the refinement goes on")
