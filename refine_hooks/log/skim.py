"""What a line of the log says besides its numbers over the shells: read without them, which are nearly all of its bytes."""

from datetime import datetime

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from refine_hooks.log.lines import OURS
from refine_hooks.log.summary import CurveSummary, RoundSummary, summary_from
from refine_hooks.model import Fingerprint, Key, Origin

_ROUND = OURS + b'"type":"round",'
_NUMBERS = frozenset(bytes([one]) for one in b"-0123456789n")  # what an array of numbers and nulls begins with


class _Lenient(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class _HalfMaps(_Lenient):
    origin: Origin


class _Mask(_Lenient):
    name: str


class _Curve(_Lenient):
    name: str
    resolution_A: float | None
    interval_A: tuple[float, float] | None = None


class _Round(_Lenient):
    key: Key
    label: str
    program: str
    measured_at: datetime
    fingerprint: Fingerprint
    half_maps: _HalfMaps | None
    particles: int | None
    headline: str | None
    masks: tuple[_Mask, ...]
    curves: tuple[_Curve, ...]


_READER: TypeAdapter[_Round] = TypeAdapter(_Round)


def skimmed(text: bytes) -> RoundSummary | None:
    """The summary of a round's line; None where it is no round of this schema or cannot be read this way: parse it whole."""
    if not text.startswith(_ROUND) or not text.endswith(b"}\n"):
        return None
    short = without_long_arrays(text)
    if short is None:
        return None
    try:
        line = _READER.validate_json(short)
    except ValidationError:
        return None
    curves = tuple(CurveSummary(c.name, c.resolution_A, c.interval_A) for c in line.curves)
    return summary_from(line, curves, line.half_maps.origin if line.half_maps else None)


def without_long_arrays(text: bytes, longest: int = 120) -> bytes | None:
    """A line of JSON whose arrays of numbers are emptied where they take more than so many bytes; None for a torn line."""
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
        if end - first > longest:
            parts.append(text[done:first])
            done = end
        at = end
    return b"".join([*parts, text[done:]])
