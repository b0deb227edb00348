"""What it costs to watch a project in which nothing happens: a million files, hundreds of finished rounds.

Makes a RELION-like and a cisTEM-like project in memory (/dev/shm), a log that holds their rounds, and prints the CPU time of a
first look, of a further look with more history and with more open rounds, and of a real watch beside it.
"""

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cistem_project
from small_program import a_watch, lines_of, write_round

from refine_hooks.log import file as journal
from refine_hooks.log.folder import Store
from refine_hooks.log.records import RoundRecord
from refine_hooks.model import Round
from refine_hooks.programs import adapter_called
from refine_hooks.programs.adapter import Adapter
from refine_hooks.settings import Settings
from refine_hooks.watch.loop import run

ROOT = Path(__file__).resolve().parent.parent.parent
_ITERATIONS = 25  # of one RELION job


def relion(folder: Path, rounds: int) -> None:
    """Jobs of 25 iterations that are copies of one small, real iteration."""
    with tempfile.TemporaryDirectory() as place:
        with tarfile.open(ROOT / "tests" / "data" / "relion_refine3d.tgz") as archive:
            archive.extractall(place, filter="data")
        source = Path(place) / "Refine3D" / "job001"
        files = [path for path in source.iterdir() if path.name.startswith("run_it009")]
        (folder / "default_pipeline.star").write_text("data_pipeline_general\n\n_rlnPipeLineJobCounter 99\n")
        for number in range(rounds):
            job = folder / "Refine3D" / f"job{100 + number // _ITERATIONS}"
            job.mkdir(parents=True, exist_ok=True)
            for path in files:
                target = job / path.name.replace("it009", f"it{number % _ITERATIONS + 1:03d}")
                shutil.copy2(path, target)


def cistem(folder: Path, rounds: int) -> None:
    """A database that grew round after round; the dumps are long gone, their half maps made."""
    database = cistem_project.whole_project(folder)
    connection = cistem_project.open_as_cistem(database)
    connection.execute("BEGIN IMMEDIATE")
    for number in range(1000, 1000 + rounds):
        for table, column in (("REFINEMENT_LIST", "REFINEMENT_ID"), ("VOLUME_ASSETS", "VOLUME_ASSET_ID")):
            _copy(connection, table, f"{column} = 4", {column: number})
        changed = {"RECONSTRUCTION_ID": number, "REFINEMENT_ID": number, "VOLUME_ASSET_ID": number}
        _copy(connection, "RECONSTRUCTION_LIST", "RECONSTRUCTION_ID = 3", changed)
        connection.execute(f"CREATE TABLE REFINEMENT_DETAILS_{number} AS SELECT * FROM REFINEMENT_DETAILS_4")
        connection.execute(f"UPDATE REFINEMENT_DETAILS_{number} SET RECONSTRUCTION_ID = {number}")
    connection.execute("COMMIT")
    connection.close()
    for number in range(1000, 1000 + rounds):
        for name, content in cistem_project.dumps(4).items():
            kept = folder / "refine_hooks" / "spool" / "cistem" / "AutoRefine3D" / f"{number}_1" / str(10**18 + number)
            kept.mkdir(parents=True, exist_ok=True)
            (kept / name.replace("_4_", f"_{number}_")).write_bytes(content)
        cistem_project.write_parameters(folder, "AutoRefine3D", number)


def _copy(connection, table: str, where: str, changed: dict[str, int]) -> None:
    cursor = connection.execute(f"SELECT * FROM {table} WHERE {where}")
    names, row = [column[0] for column in cursor.description], cursor.fetchone()
    values = [changed.get(name, value) for name, value in zip(names, row, strict=True)]
    connection.execute(f"INSERT INTO {table} VALUES ({','.join('?' * len(values))})", values)


