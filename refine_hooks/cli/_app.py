"""The typer application that the command modules of this room register with, and the options that every command has."""

from pathlib import Path
from typing import Annotated

import typer

_CONTEXT = {"help_option_names": ["-h", "--help"]}


def _version(value: bool) -> None:
    if value:
        from refine_hooks._version import __version__

        print(f"refine-hooks {__version__}")
        raise typer.Exit


app = typer.Typer(
    name="refine-hooks",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings=_CONTEXT,
)


@app.callback()
def options(
    quiet: Annotated[
        int,
        typer.Option(
            "-q", "--quiet", count=True, help="only warnings and errors; -qq: only errors", show_default=False
        ),
    ] = 0,
    verbose: Annotated[int, typer.Option("-v", "--verbose", count=True, help="also details", show_default=False)] = 0,
    log_file: Annotated[Path | None, typer.Option(help="append every message to this file", show_default=False)] = None,
    version: Annotated[
        bool, typer.Option("--version", help="print the version and exit", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Watch a cryo-EM refinement, keep unfiltered half maps of every round, and measure each under a sphere and an automask.

    LOG is a log (rounds.jsonl), its folder or a project, by default the current folder; ROUND is RUN/ITERATION/CLASS.
    The options below may also stand behind a command. Exit codes: 0 done, 1 the input or the disk is at fault, 2 the command
    line, 3 a bug of refine_hooks, 4 findings at --fail-on, 130 interrupted.
    """
    from refine_hooks.cli import _logging

    _logging.set_level(quiet, verbose)
    if log_file is not None:
        _logging.log_to_file(log_file)
