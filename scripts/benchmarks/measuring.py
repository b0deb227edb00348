"""What measuring costs, in units of F: two float32 `scipy.fft.rfftn` of the same box on all cores, timed in the same run."""

import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from refine_hooks import curves, fsc, masks
from refine_hooks.files.mrc import Map
from refine_hooks.fourier import Curve, HalfTransform, extent, shell_sums, transform, workers
from refine_hooks.fsc.randomised import randomised
from refine_hooks.measure import measure_halves
from refine_hooks.model import Facts, HalfMaps
from refine_hooks.settings import Settings

VOXEL_A = 1.2
NOISE = 0.1  # standard deviation
REPEATS = 4


def run(boxes: Sequence[int] = (128, 256)) -> list[str]:
    """Rows printed as they are measured: one masked FSC, one randomised repeat, the automask, a whole measurement."""
    rows = [f"{'box':<6}{'work':<34}{'wall s':>8}{'CPU s':>8}{'wall/F':>8}"]
    print(rows[0])
    for box_px in boxes:
        halves = halves_of(box_px)
        whole = [transform(half.voxels) for half in halves]
        made = masks.automask(halves[0].voxels, halves[1].voxels, VOXEL_A, transforms=(whole[0], whole[1]))
        assert made.values is not None
        mask, box, claim = made.values, extent(made.values).box, _claim(whole)
        works: dict[str, Callable[[], object]] = {
            "F": lambda halves=halves: [fft.rfftn(half.voxels, workers=workers()) for half in halves],
            "one masked FSC": lambda h=halves, m=mask, b=box: fsc.masked_fsc(h[0].voxels, h[1].voxels, m, b),
            "one repeat of the phase-randomised FSC (of 5)": lambda w=whole, m=mask, b=box: randomised(
                (w[0], w[1]), m, 5, 5, 1, b
            ),
            "automask": lambda h=halves, w=whole: masks.automask(
                h[0].voxels, h[1].voxels, VOXEL_A, transforms=(w[0], w[1])
            ),
            "automask, tested; with its FSC": lambda h=halves, w=whole, c=claim: masks.automask(
                h[0].voxels, h[1].voxels, VOXEL_A, transforms=(w[0], w[1]), claim=c
            ),
            "whole measurement": lambda h=halves: _measured(h),
        }
        floor = 1.0
        for name, work in works.items():
            wall, cpu = best_of(work)
            share = 5 if name.startswith("one repeat") else 1
            floor = wall if name == "F" else floor
            rows.append(f"{box_px:<6}{name:<34}{wall / share:>8.3f}{cpu / share:>8.3f}{wall / share / floor:>8.2f}")
            print(rows[-1])
        rows.append(f"{box_px:<6}{'peak memory of a measurement':<34}{_peak_in_maps(box_px)}")
        print(rows[-1])
    return rows


def _claim(whole: Sequence[HalfTransform]) -> masks.Claim:
    sums = shell_sums(whole[0], whole[1])

    def shell(curve: Curve) -> float | None:
        resolution = curves.resolution_A(curve, np.arange(len(curve), dtype=float), 0.143)
        return 1 / resolution if resolution else None

    return masks.Claim(fsc.onset(fsc.correlation(sums), 0.8) or 1, sums, shell)


def halves_of(box_px: int, filling: float | None = None) -> tuple[Map, Map]:
    """Half maps of a particle with detail in noise; the noise is that of the seed.

    Args:
        box_px: edge of the maps.
        filling: the particle's length, in boxes; None for a rod of 0.4 with long ends.
    """
    rng = np.random.default_rng(0)
    signal = _signal(box_px, rng, filling)
    one, two = (
        Map(signal + np.float32(NOISE) * rng.standard_normal(signal.shape, np.float32), VOXEL_A) for _ in range(2)
    )
    return one, two


def signal_of(box_px: int) -> NDArray[np.float32]:
    """What both halves of the benchmark hold [z, y, x]."""
    return _signal(box_px, np.random.default_rng(0))


def mask_of(box_px: int, filling: float | None = None) -> NDArray[np.float32]:
    """A mask such as a refinement program is given: the particle with some room around it, and a soft edge."""
    return np.asarray(np.minimum(1, 20 * _body(box_px, filling)), np.float32)


def _body(box_px: int, filling: float | None) -> NDArray[np.float32]:
    axes = (0.06, 0.07, 0.2) if filling is None else (0.35 * filling, 0.42 * filling, 0.5 * filling)
    z, y, x = (
        np.square((np.indices((box_px,), np.float32)[0] - box_px // 2) / (box_px * axis)).astype(np.float32)
        for axis in axes
    )
    return np.asarray(np.exp(-((z[:, None, None] + y[:, None] + x) ** 2)), np.float32)


def _signal(box_px: int, rng: np.random.Generator, filling: float | None = None) -> NDArray[np.float32]:
    body = _body(box_px, filling)
    texture = ndimage.gaussian_filter(rng.standard_normal(body.shape, np.float32), 1.2)
    return np.asarray(body * (texture + 0.02), np.float32)


def _measured(halves: tuple[Map, Map]) -> None:
    facts = Facts(voxel_size_A=VOXEL_A, molecular_mass_kDa=100.0, sphere_radius_A=0.4 * halves[0].box_px * VOXEL_A)
    measure_halves(HalfMaps(*halves, "found"), facts, Settings())


def best_of(work: Callable[[], object], repeats: int = REPEATS) -> tuple[float, float]:
    """Wall and CPU seconds of the quickest run."""
    work()
    times = []
    for _ in range(repeats):
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        times.append((time.perf_counter() - wall, time.process_time() - cpu))
    return min(times)


def _peak_in_maps(box_px: int) -> str:
    """Peak memory of a process that only measures, less that of one that only imports; in MB and in maps of float32."""
    numbers = []
    for measured in (0, 1):
        code = f"import sys; sys.path.insert(0, {sys.path[0]!r}); from benchmarks.measuring import peak; peak({box_px}, {measured})"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        numbers.append(float(done.stdout))
    own = numbers[1] - numbers[0]
    maps = own * 1e6 / (4 * box_px**3)
    return f"{numbers[1]:.0f} MB in all, {own:.0f} MB over the imports = {maps:.1f} maps, the two halves included"


def peak(box_px: int, measured: int) -> None:
    """Print the peak resident memory in MB after imports and, where asked for, one measurement of random halves."""
    import skimage.measure  # noqa: F401

    if measured:
        rng = np.random.default_rng(0)
        radius = np.arange(box_px) - box_px // 2
        inside = (radius[:, None, None] ** 2 + radius[:, None] ** 2 + radius**2 < (0.2 * box_px) ** 2).astype(
            np.float32
        )
        one, two = (Map(rng.standard_normal(inside.shape, np.float32), VOXEL_A) for _ in range(2))
        for half in (one, two):
            half.voxels[...] += inside
        del inside
        _measured((one, two))
    # ru_maxrss of a child begins with its parent's; this begins with the program.
    status = Path("/proc/self/status").read_text()
    print(int(re.search(r"VmHWM:\s+(\d+)", status)[1]) * 1024 / 1e6)  # type: ignore[index]
