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
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
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

    def send(self, number: int) -> None:
        """Send a signal."""
        os.kill(self.pid, number)

    def wait(self) -> None:
        """Wait until the process is gone."""
        os.waitpid(self.pid, 0)


@dataclass
class Played:
    """One project that faults happen to; ``before`` is what its files were."""

    scene: str
    project: Path
    out: Path
    before: object = None

    @classmethod
    def of(cls, scene: str, place: Path) -> "Played":
        """A new one."""
        place.mkdir(parents=True)
        made = cls(scene, place / "project", place / "out")
        made.watch()
        made.before = fingerprint(made.project)
        return made

    def watch(self) -> Watch:
        """A watch that has not begun."""
        return SCENES[self.scene](self.project, self.out)


def inject(fault: str, group: list[Played], chance: random.Random) -> Counter[str]:
    """Let one fault happen to the watches of some projects at once; counts the signals that they were sent."""
    counts: Counter[str] = Counter()
    sizes = {played.out: _size(played.out) for played in group}
    limit = chance.choice((20_000, 200_000)) if fault == "file size limit" else 0
    watches = [Watching(SCENES[played.scene], played.project, played.out, limit) for played in group]
    time.sleep(chance.uniform(0.0, 1.5))
    for played in group:
        # What is done to a log before it is written to nobody can know of, and a watch that has not begun makes its folder.
        if fault.startswith(("log ", "folder")):
            _wait_until(lambda out=played.out: _size(out) > sizes[out])
        counts["folders made anew"] += _harm(fault, played.out, chance)
    time.sleep(0.3)
    if fault == "stopped":
        for number in (signal.SIGSTOP, signal.SIGCONT):
            for watch in watches:
                watch.send(number)
            time.sleep(chance.uniform(0.0, 1.0))
        counts["signals"] += 2 * len(watches)
    for watch in watches:
        watch.send(signal.SIGKILL if fault in ("kill", "spool deleted") else signal.SIGTERM)
    for played, watch in zip(group, watches, strict=True):
        watch.wait()
        if fault == "spool deleted":
            shutil.rmtree(played.out / "spool", ignore_errors=True)
        if fault == "log deleted at rest":
            (played.out / "rounds.jsonl").unlink(missing_ok=True)
    counts["signals"] += len(watches)
    return counts


def _harm(fault: str, out: Path, chance: random.Random) -> int:
    """Do it; how many output folders were made in the place of one that was away."""
    log = out / "rounds.jsonl"
    if fault == "folder away":
        away = out.with_name("away")
        out.rename(away)
        time.sleep(chance.uniform(0.1, 0.5))
        made = out.exists()
        shutil.rmtree(out, ignore_errors=True)
        away.rename(out)
        return made
    elif fault == "log cut":
        os.truncate(log, chance.randrange(log.stat().st_size + 1))
    elif fault == "log deleted":
        log.unlink(missing_ok=True)
    return 0


def _size(out: Path) -> int:
    try:
        return (out / "rounds.jsonl").stat().st_size
    except OSError:
        return 0


def _wait_until(there: Callable[[], bool]) -> None:
    ends_s = time.monotonic() + 10.0
    while not there() and time.monotonic() < ends_s:
        time.sleep(0.02)


FAULTS = (
    *("kill", "kill", "terminate", "folder away", "log cut", "log deleted", "log deleted at rest"),
    *("file size limit", "spool deleted", "stopped"),
)


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


