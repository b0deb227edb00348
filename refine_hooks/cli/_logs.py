"""How commands come by a log and by one of its rounds."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from refine_hooks.audit import Finding
    from refine_hooks.audit.judge import Judge
    from refine_hooks.log.index import LogIndex
    from refine_hooks.log.records import RoundRecord
    from refine_hooks.model import Key
    from refine_hooks.reanalyse import Analyses
    from refine_hooks.settings import Settings

logger = logging.getLogger(__name__)
_TOLD_FAULTS = 5
_LOG = "a log (rounds.jsonl), its folder or a project [default: the current folder]"
_ROUND = "RUN/ITERATION/CLASS, as the tables print it"

Log = Annotated[Path, typer.Argument(metavar="LOG", help=_LOG, show_default=False, readable=False)]
FirstOfTwo = Annotated[str, typer.Argument(metavar="LOG", help=_LOG, show_default=False)]
SecondOfTwo = Annotated[str, typer.Argument(metavar="ROUND", help=_ROUND, show_default=False)]
# Spellings of before, which keep working for this version.
OldLog = Annotated[Path | None, typer.Option("--log", hidden=True)]
OldRound = Annotated[str, typer.Option("--round", hidden=True)]
LogConfig = Annotated[
    Path | None,
    typer.Option(help="TOML file laid over the settings that the log was written with", show_default=False),
]


def log_and_round(first: str, second: str, old_log: Path | None = None, old_round: str = "") -> tuple[Path, str]:
    """Which log and which round two arguments mean, either of which may be left out; the round is empty where none is named.

    Raises:
        typer.BadParameter: more than one log or round is named.
    """
    words = [word for word in (first, second) if word]
    if old_log is not None and len(words) < 2:
        return old_log, _one(words, old_round)
    if len(words) == 1 and not old_round and _names_a_round(first):
        return Path(), first
    if old_log is not None:
        raise typer.BadParameter("name the log once: LOG ROUND")
    return Path(first or "."), _one(words[1:], old_round)


def two_logs_and_rounds(words: Sequence[str], old_one: str, old_two: str) -> list[tuple[Path, str]]:
    """Two logs, each with the round that stands behind it or none; of one log, or of the current folder's, two rounds.

    Raises:
        typer.BadParameter: neither two logs nor two rounds are named.
    """
    found: list[list[str]] = []
    for word in words:
        if not _names_a_round(word):
            found.append([word, ""])
        elif found and not found[-1][1]:
            found[-1][1] = word
        else:
            found.append([found[-1][0] if found else ".", word])
    if len(found) != 2:
        raise typer.BadParameter("name two logs, or two rounds of one: LOG [ROUND] LOG [ROUND], or LOG ROUND ROUND")
    return [(Path(log), key or old) for (log, key), old in zip(found, (old_one, old_two), strict=True)]


def _one(words: list[str], old_round: str) -> str:
    if words and old_round:
        raise typer.BadParameter("name the round once: LOG ROUND")
    return words[0] if words else old_round


def _names_a_round(word: str) -> bool:
    """Whether one word alone is RUN/ITERATION/CLASS, and not the path of something that is there."""
    parts = word.split("/")
    return len(parts) > 2 and all(part.isdigit() for part in parts[-2:]) and not Path(word).exists()


def require_round(key: str) -> None:
    """Check that a round is named.

    Raises:
        typer.BadParameter: none is.
    """
    if not key:
        raise typer.BadParameter("name the round: LOG RUN/ITERATION/CLASS; 'refine-hooks show LOG' lists them")


def log_settings(log: LogIndex, config: Path | None = None) -> Settings:
    """The settings that this log is read with, by every command that reads one.

    Raises:
        SettingsError: every fault of ``config``.
    """
    from refine_hooks.settings import own_table, settings_of

    return settings_of(log.start.settings if log.start else None, own_table(config))


def open_log(place: Path, about: str = "") -> LogIndex:
    """The log that ``place`` means, its rounds left on disk; lines that are none of ours are named on standard error.

    Args:
        place: a log, its folder or a project.
        about: the one round (RUN/ITERATION/CLASS) that is asked for, so that no more of a long log is read; empty for all.

    Raises:
        InputError: there is none, or none of its lines can be read, or ``about`` is no key.
    """
    from refine_hooks.cli import _models

    _models.build()
    from refine_hooks.errors import InputError
    from refine_hooks.log.file import find_log
    from refine_hooks.log.index import LogIndex
    from refine_hooks.model import Key

    path = find_log(place)
    index = LogIndex(path, Key.parse(about) if about else None)
    try:
        index.read()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    _tell_faults(path, index.faults, index.fault_count, index.seq > index.fault_count)
    return index


def analyses_of(index: LogIndex, reserve_GB: float = 0.0) -> Analyses:
    """The further measurements of the rounds of a log, which stand beside it."""
    from refine_hooks.log.folder import Store
    from refine_hooks.reanalyse import Analyses

    return Analyses(Store(index.path.absolute().parent, int(reserve_GB * 1e9)))


def judge_of(index: LogIndex, settings: Settings, analyses: Analyses | None = None) -> Judge:
    """The audit of a log's rounds, with what has been measured of them since."""
    from refine_hooks.audit.judge import Judge

    return Judge(index, settings, completed=(analyses or analyses_of(index)).completed)


def _tell_faults(path: Path, faults: Sequence[str], count: int, others: bool) -> None:
    from refine_hooks.errors import InputError

    if faults and not others:
        raise InputError(f"{path}: none of its lines is one of this log; the first: {faults[0]}")
    for fault in faults[:_TOLD_FAULTS]:
        logger.warning(fault)
    if count > _TOLD_FAULTS:
        logger.warning(f"{path}: {count - _TOLD_FAULTS} further lines are passed over")


def key_of(index: LogIndex, text: str) -> Key:
    """The round that ``text`` (RUN/ITERATION/CLASS) names.

    Raises:
        InputError: not a key, or the log holds no such round; names those that it holds.
    """
    from refine_hooks.errors import InputError
    from refine_hooks.log.index import LogIndex
    from refine_hooks.log.summary import listed
    from refine_hooks.model import Key

    key = Key.parse(text)
    if index.summary(key) is None:
        whole = LogIndex(index.path)
        whole.refresh()
        known = listed([summary.key for summary in whole.summaries()])
        raise InputError(f"{key}: the log holds no such round; it holds: {known}")
    return key


def round_of(index: LogIndex, text: str) -> RoundRecord:
    """The record of the round that ``text`` names.

    Raises:
        InputError: not a key, or the log holds no such round; names those that it holds.
    """
    return index.record(key_of(index, text))


def round_and_findings(index: LogIndex, text: str, settings: Settings) -> tuple[RoundRecord, list[Finding]]:
    """A round and what the audit says of it beside the rounds before it.

    Raises:
        InputError: not a key, or the log holds no such round; names those that it holds.
    """
    key = key_of(index, text)
    judged = next(((record, found) for _, record, found in judge_of(index, settings).judged([key])), None)
    return judged or (index.record(key), [])
