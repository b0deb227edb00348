"""Whether two half maps lie on each other: shift, turn, hand and contrast of the second against the first.

Hand, contrast and shifts of whole voxels are peaks of the phase correlation of the halves, of each of the 48 ways to turn and
mirror a cube, in a coarse box. What is left, a fraction of a voxel and a few degrees, is found by least squares to first order:
the difference of the halves is regressed on the gradient and on the torque of their average. The noise of the difference and of
the average are not correlated, and the normal matrix is taken between the halves, so that noise biases neither.
"""

import itertools
from dataclasses import dataclass, replace

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from refine_hooks.analysis.turns import best_turn
from refine_hooks.files.mrc import Volume
from refine_hooks.fourier import Curve, HalfTransform, in_slabs

Vector = NDArray[np.float64]
Complex = NDArray[np.complex64]

_COARSE_PX = 32  # of the phase correlation
_BANDS = (6, 14)  # last shells of it
_TURN_PX = 32
_TURN_BAND = 13  # fine enough for a particle of a fifth of the box
_SHIFT_PX = 64
_BETTER, _BETTER_SD = 1.1, 5.0
_CANDIDATES = 3
_SEEN_Z = 7.0
_ITERATIONS = 4
_LEAST_SLOPE = 0.1  # of what the shells have on average, in any direction
_FARTHEST_DEG = 60.0  # a fit that goes farther has lost its way: such turns are looked for elsewhere
_LONGEST_STEP_PX = 1.5
_UNKNOWN_PX = 0.5  # of the coarse box: what its peaks are good to
_LARGEST_TURN = 0.3  # rad, of one step
_SIGNIFICANT = 5.0  # standard deviations of a turn as a whole
_NOISE_SD = 2.5  # a shell whose FSC is lower shows nothing
_WEAK = 0.8  # mean FSC of the turns' band below which other turns are looked for
_SAME = ((0, 1, 2), (1, 1, 1))
_FAR = 0.26  # rad; so large a turn must make the halves more alike when it is undone
_STEP = 0.02  # rad; below that one step is enough


@dataclass(frozen=True, slots=True)
class Superposition:
    """How the second half map lies against the first one.

    Attributes:
        shift_px: x, y, z by which the second half is moved, in voxels of the half maps.
        shift_sd_px: standard deviation of the length of the shift along its least certain axis.
        turned_deg: angle between the halves; 0 where it is not significant.
        turned_sd_deg: standard deviation of the angle.
        mirrored: the second half is the other hand.
        inverted: the second half has the other contrast.
        score: standard deviations by which the halves correlate where they lie best.
    """

    shift_px: tuple[float, float, float]
    shift_sd_px: float
    turned_deg: float
    turned_sd_deg: float
    mirrored: bool
    inverted: bool
    score: float


@dataclass(frozen=True, slots=True)
class _Peak:
    """One way to lay a half on the other: axes in that order, some reversed; its score, and shift z, y, x in coarse voxels."""

    order: tuple[int, int, int]
    signs: tuple[int, int, int]
    score: float
    inverted: bool
    shift: tuple[int, int, int]

    @property
    def mirrored(self) -> bool:
        parity = np.linalg.det(np.eye(3)[list(self.order)])
        return bool(parity * np.prod(self.signs) < 0)

    @property
    def angle_deg(self) -> float:
        """Of the turn, after a mirror in one of the axes or in all three where the hand is the other one."""
        if self.mirrored and self.order == _SAME[0]:
            return 0.0
        turn = np.diag(self.signs) @ np.eye(3)[list(self.order)]
        turn = turn * np.sign(np.linalg.det(turn))
        return float(np.rad2deg(np.arccos(np.clip((np.trace(turn) - 1) / 2, -1, 1))))


