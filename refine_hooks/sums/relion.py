"""RELION's sums -> half map: the unregularised reconstruction that ``relion_external_reconstruct --no_map`` makes.

RELION adds its images up on a Fourier grid that is finer than the map's (padding, normally 2). To come back from there it looks
for weights that make the sampling even (Pipe & Menon 1999, doi:10.1002/(SICI)1522-2594(199901)41:1<179::AID-MRM25>3.0.CO;2-V),
transforms, cuts the box out of the padded one, softens its corners and takes the interpolation's falling-off out again
(doi:10.1016/j.jsb.2012.09.006). Each of these steps is repeated here as RELION does it, so that the map is the one that its user
knows.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refine_hooks import fourier
from refine_hooks.errors import SumsError
from refine_hooks.files.mrc import Volume
from refine_hooks.kernels import FLOAT, INT, array, fft, kernel

GRIDDING_ITERATIONS = 10
CORNER_EDGE_PX = 3
_BLOB_RADIUS, _BLOB_ALPHA, _TABLE = 3.8, 15.0, 10000  # 1.9 x 2, whatever the padding
_LARGEST_FACTOR = 1e30
_SECTIONS = 16
_LINES = 4
_GRID_WRITTEN, _TABLE_READ = array("float64", 3, written=True), array("float64", 1)
_weigh_with_blob = kernel("weigh_with_blob", _GRID_WRITTEN, INT, _TABLE_READ, FLOAT, INT, INT)
_WHOLE, _WHOLE_WRITTEN, _SHELLS = array("float32", 3), array("float32", 3, written=True), array("int16", 1)
_cut_core = kernel("cut_core", _WHOLE, INT, INT, _WHOLE_WRITTEN, INT, INT)
_cut_product = kernel("cut_product", _WHOLE, _WHOLE, INT, INT, array("complex64", 3, written=True), INT, INT, INT)
_SUMS = array("float32", 4)
_cut_weights = kernel("cut_weights", _SUMS, INT, INT, _WHOLE_WRITTEN, INT, INT)
_cut_coefficients = kernel("cut_coefficients", _SUMS, _WHOLE, INT, INT, array("complex64", 3, written=True), INT, INT)
_weights_by_shell = kernel("weights_by_shell", _WHOLE, _SHELLS, INT, INT, array("float64", 2, written=True))
_invert_weights = kernel("invert_weights", _WHOLE_WRITTEN, _SHELLS, array("float64", 1), INT, INT)
_INDICES = array("int64", 1)
_add_into_voxels = kernel("add_into_voxels", array("float32", 3), _INDICES, _INDICES, array("float32", 3, written=True))
_divide_by_density = kernel("divide_by_density", _GRID_WRITTEN, array("float64", 3), INT, INT, INT, INT)

Reader = Callable[[], NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Grid:
    """The padded Fourier grid that RELION adds up on.

    Attributes:
        box_px: edge of the map.
        padding: how much finer the grid is than the map's own transform.
        current_size_px: the box that the round used; beyond half of it there are no sums.
    """

    box_px: int
    padding: float
    current_size_px: int

    def __post_init__(self) -> None:
        faults = []
        if not 4 <= self.box_px <= 8192:
            faults.append(f"box of {self.box_px} px")
        if not 1 <= self.padding <= 8:
            faults.append(f"padding of {self.padding:g}")
        if self.current_size_px < 2:
            faults.append(f"current image size of {self.current_size_px} px")
        if faults:
            raise SumsError(f"sums of RELION cannot have a {', a '.join(faults)}")

    @property
    def padded_px(self) -> int:
        """Edge of the padded box: even."""
        edge = int(np.floor(self.padding * self.box_px + 0.5))
        return edge + edge % 2

    @property
    def shells(self) -> int:
        """The last shell of the map that holds sums."""
        return min(self.current_size_px // 2, self.box_px // 2)

    @property
    def radius(self) -> int:
        """Sums lie strictly within this many steps of the padded grid."""
        return int(np.floor(self.padding * self.shells + 0.5))

    @property
    def reach(self) -> int:
        """The furthest step along an axis that both the padded and the working grid have."""
        return min(self.radius + 1, self.padded_px // 2 - 1)

    @property
    def working_px(self) -> int:
        """Edge of the grid that just holds the sums, RELION's own: always odd, and not always one that transforms fast.

        A wider one would not do: where hardly anything was added, the weights hang on how the blob's tails wrap around.
        """
        return 2 * (self.radius + 1) + 1

    @property
    def working_shape(self) -> tuple[int, int, int]:
        """Shape of the half transform of that grid."""
        return self.working_px, self.working_px, self.working_px // 2 + 1

    @property
    def array_shape(self) -> tuple[int, int, int]:
        """Shape of the arrays: the half transform of the padded box, in FFT order."""
        return self.padded_px, self.padded_px, self.padded_px // 2 + 1


def _core(values: NDArray[np.float32], grid: Grid) -> NDArray[np.float32]:
    """The part of a padded half transform that holds sums, on the working grid; zero beyond the radius."""
    core = np.empty(grid.working_shape, np.float32)
    cut = partial(_cut_core, values, grid.reach, grid.radius**2, core)
    fourier.in_slabs(cut, len(core), _SECTIONS)
    return core


def _blob_table() -> NDArray[np.float64]:
    """Fourier transform of the Kaiser-Bessel blob (order 0), relative to its value at 0, at 0, 0.5/10000, ... below 0.5."""
    from scipy.special import iv, jv

    argument = (2 * np.pi * _BLOB_RADIUS * np.arange(_TABLE) * 0.5 / _TABLE) ** 2 - _BLOB_ALPHA**2
    root = np.sqrt(np.abs(argument)) + 1e-12
    values = np.where(argument > 0, jv(1.5, root), iv(1.5, root)) / root**1.5
    return np.asarray(values / (iv(1.5, _BLOB_ALPHA) / _BLOB_ALPHA**1.5), np.float64)


def even_weights(weight: NDArray[np.float32], grid: Grid, iterations: int = GRIDDING_ITERATIONS) -> NDArray[np.float32]:
    """What each step's sum has to be multiplied by so that the sampling becomes even under a blob kernel.

    The search is done in double precision: in single, maps of sums that are hardly sampled are off by percents.

    Args:
        weight: sums of weights on the working grid; see `half_map`.
        grid: the grid.
        iterations: RELION does 10.
    """
    from scipy import fft as by_scipy

    table = _blob_table()
    # RELION counts real-space steps of its working grid as if it were the padded one.
    step = 2.0 * _TABLE / (grid.box_px * grid.padding)
    factors = np.ones(weight.shape)
    edge = len(factors)
    sections = np.empty((edge // 2 + 1, *factors.shape[1:]), np.complex128)
    rows = [slice(y, y + _SECTIONS) for y in range(0, edge, _SECTIONS)]  # a few at a time: the grid may take gigabytes
    for _ in range(iterations):
        for some in rows:
            sections[:, some] = by_scipy.ihfft(factors[:, some] * weight[:, some], axis=0, workers=-1)
        _put_under_blob(sections, table, step)
        for some in rows:
            density = by_scipy.hfft(sections[:, some], n=edge, axis=0, workers=-1)
            divide = partial(_divide_by_density, factors, density, some.start, grid.radius**2)
            fourier.in_slabs(divide, edge, _SECTIONS)
    return np.minimum(factors, _LARGEST_FACTOR, out=factors).astype(np.float32)


def _put_under_blob(sections: NDArray[np.complex128], table: NDArray[np.float64], step: float) -> None:
    """Convolve weights with the blob, in place, between their transform along z and the way back.

    Weights are real, and the same at k and -k. So is the density that they transform to: half of either says all, and between
    the two transforms along z each section is on its own.
    """
    from scipy import fft as by_scipy

    edge = sections.shape[1]
    for z in range(0, sections.shape[0], _SECTIONS):
        some = by_scipy.ifft(sections[z : z + _SECTIONS], axis=1, workers=-1)
        density = by_scipy.irfft(some, n=edge, axis=2, workers=-1, overwrite_x=True)
        fourier.in_slabs(partial(_weigh_with_blob, density, z, table, step), len(density), 1)
        some = by_scipy.rfft(density, axis=2, workers=-1, overwrite_x=True)
        sections[z : z + _SECTIONS] = by_scipy.fft(some, axis=1, workers=-1, overwrite_x=True)


def _cut_out(core: NDArray[np.complex64], grid: Grid) -> Volume:
    """Inverse transform of the working grid, padded, of which only the box in the middle is kept.

    Axis by axis and a few lines at a time, so that neither the padded transform nor the padded box is ever there as a whole.
    """
    n, padded, reach = grid.box_px, grid.padded_px, grid.reach
    along_z = np.zeros((n, core.shape[1], reach + 1), np.complex64)
    box = np.empty((n, n, n), np.float32)

    def first(begin: int, end: int) -> None:
        columns = _columns_with_sums(grid, begin, end)
        if columns:
            wide = np.zeros((padded, end - begin, columns), np.complex64)
            _put_around_zero(wide, core[:, begin:end, :columns], reach)
            _take_middle(along_z[:, begin:end, :columns], fft.ifft(wide, axis=0, overwrite_x=True), 0)

    def rest(begin: int, end: int) -> None:
        wide = np.zeros((end - begin, padded, reach + 1), np.complex64)
        _put_around_zero(np.moveaxis(wide, 1, 0), np.moveaxis(along_z[begin:end], 1, 0), reach)
        lines = np.zeros((end - begin, n, padded // 2 + 1), np.complex64)
        _take_middle(lines[:, :, : reach + 1], fft.ifft(wide, axis=1, overwrite_x=True), 1)
        _take_middle(box[begin:end], fft.irfft(lines, n=padded, axis=2), 2)

    fourier.in_slabs(first, core.shape[1], _LINES)
    fourier.in_slabs(rest, n, _LINES)
    # The transforms of the images are normalised as two-dimensional ones of the box.
    box *= np.float32(padded**3 / (grid.padding**3 * n))
    return box


def _columns_with_sums(grid: Grid, begin: int, end: int) -> int:
    """How many kx of the rows begin..end-1 of the working grid hold sums somewhere."""
    edge = grid.working_px
    nearest = min(min(y, edge - y) for y in range(begin, end))
    left = grid.radius**2 - 1 - nearest**2
    return min(grid.reach, math.isqrt(left)) + 1 if left >= 0 else 0


def _put_around_zero(wide: NDArray[np.complex64], values: NDArray[np.complex64], reach: int) -> None:
    """The steps -reach..reach of the first axis, in FFT order, put into a longer one."""
    wide[: reach + 1] = values[: reach + 1]
    wide[-reach:] = values[-reach:]


def _take_middle(box: NDArray[Any], padded: NDArray[Any], axis: int) -> None:
    """The middle of a padded axis, whose zero is its first index, with its zero in the middle of the box."""
    to, found = np.moveaxis(box, axis, 0), np.moveaxis(padded, axis, 0)
    middle = len(to) // 2
    to[:middle] = found[len(found) - middle :]
    to[middle:] = found[: len(to) - middle]


def _finished(box: Volume, grid: Grid) -> Volume:
    """Corners replaced by their mean behind a soft edge, then the trilinear interpolation's sinc^2 divided out; in place."""
    n = grid.box_px
    squares = (np.arange(n) - n // 2) ** 2
    plane = squares[:, None] + squares
    # Everything hangs on the squared distance from the centre, a whole number.
    distance = np.sqrt(np.arange(3 * (n // 2) ** 2 + 1))
    beyond = (distance - n // 2) / CORNER_EDGE_PX
    outside = (0.5 - 0.5 * np.cos(np.pi * np.clip(beyond, 0, 1))).astype(np.float32)
    falling_off = np.sinc(distance / (n * grid.padding)) ** 2

    def summed(begin: int, end: int) -> tuple[float, float]:
        share = outside[squares[begin:end, None, None] + plane]
        return float(np.sum(box[begin:end] * share, dtype=np.float64)), float(np.sum(share, dtype=np.float64))

    def finish(begin: int, end: int) -> None:
        square, voxels = squares[begin:end, None, None] + plane, box[begin:end]
        voxels += outside[square] * (background - voxels)
        voxels /= falling_off[square]

    total, counted = np.sum(fourier.in_slabs(summed, n, 1), axis=0)
    background = np.float32(total / counted)
    fourier.in_slabs(finish, n, 1)
    return box


def half_map(
    real: Reader, imaginary: Reader, weight: Reader, grid: Grid, iterations: int = GRIDDING_ITERATIONS
) -> Volume:
    """The unregularised half map of one half's sums, [z, y, x] with its centre at ``n // 2``.

    Args:
        real: returns the real part of the sum of weighted coefficients, of `Grid.array_shape`; called when there is room for it.
        imaginary: likewise the imaginary part.
        weight: likewise the sum of weights.
        grid: the grid that all three lie on.
        iterations: of the search for even weights; 0 divides by the plain weights, as RELION 4 and 5 do inside a refinement.

    Raises:
        SumsError: an array is of another shape, or there are no weights in it.
    """
    factors = _factors(_core(_checked(weight(), grid, "weights"), grid), grid, iterations)
    core = np.empty(factors.shape, np.complex64)
    for part, (read, what) in enumerate(((real, "real parts"), (imaginary, "imaginary parts"))):
        values = _checked(read(), grid, what)
        cut = partial(_cut_product, values, factors, grid.reach, grid.radius**2, core, part)
        fourier.in_slabs(cut, len(core), _SECTIONS)
        del values
    del factors
    return _finished(_cut_out(core, grid), grid)


def half_map_of_inserted(sums: NDArray[np.float32], grid: Grid, iterations: int = GRIDDING_ITERATIONS) -> Volume:
    """The same of sums that particles were inserted into, without a copy of them.

    Args:
        sums: one half's, [z, y, x, 4] with their middle at zero, see `refine_hooks.sums.insertion.empty_sums`.
        grid: the grid that they lie on.
        iterations: as for `half_map`.

    Raises:
        SumsError: they are of another shape, or there are no weights in them.
    """
    if len(sums) != grid.padded_px + 3:
        raise SumsError(f"sums {len(sums)} steps wide are not those of {grid.padded_px} steps with a margin")
    weights = np.empty(grid.working_shape, np.float32)
    fourier.in_slabs(partial(_cut_weights, sums, grid.reach, grid.radius**2, weights), len(weights), _SECTIONS)
    factors = _factors(weights, grid, iterations)
    del weights
    core = np.empty(factors.shape, np.complex64)
    cut = partial(_cut_coefficients, sums, factors, grid.reach, grid.radius**2, core)
    fourier.in_slabs(cut, len(core), _SECTIONS)
    del factors, cut
    return _finished(_cut_out(core, grid), grid)


def _factors(weights: NDArray[np.float32], grid: Grid, iterations: int) -> NDArray[np.float32]:
    if not np.any(weights > 0):
        raise SumsError("the sums of RELION hold no weights: no image was added to them")
    return even_weights(weights, grid, iterations) if iterations > 0 else _plain_factors(weights, grid)


def _checked(values: NDArray[np.float32], grid: Grid, what: str) -> NDArray[np.float32]:
    if values.shape != grid.array_shape:
        raise SumsError(
            f"the {what} of RELION's sums are {values.shape} where box and padding ask for {grid.array_shape}"
        )
    return values


def _plain_factors(weights: NDArray[np.float32], grid: Grid) -> NDArray[np.float32]:
    """1 / weight, where a weight is never less than a thousandth of its shell's mean; overwrites the weights."""
    shells = (np.sqrt(np.arange(grid.radius**2)) / grid.padding).astype(np.int16)

    def summed(first: int, last: int) -> NDArray[np.float64]:
        sums = np.zeros((grid.shells + 1, 2))
        _weights_by_shell(weights, shells, first, last, sums)
        return sums

    total, count = np.sum(fourier.in_slabs(summed, len(weights), _SECTIONS), axis=0).T
    least = total / np.maximum(count, 1) / 1000
    fourier.in_slabs(partial(_invert_weights, weights, shells, least), len(weights), _SECTIONS)
    return weights


def own_fsc(read: Callable[[int, int], NDArray[np.float32]], grid: Grid) -> NDArray[np.float64]:
    """RELION's gold-standard FSC over the shells 0..N//2, counted from the sums of both halves; 0 beyond the sums.

    It is not that of the half maps: each half's sums and weights are averaged into the voxels of the map's own transform, and
    divided there (``getDownsampledAverage`` and ``calculateDownSampledFourierShellCorrelation`` of RELION 3 to 5), before the
    sampling is made even, the interpolation's falling-off is taken out and the corners are softened. With padding 1 the noise far
    from the centre is damped so much less in the maps that their FSC is lower by up to 0.1.

    Args:
        read: the array of one half (0, 1): real parts, imaginary parts, weights (0, 1, 2), each of `Grid.array_shape`.
        grid: the grid that they lie on.
    """
    one, two = (_averaged([_into_voxels(read(half, part), grid) for part in range(3)]) for half in (0, 1))
    k = np.arange(-grid.shells, grid.shells + 1)
    square = k[:, None, None] ** 2 + k[:, None] ** 2 + k[grid.shells :] ** 2
    shell = np.floor(np.sqrt(square) + 0.5).astype(np.int64).ravel()
    products = (a.real * b.real + a.imag * b.imag for a, b in ((one, two), (one, one), (two, two)))
    sums = [np.bincount(shell, values.ravel())[: grid.shells + 1] for values in products]
    power = np.sqrt(sums[1] * sums[2])
    curve = np.zeros(grid.box_px // 2 + 1)
    np.divide(sums[0], power, out=curve[: grid.shells + 1], where=power > 0)
    curve[0] = 1.0
    return curve


def _averaged(sums: list[NDArray[np.float32]]) -> NDArray[np.complex64]:
    real, imaginary, weight = sums
    averaged = np.zeros(real.shape, np.complex64)
    np.divide(real, weight, out=averaged.real, where=weight > 0)
    np.divide(imaginary, weight, out=averaged.imag, where=weight > 0)
    return averaged


def _into_voxels(values: NDArray[np.float32], grid: Grid) -> NDArray[np.float32]:
    """Each step of the padded grid added to the nearest voxel of the map's transform, halves away from zero: [z, y, x], x >= 0."""
    steps = np.fft.fftfreq(grid.padded_px, 1 / grid.padded_px)
    voxels = (np.sign(steps) * np.floor(np.abs(steps) / grid.padding + 0.5)).astype(np.int64)
    across = np.where(np.abs(voxels) <= grid.shells, voxels + grid.shells, -1)
    positive = voxels[: (grid.padded_px + 1) // 2]
    along = np.where(positive <= grid.shells, positive, -1)
    made = np.zeros((2 * grid.shells + 1, 2 * grid.shells + 1, grid.shells + 1), np.float32)
    _add_into_voxels(values[:, :, : len(along)], across, along, made)
    return made
