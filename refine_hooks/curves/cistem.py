"""The curves that cisTEM would print for two half maps, to the fifth decimal: for comparison with the program, never a headline.

Its FSC is split linearly between shells and smoothed, its Part_FSC rescales it from the mask's volume to the particle's:
P = F / (f + (1 - f) |F|), f = particle volume / mask volume (merge3d and calculate_fsc of cisTEM 2.0.0-alpha; Grant, Rohou &
Grigorieff 2018, doi:10.7554/eLife.35383).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from refine_hooks import fourier
from refine_hooks.errors import InputError
from refine_hooks.files.mrc import Volume
from refine_hooks.fourier import Box, Curve, Planes
from refine_hooks.fsc import correlation, packed
from refine_hooks.kernels import FLOAT, INT, array, fft, kernel
from refine_hooks.masks.cistem import EDGE_A, apply_mask_soft, mean_outside, ring_masked, ring_means
from refine_hooks.masks.shapes import sphere

DALTON_PER_A3 = 0.81
THRESHOLD = 0.143
_SMOOTHED_A = 20.0
_CUBIC = 3
_split = kernel(
    "split_sums",
    *(array("complex64", 3), INT, INT, INT, array("float32", 3), FLOAT, FLOAT, array("float64", 1)),
    array("float64", 2, written=True),
)


@dataclass(frozen=True, slots=True)
class ScaledCurve:
    """cisTEM's curves over the shells 0..N//2.

    Attributes:
        frequency_per_A: of each shell; in an odd box cisTEM's shells lie a little off ``k / (N * voxel size)``.
        fsc: smoothed Fourier shell correlation.
        part_fsc: the same, scaled to the particle's volume.
        gain: d part_fsc / d fsc; an error of the FSC is this many times as large in ``part_fsc``.
        volume_fraction: particle volume over mask volume; above 1 when the mask is smaller than the particle.
        mask_volume_voxels: the volume that cisTEM takes for the mask's.
        resolution_A: as cisTEM reads it off ``part_fsc``.
    """

    frequency_per_A: Curve
    fsc: Curve
    part_fsc: Curve
    gain: Curve
    volume_fraction: float
    mask_volume_voxels: float
    resolution_A: float


def scaled_sphere(
    half1: Volume,
    half2: Volume,
    voxel_size_A: float,
    radius_A: float,
    molecular_mass_kDa: float,
    inner_radius_A: float = 0.0,
    *,
    last_shell: int | None = None,
) -> ScaledCurve:
    """What merge3d and calculate_fsc print for two half maps under their spherical mask.

    Args:
        half1: unmasked half map [z, y, x].
        half2: the other one.
        voxel_size_A: edge of a voxel.
        radius_A: outer mask radius.
        molecular_mass_kDa: of the particle.
        inner_radius_A: inner mask radius, 0 for none.
        last_shell: merge3d sets the curves of a binned round to 0 beyond this one; None leaves them.

    Raises:
        InputError: a radius, a mass or a voxel size that is none.
    """
    n = len(half1)
    _check(half1, half2, voxel_size_A, molecular_mass_kDa)
    radius_px, inner_px, edge_px = (length / voxel_size_A for length in (radius_A, inner_radius_A, EDGE_A))
    if n % 2 == 0 and inner_px == 0 and radius_px >= edge_px / 2:
        mask = sphere(n, voxel_size_A, radius_A, EDGE_A)
        return sphere_curves(half1, half2, voxel_size_A, radius_A, molecular_mass_kDa, mask, last_shell=last_shell)[1]
    masked1, volume = ring_masked(half1, radius_px, inner_px, edge_px, subtract=True)
    masked2, _ = ring_masked(half2, radius_px, inner_px, edge_px, subtract=True)
    curve = _smoothed(_summed(*_planes(masked1, masked2), voxel_size_A), n, voxel_size_A)
    return _scaled(curve, n, voxel_size_A, volume, molecular_mass_kDa, last_shell)


def sphere_curves(
    half1: Volume,
    half2: Volume,
    voxel_size_A: float,
    radius_A: float,
    molecular_mass_kDa: float,
    mask: Volume,
    *,
    box: Box | None = None,
    last_shell: int | None = None,
) -> tuple[Curve, ScaledCurve]:
    """The plain FSC under a sphere, and what cisTEM prints for it, from one transform.

    Args:
        half1: unmasked half map [z, y, x] of an even box.
        half2: the other one.
        voxel_size_A: edge of a voxel.
        radius_A: of the sphere, at least half its edge.
        molecular_mass_kDa: of the particle.
        mask: `masks.sphere` of this radius with a 10 A edge.
        box: its bounding box, where it is known already.
        last_shell: see `scaled_sphere`.

    Raises:
        InputError: a mass or a voxel size that is none.
    """
    _check(half1, half2, voxel_size_A, molecular_mass_kDa)
    n, radius_px, edge_px = len(half1), radius_A / voxel_size_A, EDGE_A / voxel_size_A
    (mean1, volume), (mean2, _) = (ring_means(half, radius_px, edge_px) for half in (half1, half2))
    planes, box = _planes(half1, half2, mask, box)
    reach, split = _split_work(n, voxel_size_A, _octant_transform(mask), complex(mean1, mean2))
    plain, found = packed.summed([planes], box[0], reach, packed.shell_work(n)[1], split)
    curve = _smoothed(_split_sums(found), n, voxel_size_A)
    scaled = _scaled(curve, n, voxel_size_A, volume, molecular_mass_kDa, last_shell)
    return correlation(packed.sums_of_pair(plain)), scaled


def _planes(half1: Volume, half2: Volume, mask: Volume | None = None, box: Box | None = None) -> tuple[Planes, Box]:
    mask = np.ones(half1.shape, np.float32) if mask is None else mask
    box = box or fourier.extent(mask).box or (slice(0, len(mask)),) * 3
    return packed.masked(half1, half2, mask, box), box


def scaled_mask(
    half1: Volume,
    half2: Volume,
    voxel_size_A: float,
    radius_A: float,
    mask: Volume,
    molecular_mass_kDa: float,
    *,
    last_shell: int | None = None,
    softened: bool = False,
) -> ScaledCurve:
    """What calculate_fsc prints for the half maps that merge3d wrote, given a mask.

    The halves are sphere-masked as merge3d does, then the mask is given cisTEM's edge and put on.

    Args:
        half1: unmasked half map [z, y, x].
        half2: the other one.
        voxel_size_A: edge of a voxel.
        radius_A: outer mask radius of the sphere.
        mask: of the same shape; any positive voxel counts.
        molecular_mass_kDa: of the particle.
        last_shell: see `scaled_sphere`.
        softened: ``mask`` is already what `apply_mask_soft` returns.

    Raises:
        InputError: see `scaled_sphere`; also a mask of another shape, or one with nothing inside.
    """
    _check(half1, half2, voxel_size_A, molecular_mass_kDa)
    if mask.shape != half1.shape or not np.any(mask > 0):
        raise InputError(
            f"a mask of {mask.shape} voxels with {np.count_nonzero(mask > 0)} inside fits no map of {half1.shape}"
        )
    soft = mask if softened else apply_mask_soft(mask, voxel_size_A)
    around = [_around(half, radius_A / voxel_size_A, EDGE_A / voxel_size_A) for half in (half1, half2)]
    sums = _summed(*_planes(around[0], around[1], soft), voxel_size_A)
    volume = float(soft.sum(dtype=np.float64))
    return _scaled(
        _smoothed(sums, len(half1), voxel_size_A), len(half1), voxel_size_A, volume, molecular_mass_kDa, last_shell
    )


def _around(half: Volume, radius_px: float, edge_px: float) -> Volume:
    """A half map as merge3d writes it, less its mean far out.

    A mask then leaves it constant outside, and the constant is only seen at frequency 0, which is in no sum.
    """
    masked, _ = ring_masked(half, radius_px, 0.0, edge_px)
    masked -= np.float32(mean_outside(masked, 0.4 * len(half)))
    return masked


def part_fsc(fsc: Curve, volume_fraction: float) -> Curve:
    """cisTEM's Part_FSC of an FSC."""
    return fsc / (volume_fraction + (1 - volume_fraction) * np.abs(fsc))


