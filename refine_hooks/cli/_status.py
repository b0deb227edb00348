"""The table of `refine_hooks.facility.status` on the terminal, and what is asked of a running watch."""

import json
import os
import pwd
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from refine_hooks.errors import InputError
from refine_hooks.facility.status import Status, out_of, status_of, watched_here
from refine_hooks.files.lock import holder_of, owner_of
from refine_hooks.log.folder import LOG_NAME
from refine_hooks.log.index import LogIndex
from refine_hooks.log.orders import give_orders
from refine_hooks.log.watching import watching
from refine_hooks.serve.collection import found_logs

_COLUMNS = ("project", "program", "state", "last round", "resolution", "warnings", "queue", "disk")
_STATE_STYLES = {"running": "green", "failed": "bold red", "stalled": "yellow", "paused": "yellow"}
_LOOK_EVERY_S = 0.2


def statuses(place: Path | None) -> list[Status]:
    """Of the logs at a place, else of every watch of this machine; a log that cannot be read is left out.

    Raises:
        InputError: there is no log.
    """
    if place is not None and not place.exists():
        raise InputError(
            f"{place}: is not there; name a log (rounds.jsonl), its folder, a project, or a folder of projects"
        )
    logs = [out / LOG_NAME for out in watched_here()] if place is None else found_logs(place)
    if place is not None and not logs:
        raise InputError(f"{place}: holds no log; nothing was watched there")
    found = []
    for log in logs:
        with suppress(OSError):
            found.append(status_of(log))
    return sorted(found, key=lambda one: (not one.needs_a_person, one.project))


def tell(found: Sequence[Status], as_json: bool) -> None:
    """Print them."""
    if as_json:
        print(json.dumps([one.fields() for one in found], indent=2))
        return
    if not found:
        print("nothing is watched on this machine, as far as you may see its processes; name a log or a folder")
        return
    console = Console()
    table = Table(box=None, pad_edge=False, header_style="dim")
    for title in _COLUMNS:
        table.add_column(title, no_wrap=True)
    for one in found:
        table.add_row(*_row(one))
    needed = Measurement.get(console, console.options.update(max_width=10_000), table).maximum
    if console.is_terminal and console.width < needed:
        for one in found:
            project, *rest = _row(one)
            named = [
                Text.assemble(what, ": ", text) for what, text in zip(_COLUMNS[1:], rest, strict=True) if str(text)
            ]
            console.print(project, soft_wrap=True)
            console.print(Text("  ") + Text(", ").join(named))
    else:
        Console(width=needed).print(table)
    for one in found:
        if one.why:
            console.print(f"{one.project}: {one.why}", soft_wrap=True, markup=False, highlight=False)


def _row(one: Status) -> list[Text | str]:
    free = "" if one.free_bytes is None else f", {one.free_bytes / 1e9:.0f} GB free"
    return [
        Text(one.project),
        Text(one.program),
        Text(one.state + (", muted" if one.muted else ""), style=_STATE_STYLES.get(one.state, "")),
        Text(f"{one.key} {one.last} ({one.at[:16].replace('T', ' ')})" if one.last else "none"),
        Text(_number(one)),
        Text(str(one.warnings), style="yellow" if one.warnings else ""),
        "" if one.waiting is None else f"{one.waiting}",
        f"{one.used_bytes / 1e9:.1f} GB{free}",
    ]


def _number(one: Status) -> str:
    """The resolution with its interval, level and curve, and its round where that is not the last one."""
    if one.resolution_A is None:
        return "none"
    interval = f" (90 % {one.interval_A[0]:.2f}-{one.interval_A[1]:.2f})" if one.interval_A else ""
    of = f" of {one.of}" if one.of != one.key else ""
    return f"{one.resolution_A:.2f} Å{interval}, {one.curve} at {one.level:g}{of}"


def ask(places: Sequence[Path], **changes: Any) -> list[Path]:
    """Ask something of the watches of some projects; their output folders.

    Raises:
        InputError: there is none, or it is another user's; all faults at once.
    """
    faults: list[str] = []
    outs: list[Path] = []
    for place in places:
        try:
            outs.append(_own(out_of(place)))
        except InputError as error:
            faults += error.faults
    if faults:
        raise InputError(*faults)
    for out in outs:
        give_orders(out, **changes)
    return outs


def _own(out: Path) -> Path:
    owner = owner_of(out)
    if owner not in (None, os.geteuid()) and os.geteuid() != 0:
        raise InputError(f"{out}: is watched by {_user(owner or 0)}, who alone may do that")
    return out


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"user {number}"


def stop(places: Sequence[Path], within_s: float) -> None:
    """Stop the watches of some projects, each after its round in hand, and wait for them.

    Raises:
        InputError: none runs there, it is another user's, or it has not ended in time.
    """
    running, faults = [], []
    for out in ask(places):
        index = LogIndex(out / LOG_NAME)
        index.refresh()
        if watching(index).state in ("live", "stalled"):
            give_orders(out, stop=holder_of(out))
            running.append(index)
        else:
            faults.append(f"{out}: no watch writes there")
    ends_s = time.monotonic() + within_s
    for index in running:
        while not index.ended and watching(index).state != "stopped":
            if time.monotonic() >= ends_s:
                faults.append(f"{index.out}: has not ended yet; it does after its round in hand")
                break
            time.sleep(_LOOK_EVERY_S)
            index.refresh()
        else:
            print(f"stopped: {index.out}")
    if faults:
        raise InputError(*faults)
