"""The refinement programs that refine_hooks understands: one module or package each, and a dict.

To add one: a module with an `refine_hooks.programs.adapter.Adapter` (see `pairs` for the short way), a line in `ADAPTERS`, a small
tree for the tests and one call of `refine_hooks.testing.check_adapter`. Adapters of other packages register under the entry-point
group ``refine_hooks.programs``.
"""

import logging
import os
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import cast

from refine_hooks.errors import ProjectError
from refine_hooks.programs.adapter import PARTS, Adapter

logger = logging.getLogger(__name__)
_MOST_INSIDE = 50
_LEVELS_ABOVE = 3  # a job's parts lie so far below their project

ADAPTERS: dict[str, str] = {
    "cistem": "refine_hooks.programs.cistem:ADAPTER",
    "relion": "refine_hooks.programs.relion:ADAPTER",
    "cryosparc": "refine_hooks.programs.cryosparc:ADAPTER",
    "eman2": "refine_hooks.programs.eman2:ADAPTER",
    "sphire": "refine_hooks.programs.sphire:ADAPTER",
    "scipion": "refine_hooks.programs.scipion:ADAPTER",
    "nextpyp": "refine_hooks.programs.nextpyp:ADAPTER",
    "simple": "refine_hooks.programs.simple:ADAPTER",
    "warp": "refine_hooks.programs.warp:ADAPTER",
    "stopgap": "refine_hooks.programs.stopgap:ADAPTER",
    "emclarity": "refine_hooks.programs.emclarity:ADAPTER",
    "dynamo": "refine_hooks.programs.dynamo:ADAPTER",
    "cryodrgn": "refine_hooks.programs.cryodrgn:ADAPTER",
    "thunder": "refine_hooks.programs.thunder:ADAPTER",
    "recovar": "refine_hooks.programs.recovar:ADAPTER",
    "dynamight": "refine_hooks.programs.dynamight:ADAPTER",
    "susan": "refine_hooks.programs.susan:ADAPTER",
    "pytom": "refine_hooks.programs.pytom:ADAPTER",
    "frealign": "refine_hooks.programs.frealign:ADAPTER",
    "generic": "refine_hooks.programs.generic:ADAPTER",
}
GROUP = "refine_hooks.programs"


@dataclass(frozen=True, slots=True)
class Claim:
    """What one adapter says of a directory.

    Attributes:
        recognises: whether it is this program's; None where the adapter is broken.
        why: what it saw or did not see, or what is wrong with the adapter.
    """

    adapter: str
    recognises: bool | None
    why: str


def adapter_names() -> list[str]:
    """All names that `adapter_called` accepts, the shipped ones first."""
    return [*ADAPTERS, *sorted({entry.name for entry in _elsewhere()} - set(ADAPTERS))]


def _elsewhere() -> tuple[EntryPoint, ...]:
    return tuple(entry_points(group=GROUP))


def adapter_called(name: str) -> Adapter:
    """The adapter of that name.

    Raises:
        ProjectError: there is none, or it is another package's and broken.
    """
    if name in ADAPTERS:
        module, _, value = ADAPTERS[name].partition(":")
        return cast("Adapter", getattr(import_module(module), value) if value else import_module(module))
    for entry in _elsewhere():
        if entry.name == name:
            return _loaded(entry)
    raise ProjectError(f"there is no adapter called {name!r}; there are: {', '.join(adapter_names())}")


def _loaded(entry: EntryPoint) -> Adapter:
    where = _where(entry)
    try:
        adapter = entry.load()
    except Exception as error:
        raise ProjectError(f"{where} cannot be loaded ({type(error).__name__}: {error})") from error
    lacking = [name for name in PARTS if not callable(getattr(adapter, name, None))]
    if lacking:
        raise ProjectError(f"{where} is none: it has no function {', '.join(lacking)}")
    return cast("Adapter", adapter)


def claims(directory: Path) -> list[Claim]:
    """What every adapter says of a directory. One that is broken is told and never in the way of the others."""
    return [*(_claim(directory, name) for name in adapter_names()), *_never_asked()]


