"""Whether two half maps lie on each other: shift, turn, magnification, hand and contrast of the second against the first.

Hand, contrast and shifts of whole voxels are peaks of the phase correlation of the halves, of each of the 48 ways to turn and
mirror a cube, in a coarse box. What is left, a fraction of a voxel, a few degrees and a few per cent of size, is found by least
squares to first order: the difference of the halves is regressed on the gradient, the torque and the radial slope of their
average. The noise of the difference and of the average are not correlated, and the normal matrix is taken between the halves, so
that noise biases neither.
"""

import itertools
from dataclasses import dataclass, replace

import numpy as np

from refine_hooks.analysis.coarse import Complex, Vector, by_shell, frequencies_of, likeness, middle, phases, shells_of
from refine_hooks.analysis.fits import BETTER, TURN_BAND, TurnFit, fine_shift
from refine_hooks.analysis.turns import Turn, best_turns, settled
from refine_hooks.fourier import Curve, HalfTransform, in_slabs
from refine_hooks.kernels import fft
from refine_hooks.log.checks import apart_px, magnified

_COARSE_PX = 32  # of the phase correlation
_BANDS = (6, 14)  # last shells of it
_TURN_PX = 32
_SHIFT_PX = 64
BETTER_SD = 5.0
_CANDIDATES = 3
_SEEN_Z = 7.0
_FAR_DEG = 20.0  # from there on a turned particle and its mirror image look alike at low resolution
_FARTHEST_DEG = 60.0  # a fit that goes farther has lost its way: such turns are looked for elsewhere
_WEAK = 0.8  # mean FSC of the turns' band below which other turns are looked for
_LESS_APART = 0.5  # of 1 - FSC: what makes halves that are alike in any position lie better
_OF_EACH_HAND = 2
_HAND_SD = 5.0
_TURN_SD_DEG = 1.0  # of what is found in steps
_SAME = ((0, 1, 2), (1, 1, 1))


@dataclass(frozen=True, slots=True)
class Superposition:
    """How the second half map lies against the first one.

    Attributes:
        shift_px: x, y, z by which the second half is moved, in voxels of the half maps.
        shift_sd_px: standard deviation of the length of the shift along its least certain axis.
        turned_deg: angle between the halves; 0 where it is not significant.
        turned_sd_deg: standard deviation of the angle.
        mirrored: the second half is the other hand; None where it is turned, and that is not certain.
        inverted: the second half has the other contrast.
        score: standard deviations by which the halves correlate where they lie best.
        larger: by which part of its size the second half is larger; None where that was not looked for.
        larger_sd: standard deviation of it.
    """

    shift_px: tuple[float, float, float]
    shift_sd_px: float
    turned_deg: float
    turned_sd_deg: float
    mirrored: bool | None
    inverted: bool
    score: float
    larger: float | None = None
    larger_sd: float | None = None


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
    """A peak or a turn with its shift made finer, and the FSC of the halves there."""

    peak: _Peak | Turn
    shift: Vector
    shift_sd: float
    alike: Curve
    counts: Curve

    def agreement(self) -> float:
        """Mean FSC of the shells that show how a half is turned."""
        low = slice(1, TURN_BAND)
        return float((self.alike[low] * self.counts[low]).sum() / self.counts[low].sum())

    def superposition(self, scale: float) -> Superposition:
        z, y, x = (float(v) * scale for v in self.shift)
        peak, sd = self.peak, self.shift_sd * scale
        if isinstance(peak, Turn):  # what is left of a shift says where the turn's axis is
            x, y, z, sd = 0.0, 0.0, 0.0, 1.0
        return Superposition((x, y, z), sd, peak.angle_deg, _TURN_SD_DEG, peak.mirrored, peak.inverted, peak.score)

    def much_more_alike(self, agreement: float) -> bool:
        """Than halves of that mean FSC."""
        return self.agreement() > BETTER * agreement or 1 - self.agreement() < _LESS_APART * (1 - agreement)


