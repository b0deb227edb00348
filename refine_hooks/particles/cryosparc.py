"""cryoSPARC's ``.cs`` tables (numpy records) that hold both ``blob`` and ``alignments3D`` columns.

A pose is a rotation vector that takes image coordinates into the volume; a shift is that of RELION's origin, in pixels of
``alignments3D/psize_A``; ``blob/sign`` is -1 for dark particles.
"""

from pathlib import Path

import numpy as np

from refine_hooks.errors import ParticlesError
from refine_hooks.particles import Particles, table

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


def read_cs(path: Path, *, root: Path | None = None, stack: Path | None = None, **known: float) -> Particles:
    """Particles of a ``.cs`` table.

    Raises:
        ParticlesError: no such table, or columns are missing.
    """
    from scipy.spatial.transform import Rotation

    try:
        rows = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise ParticlesError(f"{path}: is not a table of cryoSPARC ({error})") from error
    have = rows.dtype.names or ()
    missing = [name for name in _NEEDED if name not in have]
    if missing:
        raise ParticlesError(f"{path}: lacks the columns {', '.join(missing)}; join the passthrough table to it first")
    phi, theta, psi = Rotation.from_rotvec(rows["alignments3D/pose"].astype(np.float64)).as_euler("ZYZ", degrees=True).T
    pixel = rows["blob/psize_A"].astype(np.float64)
    shift = (
        rows["alignments3D/shift"]
        * np.atleast_1d(rows["alignments3D/psize_A"] if "alignments3D/psize_A" in have else pixel)[:, None]
    )
    names, number = np.unique(
        [p.decode() if isinstance(p, bytes) else str(p) for p in rows["blob/path"]], return_inverse=True
    )
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
        "phase_shift_rad": rows["ctf/phase_shift_rad"] if "ctf/phase_shift_rad" in have else 0.0,
        "voltage_kV": rows["ctf/accel_kv"],
        "cs_mm": rows["ctf/cs_mm"],
        "amplitude_contrast": rows["ctf/amp_contrast"],
        "pixel_size_A": known.get("pixel_size_A", pixel),
        "contrast": rows["blob/sign"] if "blob/sign" in have else -1.0,
        "half": rows["alignments3D/split"].astype(np.int64) + 1 if "alignments3D/split" in have else 0,
        "image": rows["blob/idx"].astype(np.int64) + 1,
        "stack": 0 if stack is not None else number,
    }
    stacks = (stack,) if stack is not None else tuple(home / name for name in names)
    return table(columns, stacks=stacks, source=str(path))
