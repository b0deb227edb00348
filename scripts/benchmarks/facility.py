"""Projects of cisTEM and RELION that grow side by side, one of them with every fault, under one watch of all."""

import contextlib
import os
import random
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import cistem_project

from refine_hooks.log.file import read_journal
from refine_hooks.log.records import RoundRecord
from refine_hooks.settings import Settings

ROOT = Path(__file__).resolve().parent.parent.parent
SETTINGS = """[keep]
half_maps = "last"
last = 2
min_free_GB = {free_GB}
[analysis]
local = "never"
[watch]
poll_s = {poll_s}
"""
# The watch, with every call for metadata counted; the number so far stands in a file.
_COUNTED = """
import os, sys, threading, time
from refine_hooks.cli import main
from refine_hooks.files.metadata import Pace, counting
pace, told = Pace(), sys.argv.pop(1)
real = open
def tell():
    while True:
        with real(told + ".new", "w") as stream:
            stream.write(str(pace.calls))
        os.replace(told + ".new", told)
        time.sleep(0.5)
with counting(pace):
    threading.Thread(target=tell, daemon=True).start()
    main()
"""
_METADATA = re.compile(r"^\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)$", re.M)
_CALLS = {
    "stat",
    "lstat",
    "newfstatat",
    "statx",
    "open",
    "openat",
    "getdents64",
    "access",
    "faccessat",
    "faccessat2",
    "readlink",
}


@dataclass
class Found:
    """What came of a play.

    Attributes:
        lines: figures in words.
        faults: rounds that are missing, or logged twice.
    """

    lines: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


class Relion:
    """A job whose iterations are copies of a real one."""

    def __init__(self, folder: Path) -> None:
        self.job = folder / "Refine3D" / "job001"
        self.job.mkdir(parents=True)
        (folder / "default_pipeline.star").write_text("data_pipeline_general\n\n_rlnPipeLineJobCounter 2\n")
        self.source = folder.parent.parent / "relion"
        if not self.source.exists():
            with tarfile.open(ROOT / "tests" / "data" / "relion_refine3d.tgz") as archive:
                archive.extractall(self.source, filter="data")
        for name in ("note.txt", "job.star", "run.job"):
            if (there := self.source / "Refine3D/job001" / name).exists():
                shutil.copy(there, self.job / name)

    def write(self, number: int) -> None:
        """Everything of an iteration, maps first, as RELION does."""
        files = sorted(
            (self.source / "Refine3D/job001").glob("run_it009*"), key=lambda one: one.name.endswith("model.star")
        )
        for path in files:
            shutil.copy(path, self.job / path.name.replace("it009", f"it{number:03d}"))

    def spoil(self, number: int, chance: random.Random) -> None:
        """What goes wrong in a project."""
        maps = sorted(self.job.glob(f"run_it{number:03d}_half*_class001.mrc"))
        if maps:
            os.truncate(chance.choice(maps), 2000)
        (self.job / f"run_it{number + 500:03d}_half1_class001.mrc").write_bytes(b"no map")
        (self.job / f"run_it{number + 500:03d}_half1_model.star").write_text("data_\n")


