"""The two half maps of a round: whether they fit, what they hold, and whether a number can be read off them."""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from refine_hooks import fsc
from refine_hooks.analysis.background import solvent_levels
from refine_hooks.analysis.blocks import Blocks, in_blocks
from refine_hooks.analysis.masked import MaskedBefore, masked_before
from refine_hooks.analysis.unlike import PowerRatio, made_alike, power_ratio
from refine_hooks.errors import MapError
from refine_hooks.files.mrc import Map, Volume, same_voxel_size
from refine_hooks.fourier import (
    Curve,
    HalfTransform,
    ShellSums,
    in_slabs,
    shell_frequency_per_A,
    shell_sums,
    transform,
    voxels_in_shell,
)
from refine_hooks.kernels.order import quantile
from refine_hooks.log.checks import unlike
from refine_hooks.log.signal import most_negative
from refine_hooks.model import Facts, HalfMaps
from refine_hooks.settings import Settings

# Where a map holds nothing, float32 rounding leaves this share of its strongest shell's power at most.
_EMPTY_SHELL = 1e-11
_SAME = 1 - 1e-6
_SAME_PLACE = 0.05  # of a voxel
_LEFT_OUTSIDE = 1e-3  # of the noise power; a mask leaves less
_LEVEL = 0.01  # of the noise's standard deviation: a lower level of the solvent makes no difference under any mask


@dataclass(frozen=True, slots=True)
class Pair:
    """The two half maps without the solvent's level, their whole transforms, and what these say."""

    half1: Map
    half2: Map
    as_read: tuple[Volume, Volume]
    transforms: tuple[HalfTransform, HalfTransform]
    sums: ShellSums
    unmasked: Curve
    frequency_per_A: Curve
    onset_shell: int | None
    valid_shells: int | None
    blocks: Blocks
    masked_before: MaskedBefore | None
    power_ratio: PowerRatio | None
    levels: tuple[float, float]  # of the solvent, taken off the halves
    fault: str | None  # why no number can be read off
    notes: tuple[str, ...]

    @property
    def box_px(self) -> int:
        """Box of both."""
        return self.half1.box_px

    @property
    def voxel_size_A(self) -> float:
        """Voxel size of both."""
        return self.half1.voxel_size_A


def require_compatible(one: Map, other: Map, name: str) -> None:
    """Check that two maps have the same box and voxel size.

    Args:
        one: the map in question.
        other: the map that it must fit.
        name: what to call ``one`` in the message.

    Raises:
        MapError: names both boxes and both voxel sizes.
    """
    faults = []
    if one.voxels.shape != other.voxels.shape:
        boxes = (" x ".join(str(n) for n in m.voxels.shape) for m in (one, other))
        faults.append("{}: its box is {} voxels, the half map's is {}; make both in the same box".format(name, *boxes))
    if not same_voxel_size(one.voxel_size_A, other.voxel_size_A):
        faults.append(
            f"{name}: its voxel size is {one.voxel_size_A:g} A, the half map's is {other.voxel_size_A:g} A;"
            " correct the header that is wrong, or resample"
        )
    if faults:
        raise MapError(*faults)


def prepared(halves: HalfMaps, facts: Facts, settings: Settings) -> Pair:
    """The halves transformed and looked at.

    Raises:
        MapError: they do not fit each other.
    """
    one, two = halves.half1, halves.half2
    require_compatible(two, one, str(halves.paths[1]) if halves.paths else "half map 2")
    require_same_place(two, one, str(halves.paths[1]) if halves.paths else "half map 2")
    blocks = in_blocks(one.voxels, two.voxels)
    masked = masked_before(blocks)
    levels, as_read = solvent_levels(blocks, masked), (one.voxels, two.voxels)
    one, two = _without_levels(one, two, blocks, levels)
    transforms = (transform(one.voxels), transform(two.voxels))
    sums = shell_sums(*transforms)
    unmasked = fsc.correlation(sums)
    valid, limit_note = _valid_shells(halves, facts, sums)
    apart = power_ratio(sums, valid)
    masked = _as_the_spectra_allow(masked, apart, transforms, sums)
    masked = _as_the_signs_allow(masked, unmasked, one.box_px)
    fault = _fault(one, two, sums, unmasked)
    notes = [note for note in (fault, limit_note) if note]
    onset_shell = fsc.onset(unmasked[: None if valid is None else valid + 1], settings.fsc.randomise_below)
    if onset_shell is None and fault is None:
        notes.append(
            f"the unmasked FSC never falls below {settings.fsc.randomise_below:g}: no phases were randomised, no curve is corrected"
        )
    frequency = shell_frequency_per_A(one.box_px, one.voxel_size_A)
    return Pair(
        one,
        two,
        as_read,
        transforms,
        sums,
        unmasked,
        frequency,
        onset_shell,
        valid,
        blocks,
        masked,
        apart,
        levels,
        fault,
        tuple(notes),
    )


