"""Compiled loops that apply a point group to sums; see ``_tile_kernels`` for the layout."""

# numba compiles these functions by what they are called with; annotations would say nothing to it.
# mypy: disable-error-code="no-untyped-def, untyped-decorator"

import numpy as np

from refine_hooks.kernels.jit import njit


@njit(cache=True, nogil=True, error_model="numpy")
def complete_mates(sums, half):
    """Add up each coefficient of the plane x = 0 and its Hermitian mate, in place.

    Args:
        sums: float32 [z, y, x, 4] of one half set.
        half: last logical index of the grid.
    """
    middle = half + 1
    for z in range(-half, half + 1):
        for y in range(0 if z < 0 else 1, half + 1):
            one, other = sums[middle + z, middle + y, 0], sums[middle - z, middle - y, 0]
            re, im, weight = one[0] + other[0], one[1] - other[1], one[2] + other[2]
            one[0], one[1], one[2] = re, im, weight
            other[0], other[1], other[2] = re, -im, weight
    centre = sums[middle, middle, 0]
    centre[1] = 0.0


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"contract", "nnan", "ninf", "nsz"})
def symmetrise(sums, matrices, half, out, first, end):
    """The planes first..end-1 of ``out``: at every point the sum of what the sums hold at its symmetry mates, trilinearly.

    Args:
        sums: float32 [z, y, x, 4] of one half set, the plane x = 0 completed.
        matrices: float64 [operator, 3, 3] acting on (x, y, z).
        half: last logical index of the grid; nothing beyond this radius is kept.
        out: like ``sums``, filled.
        first, end: planes, as indices.
    """
    middle = half + 1
    for iz in range(first, end):
        for iy in range(out.shape[1]):
            for x in range(out.shape[2]):
                z, y = iz - middle, iy - middle
                total = out[iz, iy, x]
                total[:] = 0
                if x * x + y * y + z * z > half * half:
                    continue
                for m in range(matrices.shape[0]):
                    _add_mate(sums, matrices[m], x, y, z, middle, total)


@njit(inline="always")
def _add_mate(sums, matrix, x, y, z, middle, total):
    u = matrix[0, 0] * x + matrix[0, 1] * y + matrix[0, 2] * z
    v = matrix[1, 0] * x + matrix[1, 1] * y + matrix[1, 2] * z
    w = matrix[2, 0] * x + matrix[2, 1] * y + matrix[2, 2] * z
    sign = np.float32(1.0)
    if u < 0:
        u, v, w, sign = -u, -v, -w, np.float32(-1.0)
    i, j, k = int(u), int(np.floor(v)), int(np.floor(w))
    fx, fy, fz = np.float32(u - i), np.float32(v - j), np.float32(w - k)
    for dz in range(2):
        wz = fz if dz else 1 - fz
        for dy in range(2):
            wy = wz * (fy if dy else 1 - fy)
            left = sums[middle + k + dz, middle + j + dy, i]
            right = sums[middle + k + dz, middle + j + dy, i + 1]
            total[0] += wy * ((1 - fx) * left[0] + fx * right[0])
            total[1] += sign * wy * ((1 - fx) * left[1] + fx * right[1])
            total[2] += wy * ((1 - fx) * left[2] + fx * right[2])
