"""Sound pairs of the panel, as anyone measures them, and what the audit warns of: nothing, if it is right."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count, islice

from panel import Case, make
from panel_cases import CASES, JUDGED, fresh

import refine_hooks
from refine_hooks import RefineHooksError
from refine_hooks.audit import audit

GOAL_FALSE, GOAL_OF = 2, 200
FIRST_SEED = 4001
_LARGEST_PX = 100  # larger boxes cost most and say the same


@dataclass(frozen=True)
class Sound:
    """One sound pair, the number that was stated, and each warning: its rule and what it says."""

    case: Case
    resolution_A: float | None
    warnings: tuple[tuple[str, str], ...]


def is_sound(case: Case) -> bool:
    """Whether nothing is wrong with a case: neither cut, masked nor filtered, a particle that can be seen, solvent around it."""
    done_to = (case.cut_A, case.masked_radius_A, case.halo_A, case.clutter)
    return not any(done_to) and case.quality in ("good", "poor") and case.box_px <= _LARGEST_PX


def sound_cases(wanted: int = GOAL_OF, first_seed: int = FIRST_SEED) -> list[Case]:
    """So many sound cases, in turn, with other atoms and noise each time."""

    def every() -> Iterator[Case]:
        cases = [case for case in (*CASES, *JUDGED) if is_sound(case)]
        for draw in count():
            yield from (fresh(replace(case, seed=first_seed), draw) for case in cases)

    return list(islice(every(), wanted))


def warned(case: Case) -> Sound:
    """Measure a case as `measure` does, and ask the audit."""
    truth = make(case)
    try:
        pair = refine_hooks.measure_half_maps(truth.half1, truth.half2, case.voxel_size_A)
    except RefineHooksError as error:
        return Sound(case, None, (("refused", error.faults[0]),))
    findings = [one for one in audit([pair.record]) if one.severity == "warning"]
    return Sound(case, pair.resolution_A, tuple((one.rule, one.message) for one in findings))
