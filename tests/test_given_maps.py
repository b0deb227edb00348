"""Maps and masks that a user names: packed files, EMAN2's HDF5, bytes of three conventions, voxel sizes that say nothing."""

import bz2
import gzip
import json
import struct
import tracemalloc
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
import pytest
from command_line import cli

from refine_hooks import masks, measure
from refine_hooks.errors import MapError, NotReadyError
from refine_hooks.files.maps import read_given_map, stated_voxel_size_A
from refine_hooks.files.mrc import Map, read_header, read_map, write_map

BOX = 16
VOXELS = np.random.default_rng(0).normal(size=(BOX,) * 3).astype(np.float32)
PACKERS = {".map.gz": gzip.compress, ".mrc.bz2": bz2.compress, ".mrc": gzip.compress}
INSIDE = np.zeros((BOX,) * 3, bool)
INSIDE[4:12, 4:12, 4:12] = True
HALF = Map(VOXELS, 2.0)


def raw_map(folder: Path) -> bytes:
    write_map(folder / "plain.mrc", Map(VOXELS, 1.5, (1.0, 2.0, 3.0)), "label")
    return (folder / "plain.mrc").read_bytes()


@pytest.mark.parametrize("ending", PACKERS)
def test_a_packed_map_is_the_map_that_was_packed(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"half{ending}"
    path.write_bytes(PACKERS[ending](raw_map(tmp_path)))
    for read in (read_map, read_given_map):
        assert np.array_equal(read(path).voxels, VOXELS)
        assert read(path).voxel_size_A == 1.5
    assert stated_voxel_size_A(path) == 1.5


@pytest.mark.parametrize("ending", PACKERS)
def test_a_packed_map_that_ends_too_soon_is_not_ready(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"half{ending}"
    whole = PACKERS[ending](raw_map(tmp_path))
    for length in (len(whole) // 2, 30):
        path.write_bytes(whole[:length])
        with pytest.raises(NotReadyError, match="half"):
            read_given_map(path)
    path.write_bytes(PACKERS[ending](raw_map(tmp_path)[:-4]))
    with pytest.raises(NotReadyError, match="fewer values"):
        read_given_map(path)


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress])
def test_no_memory_is_taken_on_the_word_of_a_packed_header(tmp_path: Path, pack: Any) -> None:
    header = bytearray(raw_map(tmp_path)[:1024])
    struct.pack_into("<4i", header, 0, 2048, 2048, 2048, 2)
    struct.pack_into("<3i3f", header, 28, 2048, 2048, 2048, 2048.0, 2048.0, 2048.0)
    path = tmp_path / "liar.map.gz"
    path.write_bytes(pack(bytes(header) + bytes(1 << 20)))
    tracemalloc.start()
    with pytest.raises(NotReadyError):
        read_given_map(path)
    assert tracemalloc.get_traced_memory()[1] < 64 << 20
    tracemalloc.stop()


def test_a_damaged_packed_map_is_said_to_be_one(tmp_path: Path) -> None:
    path = tmp_path / "half.map.gz"
    raw = bytearray(gzip.compress(raw_map(tmp_path)))
    raw[-8] ^= 255  # of its checksum
    path.write_bytes(raw)
    with pytest.raises(MapError, match="gzip"):
        read_given_map(path)


@pytest.mark.parametrize(
    ("first", "words"),
    [(b"\xfd7zXZ\0", "xz"), (b"PK\x03\x04", "zip"), (b"\x89HDF\r\n\x1a\n", "HDF5"), (b"\x93NUMPY", "NumPy")],
)
def test_a_file_of_another_kind_is_called_by_its_name(tmp_path: Path, first: bytes, words: str) -> None:
    (tmp_path / "map.mrc").write_bytes(first + b"x" * 2000)
    with pytest.raises(MapError, match=words):
        read_map(tmp_path / "map.mrc")


def test_an_hdf_map_of_eman2_is_read_where_a_map_is_given(tmp_path: Path) -> None:
    pytest.importorskip("h5py")
    from eman2_data import write_hdf

    write_hdf(tmp_path / "half.hdf", VOXELS)
    assert np.array_equal(read_given_map(tmp_path / "half.hdf").voxels, VOXELS)


def byte_mask(
    path: Path, values: np.ndarray, *, imod: int | None = None, version: int = 20141, top: float | None = None
) -> Path:
    """A file in mode 0; ``imod`` are IMOD's flags beside its fingerprint, ``top`` the largest value that the header states."""
    with mrcfile.new(path, overwrite=True) as mrc:
        mrc.set_data(values.astype(np.uint8).view(np.int8))
        mrc.voxel_size = 2.0
    raw = bytearray(path.read_bytes())
    struct.pack_into("<i", raw, 108, version)
    if imod is not None:
        struct.pack_into("<2i", raw, 152, 1146047817, imod)
    if top is not None:
        struct.pack_into("<2f", raw, 76, 0.0, top)
    path.write_bytes(raw)
    return path


def checked(path: Path) -> tuple[np.ndarray, str | None]:
    mask = measure.read_users_mask("user", path, HALF)
    assert mask.map is not None
    return masks.checked(mask.map.voxels, mask.map.voxel_size_A, BOX, 2.0, path.name)


@pytest.mark.parametrize(
    ("stored", "header"),
    [
        (INSIDE * 1, {}),
        (INSIDE * 127, {}),
        (INSIDE * 1 + 128, {"imod": 1}),  # as IMOD moves 0 and 1 to -128 and -127
        (INSIDE * 255, {"imod": 0}),
        (INSIDE * 255, {"version": 0, "top": 255.0}),
    ],
    ids=["signed", "signed 0..127", "IMOD signed", "IMOD unsigned", "before 2014"],
)
def test_bytes_are_read_as_the_header_s_stamp_says(tmp_path: Path, stored: np.ndarray, header: dict[str, Any]) -> None:
    values, _ = checked(byte_mask(tmp_path / "mask.mrc", stored, **header))
    assert np.array_equal(values, INSIDE)


def test_bytes_without_a_stamp_that_cannot_be_meant_name_the_convention(tmp_path: Path) -> None:
    with pytest.raises(MapError, match="unsigned"):
        checked(byte_mask(tmp_path / "mask.mrc", INSIDE * 255))


def test_a_mask_of_0_to_255_is_scaled_by_its_maximum_and_keeps_its_edge(tmp_path: Path) -> None:
    soft = np.where(INSIDE, 1.0, 0.25).astype(np.float32)
    write_map(tmp_path / "mask.mrc", Map(soft * 255, 2.0), "test")
    values, note = checked(tmp_path / "mask.mrc")
    np.testing.assert_allclose(values, soft, atol=1e-6)
    assert "divided by 255" in str(note)


def test_a_mask_with_values_below_0_is_refused(tmp_path: Path) -> None:
    write_map(tmp_path / "mask.mrc", HALF, "test")
    with pytest.raises(MapError, match=r"from -\d.* to \d.*Is it a map"):
        checked(tmp_path / "mask.mrc")


@pytest.mark.parametrize("stated_A", [1.0, 1 / BOX, 0.0])
def test_a_mask_s_header_that_says_nothing_leaves_the_word_to_the_box(tmp_path: Path, stated_A: float) -> None:
    path = tmp_path / "mask.mrc"
    write_map(path, Map(INSIDE.astype(np.float32), 2.0), "test")
    with mrcfile.open(path, "r+") as mrc:
        mrc.voxel_size = stated_A
    mask = measure.read_users_mask("user", path, HALF)
    assert mask.map is not None
    assert mask.map.voxel_size_A == 2.0
    assert bool(mask.note) == (stated_A > 0)
    other = measure.read_users_mask("user", path, Map(np.zeros((BOX + 2,) * 3, np.float32), 2.0))
    assert other.note is None  # its box is told of where it is checked


def test_a_mask_s_voxel_size_that_can_be_meant_stays_and_the_user_s_goes_before_it(tmp_path: Path) -> None:
    path = tmp_path / "mask.mrc"
    write_map(path, Map(INSIDE.astype(np.float32), 2.5), "test")
    with pytest.raises(MapError, match=r"2\.5 A"):
        checked(path)
    mask = measure.read_users_mask("user", path, HALF, 2.0)
    assert mask.map is not None
    assert mask.map.voxel_size_A == 2.0


def test_modes_6_and_12_work_as_before(tmp_path: Path) -> None:
    for dtype in (np.uint16, np.float16):
        with mrcfile.new(tmp_path / "m.mrc", overwrite=True) as mrc:
            mrc.set_data(INSIDE.astype(dtype))
            mrc.voxel_size = 2.0
        assert read_header(tmp_path / "m.mrc").dtype == np.dtype(dtype)
        assert np.array_equal(read_map(tmp_path / "m.mrc").voxels, INSIDE)


def run_measure(folder: Path, stated_A: float, *options: str) -> dict[str, Any]:
    signal = masks.sphere(32, 1.0, 8.0, 3.0)
    for half in (1, 2):
        noise = np.random.default_rng(half).normal(0, 0.3, signal.shape)
        write_map(folder / f"h{half}.mrc", Map((signal + noise).astype(np.float32), stated_A), "test")
    done = cli("measure", folder / "h1.mrc", folder / "h2.mrc", "--json", *options)
    assert done.returncode == 0, done.stderr
    record: dict[str, Any] = json.loads(done.stdout)
    return record


def test_a_header_of_exactly_1_A_is_doubted_and_the_option_or_the_settings_say_better(tmp_path: Path) -> None:
    config = tmp_path / "own.toml"
    config.write_text("[program]\nvoxel_size_A = 3.0\n")
    doubted = run_measure(tmp_path, 1.0)
    assert any("exactly 1 A" in note for note in doubted["notes"])
    for options, wanted_A in ((["--voxel-size", "2.5"], 2.5), (["--config", str(config)], 3.0)):
        record = run_measure(tmp_path, 1.0, *options)
        assert record["voxel_size_A"] == wanted_A
        assert not any("exactly 1 A" in note for note in record["notes"])
    assert not any("exactly 1 A" in note for note in run_measure(tmp_path, 1.2)["notes"])


@pytest.mark.parametrize(("factor", "fits"), [(1.001, True), (1.005, False), (1.02, False)])
def test_whether_a_mask_fits_has_one_answer(factor: float, fits: bool) -> None:
    told = masks.misfits((24, 24, 24), 3.0 * factor, 24, 3.0)
    assert bool(told) is not fits
    if fits:
        masks.checked(np.ones((24, 24, 24), np.float32), 3.0 * factor, 24, 3.0, "m.mrc")
    else:
        with pytest.raises(MapError, match="voxel size"):
            masks.checked(np.ones((24, 24, 24), np.float32), 3.0 * factor, 24, 3.0, "m.mrc")
