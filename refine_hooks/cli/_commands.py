"""Which module each command is in: a command line waits for no other's."""

from importlib import import_module

import typer

from refine_hooks.cli._app import app

MODULES = {
    "watch": ("watch", "once", "measure", "schema", "check-config"),
    "read": ("audit", "show", "report", "export"),
    "compare": ("compare",),
    "deposit": ("deposit",),
    "demo": ("demo",),
    "exec": ("exec",),
    "explain": ("explain",),
    "reconstruct": ("reconstruct",),
    "relion": ("relion-external-reconstruct",),
    "serve": ("serve",),
    "plot": ("plot",),
    "guide": ("guide",),
    "open": ("open",),
    "relion_job": ("relion-job",),
    "install": ("install",),
    "status": ("status", "stop", "pause", "mute"),
}


def application(command: str | None = None) -> typer.Typer:
    """The application with a command; with all of them where there is none of that name."""
    holding = [module for module, commands in MODULES.items() if command in commands]
    for module in holding or MODULES:
        import_module(f"refine_hooks.cli.{module}")
    order = [f"refine_hooks.cli.{module}" for module in MODULES]
    # In the order of the table above, whichever was imported first; within a module they stay as they are.
    app.registered_commands.sort(key=lambda one: order.index(one.callback.__module__) if one.callback else 0)
    return app
