"""What is measured beyond a round's one number, in CPU time over that of F: two float32 `scipy.fft.rfftn` of the same box."""

import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from benchmarks.measuring import VOXEL_A, best_of, halves_of
from scipy import fft

from refine_hooks import fsc, masks
from refine_hooks.analysis.further import analyse
from refine_hooks.analysis.local_record import measured_locally
from refine_hooks.analysis.sampling import sampling
from refine_hooks.analysis.two_rounds import agreement, round_maps
from refine_hooks.analysis.views import Views
from refine_hooks.files.mrc import Map, Volume, read_map, write_map
from refine_hooks.log.masks import MaskRecord
from refine_hooks.model import Facts, Round
from refine_hooks.reconstruct.beside import widened
from refine_hooks.settings import Settings
from refine_hooks.sums import insertion
from refine_hooks.sums.plan import Plan, plan_for
from refine_hooks.sums.weights import even_weights
from refine_hooks.watch import loop

REPEATS, PARTICLES = 3, 1000
_LATER_S = 1.0  # so long after the line of the first round the second comes
FILLS = {"rod": None, "ball": 0.42}  # radius of a particle that fills much of the box, over its edge


def run(boxes: Sequence[int] = (128, 256)) -> None:
    """Rows as they are measured; the goal of local resolution is 12 F at 256."""
    for box_px in boxes:
        rows = {f"{work}, {name}": one for name, fill in FILLS.items() for work, one in _works(box_px, fill).items()}
        volumes = [half.voxels for half in halves_of(box_px)]
        _, floor = best_of(lambda v=volumes: [fft.rfftn(one, workers=1) for one in v], REPEATS)
        for name, work in rows.items():
            _, cpu = best_of(work, REPEATS)
            print(f"{box_px:<6}{name:<50}{cpu:>8.3f} s CPU{cpu / floor:>8.2f} F", flush=True)
        _whole_rounds(box_px)
        _reconstructions(box_px)


def _whole_rounds(box_px: int) -> None:
    """A round of a watch with and without what is beyond its one number; and how long one waits that comes meanwhile."""
    with tempfile.TemporaryDirectory() as folder:
        halves = _ball(box_px, 0.42)
        for number, half in enumerate(halves, 1):
            write_map(Path(folder) / f"half{number}.mrc", half, "benchmark")
        cpu: dict[bool, list[float]] = {True: [], False: []}
        for _ in range(REPEATS + 2):
            for beyond, found in cpu.items():
                found.append(_plain_round(Path(folder), beyond))
        plain, without = (statistics.median(cpu[beyond]) for beyond in (True, False))
        print(f"{box_px:<6}{'a plain round, from its files to its line':<50}{plain:>8.3f} s CPU")
        print(f"{box_px:<6}{'the same without sampling and local resolution':<50}{without:>8.3f} s CPU", flush=True)
        waits: dict[str, list[float]] = {"newest": [], "never": []}
        for _ in range(REPEATS):
            for local, found in waits.items():
                found.append(_wait_of_the_next(Path(folder), local))
        for local, found in waits.items():
            name = f"a second round a second later, local = {local}"
            print(f"{box_px:<6}{name:<50}{statistics.median(found):>8.3f} s CPU", flush=True)


def _watched(folder: Path, local: str) -> Any:
    """A watch of a project that has one round, of these half maps."""
    import small_program

    project = Path(tempfile.mkdtemp(dir=folder))
    _linked(folder, project, 1)
    views = np.random.default_rng(0).poisson(20, (18, 72)).astype(np.float64)
    settings = {"keep": {"min_free_GB": 0.0}, "analysis": {"local": local}}
    radius_A = 0.45 * VOXEL_A * read_map(folder / "half1.mrc").box_px
    facts = Facts(voxel_size_A=VOXEL_A, sphere_radius_A=radius_A, molecular_mass_kDa=100.0)

    def rounds(*given: Any) -> list[Round]:
        return [replace(round_, facts=facts) for round_ in small_program.program().rounds(*given)]

    return small_program.a_watch(project, None, settings, rounds=rounds, viewing_directions=lambda *_: views)


def _linked(folder: Path, project: Path, iteration: int) -> None:
    for half in (2, 1):  # the first is looked for
        (project / f"it{iteration}_half{half}.mrc").hardlink_to(folder / f"half{half}.mrc")


def _plain_round(folder: Path, beyond: bool) -> float:
    """CPU seconds until the first round of a project is in the log."""
    w = _watched(folder, "newest" if beyond else "never")
    off = nullcontext() if beyond else mock.patch("refine_hooks.analysis.sampling.sampling", return_value=None)
    with off:
        lines, begin = loop.logged_lines(w, iter([0.0])), time.process_time()
        next(lines)
        cpu_s = time.process_time() - begin
        lines.close()
    return cpu_s


