"""Loops of the local resolution: one band of a transform, local sums of products, values at points, medians of neighbours."""

import numba
import numpy as np
from numpy.typing import NDArray

Complex = NDArray[np.complex64]
Reals = NDArray[np.float32]
Points = NDArray[np.int32]
Lengths = NDArray[np.float64]

_FAST = {"contract", "reassoc", "nsz"}
_ENTRIES = 512  # of the table that holds a band's Gaussian
_SDS = 3.0  # a band is cut off so many standard deviations from its centre
_BINS = 256  # of the neighbours' logarithms


@numba.njit(cache=True, nogil=True, fastmath=_FAST)
def band(whole: Complex, steps: Lengths, centre: float, sd: float, out: Complex, begin: int, end: int) -> None:
    """Planes begin..end of the coefficients near a radius, as the transform of the same edges in fewer voxels.

    Args:
        whole: full transform [kz, ky, kx] in FFT order.
        steps: from one coefficient to the next along z, y, x, in 1/Angstrom.
        centre: of the Gaussian band in 1/Angstrom.
        sd: of it.
        out: the transform of fewer voxels [kz, ky, kx], multiplied by (its voxels / the whole's).
        begin: first plane that is written.
        end: one beyond the last.
    """
    (mz, my, mx), nx = out.shape, whole.shape[2]
    scale = out.size / whole.size
    table = np.empty(_ENTRIES + 2, np.float32)
    for i in range(_ENTRIES + 2):
        table[i] = scale * np.exp(-0.5 * (2 * _SDS * i / _ENTRIES - _SDS) ** 2)
    low, high, per_entry = max(0.0, centre - _SDS * sd), centre + _SDS * sd, _ENTRIES / (2 * _SDS * sd)
    for iz in range(begin, end):
        kz = iz if 2 * iz < mz else iz - mz
        for iy in range(my):
            ky = iy if 2 * iy < my else iy - my
            square = (kz * steps[0]) ** 2 + (ky * steps[1]) ** 2
            out[iz, iy] = 0
            if square >= high * high:
                continue
            near = int(np.ceil(np.sqrt(max(0.0, low * low - square)) / steps[2]))
            far = min((mx - 1) // 2, int(np.sqrt(high * high - square) / steps[2]))
            for kx in range(near, far + 1):
                radius = np.sqrt(square + (kx * steps[2]) ** 2)
                weight = table[int((radius - centre + _SDS * sd) * per_entry + 0.5)]
                out[iz, iy, kx] = whole[kz, ky, kx] * weight
                if kx > 0:
                    out[iz, iy, mx - kx] = whole[kz, ky, nx - kx] * weight


@numba.njit(cache=True, nogil=True, fastmath=_FAST)
def pooled(voxels: Complex, body: NDArray[np.bool_], out: Reals, begin: int, end: int) -> None:
    """Sums over 2 x 2 x 2 voxels of the body: their number, the real parts squared, the imaginary ones squared.

    Args:
        voxels: [z, y, x]: mean of the two halves, and half their difference as imaginary part.
        body: of the same edges in Angstrom, in voxels of another size [z, y, x].
        out: [3, z, y, x], half as many voxels each way.
        begin: first plane of it that is written.
        end: one beyond the last.
    """
    longest = max(voxels.shape)
    nearest = np.zeros((3, longest), np.int64)
    for axis in range(3):
        m, n = voxels.shape[axis], body.shape[axis]
        for i in range(m):
            nearest[axis, i] = int(i * n / m + 0.5) % n
    for z in range(begin, end):
        for y in range(out.shape[2]):
            for x in range(out.shape[3]):
                count, mean, half = np.float32(0), np.float32(0), np.float32(0)
                for i in range(2 * z, 2 * z + 2):
                    for j in range(2 * y, 2 * y + 2):
                        for k in range(2 * x, 2 * x + 2):
                            if body[nearest[0, i], nearest[1, j], nearest[2, k]]:
                                value = voxels[i, j, k]
                                count += np.float32(1)
                                mean += value.real * value.real
                                half += value.imag * value.imag
                out[0, z, y, x], out[1, z, y, x], out[2, z, y, x] = count, mean, half


@numba.njit(cache=True, nogil=True, fastmath=_FAST)
def smoothed(values: Reals, weights: Reals) -> Reals:
    """Each volume [z, y, x] of several convolved along all three axes with one symmetric kernel; zero outside."""
    reach, (count, nz, ny, nx) = len(weights) - 1, values.shape
    one = np.zeros_like(values)
    two = np.zeros_like(values)
    row = np.empty(nx + 2 * reach, np.float32)
    for c in range(count):
        for z in range(nz):
            for t in range(max(-reach, -z), min(reach, nz - 1 - z) + 1):
                weight = weights[abs(t)]
                for y in range(ny):
                    for x in range(nx):
                        one[c, z, y, x] += weight * values[c, z + t, y, x]
            for y in range(ny):
                for t in range(max(-reach, -y), min(reach, ny - 1 - y) + 1):
                    weight = weights[abs(t)]
                    for x in range(nx):
                        two[c, z, y, x] += weight * one[c, z, y + t, x]
            for y in range(ny):
                row[:] = 0
                row[reach : reach + nx] = two[c, z, y]
                for x in range(nx):
                    total = weights[0] * row[reach + x]
                    for t in range(1, reach + 1):
                        total += weights[t] * (row[reach + x - t] + row[reach + x + t])
                    two[c, z, y, x] = total
    return two


@numba.njit(cache=True, nogil=True, fastmath=_FAST)
def correlations(sums: Reals, places: Reals, out: Reals) -> None:
    """Local FSC at points between the voxels, interpolated linearly: (mean - half) / (mean + half).

    Args:
        sums: local sums [3, z, y, x]: weight, mean squared, half the difference squared.
        places: of the points, in voxels of ``sums`` [point, 3].
        out: one number a point.
    """
    nz, ny, nx = sums.shape[1:]
    for p in range(len(places)):
        mean, half = 0.0, 0.0
        z, y, x = int(np.floor(places[p, 0])), int(np.floor(places[p, 1])), int(np.floor(places[p, 2]))
        for i in range(2):
            wz = abs(1 - i - (places[p, 0] - z))
            for j in range(2):
                wy = wz * abs(1 - j - (places[p, 1] - y))
                for k in range(2):
                    weight = wy * abs(1 - k - (places[p, 2] - x))
                    a, b, c = min(max(z + i, 0), nz - 1), min(max(y + j, 0), ny - 1), min(max(x + k, 0), nx - 1)
                    mean += weight * sums[1, a, b, c]
                    half += weight * sums[2, a, b, c]
        out[p] = (mean - half) / (mean + half) if mean + half > 0 else 0.0


@numba.njit(cache=True, nogil=True)
def medians(logs: Reals, places: Points, index: Points, radius: Reals, out: Reals, begin: int, end: int) -> None:
    """Median of the values of the neighbours within each point's own radius, for the points begin..end.

    Args:
        logs: one number a point.
        places: of the points on a grid [point, 3].
        index: number of the point at each place of the grid, -1 where there is none [z, y, x].
        radius: in steps of the grid, one a point.
        out: one number a point.
        begin: first point.
        end: one beyond the last.
    """
    low = logs.min()
    width = max((logs.max() - low) / _BINS, 1e-9)
    counts = np.zeros(_BINS + 1, np.int64)
    for p in range(begin, end):
        counts[:] = 0
        reach, square, total = int(radius[p]), radius[p] * radius[p], 0
        z, y, x = places[p]
        for i in range(max(0, z - reach), min(index.shape[0], z + reach + 1)):
            for j in range(max(0, y - reach), min(index.shape[1], y + reach + 1)):
                left = square - (i - z) ** 2 - (j - y) ** 2
                for k in range(max(0, x - reach), min(index.shape[2], x + reach + 1)):
                    q = index[i, j, k]
                    if q >= 0 and (k - x) ** 2 <= left:
                        counts[int((logs[q] - low) / width)] += 1
                        total += 1
        before, b = 0, 0
        while 2 * (before + counts[b]) < total:
            before += counts[b]
            b += 1
        out[p] = low + width * (b + (0.5 * total - before) / counts[b])
