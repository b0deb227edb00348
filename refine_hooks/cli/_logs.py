"""How commands come by a log and by one of its rounds."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from refine_hooks.log.file import Journal
    from refine_hooks.log.records import RoundRecord

logger = logging.getLogger(__name__)
_TOLD_FAULTS = 5


def read_log(place: Path) -> Journal:
    """The log that ``place`` means; lines that are none of ours are told on standard error.

    Raises:
        InputError: there is none, or none of its lines can be read.
    """
    from refine_hooks.errors import InputError
    from refine_hooks.log.file import find_log, read_journal

    path = find_log(place)
    journal = read_journal(path)
    if journal.faults and not journal.lines:
        raise InputError(f"{path}: none of its lines is one of this log; the first: {journal.faults[0]}")
    for fault in journal.faults[:_TOLD_FAULTS]:
        logger.warning(fault)
    if len(journal.faults) > _TOLD_FAULTS:
        logger.warning(f"{path}: {len(journal.faults) - _TOLD_FAULTS} further lines are passed over")
    return journal


def round_of(journal: Journal, text: str) -> RoundRecord:
    """The round that ``text`` (RUN/ITERATION/CLASS) names.

    Raises:
        InputError: not a key, or the log holds no such round; names those that it holds.
    """
    from refine_hooks.errors import InputError
    from refine_hooks.model import Key

    key = Key.parse(text)
    for record in journal.rounds:
        if record.key == key:
            return record
    known = ", ".join(str(record.key) for record in journal.rounds) or "none"
    raise InputError(f"{key}: the log holds no such round; it holds: {known}")
