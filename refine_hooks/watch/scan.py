"""What is on disk now. A scan changes nothing: the loop decides what to say and to do."""

from dataclasses import dataclass

from refine_hooks.model import Round
from refine_hooks.watch.config import WatchConfig


@dataclass(frozen=True, slots=True)
class Scan:
    """What one look at the project found.

    Attributes:
        rounds: every round on disk.
        why_not: why they cannot be known now; empty where they are.
    """

    rounds: tuple[Round, ...] = ()
    why_not: str = ""


def scan(config: WatchConfig) -> Scan:
    """Every round on disk now; a project that cannot be read now is read at the next scan, whatever the reason."""
    try:
        return Scan(tuple(config.opened.rounds()))
    except Exception as error:
        why = error or type(error).__name__
        return Scan(why_not=f"{config.project} cannot be looked at now ({why}); it is tried again")
