import numpy as np
import pytest
from cistem_data import DATA, squared_distance

from refine_hooks.errors import InputError
from refine_hooks.masks import cistem


@pytest.fixture(scope="module")
def golden():
    """volume_4_1 in steps so fine that no voxel of create_mask's two masks changes, and these masks."""
    return np.load(DATA / "cistem_automask.npz")


@pytest.fixture(scope="module")
def volume(golden):
    return golden["density"] * golden["step"]


@pytest.mark.parametrize(("filter_A", "rebin"), [(10, 0.35), (7, 0.1)])
def test_automask_is_create_mask_s_in_every_voxel(filter_A, rebin, golden, volume):
    expected = np.unpackbits(golden[f"mask_{filter_A}A"]).reshape(volume.shape)
    found = cistem.cistem_automask(volume, 2.5, 75, filter_A, rebin)
    assert np.count_nonzero(expected) > 10_000
    np.testing.assert_array_equal(found, expected)


def test_a_given_threshold_takes_the_place_of_the_automatic_one(volume):
    automatic = cistem.cistem_automask(volume, 2.5, 75, 7, 0.1)
    higher = cistem.cistem_automask(volume, 2.5, 75, 7, 0.1, threshold=float(volume.max()) / 2)
    assert 0 < np.count_nonzero(higher) < 0.8 * np.count_nonzero(automatic)
    assert np.all(higher <= automatic)


def test_automask_with_nothing_above_the_threshold_is_refused(volume):
    with pytest.raises(InputError, match="automask is empty"):
        cistem.cistem_automask(volume, 2.5, 75, 7, 0.1, threshold=1e9)


def test_automask_keeps_the_larger_of_two_bodies_and_nothing_beyond_the_radius():
    n = 48
    z, y, x = np.indices((n,) * 3) - n // 2
    large, small, far = ((z + dz) ** 2 + y**2 + x**2 <= r**2 for dz, r in ((6, 6), (-7, 3), (-21, 5)))
    volume = (1.0 * large + 3.0 * small + 3.0 * far).astype(np.float32)
    mask = cistem.cistem_automask(volume, 2.0, 36, 4, 0.3)
    assert mask[large].all()
    assert not mask[small].any()
    assert not mask[far].any()


def test_a_map_that_is_too_coarse_to_bin_is_masked_as_it_is():
    n = 32
    body = squared_distance(n) <= 25
    mask = cistem.cistem_automask(body.astype(np.float32), 2.0, 30, 3.9, 0.5)
    assert mask.shape == (n,) * 3
    assert mask[squared_distance(n) <= 16].all()
    assert not mask[squared_distance(n) > 100].any()


def softened_by_definition(mask, radius_px):
    """Each voxel is the mean of the binary mask under a cosine ball; the box wraps around."""
    inside = (mask > 0).astype(float)
    total, weight = np.zeros(mask.shape), 0.0
    reach = int(np.ceil(radius_px))
    for shift in np.ndindex((2 * reach - 1,) * 3):
        offset = np.array(shift) - reach + 1
        r = np.sqrt((offset**2).sum())
        if r <= radius_px:
            value = (1 + np.cos(np.pi * r / radius_px)) / 2
            total += value * np.roll(inside, offset, (0, 1, 2))
            weight += value
    total /= weight
    return np.where(total < 0.001, 0, total)


@pytest.mark.parametrize(
    ("n", "corner", "voxel_size_A"),
    [(24, (8, 10, 9), 2.5), (23, (9, 9, 9), 2.3), (24, (0, 5, 20), 2.5), (12, (2, 2, 2), 2.0)],
    ids=["in the middle", "odd box", "over the border", "fills the box"],
)
def test_soft_mask_is_the_written_out_mean_under_a_cosine_ball(n, corner, voxel_size_A):
    mask = np.zeros((n,) * 3, np.float32)
    mask[tuple(slice(c, c + 6) for c in corner)] = 0.2
    mask[corner] = -1
    soft = cistem.apply_mask_soft(mask, voxel_size_A)
    assert soft.dtype == np.float32
    np.testing.assert_allclose(soft, softened_by_definition(mask, 10 / voxel_size_A), atol=2e-6)


def test_soft_mask_of_an_empty_mask_is_empty():
    assert not cistem.apply_mask_soft(np.zeros((8, 8, 8), np.float32), 2.0).any()


@pytest.mark.parametrize("n", [16, 17])
def test_mean_outside_leaves_out_the_voxels_at_the_radius(n):
    voxels = np.random.default_rng(0).standard_normal((n,) * 3).astype(np.float32)
    assert cistem.mean_outside(voxels, 5) == pytest.approx(voxels[squared_distance(n) > 25].mean(dtype=float))
    assert cistem.mean_outside(voxels, 2 * n) == 0
