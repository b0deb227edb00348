"""The commands of ChimeraX that our scripts use, as its documentation and its own descriptions of them state their arguments.

https://www.rbvi.ucsf.edu/chimerax/docs/user/commands/: close, log, open, rename, shape, view, volume, vseries. A script is read by
lines: comments are passed over, a command is the longest one whose words the line begins with, then come its required arguments,
its optional ones, and keywords with a value each, in any order. Models are numbered from 1 as they are opened.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

COLOUR = re.compile(r"#[0-9a-f]{6}")
Check = Callable[[str], bool]


def number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True


def one_of(*words: str) -> Check:
    return lambda word: word in words


def text(word: str) -> bool:
    return bool(word)


def colour(word: str) -> bool:
    return bool(COLOUR.fullmatch(word))


def truth(word: str) -> bool:
    return word in ("true", "false")


def numbers(word: str) -> bool:
    return all(map(number, word.split(",")))


def model(word: str) -> bool:
    return bool(re.fullmatch(r"#\d+(,\d+)*", word))


def palette(word: str) -> bool:
    """VALUE,COLOUR:VALUE,COLOUR... with rising values."""
    pairs = [pair.split(",") for pair in word.split(":")]
    rising = [float(value) for value, _ in pairs]
    return rising == sorted(set(rising)) and all(colour(name) for _, name in pairs)


NONE = None  # a keyword without a value
VOLUME: dict[str, Check | None] = {
    "style": one_of("surface", "mesh", "image"),
    "level": numbers,
    "sdLevel": numbers,
    "color": colour,
    "show": NONE,
    "hide": NONE,
}
COMMANDS: dict[str, tuple[str, dict[str, Check | None]]] = {
    "close session": ("", {}),
    "open": ("files", {"name": text, "vseries": truth}),
    "volume": ("models", VOLUME),
    "volume add": ("models", {"scaleFactors": numbers, "hideMaps": truth, "modelId": model}),
    "volume gaussian": ("models", {"sDev": number, "modelId": model}),
    "color sample": ("models", {"map": model, "palette": palette}),
    "rename": ("models name", {}),
    "vseries slider": ("models", {}),
    "shape cylinder": (
        "",
        {"fromPoint": numbers, "toPoint": numbers, "radius": number, "color": colour, "name": text},
    ),
    "view": ("", {}),
}


@dataclass
class Session:
    """What a script has done."""

    models: dict[int, str] = field(default_factory=dict)
    series: set[int] = field(default_factory=set)
    shown: dict[int, dict[str, str]] = field(default_factory=dict)
    coloured: int = 0  # by which model another one is coloured
    opened: list[Path] = field(default_factory=list)
    said: list[str] = field(default_factory=list)  # into the Log


def run(script: str) -> Session:
    """Read a script as ChimeraX does; fails at the first line that is none of its commands."""
    session = Session()
    for line in script.splitlines():
        if line.startswith("log text "):  # the rest of the line as it is; a semicolon would end the command
            assert not set(";\\") & set(line), line
            session.said.append(line.removeprefix("log text "))
        elif line.strip() and not line.startswith("#"):
            _command(line, session)
    return session


def _words(line: str) -> list[str]:
    """The words of a line; one in quotes ends with a quote that a blank or the line's end follows, without any escapes."""
    words = []
    while line := line.lstrip():
        quoted = re.match(r"(['\"])(.*?)\1(\s|$)", line)
        assert quoted or line[0] not in "'\"", line
        word = quoted[2] if quoted else line.split(maxsplit=1)[0]
        words.append(word)
        line = line[quoted.end() if quoted else len(word) :]
    return words


def _command(line: str, session: Session) -> None:
    words = _words(line)
    name = next((two for two in (" ".join(words[:2]), words[0]) if two in COMMANDS), None)
    assert name, line
    arguments, keywords = COMMANDS[name]
    rest = words[len(name.split()) :]
    given: dict[str, str] = {}
    before: list[str] = []
    while rest and rest[0] not in keywords:
        before.append(rest.pop(0))
    while rest:
        keyword = rest.pop(0)
        check = keywords[keyword]
        assert keyword not in given, line
        given[keyword] = "" if check is None else rest.pop(0)
        assert check is None or check(given[keyword]), line
    _arguments(name, arguments, before, given, session)


def _arguments(name: str, kind: str, before: list[str], given: dict[str, str], session: Session) -> None:
    assert bool(before) == bool(kind), name
    if kind == "files":
        session.opened += map(Path, before)
        _add(session, given.get("name", before[0]))
        if given.get("vseries") == "true":
            session.series.add(max(session.models))
        assert all(file.endswith(".mrc") for file in before), before
    elif kind:
        assert model(before[0]), before
        chosen = [int(n) for n in before[0][1:].split(",")]
        assert set(chosen) <= set(session.models), before
        assert len(before) == (2 if kind == "models name" else 1), before
        if "map" in given:
            assert int(given["map"][1:]) in session.models
            session.coloured = int(given["map"][1:])
        if "modelId" in given:
            assert _add(session, name) == int(given["modelId"][1:]), "ChimeraX would give it another number"
        if name == "rename":
            session.models[chosen[0]] = before[1]
        if name == "volume":
            session.shown |= dict.fromkeys(chosen, given)
        if name == "vseries slider":
            assert set(chosen) <= session.series


def _add(session: Session, name: str) -> int:
    new = max(session.models, default=0) + 1
    session.models[new] = name
    return new