def _as_the_spectra_allow(
    masked: MaskedBefore | None,
    apart: PowerRatio | None,
    transforms: tuple[HalfTransform, HalfTransform],
    sums: ShellSums,
) -> MaskedBefore | None:
    """What is known of a mask where one half was filtered alone: it has less noise than the other everywhere, mask or not."""
    if masked is None or masked.kind == "none" or apart is None or not unlike(apart.value):
        return masked
    return masked_before(in_blocks(*made_alike(transforms, sums)))


def _as_the_signs_allow(masked: MaskedBefore | None, unmasked: Curve, box_px: int) -> MaskedBefore | None:
    """What is known of a mask: where the halves have opposite signs their difference holds signal, and shows less."""
    if masked is None or masked.kind != "mask" or masked.noise_outside < _LEFT_OUTSIDE:
        return masked
    sd = 1 / np.sqrt(voxels_in_shell(box_px))
    return masked if most_negative(unmasked, sd) is None else replace(masked, kind="none", radius=None)


def without_solvent_level(one: Map, two: Map) -> tuple[Map, Map]:
    """Two half maps as they are measured: each without its solvent's level."""
    blocks = in_blocks(one.voxels, two.voxels)
    return _without_levels(one, two, blocks, solvent_levels(blocks, masked_before(blocks)))


def _without_levels(one: Map, two: Map, blocks: Blocks, levels: tuple[float, float]) -> tuple[Map, Map]:
    return _without(one, levels[0], blocks.power1), _without(two, levels[1], blocks.power2)


def _without(half: Map, level: float, power: NDArray[np.float64]) -> Map:
    """The half without the solvent's level; itself where that is next to nothing, or where there is nothing else."""
    if abs(level) <= _LEVEL * math.sqrt(quantile(power, 0.5)) or not power.any():
        return half
    voxels = np.empty_like(half.voxels)

    def work(begin: int, end: int) -> None:
        np.subtract(half.voxels[begin:end], np.float32(level), out=voxels[begin:end])

    in_slabs(work, len(voxels), 4)
    return replace(half, voxels=voxels)


def require_same_place(one: Map, other: Map, name: str) -> None:
    """Check that two maps lie in the same place by their headers (ORIGIN and NSTART).

    That the first voxel is at zero and that the box's centre is at zero are two ways to say the same.

    Raises:
        MapError: names both places.
    """
    apart = max(abs(a - b) for a, b in zip(_place_px(one), _place_px(other), strict=True))
    if apart > _SAME_PLACE:
        places = (", ".join(f"{length:g}" for length in volume.origin_A) for volume in (one, other))
        raise MapError(
            "{}: its header places the first voxel at x, y, z = {} A, the half map's at {} A (ORIGIN and NSTART); resample it "
            "into the half map's box, or correct the header that is wrong".format(name, *places)
        )


def _place_px(volume: Map) -> tuple[float, float, float]:
    x, y, z = (length / volume.voxel_size_A for length in volume.origin_A)
    centred = all(abs(length + volume.box_px // 2) <= _SAME_PLACE for length in (x, y, z))
    return (0.0, 0.0, 0.0) if centred else (x, y, z)


def _fault(one: Map, two: Map, sums: ShellSums, unmasked: Curve) -> str | None:
    """Why these halves cannot be scored, in words."""
    for name, half, power in (("half map 1", one, sums.power1), ("half map 2", two, sums.power2)):
        if not power[1:].max(initial=0) > _EMPTY_SHELL * power[0]:
            value = float(half.voxels.flat[0])
            return f"{name} is {'empty' if value == 0 else 'constant'}: there is nothing to correlate, no resolution is stated"
    measured = unmasked[1:][np.isfinite(unmasked[1:])]
    if np.all(measured >= _SAME):
        return "the two half maps are identical up to a factor: their FSC is 1 to Nyquist and says nothing, no resolution is stated"
    return None


def _valid_shells(halves: HalfMaps, facts: Facts, sums: ShellSums) -> tuple[int | None, str | None]:
    """The last shell that holds data, where that is not the last of all; and why, in words."""
    last = len(sums.cross) - 1
    limits = []
    if halves.valid_shells is not None:
        limits.append((halves.valid_shells, "the half maps hold nothing of their own"))
    if facts.reconstruction_limit_A and halves.origin != "reconstructed":
        extent_A = halves.half1.box_px * halves.half1.voxel_size_A
        limits.append((int(extent_A / facts.reconstruction_limit_A + 1e-6), "the program reconstructed nothing"))
    weakest = np.minimum(sums.power1, sums.power2)
    filled = np.flatnonzero(weakest[1:] > _EMPTY_SHELL * weakest[1:].max(initial=0))
    if filled.size:
        limits.append((int(filled[-1]) + 1, "the half maps are empty"))
    shell, why = min(limits, default=(last, ""))
    if shell >= last:
        return None, None
    limit_A = halves.half1.box_px * halves.half1.voxel_size_A / max(shell, 1)
    return (
        shell,
        f"beyond shell {shell} ({limit_A:.2f} A) {why}: nothing is measured there, and where it begins is no resolution",
    )