def _excess(other: _Laid, same: _Laid) -> float:
    """Standard deviations by which the halves correlate better in the other position; 0 where it is hardly better."""
    weight = other.counts * np.maximum(other.alike, same.alike)
    better, held = float(weight @ other.alike), float(weight @ same.alike)
    if better < BETTER * held:
        return 0.0
    return (better - held) / float(np.sqrt(max(2 * (weight**2 / np.maximum(other.counts, 1)).sum(), 1e-30)))


def superposition(transforms: tuple[HalfTransform, HalfTransform], box_px: int) -> Superposition | None:
    """How two half maps lie on each other; None where nothing in them correlates in any position.

    Args:
        transforms: half transforms [kz, ky, kx] of the two unmasked half maps.
        box_px: of the half maps.
    """
    coarse = min(_COARSE_PX, box_px - box_px % 2)
    one, two = (_whitened(middle(half, coarse), coarse) for half in transforms)
    peaks = _peaks(one, two, coarse)
    same = _laid(one, two, peaks[0], coarse)
    others = sorted(peaks[1:], key=lambda peak: -peak.score)[:_CANDIDATES]
    laid = [_laid(one, two, peak, coarse) for peak in others]
    best = max(laid, key=lambda other: _excess(other, same))
    moved = best.peak.score > _SEEN_Z and _excess(best, same) > BETTER_SD
    held = best if moved else same
    fitted = _refined(transforms, box_px, coarse, peaks[0]) if not moved and peaks[0].score > _SEEN_Z else None
    if held.agreement() >= _WEAK and (moved or (fitted is not None and not _claims(fitted[0]))):
        return fitted[0] if fitted is not None else best.superposition(box_px / coarse)
    turns = _turned(one, two, same)
    agreement = max(held.agreement(), fitted[1] if fitted is not None else 0.0)
    other = max(turns, key=_Laid.agreement)
    if other.peak.score > _SEEN_Z and other.much_more_alike(agreement) and _excess(other, same) > BETTER_SD:
        return _with_hand(other, [*turns, *laid, same], box_px / coarse)
    if moved:
        return _with_hand(best, [*turns, *laid, same], box_px / coarse)
    return _hand_of_fit(*fitted, turns) if fitted is not None else None


def _claims(found: Superposition) -> bool:
    """Whether the halves are taken for shifted, turned or magnified, all of which another turn may feign."""
    moved = apart_px(found.shift_px, found.shift_sd_px) is not None
    return moved or found.turned_deg > 0 or magnified(found.larger, found.larger_sd)


def _turned(one: Complex, two: Complex, same: _Laid) -> list[_Laid]:
    """The halves where one is turned by any angle, in either hand."""
    starts = [np.zeros(3), same.shift] if np.linalg.norm(same.shift) > 1 else [np.zeros(3)]
    coarse = [
        (turn, start)
        for start in starts
        for turn in best_turns(one * phases(frequencies_of(len(one)), -start), two, _OF_EACH_HAND)
    ]
    coarse.sort(key=lambda found: -found[0].score)
    found = []
    for hand in (False, True):
        for coarsely, start in [one for one in coarse if one[0].mirrored == hand][:_OF_EACH_HAND]:
            turn, laid, shift = settled(one, two, coarsely, start)
            found.append(_alike(turn, one, laid, shift, 0.0))
    return found


def _with_hand(found: _Laid, others: list[_Laid], scale: float) -> Superposition:
    """Where the halves lie; without a hand where they lie hardly worse in the other one."""
    mirrored = found.peak.mirrored
    other = max((one for one in others if one.peak.mirrored != mirrored), key=_Laid.agreement, default=None)
    laid = found.superposition(scale)
    if other is None or _excess(found, other) > _HAND_SD:
        return laid
    return replace(laid, mirrored=None, turned_deg=other.peak.angle_deg if mirrored else laid.turned_deg)


def _hand_of_fit(fitted: Superposition, agreement: float, turns: list[_Laid]) -> Superposition:
    """Where the halves lie by least squares; far from each other without a hand where the other one is hardly worse."""
    other = max((turn.agreement() for turn in turns if turn.peak.mirrored), default=0.0)
    return replace(fitted, mirrored=None) if fitted.turned_deg > _FAR_DEG and BETTER * other > agreement else fitted


