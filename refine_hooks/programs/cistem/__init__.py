"""cisTEM: dumps that live for seconds, a database that must not be locked, and half maps that exist nowhere on disk."""

from collections.abc import Iterable
from pathlib import Path

from refine_hooks.programs.adapter import no_further_masks
from refine_hooks.programs.cistem.capture import capture as capture_numbered
from refine_hooks.programs.cistem.database import databases
from refine_hooks.programs.cistem.half_maps import discard, half_maps
from refine_hooks.programs.cistem.particles import particles
from refine_hooks.programs.cistem.program_mask import refinement_mask
from refine_hooks.programs.cistem.reported import angular_distribution, reported
from refine_hooks.programs.cistem.rounds import rounds
from refine_hooks.programs.cistem.startup import capture_startup

__all__ = [
    "angular_distribution",
    "bells",
    "capture",
    "discard",
    "further_masks",
    "half_maps",
    "particles",
    "recognises",
    "refinement_mask",
    "reported",
    "rounds",
    "why",
]

further_masks = no_further_masks


def recognises(directory: Path) -> bool:
    """Whether the folder holds a SQLite database beside cisTEM's folder of assets."""
    return (directory / "Assets").is_dir() and bool(databases(directory))


def why(directory: Path) -> str:
    """What speaks for a cisTEM project, or is missing."""
    names = ", ".join(path.name for path in databases(directory))
    assets = (directory / "Assets").is_dir()
    return (
        f"{f'SQLite database {names}' if names else 'no SQLite database *.db'}, {'a' if assets else 'no'} folder Assets"
    )


def bells(directory: Path) -> Iterable[tuple[Path, bool]]:
    """The scratch folders (small, wiped after each round), the database's folder, and where maps are written."""
    return [(directory / "Scratch", True), (directory, False), (directory / "Assets" / "Volumes", False)]


def capture(directory: Path, spool: Path) -> list[Path]:
    """Save all dumps that are there and not yet saved; returns what was newly saved.

    Raises:
        StorageError: the spool cannot be written to.
    """
    return capture_numbered(directory, spool) + capture_startup(directory, spool)
