"""How long half maps, masks and captured sums stay on disk. The log, and whatever is not our own, always stays."""

from collections.abc import Iterable, Sequence

from refine_hooks.records import RoundRecord
from refine_hooks.settings import KeepSettings
from refine_hooks.store import Store


def expired(rounds: Sequence[RoundRecord], keep: KeepSettings, flagged: Iterable[str] = ()) -> list[RoundRecord]:
    """The rounds whose maps need not stay.

    Args:
        rounds: measured rounds of all runs and classes, in the order of the log.
        keep: the rule. The newest round of every run and class stays under every rule.
        flagged: keys of the rounds that the audit warns of.
    """
    series: dict[tuple[str, int], list[RoundRecord]] = {}
    for record in rounds:
        series.setdefault((record.key.run, record.key.class_id), []).append(record)
    gone: list[RoundRecord] = []
    for records in series.values():
        older = records[:-1]
        if keep.half_maps == "last":
            gone += records[: -keep.last]
        elif keep.half_maps == "every":
            gone += [r for position, r in enumerate(older) if position % keep.every]
        elif keep.half_maps == "flagged":
            gone += [r for r in older if str(r.key) not in set(flagged)]
    return gone


def retain(store: Store, keep: KeepSettings, rounds: Sequence[RoundRecord], flagged: Iterable[str] = ()) -> None:
    """Remove the half maps, masks and sharpened maps that `expired` names, as far as they are refine_hooks' own files."""
    for record in expired(rounds, keep, flagged):
        for path in (
            *store.half_map_paths(record.key, record.label),
            store.sharpened_path(record.key, record.label),
            *(store.mask_path(record.key, record.label, m.name) for m in record.masks),
        ):
            path.unlink(missing_ok=True)
