"""Server-sent events: everyone with the page open is told which log has news, and that the server is ending."""

import asyncio
import json
from collections.abc import AsyncIterator

KEEP_ALIVE_S = 20.0

Listener = asyncio.Queue[str | None]


class Hub:
    """Those who listen. All methods belong to the thread of the event loop."""

    def __init__(self, most: int = 500) -> None:
        self.most = most
        self.closed = False
        self._listeners: set[Listener] = set()

    @property
    def full(self) -> bool:
        """Whether as many listen as may."""
        return self.closed or len(self._listeners) >= self.most

    def tell(self, event: str, **values: str) -> None:
        """Tell all; one who does not keep up is told less, since an event only says that there is something to fetch."""
        message = f"event: {event}\ndata: {json.dumps(values)}\n\n"
        for queue in self._listeners:
            if not queue.full():
                queue.put_nowait(message)

    def close(self) -> None:
        """End all streams, and let no new one begin."""
        self.closed = True
        for queue in self._listeners:
            while queue.full():
                queue.get_nowait()
            queue.put_nowait(None)

    def enter(self) -> Listener | None:
        """A place for one more listener, who must leave it; None where there is none. A place is taken when it is given."""
        if self.full:
            return None
        queue: Listener = asyncio.Queue(64)
        self._listeners.add(queue)
        return queue

    def leave(self, queue: Listener) -> None:
        """Give a place back."""
        self._listeners.discard(queue)

    async def stream(self, queue: Listener) -> AsyncIterator[str]:
        """What one listener is told until it leaves or the server ends."""
        try:
            yield "retry: 2000\n: here\n\n"
            while not self.closed:
                try:
                    message = await asyncio.wait_for(queue.get(), KEEP_ALIVE_S)
                except TimeoutError:
                    yield ": still here\n\n"
                    continue
                if message is None:
                    return
                yield message
        finally:
            self.leave(queue)
