"""How good the map is in each direction, and how often each was seen, in words."""

from refine_hooks.audit.directions import agreement_of, divides_by_sampling
from refine_hooks.log.checks import NoiseByDirection, views_missing, views_preferred
from refine_hooks.log.directions import Along, Axis, Sampling
from refine_hooks.log.records import Analysis, RoundRecord
from refine_hooks.report.local import resolution_words

_EVEN = 0.95
_SDS = 5.0  # the least and the most of 256 cones


def direction_words(record: RoundRecord) -> list[str]:
    """The resolution along the axes, the noise, the sampling by the angles, and whether these agree, a sentence each."""
    analysis, checks = record.analysis, record.checks
    words = _cones_words(analysis) if analysis is not None else []
    if analysis is not None and analysis.along:
        told = "; ".join(along_words(one) for one in analysis.along)
        words += [f"resolution by direction: {told}", _compared(analysis.along)]
    if checks is not None and checks.noise_by_direction is not None:
        words.append(_noise_words(checks.noise_by_direction, divides_by_sampling(record)))
    if record.sampling is not None:
        words.append(sampling_words(record.sampling))
    return [*words, *_agreement_words(record)]


def _cones_words(analysis: Analysis) -> list[str]:
    """The conical FSC area ratio, and whether chance alone makes it."""
    if analysis.cfar is None:
        return []
    ratio, chance = f"conical FSC area ratio {analysis.cfar:.2f}", analysis.cfar_by_chance
    if chance is None:
        return [ratio]
    about = "" if analysis.worst_axis is None else f" about x, y, z = {axis_words(analysis.worst_axis)}"
    said = (
        "by this ratio no direction is poorer than chance makes it"
        if analysis.cfar >= chance
        else f"the map is poorer in some directions, most of all{about}"
    )
    return [f"{ratio}: {said}; a map that is as good in all directions stays above {chance:.2f} in 95 of 100 cases"]


def along_words(one: Along) -> str:
    """One axis with its resolution, e.g. `along z 4.10 Å (4.25-3.98)`."""
    head = _head(one)
    return f"{head} {resolution_words(one)}"


def _head(one: Along) -> str:
    if one.name not in ("best", "worst"):
        return f"along {one.name}"
    noise = "weakest" if one.name == "best" else "strongest"
    return f"where the noise is {noise} (about x, y, z = {axis_words(one.axis)})"


def _compared(along: tuple[Along, ...]) -> str:
    """Whether the axes differ by more than their 90 % intervals."""
    read = [(one.resolution_A, one.interval_A, one) for one in along if one.resolution_A and one.interval_A]
    if any(one.state == "never_above" for one in along):
        return "along an axis without a resolution the map holds noise"
    if len(read) < 2:
        ends = all(one.state in ("crosses", "never_below") for one in along)
        return f"{'the voxels end' if ends else 'the FSC ends, or is too noisy,'} before these axes can be compared"
    rest = "" if len(read) == len(along) else "of the axes with a number: "
    worst, best = max(read, key=lambda one: one[0]), min(read, key=lambda one: one[0])
    if worst[1][1] > best[1][0]:
        return f"{rest}the map is poorer {_head(worst[2])} than {_head(best[2])}, by more than the 90 % intervals"
    return f"{rest}within these 90 % intervals the map is as good along one axis as along another"


def axis_words(axis: Axis) -> str:
    """x, y, z of an axis."""
    return ", ".join(f"{part:.2f}" for part in axis)


def _noise_words(noise: NoiseByDirection, divides: bool) -> str:
    """How much the noise differs between directions, and what that tells of the views."""
    sd = noise.sd or 0.0
    error = f" ± {max(sd, 0.005):.2f}" if noise.sd is not None else ""
    ends = [
        f"{value:.2f}{error}{'' if axis is None else f' about x, y, z = {axis_words(axis)}'}"
        for value, axis in ((noise.lowest, noise.lowest_axis), (noise.highest, noise.highest_axis))
    ]
    head = f"noise power by direction, over its mean: {ends[0]} to {ends[1]}"
    if views_missing(noise.lowest, noise.highest, sd):
        return f"{head}: next to none in some directions, as where no view holds them"
    if noise.highest - noise.lowest < 2 * _SDS * sd:
        return f"{head}: even within its error"
    if not divides:
        return head
    much = "far more" if views_preferred(noise.lowest, noise.highest, sd) else "more"
    return f"{head}: there is {much} noise where a direction was seen less often"


def sampling_words(sampling: Sampling) -> str:
    """The sampling compensation factor, and what it means."""
    factor = f"sampling compensation factor {sampling.factor:.2f} ± {max(sampling.factor_sd, 0.005):.2f}"
    unseen = f"; {100 * sampling.unseen:.0f} % of the directions were not seen at all" if sampling.unseen else ""
    lowest, highest = axis_words(sampling.lowest_axis), axis_words(sampling.highest_axis)
    ends = f"sampling is {sampling.lowest:.2f} of its mean about x, y, z = {lowest} and {sampling.highest:.2f} about {highest}"
    if sampling.factor >= _EVEN and not unseen:
        return f"{factor}: uneven views cost next to nothing ({ends})"
    share = f"{100 * sampling.factor:.0f} %"
    return (
        f"{factor}: these views give the signal to noise of {share} as many particles with even views; {ends}{unseen}"
    )


def _agreement_words(record: RoundRecord) -> list[str]:
    one = agreement_of(record)
    if one is None:
        return []
    if not divides_by_sampling(record) and one.fault == "none":
        return ["the noise of these half maps is no measure of the views: cisTEM adds a constant to its weights"]
    match = "" if one.correlation is None else f" (correlation {one.correlation:.2f}, {100 * one.left:.0f} % left)"
    if one.fault != "none":
        part = "only in part" if one.correlation is not None and one.correlation > 0 else "not"
        return [f"the noise of the half maps goes {part} as 1 over the sampling by these angles{match}"]
    if one.correlation is None:
        return ["the noise of the half maps is even, as these views make it"]
    return [f"the noise of the half maps goes as 1 over the sampling by these angles{match}"]
