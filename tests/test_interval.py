"""The interval of a resolution: as wide as its error, whatever the symmetry, and no wider."""

import numpy as np
import pytest

from refine_hooks import fsc
from refine_hooks.curves import interval_A, resolution_A
from refine_hooks.fourier import voxels_in_shell
from refine_hooks.fsc.crossing import Errors, crossing_interval

BOX_PX, LEVEL = 48, 0.143
FREQUENCY = np.arange(BOX_PX // 2 + 1) / 120.0
TOGETHER = np.array([1.0, 0.45, 0.1])


def expected(steepness: float, crossing: float) -> np.ndarray:
    """S / (S + N) whose logarithmic ratio falls as for a B factor."""
    shells = np.arange(BOX_PX // 2 + 1)
    return np.asarray(1 / (1 + 5.99 * np.exp(steepness * (shells**2 - crossing**2))))


def drawn(curve: np.ndarray, independent: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """One measured curve: neighbouring shells err together."""
    white = rng.standard_normal(len(curve) + 2)
    error = 0.87 * white[1:-1] + 0.35 * (white[:-2] + white[2:])
    measured = np.clip(curve + fsc.sampling_sd(curve, independent.astype(int), 1.0) * error, -1, 1)
    measured[0] = 1.0
    return np.asarray(measured)


@pytest.mark.parametrize(("order", "crossing"), [(1, 9.4), (14, 11.3)])
def test_an_interval_holds_the_expected_crossing_and_is_narrower_than_the_band_of_the_shells(
    order: int, crossing: float
) -> None:
    independent = np.maximum(voxels_in_shell(BOX_PX) / (4 * order), 1)
    rng, held, widths = np.random.default_rng(order), [], []
    truth = 1 / (resolution_A(expected(0.02, crossing), FREQUENCY, LEVEL) or np.nan) * 120
    for _ in range(24):
        curve = drawn(expected(0.02, crossing), independent, rng)
        found = resolution_A(curve, FREQUENCY, LEVEL)
        band = interval_A(curve, fsc.sampling_sd(curve, independent.astype(int), 1.0), FREQUENCY, LEVEL)
        if found is None or band is None:
            continue
        low, high = crossing_interval(curve, Errors(independent, TOGETHER), 120 / found, LEVEL)
        assert low <= 120 / found <= high
        held.append(low <= truth <= high)
        widths.append((high - low) / (120 / band[1] - 120 / band[0]))
    assert np.mean(held) >= 0.8
    assert np.median(widths) < 0.9


def test_a_curve_without_error_has_next_to_no_interval() -> None:
    curve = expected(0.03, 9.4)
    low, high = crossing_interval(curve, Errors(np.full(len(curve), 1e6), np.ones(1)), 9.4, LEVEL)
    assert high - low < 0.3


def test_a_plateau_about_the_level_widens_the_interval() -> None:
    """A dip is one crossing; the curve may as well fall where the plateau ends."""
    independent = voxels_in_shell(BOX_PX) / 8
    steep = expected(0.03, 9.0)
    plateau = np.maximum(steep, 0.16 * (np.arange(len(steep)) < 15))
    plateau[9] = 0.12
    narrow = crossing_interval(steep, Errors(independent, TOGETHER), 9.0, LEVEL)
    wide = crossing_interval(plateau, Errors(independent, TOGETHER), 8.5, LEVEL)
    assert narrow[1] < 11
    assert wide[1] > 12


def test_a_part_that_a_mask_carries_makes_what_is_left_less_certain() -> None:
    curve = expected(0.02, 9.4)
    independent, beyond = voxels_in_shell(BOX_PX) / 4, np.arange(len(curve)) >= 4
    plain, carried = (
        crossing_interval(curve, Errors(independent, TOGETHER, part), 9.4, LEVEL)
        for part in (None, np.where(beyond, 0.6, 0.0))
    )
    assert carried[1] - carried[0] > 1.2 * (plain[1] - plain[0])


def test_neighbouring_shells_err_together_as_the_mask_says() -> None:
    distance = np.sqrt(sum(np.square(axis) for axis in np.mgrid[-16:16, -16:16, -16:16]))
    mask = np.clip((9 - distance) / 3, 0, 1).astype(np.float32)
    together = fsc.shells_together(mask)
    rng = np.random.default_rng(5)
    curves = np.array(
        [fsc.masked_fsc(*(rng.normal(size=mask.shape).astype(np.float32) for _ in range(2)), mask) for _ in range(60)]
    )
    seen = np.corrcoef(curves[:, 5:15].T)
    assert np.diagonal(seen, 1).mean() == pytest.approx(together[1] / together[0], abs=0.1)
    assert np.diagonal(seen, 3).mean() == pytest.approx(together[3] / together[0], abs=0.1)
    assert together[0] == pytest.approx(fsc.correlated_voxels(mask))


def test_shells_that_a_mask_makes_err_together_more_than_their_estimate_can_hold_have_an_interval() -> None:
    shells = np.arange(BOX_PX // 2 + 1)
    carried = np.where(shells < 10, 0.0, 0.98)
    curve = np.where(shells < 10, 0.999, 0.6 * np.exp(-((shells - 10) / 3.0)))
    errors = Errors(np.maximum(shells**2 / 3.0, 1.0), np.array([1.0, 0.9, 0.3]), carried)
    crossing = 10 + 3 * np.log(0.6 / LEVEL)
    low, high = crossing_interval(curve, errors, crossing, LEVEL)
    assert 10 <= low <= crossing <= high < 20
