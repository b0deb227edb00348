"""Regions of voxels, held against their definitions written out."""

import heapq

import numpy as np
import pytest
from scipy import ndimage

from refine_hooks.masks.regions import connected, summits, watershed

CUBE = np.ones((3, 3, 3))
SHAPES = [(1, 1, 1), (7, 1, 4), (5, 6, 1), (4, 9, 8), (11, 10, 9)]


def voxels_of(shape: tuple[int, int, int], share: float) -> np.ndarray:
    return np.random.default_rng(sum(shape)).random(shape) < share


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 1.0])
@pytest.mark.parametrize("shape", SHAPES)
def test_connected_voxels_have_one_number_in_the_order_of_their_first(
    shape: tuple[int, int, int], share: float
) -> None:
    # What is given may be a part of a larger box.
    voxels = np.pad(voxels_of(shape, share), 1, constant_values=True)[1:-1, 1:-1, 1:-1]
    for corners in (False, True):
        expected, count = ndimage.label(voxels, CUBE if corners else None)
        found = connected(voxels, corners=corners)
        first = [int(np.flatnonzero(found == number)[0]) for number in range(1, count + 1)]
        assert set(np.unique(found)) - {0} == set(range(1, count + 1))
        assert first == sorted(first)
        assert len(set(zip(expected.ravel(), found.ravel(), strict=True))) == count + (not voxels.all())


def summits_by_definition(height: np.ndarray, drop: float) -> np.ndarray:
    low, before = height - drop, None
    while before is None or (low != before).any():
        before, low = low, np.minimum(height, ndimage.maximum_filter(low, footprint=CUBE, mode="nearest"))
    higher = ndimage.maximum_filter(low, footprint=CUBE, mode="nearest") > low
    maxima = np.zeros(height.shape, bool)
    for level in np.unique(low):
        plateaus, count = ndimage.label(low == level, CUBE)
        for number in range(1, count + 1):
            maxima |= (plateaus == number) & (not higher[plateaus == number].any())
    return maxima


@pytest.mark.parametrize("shape", SHAPES)
def test_summits_stand_out_of_all_around_them(shape: tuple[int, int, int]) -> None:
    steps = np.random.default_rng(sum(shape)).integers(0, 6, shape).astype(float)
    for height in (steps, ndimage.gaussian_filter(steps, 1.0), np.zeros(shape)):
        for drop in (0.3, 2.0):
            assert np.array_equal(summits(height, drop), summits_by_definition(height, drop))


def flooded_by_definition(level: np.ndarray, seeds: np.ndarray, inside: np.ndarray) -> np.ndarray:
    parts = np.where(inside, seeds, 0)
    waiting = [(level[place], number, place) for number, place in enumerate(zip(*np.nonzero(parts), strict=True))]
    heapq.heapify(waiting)
    number = len(waiting)
    while waiting:
        *_, place = heapq.heappop(waiting)
        for axis, by in ((0, -1), (1, -1), (2, -1), (2, 1), (1, 1), (0, 1)):
            beside = tuple(at + (by if axis == each else 0) for each, at in enumerate(place))
            if 0 <= beside[axis] < level.shape[axis] and inside[beside] and not parts[beside]:
                parts[beside] = parts[place]
                heapq.heappush(waiting, (level[beside], number, beside))
                number += 1
    return parts


@pytest.mark.parametrize("shape", SHAPES)
def test_each_voxel_is_flooded_from_the_seed_whose_water_comes_first(shape: tuple[int, int, int]) -> None:
    rng = np.random.default_rng(sum(shape))
    inside, seeds = voxels_of(shape, 0.8), rng.integers(0, 4, shape) * (rng.random(shape) < 0.1)
    for level in (rng.random(shape), rng.integers(0, 3, shape).astype(float)):
        assert np.array_equal(watershed(level, seeds, inside), flooded_by_definition(level, seeds, inside))
