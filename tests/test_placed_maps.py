"""Maps whose headers say where their voxels lie, and halves that hold a constant: read right, or refused in words."""

from pathlib import Path
from typing import Any

import mrcfile
import numpy as np
import pytest
from panel import Case, globule, make

from refine_hooks.audit.halves import shares_noise
from refine_hooks.errors import MapError
from refine_hooks.files.mrc import Map, read_map
from refine_hooks.log.checks import shifted
from refine_hooks.measure import Measurement, NamedMask, measure_halves
from refine_hooks.model import Facts, HalfMaps
from refine_hooks.settings import Settings

VOXEL_A = 2.0


def write(path: Path, voxels: np.ndarray, axes: tuple[int, int, int] = (1, 2, 3), **header: Any) -> Path:
    with mrcfile.new(path) as mrc:
        mrc.set_data(np.ascontiguousarray(voxels, np.float32))
        mrc.voxel_size = VOXEL_A
        mrc.header.mapc, mrc.header.mapr, mrc.header.maps = axes
        for name, value in header.items():
            mrc.header[name] = value
    return path


@pytest.mark.parametrize("axes", [(1, 2, 3), (3, 2, 1), (2, 1, 3), (2, 3, 1), (3, 1, 2)])
def test_axes_are_put_in_order(tmp_path: Path, axes: tuple[int, int, int]) -> None:
    voxels = np.arange(4**3, dtype=np.float32).reshape(4, 4, 4)
    # Axis of the array that holds z, y and x, for sections, rows and columns in that order.
    stored = voxels.transpose([3 - axis for axis in axes[::-1]])
    assert np.array_equal(read_map(write(tmp_path / "map.mrc", stored, axes)).voxels, voxels)


def test_axes_that_name_one_twice_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MapError, match=r"\(1, 1, 3\).*MAPC"):
        read_map(write(tmp_path / "map.mrc", np.ones((4, 4, 4)), (1, 1, 3)))


def test_start_and_origin_say_where_a_map_lies(tmp_path: Path) -> None:
    path = write(tmp_path / "map.mrc", np.ones((4, 4, 4)), (3, 2, 1), nxstart=5, nystart=1, nzstart=-2)
    assert read_map(path).origin_A == (-2 * VOXEL_A, 1 * VOXEL_A, 5 * VOXEL_A)


SMALL = make(Case("globule", globule(22), 48, VOXEL_A, 7.0))


def measured(
    first: float = 0.0,
    second: float = 0.0,
    place: tuple[float, float, float] = (0.0, 0.0, 0.0),
    masks: tuple[NamedMask, ...] = (),
) -> Measurement:
    one = Map(SMALL.half1 + np.float32(first), VOXEL_A)
    two = Map(SMALL.half2 + np.float32(second), VOXEL_A, place)
    return measure_halves(HalfMaps(one, two, "found"), Facts(), Settings(), masks)


def shell(measurement: Measurement, name: str) -> float:
    resolution = next(curve.resolution_A for curve in measurement.curves if curve.name == name)
    assert resolution is not None
    return 48 * VOXEL_A / resolution


@pytest.mark.parametrize(("first", "second"), [(30.0, 30.0), (3.0, -40.0), (32768.0, 32768.0)])
def test_a_constant_in_the_halves_changes_no_number(first: float, second: float) -> None:
    plain, shifted = measured(), measured(first, second)
    for name in ("sphere", "automask", "automask_corrected"):
        assert shell(shifted, name) == pytest.approx(shell(plain, name), abs=0.1)


def test_halves_in_two_places_are_refused() -> None:
    with pytest.raises(MapError, match="half map 2: its header places the first voxel at x, y, z = 8, 0, 0 A"):
        measured(place=(8.0, 0.0, 0.0))


def test_a_mask_in_another_place_is_refused() -> None:
    mask = NamedMask("user", Map(SMALL.oracle, VOXEL_A, (0.0, 4.0, 0.0)))
    with pytest.raises(MapError, match="the mask user: its header places"):
        measured(masks=(mask,))


def test_a_box_centred_at_zero_lies_where_one_that_begins_there_does() -> None:
    assert measured(place=(-48.0, -48.0, -48.0)).curves


def test_what_was_tested_of_sound_halves_is_recorded() -> None:
    checks = measured().checks
    assert checks is not None
    assert (checks.mirrored, checks.inverted, checks.rotated_deg) == (False, False, 0.0)
    assert shifted(checks) is None
    assert not shares_noise(checks)
    assert measured().masked_before == "none"


def test_a_shifted_half_is_recorded() -> None:
    two = np.roll(SMALL.half2, 1, 2)
    found = measure_halves(HalfMaps(Map(SMALL.half1, VOXEL_A), Map(two, VOXEL_A), "found"), Facts(), Settings()).checks
    assert found is not None
    assert shifted(found) is not None
    assert found.shift_px is not None
    assert np.allclose(found.shift_px, (1, 0, 0), atol=0.2)


def test_halves_that_were_masked_before_are_recorded_as_such() -> None:
    one, two = (Map(half * SMALL.oracle, VOXEL_A) for half in (SMALL.half1, SMALL.half2))
    found = measure_halves(HalfMaps(one, two, "found"), Facts(), Settings())
    assert found.masked_before == "mask"
