"""Inserting particles, beside relion_reconstruct on the same particles in the same run: one thread each, CPU time.

A particle's cost is the slope between two runs of different size, so that start-up and the finish of the map do not count.
"""

import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from benchmarks.rounds import _timed

REPEATS = 3
_COUNTS = {64: 4000, 128: 1200, 256: 1200}
_RULES = ("relion", "cistem", "cistem, normalised")
_GOALS_MS = {("cistem", 64): 0.05, ("cistem", 128): 0.18, ("cistem", 256): 0.85}
_TWO_THREADS_GOAL = 1.9
_LOOP_S = 0.2
CHILD = "import sys; sys.path[:0] = {path!r}; from benchmarks import insertion; insertion.work(*sys.argv[1:])"


def run(boxes: Sequence[int] = (64, 128, 256)) -> list[str]:
    """The guide's table, a row a box; then whether the time grows in proportion."""
    ours = [f"ours, rules of {rules}" for rules in _RULES]
    header = [
        "box",
        "relion_reconstruct",
        *ours,
        "two threads: as fast as one",
        "CPU of two / one",
        "a plain loop on two",
    ]
    rows = [_row(header), _row(["---"] * len(header))]
    print("\nms of CPU a particle on one thread, peak MB; goals in brackets.\n", *rows, sep="\n", flush=True)
    for box_px in boxes:
        count = _COUNTS.get(box_px, 1200)
        with tempfile.TemporaryDirectory() as folder:
            star = _particles(Path(folder), box_px, count)
            relion = _relion(star, count) if shutil.which("relion_reconstruct") else None
            cells = [f"{1000 * relion[0]:.2f} ms, {relion[1]:.0f} MB" if relion else ""]
            cells += [_ours(star, rules, count, box_px, relion) for rules in _RULES]
            rows.append(_row([str(box_px), *cells, *_two_threads(star, count)]))
            print(rows[-1], flush=True)
    if 64 in boxes:
        with tempfile.TemporaryDirectory() as folder:
            star = _particles(Path(folder), 64, _COUNTS[64])
            times = [_child(star, "cistem", n)[0] for n in (1000, 2000, 4000)]
        rows.append("\nSeconds for 1000, 2000, 4000 particles at box 64: " + ", ".join(f"{t:.3f}" for t in times))
        print(rows[-1], flush=True)
    return rows


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _ours(star: Path, rules: str, count: int, box_px: int, relion: tuple[float, float] | None) -> str:
    (seconds, _, peak), (fewer, _, _) = _child(star, rules, count), _child(star, rules, count // 4)
    slope = (seconds - fewer) / (count - count // 4)
    goal = _GOALS_MS.get((rules, box_px))
    cell = f"{1000 * slope:.3f} ms" + (f" ({goal:g})" if goal else "")
    return cell + (f", {relion[0] / slope:.1f} x" if relion else "") + f", {peak:.0f} MB"


def _two_threads(star: Path, count: int) -> list[str]:
    """How much sooner two threads are done, beside the same of a loop that shares nothing, which says what the machine allows."""
    (one_s, one_wall_s, _), (two_s, two_wall_s, _) = (_child(star, "cistem", count, threads) for threads in (1, 2))
    faster = f"{one_wall_s / two_wall_s:.2f} x ({_TWO_THREADS_GOAL:g})"
    return [faster, f"{two_s / one_s:.2f}", f"{_plain_loop():.2f} x"]


def _plain_loop() -> float:
    """How much faster two threads are at work that stays in each core's own cache: sines of a few numbers, again and again."""

    def loop(times: int) -> None:
        angles = np.linspace(0, 1e3, 1 << 14)
        sines = np.empty_like(angles)
        for _ in range(times):
            np.sin(angles, out=sines)

    best = []
    with ThreadPoolExecutor(2) as pool:
        loop(10)
        began = time.perf_counter()
        loop(200)
        times = int(200 * _LOOP_S / (time.perf_counter() - began)) + 1
        for _ in range(2 * REPEATS):
            began = time.perf_counter()
            loop(2 * times)
            one_s, began = time.perf_counter() - began, time.perf_counter()
            list(pool.map(loop, [times, times]))
            best.append((one_s, time.perf_counter() - began))
    return min(one for one, _ in best) / min(two for _, two in best)


def _particles(folder: Path, box_px: int, count: int) -> Path:
    """A stack of noise with directions all over the sphere, and its data.star; what is in the images costs nothing."""
    import mrcfile
    from scipy.spatial.transform import Rotation

    rng = np.random.default_rng(box_px)
    with mrcfile.new_mmap(folder / "stack.mrcs", (count, box_px, box_px), mrc_mode=2) as stack:
        for i in range(count):
            stack.data[i] = rng.standard_normal((box_px, box_px), np.float32)
    angles = Rotation.random(count, random_state=1).as_euler("ZYZ", degrees=True)
    labels = (
        "ImageName AngleRot AngleTilt AnglePsi OriginXAngst OriginYAngst DefocusU DefocusV DefocusAngle RandomSubset"
    )
    optics = "OpticsGroup Voltage SphericalAberration AmplitudeContrast ImagePixelSize ImageSize ImageDimensionality"
    lines = [
        "data_optics",
        "",
        "loop_",
        *(f"_rln{name}" for name in optics.split()),
        f"1 300 2.7 0.1 1.5 {box_px} 2",
        "",
    ]
    lines += ["data_particles", "", "loop_", *(f"_rln{name}" for name in [*labels.split(), "OpticsGroup"])]
    for i, (phi, theta, psi) in enumerate(angles):
        x, y, defocus = *rng.normal(0, 3, 2), rng.uniform(8000, 25000)
        # One half only: relion_reconstruct makes one map a run.
        lines.append(
            f"{i + 1:06d}@stack.mrcs {phi:.3f} {theta:.3f} {psi:.3f} {x:.3f} {y:.3f} {defocus:.1f} {defocus - 300:.1f} 40.0 1 1"
        )
    path = folder / "particles.star"
    path.write_text("\n".join([*lines, ""]))
    return path


def _measured(command: list[str], folder: Path) -> tuple[float, float, str]:
    """CPU seconds, peak memory in MB and the output of a program that runs to its end."""
    said = folder / "said.txt"
    found = _timed(command, said, folder)
    return found["cpu_s"], found["peak_GB"] * 1000, said.read_text(errors="replace")


def _relion(star: Path, count: int) -> tuple[float, float]:
    """Slope and peak of relion_reconstruct, without its search for even weights: that belongs to the finish."""
    few = star.with_name("few.star")
    lines = star.read_text().splitlines()
    few.write_text("\n".join([*lines[: len(lines) - count * 3 // 4], ""]))
    best, peak = [], 0.0
    for path in (few, star):
        command = ["relion_reconstruct", "--i", path.name, "--o", "map.mrc", "--ctf", "--skip_gridding"]
        runs = [_measured(command, star.parent) for _ in range(REPEATS)]
        best.append(min(seconds for seconds, _, _ in runs))
        peak = max(peak, *(memory for _, memory, _ in runs))
    return (best[1] - best[0]) / (count - count // 4), peak


def _child(star: Path, rules: str, count: int, threads: int = 1) -> tuple[float, float, float]:
    """Least CPU and wall seconds of inserting some particles in a process of its own, and its peak memory."""
    command = [sys.executable, "-c", CHILD.format(path=sys.path), str(star), rules, str(count), str(threads)]
    _, peak, text = _measured(command, star.parent)
    cpu_s, wall_s = map(float, text.split()[-2:])
    return cpu_s, wall_s, peak


def work(star: str, rules: str, count: str, threads: str) -> None:
    """Insert the first particles of a table, and print the least CPU and wall seconds of some runs."""
    from refine_hooks.particles import read_particles, stacks
    from refine_hooks.sums import insertion, normalise
    from refine_hooks.sums.plan import plan_for
    from refine_hooks.sums.weights import even_weights

    particles = read_particles(Path(star)).rows(slice(0, int(count)))
    boxes = stacks.checked_boxes(particles)
    package = rules.partition(",")[0]
    options = {"whitening": normalise.whitening_filter(particles, boxes, 0.6 * boxes[0])} if package != rules else {}
    plan = plan_for(particles, boxes, even_weights(particles), package=package, symmetry="C1", **options)  # type: ignore[arg-type]
    sums = insertion.empty_sums(plan)
    times = []
    for _ in range(REPEATS + 1):
        began, began_wall = time.process_time(), time.perf_counter()
        for _ in insertion.insert(plan, sums, threads=int(threads)):
            pass
        times.append((time.process_time() - began, time.perf_counter() - began_wall))
    print(*(min(each) for each in zip(*times, strict=True)))
