"""The curves that cisTEM would print for two half maps, to the fifth decimal: for comparison with the program, never a headline.

Its FSC is split linearly between shells and smoothed, its Part_FSC rescales it from the mask's volume to the particle's:
P = F / (f + (1 - f) |F|), f = particle volume / mask volume (merge3d and calculate_fsc of cisTEM 2.0.0-alpha; Grant, Rohou &
Grigorieff 2018, doi:10.7554/eLife.35383).
"""

from dataclasses import dataclass

import numba
import numpy as np
import scipy.fft
from numpy.typing import NDArray

from refine_hooks import fourier
from refine_hooks.errors import InputError
from refine_hooks.fourier import Box, Curve, Planes
from refine_hooks.fsc import packed
from refine_hooks.maps import Volume
from refine_hooks.masks.cistem import EDGE_A, apply_mask_soft, mean_outside, ring_masked, ring_means
from refine_hooks.masks.shapes import sphere

DALTON_PER_A3 = 0.81
THRESHOLD = 0.143
_SMOOTHED_A = 20.0
_CUBIC = 3


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
    at_hand: tuple[Volume, Box, Planes] | None = None,
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
        at_hand: `masks.sphere` of this radius with a 10 A edge, its bounding box, and `fsc.packed.masked` of the two
            halves under it, where the caller has them already. Not used in an odd box or with an inner radius.

    Raises:
        InputError: a radius, a mass or a voxel size that is none.
    """
    _check(half1, half2, voxel_size_A, molecular_mass_kDa)
    radius_px, inner_px, edge_px = (length / voxel_size_A for length in (radius_A, inner_radius_A, EDGE_A))
    if len(half1) % 2 or inner_px > 0 or radius_px < edge_px / 2:
        masked1, volume = ring_masked(half1, radius_px, inner_px, edge_px, subtract=True)
        masked2, _ = ring_masked(half2, radius_px, inner_px, edge_px, subtract=True)
        sums = _split_sums(*_planes(masked1, masked2), voxel_size_A)
    else:
        mask, box, planes = at_hand or _sphere_planes(half1, half2, voxel_size_A, radius_A)
        (mean1, volume), (mean2, _) = (ring_means(half, radius_px, edge_px) for half in (half1, half2))
        sums = _split_sums(planes, box, voxel_size_A, _octant_transform(mask), complex(mean1, mean2))
    return _scaled(
        _smoothed(sums, len(half1), voxel_size_A), len(half1), voxel_size_A, volume, molecular_mass_kDa, last_shell
    )


def _sphere_planes(half1: Volume, half2: Volume, voxel_size_A: float, radius_A: float) -> tuple[Volume, Box, Planes]:
    mask = sphere(len(half1), voxel_size_A, radius_A, EDGE_A)
    planes, box = _planes(half1, half2, mask)
    return mask, box, planes


def _planes(half1: Volume, half2: Volume, mask: Volume | None = None) -> tuple[Planes, Box]:
    mask = np.ones(half1.shape, np.float32) if mask is None else mask
    box = fourier.extent(mask).box or (slice(0, len(mask)),) * 3
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
    sums = _split_sums(*_planes(around[0], around[1], soft), voxel_size_A)
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


def fsc_cistem(half1: Volume, half2: Volume, voxel_size_A: float) -> Curve:
    """cisTEM's smoothed FSC of two half maps as they are, over the shells 0..N//2."""
    sums = _split_sums(*_planes(half1, half2), voxel_size_A)
    return _smoothed(sums, len(half1), voxel_size_A)


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
    fit = np.empty(last + 1)
    for shell in range(last + 1):
        part = slice(max(shell - window // 2, 0), max(shell - window // 2, 0) + window)
        offset_A = spacing_A[part] - spacing_A[shell]
        powers_of = np.vander(offset_A / np.abs(offset_A).max(), _CUBIC + 1, increasing=True)
        fit[shell] = np.linalg.lstsq(powers_of, fsc[part], rcond=None)[0][0]
    fsc = fsc[: last + 1]
    return np.asarray(np.clip(fsc * np.abs(fsc) + fit * (1 - np.abs(fsc)), -1, 1), np.float64)


def _octant_transform(mask: Volume) -> NDArray[np.float32]:
    """Transform of a mask that is symmetric about the centre of an even box, for frequencies 0..n//2 on each axis, real.

    The origin is the centre: the half transform is this times (-1)^(kz + ky + kx).
    """
    half = mask.shape[0] // 2
    octant = mask[half::-1, half::-1, half::-1]
    return np.asarray(scipy.fft.dctn(octant, type=1, workers=fourier.workers()), np.float32)


def _split_sums(
    planes: Planes, box: Box, voxel_size_A: float, octant: NDArray[np.float32] | None = None, mean: complex = 0
) -> NDArray[np.float64]:
    """Cross and power sums (3, shells), each coefficient split linearly between the two shells that it lies between.

    Enough shells beyond N//2 are summed for the smoothing.

    Args:
        planes: of both halves, as `fsc.packed` makes them.
        box: bounding box of the mask.
        voxel_size_A: edge of a voxel.
        octant: transform of the mask, see `_octant_transform`.
        mean: what is taken away from the two halves under that mask.
    """
    n = planes.shape[1]
    shells = n // 2 + _window(n, voxel_size_A) // 2 + 1
    octant = np.zeros((1, 1, 1), np.float32) if octant is None else octant
    reach = shells * n / _shells2(n)
    radius = np.sqrt(np.arange(int(reach**2) + 2)) * (_shells2(n) / n)
    radius = radius[radius < shells]

    def work(begin: int, end: int) -> NDArray[np.float64]:
        slab, kept = _columns(planes, box[0], begin, end, reach)
        return np.asarray(_split(slab, begin, end, kept, octant, np.complex64(mean), radius, shells))

    whole, difference, cross = np.sum(fourier.in_slabs(work, n // 2 + 1, fourier.slab_of(2 * n)), axis=0)
    return np.stack([cross / 2, (whole + 2 * difference) / 4, (whole - 2 * difference) / 4])


def _columns(planes: Planes, z: slice, begin: int, end: int, reach: float) -> tuple[Planes, int]:
    """The last step of the transform for ky = begin..end and their negatives, and how many kx from 0 on are in it.

    The columns of kx = 0, 1, .. come first and those of .., -2, -1 last.
    """
    n = planes.shape[1]
    rows = packed.rows_of(begin, end, n)
    kept = min(n // 2, int(np.sqrt(max(reach**2 - begin**2, 0)))) + 1
    negative = min(kept - 1, (n - 1) // 2)
    slab = np.zeros((n, len(rows), kept + negative), np.complex64)
    slab[z, :, :kept] = planes[:, rows, :kept]
    slab[z, :, kept:] = planes[:, rows, n - negative :]
    fourier.in_place(slab, 0)
    return slab, kept


@numba.njit(cache=True, nogil=True)
def _split(
    slab: Planes,
    begin: int,
    end: int,
    kept: int,
    octant: NDArray[np.float32],
    mean: np.complex64,
    radius: Curve,
    shells: int,
) -> NDArray[np.float64]:
    """Sums of |F|^2 + |F'|^2, Re F F' and Im F F' over ky = begin..end and their negatives, F' = F(-k).

    ``radius`` holds the radius in shells of every |k|^2 that counts.
    """
    n, columns = slab.shape[0], slab.shape[2]
    centred = octant.shape[0] > 1
    sums = np.zeros((shells + 1, 4))  # the fourth keeps a shell's sums in one cache line
    for ky in range(begin, end):
        own = ky == 0 or 2 * ky == n
        mirror = ky - begin if own else end - begin + ky - max(begin, 1)
        for iz in range(n):
            kz = iz if 2 * iz < n else iz - n
            square = kz * kz + ky * ky
            if square >= radius.size:
                continue
            line, opposite = slab[iz, ky - begin], slab[(n - iz) % n, mirror]
            # Of kx = 0 cisTEM takes one of each two mates, but none where kz, or ky on kz = 0, is -N/2.
            start = 0 if kz > 0 or (2 * ky < n and ky > 0 and 2 * kz > -n) else 1
            for kx in range(start, min(kept, int(np.sqrt(radius.size - 1 - square)) + 1)):
                minus = columns - kx if kx else 0
                m = mean * np.float32(0)
                if centred:
                    m = mean * (octant[abs(kz), ky, kx] * np.float32(1 - 2 * ((iz + ky + kx) & 1)))
                r = radius[square + kx * kx]
                shell = int(r)
                high = r - shell
                for side in range(1 if own or kx == 0 else 2):
                    f = (line[kx] if side == 0 else line[minus]) - m
                    g = (opposite[minus] if side == 0 else opposite[kx]) - m
                    product = f * g
                    if product.imag == 0:
                        continue
                    whole = f.real * f.real + f.imag * f.imag + g.real * g.real + g.imag * g.imag
                    weight = 0.25 if kx == 0 and ky > 0 else 1.0
                    for step in range(2):
                        share = weight * (high if step else 1 - high)
                        sums[shell + step, 0] += share * whole
                        sums[shell + step, 1] += share * product.real
                        sums[shell + step, 2] += share * product.imag
    return sums[:shells, :3].T.copy()