def fill(folder: Path, files: int) -> None:
    """Empty files where particles, micrographs and their like lie."""
    places = ("Extract/job007/Micrographs", "MotionCorr/job002/Micrographs", "Assets/Volumes", "Assets/Parameters")
    for number in range(files):
        place = folder / places[number % 2] / str(number // 20000)
        if number % 20000 < 2:
            place.mkdir(parents=True, exist_ok=True)
        os.close(os.open(place / f"particle_{number:07d}.mrcs", os.O_CREAT | os.O_WRONLY))


def open_relion(folder: Path, rounds: int) -> None:
    """Iterations of which the last table has not come yet."""
    source = min((folder / "Refine3D").iterdir())
    for number in range(rounds):
        job = folder / "Refine3D" / f"job{500 + number // _ITERATIONS}"
        job.mkdir(exist_ok=True)
        for path in source.glob("run_it001*"):
            if "half2_model" not in path.name:
                shutil.copy2(path, job / path.name.replace("it001", f"it{number % _ITERATIONS + 1:03d}"))


def open_cistem(folder: Path, rounds: int) -> None:
    """Dumps in the scratch folder whose entry in the database has not come yet."""
    for number in range(5000, 5000 + rounds):
        cistem_project.write_parameters(folder, "AutoRefine3D", number)
        for name, content in cistem_project.dumps(4).items():
            (folder / "Scratch" / "AutoRefine3D" / name.replace("_4_", f"_{number}_")).write_bytes(content)


def measured(folder: Path, adapter: Adapter, record: RoundRecord) -> list[Round]:
    """Write a log that holds every round; returns the rounds."""
    store = Store(folder / "refine_hooks")
    store.log.unlink(missing_ok=True)
    long_ago = time.time() - 7200
    for path in (*folder.glob("Refine3D/job*/*"), *folder.glob("Refine3D/job*")):
        os.utime(path, (long_ago, long_ago))
    opened = adapter.open(folder, Settings(), store.spool)
    rounds = list(opened.rounds())
    lines = [
        record.model_copy(update={"key": r.key, "label": r.label, "fingerprint": r.fingerprint, "program": r.program})
        for r in rounds
        if not r.missing
    ]
    journal.append(store.log, lines)
    for round_ in rounds:
        opened.discard(round_)
    time.sleep(4)  # what changed a moment ago is not remembered
    return rounds


def cpu_of(work: Callable[[], object], repeats: int = 5) -> float:
    """The least CPU seconds of some calls."""
    times = []
    for _ in range(repeats):
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    return min(times)


SCAN = """
import sys, time
from pathlib import Path
from refine_hooks.watch.opening import open_watch
from refine_hooks.watch import loop as run
imported, wall = time.process_time(), time.monotonic()
w = open_watch(Path(sys.argv[1]), None, None, "", {}, in_watch=True)
w.log.recall()
rounds = run._turn(w)
assert all(w.done(r) for r in rounds if not r.missing), [str(r.key) for r in rounds if not w.done(r)][:5]
first, wall = time.process_time() - imported, time.monotonic() - wall
while w.observers.catch_up(100):
    pass  # the audit of earlier rounds is spread over the first scans
times = []
for _ in range(7):
    began = time.process_time()
    rounds = run._turn(w)
    [w.done(r) for r in rounds]
    times.append(time.process_time() - began)
print(len(rounds), first, wall, min(times))
"""


def scans(folder: Path) -> tuple[int, float, float, float]:
    """Rounds, CPU and wall seconds of a first scan with all that a watch does before it, CPU seconds of a further one."""
    done = subprocess.run(
        [sys.executable, "-c", SCAN, str(folder)], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    rounds, first, wall, further = done.stdout.split()
    return int(rounds), float(first), float(wall), float(further)


def idle_share(folder: Path, rounds: int, seconds: float) -> float:
    """Share of a core that a real watch takes once it has audited what an earlier one has logged, eight rounds a look."""
    audit_s = 15 + rounds / 8 * Settings().watch.poll_s
    code = "from refine_hooks.cli import main; main()"
    command = [sys.executable, "-c", code, "watch", str(folder), "--until-idle", str(audit_s + seconds + 60)]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
    try:
        time.sleep(audit_s)
        before = _cpu_s(process.pid)
        time.sleep(seconds)
        return (_cpu_s(process.pid) - before) / seconds
    finally:
        process.terminate()
        process.wait()


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def a_record() -> RoundRecord:
    with tempfile.TemporaryDirectory() as folder:
        write_round(Path(folder), 1)
        run(a_watch(Path(folder), []), [0.0])
        return lines_of(Path(folder), RoundRecord)[0]


def _with_open_rounds(
    finished: int,
    waiting: int,
    record: RoundRecord,
    adapter: Adapter,
    make: Callable[[Path, int], None],
    begin: Callable[[Path, int], None],
) -> float:
    """CPU seconds of a look at a project with finished and with open rounds."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as place:
        folder = Path(place) / "project"
        folder.mkdir()
        make(folder, finished)
        measured(folder, adapter, record)
        begin(folder, waiting)
        return scans(folder)[3]


def run_all(files: int, rounds: int, seconds: float) -> None:
    """Print all figures; takes minutes, since the files have to be made."""
    record = a_record()
    for name, make, begin in (("relion", relion, open_relion), ("cistem", cistem, open_cistem)):
        adapter = adapter_called(name)
        for count in (rounds // 5, rounds):
            for waiting in (0, 1, 10, 100, 400):
                further = _with_open_rounds(count, waiting, record, adapter, make, begin)
                print(
                    f"{name}, {count} finished rounds and {waiting} open ones: a look {1e3 * further:.1f} ms",
                    flush=True,
                )
        with tempfile.TemporaryDirectory(dir="/dev/shm") as place:
            for count, label in ((rounds // 2, "half the history"), (rounds, "all the history")):
                folder = Path(place) / f"project{count}"
                folder.mkdir()
                make(folder, count)
                if count == rounds:
                    fill(folder, files)
                measured(folder, adapter, record)
                known, first, wall, further = scans(folder)
                there = files if count == rounds else 0
                print(
                    f"{name}, {there} files, {known} finished rounds: first look {first:.2f} s CPU ({wall:.2f} s wall), "
                    f"a further look {1e3 * further:.1f} ms ({label})",
                    flush=True,
                )
            print(
                f"{name}: an idle watch takes {100 * idle_share(folder, rounds, seconds):.2f} % of a core", flush=True
            )
