"""The refinement programs that refine_hooks understands: one module or package each, and a dict.

To add one: a module with the functions of `refine_hooks.projects.adapter.Adapter`, a line in `ADAPTERS`, a small tree in
tests/data and one call of the shared adapter test. Adapters that live in other packages register under the entry-point group
``refine_hooks.projects``.
"""

import os
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import cast

from refine_hooks.errors import ProjectError
from refine_hooks.projects.adapter import Adapter

ADAPTERS: dict[str, str] = {
    "cistem": "refine_hooks.projects.cistem",
    "relion": "refine_hooks.projects.relion",
}


def adapter_names() -> list[str]:
    """All names that `adapter_called` accepts, the shipped ones first."""
    return [*ADAPTERS, *sorted({e.name for e in entry_points(group="refine_hooks.projects")} - set(ADAPTERS))]


def adapter_called(name: str) -> Adapter:
    """The adapter of that name.

    Raises:
        ProjectError: there is none.
    """
    if name in ADAPTERS:
        return cast("Adapter", import_module(ADAPTERS[name]))
    for entry in entry_points(group="refine_hooks.projects"):
        if entry.name == name:
            return cast("Adapter", entry.load())
    raise ProjectError(f"there is no adapter called {name!r}; there are: {', '.join(adapter_names())}")


def claim(directory: Path, name: str = "") -> tuple[str, Adapter]:
    """The one adapter that recognises a directory.

    Args:
        directory: a refinement project.
        name: the adapter to use whatever the directory looks like; empty to ask them all.

    Raises:
        ProjectError: not a readable folder, no adapter recognises it, or more than one does.
    """
    if not directory.is_dir():
        raise ProjectError(f"{directory}: is not a folder; name the folder of a refinement project")
    if not os.access(directory, os.R_OK | os.X_OK):
        raise ProjectError(f"{directory}: cannot be read; ask its owner for read permission")
    if name:
        return name, adapter_called(name)
    claimants = [candidate for candidate in adapter_names() if adapter_called(candidate).recognises(directory)]
    if not claimants:
        empty = not any(directory.iterdir())
        state = "is empty" if empty else "is not a project of a program that is known here"
        raise ProjectError(
            f"{directory}: {state} ({', '.join(adapter_names())}); name the project's own folder, or the adapter with --project"
        )
    if len(claimants) > 1:
        raise ProjectError(f"{directory}: is claimed by {' and '.join(claimants)}; choose one with --project")
    return claimants[0], adapter_called(claimants[0])
