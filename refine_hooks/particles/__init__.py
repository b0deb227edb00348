"""One table of particles, whoever refined them: angles, shifts, CTF, weights, half set, and where each image lies.

Conventions of every column, into which the readers translate: angles are active right-handed rotations R = Rz(phi) Ry(theta)
Rz(psi) in degrees, and a coefficient (kx, ky) of the image belongs at R (kx, ky, 0) of the volume; an image is its projection
moved by +shift; defocus is positive under focus; the phase shift is in radians.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refine_hooks.errors import ParticlesError
from refine_hooks.model import Independence, Package

Reals = NDArray[np.float64]
Integers = NDArray[np.int64]

CTF_PLAIN, CTF_PREMULTIPLIED, CTF_PHASE_FLIPPED = 0, 1, 2
"""What has been done to an image before: nothing, multiplied by its CTF, or multiplied by the sign of its CTF."""


@dataclass(frozen=True, slots=True)
class Particles:
    """Columns of equal length, one entry a particle; all real columns are float64.

    Attributes:
        image: position in the stack, from 1.
        stack: index into ``stacks``.
        half: half set, 1 or 2.
        used: rows that are reconstructed; the others still count in cisTEM's averages.
        occupancy: 0..100.
        contrast: 1 where the particles are brighter than the ice around them, -1 where they are darker.
        ctf_kind: `CTF_PLAIN`, `CTF_PREMULTIPLIED` or `CTF_PHASE_FLIPPED`.
        ctf_scale, ctf_b_factor_A2: the CTF's amplitude is scale * exp(-B s^2 / 4).
        stacks: the MRC files.
        alternating: half sets are stated nowhere: rows were given to them in turn.
        of_filaments: they are segments of helices.
        source: the file or table that this was read from.
        notes: what a reader of the result must know, in words.
    """

    phi_deg: Reals
    theta_deg: Reals
    psi_deg: Reals
    shift_x_A: Reals
    shift_y_A: Reals
    defocus_1_A: Reals
    defocus_2_A: Reals
    defocus_angle_deg: Reals
    phase_shift_rad: Reals
    voltage_kV: Reals
    cs_mm: Reals
    amplitude_contrast: Reals
    beam_tilt_x_mrad: Reals
    beam_tilt_y_mrad: Reals
    image_shift_x_A: Reals
    image_shift_y_A: Reals
    pixel_size_A: Reals
    contrast: Reals
    ctf_scale: Reals
    ctf_b_factor_A2: Reals
    occupancy: Reals
    score: Reals
    sigma: Reals
    half: Integers
    used: NDArray[np.bool_]
    ctf_kind: Integers
    image: Integers
    stack: Integers
    stacks: tuple[Path, ...] = ()
    source: str = ""
    notes: tuple[str, ...] = field(default=())
    alternating: bool = False
    of_filaments: bool = False

    def __len__(self) -> int:
        return int(self.image.size)

    def rows(self, index: Any) -> "Particles":
        """The rows that ``index`` (a slice, a mask or positions) selects."""
        return replace(self, **{name: getattr(self, name)[index] for name in COLUMNS})


COLUMNS: tuple[str, ...] = tuple(
    f.name for f in fields(Particles) if f.name not in ("stacks", "source", "notes", "alternating", "of_filaments")
)
_INTEGERS = {"half", "ctf_kind", "image", "stack"}
_ABSENT: dict[str, float] = {
    "beam_tilt_x_mrad": 0.0,
    "beam_tilt_y_mrad": 0.0,
    "image_shift_x_A": 0.0,
    "image_shift_y_A": 0.0,
    "phase_shift_rad": 0.0,
    "occupancy": 100.0,
    "score": 0.0,
    "sigma": 10.0,
    "contrast": 1.0,
    "ctf_scale": 1.0,
    "ctf_b_factor_A2": 0.0,
    "ctf_kind": CTF_PLAIN,
    "stack": 0,
}
"""What an absent column means: no tilt, no phase plate, cisTEM's own defaults of the weights."""


def table(
    columns: dict[str, Any],
    *,
    stacks: tuple[Path, ...] = (),
    source: str = "",
    notes: tuple[str, ...] = (),
    used: Any = None,
    first_line: int | None = None,
) -> Particles:
    """A table from the columns that a file has; the rest take the defaults of `_ABSENT`.

    Half sets below 1 are replaced as cisTEM does: an even position belongs to half 2, an odd one to half 1. Where the first
    particle stands in line ``first_line`` of a text and each has a line of its own, faults name lines, too.

    Raises:
        ParticlesError: a column that has no default is missing; an angle, a shift or a CTF value is not finite; no particle.
    """
    missing = sorted(set(COLUMNS) - set(columns) - set(_ABSENT) - {"half", "used"})
    if missing:
        raise ParticlesError(
            f"{source}: lacks {', '.join(missing)}; give a file that has them, or the values with the options of that name"
        )
    count = np.atleast_1d(np.asarray(columns["image"])).size
    if count == 0:
        raise ParticlesError(f"{source}: holds no particles")
    filled: dict[str, Any] = {}
    for name in COLUMNS:
        if name == "used":
            filled[name] = np.ones(count, bool) if used is None else np.array(used, bool)
            continue
        values = np.asarray(columns.get(name, _ABSENT.get(name, 0)))
        kind = np.int64 if name in _INTEGERS else np.float64
        filled[name] = np.array(np.broadcast_to(values, (count,)), kind)
    image = filled["image"]
    filled["half"] = np.where(filled["half"] < 1, np.where(image % 2 == 0, 2, 1), filled["half"])
    _refuse_nonsense(filled, source, first_line)
    return Particles(**filled, stacks=stacks, source=source, notes=notes)


