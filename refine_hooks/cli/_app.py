"""The typer application that the command modules of this room register with."""

import typer

app = typer.Typer(
    name="refine-hooks",
    help="Watch a cryo-EM refinement, keep honest half maps of every round, and measure each under a sphere and an automask.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
