"""Is one round better than another? Asked here by everyone: the audit, the page, and who compares two logs."""

from typing import Literal, Protocol

Change = Literal["better", "worse", "same"]


class WithInterval(Protocol):
    """A resolution that may have an interval."""

    @property
    def interval_A(self) -> tuple[float, float] | None:
        """The 90 % interval, its coarse end first."""


class Reading(WithInterval, Protocol):
    """A curve, or the summary of one."""

    @property
    def resolution_A(self) -> float | None:
        """What was read off it."""

    @property
    def threshold(self) -> float:
        """The level that it was read at."""


def overlap(one: WithInterval, other: WithInterval) -> bool:
    """Whether the intervals of two resolutions share a value; False where either has none."""
    if one.interval_A is None or other.interval_A is None:
        return False
    return one.interval_A[0] >= other.interval_A[1] and other.interval_A[0] >= one.interval_A[1]


def change(before: Reading, now: Reading, shell_per_A: float) -> Change | None:
    """What became of a resolution that is read off the same curve twice.

    Two are the same where their intervals overlap; without intervals, where they are no more than a shell apart.

    Args:
        before: the one reading.
        now: the other.
        shell_per_A: width of a shell in 1/A; of two boxes the wider one.

    Returns:
        None where either has no resolution, or they were read at different levels.
    """
    if before.resolution_A is None or now.resolution_A is None or before.threshold != now.threshold:
        return None
    if before.interval_A is None or now.interval_A is None:
        same = abs(1 / before.resolution_A - 1 / now.resolution_A) <= shell_per_A
    else:
        same = overlap(before, now)
    if same:
        return "same"
    return "better" if now.resolution_A < before.resolution_A else "worse"
