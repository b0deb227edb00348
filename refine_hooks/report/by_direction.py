"""How good the map is in each direction, and how often each was seen, in words."""

from refine_hooks.audit.directions import agreement_of
from refine_hooks.log.directions import Along, Axis, Sampling
from refine_hooks.log.records import RoundRecord

_EVEN = 0.95


def direction_words(record: RoundRecord) -> list[str]:
    """The resolution along the axes, the sampling by the particles' angles, and whether the half maps agree, a sentence each."""
    words = []
    if record.analysis is not None and record.analysis.along:
        words.append(f"resolution by direction: {'; '.join(along_words(one) for one in record.analysis.along)}")
    if record.sampling is not None:
        words.append(sampling_words(record.sampling))
    words += _agreement_words(record)
    return words


def along_words(one: Along) -> str:
    """One axis with its resolution, e.g. `along z 4.10 Å (4.25-3.98)`."""
    if one.name in ("best", "worst"):
        noise = "weakest" if one.name == "best" else "strongest"
        head = f"where the noise is {noise} (about x, y, z = {axis_words(one.axis)})"
    else:
        head = f"along {one.name}"
    if one.resolution_A is None or one.interval_A is None:
        return f"{head} {'no resolution' if one.state == 'never_above' else 'good to the limit of the voxels'}"
    return f"{head} {one.resolution_A:.2f} Å ({one.interval_A[0]:.2f}-{one.interval_A[1]:.2f})"


def axis_words(axis: Axis) -> str:
    """x, y, z of an axis."""
    return ", ".join(f"{part:.2f}" for part in axis)


def sampling_words(sampling: Sampling) -> str:
    """The sampling compensation factor, and what it means."""
    factor = f"sampling compensation factor {sampling.factor:.2f} ± {max(sampling.factor_sd, 0.005):.2f}"
    unseen = f"; {100 * sampling.unseen:.0f} % of the directions were not seen at all" if sampling.unseen else ""
    if sampling.factor >= _EVEN and not unseen:
        return f"{factor}: the particles' angles sample all directions alike"
    lowest, highest = axis_words(sampling.lowest_axis), axis_words(sampling.highest_axis)
    return (
        f"{factor}: these views give the signal to noise of {100 * sampling.factor:.0f} % as many particles with even views; "
        f"sampling is {sampling.lowest:.2f} of its mean about x, y, z = {lowest} and {sampling.highest:.2f} about {highest}{unseen}"
    )


def _agreement_words(record: RoundRecord) -> list[str]:
    one = agreement_of(record)
    if one is None:
        return []
    if one.fault != "none":
        return ["the noise of the half maps does not follow the sampling by these angles"]
    if one.correlation is None:
        return ["the noise of the half maps is even, too"]
    return [f"the noise of the half maps follows it (correlation {one.correlation:.2f}, {100 * one.left:.0f} % left)"]
