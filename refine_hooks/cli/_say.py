"""How the commands speak: through rich on a terminal, in plain lines anywhere else. Always on standard error."""

import sys
from collections.abc import Callable


def sayer() -> Callable[[str], None]:
    """A function that prints one line with the time of day."""
    from datetime import datetime

    if not sys.stderr.isatty():

        def plain(text: str) -> None:
            print(f"{datetime.now():%H:%M:%S} {text}", file=sys.stderr, flush=True)

        return plain

    from rich.console import Console

    console = Console(stderr=True, highlight=True)

    def rich(text: str) -> None:
        style = "bold red" if "FAILED" in text else None
        console.print(f"[dim]{datetime.now():%H:%M:%S}[/dim]", end=" ")
        console.print(text, markup=False, style=style)

    return rich
