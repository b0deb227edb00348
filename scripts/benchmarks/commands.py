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
from benchmarks.measuring import VOXEL_A, halves_of, mask_of
from benchmarks.rounds import _timed, machine
from scipy import fft

from refine_hooks.files.mrc import Map, read_map, write_map
from refine_hooks.fourier import workers
from refine_hooks.kernels import memory

RUNS = 5
# A particle's length in boxes; the rod is the pair that the goals were set on.
PARTICLES = {"rod": None, "a fifth": 0.2, "half": 0.5, "most": 0.85}
_SMALLEST_PX = 128  # of a map that a mask is given for; below, start-up is all
COLUMNS = {
    "cold: wall s": ("cold", "wall s"),
    "CPU s": ("cold", "CPU s"),
    "peak GB": ("cold", "peak GB"),
    "with `--out`: wall s": ("out", "wall s"),
    "`--out`: CPU s": ("out", "CPU s"),
    "warm round: wall s": ("warm", "wall s"),
    "warm: CPU s": ("warm", "CPU s"),
    "wall / F": ("warm", "wall / F"),
    "page faults": ("warm", "page faults"),
}
GOALS: dict[int, dict[tuple[str, str], float]] = {
    32: {("cold", "wall s"): 0.45},
    128: {("cold", "wall s"): 1.0},
    256: {("cold", "wall s"): 1.3, ("cold", "CPU s"): 2.2, ("cold", "peak GB"): 0.7, ("warm", "CPU s"): 1.3},
    384: {("cold", "CPU s"): 7.0, ("cold", "peak GB"): 2.0},
}
OF_ALL: dict[tuple[str, str], float] = {("warm", "wall / F"): 9, ("warm", "page faults"): 500}
Figures = dict[str, float]


def run(boxes: Sequence[int], shapes: bool = True) -> None:
    """The guide's tables, printed as they are measured.

    Args:
        boxes: edges in pixels.
        shapes: particles that fill a fifth, half and most of the box, too, with and without a mask of the program's own.
    """
    for command, goal_s in (("--help", 0.1), ("", 0.15)):
        found = _cold([command]) if command else _median_of([sys.executable, "-c", "import refine_hooks"])
        name = command or "import refine_hooks"
        print(f"`{name}`: {found['wall s']:.2f} s ({goal_s:g}), {found['CPU s']:.2f} s CPU", flush=True)
    header = ["box", "particle", "mask given", *COLUMNS]
    print(f"\nMedians of {RUNS}, goals in brackets.\n", _row(header), _row(["---"] * len(header)), sep="\n", flush=True)
    for box_px in boxes:
        for particle, filling in PARTICLES.items() if shapes and box_px >= _SMALLEST_PX else [("rod", None)]:
            with tempfile.TemporaryDirectory() as place:
                _of_a_pair(Path(place), box_px, particle, filling)
    print("", machine(), sep="\n")


def run_peers(boxes: Sequence[int]) -> None:
    """The guide's table of other programs on the same half maps."""
    print("", *beside.HEADER, sep="\n", flush=True)
    for box_px in boxes:
        with tempfile.TemporaryDirectory() as place:
            halves, _ = _pair(Path(place), box_px, None)
            _timed_once(_command(["measure", *halves, "--out", str(Path(place) / "out")]))
            beside.run(Path(place), box_px, _cold(["measure", *halves]))
    print("", machine(), sep="\n")


def _pair(folder: Path, box_px: int, filling: float | None) -> tuple[list[str], str]:
    names = [str(folder / name) for name in ("half1.mrc", "half2.mrc", "own_mask.mrc")]
    maps = [*halves_of(box_px, filling), Map(mask_of(box_px, filling), VOXEL_A)]
    for name, map_ in zip(names, maps, strict=True):
        write_map(Path(name), map_, "benchmark")
    return names[:2], names[2]


def _of_a_pair(folder: Path, box_px: int, particle: str, filling: float | None) -> None:
    halves, mask = _pair(folder, box_px, filling)
    for given in ("no", "yes") if box_px >= _SMALLEST_PX else ("no",):
        masked = ["--mask", f"own={mask}"] if given == "yes" else []
        found = {"cold": _cold(["measure", *halves, *masked])}
        if filling is None and not masked:
            found["out"] = _cold(["measure", *halves, *masked, "--out", str(folder / "out")])
        found["warm"] = _warm([*halves, *([mask] if masked else [])])
        goals = GOALS.get(box_px, {}) | (OF_ALL if box_px >= _SMALLEST_PX else {})
        cells = [
            _cell(what, found.get(command, {}).get(what), goals.get((command, what)))
            for command, what in COLUMNS.values()
        ]
        print(_row([box_px, particle, given, *cells]), flush=True)


def _row(cells: Sequence[object]) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def _cell(name: str, value: float | None, goal: float | None) -> str:
    if value is None:
        return ""
    said = f"{value:.{0 if name == 'page faults' or value >= 100 else 1 if value >= 10 else 2}f}"
    return f"{said} ({goal:g})" if goal else said


def _cold(arguments: list[str]) -> Figures:
    return _median_of(_command(arguments))


def _command(arguments: list[str]) -> list[str]:
    return [sys.executable, "-c", "from refine_hooks.cli import main; main()", *arguments]


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
    return {"CPU s": usage.ru_utime + usage.ru_stime, "page faults": usage.ru_minflt}


def _warm(maps: list[str]) -> Figures:
    code = f"import sys; sys.path[:0] = {sys.path!r}; from benchmarks import commands; commands.rounds(*{maps!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return dict(json.loads(done.stdout))


def rounds(half1: str, half2: str, mask: str = "") -> None:
    """Measure one pair again and again in this process, and print the medians."""
    from benchmarks.rounds import _measure

    memory.keep()
    measure = _measure(Path(half1).parent, Path(mask) if mask else None)
    measure()
    transformed_s = min(_of_two_transforms(half1, half2) for _ in range(RUNS))
    found = []
    for _ in range(RUNS):
        before, began = _used(resource.getrusage(resource.RUSAGE_SELF)), time.perf_counter()
        measure()
        wall_s, after = time.perf_counter() - began, _used(resource.getrusage(resource.RUSAGE_SELF))
        found.append({"wall s": wall_s, **{name: after[name] - before[name] for name in after}})
    medians = _median(found)
    print(json.dumps({**medians, "wall / F": medians["wall s"] / transformed_s}))


def _of_two_transforms(half1: str, half2: str) -> float:
    voxels = [read_map(Path(half)).voxels for half in (half1, half2)]
    began = time.perf_counter()
    for half in voxels:
        fft.rfftn(half, workers=workers())
    return time.perf_counter() - began


def _median(runs: list[Figures]) -> Figures:
    return {name: statistics.median(each[name] for each in runs) for name in runs[0]}
