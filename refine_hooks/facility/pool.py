"""One queue for all watches, and the processes that work on it. Nothing here depends on any file system."""

import logging
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from refine_hooks.errors import NotReadyError
from refine_hooks.facility.child import Child, CrashedError
from refine_hooks.facility.jobs import Outcome
from refine_hooks.facility.turns import Ticket, Urgency, next_of

logger = logging.getLogger(__name__)


class Pool:
    """Some processes, each with a thread that hands it one job after another.

    Reconstructions have a process of their own beside these, one after another, so that they hold up no round.
    """

    def __init__(
        self,
        workers: int,
        memory_bytes: int,
        threads: int,
        hangs_after_s: float = 300.0,
        child: Callable[[int, float], Child] = Child,
    ) -> None:
        """Begin; no process is started before there is a job.

        Args:
            workers: how many jobs are done at once.
            memory_bytes: that these may be expected to take together; one that takes more is done alone.
            threads: of each process.
            hangs_after_s: a process that neither computes nor reads for so long is given up.
            child: makes a process.
        """
        self.memory_bytes = memory_bytes
        self._changed = threading.Condition()
        self._waiting: list[Ticket] = []
        self._in_hand: list[Ticket] = []
        self._served: dict[Path, float] = {}
        self._over = False
        self._children = [child(threads, hangs_after_s) for _ in range(workers + 1)]
        for number, one in enumerate(self._children):
            kinds = [kind for kind in Urgency if (kind is Urgency.RECONSTRUCTION) == (number == workers)]
            threading.Thread(target=self._work, args=(one, kinds), name=f"measure {number}", daemon=True).start()

    def add(self, ticket: Ticket) -> None:
        """Put a job into the queue."""
        with self._changed:
            self._waiting.append(ticket)
            self._changed.notify_all()

    def drop(self, ticket: Ticket) -> None:
        """Take a job out of the queue that has not begun; one that has is done to its end."""
        with self._changed:
            if ticket in self._waiting:
                self._waiting.remove(ticket)
                ticket.ended(Outcome(errors=(NotReadyError("the watch ends"),)))

    def waiting(self) -> list[Ticket]:
        """The jobs that wait."""
        with self._changed:
            return list(self._waiting)

    def in_hand(self) -> list[Ticket]:
        """The jobs that are being done."""
        with self._changed:
            return list(self._in_hand)

    def pids(self) -> list[int]:
        """The processes that there are now."""
        return [pid for one in self._children if (pid := one.pid) is not None]

    def close(self) -> None:
        """End all processes, with what they do."""
        with self._changed:
            self._over = True
            self._changed.notify_all()
        for one in self._children:
            one.end()

    def _work(self, child: Child, kinds: Iterable[Urgency]) -> None:
        while (ticket := self._taken(kinds)) is not None:
            try:
                outcome = ticket.context.run(child.do, ticket.job, ticket.stop.is_set)
            except CrashedError as error:
                outcome = Outcome(errors=(error,))
            except Exception as error:
                child.end()
                outcome = Outcome(errors=(CrashedError(f"it could not be handed to a process ({error})"),))
            with self._changed:
                self._in_hand.remove(ticket)
                self._changed.notify_all()
            ticket.ended(outcome)

    def _taken(self, kinds: Iterable[Urgency]) -> Ticket | None:
        """The next job as soon as there is one and the memory for it; None at the end."""
        with self._changed:
            while not self._over:
                now_s = time.monotonic()
                ticket = next_of([one for one in self._waiting if one.urgency in kinds], self._served, now_s)
                if ticket is not None and self._fits(ticket):
                    self._waiting.remove(ticket)
                    self._in_hand.append(ticket)
                    self._served[ticket.job.project] = now_s
                    return ticket
                self._changed.wait()
            return None

    def _fits(self, ticket: Ticket) -> bool:
        """Whether the memory holds a job beside those in hand. Nothing passes one that waits for memory, so its turn comes."""
        taken = sum(one.memory_bytes for one in self._in_hand)
        return not taken or taken + ticket.memory_bytes <= self.memory_bytes
