"""Faults of one project of many: a full disk, a file system that hangs. The others go on, and its rounds are logged once later."""

import contextlib
import importlib.util
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.facility import Facility, Found, watching

from refine_hooks.log.folder import component

_MIRROR = """
import os, sys
from fuse import FUSE, Operations
class Mirror(Operations):
    def __init__(self, root): self.root = root
    def real(self, path): return self.root + path
    def access(self, path, mode):
        if not os.access(self.real(path), mode): raise OSError(13, "")
    def getattr(self, path, fh=None):
        s = os.lstat(self.real(path))
        names = "st_atime st_ctime st_gid st_mode st_mtime st_nlink st_size st_uid st_ino"
        return {k: getattr(s, k) for k in names.split()}
    def readdir(self, path, fh): return [".", "..", *os.listdir(self.real(path))]
    def readlink(self, path): return os.readlink(self.real(path))
    def statfs(self, path):
        s = os.statvfs(self.real(path))
        names = "f_bavail f_bfree f_blocks f_bsize f_frsize f_files f_ffree f_namemax"
        return {k: getattr(s, k) for k in names.split()}
    def mkdir(self, path, mode): os.mkdir(self.real(path), mode)
    def rmdir(self, path): os.rmdir(self.real(path))
    def unlink(self, path): os.unlink(self.real(path))
    def rename(self, old, new): os.replace(self.real(old), self.real(new))
    def link(self, target, source): os.link(self.real(source), self.real(target))
    def chmod(self, path, mode): os.chmod(self.real(path), mode)
    def chown(self, path, uid, gid): os.chown(self.real(path), uid, gid)
    def utimens(self, path, times=None): os.utime(self.real(path), times)
    def open(self, path, flags): return os.open(self.real(path), flags)
    def create(self, path, mode, fi=None): return os.open(self.real(path), os.O_RDWR | os.O_CREAT | os.O_TRUNC, mode)
    def read(self, path, size, offset, fh): return os.pread(fh, size, offset)
    def write(self, path, data, offset, fh): return os.pwrite(fh, data, offset)
    def truncate(self, path, length, fh=None): os.truncate(self.real(path), length)
    def fsync(self, path, datasync, fh): os.fsync(fh)
    def release(self, path, fh): os.close(fh)
FUSE(Mirror(sys.argv[1]), sys.argv[2], foreground=True, nothreads=False, use_ino=True)
"""


@dataclass
class Faulty(Facility):
    """Projects of which the first one is whole, and lies or is written elsewhere than the watch sees it."""

    bare: Path | None = None
    out: Path | None = None

    def folder(self, number: int) -> Path:
        """Of a project, as its program sees it."""
        return self.bare if self.bare is not None and number == 0 else super().folder(number)

    def log(self, number: int) -> Path:
        """Of a project."""
        if self.out is None:
            return super().log(number)
        return self.out / component(str(super().folder(number)).strip("/")) / "rounds.jsonl"


def full(projects: int, rounds: int, period_s: float) -> Found:
    """The disk of the first project's output folder is full for the middle third of the play; needs root, to mount one."""
    with tempfile.TemporaryDirectory() as place:
        facility = Faulty(Path(place), projects, 0.5, spoils=False, free_GB=0.004, out=Path(place) / "out")
        facility.begin()
        with _mounted(facility.log(0).parent, "tmpfs", "-o", "size=32m"):
            return _played(facility, rounds, period_s, _filled, "its disk is full", "--out", str(facility.out))


def hanging(projects: int, rounds: int, period_s: float) -> Found:
    """The first project's file system answers nothing for the middle third of the play; needs root, and the package fusepy.

    Its program writes on, as one on another machine does.
    """
    if importlib.util.find_spec("fuse") is None:
        return Found(["not played: the package fusepy is not there (pip install fusepy)"])
    with tempfile.TemporaryDirectory() as place:
        facility = Faulty(Path(place), projects, 0.5, spoils=False, bare=Path(place) / "bare")
        facility.begin()
        mount = facility.place / "projects" / "p000"
        mount.mkdir()
        server = subprocess.Popen([sys.executable, "-c", _MIRROR, str(facility.bare), str(mount)])
        try:
            _wait(mount.is_mount, 20.0)
            return _played(facility, rounds, period_s, lambda _: _stopped(server), "its file system hangs")
        finally:
            subprocess.run(["umount", "-l", str(mount)], check=False)
            server.wait(20)


def _played(
    facility: Faulty,
    rounds: int,
    period_s: float,
    broken: Callable[[Faulty], AbstractContextManager[None]],
    what: str,
    *more: str,
) -> Found:
    found, third, others = Found(), max(1, rounds // 3), range(1, facility.count)
    with watching(facility, *more):
        _wait(lambda: all(facility.log(one).with_name(".lock").exists() for one in range(facility.count)), 120.0)
        _write(facility, range(1, third + 1), period_s)
        _wait(lambda: not _lacking(facility, range(facility.count)), 60.0 + 3.0 * facility.count * third)
        with broken(facility):
            begun_s = time.monotonic()
            _write(facility, range(third + 1, 2 * third + 1), period_s)
            _wait(lambda: not _lacking(facility, others), 60.0 + 3.0 * facility.count * third)
            took_s, late = time.monotonic() - begun_s, _lacking(facility, others)
            found.lines.append(
                f"one of {facility.count} projects, {what}: {third * len(others)} rounds of the others, {late} of them missing, "
                f"all logged {took_s:.0f} s after the first came"
            )
        _write(facility, range(2 * third + 1, rounds + 1), period_s)
        _wait(lambda: not _lacking(facility, range(facility.count)), 90.0 + 3.0 * facility.count * third)
    if late:
        found.faults.append(f"{what}: {late} rounds of other projects are missing")
    facility.judged(found, kept=False)
    told = [line for line in (facility.place / "messages").read_text().splitlines() if "p000" in line]
    found.lines += [f"said: {line[:240]}" for line in told if "free" in line or "answer" in line or "space" in line][:4]
    return found


@contextlib.contextmanager
def _mounted(folder: Path, kind: str, *more: str) -> Iterator[None]:
    folder.mkdir(parents=True)
    subprocess.run(["mount", "-t", kind, *more, kind, str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@contextlib.contextmanager
def _filled(facility: Faulty) -> Iterator[None]:
    filling = facility.log(0).with_name("filling")
    with contextlib.suppress(OSError), filling.open("wb") as stream:
        while True:
            stream.write(bytes(1 << 16))
    try:
        yield
    finally:
        filling.unlink()


@contextlib.contextmanager
def _stopped(server: "subprocess.Popen[bytes]") -> Iterator[None]:
    server.send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        server.send_signal(signal.SIGCONT)


def _write(facility: Faulty, numbers: range, period_s: float) -> None:
    chance = random.Random(3)
    for number in numbers:
        for one in range(facility.count):
            facility.write(one, number, chance)
        time.sleep(period_s)


def _lacking(facility: Faulty, projects: range) -> int:
    of = [one for one, _ in facility.last_input_s]
    return sum(max(0, of.count(project) - len(facility.logged(project))) for project in projects)


def _wait(done: Callable[[], bool], within_s: float) -> None:
    ends_s = time.monotonic() + within_s
    while not done() and time.monotonic() < ends_s:
        time.sleep(0.5)
