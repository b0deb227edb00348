"""What a user asks of a watch that runs, and what that says of itself: two small files beside the log."""

import json
import os
import stat
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from refine_hooks.errors import StorageError
from refine_hooks.files.atomic import beside
from refine_hooks.files.reading import parsed_json

_ORDERS, _STANDING = ".orders.json", ".standing.json"
_MOST_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Orders:
    """What is asked of the watch of an output folder.

    Attributes:
        stop: the holder of its lock that is to end; nobody else does.
        paused: whether rounds are only kept, and measured later.
        muted: whether no messages are sent.
    """

    stop: str = ""
    paused: bool = False
    muted: bool = False


@dataclass(frozen=True, slots=True)
class Standing:
    """What a watch says of itself while it runs.

    Attributes:
        holder: of the lock, who says so.
        waiting: rounds that could be measured and are not yet.
        measuring: whether one is being measured.
        why: what is waited for; empty where nothing is.
    """

    holder: str = ""
    waiting: int = 0
    measuring: bool = False
    why: str = ""


def read_orders(out: Path, owner: int) -> Orders:
    """The orders in a folder, if they are of this user or of root; none where nothing can be read."""
    found = _read(out / _ORDERS, {owner, 0})
    return Orders(str(found.get("stop", "")), found.get("paused") is True, found.get("muted") is True)


def give_orders(out: Path, **changes: Any) -> Orders:
    """Change the orders in a folder.

    Raises:
        StorageError: they cannot be written.
    """
    orders = replace(read_orders(out, os.geteuid()), **changes)
    write_beside(out / _ORDERS, asdict(orders))
    return orders


def read_standing(out: Path) -> Standing:
    """What the watch of a folder said of itself last."""
    found = _read(out / _STANDING, None)
    waiting = found.get("waiting")
    return Standing(
        str(found.get("holder", "")),
        waiting if isinstance(waiting, int) else 0,
        found.get("measuring") is True,
        str(found.get("why", "")),
    )


def write_standing(out: Path, standing: Standing) -> None:
    """Say how a watch stands.

    Raises:
        StorageError: it cannot be written.
    """
    write_beside(out / _STANDING, asdict(standing))


def write_beside(path: Path, fields: dict[str, Any]) -> None:
    """Write a small JSON file whole or not at all.

    Raises:
        StorageError: it cannot be written.
    """
    try:
        with beside(path) as temporary:
            temporary.write_text(json.dumps(fields), encoding="utf-8")
    except OSError as error:
        raise StorageError(f"{path}: cannot be written ({error.strerror or error})") from error


def _read(path: Path, owners: set[int] | None) -> dict[str, Any]:
    """A small file of somebody who may give it; never through a link."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return {}
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode) or (owners is not None and status.st_uid not in owners):
            return {}
        found = parsed_json(os.read(handle, _MOST_BYTES).decode())
    except (OSError, ValueError):
        return {}
    finally:
        os.close(handle)
    return found if isinstance(found, dict) else {}
