"""Whether a refinement has converged: played refinements whose signal and shared noise are known."""

import numpy as np
import pytest
from scipy import fft, ndimage

from refine_hooks.analysis.convergence import Agreed, Point, RoundMaps, agreement, round_maps, verdict
from refine_hooks.log.convergence import Convergence
from refine_hooks.masks import sphere
from refine_hooks.report.local import convergence_words

BOX, VOXEL_A = 40, 2.0
MASK = sphere(BOX, VOXEL_A, 26.0, 8.0)


def filtered(seed: int, decay: float = 0.0) -> np.ndarray:
    k = np.sqrt(sum(f**2 for f in np.meshgrid(*[np.fft.fftfreq(BOX)] * 3, indexing="ij")))
    white = np.random.default_rng(seed).standard_normal((BOX,) * 3)
    return fft.ifftn(fft.fftn(white) * np.exp(-decay * k**2)).real.astype(np.float32)


def signal(seed: int) -> np.ndarray:
    inside = ndimage.gaussian_filter((MASK > 0.5).astype(np.float32), 1)
    return 5 * filtered(seed, 22.0) * inside


def a_round(mixed: np.ndarray, shared: float, own: int) -> RoundMaps:
    """Two halves whose noise is the same in every round by a known share of its power."""
    halves = [
        mixed + np.sqrt(shared) * filtered(100 + half) + np.sqrt(1 - shared) * filtered(200 + 2 * own + half)
        for half in (0, 1)
    ]
    return round_maps(halves[0].astype(np.float32), halves[1].astype(np.float32), MASK)


@pytest.mark.parametrize("shared", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("like", [1.0, 0.8])
def test_signal_and_shared_noise_of_two_rounds_are_told_apart(shared: float, like: float) -> None:
    first = signal(1)
    second = like * first + np.sqrt(1 - like**2) * signal(2)
    found = agreement(a_round(second, shared, 2), a_round(first, shared, 1), MASK)
    assert found is not None
    assert found.noise_shared == pytest.approx(shared, abs=0.08)
    assert found.signal == pytest.approx(like, abs=0.06)
    assert found.signal_sd < 0.03


def test_rounds_without_signal_say_nothing() -> None:
    empty = np.zeros((BOX,) * 3, np.float32)
    assert agreement(a_round(empty, 0.0, 1), a_round(empty, 0.0, 2), MASK) is None


def agreed(value: float) -> Agreed:
    return Agreed(np.ones(3), value, 0.005, 0.8)


def rounds(*resolutions_A: float) -> list[Point]:
    return [Point(number, d, (d * 1.02, d * 0.98)) for number, d in enumerate(resolutions_A, 1)]


SAME, OTHER = agreed(0.995), agreed(0.8)


@pytest.mark.parametrize(
    ("points", "pairs", "expected", "since", "per_round_A"),
    [
        (rounds(12, 8, 6, 4.05, 4.0, 4.02, 4.0), (SAME, SAME, SAME), "converged", 4, None),
        (rounds(12, 8, 6, 4.1, 4.0, 4.02, 4.0), (OTHER, OTHER, OTHER), "undecided", None, None),
        (rounds(12, 8, 6.0, 5.8, 5.6, 5.4), (agreed(0.96), agreed(0.93), agreed(0.96)), "improving", None, -0.2),
        (rounds(4.0, 4.2, 4.4, 4.6), (SAME, SAME, SAME), "worsening", None, 0.2),
        (rounds(4.0, 4.01, 4.0, 4.01), (OTHER, SAME, OTHER), "oscillates", None, None),
        (rounds(5.0, 4.6, 4.99, 4.6), (agreed(0.9), SAME, agreed(0.91)), "oscillates", None, None),
        (rounds(4.0, 4.01, 4.0, 4.01), (OTHER, OTHER, SAME), "undecided", None, None),
        (rounds(4.0, 4.2, 3.95, 4.2), (None, None, None), "undecided", None, None),
        (rounds(4.0, 4.01, 4.0), (None, None, None), "converged", 1, None),
        (rounds(8.0, 6.0), (OTHER, None, None), "improving", None, -2.0),
        (rounds(4.0, 4.01), (SAME, None, None), "undecided", None, None),
        (rounds(4.0), (None, None, None), "undecided", None, None),
        (rounds(4.06, 4.04, 4.02, 4.0), (SAME, SAME, SAME), "converged", 1, None),
    ],
)
def test_the_verdict_on_played_refinements(points, pairs, expected, since, per_round_A) -> None:
    found = verdict(points, *pairs)
    assert (found.verdict, found.since) == (expected, since)
    assert found.per_round_A == (None if per_round_A is None else pytest.approx(per_round_A))
    told = Convergence(verdict=expected, rounds=len(points), since=since, per_round_A=per_round_A)
    words = " ".join(convergence_words(told))
    says = {
        "converged": f"converged since round {since}",
        "improving": f"still improving by {abs(per_round_A or 0):.2f} Å a round",
        "worsening": "getting worse by",
        "oscillates": "oscillates between two solutions",
        "undecided": "not decided",
    }
    assert says[expected] in words
