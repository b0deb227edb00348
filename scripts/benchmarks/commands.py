"""Commands as a user starts them, and rounds as a watch makes them: medians of five, with the goals beside.

A cold command is a process of its own, everything included; a warm round is one in a process that has measured before. F is two
float32 transforms of the same box on all cores, timed in the same process as the warm rounds.
"""

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import peers as beside
from benchmarks.measuring import halves_of
from benchmarks.rounds import _timed, machine
from scipy import fft

from refine_hooks.files.mrc import read_map, write_map
from refine_hooks.fourier import workers
from refine_hooks.kernels import memory

RUNS = 5
COLUMNS = ("wall s", "CPU s", "kernel s", "peak GB", "page faults", "wall / F")
ROW = "{:<5} {:<34}" + "{:>13}" * len(COLUMNS)
# Of the wall time, of CPU time and of memory, where there is one.
GOALS: dict[tuple[int, str], dict[str, float]] = {
    (0, "refine-hooks --help"): {"wall s": 0.1},
    (0, "import refine_hooks"): {"wall s": 0.15},
    (32, "measure, cold"): {"wall s": 0.45},
    (128, "measure, cold"): {"wall s": 1.0},
    (256, "measure, cold"): {"wall s": 1.3, "CPU s": 2.2, "peak GB": 0.7},
    (384, "measure, cold"): {"CPU s": 7.0, "peak GB": 2.0},
    (128, "measure, warm"): {"page faults": 500, "wall / F": 9},
    (256, "measure, warm"): {"page faults": 500, "wall / F": 9, "CPU s": 1.3},
    (384, "measure, warm"): {"page faults": 500, "wall / F": 9},
}
Figures = dict[str, float]


def run(boxes: Sequence[int], peers: bool = False) -> None:
    """The table, printed as it is measured."""
    print(ROW.format("box", f"median of {RUNS}: figure (goal)", *COLUMNS), flush=True)
    _say(0, "refine-hooks --help", _cold(["--help"]))
    _say(
        0,
        "import refine_hooks",
        _median_of([sys.executable, "-c", "import refine_hooks"]),
    )
    for box_px in boxes:
        with tempfile.TemporaryDirectory() as place:
            _of_a_box(Path(place), box_px, peers)
    print(machine())


def _of_a_box(folder: Path, box_px: int, peers: bool) -> None:
    halves = []
    for number, half in enumerate(halves_of(box_px), 1):
        halves.append(str(folder / f"half{number}.mrc"))
        write_map(Path(halves[-1]), half, "benchmark")
    _say(box_px, "measure, cold", _cold(["measure", *halves]))
    _say(box_px, "measure --out, cold", _cold(["measure", *halves, "--out", str(folder / "out")]))
    _say(box_px, "measure, warm", _warm(halves))
    if peers:
        beside.run(folder, box_px, lambda what, found: _say(box_px, what, found))


def _cold(arguments: list[str]) -> Figures:
    command = [sys.executable, "-c", "from refine_hooks.cli import main; main()", *arguments]
    return _median_of(command)


def _median_of(command: list[str]) -> Figures:
    """Of five runs; the memory is that of one more, which is watched."""
    return {**_median([_timed_once(command) for _ in range(RUNS)]), "peak GB": _timed(command)["peak_GB"]}


def _timed_once(command: list[str]) -> Figures:
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError(f"{' '.join(command)} ended with {status}")
    return {"wall s": time.perf_counter() - began, **_used(usage)}


def _used(usage: Any) -> Figures:
    return {"CPU s": usage.ru_utime + usage.ru_stime, "kernel s": usage.ru_stime, "page faults": usage.ru_minflt}


def _warm(halves: list[str]) -> Figures:
    code = f"import sys; sys.path[:0] = {sys.path!r}; from benchmarks import commands; commands.rounds(*{halves!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout))


def rounds(half1: str, half2: str) -> None:
    """Measure one pair again and again in this process, and print the medians."""
    from benchmarks.rounds import _measure

    memory.keep()
    folder = Path(half1).parent
    measure = _measure(folder)
    measure()
    transformed_s = min(_of_two_transforms(half1, half2) for _ in range(RUNS))
    found = []
    for _ in range(RUNS):
        before, began = _used(resource.getrusage(resource.RUSAGE_SELF)), time.perf_counter()
        measure()
        wall_s, after = time.perf_counter() - began, _used(resource.getrusage(resource.RUSAGE_SELF))
        found.append({"wall s": wall_s, **{name: after[name] - before[name] for name in after}})
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    medians = _median(found)
    print(json.dumps({**medians, "peak GB": peak, "wall / F": medians["wall s"] / transformed_s}))


def _of_two_transforms(half1: str, half2: str) -> float:
    voxels = [read_map(Path(half)).voxels for half in (half1, half2)]
    began = time.perf_counter()
    for half in voxels:
        fft.rfftn(half, workers=workers())
    return time.perf_counter() - began


def _median(runs: list[Figures]) -> Figures:
    return {name: statistics.median(each[name] for each in runs) for name in runs[0]}


def _say(box_px: int, what: str, found: Figures) -> None:
    goals = GOALS.get((box_px, what), {})
    cells = []
    for name in COLUMNS:
        value = f"{found[name]:.{0 if name == 'page faults' else 2}f}" if name in found else ""
        cells.append(f"{value} ({goals[name]:g})" if name in goals else value)
    print(ROW.format(box_px or "", what, *cells), flush=True)
