"""Reads a log and says what a careful colleague would: which round is better, which curve is lying, where, and what to do.

A rule is a plain function; records go in, findings come out. Rules of one round take its record; rules of the whole log take
the journal. They stand in `RULES_OF_ONE_ROUND` and in `RULES_OF_THE_LOG`.
"""

from collections.abc import Callable, Collection, Iterable, Iterator

from refine_hooks.audit.curves import identical_halves, never_below, recrossing, rising_tail, spike, truncation
from refine_hooks.audit.masks import (
    alignment_limit,
    limit_unsupported,
    mask_and_sphere,
    mask_correlates,
    mask_missing,
    mask_too_tight,
    signal_outside,
)
from refine_hooks.audit.reading import Finding, Severity
from refine_hooks.audit.rounds import anisotropy, not_honest, reported_curve, reported_number
from refine_hooks.audit.scaled import scaled_curve
from refine_hooks.audit.series import failed, jumps, missing, no_half_maps, oscillates, program_warning, repeated, worse
from refine_hooks.log.file import Journal
from refine_hooks.log.records import LogLine, RoundRecord
from refine_hooks.model import Key
from refine_hooks.settings import Settings

__all__ = ["RULES_OF_ONE_ROUND", "RULES_OF_THE_LOG", "Finding", "Severity", "audit", "worst"]

RULES_OF_ONE_ROUND: tuple[Callable[[RoundRecord, Settings], Iterator[Finding]], ...] = (
    scaled_curve,
    alignment_limit,
    limit_unsupported,
    truncation,
    recrossing,
    rising_tail,
    spike,
    never_below,
    identical_halves,
    mask_correlates,
    mask_too_tight,
    mask_and_sphere,
    signal_outside,
    mask_missing,
    anisotropy,
    reported_curve,
    reported_number,
    not_honest,
)
RULES_OF_THE_LOG: tuple[Callable[[Journal, Settings], Iterator[Finding]], ...] = (
    worse,
    oscillates,
    jumps,
    program_warning,
    missing,
    failed,
    no_half_maps,
    repeated,
)


def audit(
    log: Journal | Iterable[LogLine], settings: Settings | None = None, only: Collection[Key] | None = None
) -> list[Finding]:
    """Everything the rules have to say, warnings of a round before its notes, rounds in the order of the log.

    Args:
        log: a journal, or lines of one.
        settings: limits of the rules; defaults where None.
        only: rounds to look at; the others serve as their history. All where None.
    """
    settings = settings or Settings()
    journal = log if isinstance(log, Journal) else Journal(tuple(log))
    rounds = [record for record in journal.rounds if only is None or record.key in only]
    wanted = None if only is None else {str(key) for key in only}
    findings = [one for record in rounds for rule in RULES_OF_ONE_ROUND for one in rule(record, settings)]
    findings += [
        one for rule in RULES_OF_THE_LOG for one in rule(journal, settings) if wanted is None or one.round in wanted
    ]
    place = {str(record.key): number for number, record in enumerate(journal.rounds)}
    return sorted(findings, key=lambda one: (place.get(one.round, len(place)), one.severity == "note"))


def worst(findings: Iterable[Finding]) -> Severity | None:
    """The gravest severity among findings; None where there are none."""
    severities = {finding.severity for finding in findings}
    return "warning" if "warning" in severities else "note" if severities else None
