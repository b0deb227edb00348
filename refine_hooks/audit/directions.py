"""Rules that hold the particles' angles against the half maps, direction by direction."""

from collections.abc import Iterator
from dataclasses import replace

from refine_hooks.analysis.views_agree import Agreement, Fault, agreement
from refine_hooks.audit.reading import Finding, found
from refine_hooks.audit.rules import Texts, rule_of_round
from refine_hooks.log.records import RoundRecord
from refine_hooks.settings import Settings

_SAYS: dict[Fault, str] = {
    "angles": "the map's signal to noise does not follow the angles either: the table of angles is not the one that this map "
    "was made from. Name the table of this round, or look whether the program wrote it later than the map",
    "map": "the map's signal to noise follows the angles, so these are right: the half maps were filtered or weighted by direction "
    "after they were summed. Measure the half maps as they were reconstructed",
    "undecided": "which of the two is at fault is not decided: look whether the table is of this map, and whether the half maps "
    "were filtered by direction",
}


def divides_by_sampling(record: RoundRecord) -> bool:
    """Whether the program divides by how often something was seen; cisTEM adds a constant to its weights first.

    Where weights are smaller than it, there is more noise where a direction was seen more often.
    """
    return record.program != "cistem"


def agreement_of(record: RoundRecord) -> Agreement | None:
    """Whether the angles and the half maps of a round say the same of each direction; None where one of them is not known.

    Half maps that were made here from these very angles, and were not filtered, cannot be at odds with them.
    """
    noise = record.checks.noise_by_direction if record.checks is not None else None
    if record.sampling is None or noise is None:
        return None
    signal_to_noise = record.analysis.signal_to_noise if record.analysis is not None else ()
    one = agreement(record.sampling.relative, noise.cones, noise.sd or 0.0, signal_to_noise, record.particles)
    of_these = record.half_maps is not None and record.half_maps.origin == "reconstructed"
    if one is not None and (of_these or not divides_by_sampling(record)):
        return replace(one, fault="none")
    return one


@rule_of_round(
    Texts(
        "views_disagree",
        "The particles' angles and the half maps differ about the directions",
        "The noise of half maps goes as 1 / sampling. Where it does not, the angles or the maps are not what they are taken for.",
        "Look whether the table of angles belongs to this map, and whether the half maps were filtered.",
    ),
)
def views_disagree(record: RoundRecord, settings: Settings) -> Iterator[Finding]:
    """The noise by direction is not what the sampling by the particles' angles makes of it."""
    one = agreement_of(record)
    if one is None or one.fault == "none":
        return
    text = (
        f"the noise differs by {_per_cent(one.measured)} between directions, where the particles' angles make "
        f"{_per_cent(one.expected)}, and what is left is {_per_cent(one.left)}; {_SAYS[one.fault]}"
    )
    yield found(
        record,
        "views_disagree",
        "note" if one.fault == "undecided" else "warning",
        text,
        at_fault=one.fault,
        measured=one.measured,
        expected=one.expected,
        left=one.left,
    )


def _per_cent(spread: float) -> str:
    return f"{100 * spread:.0f} %"
