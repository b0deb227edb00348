"""What fools an FSC: one phantom of the panel, and what can be wrong with its two half maps or with what is made of them.

The truth is that of the sound pair: where S / (S + N) under the oracle mask falls to 0.143. Beside what this package says of a pair
stands what anyone reads off it: the FSC of the halves as they are, and under the oracle mask or the user's own.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, cached_property

import numpy as np
from numpy.typing import NDArray
from panel import Case, Truth, Volume, make, weak_arm
from scipy import fft, ndimage

import refine_hooks
from refine_hooks import MeasuredPair, RefineHooksError
from refine_hooks.audit import audit
from refine_hooks.log.curves import state_of

Pair = tuple[Volume, Volume]
Gain = NDArray[np.float64]

LEVEL = 0.143
SOUND = Case("weak arm", weak_arm(24, 42), 48, 2.5, 9.0)
LIMIT_SHELL = 19  # the reference that both halves share ends here, six shells past the truth
NEVER = {"never_below": "never falls", "never_above": "starts below"}


@dataclass(frozen=True)
class Kind:
    """One way to be fooled.

    Attributes:
        name: for the table.
        halves: makes the two half maps out of the sound pair.
        named_by: the rules of the audit of which one, as a warning, names what is wrong.
        one_number: the sound pair's resolution is that of these halves; without it no number alone is right.
        mask: of the user.
        symmetry: as the user states it.
        limit_A: to which the program says that it aligned both halves to one reference.
        case: of the sound pair.
    """

    name: str
    halves: Callable[[Truth], Pair]
    named_by: tuple[str, ...] = ()
    one_number: bool = True
    mask: Callable[[Truth], Volume] | None = None
    symmetry: str = ""
    limit_A: float | None = None
    case: Case = SOUND


# --- halves -----------------------------------------------------------------------------------------------------------


@cache
def truth_of(case: Case) -> Truth:
    return make(case)


def as_made(truth: Truth) -> Pair:
    return truth.half1, truth.half2


def noises(truth: Truth) -> Pair:
    return truth.half1 - truth.signal, truth.half2 - truth.signal


def another_noise(truth: Truth) -> Volume:
    """A third draw, as strong as the two of the halves."""
    other = truth_of(replace(SOUND, seed=SOUND.seed + 1))
    drawn = other.half1 - other.signal
    return np.asarray(drawn * (noises(truth)[0].std() / drawn.std()), np.float32)


def pair_of(first: NDArray[np.floating], second: NDArray[np.floating]) -> Pair:
    return np.ascontiguousarray(first, np.float32), np.ascontiguousarray(second, np.float32)


def both(change: Callable[[Volume], NDArray[np.floating]]) -> Callable[[Truth], Pair]:
    return lambda truth: pair_of(change(truth.half1), change(truth.half2))


def second(change: Callable[[Volume], NDArray[np.floating]]) -> Callable[[Truth], Pair]:
    return lambda truth: pair_of(truth.half1, change(truth.half2))


def with_common_noise(
    share: float, last_shell: int | None = None, *, in_particle: bool = False
) -> Callable[[Truth], Pair]:
    """A share of the noise power is in both halves: up to a shell, or in the particle alone."""

    def halves(truth: Truth) -> Pair:
        common = another_noise(truth)
        kept = np.sqrt(1 - share) - 1

        def added(own: Volume) -> NDArray[np.floating]:
            more = kept * own + np.sqrt(share) * common
            if last_shell is not None:
                more = filtered(more, (shells(len(own)) <= last_shell).astype(float))
            return more * truth.oracle if in_particle else more

        one, two = noises(truth)
        return pair_of(truth.half1 + added(one), truth.half2 + added(two))

    return halves


def symmetrised(truth: Truth) -> Pair:
    """Both halves averaged over a fourfold axis that the particle does not have."""
    from interval_panel import symmetrised as mean_of_mates

    one, two = (mean_of_mates(half.astype(np.float64), "C4") for half in as_made(truth))
    return pair_of(one, two)


def uneven_views(truth: Truth) -> Pair:
    """Views that are ten times as many in some directions: the noise power about z is ten times that across."""
    gain = np.sqrt(1 + 9 * along_z(SOUND.box_px) ** 4)
    one, two = (filtered(noise, gain) for noise in noises(truth))
    return pair_of(truth.signal + one, truth.signal + two)


def empty_cone(half_angle_deg: float) -> Callable[[Truth], Pair]:
    return both(lambda half: filtered(half, (along_z(len(half)) < np.cos(np.deg2rad(half_angle_deg))).astype(float)))


def without_signal_in_cone(half_angle_deg: float) -> Callable[[Truth], Pair]:
    def halves(truth: Truth) -> Pair:
        kept = (along_z(SOUND.box_px) < np.cos(np.deg2rad(half_angle_deg))).astype(float)
        kept[0, 0, 0] = 1
        taken = truth.signal - filtered(truth.signal, kept)
        return pair_of(truth.half1 - taken, truth.half2 - taken)

    return halves


def tight(share: float) -> Callable[[Truth], Volume]:
    """A hard mask of the highest density alone."""

    def mask(truth: Truth) -> Volume:
        smooth = ndimage.gaussian_filter(truth.signal, 1)
        return (smooth > np.quantile(smooth, 1 - share)).astype(np.float32)

    return mask


def filtered(volume: NDArray[np.floating], gain: Gain) -> NDArray[np.float64]:
    return np.asarray(fft.irfftn(fft.rfftn(volume) * gain, s=volume.shape))


def frequencies(box_px: int) -> tuple[Gain, Gain]:
    """Length and z component of each coefficient of a half transform, in shells."""
    full, half = fft.fftfreq(box_px) * box_px, fft.rfftfreq(box_px) * box_px
    z = np.broadcast_to(full[:, None, None], (box_px, box_px, len(half)))
    return np.sqrt(z**2 + full[None, :, None] ** 2 + half**2), z


def shells(box_px: int) -> Gain:
    return np.rint(frequencies(box_px)[0])


def along_z(box_px: int) -> Gain:
    """Cosine of the angle to the z axis."""
    length, z = frequencies(box_px)
    return np.abs(z) / np.maximum(length, 1e-9)


def moved(half: Volume, by_px: float) -> NDArray[np.floating]:
    return np.asarray(fft.ifftn(ndimage.fourier_shift(fft.fftn(half), (0, 0, by_px))).real)


def turned(half: Volume, degrees: float) -> NDArray[np.floating]:
    return np.asarray(ndimage.rotate(half, degrees, axes=(1, 2), reshape=False, order=3, mode="wrap"))


def magnified(half: Volume, factor: float) -> NDArray[np.floating]:
    middle = np.full(3, len(half) // 2)
    matrix = np.eye(3) / factor
    return np.asarray(ndimage.affine_transform(half, matrix, middle - matrix @ middle, order=3, mode="grid-wrap"))


def resampled(half: Volume, box_px: int) -> NDArray[np.floating]:
    """To larger voxels and back, by splines."""
    there = ndimage.zoom(half, box_px / len(half), order=3)
    return np.asarray(ndimage.zoom(there, len(half) / box_px, order=3))


def nearest(half: Volume, degrees: float) -> NDArray[np.floating]:
    return np.asarray(ndimage.rotate(half, degrees, axes=(1, 2), reshape=False, order=0, mode="wrap"))


def with_wave(share: float, *, in_both: bool) -> Callable[[Truth], Pair]:
    """A wave of 10 A across the rows, of a share of the noise's amplitude."""

    def halves(truth: Truth) -> Pair:
        wave = share * noises(truth)[0].std() * np.sqrt(2) * np.cos(2 * np.pi * np.arange(SOUND.box_px) / 4)
        return pair_of(truth.half1 + (wave if in_both else 0.0), truth.half2 + wave)

    return halves


