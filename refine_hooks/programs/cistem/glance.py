"""A glance at a cisTEM project: whether a look at it can find something new."""

from dataclasses import dataclass, field
from pathlib import Path

from refine_hooks.programs._still import Listed, State, folder_state, state
from refine_hooks.programs.cistem.dumps import PANELS, STARTUP, spool_root

_OF_A_DATABASE = ("", "-journal", "-wal")


@dataclass(slots=True)
class Glance:
    """States of the databases, of the scratch folders with all that lies in them, and of the folders with maps and kept dumps."""

    directory: Path
    spool: Path
    _listed: Listed = field(default_factory=Listed)

    def states(self) -> tuple[State, ...]:
        """All of them, each folder before its files."""
        found: list[State] = []
        root, kept = str(self.directory), str(spool_root(self.spool))
        for name in self._listed.names(found, root):
            if name.endswith(".db"):
                found += (state(f"{root}/{name}{suffix}") for suffix in _OF_A_DATABASE)
        panels = set(self._listed.names(found, f"{root}/Scratch")) & {*PANELS, STARTUP}
        for folder in (f"{root}/Scratch/{panel}" for panel in sorted(panels)):
            found += [state(f"{folder}/{name}") for name in self._listed.names(found, folder)]
        found.append(folder_state(f"{root}/Assets/Volumes"))
        found += [folder_state(f"{kept}/{name}") for name in self._listed.names(found, kept)]
        return tuple(found)
