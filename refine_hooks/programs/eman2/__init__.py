"""EMAN2: refinements in numbered folders, whose half maps are filtered and masked in place and copied without a number.

A directory is a project (with folders refine_NN, r3d_NN, spt_NN or gmm_NN) or one such folder.
"""

from collections.abc import Iterable
from pathlib import Path

from refine_hooks.model import FscCurve, HalfMaps, ProgramMask, Round
from refine_hooks.programs.adapter import Program, Project
from refine_hooks.programs.eman2 import halves as of_round
from refine_hooks.programs.eman2.folder import runs
from refine_hooks.programs.eman2.rounds import capture, rounds


class EmanProject(Project):
    """A project or one refinement's folder."""

    captures = True

    def watched_folders(self) -> Iterable[tuple[Path, bool]]:
        """The refinement folders, and the project for new ones."""
        folders = [run.folder for run in runs(self.directory, self.memory)]
        return [(self.directory, False), *((folder, False) for folder in folders if folder != self.directory)]

    def why_unused(self, path: Path) -> str | None:
        """Nothing of EMAN2's other copies of a round, which are filtered or masked further."""
        return None if path.name.startswith("threed_") else super().why_unused(path)

    def rounds(self) -> Iterable[Round]:
        """Every iteration from 1 on."""
        return rounds(self.directory, self.spool, self.memory)

    def capture(self) -> list[Path]:
        """See `refine_hooks.programs.eman2.rounds.capture`."""
        return capture(self.directory, self.spool, self.memory, self.keep_free_bytes)

    def half_maps(self, round_: Round) -> HalfMaps | None:
        """See `refine_hooks.programs.eman2.halves.half_maps`."""
        return of_round.half_maps(round_)

    def reported(self, round_: Round) -> list[FscCurve]:
        """EMAN2's curves: over the whole box, under its mask and under its tight mask."""
        return of_round.reported(round_)

    def masks(self, round_: Round, halves: HalfMaps) -> dict[str, ProgramMask]:
        """See `refine_hooks.programs.eman2.halves.masks`."""
        return of_round.masks(round_)

    def discard(self, round_: Round) -> None:
        """Remove all copies of this round."""
        of_round.discard(round_)


def recognises(directory: Path) -> bool:
    """Whether a directory holds a refinement folder of EMAN2, or is one (``threed_NN_even.hdf``)."""
    return bool(runs(directory))


def why(directory: Path) -> str:
    """Which refinement folders there are."""
    found = [run.name for run in runs(directory)]
    return (
        f"refinements {', '.join(found)}"
        if found
        else "no folder refine_NN, r3d_NN, spt_NN or gmm_NN with threed_NN_*.hdf"
    )


ADAPTER = Program(recognises, why, EmanProject)
