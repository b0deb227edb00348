"""Watches that are killed, cut off and robbed at random moments, project after project; what became of their rounds.

Every fault happens while a watch of its own process measures a small project. When all faults of a project are over, a watch
without faults goes through it, and its log and its half maps are compared with those of a watch that nothing ever happened to.
"""

import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
from full_disk import of_cistem
from small_program import a_watch, write_round

from refine_hooks.files.mrc import read_map
from refine_hooks.log.file import read_journal
from refine_hooks.log.folder import Store
from refine_hooks.log.records import RoundRecord
from refine_hooks.model import rank
from refine_hooks.testing import fingerprint
from refine_hooks.watch.loop import Watch, run

FAST = {
    "watch": {"settle_s": 0.0, "poll_s": 0.05},
    "automask": {"enabled": False},
    "fsc": {"repeats": 2},
    "keep": {"min_free_GB": 0.05},
}
FAULTS_OF_A_PROJECT = 8
NAMES = ("plain", "two words", "naïve", "line\nbreak", os.fsdecode(b"not \xff utf-8"), "l" * 200)


def small(project: Path, out: Path) -> Watch:
    """Three rounds of the tests' smallest program."""
    if not project.exists():
        project.mkdir(parents=True)
        for iteration in (1, 2, 3):
            write_round(project, iteration)
    return a_watch(project, None, FAST, store=Store(out))


def cistem(project: Path, out: Path) -> Watch:
    """One round of cisTEM's, from its dumps."""
    return of_cistem(project, out, FAST)


SCENES: dict[str, Callable[[Path, Path], Watch]] = {"small": small, "cistem": cistem}


class Watching:
    """A watch in a process of its own."""

    def __init__(self, scene: Callable[[Path, Path], Watch], project: Path, out: Path, file_bytes: int = 0) -> None:
        w = scene(project, out)
        self.pid = os.fork()
        if self.pid:
            return
        try:
            if file_bytes:
                resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))
            run(w, w.scan_times(None), live=True)
        finally:
            os._exit(0)

    def end(self, number: int) -> None:
        """Send a signal, and wait until the process is gone."""
        os.kill(self.pid, number)
        os.waitpid(self.pid, 0)


def inject(fault: str, scene: Callable[[Path, Path], Watch], project: Path, out: Path, chance: random.Random) -> int:
    """Let one fault happen to a watch; gives the signals that it was sent."""
    log = out / "rounds.jsonl"
    size = log.stat().st_size if log.exists() else 0
    watch = Watching(scene, project, out, chance.choice((20_000, 200_000)) if fault == "file size limit" else 0)
    time.sleep(chance.uniform(0.0, 1.5))
    if fault.startswith("log "):  # while it is written to: what is done to it before that nobody can know of
        _wait_until(lambda: log.exists() and log.stat().st_size > size)
    if fault == "folder away" and out.exists():
        away = out.with_name("away")
        out.rename(away)
        time.sleep(chance.uniform(0.1, 0.5))
        away.rename(out)
    elif fault == "log cut" and log.exists():
        os.truncate(log, chance.randrange(log.stat().st_size + 1))
    elif fault == "log deleted":
        log.unlink(missing_ok=True)
    time.sleep(0.3)
    watch.end(signal.SIGKILL if fault in ("kill", "spool deleted") else signal.SIGTERM)
    if fault == "spool deleted":
        shutil.rmtree(out / "spool", ignore_errors=True)
    return 1


def _wait_until(there: Callable[[], bool]) -> None:
    ends_s = time.monotonic() + 10.0
    while not there() and time.monotonic() < ends_s:
        time.sleep(0.02)


FAULTS = ("kill", "kill", "terminate", "folder away", "log cut", "log deleted", "file size limit", "spool deleted")


def maps_of(out: Path) -> dict[str, np.ndarray]:
    """The half maps that a log names, by round and half."""
    return {
        f"{record.key} half {half}": read_map(out / path).voxels
        for record in read_journal(out / "rounds.jsonl").rounds
        if record.half_maps is not None
        for half, path in enumerate(record.half_maps.paths, 1)
    }


def poorer(out: Path) -> int:
    """Lines of a round that follow a better one of it."""
    best: Counter[str] = Counter()
    found = 0
    for line in read_journal(out / "rounds.jsonl").lines:
        if isinstance(line, RoundRecord):
            here = rank(line.half_maps.origin if line.half_maps else None)
            found += here < best[str(line.key)]
            best[str(line.key)] = max(best[str(line.key)], here)
    return found


def play(seconds: float, seed: int = 1) -> dict[str, object]:
    """Project after project for so long; the counts."""
    chance, ends_s = random.Random(seed), time.monotonic() + seconds
    counts: Counter[str] = Counter()
    changed = 0
    with tempfile.TemporaryDirectory() as folder:
        expected = {}
        for name, scene in SCENES.items():
            run(scene(Path(folder, name), Path(folder, f"{name} out")), [0.0, 1.0])
            expected[name] = maps_of(Path(folder, f"{name} out"))
        while time.monotonic() < ends_s:
            name = chance.choice(list(SCENES))
            place = Path(folder, f"{counts['projects']}", chance.choice(NAMES))
            project, out, scene = place / "project", place / "out", SCENES[name]
            place.mkdir(parents=True)
            scene(project, out)
            before = fingerprint(project)
            faults = [chance.choice(FAULTS) for _ in range(FAULTS_OF_A_PROJECT)]
            for fault in faults:
                counts["signals"] += inject(fault, scene, project, out, chance)
                counts[fault] += 1
            run(scene(project, out), [0.0, 1.0, 2.0])
            found = maps_of(out)
            if found.keys() != expected[name].keys():
                print(f"{name}: {sorted(found)} after {faults}", file=sys.stderr)
            counts["projects"] += 1
            counts["maps"] += len(found)
            counts["rounds lost"] += len({key.rpartition(" half ")[0] for key in expected[name].keys() - found.keys()})
            counts["rounds poorer"] += poorer(out)
            counts["maps that differ"] += sum(
                not np.array_equal(found[key], expected[name][key]) for key in found.keys() & expected[name].keys()
            )
            changed += fingerprint(project) != before
            shutil.rmtree(Path(folder, f"{counts['projects'] - 1}"))
    told = ("projects", "signals", "maps", "rounds lost", "rounds poorer", "maps that differ")
    return {
        **{what: counts[what] for what in told},
        "faults": {fault: counts[fault] for fault in dict.fromkeys(FAULTS)},
        "projects bit-identical": "yes" if not changed else f"no: {changed} changed",
    }


def main(seconds: float) -> bool:
    """Print the counts; whether all is well."""
    counts = play(seconds)
    print(json.dumps(counts, indent=1))
    return not (counts["rounds lost"] or counts["rounds poorer"] or counts["maps that differ"]) and (
        counts["projects bit-identical"] == "yes"
    )
