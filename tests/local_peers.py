"""Local resolution of the same half maps by others: RELION's, and the FSC in a box about each place, from its definition."""

import resource
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import mrcfile
import numpy as np
from local_panel import LEVEL, Made, Phantom
from numpy.typing import NDArray

PLACES, _SEED = 300, 7
WAVELENGTHS = 7.0  # of the best part: edge of the box about a place
_EDGE = 0.25  # of the box, soft on each side

Values = NDArray[np.float64]
RELION = {
    "relion_postprocess --locres, as it comes": ("--locres_sampling", "25"),
    "relion_postprocess --locres, radius 25 Å, edge 12 Å": (
        *("--locres_sampling", "25", "--locres_maskrad", "25", "--locres_edgwidth", "12"),
    ),
}


@dataclass(frozen=True)
class Read:
    """Resolutions at places, the part that each lies in, and the CPU seconds that all of them took."""

    resolution_A: Values
    part: NDArray[np.int64]
    cpu_s: float


def by_relion(phantom: Phantom, halves: Made, folder: Path, options: tuple[str, ...]) -> Read:
    """All voxels of the parts, as ``relion_postprocess --locres`` states them."""
    for name, half in (("half1.mrc", halves.half1), ("half2.mrc", halves.half2)):
        with mrcfile.new(folder / name, overwrite=True) as file:
            file.set_data(half)
            file.voxel_size = phantom.voxel_size_A
    command = ["relion_postprocess", "--i", "half1.mrc", "--i2", "half2.mrc", "--o", "out", "--locres", *options]
    begin = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [*command, "--angpix", str(phantom.voxel_size_A)],
        cwd=folder,
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    end = resource.getrusage(resource.RUSAGE_CHILDREN)
    values = mrcfile.read(folder / "out_locres.mrc")
    inside = halves.part >= 0
    cpu_s = end.ru_utime + end.ru_stime - begin.ru_utime - begin.ru_stime
    return Read(values[inside].astype(np.float64), halves.part[inside], cpu_s)


def by_boxes(phantom: Phantom, halves: Made) -> Read:
    """FSC of a soft box about each of 300 places (Cardone et al. 2013, doi:10.1016/j.jsb.2013.08.002), where it falls to 0.143.

    The box has seven wavelengths of the best part. Places so near to the edge of the map that it does not fit are left out.
    """
    edge = 2 * round(WAVELENGTHS * min(one.resolution_A for one in phantom.parts) / phantom.voxel_size_A / 2)
    fits = np.zeros(halves.part.shape, bool)
    fits[(slice(edge // 2, phantom.box_px - edge // 2),) * 3] = True
    places = np.argwhere((halves.part >= 0) & fits)
    places = places[np.random.default_rng(_SEED).permutation(len(places))[:PLACES]]
    begin = time.process_time()
    read = _fsc_in_box(edge, phantom.voxel_size_A)
    found = [
        read(*(half[tuple(slice(x - edge // 2, x + edge // 2) for x in at)] for half in (halves.half1, halves.half2)))
        for at in places
    ]
    return Read(np.array(found), halves.part[tuple(places.T)], time.process_time() - begin)


def _fsc_in_box(edge: int, voxel_size_A: float) -> Callable[[Values, Values], float]:
    soft = max(1, round(_EDGE * edge))
    ramp = np.minimum(np.minimum(np.arange(edge) + 1, edge - np.arange(edge)) / (soft + 1), 1)
    one = (1 - np.cos(np.pi * ramp)) / 2
    window = one[:, None, None] * one[:, None] * one
    k = np.fft.fftfreq(edge) * edge
    shell = np.rint(np.sqrt(k[:, None, None] ** 2 + k[:, None] ** 2 + k**2)).astype(np.int64).ravel()

    def sums(values: Values) -> Values:
        return np.bincount(shell, values.ravel())[: edge // 2 + 1]

    def read(half1: Values, half2: Values) -> float:
        f, g = np.fft.fftn(half1 * window), np.fft.fftn(half2 * window)
        curve = sums((f * g.conj()).real) / np.sqrt(sums(abs(f) ** 2) * sums(abs(g) ** 2))
        below = np.flatnonzero(curve[1:] < LEVEL) + 1
        if not below.size or below[0] < 2:
            return float("nan")
        last = below[0] - 1
        return float(edge * voxel_size_A / (last + (curve[last] - LEVEL) / (curve[last] - curve[last + 1])))

    return read
