"""The hooks inside a refinement's loop run the command whatever surrounds them."""

import os
import resource
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cistem_project as project
import pytest

MAIN = [sys.executable, "-c", "from refine_hooks.cli import main; main()"]
CHECKOUT = str(Path(__file__).resolve().parent.parent)


def program(folder: Path, name: str, first_line: str = "#!/bin/sh\n") -> Path:
    path = folder / name
    path.write_text(f"{first_line}echo ran >> {shlex.quote(str(folder / 'mark'))}\n")
    path.chmod(0o755)
    return path


def scene(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    project.begin(folder)
    for name, content in project.dumps(2).items():
        (folder / "Scratch" / "AutoRefine3D" / name).write_bytes(content)
    return folder


def through_shell(redirection: str) -> Callable[[list[str]], list[str]]:
    return lambda command: ["bash", "-c", f"{shlex.join(command)} {redirection}"]


def with_code(before: str) -> Callable[[list[str]], list[str]]:
    return lambda command: [sys.executable, "-c", f"{before}; from refine_hooks.cli import main; main()", *command[3:]]


def environment(**values: str | None) -> dict[str, str]:
    found = {**os.environ, "PYTHONPATH": CHECKOUT}
    for name, value in values.items():
        if value is None:
            found.pop(name, None)
        else:
            found[name] = value
    return found


def small_memory() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (150_000_000, 150_000_000))


def no_children() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)


def few_files() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (12, 12))


SHELL = {
    "standard output closed": ">&-",
    "standard error closed": "2>&-",
    "standard input closed": "<&-",
    "all three closed": "<&- >&- 2>&-",
    "standard output on a full disk": ">/dev/full",
    "standard error on a full disk": "2>/dev/full",
    "standard error is a broken pipe": "2> >(exit 0)",
    "standard output is a broken pipe": "> >(exit 0)",
}
BROKEN = {
    "typer is not installed": "import sys; sys.modules['typer'] = None",
    "numpy is not installed": "import sys; sys.modules['numpy'] = None",
    "our own package is broken": "import sys; sys.modules['refine_hooks.programs.cistem.hook'] = None",
    "logging is broken": "import sys; sys.modules['logging.handlers'] = None; sys.modules['refine_hooks.cli._logging'] = None",
    "saving crashes": "import refine_hooks.cli._exec as e, os; e._save = lambda *a: os.abort()",
    "saving exits": "import refine_hooks.cli._exec as e, sys; e._save = lambda *a: sys.exit(9)",
    "saving hangs": "import refine_hooks.cli._exec as e, time; e._SAVING_S = -29.5; e._save = lambda *a: time.sleep(100)",
    "no process can be forked": "import os\ndef no(): raise OSError(11, 'no')\nos.fork = no\nif 1: pass",
}
ENVIRONMENT: dict[str, dict[str, str | None]] = {
    "HOME missing": {"HOME": None},
    "HOME does not exist": {"HOME": "/nowhere"},
    "PATH missing": {"PATH": None},
    "odd settings": {"REFINE_HOOKS_WATCH_POLL_S": "soon", "REFINE_HOOKS_NO_SUCH": "1", "REFINE_HOOKS_OUT": "/dev/full"},
    "a locale that is not there": {"LC_ALL": "xx_YY.nothing", "LANG": None},
    "temporary folder missing": {"TMPDIR": "/nowhere"},
}
LIMITS = {"little memory": small_memory, "few files": few_files, "children are not told of": no_children}


def started(command: list[str], folder: Path, **how: Any) -> int:
    how.setdefault("env", environment())
    return subprocess.run(
        command, check=False, capture_output=True, timeout=90, cwd=how.pop("cwd", folder), **how
    ).returncode


def hook(folder: Path, command: Path | str, *options: str) -> list[str]:
    return [*MAIN, "exec", str(folder), *(options or ("--wait", "0")), "--", str(command), "10.0.0.1"]


@pytest.mark.parametrize("name", [*SHELL, *BROKEN, *ENVIRONMENT, *LIMITS])
def test_the_command_runs_whatever_surrounds_the_hook(name: str, tmp_path: Path) -> None:
    folder = scene(tmp_path)
    command = hook(folder, program(folder, "merge3d"))
    how: dict[str, Any] = {}
    if name in SHELL:
        command = through_shell(SHELL[name])(command)
    elif name in BROKEN:
        command[2] = f"{BROKEN[name]}\nfrom refine_hooks.cli import main; main()"
    elif name in ENVIRONMENT:
        how["env"] = environment(**ENVIRONMENT[name])
    else:
        how["preexec_fn"] = LIMITS[name]
    code = started(command, folder, **how)
    assert (folder / "mark").read_text() == "ran\n"
    assert code == 0


def test_a_saver_that_cannot_even_be_killed_is_not_waited_for(tmp_path: Path) -> None:
    """As one that waits for a file server which is away."""
    folder = scene(tmp_path)
    (folder / "saver.py").write_text(
        "import os, time\n"
        "def save(*given):\n"
        "    ends = time.monotonic() + 3\n"
        "    while not os.path.exists('mark') and time.monotonic() < ends: time.sleep(0.01)\n"
        "    open('late' if time.monotonic() >= ends else 'early', 'w')\n"
    )
    broken = "import refine_hooks.cli._exec as e, os, saver; e._SAVING_S = -29.9; e._save = saver.save; os.kill = print"
    command = with_code(broken)(hook(folder, program(folder, "merge3d"), "--wait", "30"))
    assert started(command, folder) == 0
    assert (folder / "early").exists()
    assert not (folder / "late").exists()


