"""The socket of the live page: bound, announced, and closed without waiting for pages that are open."""

import asyncio
import errno
import logging
import math
import os
import re
import resource
import secrets
import socket
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from refine_hooks.errors import InputError
from refine_hooks.serve.guard import Guard, is_loopback, own_names
from refine_hooks.settings import own_table

logger = logging.getLogger(__name__)

TOKEN_VARIABLE = "REFINE_HOOKS_TOKEN"  # noqa: S105  (the name of a variable)
POLL_S = 2.0
MOST_PAGES = 500
_WAITING = 512  # connections that the system holds until they are taken
_SAY_EVERY_S = 60.0
_DESCRIPTORS_OF_OURS = 64
LONG_BYTES = 100_000_000
PATIENCE_S = 3  # for downloads that are under way when the server ends


def serve(
    place: Path,
    host: str,
    port: int,
    names: Sequence[str],
    poll_s: float = POLL_S,
    config: Path | None = None,
    root: str = "",
) -> None:
    """Serve the logs of a place until SIGINT or SIGTERM.

    Args:
        place: a log, its folder, a project, or a folder of projects.
        host: address to listen on; any but this machine's own needs a token, from the environment or made anew.
        port: port to listen on; 0 takes a free one.
        names: further host names that the server is called by.
        poll_s: pause between looks at the logs.
        config: TOML file laid over the settings of each log.
        root: where a reverse proxy has the page, as /refine.

    Raises:
        InputError: the place is not there, the port is taken, the token is too short, or an extra is missing.
        SettingsError: every fault of ``config``.
    """
    try:
        import uvicorn

        from refine_hooks.serve.app import application
        from refine_hooks.serve.collection import collection_at
        from refine_hooks.serve.events import Hub
    except ImportError as error:
        raise InputError("the live page needs Starlette and uvicorn: pip install 'refine_hooks[serve]'") from error

    root = rooted(root)
    own, token = own_table(config), token_for(host)
    listening, hub = bound(host, port), Hub(places())
    tell_if_long(place)
    logs = collection_at(place, own)
    number = listening.getsockname()[1]
    app = application(logs, hub, lambda: asyncio.sleep(poll_s), root)
    guarded = Guard(app, own_names(host, names), token, f"refine_hooks_{number}", root)

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            asyncio.get_running_loop().set_exception_handler(_Faults())
            await super().startup(sockets)
            print(address(host, number, token), flush=True)  # what the command is for, so not a message
            logger.info(f"{len(logs.logs)} log{'s' * (len(logs.logs) != 1)} below {logs.place}; Ctrl-C ends")

        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            hub.close()
            await super().shutdown(sockets)

    options = uvicorn.Config(
        guarded,
        log_level="error",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ws="none",
        backlog=_WAITING,
        lifespan="on",
        timeout_graceful_shutdown=PATIENCE_S,
    )
    # That a browser's connection outlived the patience is no error of anyone's.
    logging.getLogger("uvicorn.error").addFilter(lambda entry: "graceful shutdown exceeded" not in str(entry.msg))
    with listening:
        Server(options).run(sockets=[listening])


def rooted(path: str) -> str:
    """Where a proxy has the page, with a slash before it and none behind; empty for the whole address.

    Raises:
        InputError: not a path.
    """
    found = f"/{path.strip('/')}" if path.strip("/") else ""
    if not re.fullmatch(r"(?:/[A-Za-z0-9._~-]+)*", found) or ".." in found:
        raise InputError(f"--root-path {path}: is not a path; give one as /refine")
    return found


def places() -> int:
    """How many pages may listen: each takes a descriptor of this process, and as many are left for what they then ask for."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * MOST_PAGES + _DESCRIPTORS_OF_OURS
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    room = wanted if soft == resource.RLIM_INFINITY else soft
    return max(1, min(MOST_PAGES, (room - _DESCRIPTORS_OF_OURS) // 2))


class _Faults:
    """What the event loop is told of. Without descriptors it tells of one cause a thousand times, and of the same at the end."""

    def __init__(self) -> None:
        self.said_s = -math.inf

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
            if time.monotonic() - self.said_s > _SAY_EVERY_S:
                self.said_s = time.monotonic()
                logger.warning(
                    f"no further page can be answered now ({error.strerror}); close some, or raise 'ulimit -n'"
                )
        elif not (isinstance(error, ValueError) and "_start_serving" in context["message"]):
            loop.default_exception_handler(context)


def tell_if_long(place: Path) -> None:
    """Say that reading will take a while, where it will."""
    from refine_hooks.serve.collection import found_logs

    size = sum(path.stat().st_size for path in found_logs(place) if path.is_file()) if place.exists() else 0
    if size > LONG_BYTES:
        logger.info(f"reading {size / 1e6:.0f} MB of logs ...")


def token_for(host: str) -> str | None:
    """The token that readers must show: none on this machine alone unless one is set.

    Raises:
        InputError: the one that is set can be guessed.
    """
    given = os.environ.get(TOKEN_VARIABLE)
    if given:
        if len(given) < 16 or not given.isascii() or not given.replace("-", "").replace("_", "").isalnum():
            raise InputError(f"{TOKEN_VARIABLE}: give at least 16 letters, digits, - or _")
        return given
    return None if is_loopback(host) else secrets.token_urlsafe(24)


def bound(host: str, port: int) -> socket.socket:
    """A listening socket.

    Raises:
        InputError: the address cannot be had.
    """
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(where)
        except OSError:
            listening.close()
            raise
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{host}:{port}: cannot listen there ({reason}); name another --port or --host") from error
    return listening


def address(host: str, port: int, token: str | None) -> str:
    """What the user opens."""
    machine = socket.gethostname() if host in ("0.0.0.0", "::") else host  # noqa: S104  (the user asked for it)
    place = f"[{machine}]" if ":" in machine else machine
    return f"http://{place}:{port}/" + (f"?token={token}" if token else "")
