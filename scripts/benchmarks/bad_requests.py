"""Send requests to a live page that nobody should send, until told to end; print how they were answered, as JSON.

bad_requests.py ADDRESS [SEED]    SIGTERM ends it; ADDRESS is one of this machine's own
"""

import json
import random
import signal
import socket
import sys
import time
import urllib.request
from collections import Counter
from urllib.parse import quote

PAUSE_S = 0.05
PATIENCE_S = 20.0
_ODD = (
    "../../etc/passwd",
    "%00",
    "%2e%2e%2f",
    "\r\nx: y",
    "run/1/1",
    "run/-1/0",
    "9" * 400,
    "ä\udcff",
    "",
    "half1",
    "mask:..",
    "-1",
)


class Asker:
    """One client of one live page.

    Attributes:
        address: of the page.
        counts: of the answers, by their status; ``no answer`` where the connection was closed without one.
    """

    def __init__(self, address: str, seed: int) -> None:
        host, port = address.removeprefix("http://").rstrip("/").split(":")
        if not host.startswith("127."):
            raise SystemExit(f"{address}: is not this machine; nothing is sent there")
        self.address, self.host, self.port = address, host, int(port)
        self.chance, self.counts, self.ended = random.Random(seed), Counter[str](), False

    def end(self, *_: object) -> None:
        """Send nothing more."""
        self.ended = True

    def run(self) -> None:
        """Ask until told to end."""
        while not self.ended:
            self.counts[self.ask(self.request())] += 1
            time.sleep(PAUSE_S)

    def ask(self, request: bytes) -> str:
        """The status of the answer to some bytes."""
        try:
            with socket.create_connection((self.host, self.port), timeout=PATIENCE_S) as page:
                page.sendall(request)
                page.shutdown(socket.SHUT_WR)
                first = page.recv(64).split()
        except TimeoutError:
            return "hangs"
        except OSError:
            return "no answer"
        return first[1].decode() if len(first) > 1 else "no answer"

    def log(self) -> str:
        """The id of some log that the page shows; of none where it shows none."""
        try:
            with urllib.request.urlopen(self.address + "api/logs", timeout=PATIENCE_S) as answer:
                shown = json.load(answer)["logs"]
        except (OSError, ValueError):
            return "0" * 16
        return self.chance.choice(shown)["id"] if shown else "0" * 16

    def request(self) -> bytes:
        """A request of some bad kind."""
        pick, path = self.chance.choice, self._path()
        whole = self._get(path)
        return pick(
            (
                whole,
                whole[: self.chance.randrange(len(whole))],
                self.chance.randbytes(self.chance.randrange(1, 4000)),
                self._get(path, more=f"x: {'y' * 100_000}\r\n"),
                self._get(path, more=f"range: bytes={pick(('9-1', '--1', '0-0,1-,-5', 'x'))}\r\n"),
                self._get(path, method=pick(("POST", "DELETE", "PUT", "PATCH", "TRACE", "\x01"))),
                self._get(path, host=pick(("evil.example", "", "[::1", "a" * 5000))),
                self._get("/" + "a" * 70_000),
            )
        )

    def _path(self) -> str:
        what = self.chance.choice(("round", "file", "picture", "", "x"))
        key, name, after = (quote(self.chance.choice(_ODD), errors="surrogateescape", safe="%/") for _ in range(3))
        return f"/api/log/{self.log()}/{what}?key={key}&what={name}&after={after}"

    def _get(self, path: str, method: str = "GET", host: str | None = None, more: str = "") -> bytes:
        named = f"{self.host}:{self.port}" if host is None else host
        return f"{method} {path} HTTP/1.1\r\nHost: {named}\r\n{more}\r\n".encode()


def main() -> None:
    """Ask until SIGTERM."""
    asker = Asker(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1)
    signal.signal(signal.SIGTERM, asker.end)
    asker.run()
    print(json.dumps(asker.counts))


if __name__ == "__main__":
    main()
