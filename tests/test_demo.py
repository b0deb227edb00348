"""The demonstration is a real refinement to the watcher, and its story is true."""

import subprocess
import sys
from pathlib import Path

import pytest

from refine_hooks.demo import cistem, demonstrate
from refine_hooks.errors import InputError
from refine_hooks.log.file import Journal, read_journal
from refine_hooks.report.thread import tail, thread_figure, thread_words


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Journal]:
    folder = tmp_path_factory.mktemp("demo") / "project"
    return folder, demonstrate(folder, pace=0.05)


def test_every_round_is_merged_from_its_dumps_and_logged_once(played: tuple[Path, Journal]) -> None:
    folder, log = played
    assert [str(r.key) for r in log.rounds] == [f"package_1/{n}/1" for n in range(2, 2 + len(cistem.ROUNDS))]
    assert all(r.half_maps is not None and r.half_maps.origin == "merged" for r in log.rounds)
    assert log.failures == ()
    assert (folder / "refine_hooks" / "report.html").stat().st_size > 10_000
    assert list((folder / "Scratch" / "AutoRefine3D").iterdir()) == []


def test_the_newest_round_s_local_resolution_is_measured_before_the_end(played: tuple[Path, Journal]) -> None:
    folder, _ = played
    found = [
        path.name for path in folder.glob("refine_hooks/local/*/*.mrc")
    ]  # of others, too, where the loop came to rest
    assert any("5" in name for name in found)


def test_rounds_get_better_under_the_automask(played: tuple[Path, Journal]) -> None:
    numbers = [r.curve("automask_corrected").resolution_A for r in played[1].rounds]  # type: ignore[union-attr]
    assert all(value is not None for value in numbers[2:])
    measured = [value for value in numbers if value is not None]
    assert measured == sorted(measured, reverse=True)


def test_the_scaled_curve_rises_near_nyquist_where_the_masked_one_does_not(played: tuple[Path, Journal]) -> None:
    last = played[1].rounds[-1]
    near_nyquist = last.frequency_per_A[-1] * 2 / 3
    scaled, ours = last.under_role("sphere", "scaled"), last.under_role("automask", "corrected")
    assert scaled is not None
    assert ours is not None
    assert tail(last, scaled, near_nyquist) >= 0.3
    assert tail(last, ours, near_nyquist) < 0.15
    assert scaled.resolution_A < ours.resolution_A  # type: ignore[operator]


def test_the_story_is_told_in_three_sentences_and_four_panels_and_its_claim_holds(
    played: tuple[Path, Journal], tmp_path: Path
) -> None:
    last = played[1].rounds[-1]
    shows, holds, do = thread_words(last)
    assert "rises again" in shows
    assert f"{last.curve('automask_corrected').resolution_A:.2f} A" in holds  # type: ignore[union-attr]
    assert "Quote" in do
    near_nyquist = last.frequency_per_A[-1] * 2 / 3
    scaled, masked = last.under_role("sphere", "scaled"), last.under_role("automask", "corrected")
    assert scaled is not None
    assert masked is not None
    assert tail(last, scaled, near_nyquist) >= 0.3
    assert tail(last, masked, near_nyquist) < 0.15
    pytest.importorskip("matplotlib")
    thread_figure(last, tmp_path / "thread.png")
    assert (tmp_path / "thread.png").stat().st_size > 20_000


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(InputError, match="not an empty folder"):
        demonstrate(tmp_path)


@pytest.mark.long
def test_the_command_tells_the_thread(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    command = [sys.executable, "-c", "from refine_hooks.cli import main; main()", "demo", "played", "--thread"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    out = tmp_path / "played" / "refine_hooks"
    last = read_journal(out / "rounds.jsonl").rounds[-1]
    for sentence in thread_words(last):
        assert sentence in done.stdout
    assert (out / "thread.png").stat().st_size > 20_000