def _never_asked() -> list[Claim]:
    """Adapters of other packages whose names are taken: by a shipped one, or by the first of that name."""
    told, taken = [], set(ADAPTERS)
    for entry in _elsewhere():
        if entry.name in taken:
            told.append(Claim(entry.name, None, f"{_where(entry)} has a name that is taken; rename its entry point"))
        taken.add(entry.name)
    return told


def _where(entry: EntryPoint) -> str:
    return f"the adapter {entry.name} of {entry.dist.name if entry.dist else 'another package'} ({entry.value})"


def _claim(directory: Path, name: str) -> Claim:
    try:
        adapter = adapter_called(name)
        recognised = bool(adapter.recognises(directory))
        return Claim(name, recognised, adapter.why(directory))
    except ProjectError as error:
        return Claim(name, None, str(error))
    except Exception as error:
        if name in ADAPTERS and not isinstance(error, OSError):
            raise
        where = next((_where(entry) for entry in _elsewhere() if entry.name == name), f"the adapter {name}")
        return Claim(name, None, f"{where} fails at {directory} ({type(error).__name__}: {error})")


def require_readable(directory: Path) -> None:
    """Check that a directory is there and can be looked at.

    Raises:
        ProjectError: it is not.
    """
    if not directory.is_dir():
        raise ProjectError(f"{directory}: is not a folder; name the folder of a refinement project")
    if not os.access(directory, os.R_OK | os.X_OK):
        raise ProjectError(f"{directory}: cannot be read; ask its owner for read permission")


def claim(directory: Path, name: str = "") -> tuple[str, Adapter]:
    """The one adapter that recognises a directory.

    Args:
        directory: a refinement project.
        name: the adapter to use whatever the directory looks like; empty to ask them all.

    Raises:
        ProjectError: not a readable folder, no adapter recognises it, or more than one does.
    """
    require_readable(directory)
    if name:
        return name, adapter_called(name)
    chosen = chosen_of(directory, claims(directory))
    return chosen, adapter_called(chosen)


def _project_around(directory: Path) -> tuple[Path, str] | None:
    """The nearest folder above that one program claims, with the program's name."""
    for above in list(directory.absolute().parents)[:_LEVELS_ABOVE]:
        if not os.access(above, os.R_OK | os.X_OK):
            return None
        if claimed := _claimed(above):
            return claimed
    return None


def _project_inside(directory: Path) -> tuple[Path, str] | None:
    """The first of the folders in it that one program claims, with the program's name."""
    inside = sorted(each for each in directory.iterdir() if each.is_dir() and not each.name.startswith("."))
    readable = [each for each in inside[:_MOST_INSIDE] if os.access(each, os.R_OK | os.X_OK)]
    return next((claimed for each in readable if (claimed := _claimed(each))), None)


def _claimed(folder: Path) -> tuple[Path, str] | None:
    claimants = [each.adapter for each in claims(folder) if each.recognises]
    return (folder, claimants[0]) if len(claimants) == 1 else None


def chosen_of(directory: Path, found: list[Claim]) -> str:
    """The name of the one adapter that claims a directory.

    Raises:
        ProjectError: none does, or more than one.
    """
    for broken in found:
        if broken.recognises is None:
            logger.warning(f"{broken.why}: not asked")
    claimants = [each.adapter for each in found if each.recognises]
    if not claimants:
        empty = not any(directory.iterdir())
        state = "is empty" if empty else "is not a project of a program that is known here"
        known = ", ".join(each.adapter for each in found)
        around = _project_around(directory) or _project_inside(directory)
        own = f"give its project {around[0]} ({around[1]})" if around else "give the project's own folder"
        raise ProjectError(f"{directory}: {state}; {own}, or name its program with --program ({known})")
    if len(claimants) > 1:
        raise ProjectError(f"{directory}: is claimed by {' and '.join(claimants)}; choose one with --program")
    return claimants[0]
