"""An adapter's projects by folder: each folder is opened once for its settings and spool, as a watch does it."""

from pathlib import Path
from typing import Any

from refine_hooks.log.folder import Store
from refine_hooks.model import HalfMaps, Round
from refine_hooks.programs import adapter_called
from refine_hooks.programs.adapter import Adapter, Project
from refine_hooks.settings import Settings


class Opened:
    def __init__(self, adapter: str | Adapter) -> None:
        self.adapter = adapter_called(adapter) if isinstance(adapter, str) else adapter
        self._projects: dict[tuple[Path, str, Path], Project] = {}

    def project(self, directory: Path, settings: Settings | None = None, spool: Path | None = None) -> Project:
        if spool is None:
            known = [each for (folder, _, _), each in self._projects.items() if folder == directory]
            if known and settings is None:
                return known[-1]
            spool = directory / "refine_hooks" / "spool"
        key = directory, (settings or Settings()).model_dump_json(), spool
        if key not in self._projects:
            self._projects[key] = self.adapter.open(directory, settings or Settings(), spool)
        return self._projects[key]

    def recognises(self, directory: Path) -> bool:
        return self.adapter.recognises(directory)

    def why(self, directory: Path) -> str:
        return self.adapter.why(directory)

    def open(self, directory: Path, settings: Settings, spool: Path) -> Project:
        return self.adapter.open(directory, settings, spool)

    def watched_folders(self, directory: Path) -> Any:
        return self.project(directory).watched_folders()

    def rounds(self, directory: Path, settings: Settings, store: Store) -> Any:
        return self.project(directory, settings, store.spool).rounds()

    def capture(self, directory: Path, spool: Path) -> list[Path]:
        if not spool.parent.exists():
            spool.parent.mkdir(parents=True)
        return self.project(directory, None, spool).capture()

    def half_maps(self, directory: Path, round_: Round, store: Store) -> Any:
        return self.project(directory, None, store.spool).half_maps(round_)

    def reported(self, directory: Path, round_: Round) -> Any:
        return self.project(directory).reported(round_)

    def masks(self, directory: Path, round_: Round, halves: HalfMaps) -> Any:
        return self.project(directory).masks(round_, halves)

    def particles(self, directory: Path, round_: Round) -> Any:
        return self.project(directory).particles(round_)

    def viewing_directions(self, directory: Path, round_: Round) -> Any:
        return self.project(directory).viewing_directions(round_)

    def discard(self, round_: Round, spool: Path) -> None:
        project = next((each for (_, _, where), each in self._projects.items() if where == spool), None)
        (project or self.project(spool.parent, None, spool)).discard(round_)