def _refuse_nonsense(columns: dict[str, Any], source: str, first_line: int | None) -> None:
    faults = []
    rows = columns["used"]
    for name in COLUMNS:
        bad = rows & ~np.isfinite(columns[name])
        if bad.any():
            faults.append(
                f"{source}: {name} is not a number in {int(bad.sum())} rows, the first is {_row(bad, first_line)}"
            )
    for name in ("pixel_size_A", "voltage_kV"):
        bad = rows & ~(columns[name] > 0)
        if bad.any():
            faults.append(
                f"{source}: {name} is not above zero in {int(bad.sum())} rows, the first is {_row(bad, first_line)}; "
                "give it with an option"
            )
    bad = rows & ((columns["half"] < 1) | (columns["half"] > 2))
    if bad.any():
        faults.append(
            f"{source}: half set is neither 1 nor 2 in {int(bad.sum())} rows, the first is {_row(bad, first_line)}"
        )
    if faults:
        raise ParticlesError(*faults)


def _row(bad: NDArray[np.bool_], first_line: int | None) -> str:
    row = int(np.argmax(bad))
    return f"particle {row + 1}" + (f" (line {first_line + row})" if first_line else "")


def half_counts(particles: Particles) -> tuple[int, int]:
    """Used images of half 1 and of half 2."""
    one, two = (int(np.count_nonzero(particles.used & (particles.half == half))) for half in (1, 2))
    return one, two


def require_both_halves(particles: Particles) -> tuple[int, int]:
    """How many images each half has.

    Raises:
        ParticlesError: a half has none.
    """
    counts = half_counts(particles)
    empty = [str(h) for h, n in zip((1, 2), counts, strict=True) if n == 0]
    if empty:
        halves = " and half ".join(empty)
        raise ParticlesError(
            f"{particles.source}: half {halves} has no particle to reconstruct; check the half-set column and the occupancies"
        )
    return counts


def read_particles(path: Path, *, package: str = "", **options: Any) -> Particles:
    """Particles from any file that is understood: ``.cistem``, ``.star`` (cisTEM's or RELION's), ``.par``, ``.cs``.

    Args:
        path: the parameter file.
        package: "cistem" or "relion" to insist on one; empty to look into the file.
        options: passed to the reader (see `refine_hooks.particles.cistem`, ``relion`` and ``cryosparc``).

    Raises:
        ParticlesError: not a parameter file, or a wrong one.
    """
    return _reader(path, package)(path, **options)


def _reader(path: Path, package: str) -> Callable[..., Particles]:
    from refine_hooks.particles import cistem, cryosparc, relion

    kind = path.suffix.lower()
    if kind == ".cistem":
        return cistem.read_binary
    if kind == ".par":
        return cistem.read_par
    if kind == ".cs":
        return cryosparc.read_cs
    if package == "cistem" or (not package and cistem.is_cistem_star(path)):
        return cistem.read_star
    if kind == ".star":
        return relion.read_star
    raise ParticlesError(f"{path}: is not a parameter file that is known here (.cistem, .star, .par, .cs)")


def package_of(path: Path) -> str:
    """The package whose conventions of summing belong to a parameter file: "cistem" or "relion"."""
    from refine_hooks.particles import cistem

    kind = path.suffix.lower()
    return "cistem" if kind in (".cistem", ".par") or (kind == ".star" and cistem.is_cistem_star(path)) else "relion"


@dataclass(frozen=True, slots=True)
class Helix:
    """Helical symmetry about the map's z axis.

    Attributes:
        rise_A: from one unit to the next.
        twist_deg: likewise; above 0 for a right-handed helix.
        units: asymmetric units that are added up, those of one image (``--helical_nr_asu``).
    """

    rise_A: float
    twist_deg: float
    units: int


@dataclass(frozen=True, slots=True)
class ParticlesJob:
    """The particles of one round and the rules by which its half maps are made of them.

    Attributes:
        particles: the round's table, with both half sets.
        package: whose rules of summing and finishing: "cistem" (every symmetry mate inserted, weights from occupancy, sigma and
            score, divided by weights + 100) or "relion" (a grid twice as fine, symmetry applied to the sums, even sampling
            sought iteratively). A program without rules of its own takes those whose conventions its table was read by.
        symmetry: point group in that package's setting.
        helix: helical symmetry besides, by RELION's rules only.
        whitening_radius_A: the noise outside this radius whitens the images, and their background is brought to mean 0 and
            variance 1, as cisTEM does; None inserts the images as they are.
        score_weight_A2: cisTEM's "particle weighting factor".
        adjust_scores: cisTEM's scores lose their dependence on defocus before they weigh.
        score_threshold: cisTEM's: 1 keeps all, 0..1 that fraction with the best scores, anything else is a score.
        gridding: RELION's search for even sampling is done; 4 and 5 divide by the plain weights instead.
        independence: whether noise can agree in the two halves by the way the particles were aligned.
        grid: box in px and voxel size in A of the map; None takes those of the images of the first stack.
        notes: what is known to differ from the program's own reconstruction; they go into the record.
    """

    particles: Particles
    package: Package
    symmetry: str = "C1"
    helix: Helix | None = None
    whitening_radius_A: float | None = None
    score_weight_A2: float = 0.0
    adjust_scores: bool = True
    score_threshold: float = 1.0
    gridding: bool = True
    independence: Independence = "unknown"
    grid: tuple[int, float] | None = None
    notes: tuple[str, ...] = ()
