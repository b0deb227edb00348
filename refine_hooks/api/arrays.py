"""Fourier shell correlations, masks and resolutions of arrays; nothing here touches the disk."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from refine_hooks import fsc
from refine_hooks.curves import resolution_A
from refine_hooks.errors import MapError
from refine_hooks.files.mrc import Volume
from refine_hooks.fourier import shell_frequency_per_A, transform
from refine_hooks.fsc.randomised import randomised
from refine_hooks.masks import automask as made_mask
from refine_hooks.sums.symmetry import order_of


def as_volume(given: ArrayLike, name: str) -> Volume:
    """An array as float32 [z, y, x].

    Raises:
        MapError: it is no cube.
    """
    volume = np.ascontiguousarray(given, np.float32)
    if volume.ndim != 3 or len(set(volume.shape)) != 1:
        raise MapError(f"{name}: an array of the shape {volume.shape}; a map is a cube [z, y, x]")
    return volume


def as_pair(half1: ArrayLike, half2: ArrayLike, name: str = "half2") -> tuple[Volume, Volume]:
    """Two arrays of one shape as float32 [z, y, x].

    Raises:
        MapError: one is no cube, or their shapes differ.
    """
    one, two = as_volume(half1, "half1"), as_volume(half2, name)
    if one.shape != two.shape:
        raise MapError(f"half1 has the shape {one.shape}, {name} {two.shape}; they must be equal")
    return one, two


def unmasked_fsc(half1: ArrayLike, half2: ArrayLike) -> NDArray[np.float64]:
    """Fourier shell correlation of two maps over the shells 0..N//2; NaN where one of the two has no power.

    Saxton & Baumeister 1982, J Microsc 127:127; shell k holds the coefficients with round(abs(k)) = k of the whole transform.

    Args:
        half1: [z, y, x], a cube of edge N.
        half2: of the same shape.

    Raises:
        MapError: an array that is no cube, or two of different shapes.
    """
    one, two = as_pair(half1, half2)
    return fsc.fsc(transform(one), transform(two))


def masked_fsc(half1: ArrayLike, half2: ArrayLike, mask: ArrayLike) -> NDArray[np.float64]:
    """Fourier shell correlation of two maps under one mask, as `unmasked_fsc`; the mask's own correlation is in it.

    Args:
        half1: [z, y, x], a cube of edge N.
        half2: of the same shape.
        mask: of the same shape, 0 to 1; both maps are multiplied by it.

    Raises:
        MapError: an array that is no cube, or two of different shapes.
    """
    one, two = as_pair(half1, half2)
    return fsc.masked_fsc(one, two, as_pair(half1, mask, "mask")[1])


@dataclass(frozen=True, slots=True)
class PhaseRandomised:
    """The phase-randomised FSC under a mask, and what it corrects; all curves are over the shells 0..N//2.

    Attributes:
        masked: FSC under the mask.
        mean: expected FSC of the halves with random phases.
        sd: standard deviation of one randomised FSC.
        corrected: (masked - mean) / (1 - mean) from two shells past the onset.
        onset_shell: first shell whose phases are randomised.
    """

    masked: NDArray[np.float64]
    mean: NDArray[np.float64]
    sd: NDArray[np.float64]
    corrected: NDArray[np.float64]
    onset_shell: int


def phase_randomised(
    half1: ArrayLike,
    half2: ArrayLike,
    mask: ArrayLike,
    *,
    below: float = 0.8,
    repeats: int = 5,
    seed: int = 0,
    symmetry: str = "C1",
) -> PhaseRandomised:
    """Phase randomisation (Chen et al. 2013, doi:10.1016/j.ultramic.2013.06.004) of two unmasked half maps under one mask.

    Args:
        half1: [z, y, x].
        half2: of the same shape.
        mask: of the same shape.
        below: phases are randomised from where the unmasked FSC stays below this.
        repeats: randomisations that the spread is from; the mean takes none.
        seed: of the phases.
        symmetry: imposed point group, for the spread.

    Raises:
        MapError: arrays that do not fit each other, or halves whose FSC never falls below ``below``.
    """
    one, two = as_pair(half1, half2)
    values = as_pair(half1, mask, "mask")[1]
    transforms = transform(one), transform(two)
    unmasked = fsc.fsc(*transforms)
    onset = fsc.onset(unmasked, below)
    if onset is None:
        raise MapError(f"the unmasked FSC stays above {below:g} to the last shell, so that no phases can be randomised")
    found = randomised(transforms, values, onset, repeats, seed, order=order_of(symmetry) or 1)
    masked = fsc.masked_fsc(one, two, values)
    return PhaseRandomised(masked, found.mean, found.sd, fsc.corrected(masked, found.mean, onset), onset)


def automask(half1: ArrayLike, half2: ArrayLike, voxel_size_A: float) -> Volume:
    """A tight but generous soft mask, float32 [z, y, x], from two unfiltered, unmasked half maps.

    A voxel is density where it stands out of the noise of the half difference (false discovery rate of 1 %) and is needed for
    99.5 % of the signal's energy. It is not put to the test of randomised phases; `measure_half_maps` does that.

    Args:
        half1: [z, y, x], a cube.
        half2: of the same shape.
        voxel_size_A: edge of a voxel.

    Raises:
        MapError: arrays that do not fit each other, or halves from which no mask can be made; says why.
    """
    one, two = as_pair(half1, half2)
    made = made_mask(one, two, voxel_size_A)
    if made.values is None:
        raise MapError(made.note or "no mask can be made from these half maps")
    return made.values


def resolution(
    correlation: ArrayLike, voxel_size_A: float, *, threshold: float = 0.143, box_px: int | None = None
) -> float | None:
    """The resolution in Angstrom of a curve over the shells 0..N//2: its first crossing of the threshold, linear in frequency.

    Args:
        correlation: the curve.
        voxel_size_A: edge of a voxel.
        threshold: Rosenthal & Henderson 2003 (doi:10.1016/j.jmb.2003.07.013) for two half maps.
        box_px: N; even where it is not given.

    Returns:
        None where the curve never crosses, or is below the threshold from the first shell on.
    """
    values = np.asarray(correlation, np.float64)
    box_px = box_px or 2 * (len(values) - 1)
    return resolution_A(values, shell_frequency_per_A(box_px, voxel_size_A), threshold)
