"""MRC files in and out."""

import struct
from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refine_hooks.errors import MapError, NotReadyError, RefineHooksError, StorageError
from refine_hooks.files import mrc
from refine_hooks.files.atomic import beside
from refine_hooks.files.mrc import HEADER_BYTES, Map, read_header, read_map, write_map


def a_map(box_px: int = 8, voxel_size_A: float = 1.5) -> Map:
    voxels = np.random.default_rng(0).normal(size=(box_px,) * 3).astype(np.float32)
    return Map(voxels, voxel_size_A, (1.0, -2.0, 3.0))


def test_a_written_map_passes_the_format_s_own_validation(tmp_path: Path) -> None:
    path = tmp_path / "map.mrc"
    write_map(path, a_map(), "some label")
    assert mrcfile.validate(path)
    with mrcfile.open(path) as mrc:
        assert mrc.header.mode == 2
        assert mrc.header.map == b"MAP "
        assert bytes(mrc.header.label[0]).startswith(b"some label")
        assert float(mrc.voxel_size.x) == pytest.approx(1.5)


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    path = tmp_path / "map.mrc"
    write_map(path, a_map(), "label")
    back = read_map(path)
    np.testing.assert_array_equal(back.voxels, a_map().voxels)
    assert (back.voxel_size_A, back.origin_A) == (pytest.approx(1.5), (1.0, -2.0, 3.0))


def test_writing_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one.mrc", "two.mrc"):
        write_map(tmp_path / name, a_map(), "label")
    assert (tmp_path / "one.mrc").read_bytes() == (tmp_path / "two.mrc").read_bytes()


@pytest.mark.parametrize("mode", [0, 1, 2, 6, 12])
def test_every_mode_that_a_map_can_have_is_read(tmp_path: Path, mode: int) -> None:
    kinds = {0: np.int8, 1: np.int16, 2: np.float32, 6: np.uint16, 12: np.float16}
    data = np.arange(64).reshape(4, 4, 4).astype(kinds[mode])
    with mrcfile.new(tmp_path / "m.mrc") as mrc:
        mrc.set_data(data)
        mrc.voxel_size = 2.0
    np.testing.assert_array_equal(read_map(tmp_path / "m.mrc").voxels, data.astype(np.float32))


def test_a_big_endian_map_with_an_extended_header_is_read(tmp_path: Path) -> None:
    path = tmp_path / "map.mrc"
    header = bytearray(HEADER_BYTES)
    struct.pack_into(">4i", header, 0, 2, 2, 2, 2)
    struct.pack_into(">3i3f", header, 28, 2, 2, 2, 3.0, 3.0, 3.0)
    struct.pack_into(">i", header, 92, 80)
    path.write_bytes(bytes(header) + bytes(80) + np.arange(8, dtype=">f4").tobytes())
    assert read_map(path).voxels.ravel().tolist() == list(range(8))
    assert read_map(path).voxel_size_A == 1.5


def test_headers_without_a_version_are_accepted(tmp_path: Path) -> None:
    path = tmp_path / "map.mrc"
    write_map(path, a_map(), "label")
    raw = bytearray(path.read_bytes())
    raw[108:112] = bytes(4)
    raw[208:212] = bytes(4)
    path.write_bytes(raw)
    assert read_map(path).box_px == 8


def test_a_file_that_is_still_being_written_is_not_ready(tmp_path: Path) -> None:
    path = tmp_path / "map.mrc"
    write_map(path, a_map(), "label")
    whole = path.read_bytes()
    for torn in (b"", whole[:100], bytes(HEADER_BYTES) + whole[HEADER_BYTES:], whole[:-1]):
        path.write_bytes(torn)
        with pytest.raises(NotReadyError, match=r"map\.mrc"):
            read_header(path)


@pytest.mark.parametrize("moment", ["between header and voxels", "after the voxels"])
def test_a_map_that_changes_while_it_is_read_is_not_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    path, other = tmp_path / "map.mrc", tmp_path / "other.mrc"
    for name, value in ((path, 1), (other, 2)):
        write_map(name, Map(np.full((8,) * 3, value, np.float32), 1.0), "test")
    read_voxels = mrc.read_voxels

    def changing(*args: Any) -> Any:
        if moment == "between header and voxels":
            other.replace(path)
        voxels = read_voxels(*args)
        if moment == "after the voxels":
            other.replace(path)
        return voxels

    monkeypatch.setattr(mrc, "read_voxels", changing)
    with pytest.raises(NotReadyError, match=r"map\.mrc: changed while it was read"):
        read_map(path)


def test_all_faults_of_a_header_are_told_at_once(tmp_path: Path) -> None:
    with mrcfile.new(tmp_path / "m.mrc") as mrc:
        mrc.set_data(np.zeros((4, 4, 6), np.float32))
        mrc.voxel_size = 0
    with pytest.raises(MapError) as caught:
        read_map(tmp_path / "m.mrc")
    assert len(caught.value.faults) == 2
    assert "6 x 4 x 4" in caught.value.faults[0]
    assert "voxel size" in caught.value.faults[1]


def test_voxel_sizes_that_differ_between_axes_are_refused(tmp_path: Path) -> None:
    with mrcfile.new(tmp_path / "m.mrc") as mrc:
        mrc.set_data(np.zeros((4, 4, 4), np.float32))
        mrc.voxel_size = (1.0, 1.0, 1.2)
    with pytest.raises(MapError, match="differs between the axes"):
        read_map(tmp_path / "m.mrc")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_voxel_that_is_no_number_is_refused_with_its_place(tmp_path: Path, bad: float) -> None:
    data = np.zeros((4, 4, 4), np.float32)
    data[2, 1, 0] = bad
    with mrcfile.new(tmp_path / "m.mrc") as mrc:
        mrc.set_data(data)
        mrc.voxel_size = 1.0
    with pytest.raises(MapError, match=r"1 voxels are NaN or infinite \(the first in section 2\)"):
        read_map(tmp_path / "m.mrc")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(MapError, match=r"nothing\.mrc"):
        read_map(tmp_path / "nothing.mrc")


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=1100))
def test_no_header_makes_the_reader_crash_or_take_memory_on_its_word(
    tmp_path_factory: pytest.TempPathFactory, raw: bytes
) -> None:
    path = tmp_path_factory.mktemp("fuzz") / "m.mrc"
    path.write_bytes(raw)
    try:
        read_map(path)
    except RefineHooksError as error:
        assert "m.mrc" in str(error)


def test_a_failed_write_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("before")
    with pytest.raises(StorageError, match="No space left"), beside(path) as temporary:
        temporary.write_text("half")
        raise OSError(28, "No space left on device")
    assert path.read_text() == "before"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
