"""A glance at a RELION project: whether a look at it can find something new."""

from dataclasses import dataclass, field
from pathlib import Path

from refine_hooks.programs._reading import Memory
from refine_hooks.programs._still import Listed, State, folder_state, state
from refine_hooks.programs.relion.files import JOB_TYPES, job_folders
from refine_hooks.programs.relion.postprocess import postprocess_tables
from refine_hooks.programs.relion.spool import TABLE, spool_folder, spool_of_the_hook

_Names = tuple[tuple[str, ...], ...]


@dataclass(slots=True)
class Glance:
    """States of the folders of all jobs, of the tables in them that are written over, and of what is kept of their arrays."""

    directory: Path
    spool: Path
    memory: Memory
    _listed: Listed = field(default_factory=Listed)
    _above: _Names = ()
    _jobs: list[str] = field(default_factory=list)
    _others: list[str] = field(default_factory=list)
    _postprocessed: list[str] = field(default_factory=list)

    def states(self) -> tuple[State, ...]:
        """All of them."""
        found: list[State] = []
        root = str(self.directory)
        names = tuple(self._listed.names(found, root))
        types = [name for name in (*JOB_TYPES, "PostProcess") if name in names]
        self._know((names, *(tuple(self._listed.names(found, f"{root}/{name}")) for name in types)))
        found += map(folder_state, self._others)
        found += map(state, self._postprocessed)
        for job in self._jobs:
            found += [state(f"{job}/{name}") for name in self._listed.names(found, job) if name.endswith(TABLE)]
        return tuple(found)

    def _know(self, above: _Names) -> None:
        """Find the jobs anew where the names of folders are others."""
        if above == self._above:
            return
        jobs = job_folders(self.directory, self.memory)
        self._jobs = [str(job.folder) for job in jobs]
        kept = [folder for job in jobs for folder in (spool_folder(self.spool, job.run), spool_of_the_hook(job))]
        self._others = list(dict.fromkeys(map(str, kept)))
        self._postprocessed = [str(path) for path in postprocess_tables(self.directory)]
        self._above = above
