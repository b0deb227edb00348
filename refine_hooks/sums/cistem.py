"""Half maps from the Fourier sums that cisTEM dumps, without the spherical mask that cisTEM puts on them.

Format and arithmetic are those of reconstruct3d's dump files and of merge3d (cisTEM 2.0.0-alpha, Grant, Rohou & Grigorieff
2018, doi:10.7554/eLife.35383). The odd half is half map 1, the even half is half map 2.
"""

import math
import os
import struct
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from io import FileIO
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from refine_hooks.errors import NotReadyError, SumsError
from refine_hooks.files.mrc import Map, Volume
from refine_hooks.files.reading import open_plain, read_ahead
from refine_hooks.kernels import FLOAT, INT, array, kernel
from refine_hooks.sums import FourierSums

HEADER_BYTES = 60
WIENER_CONSTANT = np.float32(100.0)
_divide = kernel(
    "quotient",
    *(array("complex64", 3), array("float32", 3), array("complex64", 3, written=True), FLOAT, INT, INT, INT),
    array("int64", 1, written=True),
)
HALF_NAMES = {1: "odd", 2: "even"}

_HEADER = struct.Struct("<7i5f4s2i")
_LONGEST_EDGE_PX = 8192
_SLAB_BYTES = 16 << 20

Transform = NDArray[np.complex64]