def with_hole(truth: Truth) -> Pair:
    """A soft hole of 10 A radius in the middle of the particle."""
    ticks = np.arange(SOUND.box_px)
    z, y, x = (int(at) for at in np.argwhere(truth.oracle > 0.9).mean(axis=0))
    away = np.sqrt((ticks[:, None, None] - z) ** 2 + (ticks[:, None] - y) ** 2 + (ticks - x) ** 2)
    kept = np.clip((away - 4) / 3, 0, 1)
    return pair_of(truth.half1 * kept, truth.half2 * kept)


def without_noise_in_both(truth: Truth) -> Pair:
    """A ball of one draw of noise, in the particle, taken from both."""
    ticks = np.arange(SOUND.box_px)
    z, y, x = (int(at) for at in np.argwhere(truth.oracle > 0.9).mean(axis=0))
    ball = (ticks[:, None, None] - z) ** 2 + (ticks[:, None] - y) ** 2 + (ticks - x) ** 2 < 36
    taken = another_noise(truth) * ball
    return pair_of(truth.half1 - taken, truth.half2 - taken)


def with_outliers(half: Volume) -> NDArray[np.floating]:
    changed = half.copy()
    changed[tuple(np.random.default_rng(3).integers(0, len(half), (3, 10)))] += 100 * half.std()
    return changed


