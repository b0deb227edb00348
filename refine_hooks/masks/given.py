"""What a mask that was given looks like, where that can hardly be meant: all of the box, inverted, beside the particle."""

import numpy as np

from refine_hooks.masks.shapes import Volume

_ALL_OF_THE_BOX = 0.9
_FACES_OPEN = 0.5
_BESIDE = 0.5


def doubt(values: Volume, signal_outside: float | None = None) -> str | None:
    """What is odd about a mask, and what to do, in words; None where nothing is.

    Args:
        values: 0..1 [z, y, x].
        signal_outside: share of the signal that it leaves out, where that is known.
    """
    whole = float(values.mean(dtype=np.float64))
    faces = float(np.mean([values.take(end, axis).mean(dtype=np.float64) for axis in range(3) for end in (0, -1)]))
    outside = signal_outside or 0.0
    if outside > _BESIDE and faces > _FACES_OPEN:
        return (
            f"the mask seems to be inverted: it is open at the faces of the box and leaves out {100 * outside:.0f} % of the "
            "signal; use 1 minus it"
        )
    if outside > _BESIDE:
        return (
            f"the mask lies beside the particle, or holds a small part of it: {100 * outside:.0f} % of the signal is outside; "
            "make it in the half maps' own frame"
        )
    if whole > _ALL_OF_THE_BOX:
        return (
            f"the mask is too wide: it holds {100 * whole:.0f} % of the box, so the FSC under it is that of the unmasked half "
            "maps; make a mask of the particle"
        )
    return None
