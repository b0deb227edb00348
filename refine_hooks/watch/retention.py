"""How long the maps and masks of a round stay on disk. The log, and whatever is not our own, always stays."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from refine_hooks.audit.judge import Judge
from refine_hooks.log.folder import Store
from refine_hooks.log.index import LogIndex
from refine_hooks.log.records import now
from refine_hooks.log.summary import RoundSummary
from refine_hooks.model import Key
from refine_hooks.reanalyse import newest_of_series
from refine_hooks.settings import KeepSettings
from refine_hooks.settings.model import DAY_S


def expired(keep: KeepSettings, number: int, measured: int, warned: bool, age_days: float = 0.0) -> bool:
    """Whether the maps of a round need not stay. Those of the newest round of a run and class do under every rule.

    Args:
        keep: the rule.
        number: how many rounds of its run and class were measured before it.
        measured: how many of them there are.
        warned: whether the audit warns of it, or has not seen it yet.
        age_days: how long ago it was measured.
    """
    if number == measured - 1:
        return False
    if keep.days and age_days > keep.days:
        return True
    return {
        "all": False,
        "last": number < measured - keep.last,
        "every": number % keep.every != 0,
        "flagged": not warned,
    }[keep.half_maps]


@dataclass(slots=True)
class Retention:
    """Removes the maps of rounds that need not stay any more, as far as they are refine_hooks' own files.

    Attributes:
        store: where they are.
        keep: the rule.
        judge: the log, and what its audit warns of.
    """

    store: Store
    keep: KeepSettings
    judge: Judge
    _removed: set[int] = field(default_factory=set)  # places of lines whose maps need not be looked for any more

    def apply(self, key: Key) -> None:
        """Look at the rounds of the run and class of ``key``, its newest round, and at the room that all rounds take."""
        self._apply_rule(key)
        if self.keep.most_GB:
            self._apply_limit()

    def _apply_limit(self) -> None:
        """Remove the maps of the oldest rounds until all take no more room than they may."""
        index, left = self.judge.index, self.keep.most_GB * 1e9
        newest = {summary.key for summary in newest_of_series(index)}
        for summary in sorted(index.summaries(), key=lambda one: (one.key in newest, one.measured_at), reverse=True):
            if summary.place[0] in self._removed:
                continue
            local = self.store.local_path(summary.key, summary.label)
            left -= sum(_size(path) for path in (*_maps(self.store, summary), local))
            if left < 0 and summary.key not in newest:
                self._remove(summary, len(index.series(summary.key)))

    def _remove(self, summary: RoundSummary, measured: int) -> None:
        """Remove the maps of a round; the newest is still to be compared locally with the one before it."""
        _remove(self.store, summary)
        if summary.number < measured - 2:
            self.store.local_path(summary.key, summary.label).unlink(missing_ok=True)
            self._removed.add(summary.place[0])

    def _apply_rule(self, key: Key) -> None:
        if self.keep.half_maps == "all" and not self.keep.days:
            return
        series = self.judge.index.series(key)
        for summary in series:
            if summary.place[0] in self._removed:
                continue
            counts = self.judge.counts(summary)
            warned = counts is None or counts.warnings > 0
            age_days = (now() - summary.measured_at).total_seconds() / DAY_S
            if expired(self.keep, summary.number, len(series), warned, age_days):
                self._remove(summary, len(series))


def remove_superseded(store: Store, index: LogIndex) -> None:
    """Remove the files of rounds that stand under another key now; those of that key were made from the same inputs."""
    for summary in index.superseded():
        _remove(store, summary)
        one = store.picture_path(summary.key, summary.label, "x")
        local = store.local_path(summary.key, summary.label)
        ours = (store.analysis_path(summary.key, summary.label), store.record_path(summary.key))
        for path in (*one.parent.glob(f"{one.name[:-1]}*"), *ours, local, local.with_suffix(".json")):
            path.unlink(missing_ok=True)


def _remove(store: Store, summary: RoundSummary) -> None:
    for path in _maps(store, summary):
        path.unlink(missing_ok=True)


def _maps(store: Store, summary: RoundSummary) -> Iterator[Path]:
    """The maps of a round that are refine_hooks' own, whether they are there or not."""
    key, label = summary.key, summary.label
    yield from store.half_map_paths(key, label)
    yield store.sharpened_path(key, label)
    yield from (store.mask_path(key, label, mask) for mask in summary.masks)


def _size(path: Path) -> int:
    try:
        return path.stat(follow_symlinks=False).st_size
    except OSError:
        return 0
