"""What the noise says: views that are missing, and a symmetry that was imposed."""

import numpy as np
import pytest
from interval_panel import symmetrised
from numpy.typing import NDArray
from scipy import fft

from refine_hooks import fsc, masks
from refine_hooks.analysis.directions import NoiseDirections, noise_directions
from refine_hooks.analysis.imposed import imposed_symmetry
from refine_hooks.fourier import extent, shell_sums, transform

Gain = NDArray[np.float64] | float


def cosine_to_z(box_px: int) -> NDArray[np.float64]:
    k, half = fft.fftfreq(box_px), fft.rfftfreq(box_px)
    length = np.sqrt(k[:, None, None] ** 2 + k[:, None] ** 2 + half**2)
    length[0, 0, 0] = 1
    return np.asarray(np.abs(k[:, None, None]) / length)


def directions_of(box_px: int, gain: Gain, seed: int, signal: Gain = 0.0) -> NoiseDirections:
    rng = np.random.default_rng(seed)
    noise = [fft.irfftn(fft.rfftn(rng.normal(size=(box_px,) * 3)) * gain, s=(box_px,) * 3) for _ in range(2)]
    one, two = (transform((draw + signal).astype(np.float32)) for draw in noise)
    found = noise_directions(one, two, shell_sums(one, two))
    assert found is not None
    return found


@pytest.mark.parametrize("box_px", [24, 33, 48])
def test_no_view_is_missing_where_noise_is_even_whatever_the_shape(box_px: int) -> None:
    z, y, x = np.indices((box_px,) * 3) - box_px // 2
    rod = 8.0 * ((np.hypot(z, y) < box_px / 12) & (np.abs(x) < box_px / 3))
    for seed in range(100 if box_px == 24 else 20):
        found = directions_of(box_px, 1.0, seed, rod)
        assert not found.views_missing
        assert not found.views_preferred
        assert found.unevenness < 1.05


@pytest.mark.parametrize("angle_deg", [20, 35])
@pytest.mark.parametrize("box_px", [24, 48])
def test_an_empty_cone_is_found_where_it_lies(box_px: int, angle_deg: float) -> None:
    found = directions_of(box_px, (cosine_to_z(box_px) < np.cos(np.deg2rad(angle_deg))).astype(float), 1)
    assert found.views_missing
    assert found.lowest < 0.25
    assert abs(found.lowest_axis[2]) > 0.9


def test_a_tenfold_preference_is_found() -> None:
    seen = 0.1 + 0.9 * np.sqrt(1 - cosine_to_z(32) ** 2)
    found = directions_of(32, np.sqrt(1 / seen), 1)
    assert found.views_preferred
    assert not found.views_missing
    assert abs(found.highest_axis[2]) > 0.9


def test_noise_that_is_stronger_in_one_place_leaves_fewer_independent_coefficients() -> None:
    box_px = 32
    rng = np.random.default_rng(0)
    mask = masks.sphere(box_px, 2.5, 25.0, 8.0)
    box = extent(mask).box
    assert box is not None
    one, two = (rng.normal(size=mask.shape).astype(np.float32) for _ in range(2))
    assert fsc.unevenness_by_place(one, two, mask, box) < 1.05
    stronger = np.ones(box_px, np.float32)
    stronger[box_px // 2 :] = np.sqrt(8)
    assert 1.15 < fsc.unevenness_by_place(one * stronger, two * stronger, mask, box) < 2


@pytest.mark.parametrize("symmetry", ["C1", "C4", "D7", "O", "I"])
def test_an_imposed_symmetry_is_found_in_the_noise_and_not_in_the_signal(symmetry: str) -> None:
    rng = np.random.default_rng(3)
    shape = (48,) * 3
    ball = 20 * masks.sphere(48, 1.0, 15.0, 4.0)
    halves = [symmetrised(rng.normal(size=shape), symmetry) + ball for _ in range(2)]
    one, two = (transform(half.astype(np.float32)) for half in halves)
    assert imposed_symmetry(one, two) == (None if symmetry == "C1" else symmetry)
