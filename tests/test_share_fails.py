"""A share on which calls fail for a moment, reading as well as writing: nothing is lost, and nothing ends the watch."""

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from small_program import a_watch, half_maps_of, lines_of, write_round

from refine_hooks.files.mrc import read_map
from refine_hooks.log.records import Failed, RoundRecord
from refine_hooks.watch.loop import run

pytestmark = pytest.mark.usefixtures("quick_rounds")

NUMBERS = (errno.EIO, errno.ESTALE, errno.ETIMEDOUT, errno.EACCES, errno.EDQUOT)
FAST = {"automask": {"enabled": False}, "fsc": {"repeats": 2}, "keep": {"min_free_GB": 0.0}}
_BY_PATH = ("stat", "lstat", "statvfs", "access", "mkdir", "replace", "unlink", "scandir", "listdir", "readlink")
_BY_HANDLE = ("fstat", "read", "pread", "write", "pwrite", "fsync", "ftruncate", "close")


class Share:
    """Counts what is done below a folder while ``counting``, and lets the calls ``fails`` fail."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.count, self.counting, self.fails, self.number = str(folder), 0, False, range(0), errno.EIO
        self.readlink = os.readlink
        for name in (*_BY_PATH, *_BY_HANDLE, "open"):
            monkeypatch.setattr(os, name, self.watched(name, getattr(os, name)))

    def watched(self, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            if self.counting and self.is_here(name, given[0] if given else "."):
                self.count += 1
                if self.count in self.fails:
                    if name == "close":
                        real(*given)
                    raise OSError(self.number, os.strerror(self.number), str(given[0]))
            return real(*given, **named)

        return call

    def is_here(self, name: str, what: Any) -> bool:
        try:
            place = self.readlink(f"/proc/self/fd/{what}") if isinstance(what, int) else os.fspath(what)
        except (OSError, TypeError):
            return False
        return str(place).startswith(self.folder)


def played(project: Path, share: Share, fails: range, number: int, parts: dict[str, Any]) -> int:
    """A watch of three rounds, the last of which comes later; after how many calls it had nothing more to do."""
    project.mkdir()
    write_round(project, 1)
    write_round(project, 2)
    share.count, share.fails, share.number = 0, fails, number
    calls = [0]

    def ticks() -> Iterator[float]:
        share.counting = True
        yield from (0.0, 1.0)
        share.counting = False
        write_round(project, 3)
        share.counting = True
        yield from (2.0, 3.0)
        calls.append(share.count)
        yield from range(4, 60)

    try:
        run(a_watch(project, [], FAST, **parts), ticks())
    finally:
        share.counting = False
    return calls[-1]


def faults_of(project: Path) -> list[str]:
    records = lines_of(project, RoundRecord)
    keys = [str(record.key) for record in records]
    found = [] if sorted(keys) == ["run/1/1", "run/2/1", "run/3/1"] else [f"logged {keys}"]
    found += [f"failed: {line.reason}" for line in lines_of(project, Failed)]
    for record in records:
        if record.half_maps is None:
            continue
        half = read_map(project / "refine_hooks" / record.half_maps.paths[0]).voxels
        if not (half == half_maps_of(record.key.iteration)[0].voxels).all():
            found.append(f"{record.key} differs")
    return found


@pytest.mark.parametrize(
    ("parts", "stride"),
    [({"half_maps": lambda *_: None}, 41), pytest.param({}, 5, marks=pytest.mark.long)],
    ids=["tables alone", "half maps"],
)
def test_a_call_that_fails_at_any_moment_costs_nothing(
    parts: dict[str, Any], stride: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    share = Share(tmp_path, monkeypatch)
    calls = played(tmp_path / "plain", share, range(0), errno.EIO, parts)
    found = {}
    for turn, first in enumerate(range(1, calls + 1, stride)):
        project, number = tmp_path / f"{first}", NUMBERS[turn % len(NUMBERS)]
        try:
            played(project, share, range(first, first + (1, 4, 25)[turn % 3]), number, parts)
            faults = faults_of(project)
        except Exception as error:
            faults = [repr(error)]
        if faults:
            found[first, errno.errorcode[number]] = faults
    assert found == {}