def gain(fsc: Curve, volume_fraction: float) -> Curve:
    """d Part_FSC / d FSC: 1 / volume_fraction where the FSC is 0, volume_fraction where it is 1."""
    return volume_fraction / (volume_fraction + (1 - volume_fraction) * np.abs(fsc)) ** 2


def estimated_resolution(curve: Curve, box_px: int, voxel_size_A: float, threshold: float = THRESHOLD) -> float:
    """cisTEM's estimated resolution: the mean in Angstrom of the first shell below the threshold and the one before it.

    Never finer than two voxels, which is also the answer when the curve stays above.
    """
    below = np.flatnonzero(curve[1:] < threshold)
    if below.size == 0:
        return 2 * voxel_size_A
    spacing_A = _shell_spacing(len(curve), box_px, voxel_size_A)
    return max(float(spacing_A[below[0] : below[0] + 2].mean()), 2 * voxel_size_A)


def _check(half1: Volume, half2: Volume, voxel_size_A: float, molecular_mass_kDa: float) -> None:
    faults = []
    if half1.shape != half2.shape or len(set(half1.shape)) != 1:
        faults.append(f"half maps of {half1.shape} and {half2.shape} voxels are not two equal cubes")
    if not voxel_size_A > 0:
        faults.append(f"a voxel size of {voxel_size_A} A is none")
    if not molecular_mass_kDa > 0:
        faults.append(f"a molecular mass of {molecular_mass_kDa} kDa is none; give it with --mass")
    if faults:
        raise InputError(*faults)


def _scaled(
    fsc: Curve, box_px: int, voxel_size_A: float, mask_volume: float, molecular_mass_kDa: float, last_shell: int | None
) -> ScaledCurve:
    fraction = molecular_mass_kDa * 1000 / DALTON_PER_A3 / voxel_size_A**3 / mask_volume
    if last_shell is not None:
        fsc = np.where(np.arange(len(fsc)) > last_shell, 0.0, fsc)
    part = part_fsc(fsc, fraction)
    frequency = np.arange(len(fsc)) / (voxel_size_A * _shells2(box_px))
    found_A = estimated_resolution(part, box_px, voxel_size_A)
    return ScaledCurve(frequency, fsc, part, gain(fsc, fraction), fraction, mask_volume, found_A)