def with_slope(half: Volume) -> NDArray[np.floating]:
    return half + 10 * half.std() * (np.arange(len(half)) / len(half) - 0.5)


def cropped(half: Volume, box_px: int) -> NDArray[np.floating]:
    """Cut to a smaller box, and padded with zeros to the old one."""
    edge = (len(half) - box_px) // 2
    return np.pad(half[edge:-edge, edge:-edge, edge:-edge], edge)


# --- kinds ------------------------------------------------------------------------------------------------------------

TIGHT = ("mask_too_tight", "mask_correlates", "signal_outside")
LIMIT_A = SOUND.box_px * SOUND.voxel_size_A / LIMIT_SHELL

KINDS: tuple[Kind, ...] = (
    Kind("nothing: the sound pair", as_made),
    Kind("a mask that is too tight: the densest 2 % of the box", as_made, TIGHT, mask=tight(0.02)),
    Kind("a mask that is far too tight: 0.3 %", as_made, TIGHT, mask=tight(0.003)),
    Kind("duplicates: 2 % of the noise is in both halves", with_common_noise(0.02), ("duplicates",)),
    Kind("duplicates: 15 %", with_common_noise(0.15), ("duplicates",)),
    Kind("halves masked before, softly", lambda t: pair_of(t.half1 * t.oracle, t.half2 * t.oracle), ("masked_halves",)),
    Kind(
        "halves masked before, tightly and hard",
        lambda t: pair_of(t.half1 * tight(0.02)(t), t.half2 * tight(0.02)(t)),
        ("masked_halves",),
    ),
    Kind("one half masked before", lambda t: pair_of(t.half1, t.half2 * t.oracle), ("masked_halves",)),
    Kind("one half shifted by 1.5 voxels", second(lambda half: moved(half, 1.5)), ("halves_shifted",)),
    Kind("one half mirrored", second(lambda half: half[:, :, ::-1]), ("halves_mirrored",)),
    Kind("one half inverted", second(lambda half: -half), ("halves_inverted",)),
    Kind("one half turned by 8 degrees", second(lambda half: turned(half, 8.0)), ("halves_turned",)),
    Kind("one half turned by 40 degrees", second(lambda half: turned(half, 40.0)), ("halves_turned",)),
    Kind("one half turned by 90 degrees", second(lambda half: np.rot90(half, 1, (1, 2))), ("halves_turned",)),
    Kind(
        "one half mirrored, and turned by 40 degrees",
        second(lambda half: turned(half[:, :, ::-1], 40.0)),
        ("halves_mirrored",),
    ),
    Kind("one half magnified by 3 %", second(lambda half: magnified(half, 1.03)), ("halves_magnified",)),
    Kind("a constant added to both halves", both(lambda half: half + 5 * half.std())),
    Kind("a constant added to one half", second(lambda half: half - 20 * half.std())),
    Kind(
        f"a reference shared up to {LIMIT_A:.1f} Å, in a project that says so",
        with_common_noise(0.4, LIMIT_SHELL),
        ("alignment_limit",),
        limit_A=LIMIT_A,
    ),
    Kind(
        f"a reference shared up to {LIMIT_A:.1f} Å, two files alone",
        with_common_noise(0.4, LIMIT_SHELL),
        ("alignment_limit", "step_in_fsc", "duplicates", "recrossing"),
    ),
    Kind(
        "overfitted noise: 30 % of it in both halves, in the particle alone",
        with_common_noise(0.3, in_particle=True),
        ("duplicates", "never_below", "rising_tail", "recrossing"),
    ),
    Kind("C4 imposed on a particle without symmetry, stated", symmetrised, one_number=False, symmetry="C4"),
    Kind("C4 imposed on a particle without symmetry, not stated", symmetrised, one_number=False),
    Kind("an empty cone of 20 degrees", empty_cone(20), ("anisotropy",), one_number=False),
    Kind("an empty cone of 35 degrees", empty_cone(35), ("anisotropy",), one_number=False),
    Kind(
        "no signal in a cone of 20 degrees, and noise as elsewhere",
        without_signal_in_cone(20),
        ("anisotropy",),
        one_number=False,
    ),
    Kind(
        "no signal in a cone of 35 degrees, and noise as elsewhere",
        without_signal_in_cone(35),
        ("anisotropy",),
        one_number=False,
    ),
    Kind("preferred views, tenfold", uneven_views, ("anisotropy",), one_number=False),
    Kind("noise alone", noises, ("no_signal",), one_number=False),
    Kind("both halves low-passed, softly", both(lambda half: ndimage.gaussian_filter(half, 1.0, mode="wrap"))),
    Kind("both halves cut off at 12 Å", as_made, ("truncation",), one_number=False, case=replace(SOUND, cut_A=12.0)),
    Kind(
        "one half low-passed, softly",
        second(lambda half: ndimage.gaussian_filter(half, 1.0, mode="wrap")),
        ("halves_unlike",),
    ),
    Kind("one half resampled to voxels of 5 Å and back", second(lambda half: resampled(half, 24)), ("halves_unlike",)),
    Kind(
        "one half cut to a box of 40 and padded with zeros", second(lambda half: cropped(half, 40)), ("masked_halves",)
    ),
    Kind("both halves turned by nearest voxels", both(lambda half: nearest(half, 10.0)), ("voxels_repeated",)),
    Kind("one half turned by nearest voxels", second(lambda half: nearest(half, 10.0)), ("voxels_repeated",)),
    Kind("both halves turned alike, by splines", both(lambda half: turned(half, 10.0))),
    Kind("both halves median-filtered", both(lambda half: ndimage.median_filter(half, 3)), ("voxels_repeated",)),
    Kind("both halves cut off below zero", both(lambda half: np.maximum(half, 0)), ("voxels_clipped",)),
    Kind("a wave of 10 Å in both halves", with_wave(1.0, in_both=True), ("pattern_in_halves",)),
    Kind("a faint wave of 10 Å in both halves", with_wave(0.2, in_both=True), ("pattern_in_halves",)),
    Kind("a wave of 10 Å in one half", with_wave(1.0, in_both=False), ("pattern_in_halves",)),
    Kind("single voxels that stick out of both halves", both(with_outliers), ("outlier_voxels",)),
    Kind("single voxels that stick out of one half", second(with_outliers), ("outlier_voxels",)),
    Kind("a background that rises to one side, in one half", second(with_slope), ("background_gradient",)),
    Kind("a background that rises to one side, in both", both(with_slope), ("background_gradient",)),
    Kind("a hole in the particle, cut into both halves", with_hole, ("hole_in_halves",)),
    Kind("the same noise taken from a part of the particle, in both", without_noise_in_both, ("duplicates",)),
    Kind("one half padded with zeros to a box of 64", second(lambda half: np.pad(half, 8))),
)
FAST = ("nothing: the sound pair", "one half mirrored", "noise alone")  # rows that a test makes again


