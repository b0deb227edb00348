"""Make the shared library of the kernels from their C sources.

Plain C that is called through ctypes needs no header but C's own, so that any C compiler will do, also one that pip brings (zig's);
and the library fits every version of Python and numpy. It is made when the package is built, and on first use in a checkout. A
library's name holds a hash of what it was made from.

This module imports nothing of the package: the build runs it by itself, before there is one.
"""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

SOURCES = Path(__file__).parent
# Sums may be taken in another order, NaN and infinity keep their meaning.
_FLAGS = (
    *("-std=c11", "-O3", "-fPIC", "-shared", "-fvisibility=default", "-fno-math-errno", "-fassociative-math"),
    *("-fno-signed-zeros", "-fno-trapping-math", "-ffp-contract=fast"),
)
_TESTED = "#include <math.h>\n#include <stdint.h>\ndouble tested(double x) { return sqrt(x); }\n"


def variants() -> dict[str, tuple[str, ...]]:
    """The libraries of this kind of machine, the fastest first: name -> the compiler's options."""
    wide = {"avx2": ("-mavx2", "-mfma")} if platform.machine() in ("x86_64", "AMD64") else {}
    return {**wide, "plain": ()}


def variant() -> str:
    """The fastest library that this processor can run."""
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
            known = next((line.split() for line in file if line.startswith("flags")), [])
    except OSError:
        known = []
    return next(name for name in variants() if name == "plain" or {"avx2", "fma"} <= set(known))


@lru_cache
def name_of(variant: str) -> str:
    """File name of a library; it changes with the sources, the options and the kind of machine."""
    made_of = hashlib.sha256(repr((_FLAGS, variants()[variant], platform.machine())).encode())
    for path in sorted(SOURCES.glob("*.[ch]")):
        made_of.update(path.read_bytes())
    return f"kernels-{variant}-{made_of.hexdigest()[:12]}.so"


def compiler() -> tuple[str, ...] | None:
    """A C compiler that works here, as the begin of a command; None where there is none.

    A compiler without C's headers, as a bare gcc of Debian is, does not work.
    """
    named = (os.environ.get("CC", ""), "cc", "gcc", "clang")
    commands = [(found,) for name in named if name and (found := shutil.which(name))]
    if find_spec("ziglang"):
        commands.append((sys.executable, "-m", "ziglang", "cc"))  # type: ignore[arg-type]
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "tested.c"
        source.write_text(_TESTED, encoding="ascii")
        for command in commands:
            if not _failure([*command, "-shared", "-fPIC", "-o", str(source.with_suffix(".so")), str(source)]):
                return command
    return None


def build(variant: str, folder: Path, command: tuple[str, ...]) -> Path:
    """Compile one library into a folder; what is there already is left.

    Raises:
        OSError: the folder cannot be written to.
        RuntimeError: the compiler failed; with what it said.
    """
    target = folder / name_of(variant)
    if target.exists():
        return target
    folder.mkdir(parents=True, exist_ok=True)
    handle, beside = tempfile.mkstemp(prefix=target.name, dir=folder)
    os.close(handle)
    try:
        sources = [str(path) for path in sorted(SOURCES.glob("*.c"))]
        failure = _failure([*command, *_FLAGS, *variants()[variant], "-o", beside, *sources, "-lm"])
        if failure:
            raise RuntimeError(f"{' '.join(command)} could not compile {SOURCES}: {failure}")
        os.chmod(beside, 0o644)
        os.replace(beside, target)
    finally:
        Path(beside).unlink(missing_ok=True)
    return target


def _failure(command: list[str]) -> str | None:
    """Run a compiler; None where it did well, else what it said."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        return str(error)
    return None if done.returncode == 0 else done.stderr.strip()[-400:] or f"exit code {done.returncode}"
