"""Messages that wait: for the end of a period, so that many come as one, and for the end of quiet hours."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from refine_hooks.settings import NotifySettings

Message = tuple[str, str]  # title and text
_AT_ONCE = {"failed", "stalled", "finished"}  # what needs a person waits for no digest, only for the morning


@dataclass(slots=True)
class Digest:
    """The messages of one watch that are held back.

    Attributes:
        clock: seconds; the clock of all waiting.
        now: the time of day.
    """

    clock: Callable[[], float] = time.monotonic
    now: Callable[[], datetime] = datetime.now
    _held: list[Message] = field(default_factory=list)
    _since_s: float = 0.0

    def passed(self, event: str, message: Message, notify: NotifySettings) -> list[Message]:
        """What is to be sent now that there is this message."""
        every_s = notify.every_s
        if not notify.is_quiet(self.now()) and (event in _AT_ONCE or not every_s):
            return [*self.taken(), message]
        if not self._held:
            self._since_s = self.clock()
        self._held.append(message)
        return []

    def due(self, notify: NotifySettings) -> list[Message]:
        """What is to be sent because its time has come."""
        if not self._held or notify.is_quiet(self.now()) or self.clock() - self._since_s < notify.every_s:
            return []
        return self.taken()

    def taken(self) -> list[Message]:
        """All that is held, as one message; it is held no longer."""
        held, self._held = self._held, []
        if len(held) < 2:
            return held
        project = held[-1][0].partition(": ")[0]
        body = "\n\n".join(f"{title}\n{text}" for title, text in held)
        return [(f"{project}: {len(held)} messages; the last: {held[-1][0].removeprefix(f'{project}: ')}", body)]
