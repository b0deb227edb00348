"""The help of every command as one text, the way it is committed under config/."""

from typing import Any

import typer

from refine_hooks.cli._commands import application

_WIDTH = 110


def all_help() -> str:
    """Help of the program and of each command, one after the other, at a fixed width."""
    group = typer.main.get_command(application())
    parts = [_help(group, "refine-hooks")]
    commands = getattr(group, "commands", {})
    parts += [_help(commands[name], f"refine-hooks {name}") for name in sorted(commands)]
    return "\n".join(parts)


def _help(command: Any, path: str) -> str:
    context = typer.Context(
        command, info_name=path, terminal_width=_WIDTH, max_content_width=_WIDTH, help_option_names=["-h", "--help"]
    )
    text = command.get_help(context)
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"
