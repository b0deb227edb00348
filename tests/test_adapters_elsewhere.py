"""Programs that others add, by patterns or by an adapter in another package; the guide's page on it is tried word by word."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import cli as in_this_process
from heard import hear
from opened import Opened
from pairs_data import VOXEL_A, dated, merged, put, put_text, true_fsc
from small_program import BOX, half_maps_of

from refine_hooks.errors import ProjectError, SettingsError
from refine_hooks.log.file import read_journal
from refine_hooks.log.folder import Store
from refine_hooks.log.records import RoundRecord
from refine_hooks.programs import claim, claims
from refine_hooks.programs.adapter import PARTS
from refine_hooks.programs.generic import pairs_of
from refine_hooks.settings import Settings, load_settings
from refine_hooks.testing import check_adapter

EXAMPLE = Path(__file__).parent / "data" / "example_adapter"
GUIDE = Path(__file__).parent.parent / "refine_hooks" / "guide"
PAGE = (GUIDE / "tutorials" / "add-a-program.md").read_text(encoding="utf-8")
BLOCKS = {name: text for name, text in re.findall(r"^`([\w.]+)`\n```\w+\n(.*?)^```", PAGE, re.M | re.S)}  # noqa: C416
COMMANDS = re.findall(r"^refine-hooks .*$", PAGE, re.M)
QUICK = {"REFINE_HOOKS_ANALYSIS_LOCAL": "never", "REFINE_HOOKS_WATCH_SETTLE_S": "0.1"}


def helixfit(project: Path, iterations: int = 2) -> Path:
    for iteration in range(1, iterations + 1):
        stem = project / "rounds" / f"fibre_it{iteration:03d}"
        one, two = half_maps_of(iteration)
        files = [put(Path(f"{stem}_{half}.mrc"), m) for half, m in (("a", one), ("b", two))]
        rows = [f"{shell / (BOX * VOXEL_A):.6f} {value:.6f}\n" for shell, value in enumerate(true_fsc(iteration))]
        dated(
            [*files, put(Path(f"{stem}_sum.mrc"), merged(one, two)), put_text(Path(f"{stem}_fsc.txt"), "".join(rows))],
            iteration,
        )
    return project


def install(package: Path, site: Path) -> None:
    """What an installer leaves of a package of one module: the module, its metadata and its entry points."""
    project = tomllib.loads((package / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    info = site / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    lines = []
    for group, entries in project["entry-points"].items():
        lines += [f"[{group}]", *(f"{name} = {value}" for name, value in entries.items())]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
    for module in package.glob("*.py"):
        shutil.copy(module, site)


def cli(line: str, project: Path, cwd: Path, site: Path | None = None) -> subprocess.CompletedProcess[str]:
    words = [str(project) if word == "PROJECT" else word for word in line.split("#", maxsplit=1)[0].split()[1:]]
    command = [sys.executable, "-c", "from refine_hooks.cli import main; main()", *words]
    paths = os.pathsep.join(filter(None, [str(site or ""), os.environ.get("PYTHONPATH", "")]))
    environment = {**os.environ, "PYTHONPATH": paths, "COLUMNS": "120", **QUICK}
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, check=False, env=environment)


def records(out: Path) -> list[RoundRecord]:
    return [line for line in read_journal(out / "rounds.jsonl").lines if isinstance(line, RoundRecord)]


# --- the page of the guide -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(path.name for path in EXAMPLE.iterdir() if path.is_file()))
def test_the_page_shows_the_example_package_word_by_word(name: str) -> None:
    assert BLOCKS[name] == (EXAMPLE / name).read_text(encoding="utf-8")


def test_the_page_s_pattern_measures_every_round_with_the_page_s_commands(tmp_path: Path) -> None:
    project = helixfit(tmp_path / "project")
    (tmp_path / "helixfit.toml").write_text(BLOCKS["helixfit.toml"])
    explain, watch = (line for line in COMMANDS if "--config" in line)
    told = cli(f"{explain} --json", project, tmp_path)
    assert told.returncode == 0, told.stderr
    assert [(r["key"], r["origin"]) for r in json.loads(told.stdout)["rounds"]] == [
        ("fibre/1/1", "found"),
        ("fibre/2/1", "found"),
    ]
    done = cli(f"{watch} --until-idle 0.1", project, tmp_path)
    assert done.returncode == 0, done.stderr
    assert [str(r.key) for r in records(project / "refine_hooks")] == ["fibre/1/1", "fibre/2/1"]


def test_the_page_s_package_is_found_by_itself_once_it_is_installed(tmp_path: Path) -> None:
    project, site, package = helixfit(tmp_path / "project"), tmp_path / "site", tmp_path / "package"
    package.mkdir()
    for name in ("pyproject.toml", "refine_hooks_helixfit.py"):
        (package / name).write_text(BLOCKS[name])
    assert in_this_process("explain", project).returncode == 1
    install(package, site)
    told = cli("refine-hooks explain PROJECT", project, tmp_path, site)
    assert told.returncode == 0, told.stderr
    assert "it is helixfit's: rounds/fibre_it001_a.mrc" in told.stdout
    done = cli("refine-hooks once PROJECT", project, tmp_path, site)
    assert done.returncode == 0, done.stderr
    for iteration, record in enumerate(records(project / "refine_hooks"), 1):
        assert (record.program, record.half_maps and record.half_maps.origin) == ("helixfit", "found")
        curve = record.curve("reported_fsc")
        assert curve is not None
        np.testing.assert_allclose(np.array(curve.correlation, float), true_fsc(iteration), atol=1e-4)


def test_the_page_s_test_is_one_that_runs_and_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    helixfit(tmp_path / "small_project")
    (tmp_path / "refine_hooks_helixfit.py").write_text(BLOCKS["refine_hooks_helixfit.py"])
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(compile(BLOCKS["test_helixfit.py"], "test_helixfit.py", "exec"), names)
    (tmp_path / "empty").mkdir()
    names["test_helixfit"](tmp_path / "empty")


# --- patterns ------------------------------------------------------------------------------------------------------------


def generic(**table: Any) -> tuple[Any, Settings]:
    settings = load_settings(program="generic", overrides={"generic": table, "watch": {"settle_s": 0.0}})
    return Opened(pairs_of(settings)), settings


PATTERN = r"rounds/(?P<run>\w+)_it(?P<iteration>\d+)_(?P<half>[ab])\.mrc"


@pytest.mark.parametrize(
    "patterns",
    [
        {"half1": PATTERN},
        {"half1": PATTERN.replace("(?P<half>[ab])", "a"), "half2": PATTERN.replace("(?P<half>[ab])", "b")},
    ],
)
def test_one_pattern_or_two_keep_every_promise(patterns: dict[str, str], tmp_path: Path) -> None:
    adapter, settings = generic(folders=["rounds"], **patterns)
    check_adapter(adapter, helixfit(tmp_path / "project"), tmp_path, with_halves=2, settings=settings)


def test_files_without_a_number_are_counted_as_they_change(tmp_path: Path) -> None:
    adapter, settings = generic(half1=r"(?P<half>even|odd)_half\.mrc")
    store = Store(tmp_path / "out")
    for iteration in (1, 2, 3):
        files = [
            put(tmp_path / f"{h}_half.mrc", m) for h, m in zip(("even", "odd"), half_maps_of(iteration), strict=True)
        ]
        dated(files, iteration)
        for _ in range(2):
            adapter.capture(tmp_path, store.spool)
    rounds = list(adapter.rounds(tmp_path, settings, store))
    assert [str(r.key) for r in rounds] == ["run/1/1", "run/2/1", "run/3/1"]
    for iteration, round_ in enumerate(rounds, 1):
        np.testing.assert_array_equal(
            adapter.half_maps(tmp_path, round_, store).half1.voxels, half_maps_of(iteration)[0].voxels
        )


def test_what_the_settings_say_of_the_maps_is_believed(tmp_path: Path) -> None:
    adapter, settings = generic(
        folders=["rounds"], half1=PATTERN, voxel_size_A=2.0, radius_A=20.0, molecular_mass_kDa=50.0
    )
    round_ = next(iter(adapter.rounds(helixfit(tmp_path), settings, Store(tmp_path / "out"))))
    facts = round_.facts
    assert (facts.voxel_size_A, facts.sphere_radius_A, facts.molecular_mass_kDa) == (2.0, 20.0, 50.0)
    assert adapter.half_maps(tmp_path, round_, Store(tmp_path / "out")).half1.voxel_size_A == 2.0


FAULTS = [
    ({"half1": "(", "folders": ["/etc"]}, ["half1: is no regular expression", "'/etc'"]),
    ({"half1": "(", "half2": "["}, ["half1: is no", "half2: is no"]),
    ({"half1": "a"}, ["needs a group half"]),
    ({"half2": "a"}, ["half1: is empty"]),
    ({"half1": "(?P<half>a)", "half2": "b"}, ["half2: must be empty"]),
    ({"half1": r"(?P<iteration>\d)", "half2": "b"}, ["half1 (iteration)"]),
    ({"half1": r"(?P<half>a)(?P<iter>\d)"}, ["the group iter"]),
    ({"half1": "(?P<half>a)", "folders": ["x/../y", "**"]}, ["x/../y", "'**'"]),
]


@pytest.mark.parametrize(("table", "told"), FAULTS)
def test_all_that_is_wrong_with_patterns_is_said_at_once(
    table: dict[str, Any], told: list[str], tmp_path: Path
) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("[generic]\n" + "".join(f"{name} = {json.dumps(value)}\n" for name, value in table.items()))
    with pytest.raises(SettingsError) as caught:
        load_settings(file)
    assert all(text in str(caught.value) for text in (*told, "mine.toml, line 1: generic"))


@pytest.mark.parametrize(
    ("pattern", "told"),
    [
        (r"rounds/(?P<iteration>\w+)_(?P<half>[ab])\.mrc", "iteration 'fibre_it001' is no number"),
        (r"rounds/\w+_(?P<half>[ab])\.mrc", "both would be half a"),
    ],
)
def test_a_pattern_that_tells_too_little_is_said_with_the_file(pattern: str, told: str, tmp_path: Path) -> None:
    project = helixfit(tmp_path / "project")
    (tmp_path / "mine.toml").write_text(f"[generic]\nfolders = ['rounds']\nhalf1 = '{pattern}'\n")
    done = cli("refine-hooks explain PROJECT --config mine.toml", project, tmp_path)
    assert told in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("pattern", "odd", "whole"),
    [
        (r"(?P<run>\w+?)(_copy)?_it(?P<iteration>\d+)_(?P<half>[ab])\.mrc", "good_copy_it002_a.mrc", [1]),
        (r"(?P<run>\w+)_(?P<iteration>\w+)_(?P<half>[ab])\.mrc", "good_last_a.mrc", [1, 2]),
    ],
)
def test_one_odd_name_harms_its_own_round_alone(pattern: str, odd: str, whole: list[int], tmp_path: Path) -> None:
    for iteration in (1, 2):
        for half in "ab":
            put(tmp_path / f"good_{'it' * ('it' in odd)}{iteration:03d}_{half}.mrc", half_maps_of(1)[0])
    put(tmp_path / odd, half_maps_of(1)[0])
    settings = load_settings(overrides={"generic": {"half1": pattern, "folders": ["."]}, "watch": {"settle_s": 0.0}})
    project = pairs_of(settings).open(tmp_path, settings, tmp_path / "spool")
    rounds = list(project.rounds())
    assert [round_.key.iteration for round_ in rounds if not round_.fault] == whole
    (fault, *_) = [r.fault for r in rounds if r.fault] or [project.why_unused(tmp_path / odd)]
    assert fault is not None
    assert odd in fault


def test_generic_without_a_pattern_says_where_to_give_one(tmp_path: Path) -> None:
    done = cli("refine-hooks once PROJECT --project generic", helixfit(tmp_path / "project"), tmp_path)
    assert done.returncode == 1
    assert "half1: is empty" in done.stderr


# --- adapters of other packages -------------------------------------------------------------------------------------------


def plug_in(site: Path, name: str, value: str, module: str = "", package: str = "some-package") -> None:
    folder = site.parent / package
    folder.mkdir()
    (folder / "pyproject.toml").write_text(
        f'[project]\nname = "{package}"\nversion = "2.0"\n[project.entry-points."refine_hooks.programs"]\n{name} = "{value}"\n'
    )
    (folder / f"{value.split(':', maxsplit=1)[0]}.py").write_text(module)
    install(folder, site)


COMPLETE = "".join(f"def {name}(*a): return ()\n" for name in PARTS)


@pytest.mark.parametrize(
    ("name", "module", "told"),
    [
        ("broken", "import nothing_of_that_name", "cannot be loaded (ModuleNotFoundError"),
        ("broken", "1 / 0", "cannot be loaded (ZeroDivisionError"),
        ("broken", "def recognises(d): return True", "it has no function"),
        ("broken", COMPLETE + "def recognises(d): return d / 0", "fails at"),
        ("stopgap", COMPLETE, "has a name that is taken"),
    ],
)
def test_a_broken_plug_in_is_told_and_stands_in_nobody_s_way(
    name: str, module: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site"
    plug_in(site, name, f"plug_in_of_{tmp_path.name}", module)
    install(EXAMPLE, site)
    monkeypatch.syspath_prepend(str(site))
    project = helixfit(tmp_path / "project")
    said = hear()
    assert claim(project)[0] == "helixfit"
    assert told in "\n".join(said)
    assert "some-package" in "\n".join(said)
    (broken,) = [each for each in claims(project) if each.recognises is None]
    assert told in broken.why


def test_a_broken_plug_in_that_is_asked_for_by_name_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plug_in(tmp_path / "site", "broken", "plug_in_that_breaks", "import nothing_of_that_name")
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    with pytest.raises(ProjectError, match=r"broken of some-package .*nothing_of_that_name"):
        claim(tmp_path, "broken")
