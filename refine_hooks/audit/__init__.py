"""Reads a log and reports problems of each round: which round is better, which FSC curve is suspicious, where, and what to do.

A rule is one decorated function with its texts beside it (see `refine_hooks.audit.rules`). Rules of one round take its record;
rules of the whole log take the journal.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from refine_hooks.audit import artefacts, curves, directions, halves, limits, masks, rounds, scaled, series, signal
from refine_hooks.audit.reading import Finding, Severity
from refine_hooks.audit.rules import RULES_OF_ONE_ROUND, RULES_OF_THE_LOG, OfLog, OfRound, Texts, all_texts, texts_of
from refine_hooks.log.file import Journal
from refine_hooks.log.records import LogLine
from refine_hooks.model import Key
from refine_hooks.settings import Settings

_Rule = TypeVar("_Rule", OfRound, OfLog)
_MODULES = (
    halves,
    artefacts,
    signal,
    scaled,
    masks,
    limits,
    curves,
    rounds,
    directions,
    series,
)  # what matters most comes first

__all__ = [
    "RULES_OF_ONE_ROUND",
    "RULES_OF_THE_LOG",
    "Causes",
    "Finding",
    "Severity",
    "Texts",
    "all_texts",
    "artefacts",
    "audit",
    "curves",
    "directions",
    "halves",
    "limits",
    "masks",
    "rounds",
    "scaled",
    "series",
    "signal",
    "texts_of",
    "worst",
]


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
    findings = [one for record in rounds for rule in _in_order(RULES_OF_ONE_ROUND) for one in rule(record, settings)]
    findings += [
        one
        for rule in _in_order(RULES_OF_THE_LOG)
        for one in rule(journal, settings)
        if wanted is None or one.round in wanted
    ]
    warned = {one.round for one in findings if one.severity == "warning"}
    findings = [_with_quote(one, one.round not in warned) for one in findings]
    place = {str(record.key): number for number, record in enumerate(journal.rounds)}
    return sorted(findings, key=lambda one: (place.get(one.round, len(place)), one.severity == "note"))


def _with_quote(finding: Finding, sound: bool) -> Finding:
    """The finding with the number to quote, where nothing speaks against it."""
    if finding.quote is None or not sound:
        return finding
    return finding.model_copy(update={"message": f"{finding.message}. {finding.quote}"})


def worst(findings: Iterable[Finding]) -> Severity | None:
    """The gravest severity among findings; None where there are none."""
    severities = {finding.severity for finding in findings}
    return "warning" if "warning" in severities else "note" if severities else None


def _in_order(rules: list[_Rule]) -> list[_Rule]:
    names = [module.__name__ for module in _MODULES]
    return sorted(rules, key=lambda rule: names.index(rule.__module__) if rule.__module__ in names else len(names))


@dataclass(slots=True)
class Causes:
    """Findings by rule and severity: one entry a cause, however many rounds it concerns; of each the newest round's are held."""

    _found: dict[tuple[str, Severity], tuple[int, list[Finding], dict[str, int]]] = field(default_factory=dict)

    def add(self, place: int, finding: Finding) -> None:
        """Take a finding into account of a round that stands at a place in the order of the log."""
        cause = finding.rule, finding.severity
        newest_at, newest, rounds = self._found.get(cause, (-1, [], {}))
        rounds[finding.round] = place
        if newest and finding.round == newest[0].round:
            newest.append(finding)
        elif place >= newest_at:
            newest_at, newest = place, [finding]
        self._found[cause] = newest_at, newest, rounds

    def told(self) -> list[tuple[list[Finding], list[str]]]:
        """Of each cause the findings of its newest round, and its rounds in the order of the log; warnings first."""
        found = sorted(self._found.values(), key=lambda one: (one[1][0].severity == "note", min(one[2].values())))
        return [(newest, sorted(rounds, key=rounds.__getitem__)) for _, newest, rounds in found]
