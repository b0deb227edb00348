"""Addresses and answers of the live page. Everything is read from the logs; there is nothing to write."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from refine_hooks.errors import InputError, RefineHooksError
from refine_hooks.files.names import told, told_in
from refine_hooks.log.watching import WatchState, watching
from refine_hooks.model import Key
from refine_hooks.notify.prometheus import prometheus_text, state_of
from refine_hooks.report import page
from refine_hooks.report.export import export
from refine_hooks.report.view import LogView
from refine_hooks.serve import files
from refine_hooks.serve.collection import LogCollection
from refine_hooks.serve.events import Hub, Listener
from refine_hooks.serve.guide import POLICY, guide_page, guide_picture

logger = logging.getLogger(__name__)

TELL_EVERY = 25  # audits of a few rounds each
_KINDS = {"emdb-xml": "application/xml", "csv": "text/csv", "json": "application/json"}
Wait = Callable[[], Awaitable[None]]


def application(logs: LogCollection, hub: Hub, wait: Wait, root: str = "") -> Starlette:
    """The application over some logs.

    Args:
        logs: the logs.
        hub: tells the open pages.
        wait: returns when it is time to look at the logs again.
        root: where a reverse proxy has the page.
    """

    @asynccontextmanager
    async def looking(_: Starlette) -> AsyncIterator[None]:
        task = asyncio.create_task(keep_looking(logs, hub, wait))
        try:
            yield
        finally:
            hub.close()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    routes = [
        Route("/", _page),
        Route("/api/logs", _logs),
        Route("/api/events", _events),
        Route("/api/log/{id}", _log),
        Route("/api/log/{id}/round", _round),
        Route("/api/log/{id}/rounds", _rounds),
        Route("/api/log/{id}/export", _export),
        Route("/api/log/{id}/picture", _picture),
        Route("/api/log/{id}/file", _file),
        Route("/guide", _guide),
        Route("/guide/{name}", _guide),
        Route("/guide/picture/{name}", _guide_picture),
        Route("/metrics", _metrics),
    ]
    handlers: dict[Any, Any] = {RefineHooksError: _not_there}
    app = Starlette(routes=routes, lifespan=looking, exception_handlers=handlers)
    app.state.logs, app.state.hub, app.state.root = logs, hub, root
    return app


async def keep_looking(logs: LogCollection, hub: Hub, wait: Wait) -> None:
    """Look at the logs, tell of news, audit some of what has not been; wait when nothing is left, and again.

    What goes wrong in one turn (no descriptors left, no memory, a log that no rule can read) is said, and the next one tries again.
    """
    looking = _Looking(logs, hub)
    while True:
        try:
            more = await looking.turn()
        except Exception as error:
            looking.say(f"the logs could not be looked at ({error or type(error).__name__}); it is tried again")
            more = False
        if not more:
            await wait()


@dataclass(slots=True)
class _Looking:
    """What has been told of the logs, from one turn to the next."""

    logs: LogCollection
    hub: Hub
    judged: set[str] = field(default_factory=set)
    watches: dict[str, WatchState] = field(default_factory=dict)
    turns: int = 0
    said: str = ""

    async def turn(self) -> bool:
        """Look once; whether there is more to audit at once."""
        found, news = await run_in_threadpool(self.logs.refresh)
        if found:
            self.hub.tell("logs")
        more = await run_in_threadpool(self.logs.judge)
        self.judged.update(more)
        self.turns += 1
        due = self.judged if not more or self.turns % TELL_EVERY == 0 else set()
        changed = await run_in_threadpool(self.watches_that_changed)
        for log in {*news, *due, *changed}:
            self.hub.tell("log", id=log)
        self.judged -= due
        self.said = ""
        return bool(more)

    def watches_that_changed(self) -> list[str]:
        """The logs whose watch has begun, ended or fallen silent since the last turn: time alone does that."""
        now = {log.id: watching(log.index).state for log in list(self.logs.logs.values())}
        before, self.watches = self.watches, now
        return [log for log, state in now.items() if before.get(log, state) != state]

    def say(self, text: str) -> None:
        """Say a fault once until a turn goes well."""
        if text != self.said:
            self.said = text
            logger.warning(text)


async def _page(request: Request) -> Response:
    document = page.document("refine_hooks", "live")
    policy = document.policy + "; frame-ancestors 'none'"
    return HTMLResponse(
        document.before + document.between + document.after, headers={"content-security-policy": policy}
    )


async def _logs(request: Request) -> Response:
    views = list(_collection(request).logs.values())
    logs = await run_in_threadpool(lambda: [log.standing() for log in views])
    return JSONResponse({"logs": sorted(logs, key=lambda log: (log["title"], log["where"]))})


async def _log(request: Request) -> Response:
    log = _view(request)
    try:
        after = int(request.query_params.get("after", "0"))
        asked = request.query_params.get("newest")
        newest = None if asked is None else max(1, int(asked))
    except ValueError as error:
        raise HTTPException(400, "after and newest: give the number of the last change known, and of rounds") from error
    return JSONResponse(await run_in_threadpool(log.since, after, newest))


async def _round(request: Request) -> Response:
    log, key = _view(request), _key(request)

    def told() -> dict[str, Any]:
        record = log.index.record(key)
        return {
            **log.detail(key),
            **files.pictures(log.index, record),
            "links": files.links(log.index, record),
        }

    return JSONResponse(await run_in_threadpool(told))


async def _rounds(request: Request) -> Response:
    log, key, curve = _view(request), _key(request), request.query_params.get("curve") or None
    return JSONResponse({"rounds": await run_in_threadpool(log.over_rounds, key, curve)})


async def _export(request: Request) -> Response:
    log, key, kind = _view(request), _key(request), request.query_params.get("as", "")
    text = await run_in_threadpool(lambda: export(log.index.record(key), kind))
    return Response(text, media_type=_KINDS.get(kind, "text/plain"), headers={"content-disposition": "attachment"})


async def _picture(request: Request) -> Response:
    log, key, what = _view(request), _key(request), request.query_params.get("what", "")
    handle = await run_in_threadpool(lambda: files.opened_picture(log.index, log.index.record(key), what))
    return files.HeldFile(handle, "image/png")


async def _file(request: Request) -> Response:
    log, key, what = _view(request), _key(request), request.query_params.get("what", "")
    handle, name = await run_in_threadpool(lambda: files.opened_map(log.index, log.index.record(key), what))
    return files.HeldFile(handle, "application/octet-stream", name)


async def _events(request: Request) -> Response:
    hub: Hub = request.app.state.hub
    kind, unbuffered = "text/event-stream", {"x-accel-buffering": "no"}
    if request.method == "HEAD":
        return Response(media_type=kind)
    listener = hub.enter()
    if listener is None:
        return PlainTextResponse("too many pages are open\n", 503, {"retry-after": "30"})
    return Listening(hub, listener, media_type=kind, headers=unbuffered)


class Listening(StreamingResponse):
    """The stream of one page; its place is free again whatever becomes of the answer."""

    def __init__(self, hub: Hub, listener: Listener, **more: Any) -> None:
        self._hub, self._listener = hub, listener
        super().__init__(hub.stream(listener), **more)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it until the page leaves or the server ends."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._hub.leave(self._listener)


async def _guide(request: Request) -> Response:
    text = await run_in_threadpool(guide_page, request.path_params.get("name", ""), request.app.state.root)
    return HTMLResponse(text, headers={"content-security-policy": POLICY})


async def _guide_picture(request: Request) -> Response:
    return Response(await run_in_threadpool(guide_picture, request.path_params["name"]), media_type="image/png")


async def _metrics(request: Request) -> Response:
    logs = list(_collection(request).logs.values())
    return PlainTextResponse(
        prometheus_text(state_of(log.judge, told(str(log.index.out))) for log in logs),
        headers={"content-type": "text/plain; version=0.0.4"},
    )


async def _not_there(request: Request, error: Exception) -> Response:
    return PlainTextResponse(f"{told_in(str(error))}\n", 404)


def _collection(request: Request) -> LogCollection:
    logs: LogCollection = request.app.state.logs
    return logs


def _view(request: Request) -> LogView:
    log = _collection(request).logs.get(request.path_params["id"])
    if log is None:
        raise InputError("there is no such log")
    return log


def _key(request: Request) -> Key:
    return Key.parse(request.query_params.get("key", ""))
