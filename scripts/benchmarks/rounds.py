"""Whole rounds, each work in a process of its own, beside a floor and beside RELION's programs on the same files.

A round is everything from the dumps of Fourier sums (2 + 2 chunks), or from two half maps on disk, to the half maps, masks and
pictures that are written and the record. The floor is reading the same inputs, a float32 transform a half, and writing two half
maps and a mask. Start-up (imports and compiled kernels, which a watch pays once) is told apart.
"""

import json
import os
import platform
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.measuring import VOXEL_A, halves_of
from scipy import fft

from refine_hooks.files.mrc import Volume, read_map, write_map
from refine_hooks.fourier import workers
from refine_hooks.log.records import HalfMapsRecord
from refine_hooks.measure import measure_halves, read_users_mask, round_record
from refine_hooks.model import Facts, HalfMaps, Key, Round, fingerprint_of
from refine_hooks.settings import load_settings
from refine_hooks.sums.cistem import half_maps_from_dumps

CHUNK_WEIGHT = 5000.0
_LOW_PASS_A = 15.0
REPEATS = 3
CODE = "import sys; sys.path[:0] = {path!r}; from benchmarks import rounds; rounds.work({name!r}, {folder!r})"


def run(boxes: Sequence[int] = (128, 256, 384), peers_up_to_px: int = 384) -> list[str]:
    """The rows of the table, printed as they are measured."""
    rows = [
        "",
        "| box | work | wall s | CPU s | peak GB | wall / F | wall / floor | CPU of RELION's pair / ours |",
        "|---|---|---|---|---|---|---|---|",
    ]
    print(*rows, sep="\n", flush=True)
    for box_px in boxes:
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            _prepare(folder, box_px)
            found = {
                name: _in_a_process(name, folder) for name in ("two transforms", "floor", "measure", "round from dumps")
            }
            peers = _relion(folder, box_px) if box_px <= peers_up_to_px and shutil.which("relion_mask_create") else {}
            pair_s = sum(each["cpu_s"] for each in peers.values())
            for name, each in (found | peers).items():
                floors = " | ".join(
                    f"{each['wall_s'] / found[floor]['wall_s']:.1f}" if name in found else ""
                    for floor in ("two transforms", "floor")
                )
                ratio = f"{pair_s / each['cpu_s']:.0f}" if pair_s and name in ("measure", "round from dumps") else ""
                figures = " | ".join(f"{each[figure]:.2f}" for figure in ("wall_s", "cpu_s", "peak_GB"))
                what = f"{name}: {100 * mask_share(folder):.1f} % of the box" if name == "relion_mask_create" else name
                rows.append(f"| {box_px} | {what} | {figures} | {floors} | {ratio} |")
                print(rows[-1], flush=True)
    print("", machine(), sep="\n")
    return rows


def that_fit(boxes: Sequence[int] = (128, 256, 384, 512)) -> list[int]:
    """The boxes whose rounds fit into the memory that is free now, with the files of one in the system's cache."""
    free = re.search(r"MemAvailable:\s*(\d+)", Path("/proc/meminfo").read_text())
    return [box_px for box_px in boxes if free and 20 * 4 * box_px**3 < int(free[1]) * 1024]


