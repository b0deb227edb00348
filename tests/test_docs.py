"""What is written for people is what the program does."""

import re
from pathlib import Path

import pytest
import typer

from refine_hooks import cli  # noqa: F401  (the commands register themselves)
from refine_hooks.cli._app import app
from refine_hooks.cli._help import all_help

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]


def test_the_committed_help_is_the_program_s() -> None:
    assert (ROOT / "config" / "help.txt").read_text(encoding="utf-8").split() == all_help().split()


@pytest.mark.parametrize(
    "line", sorted(set(re.findall(r"^refine-hooks .*|(?<=`)refine-hooks [^`]+(?=`)", README, re.M)))
)
def test_every_command_in_the_readme_exists_with_its_options(line: str) -> None:
    words = line.split("#", maxsplit=1)[0].split(" -- ", maxsplit=1)[0].split()
    command = COMMANDS[words[1]]
    known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
    assert {word.split("=")[0] for word in words[2:] if word.startswith("--")} <= known


def test_the_files_that_the_readme_names_are_there() -> None:
    for name in re.findall(r"`((?:config|scripts)/[\w.-]+)`", README) + re.findall(r"\]\(((?!http)[^)#]+)\)", README):
        assert (ROOT / name).exists(), name
    for name in re.findall(r"^(scripts/\w+)", README, re.M):
        assert (ROOT / name).exists(), name


PLACES = ("refine_hooks", "config", "tests", "scripts", "README.md", "pyproject.toml", ".ci")


def test_no_machine_s_paths_are_in_the_project() -> None:
    forbidden = re.compile("|".join(("/ro" + "ot/", "/wo" + "rk/", "127\\.0\\.0\\.1/sim" + "ple")))
    for place in PLACES:
        path = ROOT / place
        for file in [path] if path.is_file() else path.rglob("*"):
            if (
                file.suffix in {".py", ".md", ".toml", ".txt", ".json", ""}
                and file.is_file()
                and "__pycache__" not in file.parts
            ):
                assert not forbidden.search(file.read_text(encoding="utf-8", errors="ignore")), file
