"""The compiled kernels: how they come to be there, and what they are given."""

import ctypes
import os
import platform
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from refine_hooks import kernels
from refine_hooks.errors import RefineHooksError
from refine_hooks.files.mrc import Map, write_map
from refine_hooks.fourier import in_place, shell_of_square
from refine_hooks.kernels import INT, array, build, kernel


@pytest.mark.parametrize(
    ("dtype", "axes", "written", "given"),
    [
        ("float32", 3, False, np.zeros((2, 2), np.float32)),
        ("float32", 1, True, np.zeros(2)),
        ("float32", 1, True, np.zeros(4, np.float32)[::2]),
        ("int64", 1, True, np.broadcast_to(np.int64(1), (3,))),
    ],
    ids=["axes", "type", "steps", "read only"],
)
def test_a_kernel_refuses_what_would_be_read_or_lost_beyond_its_end(
    dtype: str, axes: int, written: bool, given: np.ndarray
) -> None:
    with pytest.raises(TypeError, match="a kernel takes"):
        array(dtype, axes, written=written).from_param(given)


def test_what_is_only_read_is_made_to_fit() -> None:
    given = np.arange(24.0).reshape(2, 3, 4).transpose(2, 1, 0)
    passed = array("float32", 3).from_param(given)
    assert list(passed.shape)[:3] == [4, 3, 2]
    there = np.ctypeslib.as_array(ctypes.cast(passed.at, ctypes.POINTER(ctypes.c_float)), (4, 3, 2))
    assert np.array_equal(there, given)
    assert list(passed.step)[:3] == [6, 2, 1]


@pytest.mark.parametrize("length", [1, 2, 4, 6, 9, 22, 34, 35, 40, 44, 64, 96, 1100])
def test_lines_are_transformed_along_any_axis_where_they_are(length: int) -> None:
    rng = np.random.default_rng(length)
    for axis in range(3):
        shape = [2, 11, 9]
        shape[axis] = length
        held = rng.standard_normal((*shape, 2)).astype(np.float32).view(np.complex64)[..., 0]
        for backward, transformed in ((False, np.fft.fft), (True, np.fft.ifft)):
            wanted = transformed(held, axis=axis)
            lines = np.zeros([size + 3 for size in shape], np.complex64)[1:-2, 2:-1, :-3]
            lines[...] = held
            in_place(lines, axis, backward=backward)
            np.testing.assert_allclose(lines, wanted, rtol=0, atol=5e-7 * np.abs(wanted).max())


