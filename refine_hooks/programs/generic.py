"""Any program that writes half maps as MRC files: the user's own expressions, in ``[generic]`` of a settings file."""

import re
from pathlib import Path

from refine_hooks.errors import SettingsError
from refine_hooks.model import Facts
from refine_hooks.programs.adapter import Program, Project
from refine_hooks.programs.names import Kind
from refine_hooks.programs.pairs import Pairs
from refine_hooks.settings import Settings


def pairs_of(settings: Settings) -> Pairs:
    """The adapter that the user's expressions describe.

    Raises:
        SettingsError: there are none.
    """
    own = settings.generic
    if not own.half1:
        raise SettingsError(
            "generic.half1: is empty; give an expression for the half maps' names in a settings file (--config)"
        )
    patterns = tuple(re.compile(text, re.DOTALL) for text in (own.half1, own.half2) if text)
    numbered = "iteration" in patterns[0].groupindex
    facts = Facts(
        voxel_size_A=own.voxel_size_A or None,
        sphere_radius_A=own.radius_A or None,
        molecular_mass_kDa=own.molecular_mass_kDa or None,
        notes=() if numbered else ("the half maps' names carry no iteration: they are counted as they change",),
    )
    kinds = (Kind(patterns, "found"),)
    return Pairs("generic", own.folders, own.folders, kinds, overwritten=not numbered, facts=facts)


def _recognises(directory: Path) -> bool:
    return False


def _why(directory: Path) -> str:
    return "known only by a settings file's [generic]"


def _open(directory: Path, settings: Settings, spool: Path) -> Project:
    return pairs_of(settings).open(directory, settings, spool)


ADAPTER = Program(_recognises, _why, _open)
