"""What is to be reconstructed of a parameter file."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from refine_hooks.errors import InputError, SettingsError
from refine_hooks.particles import Helix, ParticlesJob, package_of, read_particles
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


def with_helix(job: ParticlesJob, rise_A: float, twist_deg: float, units: int) -> ParticlesJob:
    """The job with helical symmetry; without any, a word where the particles are segments of a helix.

    Args:
        job: of a parameter file.
        rise_A, twist_deg, units: see `Helix`; all 0 for none.

    Raises:
        SettingsError: they are no helix, or the rules are cisTEM's, which knows none.
    """
    if not (rise_A or twist_deg or units):
        word = (
            "the particles are segments of filaments (rlnHelicalTubeID); no helical symmetry is imposed but what --helical-rise, "
            "--helical-twist and --helical-units say"
        )
        return replace(job, notes=(*job.notes, word)) if job.particles.of_filaments else job
    if job.package != "relion":
        raise SettingsError("--helical-rise, --helical-twist, --helical-units: cisTEM's rules know no helix")
    if units < 2 or not (rise_A or twist_deg):
        raise SettingsError(
            "--helical-units: a helix needs two or more units in a box, and --helical-rise or --helical-twist between them"
        )
    return replace(job, helix=Helix(rise_A, twist_deg, units))
