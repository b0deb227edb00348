"""Programs that write each pair of half maps as two MRC files in a few folders, told apart by their names: an adapter in one value.

`Kind` says how the files are called and what the maps are, `Pairs` the rest; it is the whole adapter.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from refine_hooks.errors import RefineHooksError
from refine_hooks.files.mrc import read_map
from refine_hooks.model import HalfMaps, ProgramMask, ProgramMaskParameters, Round
from refine_hooks.programs.adapter import Adapter, Project
from refine_hooks.programs.pairs_names import Inputs, Names
from refine_hooks.programs.pairs_project import PairsProject
from refine_hooks.settings import Settings

__all__ = ["Inputs", "Pairs", "mask_called"]


@dataclass(frozen=True, slots=True)
class Pairs(Names, Adapter):
    """An adapter made of names."""

    def recognises(self, directory: Path) -> bool:
        """Whether one of its marks is there."""
        return any(next(directory.glob(mark), None) is not None for mark in self.marks)

    def why(self, directory: Path) -> str:
        """The marks that are there, or all that were looked for."""
        found = [min(directory.glob(mark), default=None) for mark in self.marks]
        seen = ", ".join(str(path.relative_to(directory)) for path in found if path is not None)
        return seen or f"no {' nor '.join(self.marks)}"

    def open(self, directory: Path, settings: Settings, spool: Path) -> Project:
        """The project in ``directory``."""
        return PairsProject(directory, settings, spool, self)


def mask_called(ending: str) -> Callable[[Round, HalfMaps], dict[str, ProgramMask]]:
    """`Project.masks` of a program whose mask lies beside its half maps under a name that ends so."""

    def masks(round_: Round, halves: HalfMaps) -> dict[str, ProgramMask]:
        inputs: Inputs = round_.inputs
        path = inputs.file(ending)
        if path is None:
            return {}
        source = f"{round_.program}'s mask of this round"
        parameters = ProgramMaskParameters(source=source, file=path.name)
        try:
            mask = read_map(path, inputs.voxel_size_A)
        except RefineHooksError as error:
            return {"refinement": ProgramMask(None, None, parameters, f"not used: {error}")}
        return {"refinement": ProgramMask(mask, None if inputs.kept else path, parameters)}

    return masks
