"""What is to be reconstructed of a parameter file."""

from pathlib import Path
from typing import Any

from refine_hooks.errors import InputError, SettingsError
from refine_hooks.particles import ParticlesJob, package_of, read_particles
from refine_hooks.sums.symmetry import rotations

_OWN = {"cistem": ("contrast",), "relion": ("root", "class_id")}
_OPTIONS = {"contrast": "--white", "root": "--root", "class_id": "--class"}


def job_of_file(
    path: Path,
    package: str = "",
    symmetry: str = "C1",
    mask_radius_A: float = 0.0,
    score_weight_A2: float = 0.0,
    **options: Any,
) -> ParticlesJob:
    """The particles of a parameter file, and the rules to sum them by.

    Args:
        path: .cistem, .star (of cisTEM or RELION), .par or .cs.
        package: whose rules of summing, "cistem" or "relion"; empty for those of the file.
        symmetry: point group in that package's setting.
        mask_radius_A: images are normalised by the noise outside, as cisTEM does; 0 leaves them as they are.
        score_weight_A2: cisTEM's particle weighting factor.
        options: of the reader, such as ``stack`` and ``pixel_size_A`` (see `refine_hooks.particles`).

    Raises:
        InputError: the file is not there.
        SettingsError: an option is not for this kind of file, or there is no such symmetry.
        ParticlesError: it is no parameter file, or a wrong one.
    """
    if not path.is_file():
        raise InputError(f"{path}: is not there; name a parameter file")
    own = package_of(path)
    rules = package or own
    foreign = [name for name in options if name in _OWN["relion" if own == "cistem" else "cistem"]]
    if foreign:
        raise SettingsError(f"{path}: {', '.join(_OPTIONS[name] for name in foreign)} is not for a file of {own}")
    rotations(symmetry, "cistem" if rules == "cistem" else "relion")
    return ParticlesJob(
        read_particles(path, **options),
        "cistem" if rules == "cistem" else "relion",
        symmetry=symmetry,
        whitening_radius_A=mask_radius_A or None,
        score_weight_A2=score_weight_A2,
    )
