"""Driver for test_full_disk: rounds on a disk that is full at one write after the other, and on a small disk of its own.

    full_disk.py injected FOLDER STRIDE  each change of the disk in turn is refused, once and until space is made;
                                         of STRIDE changes one; where that is more than 1, once or
                                         until space is made in turn
    full_disk.py mounted FOLDER          on file systems of few pages; needs `unshare -rm`
    full_disk.py unmounted FOLDER        the project's file system goes and comes back while a round is read; likewise

Prints what it finds as JSON.
"""

import errno
import json
import os
import shutil
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import cistem_project
from opened import Opened
from small_program import a_watch, program, write_round

from refine_hooks import measure
from refine_hooks.errors import StorageError
from refine_hooks.log.file import read_journal
from refine_hooks.log.folder import Store
from refine_hooks.log.records import Failed, RoundRecord
from refine_hooks.settings import load_settings
from refine_hooks.watch.loop import Watch, run

cistem = Opened("cistem")

_NUMBERS = (errno.ENOSPC, errno.EDQUOT)
# Removing needs no space: a full disk does not refuse it.
_EVENTS = {"os.rename", "os.link", "os.mkdir", "os.truncate", "os.utime"}


class Disk:
    """Counts what is done to the disk below a folder, and refuses what it is told to refuse."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.count, self.refuse = str(folder), 0, lambda n: False
        sys.addaudithook(self.hear)
        for name in ("pwrite", "write", "fsync", "ftruncate"):
            setattr(os, name, self.checked(getattr(os, name)))

    def checked(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(handle: int, *args: Any) -> Any:
            place = os.readlink(f"/proc/self/fd/{handle}") if isinstance(handle, int) else ""
            if place.startswith(self.folder):
                self.change()
            return real(handle, *args)

        return call

    def hear(self, event: str, args: tuple[Any, ...]) -> None:
        if event == "open":
            path, _, flags = args
            if not (isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR)):
                return
        elif event in _EVENTS:
            path = args[1] if event in ("os.rename", "os.link") else args[0]
        else:
            return
        if isinstance(path, str | os.PathLike) and os.fspath(path).startswith(self.folder):
            self.change()

    def change(self) -> None:
        self.count += 1
        if self.refuse(self.count):
            number = _NUMBERS[self.count % 2]
            raise OSError(number, os.strerror(number))


def small(project: Path, out: Path) -> Watch:
    if not project.exists():
        project.mkdir(parents=True)
        write_round(project, 1)
    w = a_watch(project, store=Store(out))
    return w


def of_cistem(project: Path, out: Path, overrides: dict[str, Any] | None = None) -> Watch:
    """All dumps of one round in the scratch folder, its entry in the database."""
    if not project.exists():
        database = cistem_project.begin(project)
        cistem_project.write_parameters(project, "AutoRefine3D", 2)
        for name, content in cistem_project.dumps(2).items():
            (project / "Scratch" / "AutoRefine3D" / name).write_bytes(content)
        cistem_project.commit(database, 2)
    settings = load_settings(overrides=overrides or {"watch": {"settle_s": 0.0}, "fsc": {"repeats": 2}})
    return Watch.of(project, "cistem", cistem, settings, Store(out))  # type: ignore[arg-type]


SCENES: dict[str, Callable[[Path, Path], Watch]] = {"small": small, "cistem": of_cistem}


def outputs(out: Path) -> dict[str, bytes]:
    return {str(p.relative_to(out)): p.read_bytes() for p in sorted(out.rglob("*.mrc"))}


def faults_of(out: Path, expected: dict[str, bytes]) -> list[str]:
    """What is wrong after a night, in words."""
    log = read_journal(out / "rounds.jsonl")
    rounds = [line for line in log.lines if isinstance(line, RoundRecord)]
    failed = [line.reason for line in log.lines if isinstance(line, Failed)]
    found = [*log.faults, *failed]
    if len(rounds) != 1:
        found.append(f"{len(rounds)} rounds in the log")
    if outputs(out) != expected:
        found.append("half maps or masks are not those of an undisturbed night")
    left = [str(p) for p in out.rglob("*.part")]
    return found + ([f"left behind: {left}"] if left else [])


def night(w: Watch, between: Callable[[], None]) -> str:
    """Three looks on a full disk, then space, then looks until all is done; a watch that cannot begin is started again."""

    def ticks() -> Iterator[float]:
        yield from (0.0, 1.0, 2.0)
        between()
        yield from map(float, range(3, 12))

    try:
        run(w, ticks())
    except StorageError as error:
        between()
        return str(error)
    return ""


def injected(folder: Path, stride: str) -> dict[str, Any]:
    counts, nights, faults = {}, 0, []
    for number, (name, scene) in enumerate(SCENES.items()):
        place = folder / name
        expected = _undisturbed(scene, place / "plain")
        probe = partial(_counted, scene, place / "probe" / "out")
        counts[name] = int(_in_a_child(probe))
        for turn, which in enumerate(range(1, counts[name] + 1, int(stride)), number):
            for lasting in (False, True) if stride == "1" else (turn % 2 == 0,):
                out = place / f"{which}_{lasting}" / "out"
                said = _in_a_child(partial(_full_night, scene, out, which, lasting))
                wrong = ([said] if said else []) + faults_of(out, expected)
                faults += [f"{name}, change {which}, {'lasting' if lasting else 'once'}: {fault}" for fault in wrong]
                nights += 1
                shutil.rmtree(out.parent)
    return {"changes": counts, "nights": nights, "faults": faults}


def _undisturbed(scene: Callable[[Path, Path], Watch], place: Path) -> dict[str, bytes]:
    run(scene(place / "project", place / "out"), [0.0, 1.0])
    return outputs(place / "out")


def _counted(scene: Callable[[Path, Path], Watch], out: Path) -> str:
    w = scene(out.parent / "project", out)
    disk = Disk(out)
    run(w, [0.0])
    return str(disk.count)


def _full_night(scene: Callable[[Path, Path], Watch], out: Path, which: int, lasting: bool) -> str:
    w = scene(out.parent / "project", out)
    disk = Disk(out)
    disk.refuse = (lambda n: n >= which) if lasting else (lambda n: n == which)

    def space() -> None:
        disk.refuse = lambda n: False

    if night(w, space):
        run(scene(out.parent / "project", out), [0.0, 1.0])
    return ""


def _in_a_child(work: Callable[[], str]) -> str:
    """Audit hooks stay for ever, and what one night leaves in memory must not help the next."""
    receive, send = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            said = work()
        except BaseException:
            said = traceback.format_exc()
        os.write(send, said.encode())
        os._exit(0)
    os.close(send)
    with os.fdopen(receive) as stream:
        said = stream.read()
    os.waitpid(child, 0)
    return said


def mounted(folder: Path) -> dict[str, Any]:
    faults, full = [], 0
    for name, scene in SCENES.items():
        expected = _undisturbed(scene, folder / name / "plain")
        for pages in (2, 15, 50):
            disk = folder / name / "disk"
            disk.mkdir(exist_ok=True)
            _do("mount", "-t", "tmpfs", "-o", f"size={pages * 4096}", "none", str(disk))
            project = folder / name / f"project_{pages}"
            grown: list[int] = []

            def more(disk: Path = disk, grown: list[int] = grown) -> None:
                grown.append(shutil.disk_usage(disk).free)
                _do("mount", "-o", "remount,size=64M", str(disk))

            if night(scene(project, disk), more):
                run(scene(project, disk), [0.0, 1.0])
            full += bool(grown and grown[0] < 65536)
            faults += [f"{name}, {pages} pages: {fault}" for fault in faults_of(disk, expected)]
            _do("umount", str(disk))
    return {"full": full, "faults": faults}


def unmounted(folder: Path) -> dict[str, Any]:
    store, away = folder / "share", folder / "project"
    for place in (store, away):
        place.mkdir()
    write_round(store, 1)
    _do("mount", "--bind", str(store), str(away))
    calls: list[int] = []

    def half_maps(directory: Path, round_: Any, spool: Store) -> Any:
        calls.append(1)
        if len(calls) == 1:
            _do("umount", "-l", str(away))
        return program().half_maps(directory, round_, spool)

    def back() -> None:
        _do("mount", "--bind", str(store), str(away))

    w = a_watch(away, half_maps=half_maps, store=Store(folder / "out"))
    night(w, back)
    _do("umount", str(away))
    expected = outputs(folder / "out")
    return {"tries": len(calls), "outputs": len(expected), "faults": faults_of(folder / "out", expected)}


def _do(*command: str) -> None:
    subprocess.run(command, check=True)


def without_the_long_computation() -> None:
    """How the halves lie to each other takes a third of a round, and touches no disk."""
    measure.superposition = lambda *_: None


if __name__ == "__main__":
    without_the_long_computation()
    print(json.dumps(globals()[sys.argv[1]](Path(sys.argv[2]), *sys.argv[3:])))
