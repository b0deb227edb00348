"""What is written for people is what the program does."""

import os
import re
import subprocess
import sys
import textwrap
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import typer
from command_line import cli as refine_hooks
from rounds_data import healthy, rule_names

from refine_hooks.audit import rules
from refine_hooks.cli._commands import application
from refine_hooks.cli.guide import _section, _show
from refine_hooks.files import lock
from refine_hooks.guide import pages
from refine_hooks.log.folder import OWN_FOLDERS, Store, index_path
from refine_hooks.log.headline import _ORDER
from refine_hooks.settings import load_settings

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "refine_hooks" / "guide").rglob("*.md"))]
DOCS = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
COMMANDS = typer.main.get_command(application()).commands  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["api", "commands", "log", "rules", "settings"])
def test_the_pages_that_are_made_from_the_code_are_committed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "scripts")
    made = import_module("guide_pages").PAGES[name]()
    assert (ROOT / "refine_hooks/guide/reference" / f"{name}.md").read_text("utf-8").split() == made.split()


@pytest.mark.parametrize("line", sorted(set(re.findall(r"^refine-hooks .*|(?<=`)refine-hooks [^`]+(?=`)", DOCS, re.M))))
def test_every_command_in_the_readme_and_the_guide_exists_with_its_options(line: str) -> None:
    words = line.split("#", maxsplit=1)[0].split(" -- ", maxsplit=1)[0].split()
    command = COMMANDS[words[1]]
    known = {option for parameter in command.params for option in parameter.opts} | {"--help"}
    assert {word.split("=")[0] for word in words[2:] if word.startswith("--")} <= known


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_files_that_a_page_names_are_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for name in re.findall(r"`((?:config|scripts)/[\w.-]+)`", text) + re.findall(r"^(scripts/\w+)", text, re.M):
        assert (ROOT / name).exists(), name
    for name in re.findall(r"\]\(((?!http)[^)#]+)\)|src=\"([^\"]+)\"", text):
        assert (page.parent / "".join(name)).exists(), name


def test_the_page_of_what_is_written_names_every_file_and_folder_of_ours() -> None:
    page = (ROOT / "refine_hooks/guide/reference/output.md").read_text(encoding="utf-8")
    store = Store(Path())
    names = {*OWN_FOLDERS, store.log.name, store.report.name, index_path(store.log).name, lock._NAME}
    assert {name for name in names if f"`{name}" not in page} == set()


def test_the_page_of_the_curves_tells_the_order_in_which_one_is_quoted() -> None:
    page = (ROOT / "refine_hooks/guide/reference/curve-names.md").read_text(encoding="utf-8")
    told = re.findall(
        r"`(\w+)`|(a corrected curve of another)", page.split("The headline of a round")[1].split("Where the")[0]
    )
    names = ["corrected program" if other else name for name, other in told]
    assert names == [
        "corrected program" if role == "program" else f"{role or 'unmasked'}{'_corrected' * (kind == 'corrected')}"
        for kind, role in _ORDER
    ]


def test_the_readme_links_every_page_of_the_guide_and_is_short() -> None:
    readme = PAGES[0].read_text(encoding="utf-8")
    assert [page for page in PAGES[1:] if f"]({page.relative_to(ROOT)})" not in readme] == []
    assert len(readme.splitlines()) <= 150


def test_the_guide_is_read_in_the_terminal() -> None:
    listed = refine_hooks("guide")
    assert listed.returncode == 0
    assert all(page.stem in listed.stdout for page in PAGES[1:])
    assert refine_hooks("guide", "mas").stdout == (ROOT / "refine_hooks/guide/explanation/mask.md").read_text("utf-8")
    rules = pages()["rules"].text
    for rule in rule_names():
        assert rule not in pages()
        assert _section(rules, rule).startswith(f"## {rule}\n")
    assert refine_hooks("guide", "alignment_limit").stdout == _section(rules, "alignment_limit")
    assert refine_hooks("guide", "volume-scaled").stdout == refine_hooks("guide", "scaled-fsc").stdout
    assert [line.split()[0] for line in listed.stdout.splitlines()[:3]] == ["tutorials", "first-watch", "read-a-round"]
    for wrong in ("nothing-of-that", "p"):
        done = refine_hooks("guide", wrong)
        assert done.returncode == 1
        assert re.search(r"guide|have it", done.stderr)


def test_on_a_terminal_a_page_is_set_and_not_shown_as_markdown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    _show("# Title\n\n* one\n* **two**\n")
    assert "Title" in (told := capsys.readouterr().out)
    assert "**" not in told
    assert "#" not in told


SETTINGS = [block for block in re.findall(r"^```toml\n(.*?)^```", DOCS, re.M | re.S) if "[project" not in block]


@pytest.mark.parametrize("block", SETTINGS)
def test_every_settings_file_in_the_guide_is_valid(block: str, tmp_path: Path) -> None:
    (tmp_path / "settings.toml").write_text(block, encoding="utf-8")
    load_settings(tmp_path / "settings.toml")


def test_the_hook_in_the_guide_runs_as_its_settings_say(tmp_path: Path) -> None:
    block = next(text for text in re.findall(r"^```python\n(.*?)^```", DOCS, re.M | re.S) if "def after" in text)
    (tmp_path / "my_hooks.py").write_text(block, encoding="utf-8")
    record = healthy()
    done = subprocess.run(
        [sys.executable, "-m", "refine_hooks.notify._call", "my_hooks:after"],
        input=record.model_dump_json(),
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
    )
    assert done.stdout.startswith("run/1/1 automask_corrected "), done.stderr


def test_the_rule_of_the_guide_works_and_its_test_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RULES_OF_ONE_ROUND", "_TEXTS"):
        monkeypatch.setattr(rules, name, getattr(rules, name).copy())
    page = (ROOT / "refine_hooks/guide/how-to/write-a-rule.md").read_text(encoding="utf-8")
    names: dict[str, Any] = {}
    for block in re.findall(r"^   ```python\n(.*?)^   ```", page, re.M | re.S):
        exec(compile(textwrap.dedent(block), "write-a-rule.md", "exec"), names)
    names["test_few_particles_are_noted"]()
    assert rules.texts_of("few_particles").title == "Few particles"
    assert names["few_particles"] in rules.RULES_OF_ONE_ROUND


def test_the_guide_names_every_rule_of_the_audit() -> None:
    table = DOCS.split("| rules |")[1].split("\n\n")[0]
    assert rule_names() == set(re.findall(r"`(\w+)`", table))


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
