"""The registry of rules: a rule is one decorated function with its texts beside it.

To add a rule: write a generator of findings in a module of this room, decorate it with `rule_of_round` or `rule_of_log`, and name
the texts of each finding that it makes. The audit, the page, the plots and the guide take the texts from here.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeVar

from refine_hooks.audit.reading import Finding
from refine_hooks.log.file import Journal
from refine_hooks.log.records import RoundRecord
from refine_hooks.settings import Settings

OfRound = Callable[[RoundRecord, Settings], Iterator[Finding]]
OfLog = Callable[[Journal, Settings], Iterator[Finding]]
_Rule = TypeVar("_Rule", OfRound, OfLog)


class Texts(NamedTuple):
    """One kind of finding in three short pieces of plain English.

    Attributes:
        name: `Finding.rule`.
        title: what was found.
        why: why it matters; may be empty.
        do: what to do; may be empty.
        doubt: what a warning of it means for the resolution that the round is quoted with, said beside that number; empty where
            it means nothing for it. Names in braces are filled in from the finding's evidence.
    """

    name: str
    title: str
    why: str = ""
    do: str = ""
    doubt: str = ""


RULES_OF_ONE_ROUND: list[OfRound] = []
RULES_OF_THE_LOG: list[OfLog] = []
_TEXTS: dict[str, Texts] = {}


def rule_of_round(*texts: Texts) -> Callable[[OfRound], OfRound]:
    """Register a rule that takes the record of one round."""
    return _registering(RULES_OF_ONE_ROUND, texts)


def rule_of_log(*texts: Texts) -> Callable[[OfLog], OfLog]:
    """Register a rule that takes the whole log."""
    return _registering(RULES_OF_THE_LOG, texts)


def _registering(rules: list[_Rule], texts: tuple[Texts, ...]) -> Callable[[_Rule], _Rule]:
    def register(rule: _Rule) -> _Rule:
        for one in texts:
            if one.name in _TEXTS:
                raise ValueError(f"the finding {one.name} has texts already")
            _TEXTS[one.name] = one
        rules.append(rule)
        return rule

    return register


def all_texts() -> dict[str, Texts]:
    """The texts of every kind of finding, by its name, in the order in which the rules are asked."""
    return dict(_TEXTS)


def texts_of(name: str) -> Texts:
    """The texts of a finding; its name in words where the rule that made it is not known (a log of a later version)."""
    return _TEXTS.get(name) or Texts(name, name.replace("_", " ").capitalize())


def doubt_of(rule: str, curve: str | None, quoted: str | None) -> str:
    """What a warning means for the number that a round is quoted with; empty where it means nothing for it.

    Args:
        rule: of the warning.
        curve: that the warning is about; None for the round.
        quoted: the curve that the number is read from.
    """
    return texts_of(rule).doubt if curve in (None, quoted) else ""
