"""What a line of the log says besides its numbers over the shells: read without them, which are nearly all of its bytes."""

from pydantic import ValidationError

from refine_hooks.log.lines import OURS, parsed_line
from refine_hooks.log.records import RoundRecord
from refine_hooks.log.summary import RoundSummary, summary_of

_ROUND = OURS + b'"type":"round",'
_SHELLS = b'"frequency_per_A":['
_FEW = 4  # numbers; a shorter array may be one of lengths
_NUMBERS = frozenset(bytes([one]) for one in b"-0123456789n")  # what an array of numbers and nulls begins with


def skimmed(text: bytes) -> RoundSummary | None:
    """The summary of a round's line; None where it is no round of this schema or cannot be read this way: parse it whole.

    All but the numbers over the shells is validated, so that a line that was edited is not taken for a round.
    """
    if not text.startswith(_ROUND) or not text.endswith(b"}\n"):
        return None
    short = without_long_arrays(text)
    if short is None:
        return None
    try:
        line = parsed_line(short)
    except ValidationError:
        return None
    return summary_of(line) if isinstance(line, RoundRecord) else None


def without_long_arrays(text: bytes) -> bytes | None:
    """A line of JSON whose arrays over the shells are replaced by one number; None for a torn line, or one without shells.

    An array over the shells has as many numbers as the line's ``frequency_per_A``; one of another length stays as it is, so that
    it is found to be of another length.
    """
    begin = text.find(_SHELLS) + len(_SHELLS)
    shells = text.count(b",", begin, text.find(b"]", begin)) if begin >= len(_SHELLS) else 0
    if shells < _FEW:
        return None
    parts: list[bytes] = []
    done = at = 0
    while (start := text.find(b'":[', at)) >= 0:
        at = first = start + 3
        # In a text the quotation mark has a backslash before it.
        if text[first : first + 1] not in _NUMBERS or text[start - 1 : start] == b"\\":
            continue
        end = text.find(b"]", first)
        if end < 0 or text.find(b'"', first, end) >= 0:
            return None
        if text.count(b",", first, end) == shells:
            parts += (text[done:first], b"0")
            done = end
        at = end
    return b"".join([*parts, text[done:]])
