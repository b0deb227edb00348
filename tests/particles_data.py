"""Small particle stacks, and the same parameters in every format that is read."""

import struct
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np

from refine_hooks.particles import Particles, table

BOX, PIXEL_A, COUNT = 16, 3.0, 24
_MODES = {0: np.int8, 1: np.int16, 2: np.float32, 6: np.uint16, 12: np.float16}


def write_stack(path: Path, count: int = COUNT, mode: int = 2, box: int = BOX, seed: int = 7) -> np.ndarray:
    """Images of whole numbers 0..100, so that every mode holds them exactly."""
    images = np.random.default_rng(seed).integers(0, 101, (count, box, box)).astype(_MODES[mode])
    path.parent.mkdir(parents=True, exist_ok=True)
    with mrcfile.new(path, overwrite=True) as stack:
        stack.set_data(images)
        stack.set_image_stack()
    return images.astype(np.float32)


def columns(count: int = COUNT, seed: int = 3) -> dict[str, np.ndarray]:
    """Values that survive the formats' rounding; defocus is astigmatic, shifts are not whole pixels."""
    rng = np.random.default_rng(seed)
    defocus = rng.uniform(8000, 20000, count).round(1)
    return {
        "image": np.arange(1, count + 1),
        "phi_deg": rng.uniform(-180, 180, count).round(2),
        "theta_deg": rng.uniform(0, 180, count).round(2),
        "psi_deg": rng.uniform(-180, 180, count).round(2),
        "shift_x_A": rng.normal(0, 4, count).round(2),
        "shift_y_A": rng.normal(0, 4, count).round(2),
        "defocus_1_A": defocus,
        "defocus_2_A": defocus - 400,
        "defocus_angle_deg": rng.uniform(0, 180, count).round(2),
        "phase_shift_rad": np.full(count, 0.5),
        "occupancy": rng.uniform(40, 100, count).round(2),
        "score": rng.normal(20, 3, count).round(2),
        "sigma": rng.uniform(8, 12, count).round(4),
        "pixel_size_A": np.full(count, PIXEL_A),
        "voltage_kV": np.full(count, 300.0),
        "cs_mm": np.full(count, 2.7),
        "amplitude_contrast": np.full(count, 0.07),
        "half": 1 + (np.arange(count) // 2) % 2,
    }


def some_particles(stack: Path, count: int = COUNT, **changes: Any) -> Particles:
    return table({**columns(count), "contrast": -1.0, **changes}, stacks=(stack,), source="made.star")


_BITS = {
    "image": (1 << 0, 9),
    "activity": (1 << 1, 2),
    "psi_deg": (1 << 2, 3),
    "shift_x_A": (1 << 3, 3),
    "shift_y_A": (1 << 4, 3),
    "defocus_1_A": (1 << 5, 3),
    "defocus_2_A": (1 << 6, 3),
    "defocus_angle_deg": (1 << 7, 3),
    "phase_shift_rad": (1 << 8, 3),
    "occupancy": (1 << 9, 3),
    "sigma": (1 << 11, 3),
    "score": (1 << 12, 3),
    "pixel_size_A": (1 << 14, 3),
    "voltage_kV": (1 << 15, 3),
    "cs_mm": (1 << 16, 3),
    "amplitude_contrast": (1 << 17, 3),
    "theta_deg": (1 << 22, 3),
    "phi_deg": (1 << 23, 3),
    "half": (1 << 32, 2),
    "stack_path": (1 << 24, 8),
}
_FORMATS = {9: "<I", 2: "<i", 3: "<f"}


def write_cistem(path: Path, values: dict[str, np.ndarray], stack_path: str = "") -> Path:
    names = [*values, *(["stack_path"] if stack_path else [])]
    count = len(values["image"])
    raw = struct.pack("<ii", len(names), count) + b"".join(struct.pack("<qb", *_BITS[name]) for name in names)
    for row in range(count):
        for name in names:
            if name == "stack_path":
                raw += struct.pack("<i", len(stack_path)) + stack_path.encode()
            else:
                kind = _FORMATS[_BITS[name][1]]
                raw += struct.pack(kind, float(values[name][row]) if kind == "<f" else int(values[name][row]))
    path.write_bytes(raw)
    return path


_STAR = {
    "image": "PositionInStack",
    "psi_deg": "AnglePsi",
    "theta_deg": "AngleTheta",
    "phi_deg": "AnglePhi",
    "shift_x_A": "XShift",
    "shift_y_A": "YShift",
    "defocus_1_A": "Defocus1",
    "defocus_2_A": "Defocus2",
    "defocus_angle_deg": "DefocusAngle",
    "phase_shift_rad": "PhaseShift",
    "activity": "ImageActivity",
    "occupancy": "Occupancy",
    "sigma": "Sigma",
    "score": "Score",
    "pixel_size_A": "PixelSize",
    "voltage_kV": "MicroscopeVoltagekV",
    "cs_mm": "MicroscopeCsMM",
    "amplitude_contrast": "AmplitudeContrast",
    "half": "AssignedSubset",
}


def loop(labels: list[str], rows: Any) -> str:
    lines = ["loop_", *(f"{label} #{i}" for i, label in enumerate(labels, 1))]
    return "\n".join([*lines, *(" ".join(str(v) for v in row) for row in rows), ""])


def write_cistem_star(path: Path, values: dict[str, np.ndarray], by_cistem: bool = True) -> Path:
    head = "# Written by cisTEM Version 2.00 on 2026-01-01 \n" if by_cistem else "# by hand\n"
    labels = [f"_cisTEM{_STAR[name]}" for name in values]
    path.write_text(f"{head}\ndata_\n\n{loop(labels, zip(*values.values(), strict=True))}")
    return path


def write_par(path: Path, values: dict[str, np.ndarray], columns: int = 17) -> Path:
    lines = ["C           PSI   THETA     PHI       SHX       SHY     MAG  INCLUDE   DF1      DF2  ..."]
    names = ["image", "psi_deg", "theta_deg", "phi_deg", "shift_x_A", "shift_y_A", "mag", "activity", "defocus_1_A"]
    names += ["defocus_2_A", "defocus_angle_deg", "phase_shift_rad", "occupancy", "logp", "sigma", "score", "change"]
    if columns == 16:
        names.remove("phase_shift_rad")
    count = len(values["image"])
    filled = {"mag": np.full(count, 50000), "activity": np.ones(count, int), "logp": np.zeros(count, int)}
    filled.update(change=np.zeros(count), **values)
    lines += [" ".join(str(filled[name][row]) for name in names) for row in range(count)]
    path.write_text("\n".join(lines) + "\n")
    return path


def write_relion_star(path: Path, values: dict[str, np.ndarray], stack: str, optics: bool = True, **extra: Any) -> Path:
    """RELION's origin is minus the shift; its CTF's sign is the other one, which the products do not feel."""
    count = len(values["image"])
    own = {
        "ImageName": [f"{n:06d}@{stack}" for n in values["image"]],
        "AngleRot": values["phi_deg"],
        "AngleTilt": values["theta_deg"],
        "AnglePsi": values["psi_deg"],
        "DefocusU": values["defocus_1_A"],
        "DefocusV": values["defocus_2_A"],
        "DefocusAngle": values["defocus_angle_deg"],
        "PhaseShift": np.rad2deg(values["phase_shift_rad"]),
        "RandomSubset": values["half"],
    }
    microscope = {"Voltage": 300.0, "SphericalAberration": 2.7, "AmplitudeContrast": 0.07}
    text = "# version 30001\n\n"
    if optics:
        own["OriginXAngst"], own["OriginYAngst"] = -values["shift_x_A"], -values["shift_y_A"]
        own["OpticsGroup"] = extra.pop("groups", np.ones(count, int))
        sizes = extra.pop("pixel_sizes", {1: PIXEL_A})
        rows = [[group, *microscope.values(), size, 2, extra.get("box", BOX)] for group, size in sizes.items()]
        labels = ["OpticsGroup", *microscope, "ImagePixelSize", "ImageDimensionality", "ImageSize"]
        text += "data_optics\n\n" + loop([f"_rln{label}" for label in labels], rows) + "\n\ndata_particles\n\n"
    else:
        own["OriginX"], own["OriginY"] = -values["shift_x_A"] / PIXEL_A, -values["shift_y_A"] / PIXEL_A
        own.update({name: np.full(count, value) for name, value in microscope.items()})
        own["DetectorPixelSize"], own["Magnification"] = np.full(count, 15.0), np.full(count, 50000.0)
        text += "data_\n\n"
    own.update({name: column for name, column in extra.items() if name != "box"})
    own = {name: column for name, column in own.items() if column is not None}
    path.write_text(text + loop([f"_rln{name}" for name in own], zip(*own.values(), strict=True)))
    return path
