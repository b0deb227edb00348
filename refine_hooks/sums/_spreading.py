"""``spread`` and ``prefetch``: by hand for LLVM where this numba compiles that, else in plain numba.

numba promises nothing about the code that it hands to LLVM, so the hand-written part is tried once, on eight numbers.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator"

import logging
from types import ModuleType

import numpy as np

from refine_hooks.kernels.jit import njit


def _tried(operations: ModuleType) -> ModuleType:
    """The operations, when they compile and give the right numbers.

    Raises:
        ArithmeticError: they give others.
    """
    spread, prefetch = operations.spread, operations.prefetch

    @njit
    def trial(sums, values):
        prefetch(sums, 4)
        spread(sums, 0, values, 0, np.float32(-1), np.float32(0.5), np.float32(2))

    # Aligned as the sums are, to 16 bytes.
    room = np.zeros(32, np.float32)
    begin = (-room.ctypes.data % 64) // 4
    sums, values = room[begin : begin + 8], room[begin + 8 : begin + 12]
    values[:] = 1, 2, 3, 4
    trial(sums, values)
    if sums.tolist() != [0.5, -1.0, 1.5, 2.0, 2.0, -4.0, 6.0, 8.0]:
        raise ArithmeticError(f"spread gives {sums.tolist()}")
    return operations


def _chosen() -> ModuleType:
    from refine_hooks.sums import _plain

    try:
        from refine_hooks.sums import _llvm

        return _tried(_llvm)
    except Exception as error:
        logging.getLogger(__name__).info(
            "the faster insertion does not compile here (%s); the plain one is used", error
        )
        return _plain


_operations = _chosen()
spread, prefetch = _operations.spread, _operations.prefetch
