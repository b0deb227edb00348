"""What the C library does with memory that was freed.

By default glibc hands each large block back to the system, which clears every page of the next one: a sixth of a measurement's
time. See mallopt(3).
"""

import ctypes

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4
_TOP_BYTES = 64 << 20


def keep() -> None:
    """Keep what is freed for the next arrays, for this whole process; without effect where the C library is not glibc."""
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):
        library.mallopt(_MMAP_MAX, 0)
        library.mallopt(_TRIM_THRESHOLD, 2**31 - 1)
        library.mallopt(_TOP_PAD, _TOP_BYTES)


def give_back() -> None:
    """Hand all that is free back to the system, before a time without work."""
    library = ctypes.CDLL(None)
    if hasattr(library, "malloc_trim"):
        library.malloc_trim(0)
