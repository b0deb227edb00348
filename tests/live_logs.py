"""Logs for the tests of report, live page and plot: written by the watcher itself on the small program's rounds."""

import shutil
from pathlib import Path

import numpy as np
import small_program
from scipy.ndimage import gaussian_filter

from refine_hooks.files.mrc import Map, write_map
from refine_hooks.log import file as journal
from refine_hooks.log.records import RoundRecord, Start
from refine_hooks.model import Key
from refine_hooks.watch.loop import run

BOX, VOXEL_A = 40, 3.0


def write_round(project: Path, iteration: int) -> None:
    """Two half maps of a small rod whose detail grows with the rounds, in noise that does not."""
    rng = np.random.default_rng(iteration)
    z, y, x = np.indices((BOX,) * 3) - BOX // 2
    rod = np.exp(-(((z / 3) ** 2 + (y / 4) ** 2 + (x / 9) ** 2) ** 2))
    texture = np.random.default_rng(0).normal(size=rod.shape)
    signal = rod * (1 + 8 * gaussian_filter(texture, 1.9 - 0.25 * iteration))
    for number in (1, 2):
        half = (signal + 0.5 * rng.normal(size=rod.shape)).astype(np.float32)
        write_map(project / f"it{iteration}_half{number}.mrc", Map(half, VOXEL_A), "test")


def measured_project(project: Path, rounds: int = 3, idle: bool = False) -> Path:
    """A project with some measured rounds; the watch looks once more after the last of them where it is to idle; its log."""
    project.mkdir(parents=True, exist_ok=True)
    for number in range(1, rounds + 1):
        write_round(project, number)
    settings = {"keep": {"min_free_GB": 0.0}, "analysis": {"local": "newest" if idle else "never"}}
    run(small_program.a_watch(project, [], settings), [0.0, 1.0, *([2.0] if idle else [])])
    return project / "refine_hooks" / "rounds.jsonl"


def copied(log: Path, project: Path) -> Path:
    """The same measured project at another place; returns its log."""
    shutil.copytree(log.parents[1], project)
    moved = project / "refine_hooks" / "rounds.jsonl"
    lines = [
        line.model_copy(update={"project": str(project)}) if isinstance(line, Start) else line
        for line in journal.read_journal(log).lines
    ]
    moved.unlink()
    journal.append(moved, lines)
    return moved


def rounds_of(log: Path) -> tuple[RoundRecord, ...]:
    return journal.read_journal(log).rounds


def another_round(log: Path, iteration: int, run_: str = "run", **changes: object) -> RoundRecord:
    """Append the log's first round once more under another key, as if it had just been measured."""
    record = rounds_of(log)[0]
    key = Key(run=run_, iteration=iteration, class_id=record.key.class_id)
    new = record.model_copy(update={"key": key, "label": f"it{iteration}", **changes})
    journal.append(log, [new])
    return new


def many_rounds(log: Path, count: int) -> None:
    """Append the log's rounds again and again under further iterations."""
    records = rounds_of(log)
    further = []
    for number in range(count):
        record = records[number % len(records)]
        key = record.key.model_copy(update={"iteration": 10 + number})
        further.append(record.model_copy(update={"key": key, "label": f"it{10 + number}"}))
    journal.append(log, further)
