"""Who may ask the live page, as a layer around the application: only reading, only by its own name, only from its own page.

A page of another site that the user has open can send requests to 127.0.0.1, and can make its own name mean 127.0.0.1 (DNS
rebinding). So the Host header must name this machine, and a request that another origin's page makes is refused.
"""

import ipaddress
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_SAFETY = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
_POLICY = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
_OWN_SITE = ("same-origin", "none")


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server bound to ``host``."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@dataclass(frozen=True, slots=True)
class Guard:
    """The application behind its checks.

    Attributes:
        app: what answers when all is well.
        names: host names that this server is called by; addresses in digits always are, since no one can rebind them.
        token: what a request must show, as a cookie, a bearer or ``?token=``; None where only this machine can ask.
        cookie: name of the cookie; one for each port, since cookies do not tell ports apart.
        root: where a reverse proxy has the page, as /refine; it may take this off the addresses that it passes on, or leave it.
    """

    app: ASGIApp
    names: frozenset[str]
    token: str | None = None
    cookie: str = "refine_hooks"
    root: str = ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or refuse it."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return
        if self.root and f"{scope['path']}/".startswith(f"{self.root}/"):
            scope = {**scope, "path": scope["path"].removeprefix(self.root) or "/"}
        headers = Headers(scope=scope)
        answer = self._refused(scope, headers) or self._without_token(scope, headers)

        async def safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                said = MutableHeaders(scope=message)
                for name, value in _SAFETY.items():
                    said.setdefault(name, value)
                said.setdefault("content-security-policy", _POLICY)
            await send(message)

        await (answer or self.app)(scope, receive, safely)

    def _refused(self, scope: Scope, headers: Headers) -> Response | None:
        if scope["method"] not in ("GET", "HEAD"):
            return _text(405, "This page can only be read.", allow="GET, HEAD")
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self._is_own(hosts[0]):
            return _text(
                421, "This server is not called by that name; use the address that it printed, or start it with --name."
            )
        origin = headers.get("origin")
        if origin is not None and _netloc(origin) != hosts[0].lower():
            return _text(403, "Another site's page may not read this one.")
        site, mode = headers.get("sec-fetch-site", "none"), headers.get("sec-fetch-mode", "navigate")
        if site not in _OWN_SITE and (mode != "navigate" or headers.get("sec-fetch-dest") != "document"):
            return _text(403, "Another site's page may not read this one.")
        return None

    def _is_own(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return name.lower().rstrip(".") in self.names
        return True

    def _without_token(self, scope: Scope, headers: Headers) -> Response | None:
        if self.token is None or self._same(_cookie(headers, self.cookie)) or self._same(_bearer(headers)):
            return None
        given = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("token", [""])[0]
        if not self._same(given):
            return _text(401, "This page needs its token: open the address that the server printed when it started.")
        # The token leaves the address at once, so that it does not stay in the history or in a bookmark that is passed on.
        answer = RedirectResponse(f"{self.root}/", 303)
        answer.set_cookie(
            self.cookie, self.token, max_age=30 * 86400, httponly=True, samesite="lax", path=f"{self.root}/"
        )
        return answer

    def _same(self, given: str | None) -> bool:
        return given is not None and secrets.compare_digest(given.encode(), (self.token or "").encode())


def own_names(host: str, more: Iterable[str] = ()) -> frozenset[str]:
    """The names that a server bound to ``host`` is called by."""
    import socket

    machine = () if is_loopback(host) else (socket.gethostname(), socket.getfqdn())
    return frozenset(name.lower().rstrip(".") for name in ("localhost", host, *machine, *more) if name)


def _text(status: int, words: str, **headers: str) -> Response:
    return PlainTextResponse(words + "\n", status, headers)


def _netloc(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return None


def _cookie(headers: Headers, name: str) -> str | None:
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(name)
    except CookieError:
        return None
    return found.value if found is not None else None


def _bearer(headers: Headers) -> str | None:
    kind, _, value = headers.get("authorization", "").partition(" ")
    return value.strip() if kind.lower() == "bearer" else None
