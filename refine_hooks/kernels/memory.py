"""What the C library does with memory that was freed.

By default glibc hands each large block back to the system, which clears every page of the next one: a sixth of a measurement's
time. See mallopt(3).
"""

import ctypes

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -2, -3, -4, -8
_TOP_BYTES = 64 << 20
_LARGE_BYTES, _FEW_ARENAS = 1 << 18, 2


def keep() -> None:
    """Keep what is freed for the next arrays, for this whole process; without effect where the C library is not glibc."""
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):
        library.mallopt(_ARENA_MAX, 1)  # what one thread has freed serves the others, too
        library.mallopt(_MMAP_MAX, 0)
        library.mallopt(_TRIM_THRESHOLD, 2**31 - 1)
        library.mallopt(_TOP_PAD, _TOP_BYTES)


def share() -> None:
    """Let the threads of this process share what is freed, and hand large blocks back at once: for many that work seldom.

    By default there are eight arenas a core, and each keeps the most that one of its threads has needed.
    """
    library = ctypes.CDLL(None)
    if hasattr(library, "mallopt"):
        library.mallopt(_ARENA_MAX, _FEW_ARENAS)
        library.mallopt(_MMAP_THRESHOLD, _LARGE_BYTES)


def give_back() -> None:
    """Hand all that is free back to the system, before a time without work."""
    library = ctypes.CDLL(None)
    if hasattr(library, "malloc_trim"):
        library.malloc_trim(0)
