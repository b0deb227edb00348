"""The hook inside RELION's loop: RELION's own external reconstruction; `refine_hooks.cli._relion` does the work."""

from pathlib import Path
from typing import Annotated

import typer

from refine_hooks.cli._app import app


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
    current folder, which RELION makes the project's), so that unfiltered half maps of every iteration can be made from them
    even if they are removed from the job's folder. Should that fail, a line on stderr says so, and the refinement goes on.
    $REFINE_HOOKS_RELION_EXTERNAL_RECONSTRUCT names another program than the relion_external_reconstruct on PATH.
    """
    from refine_hooks.cli._relion import reconstruct

    reconstruct([str(star), *context.args])
