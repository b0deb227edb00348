"""Which folders are projects: those that patterns name, and those that lie below them."""

import glob
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

from refine_hooks.log.folder import OUT_NAME
from refine_hooks.programs import claims
from refine_hooks.settings.sources import PROJECT_FILE

logger = logging.getLogger(__name__)

_ENTRIES = 5000  # of one folder; one that holds more is no folder of projects
_ASKED_AGAIN = 10  # searches: a folder that was none may have become a project below without a change of its own
_NO_PROJECTS = {OUT_NAME, "lost+found", "proc", "sys", "dev"}


def is_project(folder: Path) -> bool:
    """Whether a program's adapter recognises a folder, or a settings file in it says that it is one."""
    return (folder / PROJECT_FILE).is_file() or any(claim.recognises for claim in claims(folder))


@dataclass(slots=True)
class Finder:
    """The projects of one pattern.

    A link is followed nowhere: neither one that stands for a folder of the search, nor one that makes the pattern lead out of the
    folder that it begins with.

    Attributes:
        pattern: folders, with the wildcards of a shell; ``**`` is any number of folders.
        depth: how many folders below these are looked into.
        ignore: patterns of names, or of whole paths, that are left out.
        asked: whether a folder is a project.
        pause: called before each folder that is looked at.
    """

    pattern: str
    depth: int
    ignore: Sequence[str] = ()
    asked: Callable[[Path], bool] = is_project
    pause: Callable[[], object] = bool
    _searches: int = 0
    _no_projects: dict[Path, int] = field(default_factory=dict)  # with the time of change that they had then
    _projects: set[Path] = field(default_factory=set)

    def search(self) -> list[Path]:
        """The projects that are there now, each by its real path."""
        if self._searches % _ASKED_AGAIN == 0:
            self._no_projects.clear()
            self._projects.clear()
        self._searches += 1
        root = self._root()
        found: dict[Path, None] = {}
        for match in sorted(glob.glob(self.pattern, recursive=True)):
            folder = Path(os.path.realpath(match))
            if folder.is_relative_to(root) and not self._ignored(folder) and folder.is_dir():
                found.update(dict.fromkeys(self._below(folder, self.depth)))
        return list(found)

    def _root(self) -> Path:
        """The folder that the pattern begins with, before its first wildcard."""
        parts: list[str] = []
        for part in Path(os.path.abspath(self.pattern)).parts:
            if glob.has_magic(part):
                break
            parts.append(part)
        return Path(os.path.realpath(Path(*parts)))

    def _below(self, folder: Path, depth: int) -> Iterator[Path]:
        """The folder itself where it is a project, else those below it; nothing is looked for inside a project."""
        self.pause()
        if self._is_project(folder):
            yield folder
        elif depth > 0:
            for inside in self._folders(folder):
                yield from self._below(inside, depth - 1)

    def _is_project(self, folder: Path) -> bool:
        try:
            changed_ns = folder.stat().st_mtime_ns
            if folder in self._projects:
                return True
            if self._no_projects.get(folder) == changed_ns:
                return False
            if os.access(folder, os.R_OK | os.X_OK) and self.asked(folder):
                self._projects.add(folder)
                return True
            self._no_projects[folder] = changed_ns
        except OSError:
            return False
        return False

    def _folders(self, folder: Path) -> list[Path]:
        try:
            with os.scandir(folder) as entries:
                some = [entry for entry, _ in zip(entries, range(_ENTRIES), strict=False)]
                inside = [Path(entry.path) for entry in some if entry.is_dir(follow_symlinks=False)]
        except OSError:
            return []
        return sorted(one for one in inside if not one.name.startswith(".") and not self._ignored(one))

    def _ignored(self, folder: Path) -> bool:
        return folder.name in _NO_PROJECTS or any(
            fnmatch(folder.name, pattern) or fnmatch(str(folder), pattern) for pattern in self.ignore
        )
