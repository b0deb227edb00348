"""The help of each command as a text of a fixed width, for the guide."""

from typing import Any

import typer

from refine_hooks.cli._commands import application

_WIDTH = 110


def command_names() -> list[str]:
    """All commands."""
    return sorted(getattr(typer.main.get_command(application()), "commands", {}))


def help_of(command: str) -> str:
    """Help of one command, or of the program itself where none is named."""
    group = typer.main.get_command(application())
    one = getattr(group, "commands", {})[command] if command else group
    return _help(one, f"refine-hooks {command}".rstrip())


def _help(command: Any, path: str) -> str:
    context = typer.Context(
        command, info_name=path, terminal_width=_WIDTH, max_content_width=_WIDTH, help_option_names=["-h", "--help"]
    )
    text = command.get_help(context)
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"
