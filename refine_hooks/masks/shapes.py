"""Soft shapes, and the checks that a mask has to pass before anything is measured under it."""

import numpy as np
from numpy.typing import NDArray

from refine_hooks.errors import MapError
from refine_hooks.files.mrc import same_voxel_size
from refine_hooks.fourier import in_slabs
from refine_hooks.kernels import INT, array, kernel

Volume = NDArray[np.float32]

# Headers keep voxel sizes as float32 and programs round them to three or four digits.
_ROUNDING = 1e-5
_SMALLEST_VOXEL_A = 0.05
_LEAST_BYTE = -128
_turned = kernel("turned", array("float32", 1), array("float32", 3, written=True), INT, INT)


def cosine_edge(distance_A: NDArray[np.floating], edge_A: float) -> Volume:
    """1 where the distance is at most 0, 0 from ``edge_A`` on, half a cosine between; a step where ``edge_A`` is 0."""
    if edge_A <= 0:
        return (distance_A <= 0).astype(np.float32)
    phase = np.clip(np.asarray(distance_A, np.float32) / np.float32(edge_A), 0, 1)
    edge: Volume = np.float32(0.5) + np.float32(0.5) * np.cos(np.float32(np.pi) * phase)
    return edge


def sphere(box_px: int, voxel_size_A: float, radius_A: float, edge_A: float) -> Volume:
    """A soft sphere [z, y, x] about the box's centre ``n // 2``; its cosine edge is centred on the radius.

    Args:
        box_px: edge of the box.
        voxel_size_A: edge of a voxel.
        radius_A: where the mask is one half.
        edge_A: width of the edge; 0 makes it hard.
    """
    outer_px = (radius_A + edge_A / 2) / voxel_size_A
    distance_A = np.sqrt(np.arange(int(outer_px**2) + 2)) * voxel_size_A
    profile = cosine_edge(distance_A - (radius_A - edge_A / 2), edge_A)
    mask = np.zeros((box_px, box_px, box_px), np.float32)
    in_slabs(lambda begin, end: _turned(profile, mask, begin, end), box_px, 16)
    return mask


def says_nothing(voxel_size_A: float, box_px: int) -> bool:
    """Whether a header's voxel size is one that programs write which do not know it: 0, exactly 1 A, or a cell of 1 A."""
    return voxel_size_A < _SMALLEST_VOXEL_A or abs(voxel_size_A - 1) < 1e-6 or abs(voxel_size_A * box_px - 1) < 1e-3


def misfits(shape: tuple[int, ...], mask_voxel_size_A: float, box_px: int, voxel_size_A: float) -> list[str]:
    """Why a mask does not fit half maps: every reason in words, and what to do. Asked here of the user's and of programs' masks.

    Args:
        shape: of the mask, in voxels.
        mask_voxel_size_A: its voxel size.
        box_px: box of the half maps.
        voxel_size_A: voxel size of the half maps.
    """
    faults = []
    if shape != (box_px,) * 3:
        box, halves = (" x ".join(str(n) for n in one) for one in (shape, [box_px] * 3))
        faults.append(f"the mask's box is {box}, the half maps' is {halves}; make it in the half maps' box")
    if not same_voxel_size(mask_voxel_size_A, voxel_size_A):
        sizes = f"the mask's voxel size is {mask_voxel_size_A:g} A, the half maps' is {voxel_size_A:g} A"
        faults.append(f"{sizes}; resample the mask or correct its header")
    return faults


def checked(
    values: Volume, mask_voxel_size_A: float, box_px: int, voxel_size_A: float, name: str
) -> tuple[Volume, str | None]:
    """A mask of the user's or of a program's, as 0..1, and a note where that changed it.

    A mask whose largest value is above 1 (0..255, a map's density) is divided by it.

    Args:
        values: the mask [z, y, x].
        mask_voxel_size_A: its voxel size.
        box_px: box of the half maps.
        voxel_size_A: voxel size of the half maps.
        name: what to call the mask in messages, its path where it has one.

    Raises:
        MapError: another box, another voxel size, voxels that are not finite or below 0, or nothing inside; all faults at once.
    """
    low, high = float(values.min(initial=0)), float(values.max(initial=0))
    faults = [f"{name}: {fault}" for fault in misfits(values.shape, mask_voxel_size_A, box_px, voxel_size_A)]
    if not (np.isfinite(low) and np.isfinite(high)):
        faults.append(f"{name}: the mask holds NaN or infinite voxels; nothing can be measured under it")
    elif low < -_ROUNDING * max(high, 1.0):
        faults.append(_below_zero(values, low, high, name))
    elif high <= 0:
        faults.append(f"{name}: the mask is empty (no voxel above 0)")
    if faults:
        raise MapError(*faults)
    if low >= 0 and high <= 1:
        return np.asarray(values, np.float32), None
    if high <= 1 + _ROUNDING:
        return np.clip(values, 0, 1, dtype=np.float32), None
    scaled = np.asarray(np.maximum(values, 0) / np.float32(high), np.float32)
    return scaled, f"{name}: values up to {high:g} were divided by {high:g}"


def _below_zero(values: Volume, low: float, high: float, name: str) -> str:
    text = f"{name}: the mask holds values from {low:g} to {high:g}; a mask is 0 outside and above 0 inside"
    if low >= _LEAST_BYTE and high < -_LEAST_BYTE and np.array_equal(values, np.rint(values)):
        return f"{text}. If these are bytes that were meant as 0..255 (unsigned), write the mask anew as 32-bit floats"
    return f"{text}. Is it a map? Make a mask from it, or set what is below 0 to 0"
