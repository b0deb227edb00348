"""cryoSPARC's ``.cs`` tables (numpy records): poses, shifts, CTF and half sets of particles, and where their images lie.

A pose is a rotation vector that takes image coordinates into the volume; a shift is that of RELION's origin, in pixels of
``alignments3D/psize_A``; ``blob/sign`` is -1 for dark particles. A job writes only the columns that it changed; the others are
in its passthrough table beside it, told together by ``uid``.
"""

import os
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refine_hooks.errors import ParticlesError
from refine_hooks.files.reading import open_plain
from refine_hooks.particles import Particles, table
from refine_hooks.particles.doubles import Places

_NEEDED = [
    "blob/path",
    "blob/idx",
    "blob/psize_A",
    "ctf/accel_kv",
    "ctf/cs_mm",
    "ctf/amp_contrast",
    "ctf/df1_A",
    "ctf/df2_A",
    "ctf/df_angle_rad",
    "alignments3D/pose",
    "alignments3D/shift",
]
_IMAGES = ("blob/path", "blob/idx", "alignments3D/split")
_PLACES = (
    "location/micrograph_uid",
    "location/micrograph_psize_A",
    "location/micrograph_shape",
    "location/center_x_frac",
    "location/center_y_frac",
    "alignments3D/shift",
    "alignments3D/psize_A",
    "blob/shape",
    "blob/psize_A",
)


def read_cs(path: Path, *, root: Path | None = None, stack: Path | None = None, **known: float) -> Particles:
    """Particles of a ``.cs`` table, with the columns of the passthrough table beside it that it lacks itself.

    Raises:
        ParticlesError: no such table, or columns are missing.
    """
    rows = joined_rows(path)
    missing = [name for name in _NEEDED if name not in rows]
    if missing:
        raise ParticlesError(
            f"{path}: lacks the columns {', '.join(missing)}, and no passthrough table beside it has them"
        )
    try:
        return _particles(path, rows, root, stack, known)
    except (ValueError, TypeError, IndexError, OverflowError) as error:
        raise ParticlesError(f"{path}: has columns of another kind or shape than cryoSPARC writes ({error})") from error


def _particles(
    path: Path, rows: dict[str, NDArray[Any]], root: Path | None, stack: Path | None, known: dict[str, float]
) -> Particles:
    phi, theta, psi = angles_deg(rows["alignments3D/pose"])
    pixel = rows["blob/psize_A"].astype(np.float64)
    shift = rows["alignments3D/shift"] * np.atleast_1d(rows.get("alignments3D/psize_A", pixel))[:, None]
    names, number = np.unique([_text(p) for p in rows["blob/path"]], return_inverse=True)
    home = (
        root if root is not None else next((f for f in path.resolve().parents if (f / names[0]).is_file()), path.parent)
    )
    columns = {
        "phi_deg": phi,
        "theta_deg": theta,
        "psi_deg": psi,
        "shift_x_A": -shift[:, 0],
        "shift_y_A": -shift[:, 1],
        "defocus_1_A": rows["ctf/df1_A"],
        "defocus_2_A": rows["ctf/df2_A"],
        "defocus_angle_deg": np.rad2deg(rows["ctf/df_angle_rad"]),
        "phase_shift_rad": rows.get("ctf/phase_shift_rad", 0.0),
        "voltage_kV": rows["ctf/accel_kv"],
        "cs_mm": rows["ctf/cs_mm"],
        "amplitude_contrast": rows["ctf/amp_contrast"],
        "pixel_size_A": known.get("pixel_size_A", pixel),
        "contrast": rows.get("blob/sign", -1.0),
        "half": rows["alignments3D/split"].astype(np.int64) + 1 if "alignments3D/split" in rows else 0,
        "image": rows["blob/idx"].astype(np.int64) + 1,
        "stack": 0 if stack is not None else number,
    }
    stacks = (stack,) if stack is not None else tuple(home / name for name in names)
    return table(columns, stacks=stacks, source=str(path))


