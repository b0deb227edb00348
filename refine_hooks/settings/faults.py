"""What is wrong with a table of settings, in words: where it stands, what was written, and what may stand there."""

from collections import Counter
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError

from refine_hooks.settings.model import Section, Settings

_LONGEST = 40  # characters of a value that is repeated
_SECRET = ("notify", "hooks", "serve")  # their values may hold passwords


def in_words(error: ValidationError, source: str, text: str = "") -> Iterator[str]:
    """Every fault in one line.

    Args:
        error: what the model says.
        source: of the table: a file, the command line.
        text: the TOML that it was read from, for the number of the line; empty where there is none.
    """
    for fault in error.errors():
        place = [str(part) for part in fault["loc"]]
        line = _line_of(text, place)
        where = f"{source}, line {line}" if line else source
        yield f"{where}: {'.'.join(place)}: {_unknown(place) if fault['type'] == 'extra_forbidden' else _wrong(fault, place)}"


def _wrong(fault: Any, place: Sequence[str]) -> str:
    message = str(fault["msg"]).removeprefix("Value error, ")
    given = fault["input"]
    plain = isinstance(given, (bool, int, float, str)) and len(str(given)) <= _LONGEST and place[0] not in _SECRET
    return f"{message}, not {given!r}" if plain and message.startswith("Input should") else message


def _unknown(place: Sequence[str]) -> str:
    """What to do about a name that is none of a setting or section."""
    names = list(Settings.model_fields)
    if len(place) > 1:
        section = getattr(Settings(), place[0], None)
        names = list(type(section).model_fields) if isinstance(section, Section) else []
    near = get_close_matches(place[-1], names, 1)
    meant = f" (is {near[0]} meant?)" if near else ""
    return f"is no setting{meant}; 'refine-hooks check-config' lists them all"


def _line_of(text: str, place: Sequence[str]) -> int:
    """The line of a TOML text that a setting stands in, or its section; 0 where it is written in another way than one a line."""
    section, tables, around = "", Counter[str](), 0
    for number, line in enumerate(text.splitlines(), 1):
        name = line.partition("#")[0].strip()
        if name.startswith("["):
            full = section = name.strip("[] ")
            if name.startswith("[["):
                section = full = f"{section}.{tables[section]}"
                tables[name.strip("[] ")] += 1
        else:
            full = f"{section}.{name.partition('=')[0].strip()}".strip(".")
        full = full.replace('"', "").replace(" ", "")
        if full == ".".join(place):
            return number
        if full == ".".join(place[:2]):
            around = around or number
    return around