# --- what is said -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Said:
    """One kind with what is read off it."""

    kind: Kind
    truth: Truth
    halves: Pair
    pair: MeasuredPair | None
    refused: str = ""

    @property
    def voxel_A(self) -> float:
        return self.kind.case.voxel_size_A

    @cached_property
    def truth_A(self) -> float:
        found = refine_hooks.resolution(truth_of(SOUND).expected, self.voxel_A)
        assert found is not None
        return found

    @cached_property
    def unmasked(self) -> NDArray[np.float64]:
        return refine_hooks.unmasked_fsc(*self.halves)

    @cached_property
    def masked(self) -> NDArray[np.float64]:
        mask = self.truth.oracle if self.kind.mask is None else self.kind.mask(self.truth)
        return refine_hooks.masked_fsc(*self.halves, mask)

    @cached_property
    def warnings(self) -> list[str]:
        assert self.pair is not None
        record = self.pair.record.model_copy(update={"alignment_limit_A": self.kind.limit_A})
        return list(dict.fromkeys(one.rule for one in audit([record]) if one.severity == "warning"))

    @property
    def verdict(self) -> str:
        if self.pair is None:
            return "refused"
        if set(self.warnings) & set(self.kind.named_by):
            return "named"
        number_A = self.pair.resolution_A
        if number_A is None:
            return "no number"
        off = (1 / number_A - 1 / self.truth_A) * self.kind.case.box_px * self.voxel_A
        return "right" if self.kind.one_number and abs(off) <= 1 else "**not seen**"


