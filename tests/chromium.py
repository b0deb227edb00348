"""A real headless Chromium, driven through its debugging pipe: no driver, no port, no further package."""

import base64
import fcntl
import json
import os
import select
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
_OPTIONS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-dev-shm-usage",
    "--remote-debugging-pipe",
    "--window-size=1360,1000",
    "--hide-scrollbars",
]
PATIENCE_S = 30.0
_LEFT = "navigated or closed"


class LeftError(Exception):
    """The page went to another address before it had answered."""


@dataclass
class Page:
    """One open tab: what it is asked, what it answers, and what it complained of."""

    commands: int
    answers: int
    session: str = ""
    number: int = 0
    rest: bytes = b""
    complaints: list[str] = field(default_factory=list)

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send one command of the DevTools protocol and wait for its answer."""
        self.number += 1
        number = self.number
        message = {"id": number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == number:
                if _LEFT in answer.get("error", {}).get("message", ""):
                    raise LeftError(method)
                assert "error" not in answer, answer
                return answer.get("result", {})

    def _next(self) -> dict[str, Any]:
        end = time.monotonic() + PATIENCE_S
        while b"\0" not in self.rest:
            ready, _, _ = select.select([self.answers], [], [], max(0.0, end - time.monotonic()))
            assert ready, "chromium does not answer"
            self.rest += os.read(self.answers, 1 << 20)
        text, _, self.rest = self.rest.partition(b"\0")
        answer: dict[str, Any] = json.loads(text)
        if answer.get("method") == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(answer["params"]["exceptionDetails"]))
        if answer.get("method") == "Log.entryAdded" and answer["params"]["entry"]["level"] == "error":
            self.complaints.append(answer["params"]["entry"]["text"] + " " + answer["params"]["entry"].get("url", ""))
        return answer

    def run(self, expression: str) -> Any:
        """The value of a JavaScript expression; a promise is awaited."""
        answer = self.ask("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def until(self, condition: str) -> Any:
        """Wait, inside the page and frame by frame, until a JavaScript expression is true; returns its value."""
        waiting = f"""new Promise((done, fail) => {{
            const end = performance.now() + {PATIENCE_S * 800};
            const look = () => {{ let v; try {{ v = ({condition}); }} catch {{ v = null; }}
                if (v) done(v); else if (performance.now() > end) fail(new Error("never true"));
                else setTimeout(look, 20); }};
            look(); }})"""
        try:
            return self.run(waiting)
        except LeftError:  # once: what is asked for is asked of the page that came
            return self.run(waiting)

    def open(self, address: str) -> None:
        """Load a page and wait until it says that it is ready."""
        self.ask("Page.navigate", url=address)
        self.until("document.readyState === 'complete' && document.documentElement.dataset.ready")

    def reload(self) -> None:
        """Load the page anew and wait until the new one says that it is ready."""
        self.run("window.left = true")
        self.ask("Page.reload")
        self.until("!window.left && document.readyState === 'complete' && document.documentElement.dataset.ready")

    def press(self, key: str, modifiers: int = 0) -> None:
        """Press and release a key; modifiers: 8 is shift."""
        text = {"text": key} if len(key) == 1 else {}
        self.ask("Input.dispatchKeyEvent", type="keyDown", key=key, modifiers=modifiers, **text)
        self.ask("Input.dispatchKeyEvent", type="keyUp", key=key, modifiers=modifiers)

    def hover(self, x: float, y: float) -> None:
        """Move the mouse to a point of the window."""
        self.ask("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def screenshot(self, path: Path, whole: bool = False) -> bytes:
        """Save the window, or the whole page, as PNG."""
        answer = self.ask("Page.captureScreenshot", format="png", captureBeyondViewport=whole, **self._clip(whole))
        png = base64.b64decode(answer["data"])
        path.write_bytes(png)
        return png

    def _clip(self, whole: bool) -> dict[str, Any]:
        if not whole:
            return {}
        size = self.ask("Page.getLayoutMetrics")["cssContentSize"]
        return {"clip": {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}}


@contextmanager
def page(profile: Path) -> Iterator[Page]:
    """One tab in a Chromium of its own, with a fresh profile; the browser ends with the block."""
    with started(profile) as browser, tab(browser):
        yield browser


@contextmanager
def tab(browser: Page) -> Iterator[Page]:
    """A tab that knows nothing of those before it; what is asked within the block is asked of it."""
    browser.session = ""
    context = browser.ask("Target.createBrowserContext")["browserContextId"]
    target = browser.ask("Target.createTarget", url="about:blank", browserContextId=context)["targetId"]
    browser.session = browser.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
    for domain in ("Page", "Runtime", "Log"):
        browser.ask(f"{domain}.enable")
    browser.complaints.clear()
    yield browser
    browser.session = ""
    browser.ask("Target.disposeBrowserContext", browserContextId=context)


@contextmanager
def started(profile: Path) -> Iterator[Page]:
    """A Chromium with a fresh profile and no tab to ask yet; it ends with the block."""
    assert PROGRAM
    (theirs_in, commands), (answers, theirs_out) = os.pipe(), os.pipe()
    high_in, high_out = (fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 64) for end in (theirs_in, theirs_out))
    actions = [
        (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
        (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
        (os.POSIX_SPAWN_DUP2, high_in, 3),
        (os.POSIX_SPAWN_DUP2, high_out, 4),
    ]
    arguments = [PROGRAM, *_OPTIONS, f"--user-data-dir={profile}", "about:blank"]
    process = os.posix_spawn(PROGRAM, arguments, dict(os.environ), file_actions=actions, setpgroup=0)
    for end in (theirs_in, theirs_out, high_in, high_out):
        os.close(end)
    browser = Page(commands, answers)
    try:
        yield browser
    finally:
        os.close(commands)
        os.close(answers)
        os.killpg(process, signal.SIGKILL)
        os.waitpid(process, 0)
