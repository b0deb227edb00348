"""How alike two rounds of one refinement are: their signal, their noise, and which of them has the better half maps.

Two rounds are made from the same particles, so their noise hangs together, the more the coarser the shell, since angles that
change a little move the noise of the fine shells the most. Half 1 of one round and half 2 of the other share no particle. With h
the half-map FSC of a round, c the correlation of the signals and r that of the noise, the mean FSC of halves of

    unlike number    X = c sqrt(h1 h2)
    like number      S = X + r sqrt((1 - h1) (1 - h2))

so c needs no word about the noise. 1 - c is the product of what each half changed by, (A1 - B1) (A2 - B2), over the signal: where
a round repeats the noise of the last one, c is known far better than either FSC.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from refine_hooks import fsc
from refine_hooks.analysis.coarse import Complex, frequencies_of, middle, middle_of_mean, phases
from refine_hooks.analysis.superposition import superposition
from refine_hooks.files.mrc import Volume
from refine_hooks.fourier import ShellSums, shell_sums, transform, voxels_in_shell

Numbers = NDArray[np.float64]

_PAST_END = 1.5  # how far shells are kept beyond the resolution of the newer round
_FEWEST_SHELLS = 16
_FEWEST = 20.0  # independent numbers that the share of the noise is read from
_WITHOUT_SIGNAL = 0.05  # half-map FSC; shells beyond the resolution that are below it hold noise alone
_NOISE_IN_BOTH = 0.05  # FSC of halves of unlike number there, from which on they must share particles
_SURE = 4.0  # standard deviations of that
_SEEN = 4.0  # standard deviations of a shift that is undone
_HARDLY = 0.05  # voxels
_UNKNOWN = 0.1  # standard deviation of a correlation of the signals that says nothing
_STEADY_NOISE = 0.98  # correlation of the noise that is counted as no more than this
_BETWEEN = (0.05, 0.8)  # mean half-map FSC of the shells that show which round is better
_UNEVEN = 1.5  # times as large are the errors as by counting coefficients: signal fills less than the mask; set on played rounds


@dataclass(frozen=True, slots=True)
class RoundMaps:
    """The half maps of a round under the mask that all rounds are compared under.

    Attributes:
        halves: their transforms, cut to the shells that are compared.
        half_fsc: their FSC over the shells 0..N//2.
        power: of their sum, likewise, of the whole transforms.
        whole: transform of the two together without a mask, cut to a coarse box.
        box_px: of the half maps.
        moved_px: length of the shift that lays the round on the newest one.
        turned_deg: angle between this round and the newest one; 0 where none is significant. It is not undone.
    """

    halves: tuple[Complex, Complex]
    half_fsc: Numbers
    power: Numbers
    whole: Complex
    box_px: int
    moved_px: float = 0.0
    turned_deg: float = 0.0


@dataclass(frozen=True, slots=True)
class Agreed:
    """How far two rounds agree; see `refine_hooks.log.convergence.Agreement`."""

    correlation: Numbers
    signal: float
    signal_sd: float
    noise_shared: float | None
    better: float = 0.0
    better_sd: float = 0.0
    moved_px: float = 0.0
    turned_deg: float = 0.0


def round_maps(
    half1: Volume, half2: Volume, mask: Volume, onto: RoundMaps | None = None, threshold: float = 0.143
) -> RoundMaps:
    """The half maps of a round, laid on those of the newest one.

    Programs centre the particle between two rounds; the angle between them is measured, and not undone.

    Args:
        half1: [z, y, x].
        half2: the other one.
        mask: of the newest round.
        onto: the newest round; None where this is it.
        threshold: where the resolution is read, beyond which shells are let go.
    """
    n = len(half1)
    whole = middle_of_mean(half1, half2, min(64, n - n % 2))
    shift, turned = (np.zeros(3), 0.0) if onto is None else _place(onto.whole, whole, n)
    nearest = np.rint(shift).astype(int)
    # The mask goes to where the earlier round has its particle, and both come back by what is left over.
    there = np.roll(mask, nearest, (0, 1, 2)) if nearest.any() else mask
    halves = [transform(half * there) for half in (half1, half2)]
    sums = shell_sums(*halves)
    half_fsc = fsc.correlation(sums)
    kept = len(onto.halves[0]) if onto is not None else _kept(half_fsc, threshold, n)
    ramp = phases(frequencies_of(kept), shift * kept / n)
    one, two = (np.asarray(middle(half, kept) * ramp, np.complex64) for half in halves)
    power = sums.power1 + sums.power2 + 2 * sums.cross
    return RoundMaps((one, two), half_fsc, power, whole, n, float(np.linalg.norm(shift)), turned)


def _place(newest: Complex, whole: Complex, box_px: int) -> tuple[Numbers, float]:
    """Shift z, y, x in voxels that lays a round on the newest one, and the angle between them; 0 where not significant."""
    found = superposition((newest, whole), len(whole))
    if found is None or found.mirrored or found.inverted:
        return np.zeros(3), 0.0
    scale = box_px / len(whole)
    shift = np.array(found.shift_px[::-1]) * scale
    length = float(np.linalg.norm(shift))
    seen = length > max(_HARDLY, _SEEN * found.shift_sd_px * scale)
    return (shift if seen else np.zeros(3)), found.turned_deg


def _kept(half_fsc: Numbers, threshold: float, box_px: int) -> int:
    """Even box that holds the shells to some way beyond the resolution."""
    shells = max(_FEWEST_SHELLS, int(np.ceil(_PAST_END * _end(half_fsc, threshold))))
    return min(2 * (shells + 1), box_px - box_px % 2)


def _end(half_fsc: Numbers, threshold: float) -> int:
    """The first shell from 1 on whose FSC is below the threshold."""
    below = np.flatnonzero(~(half_fsc[1:] >= threshold))
    return int(below[0]) + 1 if below.size else len(half_fsc)


def agreement(
    one: RoundMaps, other: RoundMaps, mask: Volume, threshold: float = 0.143, symmetry_order: int = 1
) -> Agreed | None:
    """How far two rounds show the same thing; None where either has next to no signal, or particles went from half to half.

    Args:
        one: the later round.
        other: the earlier one, in the same box.
        mask: the one that both were measured under [z, y, x].
        threshold: signal is looked at up to where both half-map FSCs fall to it.
        symmetry_order: of the point group that was imposed.
    """
    own, others = one.half_fsc, other.half_fsc
    shells = min(len(one.halves[0]), len(other.halves[0])) // 2
    end = min(_end(np.minimum(own, others), threshold), shells)
    if end < 2:
        return None
    crossed = _crossed(one, other)
    hanging_together = _UNEVEN**2 * fsc.correlated_voxels(mask) * symmetry_order
    independent = (voxels_in_shell(one.box_px) / hanging_together)[:shells]
    h1, h2, x, s = (np.nan_to_num(curve[:shells]) for curve in (own, others, crossed.unlike, crossed.like))
    if _particles_moved(x[end:], np.maximum(h1, h2)[end:], independent[end:]):
        return None
    within = slice(1, end)
    shared = _noise_shared((s - x)[within], h1[within], h2[within], independent[within])
    signal, sd = _signal(x[within], h1[within], h2[within], shared or 0.0, independent[within])
    if sd > _UNKNOWN:
        return None
    better, better_sd = _better(h1[1:], h2[1:], shared or 0.0, independent[1:])
    place = max(one.moved_px, other.moved_px), max(one.turned_deg, other.turned_deg)
    return Agreed(_whole_curve(crossed.averages, shells, len(own)), signal, sd, shared, better, better_sd, *place)


@dataclass(frozen=True, slots=True)
class _Crossed:
    """Mean FSC of halves of unlike number, of like number, and FSC of the averages of two rounds."""

    unlike: Numbers
    like: Numbers
    averages: Numbers


def _crossed(one: RoundMaps, other: RoundMaps) -> _Crossed:
    few = min(len(one.halves[0]), len(other.halves[0]))
    a1, a2, b1, b2 = (_cut(half, few) for half in (*one.halves, *other.halves))
    pairs = {(i, j): shell_sums(a, b) for i, a in enumerate((a1, a2)) for j, b in enumerate((b1, b2))}
    curve = {pair: fsc.correlation(sums) for pair, sums in pairs.items()}
    unlike, like = (curve[0, 1] + curve[1, 0]) / 2, (curve[0, 0] + curve[1, 1]) / 2
    cross = np.sum([sums.cross for sums in pairs.values()], axis=0)
    averages = ShellSums(cross, *((few / n.box_px) ** 6 * n.power[: len(cross)] for n in (one, other)))
    # Which half has which number is the program's to say; halves that share their particles are those of like number.
    if np.nansum((like - unlike)[1:]) < 0:
        unlike, like = like, unlike
    return _Crossed(unlike, like, fsc.correlation(averages))


def _cut(half: Complex, box_px: int) -> Complex:
    return half if len(half) == box_px else middle(half, box_px)


def _whole_curve(values: Numbers, shells: int, length: int) -> Numbers:
    curve = np.full(length, np.nan)
    curve[:shells] = values[:shells]
    return curve


def _particles_moved(unlike: Numbers, half_fsc: Numbers, independent: Numbers) -> bool:
    """Whether halves of unlike number share noise, so that particles must have gone from one half set to the other."""
    alone = half_fsc < _WITHOUT_SIGNAL
    n = float(independent[alone].sum())
    if n < _FEWEST:
        return False
    mean, own = ((independent * curve)[alone].sum() / n for curve in (unlike, half_fsc))
    return bool(mean - max(own, 0.0) > max(_NOISE_IN_BOTH, _SURE / np.sqrt(n)))


def _noise_shared(difference: Numbers, h1: Numbers, h2: Numbers, independent: Numbers) -> float | None:
    """Correlation of the noise up to the resolution; None where there is too little noise to say."""
    noise = np.sqrt(np.maximum((1 - h1) * (1 - h2), 0))
    weight = independent * noise
    known = float(weight @ noise)
    return None if known < _FEWEST else float(np.clip(weight @ difference / known, 0, 1))


def _signal(unlike: Numbers, h1: Numbers, h2: Numbers, shared: float, independent: Numbers) -> tuple[float, float]:
    """Correlation of the signals, and its standard deviation."""
    scale = np.sqrt(h1 * h2)
    weight = independent * scale
    signal = float(weight @ unlike / (weight @ scale))
    noise = (1 - min(shared, _STEADY_NOISE)) * (1 - scale)
    changed = max(1 - signal, 0.0) * scale
    spread = np.sqrt(noise**2 + 2 * noise * changed) / np.sqrt(independent)
    return signal, float(np.sqrt(((weight * spread) ** 2).sum()) / (weight @ scale))


def _better(h1: Numbers, h2: Numbers, shared: float, independent: Numbers) -> tuple[float, float]:
    """Mean difference of the half-map FSCs where they fall, and its standard deviation; what the noise shares cancels."""
    h = np.clip((h1 + h2) / 2, -1, 1)
    far = np.flatnonzero(h < _BETWEEN[0])
    inside = (h > _BETWEEN[0]) & (h < _BETWEEN[1]) & (np.arange(len(h)) < (far[0] if far.size else len(h)))
    if not inside.any():
        return 0.0, 0.0
    h, r = h[inside], min(shared, _STEADY_NOISE)
    # Noise times noise is shared by r squared, noise times signal by r.
    variance = 2 * (1 - h) ** 2 * ((1 - r**2) * (1 - h) ** 2 + (1 - r) * 2 * h * (2 - h)) / independent[inside]
    weight = 1 / np.maximum(variance, 1e-12)
    return float(weight @ (h1 - h2)[inside] / weight.sum()), float(1 / np.sqrt(weight.sum()))
