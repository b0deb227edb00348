"""A watch that obeys: what a user asks of it while it runs, and what it says of itself."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from refine_hooks.errors import RefineHooksError
from refine_hooks.files.acting import Owner
from refine_hooks.files.lock import FolderLock
from refine_hooks.log.orders import Orders, Standing, give_orders, read_orders, write_standing
from refine_hooks.watch.owners import Counts, SaidOnce, Stopping

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Obeying:
    """The orders of a watch, looked at with every beat of its lock.

    Attributes:
        orders: those in force.
        owner: of the project, who is obeyed as well, where what is written belongs to them.
        heeded: whether anything is obeyed; one that only measures what is there now obeys nothing.
    """

    orders: Orders = field(default_factory=Orders)
    owner: Owner | None = None
    heeded: bool = False
    _said: Standing | None = None

    @property
    def paused(self) -> bool:
        """Whether rounds are only kept."""
        return self.orders.paused

    @contextmanager
    def begun(self, lock: FolderLock) -> Iterator[None]:
        """Forget that a watch of the same name was to stop, since process ids come again; say at the end that nothing waits."""
        out = lock.path.parent
        if lock.holder and self._given(out).stop == lock.holder:
            with suppress(RefineHooksError):
                give_orders(out, stop="")
        yield
        with suppress(RefineHooksError, OSError):
            lock.require()
            write_standing(out, Standing(lock.holder))

    def beat(self, lock: FolderLock, stopping: Stopping, counts: Counts, waits: SaidOnce) -> None:
        """Say that the watch is alive and how it stands, and obey."""
        lock.beat()
        out = lock.path.parent
        standing = Standing(lock.holder, counts.waiting, stopping.in_hand, waits.waiting)
        if standing != self._said:
            with suppress(RefineHooksError, OSError):  # on a full disk nobody reads it; that is said elsewhere
                lock.require()
                write_standing(out, standing)
                self._said = standing
        if self.heeded:
            self._obey(self._given(out), lock.holder, stopping)

    def _given(self, out: Path) -> Orders:
        return read_orders(out, os.geteuid() if self.owner is None else self.owner.uid)

    def _obey(self, orders: Orders, holder: str, stopping: Stopping) -> None:
        before, self.orders = self.orders, orders
        if orders.paused != before.paused:
            logger.info(
                "paused: rounds are kept and not measured until 'refine-hooks pause --end'"
                if orders.paused
                else "no longer paused"
            )
            stopping.wake()
        if orders.muted != before.muted:
            logger.info("muted: no messages are sent" if orders.muted else "no longer muted")
        if orders.stop and orders.stop == holder and not stopping.asked.is_set():
            stopping.why = "stopped"
            stopping.asked.set()
            stopping.wake()
            logger.info(f"asked to stop: {'finishing the round in hand' if stopping.in_hand else 'stopping'}")
