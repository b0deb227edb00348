"""What is pasted into RELION and cisTEM: lines that work in a shell, and everything is taken back."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import cistem_project
import pytest
from command_line import cli


def words_in(text: str) -> str:
    return " ".join(text.split())


@pytest.fixture
def at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place with a blank in its name, and a refine-hooks there that says what it was given."""
    place = tmp_path / "a place"
    place.mkdir()
    for name in ("refine-hooks", "relion_external_reconstruct"):
        (place / name).write_text('#!/bin/sh\nprintf "%s|" "$@"\n')
        (place / name).chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(place / "python"))
    monkeypatch.setenv("PATH", f"{place}:/usr/bin:/bin")
    return place


def relion_project(place: Path) -> Path:
    project = place / "project"
    project.mkdir()
    (project / "default_pipeline.star").touch()
    return project


def test_relion_s_lines_start_the_hook_in_a_shell_and_are_taken_back(at: Path) -> None:
    project = relion_project(at)
    done = cli("install", "relion", project)
    file = project / "refine_hooks" / "relion_hook.sh"
    assert (done.returncode, done.stderr) == (0, "")
    assert "--external_reconstruct" in done.stdout
    assert file.read_text().strip() in done.stdout
    as_relion = f'. "{file}"; sh -c "$RELION_EXTERNAL_RECONSTRUCT_EXECUTABLE some.star"'
    assert subprocess.run(["sh", "-c", as_relion], capture_output=True, text=True, check=True).stdout == (
        "relion-external-reconstruct|some.star|"
    )
    undone = cli("install", "relion", project, "--undo")
    assert not file.exists()
    assert "unset RELION_EXTERNAL_RECONSTRUCT_EXECUTABLE" in undone.stdout


def test_without_a_project_nothing_is_written_and_relion_s_program_is_missed(
    at: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (at / "relion_external_reconstruct").unlink()
    monkeypatch.setenv("PATH", str(at))
    before = sorted(at.rglob("*"))
    done = cli("install", "relion", cwd=at)
    assert "relion_external_reconstruct is not on PATH" in words_in(done.stderr)
    assert "export RELION_EXTERNAL_RECONSTRUCT_EXECUTABLE=" in done.stdout
    assert sorted(at.rglob("*")) == before


def test_cistem_s_line_puts_the_hook_in_front_of_the_command(at: Path) -> None:
    project = at / "project"
    cistem_project.whole_project(project)
    done = cli("install", "cistem", project, "--out", at / "out")
    command = done.stdout.splitlines()[-1].strip()
    assert "blanks" in done.stderr
    shell = ["sh", "-c", command.replace("$command", "merge3d")]
    answered = subprocess.run(shell, capture_output=True, text=True, check=True)
    assert answered.stdout == f"exec|{project}|--out|{at / 'out'}|--|merge3d|"
    assert cli("install", "cistem", project, "--undo").stdout.splitlines()[-1].strip() == "$command"


def test_what_cannot_work_is_refused(at: Path) -> None:
    assert "name its folder" in words_in(cli("install", "cistem").stderr)
    assert "not of cistem" in words_in(cli("install", "cistem", relion_project(at)).stderr)
    (at / "refine-hooks").write_text("#!/bin/sh\nexit 3\n")
    refused = cli("install", "relion")
    assert refused.returncode == 1
    assert "ended with 3" in words_in(refused.stderr)


@pytest.fixture
def home(at: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(at / "config"))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    return at


def command_of(unit: str) -> list[str]:
    """The words of a unit's ExecStart, as systemd reads them."""
    (line,) = [one.removeprefix("ExecStart=") for one in unit.splitlines() if one.startswith("ExecStart=")]
    return [word.replace("%%", "%").replace("$$", "$") for word in shlex.split(line)]


def test_a_unit_starts_the_watch_of_all_projects_and_nothing_is_overwritten(home: Path) -> None:
    (home / "100 %").mkdir()
    given = ("install", "service", "--all", home / "100 %" / "*", "--out", home / "$out")
    printed = cli(*given)
    unit = Path(printed.stdout.partition("# belongs into ")[2].partition(";")[0])
    assert unit.parent == home / "config/systemd/user"
    assert not unit.exists()
    written = cli(*given, "--write")
    assert written.stdout.startswith(f"written: {unit}\n")
    assert "systemctl --user enable --now" in written.stdout
    started = subprocess.run(command_of(unit.read_text()), capture_output=True, text=True, check=True)
    assert started.stdout == f"watch|--all|{home / '100 %' / '*'}|--out|{home / '$out'}|"
    assert cli(*given, "--write").returncode == 0
    unit.write_text("somebody's own")
    assert "nothing was changed" in words_in(cli(*given, "--write").stderr)
    assert "was not written by refine-hooks" in words_in(cli(*given, "--undo").stderr)
    unit.unlink()
    cli(*given, "--write")
    assert f"removed: {unit}" in cli(*given, "--undo").stdout
    assert not unit.exists()
    assert "is not a folder" in words_in(cli("install", "service", home / "none").stderr)


PROGRAM = """#!/bin/bash
[ "$1" = --version ] || echo "$*" >> "{calls}"
[ "$1" = watch ] || exit 0
trap 'echo ended >> "{calls}"; exit 0' TERM
while :; do sleep 0.02; done
"""
SQUEUE = """#!/bin/sh
echo x >> "{count}"
case $(wc -l < "{count}") in 1) echo RUNNING;; 2) echo "Unable to contact controller" >&2; exit 1;; *) exit 0;; esac
"""


def test_the_script_for_slurm_runs_beside_a_job_and_ends_with_it(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = relion_project(home)
    program = home / "refine-hooks"
    program.write_text(PROGRAM.format(calls=home / "calls"))
    (home / "squeue").write_text(SQUEUE.format(count=home / "count"))
    (home / "squeue").chmod(0o755)
    written = cli("install", "slurm", project, "--write")
    script = project / "refine_hooks" / "watch.sbatch"
    assert f"sbatch --dependency=after:JOB '{script}' JOB" in written.stdout
    assert subprocess.run(["bash", "-n", script], check=True).returncode == 0
    assert "name the job" in subprocess.run(["bash", script], capture_output=True, text=True, check=False).stderr
    monkeypatch.setenv("LOOK_EVERY_S", "0.1")
    subprocess.run(["bash", script, "77"], check=True, timeout=20)
    watched = f"watch {project}"
    assert (home / "calls").read_text().splitlines() == [watched, "ended", f"once {project} --reconstruct never"]
    assert (home / "count").read_text() == "x\n" * 3
