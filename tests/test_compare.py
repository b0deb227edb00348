"""Two logs side by side."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from command_line import cli
from rich.console import Console
from rounds_data import FREQUENCY, a_round, falling, healthy, held

from refine_hooks import curves
from refine_hooks.errors import InputError
from refine_hooks.fourier import shell_frequency_per_A, voxels_in_shell
from refine_hooks.log.file import append
from refine_hooks.log.records import RoundRecord
from refine_hooks.model import Key
from refine_hooks.report.compare import compare
from refine_hooks.report.compare_text import show_comparison


def in_box(box_px: int, voxel_A: float, falls_at_per_A: float, **more: object) -> RoundRecord:
    """A round whose every curve is one smooth function of frequency, whatever the box."""
    frequency = shell_frequency_per_A(box_px, voxel_A)
    correlation = 1 / (1 + np.exp((frequency - falls_at_per_A) / 0.02))
    sd = np.full(len(frequency), 0.01)
    made = [
        curves.curve(n, m, correlation, frequency, sd=sd) for n, m in (("unmasked", None), ("automask", "automask"))
    ]
    return healthy(
        box_px=box_px,
        voxel_size_A=voxel_A,
        frequency_per_A=tuple(frequency.tolist()),
        voxels_in_shell=tuple(voxels_in_shell(box_px).tolist()),
        curves=tuple(made),
        **more,
    )


def test_rounds_of_one_key_are_compared_and_better_means_that_the_intervals_are_apart() -> None:
    a = held((healthy(1, 20), healthy(2, 30), healthy(3, 30.0)))
    b = held((healthy(1, 26), healthy(2, 24), healthy(3, 30.1)))
    found = compare(a, b)
    assert [pair.verdict for pair in found.rounds] == ["b is better", "a is better", "unchanged within error"]
    assert all(pair.curve == "automask_corrected" for pair in found.rounds)
    assert (found.a, found.b) == (Key(run="run", iteration=3, class_id=1),) * 2


def test_rounds_without_a_common_key_are_paired_in_order_by_class() -> None:
    other = [healthy(n, key=Key(run="other", iteration=n + 10, class_id=1)) for n in (1, 2, 3)]
    found = compare(held((healthy(1), healthy(2))), held(tuple(other)))
    assert [(str(p.a), str(p.b)) for p in found.rounds] == [
        ("run/1/1", "other/11/1"),
        ("run/2/1", "other/12/1"),
        ("None", "other/13/1"),
    ]


def test_differences_are_taken_at_the_same_shells_of_equal_boxes() -> None:
    found = compare(held((healthy(1, 20),)), held((healthy(1, 30),)))
    pair = next(curve for curve in found.curves if curve.name == "automask")
    assert found.interpolated is None
    assert np.allclose(pair.difference, falling(30) - falling(20), atol=2e-6)
    assert pair.largest == pytest.approx(max(pair.difference), abs=1e-6)  # type: ignore[type-var]
    assert pair.mean_difference is not None
    assert pair.mean_difference > 0.2


@pytest.mark.parametrize(
    ("one", "other", "interpolated", "nyquist_A"),
    [((64, 2.5), (96, 2.0), "b", 5.0), ((96, 2.0), (64, 2.5), "a", 5.0), ((128, 1.5), (256, 1.5), "b", 3.0)],
)
def test_curves_of_different_boxes_agree_where_they_are_one_function_of_frequency(
    one: tuple[int, float], other: tuple[int, float], interpolated: str, nyquist_A: float
) -> None:
    found = compare(held((in_box(*one, 0.1),)), held((in_box(*other, 0.1),)))
    assert found.interpolated == interpolated
    assert 1 / found.frequency_per_A[-1] == pytest.approx(nyquist_A, rel=1e-6)
    for pair in found.curves:
        assert max(abs(d) for d in pair.difference if d is not None) < 0.01
        assert pair.verdict == "unchanged within error"


def test_a_cropped_box_of_the_same_extent_shares_every_shell() -> None:
    found = compare(held((in_box(128, 1.5, 0.1),)), held((in_box(96, 2.0, 0.1),)))
    assert found.interpolated is None
    assert len(found.frequency_per_A) == 49
    assert all(abs(d or 0) < 1e-6 for pair in found.curves for d in pair.difference)


def test_shells_that_one_of_the_two_lacks_have_no_difference() -> None:
    cut = falling(30).copy()
    cut[40:] = np.nan
    found = compare(held((a_round({"unmasked": cut}),)), held((a_round({"unmasked": falling(30)}),)))
    assert found.curves[0].difference[39] == 0
    assert found.curves[0].difference[40] is None


def test_what_cannot_be_compared_is_refused_in_words() -> None:
    with pytest.raises(InputError, match="A: holds no measured round") as empty:
        compare(held(()), held(()))
    assert len(empty.value.faults) == 2
    with pytest.raises(InputError, match="holds no such round; it holds: run/1/1"):
        compare(held((healthy(1),)), held((healthy(1),)), keys=(Key(run="x", iteration=1, class_id=1), None))
    with pytest.raises(InputError, match="no curve in common"):
        compare(held((a_round({"sphere": falling(20)}),)), held((a_round({"unmasked": falling(20)}),)))


def test_numbers_that_were_read_at_different_levels_are_not_compared() -> None:
    def at(level: float, resolution_A: float) -> RoundRecord:
        made = [curves.curve("unmasked", None, falling(20), FREQUENCY, threshold=level)]
        return healthy(1, curves=tuple(c.model_copy(update={"resolution_A": resolution_A}) for c in made), masks=())

    found = compare(held((at(0.5, 20.0),)), held((at(0.143, 11.0),)))
    assert (found.rounds[0].verdict, found.curves[0].verdict) == ("cannot be compared",) * 2
    out = io.StringIO()
    show_comparison(found, Console(file=out, width=120))
    assert "unmasked at 0.5 and 0.143" in out.getvalue()
    assert "20.00 at 0.5" in out.getvalue()
    assert "-9.00" not in out.getvalue()
    same = compare(held((at(0.5, 20.0),)), held((at(0.5, 11.0),)))
    assert same.curves[0].verdict == "b is better"


def test_the_tables_say_which_is_better_and_hold_in_a_narrow_terminal() -> None:
    out = io.StringIO()
    found = compare(held((healthy(1, 20),)), held((healthy(1, 30),)), ("first", "second"))
    show_comparison(found, Console(file=out, width=80))
    text = out.getvalue()
    assert "b is better" in text
    assert "A: first" in text
    assert all(len(line) <= 80 for line in text.splitlines())
    assert f"{found.curves[0].b.resolution_A:.2f}" in text


def test_the_command_compares_two_folders_and_prints_json_alone(tmp_path: Path) -> None:
    for name, shell in (("a", 20), ("b", 30)):
        (tmp_path / name).mkdir()
        append(tmp_path / name / "rounds.jsonl", [healthy(1, shell), healthy(2, shell + 1)])
    done = cli("compare", tmp_path / "a", tmp_path / "b", "--round", "run/1/1", "--json")
    assert done.returncode == 0, done.stderr
    table = json.loads(done.stdout)
    assert (table["a"], table["b"]) == ({"run": "run", "iteration": 1, "class_id": 1},) * 2
    assert {curve["verdict"] for curve in table["curves"]} == {"b is better"}
    assert cli("compare", tmp_path / "a", "run/1/1", tmp_path / "b", "--json").stdout == done.stdout
    assert cli("compare", tmp_path / "a", "run/1/1", tmp_path / "b", "run/1/1", "--json").stdout == done.stdout
    of_one = [cli("compare", *words, "run/1/1", "run/1/1", cwd=tmp_path / "a") for words in ([], [tmp_path / "a"])]
    assert "shell by shell" in of_one[0].stdout
    assert of_one[0].stdout.splitlines()[-3:] == of_one[1].stdout.splitlines()[-3:]
    assert [cli("compare", *words, cwd=tmp_path).returncode for words in ([], ["a"], ["a", "b", "c"])] == [2, 2, 2]
    assert "automask_corrected, shell by shell" in cli("compare", tmp_path / "a", tmp_path / "b").stdout
    wrong = cli("compare", tmp_path / "a", tmp_path / "c")
    assert (wrong.returncode, "is not there" in wrong.stderr) == (1, True)


def test_curves_are_compared_up_to_the_threshold_of_their_own_log() -> None:
    def at(level: float, shell: float) -> RoundRecord:
        record = a_round({"unmasked": falling(shell)})
        changed = {"threshold": level, "resolution_A": None}
        return record.model_copy(update={"curves": tuple(c.model_copy(update=changed) for c in record.curves)})

    largest = []
    for level in (0.1, 0.9):
        found = compare(held((at(level, 20),)), held((at(level, 24),)))
        largest.append(found.curves[0].largest)
    assert largest[0] is not None
    assert largest[1] is not None
    assert abs(largest[0]) > 1.5 * abs(largest[1])
