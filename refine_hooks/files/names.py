"""Names that other programs and people gave to files, as text that can be printed, logged and sent, and back again.

A byte of a name that is no UTF-8, and a control character such as a newline, stands as U+FFFD followed by its two hexadecimal
digits: ``caf\\xe9`` in Latin-1 is told as ``caf\\ufffdE9``. `meant` gives the name back. (A name that holds U+FFFD before two such
digits itself cannot be told from that.)
"""

import re

_ODD = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_TOLD = re.compile(r"\ufffd([0-9A-F]{2})")


def told(name: str) -> str:
    """A name, or a path, as text that is valid UTF-8 in one line."""
    return name if name.isprintable() else _ODD.sub(_hexadecimal, name)


def told_in(text: str) -> str:
    """Prose in which such names may stand, its own line breaks kept."""
    return text if text.isprintable() else _SURROGATE.sub(_hexadecimal, text)


def meant(text: str) -> str:
    """The name that `told` was given."""
    if "\ufffd" not in text:
        return text
    return _TOLD.sub(lambda found: bytes([int(found[1], 16)]).decode("utf-8", "surrogateescape"), text)


def _hexadecimal(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\ufffd{code & 0xFF:02X}" if code < 0x80 or 0xDC80 <= code <= 0xDCFF else "\ufffd"
