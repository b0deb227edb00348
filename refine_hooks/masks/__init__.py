"""Masks: arrays in, arrays out. A sphere, an automask from two half maps, and the checks on somebody else's mask."""

from refine_hooks.masks.automask import Automask, Claim, automask
from refine_hooks.masks.given import doubt
from refine_hooks.masks.outside import Outside, signal_outside
from refine_hooks.masks.shapes import checked, cosine_edge, misfits, says_nothing, sphere

__all__ = [
    "Automask",
    "Claim",
    "Outside",
    "automask",
    "checked",
    "cosine_edge",
    "doubt",
    "misfits",
    "says_nothing",
    "signal_outside",
    "sphere",
]
