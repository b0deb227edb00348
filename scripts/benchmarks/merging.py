"""What merging cisTEM's dump files costs, beside what it cannot do without: reading them, a transform a half, writing the maps."""

import os
import struct
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from scipy import fft

from refine_hooks.files.mrc import Map, write_map
from refine_hooks.sums.cistem import half_maps_from_dumps

CHUNKS = 2
REPEATS = 3


def run(boxes: Sequence[int] = (128, 256)) -> list[str]:
    """One row a box, printed as it is measured: wall and CPU seconds of merging 2 + 2 dumps, of the floor, and their ratio."""
    rows = [f"{'merging 2+2 dumps':<24}{'merge s':>9}{'CPU s':>8}{'floor s':>9}{'CPU s':>8}{'ratio':>7}"]
    print(rows[0])
    for box_px in boxes:
        with tempfile.TemporaryDirectory() as folder:
            odd, even = (_dumps(Path(folder), box_px, half) for half in (1, 2))
            merge = _best(partial(_merged, Path(folder), odd, even))
            floor = _best(partial(_floor, Path(folder), box_px, odd + even))
        rows.append(
            f"{box_px:<24}{merge[0]:>9.3f}{merge[1]:>8.3f}{floor[0]:>9.3f}{floor[1]:>8.3f}{merge[0] / floor[0]:>7.2f}"
        )
        print(rows[-1])
    return rows


def _dumps(folder: Path, box_px: int, half: int) -> list[Path]:
    paths = []
    for chunk in range(1, CHUNKS + 1):
        paths.append(folder / f"dump_file_1_0_{'odd' if half == 1 else 'even'}_{chunk}.dump")
        numbers = (*[box_px] * 6, 100, 1.0, 1.0, 100.0, 30.0, 2.0, b"C1  ", half, 1)
        generator = np.random.default_rng(10 * half + chunk)
        coefficients = box_px * box_px * (box_px // 2 + 1)
        with paths[-1].open("wb") as stream:
            stream.write(struct.pack("<7i5f4s2i", *numbers))
            generator.standard_normal(2 * coefficients, np.float32).tofile(stream)
            generator.random(coefficients, np.float32).tofile(stream)
    return paths


def _merged(folder: Path, odd: list[Path], even: list[Path]) -> None:
    half1, half2, _ = half_maps_from_dumps(odd, even)
    write_map(folder / "half1.mrc", half1, "benchmark")
    write_map(folder / "half2.mrc", half2, "benchmark")


def _floor(folder: Path, box_px: int, paths: list[Path]) -> None:
    shape = (box_px, box_px, box_px // 2 + 1)
    buffer = np.empty(15 + 3 * int(np.prod(shape)), np.float32)
    for path in paths:
        with path.open("rb", buffering=0) as stream:
            stream.readinto(buffer.data)
    for number in (1, 2):
        transform = buffer[: 2 * int(np.prod(shape))].view(np.complex64).reshape(shape)
        voxels = fft.irfftn(transform, s=(box_px,) * 3, workers=len(os.sched_getaffinity(0)))
        write_map(folder / f"floor{number}.mrc", Map(voxels, 1.0), "benchmark")


def _best(work: Callable[[], None]) -> tuple[float, float]:
    work()
    times = []
    for _ in range(REPEATS):
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        times.append((time.perf_counter() - wall, time.process_time() - cpu))
    return min(times)


if __name__ == "__main__":
    run()
