"""Which round each line of a long log is about: enough to tell what one round is compared with before anything else is read."""

from collections.abc import Container, Iterable
from dataclasses import dataclass, field
from math import inf, isfinite
from typing import Any

from refine_hooks.log.summary import HISTORY, RoundSummary, quoted_A
from refine_hooks.model import Key


@dataclass(frozen=True, slots=True)
class Contents:
    """Of each line of a log, in their order, which round it is the last word on.

    A line that is none, or that takes a round away from another key, is read whenever anything is.

    Attributes:
        runs: names of the runs.
        rounds: the run's number, iteration, class, number of what is compared (headline and origin), and the resolution in
            Angstrom or None; None for a line that is always read.
        again: numbers of the lines on rounds that an earlier line is about, too.
    """

    runs: list[str] = field(default_factory=list)
    rounds: list[tuple[int, int, int, int, float | None] | None] = field(default_factory=list)
    again: list[int] = field(default_factory=list)

    @classmethod
    def of(cls, lines: Iterable[RoundSummary | None], told_before: Container[Key]) -> "Contents":
        """The contents of a log.

        Args:
            lines: what is known of each; None for a line that is always read.
            told_before: the rounds that such lines are about.
        """
        runs: dict[str, int] = {}
        measures: dict[tuple[str | None, str | None], int] = {}
        contents = cls()
        for number, known in enumerate(lines):
            if known is None:
                contents.rounds.append(None)
                continue
            key, quoted = known.key, quoted_A(known)
            run = runs.setdefault(key.run, len(runs))
            measure = measures.setdefault((known.headline, known.origin), len(measures))
            resolution_A = quoted if isfinite(quoted) else None
            contents.rounds.append((run, key.iteration, key.class_id, measure, resolution_A))
            if key in told_before:
                contents.again.append(number)
        contents.runs.extend(runs)
        return contents

    def packed(self) -> list[Any]:
        """It as what JSON can hold."""
        return [self.runs, self.rounds, self.again]

    @classmethod
    def unpacked(cls, told: Any) -> "Contents":
        """The inverse of `packed`.

        Raises:
            ValueError: it is none; TypeError, too.
        """
        runs, rounds, again = told
        known = [one for one in rounds if one is not None]
        kinds = {type(number) for a, b, c, d, _ in known for number in (a, b, c, d)} | {
            type(number) for number in again
        }
        if kinds - {int} or not all(0 <= run < len(runs) for run, *_ in known):
            raise ValueError("it does not say which rounds a log holds")
        return cls(runs, rounds, again)

    def holds(self, key: Key) -> bool:
        """Whether a line is the last word on a round."""
        return any(told is not None and self._is_of(told, key) for told in self.rounds)

    def _is_of(self, told: tuple[int, int, int, int, float | None], key: Key) -> bool:
        return (self.runs[told[0]], told[1], told[2]) == (key.run, key.iteration, key.class_id)

    def beside(self, key: Key) -> set[int]:
        """Numbers of the lines that tell what a round is compared with (see `refine_hooks.log.summary.Rounds`), its own among them.

        Of each class of its run they are the first one, which tells what class came first, and of those up to its iteration the
        last ones and those that nothing is better than; and all lines that are always read.
        """
        run = self.runs.index(key.run) if key.run in self.runs else None
        wanted = set(self.again)
        tracks: dict[int, list[tuple[int, int, int, float | None]]] = {}
        for number, told in enumerate(self.rounds):
            if told is None:
                wanted.add(number)
            elif told[0] == run:
                tracks.setdefault(told[2], []).append((told[1], number, told[3], told[4]))
        for track in tracks.values():
            until = sorted(one for one in track if one[0] <= key.iteration)
            wanted.update(number for _, number, _, _ in (track[0], *until[-HISTORY - 1 :]))
            wanted.update(_best(one for one in until if one[0] < key.iteration))
        return wanted


def _best(track: Iterable[tuple[int, int, int, float | None]]) -> Iterable[int]:
    """Of what is compared with each other the numbers of the lines that nothing is better than; of equal ones the first."""
    best: dict[int, tuple[float, int]] = {}
    for _, number, measure, quoted in track:
        resolution_A = inf if quoted is None else quoted
        if measure not in best or resolution_A < best[measure][0]:
            best[measure] = resolution_A, number
    return (number for _, number in best.values())
