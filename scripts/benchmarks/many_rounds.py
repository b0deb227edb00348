"""A long log: rounds with the curves of the demonstration's last one, stretched to the shells of a box of 384 and jittered."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from refine_hooks.demo import demonstrate
from refine_hooks.fourier import shell_frequency_per_A, voxels_in_shell
from refine_hooks.log import file as journal
from refine_hooks.log.records import LogLine, RoundRecord

BOX, VOXEL_A = 384, 1.0
SHELLS = BOX // 2 + 1
PER_SHELL = ("correlation", "randomised_mean", "randomised_sd", "sd")
_CHUNK = 250


def model(folder: Path) -> list[LogLine]:
    """The log of a demonstration that is played into ``folder``: its start, then its rounds."""
    return list(demonstrate(folder, 0.0).lines)


def write_log(path: Path, lines: list[LogLine], iterations: Iterable[int], run_: str = "") -> None:
    """Append the model's start, and rounds of these iterations that are like its last one; ``run_`` renames their run."""
    last = next(line for line in reversed(lines) if isinstance(line, RoundRecord))
    if run_:
        last = last.model_copy(update={"key": last.key.model_copy(update={"run": run_})})
    path.parent.mkdir(parents=True, exist_ok=True)
    journal.append(path, lines[:1])
    numbers = list(iterations)
    for first in range(0, len(numbers), _CHUNK):
        journal.append(path, [a_round(last, number) for number in numbers[first : first + _CHUNK]])


def stretched(values: tuple[float | None, ...] | None, rng: np.random.Generator) -> tuple[float, ...] | None:
    if values is None:
        return None
    known = np.array([v if v is not None else 0.0 for v in values])
    there = np.interp(np.linspace(0, 1, SHELLS), np.linspace(0, 1, len(known)), known)
    return tuple((there + 0.003 * rng.normal(size=SHELLS)).tolist())


def a_round(model: RoundRecord, iteration: int) -> RoundRecord:
    rng = np.random.default_rng(iteration)
    curves = [
        curve.model_copy(update={name: stretched(getattr(curve, name), rng) for name in PER_SHELL})
        for curve in model.curves
    ]
    return model.model_copy(
        update={
            "key": model.key.model_copy(update={"iteration": iteration}),
            "label": f"Round {iteration}",
            "box_px": BOX,
            "voxel_size_A": VOXEL_A,
            "frequency_per_A": tuple(shell_frequency_per_A(BOX, VOXEL_A).tolist()),
            "voxels_in_shell": tuple(voxels_in_shell(BOX).tolist()),
            "curves": tuple(curves),
        }
    )
