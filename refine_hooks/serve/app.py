"""Addresses and answers of the live page. Everything is read from the logs; there is nothing to write."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from refine_hooks.errors import InputError, RefineHooksError
from refine_hooks.model import Key
from refine_hooks.notify.prometheus import prometheus_text, state_of
from refine_hooks.report import page
from refine_hooks.report.view import LogView
from refine_hooks.serve import files
from refine_hooks.serve.collection import LogCollection
from refine_hooks.serve.events import Hub

TELL_EVERY = 25  # audits of a few rounds each
Wait = Callable[[], Awaitable[None]]


def application(logs: LogCollection, hub: Hub, wait: Wait) -> Starlette:
    """The application over some logs.

    Args:
        logs: the logs.
        hub: tells the open pages.
        wait: returns when it is time to look at the logs again.
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
        Route("/api/log/{id}/picture", _picture),
        Route("/api/log/{id}/file", _file),
        Route("/metrics", _metrics),
    ]
    handlers: dict[Any, Any] = {RefineHooksError: _not_there}
    app = Starlette(routes=routes, lifespan=looking, exception_handlers=handlers)
    app.state.logs, app.state.hub = logs, hub
    return app


async def keep_looking(logs: LogCollection, hub: Hub, wait: Wait) -> None:
    """Look at the logs, tell of news, audit some of what has not been; wait when nothing is left, and again."""
    judged: set[str] = set()
    turns = 0
    while True:
        found, news = await run_in_threadpool(logs.refresh)
        if found:
            hub.tell("logs")
        more = await run_in_threadpool(logs.judge)
        judged.update(more)
        turns += 1
        due = judged if not more or turns % TELL_EVERY == 0 else set()
        for log in {*news, *due}:
            hub.tell("log", id=log)
        judged -= due
        if not more:
            await wait()


async def _page(request: Request) -> Response:
    before, after, policy = page.document("refine_hooks", "live")
    return HTMLResponse(before + after, headers={"content-security-policy": policy + "; frame-ancestors 'none'"})


async def _logs(request: Request) -> Response:
    logs = [
        {"id": log.id, "title": log.title, "where": str(log.index.out)} for log in _collection(request).logs.values()
    ]
    return JSONResponse({"logs": sorted(logs, key=lambda log: (log["title"], log["where"]))})


async def _log(request: Request) -> Response:
    log = _view(request)
    try:
        after = int(request.query_params.get("after", "0"))
    except ValueError as error:
        raise HTTPException(400, "after: give the number of the last change that is known") from error
    return JSONResponse(await run_in_threadpool(log.since, after))


async def _round(request: Request) -> Response:
    log, key = _view(request), _key(request)

    def told() -> dict[str, Any]:
        record = log.index.record(key)
        return {
            **log.detail(key),
            "pictures": files.pictures(log.index, record),
            "links": files.links(log.index, record),
        }

    return JSONResponse(await run_in_threadpool(told))


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
    if hub.full:
        return PlainTextResponse("too many pages are open\n", 503, {"retry-after": "30"})
    kind, unbuffered = "text/event-stream", {"x-accel-buffering": "no"}
    if request.method == "HEAD":
        return Response(media_type=kind)
    return StreamingResponse(hub.stream(), media_type=kind, headers=unbuffered)


async def _metrics(request: Request) -> Response:
    logs = list(_collection(request).logs.values())
    return PlainTextResponse(
        prometheus_text(state_of(log.judge, str(log.index.out)) for log in logs),
        headers={"content-type": "text/plain; version=0.0.4"},
    )


async def _not_there(request: Request, error: Exception) -> Response:
    return PlainTextResponse(f"{error}\n", 404)


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
