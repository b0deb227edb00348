import os
import sqlite3
import threading
from pathlib import Path

import cistem_project as project
import pytest
from opened import Opened

from refine_hooks.errors import InputError, NotReadyError, ProjectError
from refine_hooks.programs._reading import Memory
from refine_hooks.programs.cistem import database, tables

cistem = Opened("cistem")
MEMORY = Memory()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return project.whole_project(tmp_path / "tcr_pmhc")


def change(path: Path, script: str) -> None:
    connection = project.open_as_cistem(path)
    connection.executescript(script)
    connection.close()


def test_content_is_what_cistems_own_library_wrote(path: Path) -> None:
    content = database.content(path, MEMORY)
    assert content.folder == "/data/cistem/tcr_pmhc"
    assert [(r.id, r.refinement_id, r.class_id) for r in content.reconstructions.values()] == [
        (1, 2, 1), (2, 3, 1), (3, 4, 1), (4, 4, 1), (5, 6, 1), (6, 6, 2),
    ]  # fmt: skip
    assert [r.id for r in content.refinements.values() if r.generated] == [1, 5]
    details = content.refinements[6].details[2]
    assert (details.alignment_limit_A, details.mask_radius_A, details.reconstruction_id) == (8.0, 75.0, 6)
    assert (details.automask, details.supplied_mask) == (True, False)
    assert content.packages[2].particle_size_A == 140.0


def test_images_are_those_with_some_occupancy(path: Path) -> None:
    assert [database.images_used(path, MEMORY, *key, 0) for key in ((2, 1), (6, 1), (6, 2))] == [
        project.USED[key] for key in ((2, 1), (6, 1), (6, 2))
    ]
    assert database.images_used(path, MEMORY, 99, 1, 0) is None


@pytest.mark.parametrize("name", ["tcr_pmhc.db.lock", "tcr_pmhc.db-journal"])
def test_nothing_is_read_while_a_lock_or_a_journal_is_there(path: Path, name: str) -> None:
    blocker = path.with_name(name)
    blocker.mkdir()
    with pytest.raises(NotReadyError, match=f"writing it at this moment.*{name}"):
        database.content(path, MEMORY, wait_s=0)
    assert not database.left_behind(path, 30)
    os.utime(blocker, (1, 1))
    assert database.left_behind(path, 30)
    with pytest.raises(NotReadyError, match=f"{name} has been there since .* open the project once in cisTEM"):
        database.content(path, MEMORY, wait_s=0)
    blocker.rmdir()
    assert database.content(path, MEMORY).packages


def test_reading_leaves_no_trace_and_no_lock(path: Path) -> None:
    before = path.read_bytes(), path.stat().st_mtime_ns, sorted(os.listdir(path.parent))

    def look_around(connection: sqlite3.Connection) -> list[str]:
        connection.execute("SELECT * FROM REFINEMENT_LIST").fetchone()
        with pytest.raises(sqlite3.OperationalError):
            connection.execute("DELETE FROM REFINEMENT_LIST")
        return sorted(os.listdir(path.parent))

    assert database.read(path, look_around) == before[2], "no lock, no journal, while a statement is open"
    assert (path.read_bytes(), path.stat().st_mtime_ns, sorted(os.listdir(path.parent))) == before


def test_a_program_that_writes_while_it_is_read_is_not_disturbed_and_the_read_is_made_again(path: Path) -> None:
    seen: list[int] = []

    def query(connection: sqlite3.Connection) -> int:
        count = connection.execute("SELECT count(*) FROM RECONSTRUCTION_LIST").fetchone()[0]
        if not seen:
            project.commit_generate(path, 9)
        seen.append(count)
        return count

    assert database.read(path, query, wait_s=5) == 7
    assert seen == [6, 7]


def test_a_read_that_runs_into_an_open_transaction_is_thrown_away(path: Path) -> None:
    writer = project.open_as_cistem(path)

    def query(connection: sqlite3.Connection) -> int:
        writer.execute("BEGIN IMMEDIATE")
        return connection.execute("SELECT count(*) FROM RECONSTRUCTION_LIST").fetchone()[0]

    with pytest.raises(NotReadyError):
        database.read(path, query, wait_s=0)
    writer.execute("ROLLBACK")
    writer.close()


def test_among_hundreds_of_commits_only_whole_ones_are_seen(path: Path) -> None:
    change(path, "CREATE TABLE ONE (N INTEGER, FILL TEXT); CREATE TABLE TWO (N INTEGER, FILL TEXT);")
    begun, faults = threading.Event(), []

    def write() -> None:
        connection = project.open_as_cistem(path)
        for number in range(300):
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("INSERT INTO ONE VALUES (?, ?)", (number, "x" * 2000))
            connection.execute("INSERT INTO TWO VALUES (?, ?)", (number, "x" * 2000))
            try:
                connection.execute("COMMIT")
            except sqlite3.Error as error:
                faults.append(error)
                return
            begun.set()
        connection.close()

    def query(connection: sqlite3.Connection) -> tuple[int, int, str]:
        one, two = (connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in ("ONE", "TWO"))
        return one, two, connection.execute("PRAGMA integrity_check").fetchone()[0]

    writer = threading.Thread(target=write)
    writer.start()
    begun.wait(30)
    reads = []
    while writer.is_alive():
        try:
            reads.append(database.read(path, query, wait_s=0))
        except NotReadyError:
            continue
    writer.join()
    reads.append(database.read(path, query))
    assert faults == []
    assert reads[-1] == (300, 300, "ok")
    assert all(one == two and state == "ok" for one, two, state in reads)


