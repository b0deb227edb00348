"""Standing back behind the refinement where the memory runs out (Linux): the kernel chooses by a score what it ends then."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_SCORE = Path("/proc/self/oom_score_adj")
_AS_IF_USING = 500  # thousandths of the memory more than is used


@contextmanager
def standing_back() -> Iterator[None]:
    """While the block runs, the kernel rather ends this process and those that it starts than a refinement of the same size."""
    before = _AS_IF_USING
    with suppress(OSError, ValueError):
        before = int(_SCORE.read_text())
    if before < _AS_IF_USING:
        _set(_AS_IF_USING)
    try:
        yield
    finally:
        if before < _AS_IF_USING:
            _set(before)


def _set(score: int) -> None:
    with suppress(OSError):
        _SCORE.write_text(str(score))