def _refined(
    transforms: tuple[HalfTransform, HalfTransform],
    box_px: int,
    coarse: int,
    peak: _Peak,
) -> tuple[Superposition, float]:
    """Where the halves lie by least squares, and their mean FSC there."""
    few, many = (min(px, box_px - box_px % 2) for px in (_TURN_PX, _SHIFT_PX))
    contrast = np.float32(-1 if peak.inverted else 1)
    fit = TurnFit(middle(transforms[0], few), middle(transforms[1], few) * contrast, few)
    low = fit.solved(np.array(peak.shift, float) * few / coarse)
    turn, angle_sd = low.certain()
    angle = float(np.linalg.norm(turn))
    if np.rad2deg(angle) > _FARTHEST_DEG:
        angle = 0.0
    shift, shift_sd = low.shift * box_px / few, low.shift_sd * box_px / few
    if not angle and not magnified(low.larger, low.larger_sd):
        one, two = (middle(half, many) for half in transforms)
        start = np.array(peak.shift, float) * many / coarse
        fine, fine_sd = fine_shift(one, two * contrast, many, start)
        shift, shift_sd = fine * box_px / many, fine_sd * box_px / many
    z, y, x = (float(v) for v in shift)
    degrees, degrees_sd = float(np.rad2deg(angle)), float(np.rad2deg(angle_sd))
    found = (x, y, z), float(shift_sd), degrees, degrees_sd, False, peak.inverted, peak.score
    return Superposition(*found, low.larger, low.larger_sd), low.agreement


# --- phase correlation ------------------------------------------------------------------------------------------------


def _whitened(half: Complex, box_px: int) -> Complex:
    """Coefficients over the root mean square of their shell; nothing at the origin."""
    shells = shells_of(box_px)
    power = by_shell(half.real**2 + half.imag**2, shells, box_px) / np.maximum(
        by_shell(np.ones(half.shape, np.float32), shells, box_px), 1
    )
    scale = np.zeros_like(power)
    np.divide(1.0, np.sqrt(power), out=scale, where=power > 1e-12 * power[1:].max(initial=0))
    scale[0] = 0
    return np.asarray(half * scale[shells], np.complex64)


def _peaks(one: Complex, two: Complex, box_px: int) -> list[_Peak]:
    """The best place of the second half as it is, then of the other ways to turn it by right angles and to mirror it."""
    shells = shells_of(box_px)
    bands = [b for b in _BANDS if b < box_px // 2]
    counts = by_shell((np.abs(one) * np.abs(two) > 0).astype(np.float32), shells, box_px)
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
    return np.asarray(fft.fftn(fft.irfftn(half, s=(box_px,) * 3)), np.complex64)


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
    shift, sd = fine_shift(one, two, box_px, np.array(peak.shift, float))
    return _alike(peak, one, two, shift, sd)


def _alike(peak: _Peak | Turn, one: Complex, two: Complex, shift: Vector, shift_sd: float) -> _Laid:
    """How alike the halves are where the second, already turned, is moved by minus ``shift``."""
    moved = two * phases(frequencies_of(len(one)), shift)
    found = likeness(one, moved, shells_of(len(one)), len(one))
    return _Laid(peak, shift, shift_sd, found.alike, found.counts)


def _peak(product: Complex, order: tuple[int, ...], signs: tuple[int, ...], box_px: int) -> _Peak:
    values = fft.irfftn(product, s=(box_px,) * 3)
    high, low = int(values.argmax()), int(values.argmin())
    inverted = -values.flat[low] > values.flat[high]
    place = low if inverted else high
    # The second half moved by s has the factor exp(-2 pi i k s / n): its peak stands at -s.
    at = [-(i if i < box_px // 2 else i - box_px) for i in np.unravel_index(place, values.shape)]
    z, y, x = (int(i) for i in at)
    a, b, c = order
    p, q, r = signs
    return _Peak((a, b, c), (p, q, r), float(abs(values.flat[place])), bool(inverted), (z, y, x))