@cache
def said(kind: Kind) -> Said:
    """Measure one kind, as `measure_half_maps` does it for anyone."""
    truth = truth_of(kind.case)
    halves = kind.halves(truth)
    masks = {} if kind.mask is None else {"user": kind.mask(truth)}
    try:
        pair = refine_hooks.measure_half_maps(*halves, kind.case.voxel_size_A, masks=masks, symmetry=kind.symmetry)
    except RefineHooksError as error:
        return Said(kind, truth, halves, None, error.faults[0])
    return Said(kind, truth, halves, pair)


HEADER = """| what is wrong | unmasked FSC | masked FSC | refine_hooks | its warnings | |
|---|---|---|---|---|---|"""


def row(one: Said) -> str:
    """Of the table of the guide."""
    if one.pair is None:
        cells = ["", "", f"refused: {one.refused}", ""]
    else:
        warnings = sorted(one.warnings, key=lambda rule: rule not in one.kind.named_by)
        naive = [_number(curve, one.voxel_A) for curve in (one.unmasked, one.masked)]
        cells = [*naive, _stated(one.pair), ", ".join(f"`{rule}`" for rule in warnings)]
    return f"| {' | '.join([one.kind.name, *cells, one.verdict])} |"


def _number(curve: NDArray[np.float64], voxel_A: float) -> str:
    found = refine_hooks.resolution(curve, voxel_A)
    if found is not None:
        return f"{found:.1f} Å"
    return NEVER.get(state_of([float(value) for value in curve], LEVEL), "none")


def _stated(pair: MeasuredPair) -> str:
    record, curve = pair.record, pair.record.headline_curve()
    if curve is None or curve.resolution_A is None:
        why = record.headline_withheld[-1] if curve is None and record.headline_withheld else curve and curve.state
        return f"no number (`{why}`)"
    if curve.interval_A is None:
        return f"{curve.resolution_A:.1f} Å"
    coarse, fine = curve.interval_A
    return f"{curve.resolution_A:.1f} Å ({coarse:.1f} to {fine:.1f})"
