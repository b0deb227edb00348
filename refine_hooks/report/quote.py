"""Whether the number of a round may stand in a paper as it is, and what has to stand beside it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from refine_hooks.audit.reading import Finding
from refine_hooks.audit.rules import texts_of
from refine_hooks.log.records import RoundRecord
from refine_hooks.model import Independence
from refine_hooks.report.words import criterion, program_name, standing, warning_of_number


@dataclass(frozen=True, slots=True)
class Quote:
    """One answer.

    Attributes:
        answer: yes: nothing speaks against it; care: what `why` says has to stand beside it; no: not before something is done.
        words: the same in a few words.
        why: what that was read from.
        do: what to do first; empty where nothing is.
    """

    answer: Literal["yes", "care", "no"]
    words: str
    why: str
    do: str = ""


def quote(record: RoundRecord, findings: Sequence[Finding]) -> Quote:
    """Judge the number that a round is listed with, from its half maps and the findings of the round."""
    here = standing(record)
    if here is None:
        return Quote("no", "There is no number", "No FSC curve of this round gives a resolution.")
    if record.headline_curve() is None:
        program = program_name(record.program)
        return Quote(
            "care", f"Only as {program}'s own number", "It was not measured here, and its mask was not tested."
        )
    warned = warning_of_number(here, findings)
    if warned is not None:
        known = texts_of(warned[0].rule)
        return Quote("no", "Not yet", known.why or f"{warned[1][0].upper()}{warned[1][1:]}.", known.do)
    independence = _independence(record)
    if independence == "independent":
        known_by = f"{program_name(record.program)} does so in {record.key.run}"
        why = f"The halves were refined independently: {known_by}. State the criterion: {criterion(here)}."
        return Quote("yes", "Yes", why)
    if independence == "unknown":
        return Quote("care", "With care", "Nothing tells whether the halves were refined independently.")
    return Quote("care", "With care", f"{_ONE_SOURCE[independence]}{_limit(record)}.")


def _independence(record: RoundRecord) -> Independence:
    """What the record says; of a run that sorts into classes, which has no halves of its own, only what speaks against it."""
    told = record.half_maps.independence if record.half_maps else "unknown"
    sorts = record.program == "relion" and record.key.run.startswith(_WITHOUT_HALVES)
    return "unknown" if sorts and told == "independent" else told


_WITHOUT_HALVES = ("Class3D/", "InitialModel/")
_ONE_SOURCE = {
    "shared_reference": "Both halves were aligned to one reference",
    "one_set_of_poses": "Both halves were made with one set of poses",
}


def _limit(record: RoundRecord) -> str:
    return (
        ""
        if record.alignment_limit_A is None
        else f": state the alignment limit ({record.alignment_limit_A:.2f} Å) with it"
    )
