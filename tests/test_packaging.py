"""What the packages say is what the project says."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import refine_hooks

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
PACKAGING = ROOT / "scripts" / "packaging"
CONDA_NAMES = {"prometheus-client": "prometheus_client"}


def test_the_recipe_needs_what_the_project_needs() -> None:
    text = (PACKAGING / "recipe.yaml").read_text("utf-8")
    run = text.split("  run:\n")[1].split("\n\n")[0]
    needed = {line.strip().removeprefix("- ") for line in run.splitlines()}
    ours = [re.fullmatch(r"([\w-]+)(.*)", one) for one in PROJECT["dependencies"]]
    assert needed == {
        f"python {PROJECT['requires-python']}",
        *(f"{CONDA_NAMES.get(one[1], one[1])} {one[2]}" for one in ours if one),
    }
    assert f"version: {refine_hooks.__version__}\n" in text
    assert PROJECT["description"] in text
    assert f"refine-hooks = {PROJECT['scripts']['refine-hooks']}" in text


def test_the_recipe_is_yaml_and_the_container_has_its_sections() -> None:
    yaml = pytest.importorskip("yaml")
    recipe = yaml.safe_load((PACKAGING / "recipe.yaml").read_text("utf-8"))
    assert {"package", "source", "build", "requirements", "tests", "about"} <= set(recipe)
    sections = re.findall(r"^%(\w+)", (PACKAGING / "refine_hooks.def").read_text("utf-8"), re.M)
    assert sections == ["files", "post", "environment", "runscript", "test"]


@pytest.mark.parametrize("section", ["post", "environment", "runscript", "test"])
def test_the_container_s_steps_are_valid_shell(section: str) -> None:
    text = (PACKAGING / "refine_hooks.def").read_text("utf-8")
    steps = text.split(f"%{section}\n")[1].split("\n%")[0]
    subprocess.run(["sh", "-n"], input=steps, text=True, check=True)


def test_the_extras_of_the_container_exist() -> None:
    found = re.search(r"\[([\w,]+)\]", (PACKAGING / "refine_hooks.def").read_text("utf-8"))
    assert found
    assert set(found[1].split(",")) <= set(PROJECT["optional-dependencies"])


def test_the_recipe_makes_a_package_for_each_python_that_is_named() -> None:
    pytest.importorskip("rattler_build")
    done = subprocess.run([sys.executable, PACKAGING / "render-recipe"], capture_output=True, text=True, check=True)
    named = [one.rsplit(" ", 1)[1] for one in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", one)]
    assert re.findall(r"-py(3\d+)h", done.stdout) == [one.replace(".", "") for one in named]


def test_no_address_of_the_project_is_a_machine_s() -> None:
    recipe = (PACKAGING / "recipe.yaml").read_text("utf-8")
    for address in (*PROJECT["urls"].values(), *re.findall(r"\w+://\S+", recipe)):
        assert address.startswith("https://pypi.org/project/refine_hooks/")


def test_the_citation_and_the_changelog_know_this_version() -> None:
    reference = ROOT / "refine_hooks" / "guide" / "reference"
    assert f"{{{refine_hooks.__version__}}}" in (reference / "cite.md").read_text("utf-8")
    assert f"## {refine_hooks.__version__}\n" in (reference / "changelog.md").read_text("utf-8")


def test_the_dependencies_page_names_each_and_no_other() -> None:
    page = (ROOT / "refine_hooks/guide/reference/dependencies.md").read_text("utf-8")
    named = set(re.findall(r"^\| `([\w\[\]-]+)` \|", page, re.M))
    extras = [
        one for name, each in PROJECT["optional-dependencies"].items() if name not in ("all", "test") for one in each
    ]
    ours = {re.split(r"[<>=]", one)[0] for one in (*PROJECT["dependencies"], *extras)}
    assert named == ours