def test_an_unchanged_database_is_parsed_once(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parsed = []
    monkeypatch.setattr(database, "parse_content", lambda c: parsed.append(1) or tables.parse_content(c))
    first = database.content(path, MEMORY)
    assert database.content(path, MEMORY) is first
    project.commit_generate(path, 9)
    assert 9 in database.content(path, MEMORY).reconstructions
    assert len(parsed) == 2


def test_a_database_of_an_older_version_lacks_columns_and_is_read_by_name(path: Path) -> None:
    change(
        path,
        "ALTER TABLE MASTER_SETTINGS DROP COLUMN CURRENT_WORKFLOW; ALTER TABLE REFINEMENT_LIST DROP COLUMN PERCENT_USED;"
        "ALTER TABLE REFINEMENT_DETAILS_2 DROP COLUMN SHOULD_AUTOMASK; ALTER TABLE VOLUME_ASSETS DROP COLUMN HALF_MAP1_FILENAME;"
        "ALTER TABLE REFINEMENT_PACKAGE_ASSETS DROP COLUMN STACK_HAS_WHITE_PROTEIN; DROP TABLE STARTUP_LIST;",
    )
    content = database.content(path, MEMORY)
    assert content.refinements[2].percent_used == 100.0
    assert content.refinements[2].details[1].automask is False
    assert content.refinements[2].details[1].mask_radius_A == 75.0


def test_values_of_the_wrong_kind_are_taken_as_absent(path: Path) -> None:
    change(
        path,
        "UPDATE RECONSTRUCTION_LIST SET RESOLUTION_LIMIT = 'far', OUTER_MASK_RADIUS = 9e999, CLASS_NUMBER = 'x'"
        " WHERE RECONSTRUCTION_ID = 1; INSERT INTO RECONSTRUCTION_LIST (RECONSTRUCTION_ID) VALUES (-5);"
        "UPDATE REFINEMENT_LIST SET NAME = 'a' || char(10) || char(27) || '[31m', REFINEMENT_PACKAGE_ASSET_ID = NULL"
        " WHERE REFINEMENT_ID = 2; UPDATE VOLUME_ASSETS SET FILENAME = x'2fff';",
    )
    content = database.content(path, MEMORY)
    first = content.reconstructions[1]
    assert (first.resolution_limit_A, first.outer_radius_A, first.class_id) == (0.0, 0.0, -1)
    assert content.refinements[2].name.isprintable()
    assert -5 not in content.reconstructions
    assert content.volumes[1].path == ""


def test_a_file_that_is_no_database_of_cistem_is_told(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    change(path, "CREATE TABLE T (N INTEGER);")
    with pytest.raises(InputError, match=r"other\.db: cannot be read as a database of cisTEM"):
        database.content(path, MEMORY)
    path.write_bytes(path.read_bytes()[:100] + b"\xff" * 4000)
    with pytest.raises(InputError, match=r"other\.db: cannot be read as a database of cisTEM"):
        database.content(path, MEMORY)


def test_a_folder_is_recognised_by_its_database_and_its_assets(tmp_path: Path) -> None:
    assert not cistem.recognises(tmp_path / "gone")
    (tmp_path / "Assets").mkdir()
    (tmp_path / "thumbs.db").write_bytes(b"no SQLite")
    assert not cistem.recognises(tmp_path)
    with pytest.raises(ProjectError, match="holds no cisTEM database"):
        database.find_database(tmp_path)
    change(tmp_path / "a.db", "CREATE TABLE T (N INTEGER);")
    assert cistem.recognises(tmp_path)
    (tmp_path / "Assets").rmdir()
    assert not cistem.recognises(tmp_path)


def test_of_several_databases_the_one_with_the_folders_name_is_taken_else_the_newest(path: Path) -> None:
    for number, name in enumerate(("copy.db", "backup.db"), 1):
        path.with_name(name).write_bytes(path.read_bytes())
        os.utime(path.with_name(name), (2e9 + number, 2e9 + number))
    assert database.find_database(path.parent) == path
    path.unlink()
    assert database.find_database(path.parent).name == "backup.db"


@pytest.mark.parametrize(
    ("stored", "today"),
    [
        ("/data/old/Assets/Volumes/v.mrc", "/now/Assets/Volumes/v.mrc"),
        ("/data/old/deep/x.mrc", "/now/deep/x.mrc"),
        ("/data/older/Assets/Volumes/v.mrc", "/now/Assets/Volumes/v.mrc"),
        ("/elsewhere/stack.mrc", "/elsewhere/stack.mrc"),
        ("/data/old/../../etc/passwd", "/data/old/../../etc/passwd"),
        ("", "."),
    ],
)
def test_paths_of_a_project_that_was_moved_are_found_in_its_new_place(stored: str, today: str) -> None:
    assert tables.rerooted(stored, "/data/old", Path("/now")) == Path(today)