def angles_deg(pose: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Angles phi, theta, psi in degrees of rotation vectors [particle, 3]."""
    from scipy.spatial.transform import Rotation

    rotation = Rotation.from_rotvec(np.asarray(pose, np.float64))
    with warnings.catch_warnings():
        # Along the axis phi and psi turn alike: any pair of the same sum is right.
        warnings.filterwarnings("ignore", "Gimbal lock", UserWarning)
        phi, theta, psi = rotation.as_euler("ZYZ", degrees=True).T
    return phi, theta, psi


def read_places(path: Path) -> tuple[Places | None, float]:
    """Where the particles of a ``.cs`` table lie, and the length of their box in A; None, 0 where it has no half sets or images.

    The places need ``location/micrograph_psize_A``, which older versions do not write: without it, only images are compared.

    Raises:
        ParticlesError: it cannot be read, or has columns of another kind than cryoSPARC writes.
    """
    rows = joined_rows(path, (*_IMAGES, *_PLACES))
    if any(name not in rows for name in _IMAGES):
        return None, 0.0
    try:
        stack = np.unique(rows["blob/path"], return_inverse=True)[1]
        half = rows["alignments3D/split"].astype(np.int64) + 1
        found = Places(1 + np.arange(len(half)), stack, rows["blob/idx"].astype(np.int64), half)
        if any(name not in rows for name in _PLACES):
            return found, 0.0
        micrograph = np.unique(rows["location/micrograph_uid"], return_inverse=True)[1]
        pixel_A = rows["location/micrograph_psize_A"].astype(float)
        lengths_px, moved_A = rows["location/micrograph_shape"], rows["alignments3D/shift"].astype(float)
        moved_A *= rows["alignments3D/psize_A"].astype(float)[:, None]
        y_A, x_A = (
            rows[f"location/center_{axis}_frac"] * lengths_px[:, place] * pixel_A - moved_A[:, 1 - place]
            for place, axis in enumerate("yx")
        )
        box_A = float(np.median(rows["blob/shape"][:, 0] * rows["blob/psize_A"]))
        return replace(found, micrograph=micrograph, x_A=x_A, y_A=y_A), box_A
    except (ValueError, TypeError, IndexError, OverflowError) as error:
        raise ParticlesError(f"{path}: has columns of another kind or shape than cryoSPARC writes ({error})") from error


def joined_rows(path: Path, wanted: Sequence[str] = _NEEDED) -> dict[str, NDArray[Any]]:
    """The columns of a table, and those of its passthrough tables for the same particles; only particles that are in all.

    Args:
        path: of the table.
        wanted: the passthrough tables are looked at where the table lacks one of these columns.

    Raises:
        ParticlesError: a table cannot be read.
    """
    own = _records(path)
    columns = {name: own[name] for name in own.dtype.names or ()}
    lacking = [name for name in wanted if name not in columns]
    for beside in sorted(path.parent.glob("*passthrough_particles*.cs")) if lacking and "uid" in columns else ():
        if beside == path:
            continue
        more = _records(beside)
        if "uid" not in (more.dtype.names or ()):
            continue
        _, mine, theirs = np.intersect1d(columns["uid"], more["uid"], return_indices=True)
        order = np.argsort(mine)
        columns = {name: values[mine[order]] for name, values in columns.items()}
        columns |= {name: more[name][theirs[order]] for name in more.dtype.names or () if name not in columns}
    return columns


def _records(path: Path) -> NDArray[Any]:
    """A table whole; nothing in it is ever executed."""
    try:
        open_plain(path).close()
        # The map is only looked at: making it checks the header against the file's length before memory is taken.
        mapped = np.load(path, mmap_mode="r", allow_pickle=False)
        rows = np.load(path, allow_pickle=False) if isinstance(mapped, np.memmap) else None
    except Exception as error:  # numpy reads the header as Python's own text, which can be wrong in every way
        raise ParticlesError(f"{path}: is not a table of cryoSPARC ({error})") from error
    if not isinstance(rows, np.ndarray) or not rows.dtype.names:
        raise ParticlesError(f"{path}: is not a table of cryoSPARC (it has no named columns)")
    return rows


def _text(path: Any) -> str:
    """A path; some versions put ``>`` before those that are relative to the project."""
    return (os.fsdecode(path) if isinstance(path, bytes) else str(path)).removeprefix(">")
