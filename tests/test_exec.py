import os
import signal
import subprocess
import sys
from pathlib import Path

import cistem_project as project
import pytest
from heard import hear
from opened import Opened

from refine_hooks.errors import StorageError
from refine_hooks.log.folder import Store
from refine_hooks.programs.cistem import dumps
from refine_hooks.programs.cistem.hook import before_merge, merges
from refine_hooks.settings import Settings

MAIN = [sys.executable, "-c", "import sys; sys.argv[0] = 'refine-hooks'; from refine_hooks.cli import main; main()"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    project.begin(tmp_path / "project")
    return tmp_path / "project"


def execute(folder: Path, *command: str, options: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*MAIN, "exec", str(folder), *options, "--", *command], check=False, capture_output=True, text=True, timeout=60
    )


def write_round(folder: Path, panel: str = "AutoRefine3D") -> dict[str, bytes]:
    files = project.dumps(2)
    project.write_parameters(folder, panel, 2)
    for name, content in files.items():
        (folder / "Scratch" / panel / name).write_bytes(content)
    return files


def program(folder: Path, name: str, script: str) -> str:
    path = folder.parent / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def spooled(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "refine_hooks" / "spool").rglob("*.dump")}


def test_the_command_keeps_its_arguments_output_and_exit_code(folder: Path) -> None:
    done = execute(folder, "sh", "-c", 'echo "$0|$1|$2"; echo fault >&2; exit 7', "10.0.0.1,host", "--threads", "a b")
    assert (done.returncode, done.stdout, done.stderr) == (7, "10.0.0.1,host|--threads|a b\n", "fault\n")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_project_that_cannot_be_read_never_keeps_the_command_from_starting(folder: Path) -> None:
    merge3d = program(folder, "merge3d", "echo merged; exit 5")
    folder.chmod(0)
    done = execute(folder, merge3d, options=("--wait", "0"))
    folder.chmod(0o755)
    assert (done.returncode, done.stdout) == (5, "merged\n")
    assert "Permission denied" in done.stderr
    assert "bug" not in done.stderr


