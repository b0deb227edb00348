"""What is pasted into RELION and cisTEM: lines that work in a shell, and everything is taken back."""

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
