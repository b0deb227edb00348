"""What root writes for another user's project belongs to that user, and only where they may write themselves."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from small_program import a_watch, lines_of, write_round

from refine_hooks.errors import RefineHooksError, SettingsError, StorageError
from refine_hooks.facility.jobs import Job
from refine_hooks.facility.worker import _Desk
from refine_hooks.files import acting
from refine_hooks.files.acting import Owner, acting_as, give_folder, owner_of_project
from refine_hooks.log.orders import read_orders
from refine_hooks.log.records import RoundRecord
from refine_hooks.watch.loop import run

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may write as others")
NOBODY = Owner(65534, 65534)
OWN = {"files": {"owner": "project"}, "automask": {"enabled": False}, "fsc": {"repeats": 2}}


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder of root's that others may enter."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def project(place: Path) -> Path:
    folder = place / "project"
    folder.mkdir()
    write_round(folder, 1)
    for path in (folder, *folder.rglob("*")):
        os.chown(path, NOBODY.uid, NOBODY.gid)
    return folder


def owners(folder: Path) -> set[int]:
    return {path.lstat().st_uid for path in (folder, *folder.rglob("*"))}


def test_everything_that_a_watch_writes_belongs_to_the_project_s_owner(project: Path) -> None:
    w = a_watch(project, [], OWN)
    run(w, [0.0])
    assert len(lines_of(project, RoundRecord)) == 1
    assert owners(project) == {NOBODY.uid}
    assert w.store.report.exists()
    (project / "mine").touch()
    assert (project / "mine").stat().st_uid == 0, "afterwards this thread writes as before"


def as_owner(folder: Path, script: str) -> int:
    """The exit code of a script of the shell that the owner of a project runs there."""
    who = {"user": NOBODY.uid, "group": NOBODY.gid}
    return subprocess.run(["/bin/sh", "-ec", script], cwd=folder, check=False, extra_groups=[], **who).returncode


def test_a_process_of_the_owner_s_may_change_remove_and_order_what_root_wrote(project: Path) -> None:
    w = a_watch(project, [], OWN)
    run(w, [0.0])
    out = project / "refine_hooks"
    assert (
        as_owner(out, "cat rounds.jsonl > mine; echo >> rounds.jsonl; rm -r report.html records; [ $(id -u) != 0 ]")
        == 0
    )
    assert as_owner(out, """printf '{"paused": true}' > .orders.json""") == 0
    assert read_orders(out, NOBODY.uid).paused
    assert as_owner(project, "rm -r refine_hooks") == 0
    assert not out.exists()


def test_what_was_written_as_root_before_is_given_and_what_has_a_second_name_is_not(project: Path, place: Path) -> None:
    out = project / "refine_hooks"
    out.mkdir()
    (out / "rounds.jsonl").touch()
    (place / "secret").write_text("root's")
    os.link(place / "secret", out / "a link")
    (out / "another").symlink_to(place / "secret")
    run(a_watch(project, [], OWN), [0.0])
    assert (out / "rounds.jsonl").stat().st_uid == NOBODY.uid
    assert ((place / "secret").stat().st_uid, (place / "secret").read_text()) == (0, "root's")


def test_a_link_of_the_owner_s_leads_root_to_nothing_that_they_may_not_write(project: Path, place: Path) -> None:
    (place / "secret").mkdir()
    (project / "refine_hooks").symlink_to(place / "secret")
    with pytest.raises(RefineHooksError, match="cannot be written to"):
        run(a_watch(project, [], OWN), [0.0])
    assert list((place / "secret").iterdir()) == []


def test_a_worker_writes_as_the_owner_and_after_it_as_itself(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    w = a_watch(project, [], OWN)
    job = Job(project, w.program, w.settings, project / "refine_hooks", "", owner=NOBODY)
    monkeypatch.setattr(_Desk, "_done", lambda *_: (project / "work").touch())
    _Desk().done(job)
    (project / "later").touch()
    assert [(project / name).stat().st_uid for name in ("work", "later")] == [NOBODY.uid, 0]


def test_a_folder_elsewhere_is_given_and_one_of_a_third_user_is_not_taken(place: Path) -> None:
    give_folder(place / "out" / "one", NOBODY)
    assert [(place / name).stat().st_uid for name in ("out", "out/one")] == [0, NOBODY.uid]
    (place / "theirs").mkdir()
    os.chown(place / "theirs", 12345, 12345)
    with pytest.raises(StorageError, match="another user"):
        give_folder(place / "theirs", NOBODY)
    (place / "link").symlink_to(place / "theirs")
    with pytest.raises(StorageError):
        give_folder(place / "link", NOBODY)


def test_who_is_not_root_is_told_what_to_do_and_who_owns_the_project_needs_nothing(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert owner_of_project(project) == NOBODY
    assert owner_of_project(Path("/")) is None
    monkeypatch.setattr(acting.os, "geteuid", lambda: 1000)
    with pytest.raises(SettingsError, match="another user's, and only root"):
        owner_of_project(project)


def test_programs_that_are_started_write_as_before(place: Path) -> None:
    with acting_as(NOBODY):
        subprocess.run(["/bin/sh", "-c", "echo > theirs"], cwd=place, check=True)
    assert (place / "theirs").stat().st_uid == 0


def test_reading_stays_as_before(place: Path) -> None:
    (place / "closed").mkdir(0o700)
    (place / "closed" / "one").write_text("x")
    with acting_as(NOBODY):
        assert (place / "closed" / "one").read_text() == "x"
        with pytest.raises(PermissionError):
            (place / "closed" / "one").write_text("y")
