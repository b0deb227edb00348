"""Whether a refinement has converged: played refinements whose signal and shared noise are known."""

from pathlib import Path

import numpy as np
import pytest
from played_refinement import Play, Scene, plays
from rounds_data import healthy

from refine_hooks.analysis.coarse import middle, middle_of_mean
from refine_hooks.analysis.convergence import Point, verdict
from refine_hooks.analysis.two_rounds import Agreed
from refine_hooks.errors import InputError
from refine_hooks.fourier import transform
from refine_hooks.log.convergence import Agreement, Convergence
from refine_hooks.model import Changes, Key
from refine_hooks.report.beyond_plot import plot_convergence
from refine_hooks.report.local import convergence_words
from refine_hooks.report.what_helps import beyond_words

SCENE, PLAYS = Scene(), plays((60.0, 45.0, 34.0, 26.0), 22.0)
compared = SCENE.compared


@pytest.mark.parametrize("shared", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("like", [1.0, 0.8])
def test_signal_and_shared_noise_of_two_rounds_are_told_apart(shared: float, like: float) -> None:
    found = compared(Play(shared=shared), Play(shared=shared, like=like))
    assert found is not None
    assert found.noise_shared == pytest.approx(shared, abs=0.12)
    assert found.signal == pytest.approx(like, abs=0.03)
    assert found.signal_sd < 0.02


def test_noise_that_is_shared_by_coarse_shells_alone_is_not_taken_for_signal() -> None:
    """Angles that still change move the noise of fine shells: read off these, the shared noise of coarse ones was signal."""
    found = compared(Play(decay=60.0, fades=60.0), Play(decay=60.0, fades=60.0))
    assert found is not None
    assert abs(found.signal - 1) < 3 * found.signal_sd
    assert (found.noise_shared or 0) > 0.05


def test_a_particle_that_was_centred_between_two_rounds_is_compared_in_one_place() -> None:
    found = compared(Play(moved=3), Play())
    assert found is not None
    assert found.signal == pytest.approx(1, abs=0.02)
    assert found.moved_px == pytest.approx(3, abs=0.1)


def test_a_round_that_is_a_little_better_is_seen_to_be_so() -> None:
    same, finer = compared(Play(), Play()), compared(Play(), Play(decay=21.0))
    assert same is not None
    assert finer is not None
    assert abs(same.better) < 3 * same.better_sd
    assert finer.better > 3 * finer.better_sd


def test_rounds_without_signal_say_nothing() -> None:
    assert compared(Play(strength=0.0), Play(strength=0.0)) is None


def agreed(value: float) -> Agreed:
    return Agreed(np.ones(3), value, 0.005, 0.8)


def better(by: float) -> Agreed:
    return Agreed(np.ones(3), 0.995, 0.005, 0.8, by, 0.004)


def rounds(*resolutions_A: float) -> list[Point]:
    return [Point(number, d, (d * 1.02, d * 0.98)) for number, d in enumerate(resolutions_A, 1)]


def bare(*resolutions_A: float) -> list[Point]:
    return [Point(number, d) for number, d in enumerate(resolutions_A, 1)]


SAME, OTHER = agreed(0.995), agreed(0.8)


@pytest.mark.parametrize(
    ("points", "pairs", "expected", "since", "per_round_A"),
    [
        (rounds(12, 8, 6, 4.05, 4.0, 4.02, 4.0), (SAME, SAME, SAME), "converged", 4, None),
        (rounds(12, 8, 6, 4.1, 4.0, 4.02, 4.0), (OTHER, OTHER, OTHER), "changing", None, None),
        (rounds(12, 8, 6.0, 5.8, 5.6, 5.4), (agreed(0.96), agreed(0.93), agreed(0.96)), "improving", None, -0.2),
        (rounds(4.0, 4.2, 4.4, 4.6), (SAME, SAME, SAME), "worsening", None, 0.2),
        (rounds(4.0, 4.2, 4.4, 4.6), (better(0.03), SAME, SAME), "changing", None, None),
        (rounds(4.0, 4.01, 4.0, 4.01), (OTHER, SAME, OTHER), "oscillates", None, None),
        (rounds(5.0, 4.6, 4.99, 4.6), (agreed(0.9), SAME, agreed(0.91)), "oscillates", None, None),
        (rounds(4.0, 4.01, 4.0, 4.01), (OTHER, OTHER, SAME), "changing", None, None),
        (rounds(4.0, 4.2, 3.95, 4.2), (None, None, None), "changing", None, None),
        (rounds(4.0, 4.01, 4.0), (None, None, None), "converged", 1, None),
        (rounds(8.0, 6.0), (OTHER, None, None), "improving", None, -2.0),
        (rounds(4.0, 4.01), (SAME, None, None), "undecided", None, None),
        (rounds(4.0, 4.01), (OTHER, None, None), "changing", None, None),
        (rounds(4.0), (None, None, None), "undecided", None, None),
        (rounds(4.06, 4.04, 4.02, 4.0), (SAME, SAME, SAME), "converged", 1, None),
        (rounds(4.0, 4.1, 3.9), (better(0.03), SAME, SAME), "improving", None, -0.2),
        (rounds(4.0, 4.1, 3.9), (better(0.01), SAME, SAME), "changing", None, None),
        (rounds(4.0, 3.9, 4.1), (better(-0.03), SAME, SAME), "worsening", None, 0.2),
        # Rounds of real refinements: subtomograms to their end, and the removal of ever more particles.
        (bare(3.52, 3.48, 3.45, 3.40), (None, None, None), "improving", None, -0.04),
        (bare(3.29, 3.28, 3.30, 3.30), (None, None, None), "converged", 1, None),
        (bare(1.96, 1.96, 1.93, 1.93, 1.92, 1.91, 1.91, 1.91, 1.90), (None, None, None), "converged", 5, None),
        (bare(3.46, 3.47, 3.55, 3.60, 3.74), (None, None, None), "worsening", None, 0.08),
        (bare(3.22, 3.24, 3.29, 3.33, 3.39), (None, None, None), "worsening", None, 0.05),
    ],
)
def test_the_verdict_on_played_refinements(points, pairs, expected, since, per_round_A) -> None:
    found = verdict(points, *pairs)
    assert (found.verdict, found.since) == (expected, since)
    assert found.per_round_A == (None if per_round_A is None else pytest.approx(per_round_A, abs=0.006))
    told = Convergence(verdict=expected, rounds=len(points), since=since, per_round_A=per_round_A)
    words = " ".join(convergence_words(told))
    says = {
        "converged": f"converged since round {since}",
        "improving": f"still improving by {abs(per_round_A or 0):.2f} Å a round",
        "worsening": "getting worse by",
        "oscillates": "oscillates between two solutions",
        "changing": "not converged",
        "undecided": "not decided",
    }
    assert says[expected] in words


def test_a_map_that_stands_still_while_its_angles_do_not_is_not_called_converged() -> None:
    beside = Agreement(
        against=Key(run="a", iteration=2, class_id=1), correlation=(), signal=1.0, signal_sd=0.01, noise_shared=0.06
    )
    told = Convergence(verdict="converged", rounds=3, since=1, mask="automask", with_last=beside)
    said = convergence_words(told, Changes(classes=0.448))[0]
    assert said.endswith(
        "unchanged within error since round 1, but most angles and classes still change: it is not settled"
    )
    settled = told.model_copy(update={"with_last": beside.model_copy(update={"noise_shared": 0.9})})
    assert "converged since round 1" in convergence_words(settled, Changes(classes=0.01))[0]


def test_two_rounds_are_compared_in_words() -> None:
    beside = Agreement(
        against=Key(run="a", iteration=3, class_id=1), correlation=(), signal=1.02, signal_sd=0.004, noise_shared=0.95, better=0.03,
        better_sd=0.004, moved_A=3.4, turned_deg=0.3,
    )  # fmt: skip
    words = " ".join(convergence_words(Convergence(verdict="undecided", rounds=2, mask="automask", with_last=beside)))
    assert "the signal is the same, its correlation is 1.000 ± 0.004" in words
    assert "lies 0.030 ± 0.004 above" in words
    assert "nearly all angles are the same" in words
    assert "moved by 3.4 Å" in words
    assert "program counts" not in words
    assert "turned" not in words


@pytest.mark.parametrize("box_px", [21, 24])
def test_the_coarse_transform_of_a_mean_is_the_middle_of_the_whole_one(box_px: int) -> None:
    halves = np.random.default_rng(1).standard_normal((2, *(box_px,) * 3)).astype(np.float32)
    whole = middle(transform(halves.mean(axis=0)), 12)
    assert middle_of_mean(*halves, 12) == pytest.approx(whole, abs=1e-4)


def test_what_the_program_counts_of_changes_is_said_and_where_maps_were_compared_their_fsc_is_drawn(
    tmp_path: Path,
) -> None:
    record = healthy(changes=Changes(orientations_deg=1.25, classes=0.031))
    words = "\n".join(beyond_words(record))
    assert "as the program counts it: orientations by 1.25 degrees, the class of 3.1 % of the particles" in words
    with pytest.raises(InputError, match="was not compared"):
        plot_convergence(record, tmp_path / "none.svg")
    flat = tuple(0.9 for _ in record.frequency_per_A)
    beside = Agreement(against=Key(run="a", iteration=3, class_id=1), correlation=flat, signal=1.0, signal_sd=0.004)
    told = Convergence(verdict="undecided", rounds=2, mask="automask", with_last=beside, with_before_last=beside)
    plot_convergence(record.model_copy(update={"convergence": told}), tmp_path / "rounds.svg")
    assert f"averages, with {beside.against}" in (tmp_path / "rounds.svg").read_text()


@pytest.mark.parametrize("expected", PLAYS)
def test_what_was_played_is_what_is_said(expected: str) -> None:
    assert SCENE.judged(PLAYS[expected]).verdict == expected
