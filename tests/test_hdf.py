"""HDF5 files: nothing outside of a file is opened on its word, and what ends libhdf5 ends a process of its own."""

import gzip
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("h5py")

import h5py
from eman2_data import write_hdf

from refine_hooks.errors import MapError, NotReadyError
from refine_hooks.files import _hdf_process
from refine_hooks.files.hdf import read_hdf_header, read_hdf_map

READER = Path(_hdf_process.__file__).with_name("_hdf_reader.py")
VOXELS = np.random.default_rng(0).normal(size=(8, 8, 8)).astype(np.float32)


@contextmanager
def reader_is(program: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Another program in the place of the one that opens HDF5 files."""
    (folder / "reader.py").write_text(program)
    with monkeypatch.context() as patched:
        patched.setattr(_hdf_process, "_PROGRAM", folder / "reader.py")
        yield


@pytest.fixture(autouse=True)
def own_reader() -> Iterator[None]:
    _hdf_process.reader.close()
    yield
    _hdf_process.reader.close()


@pytest.mark.parametrize("bits", [0, 12])
@pytest.mark.parametrize("edge_px", [8, 176])  # the larger one is answered in several pieces
def test_a_map_comes_through_the_reader_as_it_is(tmp_path: Path, bits: int, edge_px: int) -> None:
    voxels = np.random.default_rng(0).normal(size=(edge_px,) * 3).astype(np.float32)
    write_hdf(tmp_path / "a.hdf", voxels, bits=bits)
    step = (voxels.max() - voxels.min()) / (2**bits - 1) if bits else 0.0
    np.testing.assert_allclose(read_hdf_map(tmp_path / "a.hdf").voxels, voxels, atol=0.51 * step, rtol=0)


def _external_link(path: Path, other: Path) -> None:
    with h5py.File(path, "w") as file:
        file["MDF"] = h5py.ExternalLink(str(other), "/MDF")


def _external_image(path: Path, other: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_group("MDF/images/0")["image"] = h5py.ExternalLink(str(other), "/MDF/images/0/image")


def _soft_link(path: Path, other: Path) -> None:
    with h5py.File(path, "w") as file:
        file["elsewhere"] = VOXELS
        file.create_group("MDF/images/0")["image"] = h5py.SoftLink("/elsewhere")


def _external_voxels(path: Path, other: Path) -> None:
    with h5py.File(path, "w") as file:
        group = file.create_group("MDF/images/0")
        group.create_dataset("image", (8, 8, 8), "f4", external=[(str(other), 0, VOXELS.nbytes)])


def _virtual_voxels(path: Path, other: Path) -> None:
    layout = h5py.VirtualLayout((8, 8, 8), "f4")
    layout[:] = h5py.VirtualSource(str(other), "MDF/images/0/image", (8, 8, 8))
    with h5py.File(path, "w") as file:
        file.create_group("MDF/images/0").create_virtual_dataset("image", layout)


def _unknown_filter(path: Path, other: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_group("MDF/images/0").create_dataset("image", data=VOXELS, chunks=(4, 4, 4), compression="lzf")


def _words(path: Path, other: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_group("MDF/images/0").create_dataset("image", data=np.full((2, 2, 2), b"word", "S4"))


@pytest.mark.parametrize(
    "made",
    [_external_link, _external_image, _soft_link, _external_voxels, _virtual_voxels, _unknown_filter, _words],
    ids=lambda made: made.__name__.strip("_"),
)
def test_what_lies_outside_of_a_file_is_never_opened_on_its_word(
    tmp_path: Path, made: Callable[[Path, Path], None]
) -> None:
    other, path = tmp_path / "other.hdf", tmp_path / "a.hdf"
    write_hdf(other, VOXELS)
    made(path, other)
    for read in (read_hdf_header, read_hdf_map):
        with pytest.raises(MapError, match=r"not followed|not opened|are read|no numbers"):
            read(path)


@pytest.mark.parametrize("compression", [None, "gzip"])
def test_a_small_file_that_claims_a_huge_cube_takes_no_memory(tmp_path: Path, compression: str | None) -> None:
    path = tmp_path / "claim.hdf"
    with h5py.File(path, "w") as file:
        group = file.create_group("MDF/images/0")
        chunks = (64, 64, 64) if compression else None
        group.create_dataset("image", (60000,) * 3, "f4", chunks=chunks, compression=compression)
    assert path.stat().st_size < 10000
    with pytest.raises(NotReadyError, match="cannot hold"):
        read_hdf_map(path)


def test_voxels_that_are_not_written_yet_are_no_zeros(tmp_path: Path) -> None:
    path = tmp_path / "early.hdf"
    with h5py.File(path, "w") as file:
        file.create_group("MDF/images/0").create_dataset("image", (8, 8, 8), "f4")
        file["rest"] = np.zeros(4096)
    with pytest.raises(NotReadyError, match="holds no voxels yet"):
        read_hdf_map(path)


def test_a_file_that_crashes_the_library_is_an_error_and_the_next_one_is_read(tmp_path: Path) -> None:
    path, good = tmp_path / "damaged.hdf", tmp_path / "good.hdf"
    # A few changed bytes, found by a fuzzer, end HDF5 2.0.0 by a segmentation fault; another version may refuse the file.
    path.write_bytes(gzip.decompress((Path(__file__).parent / "data" / "crashes_hdf5.hdf.gz").read_bytes()))
    write_hdf(good, VOXELS)
    with pytest.raises((NotReadyError, MapError)):
        read_hdf_map(path)
    np.testing.assert_array_equal(read_hdf_map(good).voxels, VOXELS)


_CRASHES = "import os, sys; sys.stdin.readline(); open({0!r}, 'a').write('x'); os.kill(os.getpid(), 11)"
_HALF = "import sys; sys.stdin.readline(); open({0!r}, 'a').write('x'); print('{{\"values\": 512}}', flush=True); sys.exit(1)"
_NO_JSON = "import sys; sys.stdin.readline(); open({0!r}, 'a').write('x'); print('HDF5-DIAG', flush=True); sys.exit(1)"


@pytest.mark.parametrize("program", [_CRASHES, _HALF, _NO_JSON], ids=["crashes", "ends in the voxels", "no answer"])
def test_a_file_that_ended_the_reader_is_not_tried_again_before_it_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    path, tries = tmp_path / "a.hdf", tmp_path / "tries"
    write_hdf(path, VOXELS)
    with reader_is(program.format(str(tries)), tmp_path, monkeypatch):
        for _ in range(3):
            with pytest.raises(NotReadyError, match="ends the process"):
                read_hdf_map(path)
        assert tries.read_text() == "x"
        os.utime(path, ns=(5, 5))
        with pytest.raises(NotReadyError, match="ends the process"):
            read_hdf_map(path)
        assert tries.read_text() == "xx"
    os.utime(path, ns=(6, 6))
    np.testing.assert_array_equal(read_hdf_map(path).voxels, VOXELS)


def test_a_reader_that_has_ended_is_started_again(tmp_path: Path) -> None:
    path = tmp_path / "a.hdf"
    write_hdf(path, VOXELS)
    read_hdf_map(path)
    first = _hdf_process.reader.process
    assert first is not None
    assert first.stdin is not None
    first.stdin.close()  # what a minute without a question does
    first.wait()
    first.stdin = subprocess.Popen(["true"], stdin=subprocess.PIPE).stdin
    np.testing.assert_array_equal(read_hdf_map(path).voxels, VOXELS)
    assert _hdf_process.reader.process is not first


@pytest.mark.parametrize("signal_number", [signal.SIGKILL, signal.SIGHUP])
def test_a_file_that_was_at_hand_when_the_reader_was_killed_is_read_by_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, signal_number: int
) -> None:
    path = tmp_path / "a.hdf"
    write_hdf(path, VOXELS)
    killed = f"import os, sys; sys.stdin.readline(); os.kill(os.getpid(), {signal_number})"
    with reader_is(killed, tmp_path, monkeypatch), pytest.raises(NotReadyError):
        read_hdf_map(path)
    np.testing.assert_array_equal(read_hdf_map(path).voxels, VOXELS)


def test_the_reader_goes_on_when_its_whole_group_is_told_to_end(tmp_path: Path) -> None:
    path = tmp_path / "a.hdf"
    write_hdf(path, VOXELS)
    read_hdf_map(path)
    process = _hdf_process.reader.process
    assert process is not None
    process.terminate()
    np.testing.assert_array_equal(read_hdf_map(path).voxels, VOXELS)
    assert _hdf_process.reader.process is process


def test_a_library_that_cannot_be_imported_is_no_fault_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.hdf"
    write_hdf(path, VOXELS)
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "h5py.py").write_text("raise ValueError('numpy.dtype size changed')")
    monkeypatch.syspath_prepend(str(broken))
    with pytest.raises(MapError, match=r"h5py cannot be imported .numpy.dtype size changed.; install it anew"):
        read_hdf_map(path)


@pytest.mark.parametrize(
    ("limits", "then", "ended"),
    [
        ("0.05, 1 << 30", "while True: pass", -signal.SIGPROF),
        ("60.0, 1 << 28", "bytearray(1 << 29)", 1),  # a MemoryError
    ],
)
def test_the_reader_runs_no_longer_and_takes_no_more_than_it_may(limits: str, then: str, ended: int) -> None:
    code = f"import runpy; limit = runpy.run_path({str(READER)!r})['limit']; limit({limits})\n{then}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == ended
    assert ended < 0 or "MemoryError" in done.stderr
