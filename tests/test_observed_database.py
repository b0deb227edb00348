"""cisTEM's database under observation: its writer never fails, our reading is never torn, its file is never touched."""

import hashlib
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

from refine_hooks.errors import NotReadyError
from refine_hooks.projects.cistem.database import read

COMMITS = 1000

# As the GUI does: every lock is a folder, nothing is waited for, and any refusal ends the program.
WRITER = """
import sqlite3, sys
connection = sqlite3.connect(f"file:{sys.argv[1]}?vfs=unix-dotfile", uri=True, isolation_level=None, timeout=0)
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
