"""One line of a log, as it is read: of this schema or of an older one."""

import re
from typing import Any

from pydantic import ValidationError

from refine_hooks.files.reading import parsed_json
from refine_hooks.log.records import LOG_LINE, SCHEMA_VERSION, LogLine

_ERRORS = re.compile(rb'("(?:randomised_mean|randomised_sd|sd)":)\[[^\]]*\]')
OURS = f'{{"schema_version":{SCHEMA_VERSION},'.encode()


def parsed_line(text: bytes) -> LogLine:
    """The record that a line holds; fields that this version does not know are passed over.

    Raises:
        ValidationError: it is no line of a log, or of a newer schema; `why_not` says it in words.
    """
    if text.startswith(OURS):
        return LOG_LINE.validate_json(text, extra="ignore")
    table = _table(text)
    if table is not None and table.get("schema_version") == 1:
        from refine_hooks.log.schema1 import upgraded

        return upgraded(table)
    return LOG_LINE.validate_json(text, extra="ignore")


def without_errors(text: bytes) -> bytes:
    """A line without the errors of its curves over the shells, which are three quarters of what a record takes in memory.

    Rules of the log ask an earlier round for its curves and numbers alone. In a text a quotation mark has a backslash before it.
    """
    return _ERRORS.sub(rb"\1null", text)


def _table(text: bytes) -> dict[str, Any] | None:
    try:
        table = parsed_json(text.decode("utf-8", "replace"))
    except ValueError:
        return None
    return table if isinstance(table, dict) else None


def why_not(text: bytes, error: ValidationError) -> str:
    """Why a line is none of ours, in words."""
    table = _table(text)
    if table is None:
        return "is not JSON; it was torn or edited, and is passed over"
    version = table.get("schema_version", 0)
    if isinstance(version, int) and version > SCHEMA_VERSION:
        return f"was written by a newer version (schema {version}, this one knows {SCHEMA_VERSION}); passed over"
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"is not a line of this log ({where}: {first['msg']}); passed over"