@dataclass(frozen=True, slots=True)
class _Laid:
    """A peak with its shift made finer, and the FSC of the halves there."""

    peak: _Peak
    shift: Vector
    shift_sd: float
    alike: Curve
    counts: Curve

    def agreement(self) -> float:
        """Mean FSC of the shells that show how a half is turned."""
        low = slice(1, _TURN_BAND)
        return float((self.alike[low] * self.counts[low]).sum() / self.counts[low].sum())

    def low_score(self) -> float:
        """As that of `best_turn`."""
        low = slice(1, _BANDS[0] + 1)
        return float((self.alike[low] * self.counts[low]).sum() / np.sqrt(self.counts[low].sum()))

    def superposition(self, scale: float) -> Superposition:
        z, y, x = (float(v) * scale for v in self.shift)
        peak, sd = self.peak, self.shift_sd * scale
        return Superposition((x, y, z), sd, peak.angle_deg, 1.0, peak.mirrored, peak.inverted, peak.score)


def _excess(other: _Laid, same: _Laid) -> float:
    """Standard deviations by which the halves correlate better in the other position; 0 where it is hardly better."""
    weight = other.counts * np.maximum(other.alike, same.alike)
    better, held = float(weight @ other.alike), float(weight @ same.alike)
    if better < _BETTER * held:
        return 0.0
    return (better - held) / float(np.sqrt(max(2 * (weight**2 / np.maximum(other.counts, 1)).sum(), 1e-30)))


def superposition(transforms: tuple[HalfTransform, HalfTransform], box_px: int) -> Superposition | None:
    """How two half maps lie on each other; None where nothing in them correlates in any position.

    Args:
        transforms: half transforms [kz, ky, kx] of the two unmasked half maps.
        box_px: of the half maps.
    """
    coarse = min(_COARSE_PX, box_px - box_px % 2)
    one, two = (_whitened(_middle(half, coarse), coarse) for half in transforms)
    peaks = _peaks(one, two, coarse)
    same = _laid(one, two, peaks[0], coarse)
    others = sorted(peaks[1:], key=lambda peak: -peak.score)[:_CANDIDATES]
    laid = [_laid(one, two, peak, coarse) for peak in others]
    best = max(laid, key=lambda other: _excess(other, same))
    if best.peak.score > _SEEN_Z and _excess(best, same) > _BETTER_SD:
        elsewhere = _elsewhere(one, two, same) if best.agreement() < _WEAK else None
        if elsewhere is not None and elsewhere.score > _BETTER * best.low_score():
            return elsewhere
        return best.superposition(box_px / coarse)
    if same.peak.score <= _SEEN_Z or same.agreement() < _WEAK:
        elsewhere = _elsewhere(one, two, same)
        if elsewhere is not None or same.peak.score <= _SEEN_Z:
            return elsewhere
    return _refined(transforms, box_px, coarse, same.peak)


def _refined(
    transforms: tuple[HalfTransform, HalfTransform],
    box_px: int,
    coarse: int,
    peak: _Peak,
) -> Superposition:
    few, many = (min(px, box_px - box_px % 2) for px in (_TURN_PX, _SHIFT_PX))
    contrast = np.float32(-1 if peak.inverted else 1)
    fit = _TurnFit(_middle(transforms[0], few), _middle(transforms[1], few) * contrast, few)
    low = fit.solved(np.array(peak.shift, float) * few / coarse)
    turn, angle_sd = low.certain()
    angle = float(np.linalg.norm(turn))
    if np.rad2deg(angle) > _FARTHEST_DEG:
        angle = 0.0
    shift, shift_sd = low.shift * box_px / few, low.shift_sd * box_px / few
    if not angle:
        one, two = (_middle(half, many) for half in transforms)
        start = np.array(peak.shift, float) * many / coarse
        fine, fine_sd = _fine_shift(one, two * contrast, many, start)
        shift, shift_sd = fine * box_px / many, fine_sd * box_px / many
    z, y, x = (float(v) for v in shift)
    degrees, degrees_sd = float(np.rad2deg(angle)), float(np.rad2deg(angle_sd))
    return Superposition((x, y, z), float(shift_sd), degrees, degrees_sd, False, peak.inverted, peak.score)


