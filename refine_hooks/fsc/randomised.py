"""The phase-randomised FSC: how much two halves correlate under a mask where only the mask can make them.

The phases beyond the onset are randomised in the unmasked halves, then the mask is applied (Chen et al. 2013, Ultramicroscopy
135:24, doi:10.1016/j.ultramic.2013.06.004). The mean over all randomisations corrects; the spread is the error of one curve.

Of the randomised, masked halves T = L + R, the part L from below the onset is the same in every repeat, and R is independent with
mean zero. So the mean of sum T1 T2* is sum L1 L2* exactly, and the mean of sum |T|^2 is sum |L|^2 plus the expected sum |R|^2 (see
`refine_hooks.fsc.spread`): the mean takes no draws. A few draws of L + R would not do: the sum of their products stays in the
power, and moves 1 - mean by a tenth and more under a tight mask.

The repeats give the spread about that mean. Two draws of both halves, a and b, make four repeats: a1 with a2, b1 with b2, a1 with
b2, b1 with a2. Two that share a half share the products of its R with the other's L, where the mask carries L: they hang together
near the onset, more so under a tight mask. The mean square about a known mean has no bias from that; it is only known less well
there, and neighbouring shells are pooled. R is as random in one place as in another: where the mask's bounding box is a small part
of the whole, R is made once and taken from several places that do not overlap.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from refine_hooks.files.mrc import Volume
from refine_hooks.fourier import (
    Box,
    Curve,
    HalfTransform,
    Planes,
    ShellSums,
    extent,
    in_slabs,
    shell_sums,
    voxels_in_shell,
)
from refine_hooks.fsc import SHELLS_PAST_ONSET, correlation, packed
from refine_hooks.fsc.spread import mask_spectrum, spread_power
from refine_hooks.kernels import INT, array, fft, kernel

_POOLED_SHELLS = 3  # on either side
_TAIL_SHELLS = 24
_NEXT_TO_NOTHING = 0.005
_CARRIED_SHELLS = 16  # from farther away a mask brings next to nothing
_ALIASED_SHELLS = 8  # and less still from the other side of a coarser box, where only its corners are as near
_LINES_AT_ONCE = 8
_COARSER = 0.9  # a box that is hardly coarser costs more than it spares
# Of a mask's power, by a coarser box: a soft edge loses a tenth of that, a single plane ten times as much.
_LEFT_OUT = 0.01
# Random phases are multiples of 1/256 of a turn: every power of them below the 256th has mean 0, as for continuous ones.
_PHASORS = np.exp(2j * np.pi * np.arange(256) / 256).astype(np.complex64)
_fill = kernel(
    "fill",
    *(array("complex64", 3), array("complex64", 3), array("complex64", 3, written=True)),
    *(INT, INT, INT, INT, INT, array("complex64", 1), INT),
)


@dataclass(frozen=True, slots=True)
class Randomised:
    """The phase-randomised FSC in one mask over the shells 0..N//2.

    Attributes:
        mean: expected FSC of the randomised halves.
        sd: standard deviation of one randomised FSC, from its spread at each shell and its neighbours.
        onset_shell: first shell whose phases were randomised.
        repeats: how many randomisations the spread is from; 0 where it is that of white noise.
    """

    mean: Curve
    sd: Curve
    onset_shell: int
    repeats: int


def randomised(
    halves: tuple[HalfTransform, HalfTransform],
    mask: Volume,
    onset_shell: int,
    repeats: int,
    seed: int,
    box: Box | None = None,
    *,
    order: int = 1,
    unmasked: ShellSums | None = None,
    last_shell: int | None = None,
) -> Randomised:
    """The phase-randomised FSC of one mask.

    Args:
        halves: half transforms of the two unmasked half maps.
        mask: float32 [z, y, x], not zero everywhere.
        onset_shell: first shell whose phases are randomised, at least 1.
        repeats: independent randomisations, at least 2.
        seed: of the first draw; the following count on. The same seeds give the same curves on any number of cores.
        box: bounding box of the mask, where it is known already.
        order: of the point group that was imposed. The draws know nothing of it: coefficients that it makes equal have phases
            of their own in them, and the spread is widened by its root.
        unmasked: shell sums of the halves, where they are known already.
        last_shell: what the mask carries is measured up to here where that is next to nothing by then; beyond, the mean is 0,
            and the spread goes on as it was. A mask with a hard edge carries it to the end, and is measured so far.
    """
    box, shells = box or extent(mask).box, len(mask) // 2 + 1
    if box is None:
        raise ValueError("a mask that is zero everywhere has no randomised FSC")
    last = shells - 1 if last_shell is None else min(last_shell, shells - 1)
    power, spectrum = unmasked or shell_sums(*halves), mask_spectrum(mask)

    def up_to(shell: int) -> tuple[Curve, list[packed.Block], Volume, Box]:
        """The mean, and what the draws need: the middle of the planes of L, and the mask in the box that they are made in."""
        coarse, there = coarser(
            mask, box, 2 * fft.next_fast_len(shell + (_CARRIED_SHELLS + _ALIASED_SHELLS) // 2, real=True)
        )
        planes = steady_planes(halves, onset_shell, there, len(coarse))
        low = packed.middle(planes, onset_shell)
        steady = _masked_sums([planes], coarse, there, onset_shell, shell)[0]
        return expected_mean(steady, power, spectrum, onset_shell, len(mask)), low, coarse, there

    mean, low, coarse, there = up_to(last)
    if last < shells - 1 and np.abs(mean[-_POOLED_SHELLS:]).max() > _NEXT_TO_NOTHING:
        last = shells - 1
        mean, low, coarse, there = up_to(last)
    drawn = randomised_sums(halves, coarse, onset_shell, repeats, seed, there, low, last)
    spread = np.nan_to_num([correlation(sums) for sums in drawn]) - mean
    sd = _pooled_sd(order * np.mean(spread**2, axis=0), onset_shell, len(mask))
    return Randomised(np.pad(mean, (0, shells - len(mean))), sd, onset_shell, repeats)


def expected_mean(steady: ShellSums, unmasked: ShellSums, spectrum: Curve, onset_shell: int, box_px: int) -> Curve:
    """Mean FSC of the randomised halves under a mask; 0 where one of them holds nothing.

    Args:
        steady: shell sums of the masked halves without what lies at and beyond the onset, over the first shells or all.
        unmasked: shell sums of the halves over all shells.
        spectrum: of the mask, see `refine_hooks.fsc.spread.mask_spectrum`.
        onset_shell: first shell whose phases are randomised.
        box_px: of the halves.
    """
    counts = voxels_in_shell(box_px)
    shells = slice(len(steady.cross))
    drawn = [
        low + spread_power(np.where(np.arange(len(all_)) >= onset_shell, all_, 0.0), counts, spectrum)[shells]
        for low, all_ in ((steady.power1, unmasked.power1), (steady.power2, unmasked.power2))
    ]
    return np.clip(np.nan_to_num(correlation(ShellSums(steady.cross, drawn[0], drawn[1]))), -1, 1)


def randomised_wide(
    halves: tuple[HalfTransform, HalfTransform],
    mask: Callable[[int], Volume],
    onset_shell: int,
    last_shell: int,
    *,
    correlated: float,
    order: int = 1,
    unmasked: ShellSums | None = None,
) -> Randomised:
    """The phase-randomised FSC of a mask that fills much of the box, without a draw: for a sphere.

    So wide a mask carries the part below the onset over few shells, and the spread beyond is that of white noise.

    Args:
        halves: half transforms of the two unmasked half maps.
        mask: makes the mask in a box of so many voxels that is as long.
        onset_shell: first shell whose phases are randomised, at least 1.
        last_shell: the mean is found up to here, and is 0 beyond.
        correlated: see `refine_hooks.fsc.correlated_voxels`.
        order: of the point group that was imposed.
        unmasked: shell sums of the halves, where they are known already.
    """
    n = len(halves[0])
    # An odd box has its middle on half a voxel of any coarser one.
    box_px = n if n % 2 else min(n, 2 * fft.next_fast_len(last_shell + 2, real=True))
    coarse = mask(box_px)
    box = extent(coarse).box
    if box is None:
        raise ValueError("a mask that is zero everywhere has no randomised FSC")
    steady = steady_sums(halves, coarse, onset_shell, box)
    found = expected_mean(steady, unmasked or shell_sums(*halves), mask_spectrum(coarse), onset_shell, n)
    kept = len(found) if box_px == n else len(found) - 1
    mean = np.zeros(n // 2 + 1)
    mean[:kept] = found[:kept]
    sd = np.minimum(np.sqrt(correlated * order / np.maximum(voxels_in_shell(n), 1)), 1.0)
    sd[:onset_shell] = 0
    return Randomised(mean, sd, onset_shell, 0)


def low_part(half: HalfTransform, box_px: int, shell: int) -> HalfTransform:
    """The half transform of a coarser box, filled only below a shell; ky comes first in memory."""
    n, few = len(half), min(shell + 1, box_px // 2)
    out = np.zeros((box_px, box_px, box_px // 2 + 1), np.complex64).transpose(1, 0, 2)
    low = np.r_[0:few, 1 - few : 0]
    out[np.ix_(low, low, np.arange(few))] = half[np.ix_(low % n, low % n, np.arange(few))]
    return out


def _pooled_sd(variance: Curve, onset_shell: int, box_px: int) -> Curve:
    """Root of the variances of a shell and its neighbours, each counted by its coefficients; at most 1.

    Few repeats say little of one shell: with five, its own spread is half or twice the true one now and then. Variance times
    coefficients hardly changes from shell to shell, but for those right at the onset, where L is mixed in: they stand alone.
    Shells beyond those that are known are taken to go on as the last of them do.
    """
    counts, known = voxels_in_shell(box_px), len(variance)
    pooled, first = np.pad(variance, (0, len(counts) - known)), onset_shell + SHELLS_PAST_ONSET
    for shell in range(first, known):
        near = slice(max(first, shell - _POOLED_SHELLS), min(known, shell + _POOLED_SHELLS + 1))
        pooled[shell] = np.mean(variance[near] * counts[near]) / counts[shell]
    tail = slice(max(min(first, known - 1), known - _TAIL_SHELLS), known)
    pooled[known:] = np.mean(variance[tail] * counts[tail]) / counts[known:]
    return np.minimum(np.sqrt(pooled), 1.0)


def steady_sums(
    halves: tuple[HalfTransform, HalfTransform], mask: Volume, onset_shell: int, box: Box, last: int | None = None
) -> ShellSums:
    """Shell sums of the masked halves without what lies at and beyond the onset, up to a shell or all; of a mask in a coarser box
    its shells."""
    return _masked_sums([steady_planes(halves, onset_shell, box, len(mask))], mask, box, onset_shell, last)[0]


def _masked_sums(pairs: list[Planes], mask: Volume, box: Box, known: int, last: int | None = None) -> list[ShellSums]:
    """Shell sums of one pair or, each half with each, of two; the planes are masked in place."""
    for planes in pairs:
        packed.remasked(planes, mask, box, known)
    (found,) = packed.summed(pairs, box[0], *packed.shell_work(len(mask), last))
    return [packed.sums_of_pair(found)] if len(pairs) == 1 else packed.sums_of_two_pairs(found)


def steady_planes(halves: tuple[HalfTransform, HalfTransform], onset_shell: int, box: Box, box_px: int) -> Planes:
    """Planes of L, without a mask, in a box of so many voxels."""
    planes = packed.new_planes(box, box_px)
    known = box_px if box_px == len(halves[0]) else (box_px + 1) // 2
    rows1, rows2 = (half.transpose(1, 0, 2) for half in halves)

    def fill(slab: Planes, begin: int, end: int) -> None:
        slab[...] = 0
        _fill(rows1, rows2, slab, begin, end, onset_shell, False, 0, _PHASORS, known)

    packed.synthesised(fill, box, [planes], onset_shell)
    return planes


def randomised_sums(
    halves: tuple[HalfTransform, HalfTransform],
    mask: Volume,
    onset_shell: int,
    repeats: int,
    seed: int,
    box: Box,
    low: list[packed.Block],
    last: int | None = None,
) -> list[ShellSums]:
    """Shell sums of the masked halves after each randomisation, up to a shell; ``low`` is the middle of the planes of L."""
    draws = _draws(repeats)
    known = len(mask) if last is None else max(last + _CARRIED_SHELLS, onset_shell)
    places = max(1, min(len(mask) // (box[0].stop - box[0].start), draws))
    held = draws if places == draws else min(draws, max(2, places // 2 * 2))
    room = [packed.new_planes(box, len(mask)) for _ in range(held)]
    drawn: list[ShellSums] = []
    while len(drawn) < repeats:
        group = room[: _draws(repeats - len(drawn))]
        for first in range(0, len(group), places):
            _randomise(halves, onset_shell, seed, box, group[first : first + places], known)
            seed += 1
        for first in range(0, len(group), 2):
            pairs = group[first : first + 2]
            for planes in pairs:
                packed.added(planes, low)
            drawn += _masked_sums(pairs, mask, box, known, last)
    return drawn[:repeats]


def coarser(mask: Volume, box: Box, box_px: int) -> tuple[Volume, Box]:
    """A mask and its bounding box in a coarser box that is as long, without the frequencies that this cannot hold.

    What these leave of a soft edge beyond its bounding box is next to nothing. A box that is hardly coarser is not made, nor one
    that loses much of a mask with hard edges.
    """
    n = len(mask)
    if box_px > _COARSER * n:
        return mask, box
    scale = box_px / n
    there = tuple(slice(max(0, int(side.start * scale) - 1), min(box_px, int(side.stop * scale) + 2)) for side in box)
    part = mask[box]
    for axis, (side, to) in enumerate(zip(box, there, strict=True)):
        part = _resampled(part, axis, (n, side), (box_px, to))
    if _power(part) * (n / box_px) ** 3 < (1 - _LEFT_OUT) * _power(mask[box]):
        return mask, box
    out = np.zeros((box_px,) * 3, np.float32)
    out[there] = part
    return out, (there[0], there[1], there[2])


def _power(volume: Volume) -> float:
    return float(np.einsum("zyx,zyx->", volume, volume, dtype=np.float64))


def _resampled(values: Volume, axis: int, fine: tuple[int, slice], coarse: tuple[int, slice]) -> Volume:
    """What stands in a part of a box, along one axis, in a part of a coarser one: the frequencies that both hold.

    By transforms, not as a product of matrices: where other programs use the cores, the threads of numpy's products wait for each
    other, a hundred times as long as the work takes.
    """
    (n, side), (box_px, there) = fine, coarse
    lines = np.moveaxis(values, axis, -1)
    out = np.empty((*lines.shape[:2], there.stop - there.start), np.float32)

    def work(begin: int, end: int) -> None:
        whole = np.zeros((end - begin, lines.shape[1], n), np.float32)
        whole[..., side] = lines[begin:end]
        held = np.zeros((*whole.shape[:2], box_px // 2 + 1), np.complex64)
        both = slice((box_px + 1) // 2)
        held[..., both] = fft.rfftn(whole, axes=(2,))[..., both]
        out[begin:end] = fft.irfft(held, n=box_px, axis=2)[..., there]

    in_slabs(work, len(lines), _LINES_AT_ONCE)
    out *= np.float32(box_px / n)
    return np.moveaxis(out, -1, axis)


def _draws(repeats: int) -> int:
    """How many draws make so many repeats: one makes one, two make four."""
    return repeats // 4 * 2 + min(repeats % 4, 2)


def _randomise(
    halves: tuple[HalfTransform, HalfTransform],
    onset_shell: int,
    seed: int,
    box: Box,
    windows: list[Planes],
    known: int,
) -> None:
    """Planes of R of both halves, as `packed.synthesised` takes them from one draw of phases."""
    rows1, rows2 = (half.transpose(1, 0, 2) for half in halves)

    def fill(slab: Planes, begin: int, end: int) -> None:
        if known <= len(slab) // 2:
            slab[...] = 0
        _fill(rows1, rows2, slab, begin, end, onset_shell, True, seed, _PHASORS, known)

    packed.synthesised(fill, box, windows, known)
