"""The command line: messages, exit codes, and what scripts rely on."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from command_line import cli

from refine_hooks.files.mrc import Map, write_map
from refine_hooks.log.records import LOG_LINE, RoundRecord


def halves(folder: Path, box_px: int = 32, voxel_size_A: float = 3.0) -> tuple[Path, Path]:
    rng = np.random.default_rng(5)
    z, y, x = np.indices((box_px,) * 3) - box_px // 2
    ball = np.exp(-((z / 4) ** 2 + (y / 5) ** 2 + (x / 8) ** 2))
    signal = ball * (1 + rng.normal(size=ball.shape))
    paths = folder / "one.mrc", folder / "two.mrc"
    for path in paths:
        write_map(path, Map((signal + 0.1 * rng.normal(size=ball.shape)).astype(np.float32), voxel_size_A), "test")
    return paths


def test_measure_json_prints_the_record_alone(tmp_path: Path) -> None:
    one, two = halves(tmp_path)
    done = cli("measure", one, two, "--mass", 30, "--radius", 40, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    record = LOG_LINE.validate_json(done.stdout)
    assert isinstance(record, RoundRecord)
    assert {"unmasked", "sphere", "sphere_scaled", "automask", "automask_corrected"} <= {c.name for c in record.curves}
    assert record.mask("sphere").parameters.radius_A == 40
    assert json.loads(done.stdout)["type"] == "round"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["one.mrc", "two.mrc"]


def test_measure_with_out_writes_mask_log_and_report(tmp_path: Path) -> None:
    one, two = halves(tmp_path)
    done = cli("measure", one, two, "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert {p.name for p in (tmp_path / "out").iterdir()} >= {"rounds.jsonl", "report.html", "masks"}
    assert "automask" in done.stdout


def test_several_masks_are_named_on_the_command_line(tmp_path: Path) -> None:
    one, two = halves(tmp_path)
    write_map(tmp_path / "m.mrc", Map(np.ones((32,) * 3, np.float32), 3.0), "mask")
    done = cli("measure", one, two, "--mask", tmp_path / "m.mrc", "--mask", f"core={tmp_path / 'm.mrc'}", "--json")
    assert done.returncode == 0, done.stderr
    names = {mask["name"] for mask in json.loads(done.stdout)["masks"]}
    assert {"user", "core"} <= names


def test_all_faults_of_the_given_files_are_told_at_once_without_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "text.mrc").write_text("no map")
    write_map(tmp_path / "flat.mrc", Map(np.zeros((4, 4, 5), np.float32), 1.0), "test")
    done = cli("measure", tmp_path / "text.mrc", tmp_path / "flat.mrc", "--mask", tmp_path / "gone.mrc")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert all(name in done.stderr for name in ("text.mrc", "flat.mrc", "gone.mrc"))
    assert done.stdout == ""


def test_half_maps_of_different_boxes_are_refused_with_both_named(tmp_path: Path) -> None:
    one, _ = halves(tmp_path)
    write_map(
        tmp_path / "small.mrc", Map(np.random.default_rng(0).normal(size=(16,) * 3).astype(np.float32), 3.0), "test"
    )
    done = cli("measure", one, tmp_path / "small.mrc")
    assert done.returncode == 1
    assert "16 x 16 x 16" in done.stderr
    assert "32 x 32 x 32" in done.stderr


def test_an_out_that_is_a_file_is_refused_with_its_name(tmp_path: Path) -> None:
    one, two = halves(tmp_path)
    done = cli("measure", one, two, "--out", one)
    assert (done.returncode, "Traceback" in done.stderr) == (1, False)
    assert f"{one}" in done.stderr


def test_a_report_may_be_written_anywhere(tmp_path: Path) -> None:
    one, two = halves(tmp_path)
    assert cli("measure", one, two, "--out", tmp_path / "log").returncode == 0
    done = cli("report", tmp_path / "log", "--out", tmp_path / "elsewhere" / "page.html")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "elsewhere" / "page.html").read_text().startswith("<!doctype html>")


def test_what_is_no_log_is_said_once(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("first\nsecond\nthird\n")
    done = cli("audit", tmp_path / "notes.txt")
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)


@pytest.mark.parametrize("command", ["watch", "once"])
def test_what_is_no_project_is_said(tmp_path: Path, command: str) -> None:
    empty = cli(command, tmp_path)
    assert (empty.returncode, "is empty" in empty.stderr) == (1, True)
    (tmp_path / "notes.txt").write_text("x")
    other = cli(command, tmp_path)
    assert (other.returncode, "--program" in other.stderr) == (1, True)
    gone = cli(command, tmp_path / "gone")
    assert (gone.returncode, "is not a folder" in gone.stderr) == (1, True)
    assert [p.name for p in tmp_path.iterdir()] == ["notes.txt"]


def test_check_config_tells_every_fault(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text("[watch]\npol = 1\n[fsc]\nrepeats = 1\n")
    done = cli("check-config", tmp_path / "c.toml")
    assert done.returncode == 1
    assert "watch.pol" in done.stderr
    assert "fsc.repeats" in done.stderr
    assert cli("check-config").stdout == (Path(__file__).parent.parent / "config" / "default.toml").read_text()


def test_settings_may_come_through_a_pipe(tmp_path: Path) -> None:
    project = tmp_path / "Refine3D" / "job001"
    project.mkdir(parents=True)
    (project / "run_it001_optimiser.star").write_text("")
    read, write = os.pipe()
    os.write(write, b"[sphere]\nradius_A = 33.0\n")
    os.close(write)
    command = [sys.executable, "-c", "from refine_hooks.cli import main; main()", "once", str(tmp_path), "--config"]
    done = subprocess.run([*command, f"/dev/fd/{read}"], capture_output=True, text=True, check=False, pass_fds=[read])
    os.close(read)
    assert done.returncode == 0, done.stderr
    start = json.loads((tmp_path / "refine_hooks" / "rounds.jsonl").read_text().splitlines()[0])
    assert start["settings"]["sphere"]["radius_A"] == 33.0


def test_the_schema_is_printed_as_committed() -> None:
    assert json.loads(cli("schema").stdout) == json.loads(
        (Path(__file__).parent.parent / "config" / "rounds.schema.json").read_text()
    )


HEAVY = ("numpy", "scipy", "skimage", "mrcfile", "pydantic", "gemmi", "matplotlib", "watchdog")


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys, refine_hooks.cli._commands as c\n"
        "try: c.application()(['--help'])\n"
        "except SystemExit: pass\n"
        f"print('HEAVY:', [m for m in {HEAVY!r} if m in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.rstrip().endswith("HEAVY: []")


def test_each_command_is_in_the_module_that_the_table_names() -> None:
    import typer

    from refine_hooks.cli._commands import MODULES, application

    held: dict[str, set[str]] = {}
    for name, command in typer.main.get_command(application()).commands.items():  # type: ignore[attr-defined]
        held.setdefault(command.callback.__wrapped__.__module__.rpartition(".")[2], set()).add(name)
    assert {module: set(commands) for module, commands in MODULES.items()} == held


def test_an_unforeseen_error_is_called_our_own(tmp_path: Path) -> None:
    code = (
        "import refine_hooks.cli._door as c\n"
        "def broken(*a, **k): raise ZeroDivisionError('unforeseen')\n"
        "c.application = lambda command: broken\n"
        "c.run_command()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert "bug of refine_hooks" in done.stderr


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("measured")
    one, two = halves(folder)
    assert cli("measure", one, two, "--out", folder / "refine_hooks").returncode == 0
    return folder


ROUND = "measure/0/1"


@pytest.mark.parametrize(
    "words", [[".", ROUND], [ROUND], ["refine_hooks", ROUND], [ROUND, "--log", "refine_hooks/rounds.jsonl"]]
)
def test_the_log_comes_first_and_the_round_second_and_either_may_be_left_out(measured: Path, words: list[str]) -> None:
    shown = cli("show", *words, cwd=measured)
    assert shown.returncode == 0, shown.stderr
    assert ROUND in shown.stdout


def test_the_current_folder_is_the_log_where_none_is_named(measured: Path) -> None:
    for words in (["show"], ["audit"], ["report", "--out", "page.html"], ["plot", ROUND, "--out", "x.svg"]):
        done = cli(*words, cwd=measured)
        assert done.returncode == 0, done.stderr
    assert cli("export", "--as", "csv", cwd=measured).returncode == 2
    assert cli("export", ".", "--round", ROUND, "--as", "csv", cwd=measured).returncode == 0


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--version"], 0),
        (["-h"], 0),
        (["show", "-h"], 0),
        (["show", "gone"], 1),
        (["show", "--no-such"], 2),
        (["no-such"], 2),
        (["audit", ".", "--fail-on", "all"], 2),
        (["serve", "--port", "70000"], 2),
    ],
)
def test_exit_codes(tmp_path: Path, words: list[str], code: int) -> None:
    done = cli(*words, cwd=tmp_path)
    assert (done.returncode, "Traceback" in done.stderr) == (code, False), done.stderr


def test_quiet_verbose_and_the_log_file_may_stand_behind_the_command(tmp_path: Path) -> None:
    (tmp_path / "Refine3D" / "job001").mkdir(parents=True)
    (tmp_path / "Refine3D" / "job001" / "run_it001_optimiser.star").write_text("")
    loud = cli("once", tmp_path)
    assert "nothing" in loud.stderr
    quiet = cli("once", tmp_path, "-q", "--log-file", tmp_path / "messages.txt")
    assert (quiet.returncode, quiet.stderr) == (0, "")
    assert "INFO refine_hooks.watch.session: done" in (tmp_path / "messages.txt").read_text()


@pytest.mark.parametrize("output", [">&-", ">/dev/full", "2>/dev/full", "2>&-", "| true"])
def test_an_output_that_cannot_be_written_loses_no_measurement(tmp_path: Path, output: str) -> None:
    one, two = halves(tmp_path, 24)
    quick = {"REFINE_HOOKS_ANALYSIS_LOCAL": "never", "REFINE_HOOKS_AUTOMASK_ENABLED": "false"}
    command = (
        f"{sys.executable} -c 'from refine_hooks.cli import main; main()' measure {one} {two} --out {tmp_path / 'out'}"
    )
    done = subprocess.run(
        ["bash", "-c", f"{command} {output}"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": ".", **quick},
    )
    assert done.returncode in ((0, 1) if "full" in output and "2" not in output else (0,)), done.stderr
    assert "Traceback" not in done.stderr
    assert json.loads((tmp_path / "out" / "rounds.jsonl").read_text().splitlines()[-1])["type"] == "round"


def test_a_full_standard_output_is_said(tmp_path: Path) -> None:
    command = f"{sys.executable} -c 'from refine_hooks.cli import main; main()' schema >/dev/full"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "No space left" in done.stderr
    assert "Traceback" not in done.stderr


def test_check_config_shows_where_each_setting_comes_from(tmp_path: Path) -> None:
    (tmp_path / "refine_hooks.toml").write_text("[fsc]\nrepeats = 9\n")
    (tmp_path / "c.toml").write_text("[audit]\njump_fraction = 0.3\n")
    command = [sys.executable, "-c", "from refine_hooks.cli import main; main()", "check-config", str(tmp_path)]
    done = subprocess.run(
        [*command, "--config", str(tmp_path / "c.toml"), "--program", "cistem"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "REFINE_HOOKS_WATCH_POLL_S": "3"},
    )
    lines = {line.split(" ")[0]: line for line in done.stdout.splitlines()}
    assert done.returncode == 0, done.stderr
    assert lines["repeats"].startswith("repeats = 9 ")
    assert lines["repeats"].endswith(f"from {tmp_path / 'refine_hooks.toml'}")
    assert lines["jump_fraction"].endswith(f"from {tmp_path / 'c.toml'}")
    assert "REFINE_HOOKS_WATCH_POLL_S" in lines["poll_s"]
    assert "cistem.toml" in lines["metadata_wait_s"]
    assert "# from" not in lines["seed"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_is_given_a_completion_of_its_own(shell: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")
    done = cli("--show-completion", shell)
    assert done.returncode == 0
    assert "refine-hooks" in done.stdout
    assert "COMPLETE" in done.stdout
    assert "--install-completion" in cli("--help").stdout