def test_every_library_of_this_machine_gives_the_same_sums(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    command = build.compiler()
    if command is None:
        pytest.skip("needs a C compiler")
    for name in ("arrays.h", "fourier.c"):
        shutil.copy(build.SOURCES / name, tmp_path)
    monkeypatch.setattr(build, "SOURCES", tmp_path)
    build.name_of.cache_clear()
    rng = np.random.default_rng(1)
    n = 24
    slab = [(rng.standard_normal((n, n, 13)) + 1j * rng.standard_normal((n, n, 13))).astype(np.complex64) for _ in "ab"]
    labels = np.floor(np.sqrt(np.arange(157)) + 0.5).astype(np.int16)
    found = []
    for variant in build.variants():
        library = ctypes.CDLL(str(build.build(variant, tmp_path, command)))
        monkeypatch.setattr(kernels, "_library", lambda library=library: library)
        sums = np.zeros((13, 4))
        halves = array("complex64", 3)
        kernel("shell_sums", halves, halves, INT, array("int16", 1), array("float64", 2, written=True))(
            *slab, 0, labels, sums
        )
        found.append(2 * sums)
    build.name_of.cache_clear()
    k = np.fft.fftfreq(n, 1 / n)
    shell = np.floor(np.sqrt(k[:, None, None] ** 2 + k[:, None] ** 2 + np.arange(13) ** 2) + 0.5).astype(int)
    twice = np.full(13, 2.0)
    twice[[0, -1]] = 1
    wanted = np.bincount(shell.ravel(), ((slab[0] * slab[1].conj()).real * twice).ravel())[:13]
    for sums in found:
        assert sums[:, 0] == pytest.approx(wanted, abs=1e-3)
        assert sums == pytest.approx(found[0], rel=1e-5, abs=1e-4)


def test_a_bare_compiler_is_none_and_the_user_is_told_where_to_get_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bare = tmp_path / "cc"
    bare.write_text("#!/bin/sh\necho 'math.h: no such file' >&2\nexit 1\n")
    bare.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setattr(build, "find_spec", lambda name: None)
    assert build.compiler() is None
    with pytest.raises(RefineHooksError, match="pip install ziglang"):
        kernels._built("plain", [tmp_path])


def test_where_the_package_cannot_be_written_to_the_kernels_go_to_the_users_cache(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(build, "compiler", lambda: ("true",))
    (tmp_path / "file").write_text("")
    made = kernels._built("plain", [tmp_path / "file", tmp_path / "cache"])
    assert made == tmp_path / "cache" / build.name_of("plain")
    with pytest.raises(RefineHooksError, match="cannot be kept"):
        kernels._built("plain", [tmp_path / "file"])


@pytest.mark.parametrize("by_scipy", [False, True], ids=["its compiled part", "scipy.fft"])
def test_transforms_are_those_of_scipy(by_scipy: bool, tmp_path: Path) -> None:
    code = f"""
import sys
import threading
import numpy as np
from refine_hooks.kernels import packages
if {by_scipy}:
    packages.EXTENSION_SUFFIXES = []
from refine_hooks.kernels import fft
assert ("scipy.fft" in sys.modules) is {by_scipy}
import scipy.fft
rng = np.random.default_rng(1)
x = rng.standard_normal((6, 10, 9)).astype(np.float32)
z = (x + 1j * rng.standard_normal(x.shape)).astype(np.complex64)
for one, other in (
    (fft.fft(z, axis=1), scipy.fft.fft(z, axis=1)),
    (fft.ifft(z.copy(), axis=0, norm="forward", overwrite_x=True), scipy.fft.ifft(z, axis=0, norm="forward")),
    (fft.fftn(z), scipy.fft.fftn(z)),
    (fft.rfftn(x, axes=(1, 2)), scipy.fft.rfftn(x, axes=(1, 2))),
    (fft.rfftn(x, norm="forward", workers=2), scipy.fft.rfftn(x, norm="forward")),
    (fft.irfft(z, n=17, axis=2), scipy.fft.irfft(z, n=17, axis=2)),
    (fft.irfftn(z, s=(6, 10, 16)), scipy.fft.irfftn(z, s=(6, 10, 16))),
    (fft.dctn(x, type=1, workers=2), scipy.fft.dctn(x, type=1)),
    (fft.irfftn(z, s=(10, 17), axes=(1, 2)), scipy.fft.irfftn(z, s=(10, 17), axes=(1, 2))),
):
    assert one.dtype == other.dtype and np.array_equal(one, other)
assert fft.next_fast_len(97, real=True) == scipy.fft.next_fast_len(97, real=True)
"""
    subprocess.run([sys.executable, "-c", code], env=os.environ, check=True)


def test_measuring_waits_for_no_large_package(tmp_path: Path) -> None:
    heavy = (
        "scipy.fft",
        "scipy.ndimage",
        "scipy.special",
        "scipy.linalg",
        "skimage.morphology",
        "mrcfile",
        "PIL",
        "numpy.ma",
        "refine_hooks.log.index",
        "refine_hooks.programs",
    )
    rng = np.random.default_rng(0)
    body = np.zeros((32,) * 3)
    body[8:19, 9:21, 7:24] = 3 * rng.normal(size=(11, 12, 17))
    for name in ("a.mrc", "b.mrc"):
        write_map(tmp_path / name, Map((body + rng.normal(size=body.shape)).astype(np.float32), 3.0), "test")
    code = f"""
import atexit, sys
import importlib.metadata
importlib.metadata.entry_points = lambda **_: print("LOADED plugins")
atexit.register(lambda: print("LOADED", [m for m in {heavy} if m in sys.modules]))
from refine_hooks.cli import main
main()
"""
    command = [sys.executable, "-c", code, "measure", "a.mrc", "b.mrc", "--mass", "100"]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ, cwd=tmp_path, check=True)
    assert "LOADED []" in done.stdout, done.stdout[-300:]


@pytest.mark.parametrize("switch", [None, "logfire"])
def test_models_are_built_without_a_search_for_plugins_and_the_environment_is_as_it_was(switch: str | None) -> None:
    code = """
import importlib.metadata, os, sys
def searched(**_): sys.exit("searched for plugins")
importlib.metadata.entry_points = searched
before = dict(os.environ)
from refine_hooks.cli import _models
_models.build()
assert "refine_hooks.log.records" in sys.modules and dict(os.environ) == before
import numpy
many = numpy.ones((700, 700))
for _ in range(20): many @ many
assert len(os.listdir("/proc/self/task")) == 1  # numpy's products have no threads of their own
"""
    environment = {name: value for name, value in os.environ.items() if name != "PYDANTIC_DISABLE_PLUGINS"}
    environment |= {"PYDANTIC_DISABLE_PLUGINS": switch} if switch else {}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_freed_memory_is_used_again_until_it_is_given_back() -> None:
    code = """
import resource
import numpy as np
from refine_hooks.kernels import memory

def resident() -> int:
    return int(open("/proc/self/statm").read().split()[1])

def faults() -> int:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(3):
        np.ones(64 << 20, np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

fresh = faults()
memory.keep()
faults()
kept, held = faults(), resident()
memory.give_back()
print(fresh, kept, held - resident())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ, check=True)
    fresh, kept, returned = map(int, done.stdout.split())
    assert fresh > 10 * kept
    assert kept < 20
    assert returned > 10_000


def test_a_kernel_that_threads_call_for_the_first_time_at_once_is_bound_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """ctypes frees the types of a function that is bound again, while another thread may be in a call with them."""
    labels, faults = shell_of_square(16), []
    monkeypatch.setattr(threading, "excepthook", lambda told: faults.append(told.exc_value))
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(150):
            count = kernel("voxels_in_shell", INT, array("int16", 1), array("int64", 1, written=True))
            threads = [threading.Thread(target=count, args=(16, labels, np.zeros(9, np.int64))) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert not faults
