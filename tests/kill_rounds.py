"""Driver for test_kill: rounds killed at chosen moments, then completed. Run as a program, prints what it finds as JSON.

    kill_rounds.py FOLDER MOMENTS SEED

A moment is the n-th call of any function, Python's or C's, while a round is captured, measured and written.
"""

import io
import json
import os
import random
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import mrcfile
from full_disk import SCENES, faults_of, outputs, without_the_long_computation

from refine_hooks.log import folder
from refine_hooks.log.file import read_journal
from refine_hooks.log.records import RoundRecord
from refine_hooks.watch.loop import Watch, run

Scene = Callable[[Path, Path], Watch]


def measure(scene: Scene, place: Path, kill_at: int | None = None, counted: bool = True) -> int:
    """Watch once in a child of our own; returns how it ended, and leaves the number of calls, where counted, in a file."""
    w = scene(place / "project", place / "out")
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1]
    calls = 0

    def count(*_: object) -> None:
        nonlocal calls
        calls += 1
        if calls == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    if counted:  # which makes every call some times slower
        sys.setprofile(count)
    run(w, [0.0])
    sys.setprofile(None)
    (place / "calls").write_text(str(calls))
    os._exit(0)


def torn(out: Path) -> list[str]:
    """Files under final names that are not whole, right after the kill; the log's last line is whole without its newline."""
    names = [path for path in out.rglob("*.*") if path.is_file() and not path.name.startswith(".")]
    return [path.name for path in names if path.suffix in _WHOLE and not _WHOLE[path.suffix](path)]


def _whole_map(path: Path) -> bool:
    try:
        return bool(mrcfile.validate(path, print_file=io.StringIO()))
    except ValueError:
        return False


def _whole_json(path: Path) -> bool:
    try:
        return bool(json.loads(path.read_text()))
    except ValueError:
        return False


_WHOLE: dict[str, Callable[[Path], bool]] = {
    ".mrc": _whole_map,
    ".json": _whole_json,
    ".html": lambda path: path.read_bytes().rstrip().endswith(b"</html>"),
    ".png": lambda path: path.read_bytes()[-8:-4] == b"IEND",
}


def early(out: Path) -> list[str]:
    """Files that a record in the log names and that are not there, right after the kill."""
    rounds = [line for line in read_journal(out / "rounds.jsonl").lines if isinstance(line, RoundRecord)]
    named = [
        path for r in rounds for path in (*((r.half_maps and r.half_maps.paths) or ()), *(m.path for m in r.masks))
    ]
    return [name for name in named if name and not (out / name).exists()]


def kill(scene: Scene, folder: Path, moments: int, seed: int) -> dict[str, object]:
    warm, reference = folder / "warm", folder / "reference"
    run(scene(warm / "project", warm / "out"), [0.0])  # no moment falls on imports and on kernels that are compiled
    measure(scene, reference)
    total = int((reference / "calls").read_text())
    expected = outputs(reference / "out")
    killed, faults = 0, []
    for moment in random.Random(seed).sample(range(1, total * 97 // 100), moments):
        place = folder / f"kill_{moment}"
        killed += os.WTERMSIG(measure(scene, place, moment)) == signal.SIGKILL
        faults += [f"at call {moment}: {name} is torn" for name in torn(place / "out")]
        faults += [f"at call {moment}: {name} is in the log and not on disk" for name in early(place / "out")]
        measure(scene, place, counted=False)
        faults += [f"at call {moment}: {fault}" for fault in faults_of(place / "out", expected)]
        shutil.rmtree(place)
    return {"calls": total, "killed": killed, "outputs": len(expected), "faults": faults}


def main() -> None:
    without_the_long_computation()
    # No hook writes into this spool, so what a kill leaves there is abandoned at once and must be swept up.
    folder._ABANDONED_AFTER_S = -1.0
    where, moments, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    print(json.dumps({name: kill(scene, where / name, moments, seed) for name, scene in SCENES.items()}))


if __name__ == "__main__":
    main()
