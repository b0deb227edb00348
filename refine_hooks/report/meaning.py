"""A finding's message as the page prints it."""

import re
from collections.abc import Iterable


def in_words(message: str, titles: Iterable[tuple[str, str]]) -> str:
    """A message of the audit as the page prints it: curves by their titles, Angstrom as its sign, ended with a full stop.

    Args:
        message: the finding's message, with the names of curves as the log has them.
        titles: name and title of the round's curves.
    """
    known = {name: title for name, title in titles if "_" in name}
    if known:
        names = "|".join(re.escape(name) for name in sorted(known, key=len, reverse=True))
        message = re.sub(rf"(?<![\w/])['“]?({names})['”]?(?![\w/])", lambda found: f"“{known[found[1]]}”", message)
    message = re.sub(r"(?<=\d) A\b", " Å", message)
    message = message[:1].upper() + message[1:]
    return message if message.endswith((".", "!", "?")) else message + "."