@dataclass(frozen=True, slots=True)
class DumpHeader:
    """The 60 bytes in front of a dump's arrays.

    Attributes:
        box_px: edge of the arrays' box.
        original_box_px: edge of the particle images, and of the half map.
        images: particle images added to this half in this chunk.
        voxel_size_A: voxel size of the arrays' box; larger than the original one when the round was binned.
        original_voxel_size_A: voxel size of the half map.
        average_occupancy: in percent; like the next one of all particles of the round, not of the chunk.
        average_score: cisTEM's score.
        score_weight_A2: particle weighting factor.
        symmetry: as the user wrote it, e.g. "C1".
        half: 1 odd, 2 even.
        centred: whether merge3d moves the filtered map (not the half maps) to its centre of mass.
    """

    box_px: int
    original_box_px: int
    images: int
    voxel_size_A: float
    original_voxel_size_A: float
    average_occupancy: float
    average_score: float
    score_weight_A2: float
    symmetry: str
    half: int
    centred: bool

    @property
    def coefficients(self) -> int:
        """Number of Fourier coefficients in each of the two arrays."""
        return self.box_px * self.box_px * (self.box_px // 2 + 1)

    @property
    def file_bytes(self) -> int:
        """The size that a complete file has."""
        return HEADER_BYTES + 12 * self.coefficients

    @property
    def uncropped_box_px(self) -> int:
        """Edge that the arrays' box has at its own voxel size before images were cropped."""
        return _rescaled_px(self.original_box_px, self.original_voxel_size_A, self.voxel_size_A)

    @property
    def last_shell(self) -> int | None:
        """The last shell of the half map that holds data when the round was binned; None when all do."""
        if self.uncropped_box_px >= self.original_box_px:
            return None
        nyquist = self.original_voxel_size_A / (2 * self.voxel_size_A)
        return int(np.float32(nyquist) * np.float32(2 * (self.original_box_px // 2)))


def _rescaled_px(box_px: int, voxel_size_A: float, new_voxel_size_A: float) -> int:
    return math.floor(box_px * voxel_size_A / new_voxel_size_A + 0.5)


def read_dump_header(path: Path) -> DumpHeader:
    """The header of a dump file, checked against the file's size; no memory is taken on its word.

    Raises:
        NotReadyError: shorter than 60 bytes or than its own header says: it is being written, or torn.
        SumsError: cannot be read, holds numbers that no dump has, or is longer than its header says.
    """
    with _opened(path) as stream:
        return _header(path, stream)


def _opened(path: Path) -> FileIO:
    try:
        return open_plain(path)
    except OSError as error:
        raise SumsError(f"{path}: cannot be read ({error.strerror})") from error


def _header(path: Path, stream: FileIO) -> DumpHeader:
    try:
        raw, size = stream.read(HEADER_BYTES), os.fstat(stream.fileno()).st_size
    except OSError as error:
        raise SumsError(f"{path}: cannot be read ({error.strerror})") from error
    if len(raw) < HEADER_BYTES or not any(raw):
        raise NotReadyError(f"{path}: holds no header of a dump yet ({size} bytes); it is being written, or torn")
    nx, ny, nz, onx, ony, onz, images, *floats, symmetry, half, center = _HEADER.unpack(raw)
    faults = _faults((nx, ny, nz), (onx, ony, onz), images, floats, symmetry, half, center)
    if faults:
        raise SumsError(f"{path}: is not a dump of Fourier sums by cisTEM: {'; '.join(faults)}")
    text = symmetry.decode("ascii").rstrip(" \0")
    voxel_A, original_A, occupancy, score, weight_A2 = (float(f) for f in floats)
    header = DumpHeader(nx, onx, images, voxel_A, original_A, occupancy, score, weight_A2, text, half, center == 2)
    if size < header.file_bytes:
        raise NotReadyError(
            f"{path}: holds {size} of the {header.file_bytes} bytes that its header states; it is being written, or torn"
        )
    if size > header.file_bytes:
        raise SumsError(f"{path}: holds {size} bytes, {size - header.file_bytes} more than its header states")
    return header


def _faults(
    box: tuple[int, int, int],
    original: tuple[int, int, int],
    images: int,
    floats: Sequence[float],
    symmetry: bytes,
    half: int,
    center: int,
) -> list[str]:
    voxel_A, original_voxel_A = floats[:2]
    finite = all(math.isfinite(f) for f in floats)
    checks = {
        f"box of the arrays {box}": len(set(box)) == 1 and 2 <= box[0] <= _LONGEST_EDGE_PX,
        f"original box {original}": len(set(original)) == 1 and box[0] <= original[0] <= _LONGEST_EDGE_PX,
        f"{images} images": images >= 0,
        f"voxel sizes {voxel_A:g} and {original_voxel_A:g} A": finite and 0 < original_voxel_A <= voxel_A * 1.001 < 1e4,
        f"weights {list(floats[2:])}": finite,
        f"symmetry {symmetry!r}": symmetry.isascii() and symmetry.rstrip(b" \0").isalnum(),
        f"half {half}": half in HALF_NAMES,
        f"centre flag {center}": center in {1, 2},
    }
    faults = [what for what, good in checks.items() if not good]
    if not faults and _rescaled_px(original[0], original_voxel_A, voxel_A) < box[0]:
        faults.append(f"box {box[0]} at {voxel_A:g} A is larger than {original[0]} at {original_voxel_A:g} A")
    return faults


def merge_half(paths: Sequence[Path], room: FourierSums | None = None) -> tuple[FourierSums, DumpHeader]:
    """All chunks of one half, added; in memory are one half's sums and a slab of one chunk.

    Args:
        paths: every chunk of one half of one round, at least one.
        room: sums that are done with; their arrays are used again where they have the right size, since fresh memory costs as
            much as reading.

    Returns:
        The sums, and the header of the first chunk with the images of all chunks.

    Raises:
        NotReadyError: a chunk is still being written.
        SumsError: no chunk, a chunk that cannot be read, or chunks that do not belong together; all of them are named.
    """
    if not paths:
        raise SumsError("there is no dump to make a half map from")
    headers = [read_dump_header(path) for path in paths]
    _check_agreement(paths, headers)
    first = headers[0]
    shape = (first.box_px, first.box_px, first.box_px // 2 + 1)
    if room is not None and room.data.shape == shape:
        data, weight = room.data, room.weight
    else:
        data, weight = np.empty(shape, np.complex64), np.empty(shape, np.float32)
    for path, header in zip(paths, headers, strict=True):
        with _opened(path) as stream:
            if _header(path, stream) != header:
                raise NotReadyError(f"{path}: changed while it was read")
            for array in (data.reshape(-1).view(np.float32), weight.reshape(-1)):
                _read_into(path, stream, array, add=path is not paths[0])
    images = sum(h.images for h in headers)
    return FourierSums(data, weight, first.original_box_px, first.original_voxel_size_A, images), replace(
        first, images=images
    )


def _check_agreement(paths: Sequence[Path], headers: Sequence[DumpHeader]) -> None:
    if len(set(paths)) < len(paths):
        raise SumsError(
            f"a dump is named twice: {', '.join(sorted({str(p) for p in paths if list(paths).count(p) > 1}))}"
        )
    faults = []
    for path, header in zip(paths[1:], headers[1:], strict=True):
        differences = disagreements(headers[0], header)
        if differences:
            faults.append(f"{path}: does not belong to {paths[0].name}: {', '.join(differences)}")
    if faults:
        raise SumsError(*faults)


def disagreements(one: DumpHeader, other: DumpHeader, *, same_half: bool = True) -> list[str]:
    """In words, in what two chunks of one round differ that must be equal.

    The averages are of the whole round, so other averages are another round's.
    """
    exact = ["box_px", "original_box_px", "symmetry", *(["half"] if same_half else [])]
    close = ["voxel_size_A", "original_voxel_size_A", "average_occupancy", "average_score", "score_weight_A2"]
    names = [name for name in exact if getattr(one, name) != getattr(other, name)]
    names += [name for name in close if not math.isclose(getattr(one, name), getattr(other, name), rel_tol=1e-4)]
    return [f"{name} {getattr(other, name)} instead of {getattr(one, name)}" for name in names]


def _read_into(path: Path, stream: FileIO, array: NDArray[np.float32], *, add: bool) -> None:
    slab = np.empty(min(array.size, _SLAB_BYTES // 4), np.float32) if add else None
    for start in range(0, array.size, _SLAB_BYTES // 4):
        part = array[start : start + _SLAB_BYTES // 4]
        target = part if slab is None else slab[: part.size]
        try:
            got = _fill(stream, target.view(np.uint8))
        except OSError as error:
            raise SumsError(f"{path}: cannot be read ({error.strerror})") from error
        if got < target.nbytes:
            raise NotReadyError(f"{path}: became shorter while it was read")
        if slab is not None:
            part += target


def _fill(stream: FileIO, buffer: NDArray[np.uint8]) -> int:
    done = 0
    while done < len(buffer):
        got = stream.readinto(buffer[done:].data)
        if not got:
            break
        done += got
    return done


def half_map(sums: FourierSums, header: DumpHeader | None = None, *, use_up: bool = False) -> Map:
    """The unmasked half map of one half's sums, by the rule of merge3d: A / (C + 100), in the original box.

    Args:
        sums: of one half, in cisTEM's convention: mates on the plane kx = 0 not yet added up, image origin at the corner.
        header: says how the arrays' box lies in the original one; without it the box was never cropped.
        use_up: the arrays of ``sums`` may be overwritten, which saves a copy.

    Raises:
        SumsError: the quotient is not finite somewhere.
    """
    from refine_hooks.fourier import padded_inverse

    box_px = sums.data.shape[0]
    uncropped_px = header.uncropped_box_px if header else box_px
    if not use_up:
        sums = FourierSums(sums.data.copy(), sums.weight.copy(), sums.box_px, sums.voxel_size_A, sums.images)
    complete_edges(sums.data, sums.weight)
    cropped = uncropped_px != box_px
    inner_px = box_px if cropped else sums.box_px
    transform = _quotient(sums, alternate=inner_px % 2 == 0)
    voxels = padded_inverse(transform, inner_px)
    if inner_px % 2:
        voxels = np.fft.fftshift(voxels)
    if cropped:
        voxels = _uncropped(voxels, uncropped_px, sums.box_px)
    return Map(voxels, sums.voxel_size_A)


def complete_edges(data: Transform, weight: NDArray[np.float32]) -> None:
    """Add up the Friedel mates on the plane kx = 0, in place, exactly where cisTEM does.

    That is everywhere but on the line ky = 0, of which only the origin is doubled.
    """
    up = (data.shape[0] - 1) // 2
    plane, weights = data[:, :, 0].copy(), weight[:, :, 0].copy()
    positive = np.r_[1 : up + 1]
    either = np.r_[1 : up + 1, -up:0]
    for kz, ky in ((positive[:, None], either[None, :]), (np.zeros((1, 1), int), positive[None, :])):
        total = plane[kz, ky] + plane[-kz, -ky].conj()
        data[kz, ky, 0], data[-kz, -ky, 0] = total, total.conj()
        weight[kz, ky, 0] = weight[-kz, -ky, 0] = weights[kz, ky] + weights[-kz, -ky]
    data[0, 0, 0] = 2 * plane[0, 0].real
    weight[0, 0, 0] = 2 * weights[0, 0]


def _quotient(sums: FourierSums, *, alternate: bool) -> Transform:
    from refine_hooks.fourier import workers

    data, weight = sums.data, sums.weight
    bounds = np.linspace(0, data.shape[0], 1 + workers()).astype(int).tolist()

    def work(span: tuple[int, int]) -> int:
        unfit = np.zeros(1, np.int64)
        _divide(data, weight, data, WIENER_CONSTANT, alternate, *span, unfit)
        return int(unfit[0])

    with ThreadPoolExecutor(workers()) as pool:
        unfit = sum(pool.map(work, pairwise(bounds)))
    if unfit:
        raise SumsError(
            f"the Fourier sums hold {unfit} coefficients that are not finite; no half map can be made from them"
        )
    return data


def _uncropped(voxels: Volume, uncropped_px: int, box_px: int) -> Volume:
    """A centred volume set into a larger box filled with the mean of its faces, then brought to ``box_px`` by Fourier padding."""
    from scipy import fft

    from refine_hooks.fourier import padded_inverse, workers

    n = voxels.shape[0]
    core = voxels[1:-1, 1:-1, 1:-1]
    faces = (voxels.sum(dtype=np.float64) - core.sum(dtype=np.float64)) / (voxels.size - core.size)
    out = np.full((uncropped_px,) * 3, faces, np.float32)
    start = uncropped_px // 2 - n // 2
    out[(slice(start, start + n),) * 3] = voxels
    if uncropped_px == box_px:
        return out
    transform = fft.rfftn(np.fft.ifftshift(out), workers=workers(), norm="forward")
    return np.fft.fftshift(padded_inverse(transform, box_px))


def half_maps_from_dumps(odd_paths: Sequence[Path], even_paths: Sequence[Path]) -> tuple[Map, Map, tuple[int, int]]:
    """Half map 1 (odd), half map 2 (even), unmasked, and the particle images in each.

    Raises:
        NotReadyError: a chunk is still being written.
        SumsError: see `merge_half`; also chunks of the other half, and halves of different rounds.
    """
    if len(odd_paths) != len(even_paths):
        raise SumsError(f"there are dumps of {len(odd_paths)} odd and {len(even_paths)} even chunks: some are missing")
    _check_halves(odd_paths, even_paths)
    read_ahead([*odd_paths, *even_paths])
    maps, images, sums = [], [], None
    for paths in (odd_paths, even_paths):
        sums, header = merge_half(paths, room=sums)
        maps.append(half_map(sums, header, use_up=True))
        images.append(header.images)
    return maps[0], maps[1], (images[0], images[1])


def _check_halves(odd_paths: Sequence[Path], even_paths: Sequence[Path]) -> None:
    named = [(1, path) for path in odd_paths] + [(2, path) for path in even_paths]
    headers = [(half, path, read_dump_header(path)) for half, path in named]
    faults = [
        f"{path}: holds the {HALF_NAMES[header.half]} half, not the {HALF_NAMES[half]} one"
        for half, path, header in headers
        if header.half != half
    ]
    for _, path, header in headers[1:]:
        differences = disagreements(headers[0][2], header, same_half=False)
        if differences:
            faults.append(f"{path}: does not belong to {headers[0][1].name}: {', '.join(differences)}")
    if faults:
        raise SumsError(*faults)
