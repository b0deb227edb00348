"""How long half maps, masks and sharpened maps stay on disk. The log, and whatever is not our own, always stays."""

from refine_hooks.followed import Followed
from refine_hooks.log.folder import Store
from refine_hooks.logged import Logged
from refine_hooks.model import Key
from refine_hooks.settings import KeepSettings


def expired(keep: KeepSettings, number: int, measured: int, warned: bool) -> bool:
    """Whether the maps of a round need not stay. Those of the newest round of a run and class do under every rule.

    Args:
        keep: the rule.
        number: how many rounds of its run and class were measured before it.
        measured: how many of them there are.
        warned: whether the audit warns of it, or has not seen it yet.
    """
    if number == measured - 1:
        return False
    return {
        "all": False,
        "last": number < measured - keep.last,
        "every": number % keep.every != 0,
        "flagged": not warned,
    }[keep.half_maps]


def retain(store: Store, keep: KeepSettings, log: Followed, key: Key) -> None:
    """Remove the maps of rounds of a run and class that need not stay any more, as far as they are refine_hooks' own files.

    Args:
        store: where they are.
        keep: the rule.
        log: what was measured.
        key: a round of that run and class; the newest.
    """
    if keep.half_maps == "all":
        return
    series = log.series(key)
    for one in series:
        place = log.place(one)
        if place is not None and not place.removed and _expired(keep, place, len(series)):
            _remove(store, one, place)
            place.removed = True


def _expired(keep: KeepSettings, place: Logged, measured: int) -> bool:
    found = place.row["found"]
    return expired(keep, place.number, measured, warned=found is None or found[0] > 0)


def _remove(store: Store, key: Key, place: Logged) -> None:
    label = place.row["label"]
    for path in (
        *store.half_map_paths(key, label),
        store.sharpened_path(key, label),
        *(store.mask_path(key, label, mask) for mask in place.masks),
    ):
        path.unlink(missing_ok=True)
