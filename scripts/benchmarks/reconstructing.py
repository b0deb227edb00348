"""What a reconstruction costs beside its insertion: the particle table, the stacks, the fixed part; each with its goal beside."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np

TABLE_ROWS, STACK_IMAGES, STACK_BOX_PX = 850_000, 1500, 256
_COLUMNS = (
    "ImageName MicrographName AngleRot AngleTilt AnglePsi OriginXAngst OriginYAngst DefocusU DefocusV DefocusAngle PhaseShift "
    "CtfBfactor RandomSubset GroupNumber NrOfSignificantSamples MaxValueProbDistribution LogLikeliContribution OpticsGroup"
)


def run(boxes: Sequence[int] = (256,)) -> None:
    """The guide's table, a row a piece of work, printed as it is measured."""
    print("", "| reconstruct, beside insertion | CPU s | wall s | goal |", "|---|---|---|---|", sep="\n", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        _table(Path(folder))
        _stacks(Path(folder))
    for box_px in boxes:
        for rules, turns, goal in (("cistem", 0, ""), ("relion", 0, "10 s CPU at 256"), ("relion", 10, "")):
            searched = ", even weights searched" if turns else ""
            cpu_s, wall_s = _timed(lambda r=rules, t=turns, b=box_px: _finish(r, b, t))  # type: ignore[misc]
            _say(f"{box_px} fixed part, rules of {rules}{searched}", cpu_s, wall_s, goal)


def _say(what: str, cpu_s: float, wall_s: float, goal: str) -> None:
    print(f"| {what} | {cpu_s:.2f} | {wall_s:.2f} | {goal} |", flush=True)


def _timed(work: Callable[[], object]) -> tuple[float, float]:
    cpu_s, wall_s = time.process_time(), time.perf_counter()
    work()
    return time.process_time() - cpu_s, time.perf_counter() - wall_s


def _table(folder: Path) -> None:
    path = folder / "particles.star"
    rng = np.random.default_rng(1)
    with path.open("w") as file:
        file.write(
            "data_optics\n\nloop_\n_rlnOpticsGroup\n_rlnVoltage\n_rlnSphericalAberration\n_rlnAmplitudeContrast\n"
        )
        file.write("_rlnImagePixelSize\n_rlnImageSize\n1 300 2.7 0.1 1.5 256\n\ndata_particles\n\nloop_\n")
        file.writelines(f"_rln{label}\n" for label in _COLUMNS.split())
        for i, numbers in enumerate(np.abs(rng.normal(0, 99, (TABLE_ROWS // 200, 10)))):
            values = " ".join(f"{value:12.6f}" for value in numbers)
            where = f"Motion/job002/Movies/FoilHole_{i:07d}_data_{i % 97:07d}.mrc"
            file.writelines(
                f"{k + 1:06d}@Extract/job012/Movies/FoilHole_{i:07d}_data_{i % 97:07d}.mrcs {where} {values} {k % 2 + 1:12d} "
                f"{i + 1:12d} {k:12d} {k / 200:12.6f} {values[:12]} {1:12d}\n"
                for k in range(200)
            )
    size_MB = path.stat().st_size / 1e6
    done = subprocess.run([sys.executable, __file__, str(path)], capture_output=True, text=True, check=True)
    cpu_s, wall_s, taken_MB = map(float, done.stdout.split())
    what = f"table of {size_MB:.0f} MB read; {taken_MB / size_MB:.1f} x its size of memory"
    _say(what, cpu_s, wall_s, "4 s, 3 x at 300 MB")


def read_table(path: Path) -> None:
    """Read a table in this process; prints CPU and wall seconds, and MB of memory that it took."""
    from refine_hooks.particles import read_particles

    before_MB = _peak_MB()
    cpu_s, wall_s = _timed(lambda: read_particles(path))
    print(cpu_s, wall_s, _peak_MB() - before_MB)


def _peak_MB() -> float:
    """Of this process's own memory; getrusage would count that of the process it was forked from."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def _stacks(folder: Path) -> None:
    import mrcfile

    from refine_hooks.particles import stacks

    shape = STACK_IMAGES, STACK_BOX_PX, STACK_BOX_PX
    for mode, dtype in ((2, np.float32), (12, np.float16)):
        path = folder / f"mode_{mode}.mrcs"
        with mrcfile.new_mmap(path, shape, mrc_mode=mode) as stack:
            stack.data[:] = np.random.default_rng(1).standard_normal(shape[1:]).astype(dtype)
        rows = SimpleNamespace(
            used=np.ones(STACK_IMAGES, bool),
            stack=np.zeros(STACK_IMAGES, np.int64),
            image=np.arange(1, STACK_IMAGES + 1),
            half=np.arange(STACK_IMAGES) % 2 + 1,
            stacks=(path,),
        )
        plan = stacks.blocks(rows, (STACK_BOX_PX,), 256)  # type: ignore[arg-type]
        floor = min(_timed(path.read_bytes)[1] for _ in range(3))
        runs = [_timed(lambda r=rows, p=plan: sum(1 for _ in stacks.read_images(r, p))) for _ in range(3)]  # type: ignore[misc]
        cpu_s, wall_s = min(runs)
        _say(
            f"{shape[0]} images of {shape[1]} px, mode {mode}", cpu_s, wall_s, f"the file's bytes alone: {floor:.2f} s"
        )


def _finish(rules: str, box_px: int, turns: int) -> None:
    """What follows the insertion, of both halves."""
    from refine_hooks.sums import cistem, insertion, relion

    padding = 2 if rules == "relion" else 1
    half = padding * box_px // 2
    plan = SimpleNamespace(package=rules, padding=padding, box_px=box_px, half=half, voxel_size_A=1.0, symmetry="C1")
    plan.helix, plan.particles = None, SimpleNamespace(half=np.array([1, 2]))
    sums = np.random.default_rng(1).random((2, 2 * half + 3, 2 * half + 3, half + 2, 4), np.float32)
    insertion.apply_symmetry(plan, sums)  # type: ignore[arg-type]
    for number in (1, 2):
        if rules == "cistem":
            cistem.half_map(insertion.fourier_sums(plan, sums, number), use_up=True)  # type: ignore[arg-type]
            continue
        relion.half_map_of_inserted(sums[number - 1], relion.Grid(box_px, padding, box_px), turns)


if __name__ == "__main__":
    read_table(Path(sys.argv[1]))