def _wait_of_the_next(folder: Path, local: str) -> float:
    """CPU seconds from the files of a second round, which come while the first is looked at locally, to its line."""
    w, came = _watched(folder, local), []
    lines = loop.watched_lines(w)
    next(lines)

    def comes() -> None:
        _linked(folder, w.project, 2)
        came.append(time.process_time())

    threading.Timer(_LATER_S, comes).start()
    next(lines)
    wait_s = time.process_time() - came[0]
    lines.close()
    return wait_s


def _works(box_px: int, fill: float | None) -> dict[str, Callable[[], object]]:
    halves = halves_of(box_px) if fill is None else _ball(box_px, fill)
    made = masks.automask(halves[0].voxels, halves[1].voxels, VOXEL_A)
    assert made.values is not None
    mask, share = made.values, float(made.values.mean())
    about = MaskRecord(
        name="automask", role="automask", volume_A3=1.0, volume_fraction=share, parameters=made.parameters
    )
    views = Views(np.random.default_rng(0).poisson(20, (18, 72)).astype(np.float64))
    one, two = (half.voxels for half in halves)
    earlier = [
        (one + np.float32(0.02) * np.roll(one, n, 0), two + np.float32(0.02) * np.roll(two, n, 0)) for n in (3, 7)
    ]
    return {
        f"local resolution and parts, mask of {100 * share:.1f} %": lambda: measured_locally(
            *halves, mask, about, overall_A=4.0
        ),
        "directions, criteria, B factor": lambda: analyse(one, two, VOXEL_A, mask, "m", fsc.masked_fsc(one, two, mask)),
        "sampling by the angles": lambda: sampling(views),
        "convergence, two earlier rounds": lambda: _compared([(one, two), *earlier], mask),
    }


def _compared(rounds: Sequence[tuple[Volume, Volume]], mask: Volume) -> None:
    newest = round_maps(*rounds[0], mask)
    maps = [newest, *(round_maps(*halves, mask, newest) for halves in rounds[1:])]
    for i, j in ((0, 1), (0, 2), (1, 2)):
        assert agreement(maps[i], maps[j], mask) is not None


def _ball(box_px: int, radius: float) -> tuple[Map, Map]:
    from scipy import ndimage

    rng = np.random.default_rng(1)
    inside = masks.sphere(box_px, 1.0, radius * box_px, 6.0)
    texture = ndimage.gaussian_filter(rng.standard_normal(inside.shape, np.float32), 1.2)
    signal = (inside * (texture + 0.02)).astype(np.float32)
    one, two = (
        Map(signal + np.float32(0.1) * rng.standard_normal(inside.shape, np.float32), VOXEL_A) for _ in range(2)
    )
    return one, two


def _reconstructions(box_px: int) -> None:
    """Insertion with subsets and substituted images over a plain one, each from two sizes: a fixed part does not count."""
    import mrcfile
    from grown_particles import Grown, grown

    asked = {"subsets": {"subsets": True}, "substituted images": {"substitute_from_A": 8.0}}
    asked["both"] = asked["subsets"] | asked["substituted images"]
    with tempfile.TemporaryDirectory() as folder:
        particles = grown(Path(folder) / "grown.mrcs", Grown(box_px=32, particles=PARTICLES))
        with mrcfile.new_mmap(
            Path(folder) / "grown.mrcs", (PARTICLES, box_px, box_px), mrc_mode=2, overwrite=True
        ) as stack:
            stack.data[:] = np.random.default_rng(1).standard_normal((box_px, box_px), np.float32)
        plan = plan_for(particles, (box_px,), even_weights(particles), package="cistem", symmetry="C1")
        plain = _slope(plan)
        print(f"{box_px:<6}{'insertion, a particle':<50}{1000 * plain:>8.3f} ms CPU", flush=True)
        for name, settings in asked.items():
            more = _slope(widened(plan, Settings().reconstruct.model_copy(update=settings)))
            print(f"{box_px:<6}{'insertion with ' + name:<50}{more / plain:>8.2f} x a plain one", flush=True)


def _slope(plan: Plan) -> float:
    """CPU seconds a particle."""

    def cpu(part: Plan) -> float:
        begin = time.process_time()
        insertion.sums_of(part, threads=1)
        return time.process_time() - begin

    few = replace(plan.part(0, len(plan) // 4))
    return (min(cpu(plan) for _ in range(REPEATS)) - min(cpu(few) for _ in range(REPEATS))) / (
        len(plan) - len(plan) // 4
    )
