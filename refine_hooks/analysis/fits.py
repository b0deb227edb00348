"""Shift, turn and magnification of one half map against the other by least squares, to first order.

See `refine_hooks.analysis.superposition`.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from refine_hooks.analysis.coarse import (
    Complex,
    Vector,
    by_shell,
    frequencies_of,
    likeness,
    likeness_of,
    phases,
    shells_of,
    spline_spectrum,
    twice,
)
from refine_hooks.files.mrc import Volume
from refine_hooks.fourier import Curve, shell_of_square, voxels_in_shell
from refine_hooks.kernels import FLOAT, array, fft, kernel

_COMPLEX, _PHASES, _LABELS = array("complex64", 3), array("complex64", 1), array("int16", 1)
_WRITTEN = array("float64", 2, written=True)
_moved_sums = kernel("moved_sums", _COMPLEX, _COMPLEX, _PHASES, _PHASES, _PHASES, _LABELS, _WRITTEN)
_shift_sums = kernel(
    "shift_sums",
    *(_COMPLEX, _COMPLEX, _PHASES, _PHASES, _PHASES, _LABELS, array("float64", 2), FLOAT),
    array("float64", 1, written=True),
)
_spline_turned = kernel("spline_turned", array("float32", 3), array("float64", 2), array("float32", 3, written=True))
_SYMMETRIC = np.array([[0, 3, 4], [3, 1, 5], [4, 5, 2]])  # of the sums zz, yy, xx, zy, zx, yx
TURN_BAND = 13  # fine enough for a particle of a fifth of the box
BETTER = 1.1  # times as alike: less is no better position
_ITERATIONS = 4
_LEAST_SLOPE = 0.1  # of what the shells have on average, in any direction
_LEAST_SHARE = 0.02  # of the power of a change of the halves' average: what both halves have of it at least
_LONGEST_STEP_PX = 1.5
_UNKNOWN_PX = 0.5  # of the coarse box: what its peaks are good to
_LARGEST_TURN = 0.3  # rad, of one step
_SIGNIFICANT = 5.0  # standard deviations of a turn as a whole
_FAR = 0.26  # rad; so large a turn must make the halves more alike when it is undone
_STEP = 0.02  # rad; below that one step is enough


@dataclass(frozen=True, slots=True)
class Solved:
    """Shift (voxels of the coarse box), turn (rad), both z, y, x, magnification less 1, and the covariance [7, 7] of all.

    ``agreement`` is the mean FSC of the lowest shells there.
    """

    shift: Vector
    turn: Vector
    larger: float
    covariance: NDArray[np.float64]
    agreement: float = 0.0

    @property
    def larger_sd(self) -> float:
        """Standard deviation of the magnification."""
        return float(np.sqrt(self.covariance[6, 6]))

    @property
    def shift_sd(self) -> float:
        """Standard deviation of the shift along its least certain axis."""
        return float(np.sqrt(np.linalg.eigvalsh(self.covariance[:3, :3])[-1]))

    def certain(self) -> tuple[Vector, float]:
        """The turn about the axes for which it is significant, and the standard deviation of its angle."""
        variances, axes = np.linalg.eigh(self.covariance[3:6, 3:6])
        parts, sd = axes.T @ self.turn, np.sqrt(np.maximum(variances, 1e-12))
        kept = np.where(np.abs(parts) > 2 * sd, parts, 0)
        square = float(kept @ kept)
        if float(np.square(kept / sd).sum()) < _SIGNIFICANT**2:
            return np.zeros(3), float(sd[0])
        return axes @ kept, float(np.sqrt(kept**2 @ sd**2 / square))


def fine_shift(one: Complex, two: Complex, box_px: int, start: Vector) -> tuple[Vector, float]:
    """Shift z, y, x of the second half from the phases of all its shells, and its standard deviation, in voxels of the box."""
    frequencies = frequencies_of(box_px)
    labels, counts = shell_of_square(box_px), voxels_in_shell(box_px).astype(np.float64)
    shift, sd = start.copy(), np.inf
    for _ in range(_ITERATIONS):
        turned = [np.exp(1j * f.ravel() * s).astype(np.complex64) for f, s in zip(frequencies, shift, strict=True)]
        sums = np.zeros((len(counts), 4))  # in cache lines
        _moved_sums(one, two, *turned, labels, sums)
        cross, power1, power2, _ = sums.T
        found = likeness_of(cross, power1, power2, counts, box_px)
        gain = found.alike / (1 - found.alike**2)
        weights = np.column_stack([gain * found.scale1 * found.scale2, gain * found.alike])
        normal = np.zeros(15)
        _shift_sums(one, two, *turned, labels, weights, 2 * np.pi / box_px, normal)
        right, slope, spread = normal[:3], normal[3:9][_SYMMETRIC], normal[9:][_SYMMETRIC]
        if np.linalg.eigvalsh(spread)[0] <= 0:
            return start, _UNKNOWN_PX
        step, covariance = _solution(slope, spread, right)
        sd = float(np.sqrt(np.linalg.eigvalsh(covariance)[-1]))
        shift = shift + _limited(step, _LONGEST_STEP_PX)
        if np.abs(step).max() < 0.02:
            break
    return shift, sd


def _solution(
    slope: NDArray[np.float64], spread: NDArray[np.float64], right: Vector
) -> tuple[Vector, NDArray[np.float64]]:
    """Step and its covariance, where ``slope`` is what the halves themselves have and ``spread`` the variance of ``right``.

    A rod says less of a shift along itself than its shells say on average: there the slope is less than the spread.
    """
    values, vectors = np.linalg.eigh(spread)
    root = vectors / np.sqrt(values)
    own, axes = np.linalg.eigh(root.T @ slope @ root)
    inverse = root @ axes / np.maximum(own, _LEAST_SLOPE)
    step = inverse @ (axes.T @ root.T @ right)
    return np.asarray(step), np.asarray(inverse @ inverse.T)


class TurnFit:
    """Least squares of shift (voxels of the box), turn (rad), z, y, x, and magnification of the second half against the first."""

    def __init__(self, one: Complex, two: Complex, box_px: int) -> None:
        self.one, self.two, self.box_px = one, two, box_px
        self.shells, self.frequencies = shells_of(box_px), frequencies_of(box_px)
        self.place = np.arange(box_px, dtype=np.float32) - box_px // 2

    def solved(self, start: Vector) -> Solved:
        """Shift, turn and magnification as the lowest shells show them."""
        shift, turned, two = start.copy(), np.eye(3), self.two
        step, agreement = self._step(two * phases(self.frequencies, shift))
        best = first = agreement, replace(step, shift=shift + step.shift)
        for _ in range(_ITERATIONS):
            shift = shift + _limited(step.shift, _LONGEST_STEP_PX)
            turn = _limited(step.certain()[0], _LARGEST_TURN)
            if np.linalg.norm(turn) < _STEP and np.abs(step.shift).max() < 0.05:
                break
            turned = turned @ _rotation(-turn)
            back = phases(self.frequencies, shift)
            two = turned_half(self.two * back, turned) * np.conj(back)
            step, agreement = self._step(two * back)
            if agreement > best[0]:
                best = agreement, replace(step, shift=shift + step.shift, turn=step.turn - _axis_angle(turned))
        far = np.linalg.norm(best[1].certain()[0]) > _FAR
        if far and best[0] < BETTER * first[0]:
            return replace(first[1], turn=np.zeros(3), agreement=first[0])
        return replace(best[1], agreement=best[0])

    def _step(self, two: Complex) -> tuple[Solved, float]:
        """One step, and the mean FSC before it."""
        found = likeness(self.one, two, self.shells, self.box_px)
        inside = np.arange(len(found.alike)) <= TURN_BAND
        low = slice(1, TURN_BAND)
        agreement = float((found.alike[low] * found.counts[low]).sum() / found.counts[low].sum())
        # Whitened, and weighted by the share of signal: what is noise alone says nothing of where it lies.
        gain = np.where(inside, np.sqrt(found.alike / (1 - found.alike)), 0.0)
        noise = 2 * gain**2 * (1 - found.alike)
        first = (self.one * (gain * found.scale1)[self.shells]).astype(np.complex64)
        second = (two * (gain * found.scale2)[self.shells]).astype(np.complex64)
        return self._solution(first, second, noise), agreement

    def _solution(self, first: Complex, second: Complex, noise: Curve) -> Solved:
        n, shells = self.box_px, self.shells
        regressors1, regressors2 = self._regressors(first), self._regressors(second)
        count = len(regressors1)
        average = (regressors1 + regressors2) / 2
        difference = fft.irfftn(second - first, s=(n,) * 3).ravel()
        normal = (regressors1 @ regressors2.T).astype(np.float64)
        normal = (normal + normal.T) / 2
        right = (average @ difference).astype(np.float64)
        spectra = fft.rfftn(average.reshape(count, n, n, n), axes=(1, 2, 3)).reshape(count, -1)
        weighted = spectra * (noise[shells] * twice(n)).ravel()
        spread = (weighted @ np.conj(spectra).T).real.astype(np.float64) / n**6
        # Of what noise alone makes, the product of the halves may be nothing, or less.
        least = np.maximum(_LEAST_SHARE * np.square(average).sum(axis=1, dtype=np.float64), 1e-30)
        values, vectors = np.linalg.eigh(normal / np.outer(d := np.sqrt(np.maximum(np.diag(normal), least)), d))
        inverse = (vectors / np.maximum(values, 1e-3)) @ vectors.T / np.outer(d, d)
        solution = inverse @ right
        return Solved(solution[:3], solution[3:6], float(solution[6]), inverse @ spread @ inverse)

    def _regressors(self, half: Complex) -> Volume:
        """Change of a map with a shift along, and a turn about, z, y and x, and with its magnification: [7, voxels]."""
        n = self.box_px
        slopes = [fft.irfftn(half * (1j * f).astype(np.complex64), s=(n,) * 3) for f in self.frequencies]
        z, y, x = self.place[:, None, None], self.place[:, None], self.place
        dz, dy, dx = slopes
        turns = [y * dx - x * dy, x * dz - z * dx, z * dy - y * dz]
        # A map moved by s is m(r - s): it changes by minus the slope.
        larger = self._without_power(z * dz + y * dy + x * dx, half)
        return np.stack([-part for part in (*slopes, *turns, larger)]).reshape(7, -1)

    def _without_power(self, change: Volume, half: Complex) -> Volume:
        """What a change does to the phases: of shells that are made white, it leaves the power as it is."""
        n, shells = self.box_px, self.shells
        spectrum = fft.rfftn(change)
        along = by_shell((spectrum * np.conj(half)).real, shells, n)
        power = by_shell(half.real**2 + half.imag**2, shells, n)
        share = np.divide(along, power, out=np.zeros_like(along), where=power > 0).astype(np.float32)
        return np.asarray(fft.irfftn(spectrum - share[shells] * half, s=(n,) * 3), np.float32)


def turned_half(half: Complex, rotation: NDArray[np.float64]) -> Complex:
    """Half transform of a map that is taken at ``rotation`` [3, 3] times its places z, y, x, about the box's centre."""
    n = len(half)
    coefficients = fft.irfftn((half / spline_spectrum(n)).astype(np.complex64), s=(n,) * 3)
    moved = np.empty((n,) * 3, np.float32)
    _spline_turned(np.pad(coefficients, (1, 2), "wrap"), np.ascontiguousarray(rotation), moved)
    return np.asarray(fft.rfftn(moved), np.complex64)


def _limited(step: Vector, longest: float) -> Vector:
    length = float(np.linalg.norm(step))
    return step if length <= longest else step * (longest / length)


def _rotation(turn: Vector) -> NDArray[np.float64]:
    """Matrix of a turn, both z, y, x: a map turned by it is the map at the places that the matrix gives."""
    angle = float(np.linalg.norm(turn))
    if angle == 0:
        return np.eye(3)
    z, y, x = turn / angle
    cross = np.array([[0, x, -y], [-x, 0, z], [y, -z, 0]])
    return np.asarray(np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross)


def _axis_angle(rotation: NDArray[np.float64]) -> Vector:
    angle = np.arccos(np.clip((np.trace(rotation) - 1) / 2, -1, 1))
    part = np.array([rotation[1, 2], rotation[2, 0], rotation[0, 1]]) - np.array(
        [rotation[2, 1], rotation[0, 2], rotation[1, 0]]
    )
    length = np.linalg.norm(part)
    return np.asarray(part / length * angle) if length > 0 else np.zeros(3)