def _shells2(box_px: int) -> int:
    """Twice cisTEM's Nyquist shell: the box, less one where it is odd."""
    return 2 * (box_px // 2)


def _shell_spacing(points: int, box_px: int, voxel_size_A: float) -> Curve:
    spacing_A = np.zeros(points)
    spacing_A[1:] = voxel_size_A * _shells2(box_px) / np.arange(1, points)
    return spacing_A


def _window(box_px: int, voxel_size_A: float) -> int:
    points = int(np.float32(box_px // 2 + 1) * np.sqrt(np.float32(3))) + 1
    window = max(min(int(_SMOOTHED_A / voxel_size_A + 0.5), points // 10), 5)
    return window + 1 - window % 2


def _smoothed(sums: NDArray[np.float64], box_px: int, voxel_size_A: float) -> Curve:
    """FSC of the split sums, then cisTEM's smoothing: the lower the correlation, the more of a local cubic takes its place."""
    cross, power1, power2 = sums
    powers = np.sqrt(np.maximum(power1, 0) * np.maximum(power2, 0))
    fsc = np.divide(cross, powers, out=np.zeros_like(cross), where=powers > 0)
    fsc[0] = fsc[1]
    window, last = _window(box_px, voxel_size_A), box_px // 2
    # The cubic is fitted against the shells' Angstrom, as in cisTEM, where shell 0 lies at 0.
    spacing_A = _shell_spacing(len(fsc), box_px, voxel_size_A)
    half = window // 2
    fit = np.empty(last + 1)
    for shell in range(half, last + 1):
        fit[shell] = _cubic(spacing_A, fsc, shell - half, window, half)
    # The first window's own curve goes through what is smoothed already, where there is that (FitSavitzkyGolayToData).
    start = np.r_[fsc[:half], fit[half:window], fsc[max(last + 1, half) : window]]
    for shell in range(min(half, last + 1)):
        fit[shell] = _cubic(spacing_A, start, 0, window, shell)
    fsc = fsc[: last + 1]
    return np.asarray(np.clip(fsc * np.abs(fsc) + fit * (1 - np.abs(fsc)), -1, 1), np.float64)


def _cubic(spacing_A: Curve, values: Curve, first: int, window: int, at: int) -> float:
    """The cubic that fits the values from ``first`` on best, at the point ``at`` of its window."""
    offset_A = spacing_A[first : first + window] - spacing_A[first + at]
    powers_of = np.vander(offset_A / np.abs(offset_A).max(), _CUBIC + 1, increasing=True)
    return float(np.linalg.lstsq(powers_of, values[first : first + window], rcond=None)[0][0])


def _octant_transform(mask: Volume) -> NDArray[np.float32]:
    """Transform of a mask that is symmetric about the centre of an even box, for frequencies 0..n//2 on each axis, real.

    The origin is the centre: the half transform is this times (-1)^(kz + ky + kx).
    """
    half = mask.shape[0] // 2
    octant = mask[half::-1, half::-1, half::-1]
    return np.asarray(fft.dctn(octant, type=1, workers=fourier.workers()), np.float32)


def _summed(planes: Planes, box: Box, voxel_size_A: float) -> NDArray[np.float64]:
    """`_split_sums` of the planes of both halves, as `fsc.packed` makes them under a mask with that bounding box."""
    return _split_sums(packed.summed([planes], box[0], *_split_work(planes.shape[1], voxel_size_A))[0])


def _split_sums(found: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cross and power sums (3, shells) from what `_split_work` adds up."""
    whole, difference, cross = found
    return np.stack([cross / 2, (whole + 2 * difference) / 4, (whole - 2 * difference) / 4])


def _split_work(
    box_px: int, voxel_size_A: float, octant: NDArray[np.float32] | None = None, mean: complex = 0
) -> tuple[float, packed.Work]:
    """The reach and the work for `packed.summed` that splits each coefficient linearly between the two shells it lies between.

    Enough shells beyond N//2 are summed for the smoothing.

    Args:
        box_px: of the halves.
        voxel_size_A: edge of a voxel.
        octant: transform of the mask, see `_octant_transform`.
        mean: what is taken away from the two halves under that mask.
    """
    shells = box_px // 2 + _window(box_px, voxel_size_A) // 2 + 1
    octant = np.zeros((1, 1, 1), np.float32) if octant is None else octant
    reach = shells * box_px / _shells2(box_px)
    radius = np.sqrt(np.arange(int(reach**2) + 2)) * (_shells2(box_px) / box_px)
    radius = radius[radius < shells]

    def split(slabs: Planes, begin: int, end: int, kept: int) -> Curve:
        sums = np.zeros((shells + 1, 4))
        _split(slabs[0], begin, end, kept, octant, mean.real, mean.imag, radius, sums)
        return np.asarray(sums[:shells, :3].T)

    return reach, split
