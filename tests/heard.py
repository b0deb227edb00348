"""What was logged while a test ran, as a list of messages."""

import logging

from refine_hooks.cli._logging import TerminalHandler

TREE = logging.getLogger("refine_hooks")


class Hearing(logging.Handler):
    def __init__(self, said: list[str]) -> None:
        super().__init__(logging.DEBUG)
        self.said = said

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())


def hear(said: list[str] | None = None) -> list[str]:
    """From now to the end of the test, every message of refine_hooks is added to a list."""
    said = [] if said is None else said
    TREE.addHandler(Hearing(said))
    TREE.setLevel(logging.INFO)
    return said


def hear_no_more() -> None:
    """Take away what a test or a fixture has added, the command line's handler too."""
    for handler in [each for each in TREE.handlers if isinstance(each, Hearing | TerminalHandler)]:
        TREE.removeHandler(handler)
    TREE.setLevel(logging.NOTSET)
    TREE.propagate = True