def machine() -> str:
    """What these figures were measured on."""
    cpu = re.search(r"model name\s*:\s*(.*)", Path("/proc/cpuinfo").read_text())
    memory = re.search(r"MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text())
    cores = len(os.sched_getaffinity(0))
    gigabytes = int(memory[1]) / 1e6 if memory else 0
    software = f"Python {platform.python_version()}, NumPy {np.__version__}"
    return f"{cores} cores of {cpu[1] if cpu else platform.machine()}, {gigabytes:.0f} GB, {software}"


def _prepare(folder: Path, box_px: int) -> None:
    """Half maps, the dumps that they can be merged from, and a plain file of both sizes."""
    for number, half in enumerate(halves_of(box_px), 1):
        write_map(folder / f"half{number}.mrc", half, "benchmark")
        transform = fft.rfftn(half.voxels, norm="forward", workers=workers())
        for axis in range(3):
            shape = [1, 1, 1]
            shape[axis] = transform.shape[axis]
            transform *= ((-1.0) ** np.arange(transform.shape[axis], dtype=np.float32)).reshape(shape)
        transform *= (2 * CHUNK_WEIGHT + 100) / 2
        weight = np.full(transform.shape, CHUNK_WEIGHT, np.float32)
        for chunk in (1, 2):
            numbers = (*[box_px] * 6, 100, VOXEL_A, VOXEL_A, 100.0, 30.0, 2.0, b"C1  ", number, 1)
            with (folder / f"{'odd' if number == 1 else 'even'}_{chunk}.dump").open("wb") as stream:
                stream.write(struct.pack("<7i5f4s2i", *numbers))
                transform.astype(np.complex64).tofile(stream)
                weight.tofile(stream)


def _facts(box_px: int) -> Facts:
    return Facts(voxel_size_A=VOXEL_A, molecular_mass_kDa=100.0, sphere_radius_A=0.4 * box_px * VOXEL_A)


def _two_transforms(folder: Path) -> Callable[[], object]:
    halves = [read_map(folder / f"half{number}.mrc").voxels for number in (1, 2)]
    return lambda: [fft.rfftn(half, workers=workers()) for half in halves]


def _floor(folder: Path) -> Callable[[], object]:
    dumps = sorted(folder.glob("*.dump"))
    (folder / "floor").mkdir(exist_ok=True)

    def floor() -> None:
        raw = [np.fromfile(path, np.float32, offset=60) for path in dumps]
        del raw
        for number in (1, 2):
            half = read_map(folder / f"half{number}.mrc")
            fft.rfftn(half.voxels, workers=workers())
            write_map(folder / "floor" / f"half{number}.mrc", half, "benchmark")
        write_map(folder / "floor" / "mask.mrc", half, "benchmark")

    return floor


def _measure(folder: Path, mask: Path | None = None) -> Callable[[], object]:
    settings = load_settings()

    def measure() -> str:
        paths = (folder / "half1.mrc", folder / "half2.mrc")
        halves = HalfMaps(read_map(paths[0]), read_map(paths[1]), "found", paths)
        facts = _facts(halves.half1.box_px)
        round_ = Round(Key(run="m", iteration=1, class_id=1), "files", "m", fingerprint_of(folder, paths), facts)
        named = [read_users_mask("own", mask, halves.half1)] if mask else []
        measurement = measure_halves(halves, facts, settings, named)
        masks = tuple(mask.record for mask in measurement.masks)
        record = round_record(round_, halves, measurement, HalfMapsRecord(origin="found"), masks)
        return record.model_dump_json()

    return measure


def _round(folder: Path) -> Callable[[], object]:
    from small_program import a_watch

    from refine_hooks.log.folder import Store
    from refine_hooks.watch.inputs import measured

    odd, even = (sorted(folder.glob(f"{half}_*.dump")) for half in ("odd", "even"))

    def half_maps(*_: Any) -> HalfMaps:
        half1, half2, images = half_maps_from_dumps(odd, even)
        return HalfMaps(half1, half2, "merged", images=images)

    store = Store(folder / "out")
    store.make()
    w = a_watch(folder, [], half_maps=half_maps, store=store)
    box_px = read_map(folder / "half1.mrc").box_px
    round_ = Round(
        Key(run="run", iteration=1, class_id=1), "test", "it1", fingerprint_of(folder, [*odd, *even]), _facts(box_px)
    )
    return lambda: measured(w.config, w.known, round_, w.counts)


WORKS = {"two transforms": _two_transforms, "floor": _floor, "measure": _measure, "round from dumps": _round}


def work(name: str, folder: str) -> None:
    """Prepare and repeat one work, and print what it cost; a small round before it loads all that is loaded once."""
    with tempfile.TemporaryDirectory() as place:
        _prepare(Path(place), 48)
        WORKS[name](Path(place))()
    start_up_s = time.process_time()
    task, times = WORKS[name](Path(folder)), []
    for _ in range(REPEATS):
        wall, cpu = time.perf_counter(), time.process_time()
        task()
        times.append((time.process_time() - cpu, time.perf_counter() - wall))
    peak = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    figures = {
        "cpu_s": min(t[0] for t in times),
        "wall_s": min(t[1] for t in times),
        "peak_GB": int(peak[1]) * 1024 / 1e9 if peak else 0.0,
        "start_up_s": start_up_s,
    }
    print(json.dumps(figures))


def _in_a_process(name: str, folder: Path) -> dict[str, float]:
    here = Path(__file__).resolve().parent.parent
    code = CODE.format(path=[str(here), str(here.parent), str(here.parent / "tests")], name=name, folder=str(folder))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return dict(json.loads(done.stdout.splitlines()[-1]))


def _relion(folder: Path, box_px: int) -> dict[str, dict[str, float]]:
    """RELION's pair: a mask from one half at a level that holds the particle, extended and softened as users do, and one null."""
    level = float(np.quantile(_low_passed(read_map(folder / "half1.mrc").voxels, _LOW_PASS_A), 0.99))
    halves = [str(folder / f"half{number}.mrc") for number in (1, 2)]
    mask = str(folder / "relion_mask.mrc")
    # It takes names that end as RELION's own do.
    names = [str(folder / f"relion_half{number}_class001_unfil.mrc") for number in (1, 2)]
    for half, name in zip(halves, names, strict=True):
        shutil.copy(half, name)
    make = [
        "relion_mask_create",
        "--i",
        names[0],
        "--o",
        mask,
        "--ini_threshold",
        str(level),
        "--lowpass",
        str(_LOW_PASS_A),
        "--angpix",
        str(VOXEL_A),
    ]
    make += ["--extend_inimask", "3", "--width_soft_edge", "6", "--j", str(len(os.sched_getaffinity(0)))]
    post = [
        "relion_postprocess",
        "--i",
        names[0],
        "--mask",
        mask,
        "--angpix",
        str(VOXEL_A),
        "--o",
        str(folder / "post"),
        "--auto_bfac",
    ]
    made = _timed(make)
    if not mask_share(folder):
        raise RuntimeError(f"relion_mask_create made an empty mask of box {box_px} at the level {level:g}")
    return {"relion_mask_create": made, "relion_postprocess": _timed(post)}


def mask_share(folder: Path) -> float:
    """How much of the box lies in the mask that RELION made."""
    return float(np.mean(read_map(folder / "relion_mask.mrc").voxels > 0.5))


def _low_passed(voxels: Volume, finest_A: float) -> Volume:
    """What RELION takes its level of: without the noise beyond that resolution."""
    spectrum = np.fft.rfftn(voxels)
    along = [np.square(np.fft.fftfreq(n, VOXEL_A)) for n in voxels.shape[:2]]
    last = np.square(np.fft.rfftfreq(voxels.shape[2], VOXEL_A))
    spectrum[along[0][:, None, None] + along[1][:, None] + last > finest_A**-2] = 0
    return np.asarray(np.fft.irfftn(spectrum, voxels.shape, (0, 1, 2)), np.float32)


def _timed(command: list[str], said: Path = Path(os.devnull), folder: Path | None = None) -> dict[str, float]:
    """What a command costs, in a folder; what it says goes into a file."""
    began, peak_kB = time.perf_counter(), 0
    with said.open("wb") as file:
        process = subprocess.Popen(command, cwd=folder, stdout=file, stderr=subprocess.STDOUT)
    while True:
        # Not ru_maxrss: that of a child begins with its parent's.
        found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{process.pid}/status").read_text())
        peak_kB = int(found[1]) if found else peak_kB
        ended, status, usage = os.wait4(process.pid, os.WNOHANG)
        if ended:
            break
        time.sleep(0.02)
    if status:
        raise RuntimeError(f"{' '.join(command)} ended with {status}")
    wall_s = time.perf_counter() - began
    return {"wall_s": wall_s, "cpu_s": usage.ru_utime + usage.ru_stime, "peak_GB": peak_kB * 1024 / 1e9}
