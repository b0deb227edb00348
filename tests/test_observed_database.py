"""cisTEM's database under observation: its writer never fails, our reading is never torn, its file is never touched."""

import hashlib
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cistem_project
from small_program import fingerprint

from refine_hooks.errors import NotReadyError
from refine_hooks.log.file import read_journal
from refine_hooks.log.folder import Store
from refine_hooks.log.records import Failed, RoundRecord
from refine_hooks.programs import adapter_called
from refine_hooks.programs.cistem.database import read
from refine_hooks.settings import load_settings
from refine_hooks.watch.loop import run
from refine_hooks.watch.state import Watch

COMMITS = 1000

# As the GUI does: every lock is a folder, nothing is waited for, and any refusal ends the program.
WRITER = """
import sqlite3, sys

connection = sqlite3.connect(f"file:{sys.argv[1]}?vfs=unix-dotfile", uri=True, isolation_level=None, timeout=0)
connection.execute("PRAGMA synchronous = OFF")  # in which order others see it, not when it is safe
for number in range(int(sys.argv[2])):
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("INSERT INTO A VALUES (?, ?)", (number, "x" * 500))
    connection.execute("UPDATE TOTAL SET N = N + 1")
    connection.execute("INSERT INTO B VALUES (?, ?)", (number, "y" * 3000))
    connection.execute("COMMIT")
    if number % 20 == 0:
        print(number, flush=True)
        sys.stdin.readline()
"""


def counts(connection: sqlite3.Connection) -> tuple[int, int, int]:
    a, b, total = (
        connection.execute(f"SELECT {what}").fetchone()[0]
        for what in ("count(*) FROM A", "count(*) FROM B", "N FROM TOTAL")
    )
    return a, b, total


def test_a_thousand_commits_under_observation_none_fails_and_none_is_read_torn(tmp_path: Path) -> None:
    database = tmp_path / "project.db"
    with sqlite3.connect(database) as connection:
        connection.executescript(
            "CREATE TABLE A(I INTEGER PRIMARY KEY, T TEXT); CREATE TABLE B(I INTEGER PRIMARY KEY, T TEXT);"
            "CREATE TABLE TOTAL(N INTEGER); INSERT INTO TOTAL VALUES (0);"
        )
    connection.close()
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(database), str(COMMITS)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert writer.stdin is not None
    assert writer.stdout is not None
    seen: list[tuple[int, int, int]] = []
    for _ in (
        writer.stdout
    ):  # the writer rests: this state must be read; then it goes on while reading is tried again and again
        seen.append(read(database, counts, wait_s=0.0))
        writer.stdin.write("go on\n")
        writer.stdin.flush()
        for _ in range(20):
            try:
                seen.append(read(database, counts, wait_s=0.0))
            except NotReadyError:
                continue
    _, errors = writer.communicate()
    assert writer.returncode == 0, errors
    assert all(a == b == total for a, b, total in seen)
    assert len(set(seen)) >= COMMITS // 20
    assert read(database, counts) == (COMMITS,) * 3


def test_reading_leaves_the_file_and_its_folder_as_they_are(tmp_path: Path) -> None:
    database = tmp_path / "project.db"
    with sqlite3.connect(database) as connection:
        connection.execute("CREATE TABLE A(I INTEGER)")
    connection.close()
    before = (
        hashlib.sha256(database.read_bytes()).hexdigest(),
        database.stat().st_mtime_ns,
        os.listdir(tmp_path),
        tmp_path.stat().st_mtime_ns,
    )
    read(database, lambda c: c.execute("SELECT count(*) FROM A").fetchone())
    assert before == (
        hashlib.sha256(database.read_bytes()).hexdigest(),
        database.stat().st_mtime_ns,
        os.listdir(tmp_path),
        tmp_path.stat().st_mtime_ns,
    )


def test_a_project_that_is_watched_while_its_program_commits_is_bit_for_bit_the_one_that_is_not(tmp_path: Path) -> None:
    """The whole watch, not only the reading: rounds are measured while hundreds of commits go on."""
    project, twin, out = tmp_path / "project", tmp_path / "twin", tmp_path / "out"
    database = cistem_project.begin(project)
    cistem_project.write_parameters(project, "AutoRefine3D", 2)
    for name, content in cistem_project.dumps(2).items():
        (project / "Scratch" / "AutoRefine3D" / name).write_bytes(content)
    cistem_project.commit(database, 2)
    with sqlite3.connect(database) as connection:
        connection.executescript(
            "CREATE TABLE A(I INTEGER PRIMARY KEY, T TEXT); CREATE TABLE B(I INTEGER PRIMARY KEY, T TEXT);"
            "CREATE TABLE TOTAL(N INTEGER); INSERT INTO TOTAL VALUES (0);"
        )
    connection.close()
    shutil.copytree(project, twin)
    before = fingerprint(project)
    settings = load_settings(overrides={"watch": {"settle_s": 0.0}, "analysis": {"local": "never"}})
    w = Watch.of(project, "cistem", adapter_called("cistem"), settings, Store(out))  # type: ignore[arg-type]
    looks = 0

    def ticks(path: Path) -> Iterator[float]:
        nonlocal looks
        command = [sys.executable, "-c", WRITER, str(path), str(COMMITS // 4)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdin is not None
            assert writer.stdout is not None
            for _ in writer.stdout:
                yield float(looks)
                writer.stdin.write("go on\n")
                writer.stdin.flush()
                for _ in range(3):
                    looks += 1
                    yield float(looks)
        assert writer.returncode == 0

    for _ in ticks(twin / database.name):
        pass
    run(w, ticks(database))
    assert database.read_bytes() == (twin / database.name).read_bytes()
    after = fingerprint(project)
    assert {k: v for k, v in after.items() if k != str(database)} == {
        k: v for k, v in before.items() if k != str(database)
    }
    assert looks > 60
    log = read_journal(out / "rounds.jsonl").lines
    assert [str(line.key) for line in log if isinstance(line, RoundRecord)] == ["package_1/2/1"]
    assert not [line for line in log if isinstance(line, Failed)]
