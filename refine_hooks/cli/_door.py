"""From the command line to a command, and from an error to a message and an exit code."""

import errno
import gc
import logging
import os
import sys
from typing import Any, NoReturn

import typer

from refine_hooks.cli._commands import application
from refine_hooks.cli._logging import handler
from refine_hooks.errors import RefineHooksError

logger = logging.getLogger(__name__)
# Newer releases of typer bring these with them, older ones take click's.
_USAGE, _CLICK = typer.BadParameter.__mro__[1:3]
_OF_ALL = {"-q", "-qq", "--quiet", "-v", "-vv", "--verbose"}


def run_command() -> NoReturn:
    """Do what the command line says, and exit."""
    terminal = handler()
    try:
        code = _exit_code()
        code = _flushed(code)
    finally:
        terminal.close()
    gc.freeze()  # nothing is to be gained from what is left when Python ends
    sys.exit(code)


def _exit_code() -> int:
    try:
        first, others = options_first(sys.argv[1:])
        app = application(others[0] if others else None)
        return int(app([*first, *others], standalone_mode=False) or 0)
    except (KeyboardInterrupt, typer.Abort):
        logger.error("interrupted")
        return 130
    except RefineHooksError as error:
        for fault in error.faults:
            logger.error(fault)
        return 1
    except OSError as error:
        return _of_the_disk(error)
    except Exception as error:
        if isinstance(error, _CLICK):
            return _of_the_command_line(error)
        logger.critical(
            "this is a bug of refine_hooks, not of your data; please report it with these lines", exc_info=True
        )
        return 3


def _of_the_command_line(error: Any) -> int:
    try:
        error.show()
    except OSError:
        return 2
    return 2 if isinstance(error, _USAGE) else 1


def options_first(arguments: list[str]) -> tuple[list[str], list[str]]:
    """The options that every command has, wherever they stood before a ``--``, and the rest: the command, and what is its own."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    first: list[str] = []
    others: list[str] = []
    words = iter(arguments[:end])
    for word in words:
        if word in _OF_ALL or word.startswith("--log-file="):
            first.append(word)
        elif word == "--project" or word.startswith("--project="):  # the name of before
            others.append(word.replace("--project", "--program", 1))
        elif word == "--log-file":
            first += [word, *([value] if (value := next(words, None)) is not None else [])]
        else:
            others.append(word)
    return first, [*others, *arguments[end:]]


def _of_the_disk(error: OSError) -> int:
    """A right that is missing and a disk that is full are no bugs; what else the system refuses may be one."""
    if error.errno == errno.EPIPE:
        _close_output()
        return 1
    if isinstance(error, PermissionError):
        logger.error(f"{error.filename or 'a file'}: {error.strerror}; ask its owner")
        return 1
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO):
        logger.error(f"{error.filename or 'the output'}: cannot be written ({error.strerror}); free some space")
        return 1
    logger.critical("this is a bug of refine_hooks, not of your data; please report it with these lines", exc_info=True)
    return 3


def _flushed(code: int) -> int:
    """The exit code once the standard output is written; one that cannot be written is a fault of the disk."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        if error.errno != errno.EPIPE:
            logger.error(f"the standard output cannot be written ({error.strerror})")
        _close_output()
        return code or 1
    return code


def _close_output() -> None:
    """Let nobody try again at the end of the process."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 1)
