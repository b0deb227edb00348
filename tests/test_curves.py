"""From a curve to a number."""

import numpy as np
import pytest
from interval_panel import calibrate
from numpy.typing import NDArray

from refine_hooks import curves
from refine_hooks.curves import crossings, curve, interval_A, resolution_A, significant_shell

FREQUENCY = np.arange(8) / 80.0


def values(*numbers: float) -> NDArray[np.float64]:
    return np.array(numbers)


def test_a_crossing_is_linear_in_frequency_between_two_shells() -> None:
    (found,) = crossings(values(1, 0.9, 0.3, 0.1, 0, 0, 0, 0), FREQUENCY, 0.2)
    assert found.frequency_per_A == pytest.approx(2.5 / 80)
    assert found.resolution_A == pytest.approx(32.0)
    assert (found.direction, found.shell, found.shells) == ("down", 2, 5)
    assert found.depth == pytest.approx(0.2)


def test_all_crossings_are_kept_with_the_depth_and_length_of_each_dip() -> None:
    found = crossings(values(1, 0.9, 0.1, 0.05, 0.6, 0.3, 0.1, 0.15), FREQUENCY, 0.2)
    assert [c.direction for c in found] == ["down", "up", "down"]
    assert (found[0].shells, found[0].depth) == (2, pytest.approx(0.15))
    assert (found[2].shells, found[2].depth) == (2, pytest.approx(0.1))
    assert resolution_A(values(1, 0.9, 0.1, 0.05, 0.6, 0.3, 0.1, 0.15), FREQUENCY, 0.2) == found[0].resolution_A


@pytest.mark.parametrize(
    "numbers", [(1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3), (1, 0.1, 0, 0, 0, 0, 0, 0), (1, 0.9, np.nan, 0, 0, 0, 0, 0)]
)
def test_a_curve_that_never_crosses_or_starts_below_or_ends_before_has_no_resolution(
    numbers: tuple[float, ...],
) -> None:
    assert resolution_A(values(*numbers), FREQUENCY, 0.2) is None


def test_a_shell_at_the_level_is_above_it() -> None:
    assert resolution_A(values(1, 0.5, 0.2, 0.1, 0, 0, 0, 0), FREQUENCY, 0.2) == pytest.approx(40.0)


def test_where_a_curve_is_cut_is_no_resolution() -> None:
    record = curve("sphere", "sphere", values(1, 0.9, 0.8, 0.7, 0, 0, 0, 0), FREQUENCY, valid_shells=3)
    assert record.resolution_A is None
    assert record.correlation[4:] == (None,) * 4
    assert record.crossings == ()


def test_an_interval_reads_the_curve_less_and_plus_its_error() -> None:
    line, sd = np.linspace(1, 0.3, 8) - 0.1, np.full(8, 0.1)
    low, high = interval_A(line, sd, FREQUENCY, 0.5)  # type: ignore[misc]
    middle = resolution_A(line, FREQUENCY, 0.5)
    assert low > middle > high  # type: ignore[operator]
    assert 1 / high - 1 / low == pytest.approx(2 * curves.NORMAL_90 * 0.1 / (0.1 * 80), rel=1e-6)


def test_an_interval_whose_fine_end_never_crosses_ends_with_the_shells() -> None:
    found = interval_A(np.linspace(1, 0.35, 8), np.full(8, 0.1), FREQUENCY, 0.45)
    assert found is not None
    assert found[1] == pytest.approx(80 / 7)


def test_significance_ends_with_the_first_shell_inside_the_null() -> None:
    supported = significant_shell(values(1, 0.9, 0.5, 0.4, 0.05, 0.9, 0, 0), np.zeros(8), np.full(8, 0.05), 1)
    assert supported == 3


@pytest.mark.long
@pytest.mark.parametrize("family", ["C4", "uneven by direction"])  # scripts/calibrate_interval has twelve
def test_nine_in_ten_intervals_hold_the_truth(family: str) -> None:
    for name, result in calibrate(family, 18, 5001).items():
        assert result.held >= 78, name