WORDS = {
    "wait is infinite": ("--wait", "inf"),
    "wait is no number": ("--wait", "soon"),
    "wait is negative": ("--wait", "-1"),
    "wait is missing its value": ("--wait", "0", "--out"),
    "an option that is not there": ("--wait", "0", "--later"),
    "out cannot be written": ("--wait", "0", "--out", "/proc/refine_hooks"),
    "out is a file": ("--wait", "0", "--out", "/dev/null"),
    "out is no UTF-8": ("--wait", "0", "--out", "out\udcff"),
}


@pytest.mark.parametrize("name", WORDS)
def test_the_command_runs_whatever_the_options_are(name: str, tmp_path: Path) -> None:
    folder = scene(tmp_path)
    assert started(hook(folder, program(folder, "merge3d"), *WORDS[name]), folder) == 0
    assert (folder / "mark").read_text() == "ran\n"


@pytest.mark.parametrize("first_line", ["", "\n", "# a comment\n"])
def test_a_script_without_an_interpreter_is_run_by_the_shell(first_line: str, tmp_path: Path) -> None:
    folder = scene(tmp_path)
    assert started(hook(folder, program(folder, "merge3d", first_line)), folder) == 0
    assert (folder / "mark").read_text() == "ran\n"


def test_an_empty_program_does_nothing_and_succeeds(tmp_path: Path) -> None:
    folder = scene(tmp_path)
    (folder / "merge3d").write_bytes(b"")
    (folder / "merge3d").chmod(0o755)
    assert started(hook(folder, folder / "merge3d"), folder) == 0


@pytest.mark.parametrize(
    ("command", "code"),
    [("", 127), ("no_such_merge3d", 127), ("/dev/null/merge3d", 127), ("/", 126), ("NOT_RUNNABLE", 126)],
)
def test_only_what_does_not_exist_gives_127(command: str, code: int, tmp_path: Path) -> None:
    folder = scene(tmp_path)
    if command == "NOT_RUNNABLE":
        command = str(folder / "plain_merge3d")
        Path(command).write_text("echo never")
    assert started(hook(folder, command), folder) == code


def test_the_command_runs_from_a_folder_that_is_gone_and_in_a_project_that_is_gone(tmp_path: Path) -> None:
    folder = scene(tmp_path)
    command = program(tmp_path, "merge3d")
    gone = tmp_path / "gone"
    gone.mkdir()
    shell = f"cd {gone} && rmdir {gone} && {shlex.join(hook(folder, command))} && {shlex.join(hook(gone, command))}"
    assert started(["bash", "-c", shell], tmp_path) == 0
    assert (tmp_path / "mark").read_text() == "ran\nran\n"


def test_a_pipe_in_place_of_a_dump_or_of_the_database_holds_nothing_up(tmp_path: Path) -> None:
    folder = scene(tmp_path)
    dump = next((folder / "Scratch" / "AutoRefine3D").glob("*.dump"))
    dump.unlink()
    os.mkfifo(dump)
    assert started(hook(folder, program(folder, "merge3d")), folder) == 0
    assert (folder / "mark").read_text() == "ran\n"


@pytest.mark.parametrize("name", [*SHELL, *LIMITS, "star missing", "out cannot be written", "cwd is gone"])
def test_relions_program_decides_the_exit_code(name: str, tmp_path: Path) -> None:
    relion = program(tmp_path, "relion")
    relion.write_text(relion.read_text() + "exit 7\n")
    star = tmp_path / "it001_half1_class001_external_reconstruct.star"
    if name != "star missing":
        star.write_text("data_\n")
    command = [*MAIN, "relion-external-reconstruct", str(star), "--j", "2"]
    env = environment(REFINE_HOOKS_RELION_EXTERNAL_RECONSTRUCT=str(relion), REFINE_HOOKS_OUT=None)
    how: dict[str, Any] = {}
    if name in SHELL:
        command = ["bash", "-c", f"{shlex.join(command)} {SHELL[name]}"]
    elif name in LIMITS:
        how["preexec_fn"] = LIMITS[name]
    elif name == "out cannot be written":
        env["REFINE_HOOKS_OUT"] = "/proc/nowhere"
    elif name == "cwd is gone":
        (tmp_path / "gone").mkdir()
        command = ["bash", "-c", f"cd {tmp_path}/gone && rmdir ../gone && {shlex.join(command)}"]
    assert started(command, tmp_path, env=env, **how) == 7
    assert (tmp_path / "mark").read_text() == "ran\n"


@pytest.mark.parametrize("command", [["exec", ".", "--", "env"], ["relion-external-reconstruct", "a.star"]])
def test_the_command_has_the_environment_that_the_hook_was_given(command: list[str], tmp_path: Path) -> None:
    """Python adds LC_CTYPE where no locale is set."""
    relion = tmp_path / "relion"
    relion.write_text("#!/bin/sh\nexec env -u PWD -u OLDPWD -u _\n")
    relion.chmod(0o755)
    given = {"PATH": "/usr/bin", "PYTHONPATH": CHECKOUT, "REFINE_HOOKS_RELION_EXTERNAL_RECONSTRUCT": str(relion)}
    start = with_code("import refine_hooks.cli._relion as r; r.keep_sums = lambda star: None")([*MAIN, *command])
    done = subprocess.run(start, capture_output=True, env=given, cwd=tmp_path, check=True, text=True)
    assert dict(line.split("=", 1) for line in done.stdout.splitlines()) == given