class Cistem:
    """A project whose dumps live until the next round."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.database = folder, cistem_project.begin(folder)
        cistem_project.commit(self.database, 2)
        cistem_project.commit(self.database, 3)
        cistem_project.commit(self.database, 4)

    def write(self, number: int) -> None:
        """Parameters, dumps, and the entry in the database, which is the last input."""
        key, panel = 1000 + number, self.folder / "Scratch" / "AutoRefine3D"
        cistem_project.wipe(self.folder, "AutoRefine3D")
        panel.mkdir(parents=True, exist_ok=True)
        cistem_project.write_parameters(self.folder, "AutoRefine3D", key)
        for name, content in cistem_project.dumps(4, seed=number).items():
            (panel / name.replace("_4_", f"_{key}_")).write_bytes(content)
        connection = cistem_project.open_as_cistem(self.database)
        connection.execute("BEGIN IMMEDIATE")
        for table, column in (("REFINEMENT_LIST", "REFINEMENT_ID"), ("VOLUME_ASSETS", "VOLUME_ASSET_ID")):
            _copy(connection, table, f"{column} = 4", {column: key})
        changed = {"RECONSTRUCTION_ID": key, "REFINEMENT_ID": key, "VOLUME_ASSET_ID": key}
        _copy(connection, "RECONSTRUCTION_LIST", "RECONSTRUCTION_ID = 3", changed)
        tables = connection.execute("SELECT name FROM sqlite_master WHERE name GLOB 'REFINEMENT_*_4*'").fetchall()
        for (table,) in tables:
            if match := re.fullmatch(r"(REFINEMENT_[A-Z_]+)_4(_1)?", table):
                connection.execute(f"CREATE TABLE {match[1]}_{key}{match[2] or ''} AS SELECT * FROM {table}")
        connection.execute(f"UPDATE REFINEMENT_DETAILS_{key} SET RECONSTRUCTION_ID = {key}")
        connection.execute("COMMIT")
        connection.close()

    def spoil(self, number: int, chance: random.Random) -> None:
        """What goes wrong in a project."""
        with contextlib.suppress(OSError):
            os.truncate(chance.choice(list((self.folder / "Scratch/AutoRefine3D").iterdir())), 100)


def _copy(connection, table: str, where: str, changed: dict[str, int]) -> None:
    cursor = connection.execute(f"SELECT * FROM {table} WHERE {where}")
    names, row = [column[0] for column in cursor.description], cursor.fetchone()
    values = [changed.get(name, value) for name, value in zip(names, row, strict=True)]
    connection.execute(f"INSERT INTO {table} VALUES ({','.join('?' * len(values))})", values)


@dataclass
class Facility:
    """Projects below a folder, the first of them full of faults; ``last_input_s`` says when a round of one was complete."""

    place: Path
    count: int
    poll_s: float = 5.0
    projects: list[Relion | Cistem] = field(default_factory=list)
    last_input_s: dict[tuple[int, int], float] = field(default_factory=dict)
    spoils: bool = True
    free_GB: float = 0.05

    def begin(self) -> None:
        """Make the projects."""
        for number in range(self.count):
            folder = self.folder(number)
            folder.mkdir(parents=True)
            self.projects.append(Relion(folder) if number % 2 else Cistem(folder))
            (folder / "refine_hooks.toml").write_text(SETTINGS.format(poll_s=self.poll_s, free_GB=self.free_GB))

    def folder(self, number: int) -> Path:
        """Of a project."""
        return self.place / "projects" / f"p{number:03d}"

    def log(self, number: int) -> Path:
        """Of a project."""
        return self.folder(number) / "refine_hooks" / "rounds.jsonl"

    def write(self, project: int, number: int, chance: random.Random) -> None:
        """A round of a project."""
        self.projects[project].write(number)
        if project == 0 and self.count > 1 and self.spoils:
            self.projects[0].spoil(number, chance)
        else:
            self.last_input_s[project, number] = time.time()

    def play(self, rounds: int, period_s: float, over: threading.Event) -> None:
        """Write a round of every project in each period, spread over it."""
        chance, begun_s = random.Random(1), time.monotonic()
        for number in range(1, rounds + 1):
            for project in range(self.count):
                at_s = begun_s + period_s * (number - 1 + project / self.count)
                if over.wait(max(0.0, at_s - time.monotonic())):
                    return
                self.write(project, number, chance)

    def calls(self) -> int:
        """Calls for metadata that the watch has made."""
        return int((self.place / "calls").read_text() or 0)

    def logged(self, project: int) -> dict[int, list[RoundRecord]]:
        """The records of the rounds that were played of a project, by their numbers."""
        found: dict[int, list[RoundRecord]] = {}
        lines = read_journal(self.log(project)).lines if self.log(project).exists() else []
        for line in lines:
            number = line.key.iteration - (0 if project % 2 else 1000) if isinstance(line, RoundRecord) else 0
            if isinstance(line, RoundRecord) and number > 0:
                found.setdefault(number, []).append(line)
        return found

    def wait_for_watches(self, within_s: float = 120.0) -> None:
        """Wait until every project is watched."""
        ends_s = time.monotonic() + within_s
        while time.monotonic() < ends_s and not all(self.log(n).with_name(".lock").exists() for n in range(self.count)):
            time.sleep(0.05)

    def lacking(self) -> int:
        """How many rounds of the projects without faults are not logged yet."""
        of = Counter(project for project, _ in self.last_input_s)
        return sum(max(0, count - len(self.logged(project))) for project, count in of.items())

    def judged(self, found: Found, kept: bool = True) -> None:
        """Whether each round is logged once, and how long that took; and whether its half maps were kept, where a watch ran."""
        begun_s, logged_s = [], []
        for project in sorted({project for project, _ in self.last_input_s}):
            logged = self.logged(project)
            for number in (number for one, number in self.last_input_s if one == project):
                records = logged.get(number, [])
                if len(records) != 1:
                    found.faults.append(f"project {project}, round {number}: {len(records)} lines")
                    continue
                late_s = records[0].measured_at.timestamp() - self.last_input_s[project, number]
                logged_s.append(late_s)
                begun_s.append(late_s - (records[0].measured_in_s or 0.0))
                if kept and records[0].half_maps is None:
                    found.faults.append(f"project {project}, round {number}: its half maps were not kept")
        if len(logged_s) > 1:
            bound_s = self.poll_s + Settings().watch.settle_s
            found.lines.append(
                f"{len(logged_s)} rounds of {self.count} projects: {len(found.faults)} missing or logged twice; from the last "
                f"input to the begin of the measuring p50 {_share(begun_s, 50):.1f} s, p99 {_share(begun_s, 99):.1f} s (without "
                f"a queue at most {bound_s:g} s and two scans), to the record p50 {_share(logged_s, 50):.1f} s, "
                f"p99 {_share(logged_s, 99):.1f} s"
            )
        found.lines += found.faults[:20]


def _share(values: list[float], percent: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


@contextlib.contextmanager
def watching(facility: Facility, *more: str) -> Iterator["subprocess.Popen[bytes]"]:
    """One process that watches them all."""
    command = [sys.executable, "-c", _COUNTED, str(facility.place / "calls"), "watch", "--all", *more]
    said = (facility.place / "messages").open("ab")
    process = subprocess.Popen(
        [*command, str(facility.place / "projects" / "*")],
        stdout=said,
        stderr=said,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(120)
        said.close()


def _cpu_s(pid: int) -> float:
    times = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(times[11]) + int(times[12])) / os.sysconf("SC_CLK_TCK")


def _resident_MB(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def _children(pid: int) -> list[int]:
    return [int(one) for path in Path(f"/proc/{pid}/task").glob("*/children") for one in path.read_text().split()]


def _threads(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


def _calls_per_s(pid: int, seconds: float) -> str:
    """Metadata calls a second, as strace counts them; they slow the process down, so its time is not taken meanwhile."""
    if shutil.which("strace") is None:
        return "not counted (no strace)"
    command = ["timeout", "-s", "INT", str(seconds), "strace", "-f", "-c", "-p", str(pid)]
    told = subprocess.run(command, capture_output=True, text=True, check=False).stderr
    counts = Counter({name: int(calls) for calls, name in _METADATA.findall(told) if name in _CALLS})
    return f"{sum(counts.values()) / seconds:.0f} ({', '.join(f'{n} {c / seconds:.0f}' for n, c in counts.most_common(5))})"


def _wait_for_all(facility: Facility, within_s: float) -> None:
    ends_s = time.monotonic() + within_s
    while facility.lacking() and time.monotonic() < ends_s:
        time.sleep(0.5)


def play(
    projects: int, rounds: int, period_s: float, idle_s: float, poll_s: float = 5.0, count_calls: bool = True
) -> Found:
    """Play some projects under one watch.

    Args:
        projects: how many.
        rounds: of each.
        period_s: from one round of a project to its next one.
        idle_s: afterwards nothing happens for so long.
        poll_s: of the watch.
        count_calls: whether strace counts what an idle watch asks of the file system.
    """
    found = Found()
    with tempfile.TemporaryDirectory() as place:
        facility = Facility(Path(place), projects, poll_s)
        facility.begin()
        with watching(facility) as process:
            facility.wait_for_watches()
            memory, over = [], threading.Event()
            begun_s = time.monotonic()
            writer = threading.Thread(target=facility.play, args=(rounds, period_s, over))
            writer.start()
            while writer.is_alive():
                writer.join(max(1.0, rounds * period_s / 100))
                memory.append((_resident_MB(process.pid), sum(map(_resident_MB, _children(process.pid)))))
            _wait_for_all(facility, 60.0 + 3.0 * projects * rounds)
            took_s = time.monotonic() - begun_s
            facility.judged(found)
            early, late = memory[len(memory) // 2], memory[-1]
            found.lines.append(
                f"memory: the watch {early[0]:.0f} MB at half time and {late[0]:.0f} MB at the end, its workers {late[1]:.0f} MB; "
                f"{_threads(process.pid)} threads; all was logged {took_s:.0f} s after the first round began"
            )
            if idle_s:
                time.sleep(min(10.0, idle_s))  # what follows a round is over
                before_s, counted = _cpu_s(process.pid), facility.calls()
                time.sleep(idle_s)
                share, counted = (_cpu_s(process.pid) - before_s) / idle_s, facility.calls() - counted
                calls = _calls_per_s(process.pid, min(20.0, idle_s)) if count_calls else "not counted"
                found.lines.append(
                    f"idle: {100 * share:.2f} % of a core; metadata calls a second: {counted / idle_s:.0f}, "
                    f"{counted / idle_s / projects:.1f} of each project; by strace, with those of C and on open files: {calls}"
                )
    return found


def killed(moments: int, projects: int) -> Found:
    """kill -9 of the whole process at random moments while many projects are measured; every round is logged once all the same."""
    found, chance = Found(), random.Random(2)
    with tempfile.TemporaryDirectory() as place:
        facility = Facility(Path(place), projects, 0.5)
        facility.begin()
        for moment in range(1, moments + 1):
            with watching(facility) as process:
                time.sleep(1.0)
                for project in range(projects):
                    if moment % 4 == project % 4:
                        facility.write(project, moment, chance)
                time.sleep(chance.uniform(0.0, 4.0))
                process.kill()
                process.wait()
        with watching(facility):
            _wait_for_all(facility, 60.0 + 3.0 * projects * moments)
        facility.judged(found, kept=False)
        left = [str(path) for path in (facility.place / "projects").rglob("*.part")]
        found.faults += [f"left behind: {path}" for path in left]
        found.lines.append(
            f"killed at {moments} moments; {len(found.faults)} faults; {len(left)} half-written files left"
        )
    return found