def test_the_command_keeps_the_process_id_and_the_input(folder: Path) -> None:
    command = [*MAIN, "exec", str(folder), "--", "sh", "-c", "echo $$; cat"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        out, _ = process.communicate("typed in", timeout=60)
    assert out == f"{process.pid}\ntyped in"


def test_the_command_gets_the_signals_as_they_are_outside_of_python(folder: Path) -> None:
    done = execute(folder, "sh", "-c", "kill -PIPE $$; echo still alive")
    assert (done.returncode, done.stdout) == (-signal.SIGPIPE, "")


def test_all_dumps_are_saved_before_merge3d_can_remove_them(folder: Path) -> None:
    files = write_round(folder)
    merge3d = program(folder, "merge3d", f'rm {folder}/Scratch/AutoRefine3D/*.dump; echo "merging for $*"')
    done = execute(folder, merge3d, "10.0.0.1", "3000", "code", "4")
    assert (done.returncode, done.stdout, done.stderr) == (0, "merging for 10.0.0.1 3000 code 4\n", "")
    assert spooled(folder) == files
    assert len(list((folder / "refine_hooks" / "spool").rglob(dumps.SEALED))) == 1


def test_no_other_program_is_delayed_or_saves_anything(folder: Path) -> None:
    write_round(folder)
    refine3d = program(folder, "refine3d", "exit 3")
    assert execute(folder, refine3d, "10.0.0.1").returncode == 3
    assert not (folder / "refine_hooks").exists()


@pytest.mark.parametrize("fault", ["no project", "no spool", "dumps missing"])
def test_a_failure_to_save_is_told_and_the_refinement_goes_on(folder: Path, fault: str) -> None:
    merge3d = program(folder, "merge3d", "echo merged; exit 5")
    options: tuple[str, ...] = ("--wait", "0")
    if fault == "no project":
        folder = folder.parent / "elsewhere"
    elif fault == "no spool":
        write_round(folder)
        (folder / "refine_hooks").write_text("in the way")
    else:
        write_round(folder)
        (folder / "Scratch" / "AutoRefine3D" / "dump_file_2_0_even_2.dump").unlink()
    done = execute(folder, merge3d, "x", options=options)
    assert (done.returncode, done.stdout) == (5, "merged\n")
    told = {
        "no project": "is not a cisTEM project",
        "no spool": "cannot be made a folder",
        "dumps missing": "even_2.dump is missing",
    }
    assert told[fault] in done.stderr
    assert "Traceback" not in done.stderr


def test_a_broken_installation_is_told_and_the_refinement_goes_on(folder: Path) -> None:
    merge3d = program(folder, "merge3d", "echo merged; exit 5")
    broken = (
        "import sys; sys.modules['refine_hooks.programs.cistem.hook'] = None; from refine_hooks.cli import main; main()"
    )
    command = [sys.executable, "-c", broken, "exec", str(folder), "--", merge3d]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (5, "merged\n")
    assert "the refinement goes on" in done.stderr


@pytest.mark.parametrize(("command", "code"), [("/nowhere/merge3d", 127), ("/", 126)])
def test_a_command_that_cannot_be_started_ends_as_in_a_shell(folder: Path, command: str, code: int) -> None:
    done = execute(folder, command, options=("--wait", "0"))
    assert done.returncode == code
    assert "cannot be started" in done.stderr


def test_dumps_that_do_not_show_yet_are_waited_for(folder: Path) -> None:
    files = write_round(folder)
    hidden = [name for name in files if "even" in name]
    scratch = folder / "Scratch" / "AutoRefine3D"
    for name in hidden:
        (scratch / name).unlink()
    told = hear()

    def another_shows(_: float) -> None:
        name = hidden.pop()
        (scratch / name).write_bytes(files[name])

    before_merge(folder, folder / "refine_hooks" / "spool", 60, pause=another_shows)
    assert (told, hidden) == ([], [])
    assert spooled(folder) == files


def test_waiting_ends(folder: Path) -> None:
    told = hear()
    before_merge(folder, folder / "refine_hooks" / "spool", 0)
    assert "no dump is to be seen" in told[0]


def test_ab_initios_dumps_are_copied_before_the_next_round_writes_over_them(folder: Path) -> None:
    spool = folder / "refine_hooks" / "spool"
    told = hear()
    for number in (1, 2):
        files = project.dumps(0, seed=number, startup=True)
        for name, content in files.items():
            path = folder / "Scratch" / "Startup" / name
            path.write_bytes(content)
            os.utime(path, (1e9 + number, 1e9 + number))
        before_merge(folder, spool, 0)
        before_merge(folder, spool, 0)
        arrived = spool / "cistem" / "Startup" / str(number) / "1"
        assert {path.name: path.read_bytes() for path in arrived.iterdir()} == files
    assert told == []
    assert len(list((spool / "cistem" / "Startup").iterdir())) == 2, "the second class's merge3d finds them saved"


def test_what_was_saved_before_merge3d_is_known_to_be_all(folder: Path) -> None:
    store = Store(folder / "refine_hooks")
    write_round(folder)
    next((folder / "Assets" / "Parameters").iterdir()).unlink()
    before_merge(folder, store.spool, 0)
    project.wipe(folder, "AutoRefine3D")
    at_once = Settings.model_validate({"watch": {"metadata_wait_s": 0.0}})
    for path in store.spool.rglob("*.dump"):
        os.utime(path, (1e9, 1e9))
    (round_,) = Opened("cistem").rounds(folder, at_once, store)
    assert (round_.fault, round_.complete, round_.missing) == (None, True, ())


def test_a_spool_that_cannot_be_sealed_is_told(folder: Path) -> None:
    (folder / "refine_hooks").mkdir()
    (folder / "refine_hooks" / "spool").write_text("in the way")
    write_round(folder)
    with pytest.raises(StorageError, match="spool"):
        before_merge(folder, folder / "refine_hooks" / "spool", 0)


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (["/usr/local/cistem/bin/merge3d", "10.0.0.1", "3000", "code", "1"], True),
        (["merge3d"], True),
        (["merge3d_gpu", "x"], True),
        (["ssh", "node1", "/opt/merge3d", "x"], True),
        (["ssh", "node1", "cd /tmp; /opt/merge3d x"], True),
        (["srun", "-n1", "/opt/cistem/merge3d"], True),
        (["/usr/local/cistem/bin/refine3d", "x"], False),
        (["/opt/merge3d/bin/reconstruct3d", "x"], False),
        (["reconstruct3d", "--log", "/tmp/remerge3d"], False),
    ],
)
def test_merge3d_is_known_as_the_program_and_behind_others(command: list[str], expected: bool) -> None:
    assert merges(command) is expected


@pytest.mark.skipif(not os.path.exists("/proc/self/oom_score_adj"), reason="Linux tells it")
def test_what_saves_stands_back_where_memory_runs_out_and_the_command_does_not(tmp_path: Path) -> None:
    code = (
        "from refine_hooks.cli import _exec\n"
        "score = lambda: int(open('/proc/self/oom_score_adj').read())\n"
        "before = score()\n"
        "_exec.in_a_child(lambda: open('saving', 'w').write(str(score() - max(before, 500))), 20.0)\n"
        "print(score() - before)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert (done.stdout, (tmp_path / "saving").read_text()) == ("0\n", "0")
