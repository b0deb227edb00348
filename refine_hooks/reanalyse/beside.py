"""A round beside those before it: whether the refinement still changes, from the log and from the half maps still on disk."""

from collections.abc import Callable

from refine_hooks import curves
from refine_hooks.analysis.convergence import Point, verdict
from refine_hooks.analysis.two_rounds import Agreed, agreement, round_maps
from refine_hooks.files.mrc import Map, Volume, read_map
from refine_hooks.log.convergence import Agreement, Convergence
from refine_hooks.log.folder import Store
from refine_hooks.log.index import LogIndex
from refine_hooks.log.records import RoundRecord
from refine_hooks.log.summary import CurveSummary, RoundSummary
from refine_hooks.model import Origin
from refine_hooks.sums.symmetry import order_of


def halves_of(store: Store, record: RoundRecord) -> tuple[Map, Map]:
    """The half maps of a round; they must be known."""
    assert record.half_maps is not None
    assert record.half_maps.paths is not None
    one, two = (read_map(store.path(path), record.voxel_size_A) for path in record.half_maps.paths)
    return one, two


def compared(
    store: Store,
    index: LogIndex,
    record: RoundRecord,
    mask: Volume | None,
    mask_name: str | None,
    between: Callable[[], object] = bool,
) -> Convergence:
    """The newest round beside those before it; two of them are looked at as far as their half maps are there.

    ``between`` is called before the maps of each; what it raises ends the work.
    """
    rounds = _comparable(index, record)
    points = [
        Point(one.key.iteration, curve.resolution_A, curve.interval_A)
        for one, curve in rounds
        if curve.resolution_A is not None
    ]
    earlier = index.records([one.key for one, _ in rounds[-3:-1]])[::-1]
    agreed = {} if mask is None else _agreed(store, record, earlier, mask, between)
    pairs = (agreed.get((0, 1)), agreed.get((0, 2)), agreed.get((1, 2)))
    found = verdict(points, *pairs)
    told = [
        None if one is None else _agreement(one, earlier[0 if place == 0 else 1], record.voxel_size_A)
        for place, one in enumerate(pairs)
    ]
    return Convergence(
        verdict=found.verdict,
        rounds=len(points),
        since=found.since,
        per_round_A=found.per_round_A,
        mask=mask_name,
        with_last=told[0],
        with_before_last=told[1],
        last_two=told[2],
    )


def _comparable(index: LogIndex, record: RoundRecord) -> list[tuple[RoundSummary, CurveSummary]]:
    """The rounds up to this one whose resolution was read off the same curve, of half maps that are as good."""
    own = index.summary(record.key)
    return [
        (one, curve)
        for one in (*index.history(record.key), *([own] if own else []))
        if own is not None
        and (curve := one.headline_curve) is not None
        and one.headline == own.headline
        and _unfiltered(one.origin) == _unfiltered(own.origin)
    ]


def _unfiltered(origin: Origin | None) -> bool:
    return origin not in (None, "regularised")


def _agreed(
    store: Store, record: RoundRecord, earlier: list[RoundRecord], mask: Volume, between: Callable[[], object]
) -> dict[tuple[int, int], Agreed | None]:
    """The newest round (0), the last one (1) and the one before that (2), each two of them that can be compared."""
    same = {0: record} | {n: one for n, one in enumerate(earlier, 1) if _in_the_same_place(store, one, record)}
    curve = record.headline_curve()
    if curve is None or len(same) == 1:
        return {}
    newest = None
    maps = {}
    for n, one in same.items():
        between()
        half1, half2 = (half.voxels for half in halves_of(store, one))
        maps[n] = round_maps(half1, half2, mask, newest, curve.threshold)
        newest = newest or maps[n]
    order = order_of(record.symmetry) or 1
    pairs = ((0, 1), (0, 2), (1, 2))
    return {
        (i, j): agreement(maps[i], maps[j], mask, curve.threshold, order) for i, j in pairs if i in maps and j in maps
    }


def _agreement(one: Agreed, against: RoundRecord, voxel_size_A: float) -> Agreement:
    return Agreement(
        against=against.key,
        correlation=curves.listed(one.correlation) or (),
        signal=one.signal,
        signal_sd=one.signal_sd,
        noise_shared=one.noise_shared,
        better=one.better,
        better_sd=one.better_sd,
        moved_A=one.moved_px * voxel_size_A or None,
        turned_deg=one.turned_deg or None,
    )


def _in_the_same_place(store: Store, one: RoundRecord, other: RoundRecord) -> bool:
    """Whether the half maps of a round are there, in the same box as those of another one."""
    halves = one.half_maps
    if halves is None or halves.paths is None or (one.box_px, one.voxel_size_A) != (other.box_px, other.voxel_size_A):
        return False
    same_origin = other.half_maps is not None and _unfiltered(halves.origin) == _unfiltered(other.half_maps.origin)
    return same_origin and all(store.path(path).is_file() for path in halves.paths)
