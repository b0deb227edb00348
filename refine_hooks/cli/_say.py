"""How the commands speak: through rich on a terminal, in plain lines anywhere else. Always on standard error."""

import sys
from collections.abc import Callable


def sayer() -> Callable[[str], None]:
    """A function that prints one line with the time of day."""
    from datetime import datetime

    if not sys.stderr.isatty():

        def plain(text: str) -> None:
            sys.stderr.write(f"{datetime.now():%H:%M:%S} {text}\n")
            sys.stderr.flush()

        return plain

    from rich.console import Console
    from rich.text import Text

    console = Console(stderr=True, highlight=True)

    def rich(text: str) -> None:
        line = Text(f"{datetime.now():%H:%M:%S} ", style="dim")
        console.print(line.append(text, style="bold red" if "FAILED" in text else "not dim"))

    return rich
