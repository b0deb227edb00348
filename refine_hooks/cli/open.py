"""``open``: a round in the viewer."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from refine_hooks.cli._app import app
from refine_hooks.cli._logs import FirstOfTwo, SecondOfTwo, analyses_of, key_of, log_and_round, open_log

if TYPE_CHECKING:
    from refine_hooks.log.index import LogIndex
    from refine_hooks.log.records import RoundRecord

logger = logging.getLogger(__name__)
_PROGRAMS = ("chimerax", "ChimeraX", "/Applications/ChimeraX.app/Contents/bin/ChimeraX")


@app.command("open", short_help="Show a round in ChimeraX.")
def open_round(
    log: FirstOfTwo = "",
    key: SecondOfTwo = "",
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE.cxc", help="write the script there, and start nothing", show_default=False),
    ] = None,
) -> None:
    """Show a round in UCSF ChimeraX: half maps, their average, the masks.

    Without ROUND the newest round whose half maps are on disk is shown, and its run and class as a series with a slider. ChimeraX
    is started where it is found; else the script is written here, to be opened with ChimeraX anywhere that sees the maps.
    """
    import shutil

    from refine_hooks.report.viewer import chimerax_script

    place, named = log_and_round(log, key)
    index = open_log(place)
    record, series = _chosen(index, named)
    script = chimerax_script(analyses_of(index).completed(record), index.path.parent, series)
    program = None if out else next((found for name in _PROGRAMS if (found := shutil.which(name))), None)
    if program is not None:
        _start(program, script)
        return
    target = out or Path(f"{record.key.run}_{record.key.iteration}_{record.key.class_id}.cxc".replace("/", "_"))
    _write(target, script)
    if out is None:
        logger.info("ChimeraX was not found on this machine; open this file with it")
    print(target)


def _chosen(index: LogIndex, named: str) -> tuple[RoundRecord, list[RoundRecord]]:
    """The round to be shown, and the series that it ends.

    Raises:
        InputError: there is no such round, or none whose half maps are on disk.
    """
    from refine_hooks.errors import InputError
    from refine_hooks.report.viewer import newest_shown

    if named:
        return index.record(key_of(index, named)), []
    record = newest_shown(index)
    if record is None:
        raise InputError(f"{index.path}: the half maps of no round are on disk")
    return record, index.records(one.key for one in index.series(record.key))


def _start(program: str, script: str) -> None:
    import subprocess
    import tempfile

    with tempfile.NamedTemporaryFile(
        "w", prefix="refine_hooks_", suffix=".cxc", delete=False, encoding="utf-8", errors="surrogateescape"
    ) as file:
        file.write(script)
    logger.info(f"starting {program} {file.name}")
    subprocess.Popen([program, file.name], start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _write(target: Path, script: str) -> None:
    from refine_hooks.files.atomic import beside
    from refine_hooks.files.folders import make_named

    make_named(target.parent)
    with beside(target) as temporary:
        temporary.write_text(script, encoding="utf-8", errors="surrogateescape")
