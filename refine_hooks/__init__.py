"""Unfiltered half maps, an automask and a traceable FSC for every round of a cryo-EM refinement.

The names in ``__all__`` are for scripts and notebooks; all others may move.
"""

from typing import TYPE_CHECKING, Any

from refine_hooks._version import __version__ as __version__

__all__ = [
    "Finding",
    "Log",
    "MeasuredPair",
    "PhaseRandomised",
    "RefineHooksError",
    "RoundRecord",
    "Settings",
    "audit_log",
    "automask",
    "load_settings",
    "masked_fsc",
    "measure_half_maps",
    "phase_randomised",
    "plot_fsc",
    "read_log",
    "resolution",
    "unmasked_fsc",
]

if TYPE_CHECKING:
    from refine_hooks.api import (
        Finding,
        Log,
        MeasuredPair,
        PhaseRandomised,
        RefineHooksError,
        RoundRecord,
        Settings,
        audit_log,
        automask,
        load_settings,
        masked_fsc,
        measure_half_maps,
        phase_randomised,
        plot_fsc,
        read_log,
        resolution,
        unmasked_fsc,
    )


def __getattr__(name: str) -> Any:
    if name in __all__:
        from refine_hooks import api

        return getattr(api, name)
    raise AttributeError(f"module 'refine_hooks' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
