"""What two half maps share where there is no particle: the correlation of their solvent, and patterns in it.

Independent halves have nothing in common there, at any resolution. Noise of one reference, duplicated particles or an artefact that
is in both correlates there as it does in the particle, even at resolutions where the particle's own signal hides it. The solvent is
taken in cubes beside the mask, so that neither the particle nor the edge of a mask has a part in it; the median over the cubes
leaves out neighbours of the particle, which stand in few of them. What a sum of coefficients errs by is read off its own imaginary
part, which no signal has a share in.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from refine_hooks.analysis.blocks import Blocks, Table
from refine_hooks.analysis.coarse import shells_of, twice
from refine_hooks.files.mrc import Volume
from refine_hooks.fourier import Box, Curve, in_slabs
from refine_hooks.kernels import fft
from refine_hooks.kernels.order import quantile

_FINEST_PARTS, _COARSEST_PARTS = 4, 6  # of the box's edge: the longest and the shortest cube
_LEAST_PX, _USUAL_PX = 8, 40
_ENOUGH, _FEWEST = 8, 3  # cubes
_MOST_VOXELS = 1 << 19  # in all cubes of a half together
_LOOKS = 3  # along each edge of a block, for the mask in it
_ALIVE = 0.05  # of the median noise; where there is less, a mask was at work
_EDGE = 0.5  # of a cube is tapered
_FIRST = 2  # shell of a cube that its taper leaves apart from the origin
_MEDIAN_SD = 1.2533  # of the median of normal values, over that of their mean
_LOUD = 2.0  # times the mean of the shell, of either half
_GROUPS = 3  # of cubes; a wave is in all of them, a neighbour of the particle is not
_NEAR = 3  # cells about a pattern's coefficient
_SURROUNDINGS = (
    0.9  # quantile: where few views leave Fourier space half empty, most of what is near its border is empty
)
_ONE_WAVE, _BY_CHANCE = 0.45, 6.0  # share of the power that is one wave; over the number of cubes, what noise reaches
_BESIDE = 6  # steps on either side of a cube's frequency
_PATTERN_Z, _PATTERN_TIMES = 7.0, 4.0  # standard deviations, and times, above the coefficients around it


@dataclass(frozen=True, slots=True)
class Pattern:
    """The strongest single frequency of the solvent.

    Attributes:
        period_px: its wave length in voxels.
        direction: x, y, z of the wave.
        times: power in each half over what is around it in Fourier space.
        coherent: share of it that is the same in both halves, with its phase.
    """

    period_px: float
    direction: tuple[float, float, float]
    times: tuple[float, float]
    coherent: float


@dataclass(frozen=True, slots=True)
class Solvent:
    """What the solvent of two halves has in common.

    Attributes:
        value: correlation over the shells that were looked at; 0 for independent halves.
        sd: of the value.
        frequencies: from where to where it was taken, in cycles a voxel.
        cubes: how many cubes of the solvent were used.
        pattern: a frequency that stands out in one half or in both; None where none does.
    """

    value: float
    sd: float
    frequencies: tuple[float, float]
    cubes: int
    pattern: Pattern | None


def solvent(
    halves: tuple[Volume, Volume],
    mask: tuple[Volume, Box],
    blocks: Blocks,
    frequencies: tuple[float, float],
    correlated: float,
) -> Solvent | None:
    """The correlation of the halves outside of a mask; None where too little solvent is left.

    Args:
        halves: unmasked half maps [z, y, x].
        mask: of the particle, and the box outside of which it is zero.
        blocks: of the halves.
        frequencies: first and last to look at, in cycles a voxel.
        correlated: how many coefficients of the noise hang together, as the order of an imposed point group.
    """
    corners, edge_px = _cubes(_free(mask, blocks), blocks.edges_px)
    if len(corners) < _FEWEST:
        return None
    taper = _taper(edge_px)
    one, two = in_slabs(lambda number, _: _transformed(halves[number], corners, taper), 2, 1)
    shells = np.minimum(shells_of(edge_px), edge_px // 2)
    weight = np.broadcast_to(twice(edge_px), shells.shape)
    power1, power2 = ((np.square(part.real) + np.square(part.imag)).sum(axis=0) for part in (one, two))
    mean1, mean2 = (_of_shells(power, shells, weight)[shells] for power in (power1, power2))
    last = min(int(frequencies[1] * edge_px), edge_px // 2 - 1)
    first = min(max(_FIRST, int(np.ceil(frequencies[0] * edge_px))), last - 1)
    used = np.where((shells >= first) & (shells <= last), weight, 0.0)
    if first < _FIRST or not (mean1[used > 0] * mean2[used > 0]).all():
        return None
    scale = (used * len(corners) / np.sqrt(np.maximum(mean1 * mean2, 1e-30))).astype(np.float32)
    cross = (one.real * two.real + one.imag * two.imag) * scale
    values = cross.sum(axis=(1, 2, 3)) / used.sum()
    across = (one.imag * two.real - one.real * two.imag) * (scale / np.sqrt(weight)).astype(np.float32)
    hang = (taper**4).mean() / (taper**2).mean() ** 2
    variance = 2 * correlated * hang**3 * np.square(across).sum(axis=(1, 2, 3)) / used.sum() ** 2
    sd = _MEDIAN_SD * float(np.sqrt(variance.mean() / len(corners)))
    pattern = _pattern((one, two), shells, (mean1, mean2), corners)
    return Solvent(quantile(values, 0.5), sd, (first / edge_px, last / edge_px), len(corners), pattern)


def _free(mask: tuple[Volume, Box], blocks: Blocks) -> NDArray[np.bool_]:
    """Blocks that the mask does not touch and that hold noise."""
    values, box = mask
    edges = blocks.edges_px
    step = max(1, int(edges[1]) // _LOOKS)
    touched = np.argwhere(values[tuple(slice(side.start, side.stop, step) for side in box)])
    starts = np.array([side.start for side in box])
    taken = np.zeros(blocks.noise.shape, bool)
    taken[tuple((np.searchsorted(edges, touched * step + starts, "right") - 1).T)] = True
    return ~taken & (blocks.noise > _ALIVE * quantile(blocks.noise, 0.5))


def _cubes(free: NDArray[np.bool_], edges_px: NDArray[np.int64]) -> tuple[NDArray[np.int64], int]:
    """Corners [cube, 3] of cubes of the solvent that do not overlap, spread over it, and their edge in voxels."""
    count, n = len(free), int(edges_px[-1])
    found: NDArray[np.int64] = np.zeros((0, 3), np.int64)
    edge_px = 0
    for parts in range(_FINEST_PARTS, _COARSEST_PARTS + 1):
        side = min(count // parts, max(1, round(_USUAL_PX * count / n)))
        if n * side // count < _LEAST_PX:
            break
        more = edges_px[_apart(free, side)]
        if len(more) > len(found):
            found, edge_px = more, n * side // count // 2 * 2
        if len(found) >= _ENOUGH:
            break
    most = max(_ENOUGH, _MOST_VOXELS // max(edge_px, 1) ** 3)
    if len(found) > most:
        found = found[np.linspace(0, len(found) - 1, most).astype(int)]
    return found, edge_px


def _apart(free: NDArray[np.bool_], side: int) -> NDArray[np.int64]:
    """First blocks [cube, 3] of free cubes of blocks that do not overlap."""
    left = free
    for axis in range(3):
        count = left.shape[axis] - side + 1
        if count < 1:
            return np.zeros((0, 3), np.int64)
        lines = np.moveaxis(left, axis, 0)
        left = np.moveaxis(np.logical_and.reduce([lines[first : first + count] for first in range(side)]), 0, axis)
    left = np.ascontiguousarray(left)
    chosen: list[tuple[int, ...]] = []
    place = int(left.argmax()) if left.size else 0
    while left.size and left.flat[place]:
        chosen.append(tuple(int(i) for i in np.unravel_index(place, left.shape)))
        left[tuple(slice(max(0, i - side + 1), i + side) for i in chosen[-1])] = False
        place += int(left.reshape(-1)[place:].argmax())
    return np.array(chosen, np.int64).reshape(-1, 3)


def _taper(edge_px: int) -> Curve:
    """Cosine edges, so that what is strong at low frequencies stays there."""
    away = np.minimum(np.arange(edge_px) + 0.5, edge_px - np.arange(edge_px) - 0.5) / edge_px
    return np.where(away < _EDGE / 2, 0.5 - 0.5 * np.cos(2 * np.pi * away / _EDGE), 1.0)


def _transformed(half: Volume, corners: NDArray[np.int64], taper: Curve) -> NDArray[np.complex64]:
    length = len(taper)
    cubes = np.stack([half[z : z + length, y : y + length, x : x + length] for z, y, x in corners])
    ramp = (np.arange(length, dtype=np.float32) - (length - 1) / 2).astype(np.float32)
    # Less a plane, which the taper would not keep in place; the ramps of the axes say nothing of each other.
    one, count, square = np.ones(length, np.float32), len(cubes), float(ramp @ ramp) * length**2
    rows, columns = cubes @ one, np.matmul(one, cubes.reshape(count, length, -1)).reshape(count, length, length)
    mean = rows.sum(axis=(1, 2)) / length**3
    along_z, along_y = rows.sum(axis=2) @ ramp / square, rows.sum(axis=1) @ ramp / square
    along_x = columns.sum(axis=1) @ ramp / square
    cubes -= (mean[:, None] + along_z[:, None] * ramp)[:, :, None, None] + (along_y[:, None] * ramp)[:, None, :, None]
    cubes -= (along_x[:, None] * ramp)[:, None, None, :]
    cubes *= (taper[:, None, None] * taper[:, None] * taper).astype(np.float32)
    return np.asarray(fft.rfftn(cubes, axes=(1, 2, 3)), np.complex64)


def _of_shells(values: Volume, shells: NDArray[np.int64], weight: Curve) -> Curve:
    """Mean of each shell."""
    sums, counts = (np.bincount(shells.ravel(), held.ravel()) for held in (values * weight, weight))
    return np.asarray(sums / np.maximum(counts, 1))


def _pattern(
    spectra: tuple[NDArray[np.complex64], NDArray[np.complex64]],
    shells: NDArray[np.int64],
    means: tuple[Curve, Curve],
    corners: NDArray[np.int64],
) -> Pattern | None:
    """The strongest coefficient, where it stands out of those around it as no noise does, and is one wave in all cubes."""
    edge_px, cubes = len(shells), len(spectra[0]) / _GROUPS
    relative = tuple(
        _least_of_groups(part) / np.maximum(mean, 1e-30) for part, mean in zip(spectra, means, strict=True)
    )
    looked_at = (shells >= _FIRST) & (shells < edge_px // 2)
    strongest = [int(np.where(looked_at, power, 0).argmax()) for power in relative]
    places = [np.unravel_index(at, shells.shape) for at in strongest]
    around = [_above_surroundings(power, place) for power, place in zip(relative, places, strict=True)]
    half = int(np.argmax(around))
    # The cube root of a mean of exponential variables is nearly normal (Wilson and Hilferty).
    z = 3 * np.sqrt(cubes) * (around[half] ** (1 / 3) - 1 + 1 / (9 * cubes))
    place = places[half]
    # What a filter left of one half has peaks of its own, far below the power of the other half.
    alike = float(means[half].mean() / max(means[1 - half].mean(), 1e-30))
    level = float(max(means[half][place], alike * means[1 - half][place]))
    loud = float(relative[half][place] * means[half][place]) > _LOUD * level
    if around[half] < _PATTERN_TIMES or z < _PATTERN_Z or not loud:
        return None
    one, two = (part[:, place[0], place[1], place[2]] for part in spectra)
    whole = _of_one_wave((one, two)[half], place, corners, edge_px)
    if whole < max(_ONE_WAVE, _BY_CHANCE / len(one)):
        return None
    coherent = abs(np.vdot(one, two)) / np.sqrt(max(float(np.vdot(one, one).real * np.vdot(two, two).real), 1e-30))
    wave = np.array([at - edge_px if at > edge_px // 2 else at for at in place[::-1]], float)
    length = float(np.linalg.norm(wave))
    along_x, along_y, along_z = (wave / length).tolist()
    times = _above_surroundings(relative[0], place), _above_surroundings(relative[1], place)
    return Pattern(edge_px / length, (along_x, along_y, along_z), times, float(coherent))


def _of_one_wave(
    values: NDArray[np.complex64], place: tuple[np.intp, ...], corners: NDArray[np.int64], edge_px: int
) -> float:
    """Share of the power of a coefficient that one wave through all cubes has; its frequency may lie beside the cubes' own."""
    own = np.array([at - edge_px if at > edge_px // 2 else at for at in place], float)
    beside = np.arange(-_BESIDE, _BESIDE + 1) / _BESIDE * 0.75
    z, y, x = (
        np.exp(-2j * np.pi / edge_px * np.outer(at + beside, along)) for at, along in zip(own, corners.T, strict=True)
    )
    sums = np.einsum("ic,jc,kc->ijk", z * values, y, x, optimize=True)
    return float(np.square(np.abs(sums)).max() / (len(values) * np.square(np.abs(values)).sum()))


def _least_of_groups(spectra: NDArray[np.complex64]) -> Table:
    """Power of each coefficient in the group of cubes where it is lowest, for all cubes."""
    power = np.square(spectra.real) + np.square(spectra.imag)
    return np.asarray(np.min([group.mean(axis=0) for group in np.array_split(power, _GROUPS)], axis=0) * len(power))


def _above_surroundings(power: Table, place: tuple[np.intp, ...]) -> float:
    """Power of a coefficient over nearly all of those around it but the nearest, whom the taper gives a part of it."""
    n = len(power)
    steps = np.arange(-_NEAR, _NEAR + 1)
    z, y, x = (int(at) + steps.reshape(shape) for at, shape in zip(place, ((-1, 1, 1), (-1, 1), (-1,)), strict=True))
    x = (x + n // 2) % n - n // 2
    sign = np.where(x < 0, -1, 1)  # the coefficient at -k has the same power
    around = power[(sign * z) % n, (sign * y) % n, np.abs(x)]
    far = np.maximum(np.maximum(np.abs(steps)[:, None, None], np.abs(steps)[:, None]), np.abs(steps)) > 1
    return float(power[place]) / max(quantile(around[far], _SURROUNDINGS), 1e-30)