class LivePage:
    """The live page of all projects, and a client that asks it badly all the while; ``answers`` are there when it has ended."""

    def __init__(self, place: Path, seed: int) -> None:
        serving = [
            "-c",
            "from refine_hooks.cli import main; main()",
            "serve",
            str(place),
            "--port",
            "0",
            "--poll",
            "0.2",
        ]
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115  (closed with this)
        self.server = subprocess.Popen(
            [sys.executable, *serving], stdout=subprocess.PIPE, stderr=self.errors, text=True
        )
        assert self.server.stdout is not None
        self.address = self.server.stdout.readline().strip()
        asking = [sys.executable, str(Path(__file__).with_name("bad_requests.py")), self.address, str(seed)]
        self.asker = subprocess.Popen(asking, stdout=subprocess.PIPE, text=True)
        self.answers: Counter[str] = Counter()

    def __enter__(self) -> "LivePage":
        """Both are running."""
        return self

    def __exit__(self, *_: object) -> None:
        """End what is still running, whatever happened."""
        for process in (self.asker, self.server):
            process.kill()
            process.wait()
        self.errors.close()

    def end(self) -> str:
        """End both; what is wrong with the page, in words."""
        self.asker.terminate()
        self.answers.update(json.loads(self.asker.communicate()[0]))
        with urllib.request.urlopen(self.address + "api/logs", timeout=30) as answer:
            well = answer.status == 200
        self.server.terminate()
        self.server.wait()
        self.errors.seek(0)
        said = self.errors.read()
        failed = sum(count for status, count in self.answers.items() if status.startswith("5") or status == "hangs")
        faults = ["" if well else "it answers no more", f"{failed} requests failed" if failed else ""]
        return ", ".join(filter(None, [*faults, said if "Traceback" in said else ""]))


def play(seconds: float, seed: int) -> dict[str, object]:
    """Group of projects after group for so long; the counts."""
    chance, ends_s = random.Random(seed), time.monotonic() + seconds
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        expected = {}
        for name, scene in SCENES.items():
            run(scene(Path(folder, ".plain", name), Path(folder, ".plain", f"{name} out")), [0.0, 1.0])
            expected[name] = maps_of(Path(folder, ".plain", f"{name} out"))
        with LivePage(Path(folder), seed) as page:
            while time.monotonic() < ends_s:
                place = Path(folder, f"{counts['projects']}")
                names = chance.sample(NAMES, chance.choice((1, 2, 3)))
                group = [Played.of(chance.choice(list(SCENES)), place / name) for name in names]
                faults = [chance.choice(FAULTS) for _ in range(FAULTS_OF_A_PROJECT)]
                for fault in faults:
                    counts += inject(fault, group, chance)
                    counts[fault] += len(group)
                for played in group:
                    run(played.watch(), [0.0, 1.0, 2.0])
                    counts += judged(played, expected[played.scene], faults)
                shutil.rmtree(place)
            wrong = page.end()
    told = (
        "projects",
        "signals",
        "maps",
        "rounds lost",
        "rounds poorer",
        "maps that differ",
        "projects changed",
        "folders made anew",
    )
    return {
        **{what: counts[what] for what in told},
        "faults injected": {fault: counts[fault] for fault in dict.fromkeys(FAULTS)},
        "bad requests": page.answers.total(),
        "their answers": dict(sorted(page.answers.items())),
        "wrong with the page": wrong,
    }


def judged(played: Played, expected: dict[str, np.ndarray], faults: list[str]) -> Counter[str]:
    """What became of a project."""
    found = maps_of(played.out)
    if found.keys() != expected.keys():
        print(f"{played.scene}: {sorted(found)} after {faults}", file=sys.stderr)
    return Counter(
        {
            "projects": 1,
            "maps": len(found),
            "rounds lost": len({key.rpartition(" half ")[0] for key in expected.keys() - found.keys()}),
            "rounds poorer": poorer(played.out),
            "maps that differ": sum(
                not np.array_equal(found[key], expected[key]) for key in found.keys() & expected.keys()
            ),
            "projects changed": fingerprint(played.project) != played.before,
        }
    )


def main(seconds: float, seed: int) -> bool:
    """Print the counts; whether all is well."""
    counts = play(seconds, seed)
    print(json.dumps(counts, indent=1))
    good = ("projects", "signals", "maps", "faults injected", "bad requests", "their answers")
    return not any(count for what, count in counts.items() if what not in good)