def _elsewhere(one: Complex, two: Complex, same: _Laid) -> Superposition | None:
    """The halves where one is turned by any angle, in either hand; None where that is no better than as they are."""
    turn = best_turn(one, two * _phases(_frequencies(len(one)), same.shift))
    if turn.score < max(_SEEN_Z, _BETTER * turn.same + _BETTER_SD):
        return None
    nowhere = (0.0, 0.0, 0.0)
    return Superposition(nowhere, 1.0, turn.angle_deg, turn.spacing_deg / 4, turn.mirrored, turn.inverted, turn.score)


# --- phase correlation ------------------------------------------------------------------------------------------------


def _middle(half: HalfTransform, box_px: int) -> Complex:
    """The middle of a half transform with the phases of a box of ``box_px`` (without its Nyquist planes), scaled to its voxels."""
    n, few = len(half), box_px // 2
    keep = np.r_[0:few, 1 - few : 0] % n
    at = np.r_[0:few, 1 - few : 0] % box_px
    out = np.zeros((box_px, box_px, few + 1), np.complex64)
    out[np.ix_(at, at, np.arange(few))] = half[np.ix_(keep, keep, np.arange(few))]
    out *= np.float32((box_px / n) ** 3)
    return out


def _shells(box_px: int) -> NDArray[np.int64]:
    """Shell of each coefficient of a half transform."""
    z = np.fft.fftfreq(box_px) * box_px
    x = np.arange(box_px // 2 + 1)
    return np.floor(np.sqrt(z[:, None, None] ** 2 + z[:, None] ** 2 + x**2) + 0.5).astype(np.int64)


def _twice(box_px: int) -> Curve:
    """How often a coefficient of a half transform stands in the full one, by kx."""
    weight = np.full(box_px // 2 + 1, 2.0)
    weight[[0, -1]] = 1.0
    return weight


def _by_shell(values: NDArray[np.float32], shells: NDArray[np.int64], box_px: int) -> Curve:
    weighted = (values * _twice(box_px)).ravel()
    return np.asarray(np.bincount(shells.ravel(), weighted, minlength=int(shells.max()) + 1), np.float64)


def _whitened(half: Complex, box_px: int) -> Complex:
    """Coefficients over the root mean square of their shell; nothing at the origin."""
    shells = _shells(box_px)
    power = _by_shell(half.real**2 + half.imag**2, shells, box_px) / np.maximum(
        _by_shell(np.ones(half.shape, np.float32), shells, box_px), 1
    )
    scale = np.zeros_like(power)
    np.divide(1.0, np.sqrt(power), out=scale, where=power > 1e-12 * power[1:].max(initial=0))
    scale[0] = 0
    return np.asarray(half * scale[shells], np.complex64)


def _peaks(one: Complex, two: Complex, box_px: int) -> list[_Peak]:
    """The best place of the second half as it is, then of the other ways to turn it by right angles and to mirror it."""
    shells = _shells(box_px)
    bands = [b for b in _BANDS if b < box_px // 2]
    counts = _by_shell((np.abs(one) * np.abs(two) > 0).astype(np.float32), shells, box_px)
    windows = [
        ((shells <= band) / np.sqrt(max(counts[1 : band + 1].sum(), 1.0)) * box_px**3).astype(np.float32)
        for band in bands
    ]
    whole = _whole(two, box_px)
    ways = [
        (order, signs) for order in itertools.permutations(range(3)) for signs in itertools.product((1, -1), repeat=3)
    ]
    ways.remove(_SAME)
    ways.insert(0, _SAME)

    def best_of(begin: int, _: int) -> _Peak:
        order, signs = ways[begin]
        product = one * np.conj(_other_way(whole, order, signs))
        return max((_peak(product * window, order, signs, box_px) for window in windows), key=lambda peak: peak.score)

    return in_slabs(best_of, len(ways), 1)


def _whole(half: Complex, box_px: int) -> Complex:
    return np.asarray(scipy.fft.fftn(scipy.fft.irfftn(half, s=(box_px,) * 3)), np.complex64)


def _other_way(whole: Complex, order: tuple[int, ...], signs: tuple[int, ...]) -> Complex:
    """Half transform of a map whose axes are in that order, some of them reversed about the box's centre."""
    n = len(whole)
    z, y, x = (np.arange(n) * sign % n for sign in signs)
    return np.asarray(whole.transpose(order)[np.ix_(z, y, x[: n // 2 + 1])], np.complex64)


def _laid(one: Complex, two: Complex, peak: _Peak, box_px: int) -> _Laid:
    if (peak.order, peak.signs) != _SAME:
        two = _other_way(_whole(two, box_px), peak.order, peak.signs)
    if peak.inverted:
        two = -two
    shift, sd = _fine_shift(one, two, box_px, np.array(peak.shift, float))
    moved = two * _phases(_frequencies(box_px), shift)
    found = _likeness(one, moved, _shells(box_px), box_px)
    return _Laid(peak, shift, sd, found.alike, found.counts)


def _peak(product: Complex, order: tuple[int, ...], signs: tuple[int, ...], box_px: int) -> _Peak:
    values = scipy.fft.irfftn(product, s=(box_px,) * 3)
    high, low = int(values.argmax()), int(values.argmin())
    inverted = -values.flat[low] > values.flat[high]
    place = low if inverted else high
    # The second half moved by s has the factor exp(-2 pi i k s / n): its peak stands at -s.
    at = [-(i if i < box_px // 2 else i - box_px) for i in np.unravel_index(place, values.shape)]
    z, y, x = (int(i) for i in at)
    a, b, c = order
    p, q, r = signs
    return _Peak((a, b, c), (p, q, r), float(abs(values.flat[place])), bool(inverted), (z, y, x))


# --- least squares ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Solved:
    shift: Vector
    turn: Vector
    covariance: NDArray[np.float64]

    @property
    def shift_sd(self) -> float:
        return float(np.sqrt(np.linalg.eigvalsh(self.covariance[:3, :3])[-1]))

    def certain(self) -> tuple[Vector, float]:
        """The turn about the axes for which it is significant, and the standard deviation of its angle."""
        variances, axes = np.linalg.eigh(self.covariance[3:, 3:])
        parts, sd = axes.T @ self.turn, np.sqrt(np.maximum(variances, 1e-12))
        kept = np.where(np.abs(parts) > 2 * sd, parts, 0)
        square = float(kept @ kept)
        if float(np.square(kept / sd).sum()) < _SIGNIFICANT**2:
            return np.zeros(3), float(sd[0])
        return axes @ kept, float(np.sqrt(kept**2 @ sd**2 / square))


@dataclass(frozen=True, slots=True)
class _Shells:
    """How alike two transforms are in each shell, and what makes their coefficients white."""

    alike: Curve
    counts: Curve
    scale1: Curve
    scale2: Curve


def _likeness(one: Complex, two: Complex, shells: NDArray[np.int64], box_px: int) -> _Shells:
    cross = _by_shell((one * np.conj(two)).real, shells, box_px)
    power1, power2 = (_by_shell(half.real**2 + half.imag**2, shells, box_px) for half in (one, two))
    counts = _by_shell(np.ones(one.shape, np.float32), shells, box_px)
    power = np.sqrt(power1 * power2)
    inside = (np.arange(len(cross)) >= 1) & (np.arange(len(cross)) < box_px // 2) & (power > 0)
    alike = np.clip(cross / np.maximum(power, 1e-30), 0.0, 0.995)
    alike = np.where(inside & (alike > _NOISE_SD / np.sqrt(counts)), alike, 0.0)
    scale1, scale2 = (np.where(inside, 1 / np.sqrt(np.maximum(p / counts, 1e-30)), 0.0) for p in (power1, power2))
    return _Shells(alike, counts, scale1, scale2)


def _frequencies(box_px: int) -> tuple[Volume, Volume, Volume]:
    """Radians a voxel along z, y, x, shaped for a half transform."""
    z = (np.fft.fftfreq(box_px) * 2 * np.pi).astype(np.float32)
    x = (np.arange(box_px // 2 + 1) * 2 * np.pi / box_px).astype(np.float32)
    return z[:, None, None], z[:, None], x


def _phases(frequencies: tuple[Volume, Volume, Volume], shift: Vector) -> Complex:
    """Of a move by minus ``shift``, z, y, x."""
    z, y, x = (np.exp(1j * f * np.float32(s)) for f, s in zip(frequencies, shift, strict=True))
    return np.asarray(z * (y * x), np.complex64)


def _fine_shift(one: Complex, two: Complex, box_px: int, start: Vector) -> tuple[Vector, float]:
    """Shift z, y, x of the second half from the phases of all its shells, and its standard deviation, in voxels of the box."""
    shells, frequencies = _shells(box_px), _frequencies(box_px)
    weight = np.broadcast_to(_twice(box_px).astype(np.float32), one.shape)
    shift, sd = start.copy(), np.inf
    for _ in range(_ITERATIONS):
        moved = two * _phases(frequencies, shift)
        found = _likeness(one, moved, shells, box_px)
        alike = found.alike
        gain = alike / (1 - alike**2)
        product = one * np.conj(moved) * ((gain * found.scale1 * found.scale2)[shells] * weight)
        right = np.array([float((f * product.imag).sum()) for f in frequencies])
        spread, slope = (
            np.array([[float((f * g * held).sum()) for f in frequencies] for g in frequencies])
            for held in ((gain * alike)[shells] * weight, product.real)
        )
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


class _TurnFit:
    """Least squares of shift (voxels of the box) and turn (rad), z, y, x, of the second half against the first."""

    def __init__(self, one: Complex, two: Complex, box_px: int) -> None:
        self.one, self.two, self.box_px = one, two, box_px
        self.shells, self.frequencies = _shells(box_px), _frequencies(box_px)
        self.place = np.arange(box_px, dtype=np.float32) - box_px // 2

    def solved(self, start: Vector) -> _Solved:
        """Shift and turn as the lowest shells show them."""
        shift, turned, two = start.copy(), np.eye(3), self.two
        step, agreement = self._step(two * _phases(self.frequencies, shift))
        best = first = agreement, _Solved(shift + step.shift, step.turn, step.covariance)
        for _ in range(_ITERATIONS):
            shift = shift + _limited(step.shift, _LONGEST_STEP_PX)
            turn = _limited(step.certain()[0], _LARGEST_TURN)
            if np.linalg.norm(turn) < _STEP and np.abs(step.shift).max() < 0.05:
                break
            turned = turned @ _rotation(-turn)
            back = _phases(self.frequencies, shift)
            two = self._turned(self.two * back, turned) * np.conj(back)
            step, agreement = self._step(two * back)
            if agreement > best[0]:
                best = agreement, _Solved(shift + step.shift, step.turn - _axis_angle(turned), step.covariance)
        far = np.linalg.norm(best[1].certain()[0]) > _FAR
        return replace(first[1], turn=np.zeros(3)) if far and best[0] < _BETTER * first[0] else best[1]

    def _turned(self, half: Complex, rotation: NDArray[np.float64]) -> Complex:
        from scipy.ndimage import affine_transform

        n = self.box_px
        volume = scipy.fft.irfftn(half, s=(n,) * 3)
        middle = np.full(3, n // 2, float)
        moved = affine_transform(volume, rotation, middle - rotation @ middle, order=3, output=np.float32)
        return np.asarray(scipy.fft.rfftn(moved), np.complex64)

    def _step(self, two: Complex) -> tuple[_Solved, float]:
        """One step, and the mean FSC before it."""
        found = _likeness(self.one, two, self.shells, self.box_px)
        inside = np.arange(len(found.alike)) <= _TURN_BAND
        low = slice(1, _TURN_BAND)
        agreement = float((found.alike[low] * found.counts[low]).sum() / found.counts[low].sum())
        # Whitened, and weighted by the share of signal: what is noise alone says nothing of where it lies.
        gain = np.where(inside, np.sqrt(found.alike / (1 - found.alike)), 0.0)
        noise = 2 * gain**2 * (1 - found.alike)
        first = (self.one * (gain * found.scale1)[self.shells]).astype(np.complex64)
        second = (two * (gain * found.scale2)[self.shells]).astype(np.complex64)
        return self._solution(first, second, noise), agreement

    def _solution(self, first: Complex, second: Complex, noise: Curve) -> _Solved:
        n, shells = self.box_px, self.shells
        regressors1, regressors2 = self._regressors(first), self._regressors(second)
        average = (regressors1 + regressors2) / 2
        difference = scipy.fft.irfftn(second - first, s=(n,) * 3).ravel()
        normal = (regressors1 @ regressors2.T).astype(np.float64)
        normal = (normal + normal.T) / 2
        right = (average @ difference).astype(np.float64)
        spectra = scipy.fft.rfftn(average.reshape(6, n, n, n), axes=(1, 2, 3)).reshape(6, -1)
        weighted = spectra * (noise[shells] * _twice(n)).ravel()
        spread = (weighted @ np.conj(spectra).T).real.astype(np.float64) / n**6
        values, vectors = np.linalg.eigh(normal / np.outer(d := np.sqrt(np.maximum(np.diag(normal), 1e-30)), d))
        inverse = (vectors / np.maximum(values, 1e-3)) @ vectors.T / np.outer(d, d)
        solution = inverse @ right
        return _Solved(solution[:3], solution[3:], inverse @ spread @ inverse)

    def _regressors(self, half: Complex) -> Volume:
        """Change of a map with a shift along, and a turn about, z, y and x: [6, voxels]."""
        n = self.box_px
        slopes = [scipy.fft.irfftn(half * (1j * f).astype(np.complex64), s=(n,) * 3) for f in self.frequencies]
        z, y, x = self.place[:, None, None], self.place[:, None], self.place
        dz, dy, dx = slopes
        turns = [y * dx - x * dy, x * dz - z * dx, z * dy - y * dz]
        # A map moved by s is m(r - s): it changes by minus the slope.
        return np.stack([*(-slope for slope in slopes), *(-turn for turn in turns)]).reshape(6, -1)


def _limited(step: Vector, longest: float) -> Vector:
    length = float(np.linalg.norm(step))
    return step if length <= longest else step * (longest / length)


def _rotation(turn: Vector) -> NDArray[np.float64]:
    """Matrix of a turn, both z, y, x: a map turned by it is the map at the places that the matrix gives."""
    from scipy.linalg import expm

    z, y, x = turn
    return np.asarray(expm(np.array([[0, x, -y], [-x, 0, z], [y, -z, 0]])))


def _axis_angle(rotation: NDArray[np.float64]) -> Vector:
    angle = np.arccos(np.clip((np.trace(rotation) - 1) / 2, -1, 1))
    part = np.array([rotation[1, 2], rotation[2, 0], rotation[0, 1]]) - np.array(
        [rotation[2, 1], rotation[0, 2], rotation[1, 0]]
    )
    length = np.linalg.norm(part)
    return np.asarray(part / length * angle) if length > 0 else np.zeros(3)
