"""numba's ``njit``, for kernels that only some commands need: numba is slow to import, and compiles on first use."""

import logging

from numba import njit, prange
from numba.core import event

__all__ = ["njit", "prange"]

logger = logging.getLogger(__name__)


class _Teller(event.Listener):
    """Says once that kernels are being compiled, when that begins: else the first of them seems to hang."""

    told = False

    def on_start(self, event: object) -> None:
        if not self.told:
            self.told = True
            logger.info("compiling kernels, once for this installation: this takes up to a minute")

    def on_end(self, event: object) -> None:
        pass


event.register("numba:compile", _Teller())  # type: ignore[no-untyped-call]
