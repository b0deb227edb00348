"""Driver for test_kill: rounds killed at chosen moments, then completed. Run as a program, prints what it finds as JSON.

    kill_rounds.py FOLDER MOMENTS SEED

A moment is the n-th call of any function, Python's or C's, while a round is measured and written.
"""

import io
import json
import os
import random
import signal
import sys
from pathlib import Path

import mrcfile
from small_program import a_watch, write_round

from refine_hooks.journal import read_journal
from refine_hooks.records import RoundRecord
from refine_hooks.run import run


def measure(project: Path, kill_at: int | None = None) -> int:
    """Watch once in a child of our own; returns how it ended and leaves the number of calls in a file."""
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1]
    calls = 0

    def count(*_: object) -> None:
        nonlocal calls
        calls += 1
        if calls == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    w = a_watch(project)
    sys.setprofile(count)
    run(w, [0.0])
    sys.setprofile(None)
    (project / "calls").write_text(str(calls))
    os._exit(0)


def outputs(project: Path) -> dict[str, bytes]:
    out = project / "refine_hooks"
    return {str(p.relative_to(out)): p.read_bytes() for p in sorted(out.rglob("*.mrc"))}


def faults_of(project: Path, expected: dict[str, bytes]) -> list[str]:
    log = read_journal(project / "refine_hooks" / "rounds.jsonl")
    keys = [str(line.key) for line in log.lines if isinstance(line, RoundRecord)]
    faults = list(log.faults)
    if keys != ["run/1/1"]:
        faults.append(f"rounds in the log: {keys}")
    if outputs(project) != expected:
        faults.append("half maps or masks differ from those of an undisturbed run")
    return faults


def torn(project: Path) -> list[str]:
    """Files under final names that are not whole, right after the kill."""
    found = []
    for path in (project / "refine_hooks").rglob("*.mrc"):
        if not path.name.startswith("."):
            with mrcfile.open(path, permissive=True) as mrc:
                if mrc.data is None or not mrcfile.validate(path, print_file=io.StringIO()):
                    found.append(path.name)
    return found


def main() -> None:
    folder, moments, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    warm, reference = folder / "warm", folder / "reference"
    for project in (warm, reference):
        project.mkdir(parents=True)
        write_round(project, 1)
    run(a_watch(warm), [0.0])  # imports and compiled kernels are then there, and no moment falls on them
    measure(reference)
    total = int((reference / "calls").read_text())
    expected = outputs(reference)
    killed, faults = 0, []
    for moment in random.Random(seed).sample(range(1, total * 97 // 100), moments):
        project = folder / f"kill_{moment}"
        project.mkdir()
        write_round(project, 1)
        killed += os.WTERMSIG(measure(project, moment)) == signal.SIGKILL
        faults += [f"at call {moment}: {name} is torn" for name in torn(project)]
        measure(project)
        faults += [f"at call {moment}: {fault}" for fault in faults_of(project, expected)]
    print(json.dumps({"total_calls": total, "killed": killed, "outputs": len(expected), "faults": faults}))


if __name__ == "__main__":
    main()
