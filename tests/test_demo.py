"""The demonstration is a real refinement to the watcher, and its story is true."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import live_logs
import pytest
from command_line import cli

from refine_hooks.audit import audit
from refine_hooks.demo import cistem, demonstrate
from refine_hooks.errors import InputError
from refine_hooks.log.file import Journal, read_journal
from refine_hooks.report.thread import tail, thread_figure, thread_words
from refine_hooks.watch.products import one_line

ROOT = Path(__file__).resolve().parent.parent
PAGES = {page.stem: page.read_text("utf-8") for page in (ROOT / "refine_hooks/guide").rglob("*.md")}
PAGES["README"] = (ROOT / "README.md").read_text("utf-8")
NUMBER = re.compile(r"\d+\.\d+|\d+")


pytestmark = pytest.mark.early


@pytest.fixture(scope="module")
def played(made_once: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Journal]:
    once = made_once("demo", lambda folder: demonstrate(folder, pace=0.05))
    folder = tmp_path_factory.mktemp("demo") / "project"
    return folder, read_journal(live_logs.copied(once / "refine_hooks" / "rounds.jsonl", folder))


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


def test_the_angles_of_its_particles_are_those_that_its_maps_were_made_from(played: tuple[Path, Journal]) -> None:
    for record in played[1].rounds:
        assert record.sampling is not None
        assert record.sampling.factor > 0.98  # all views alike
    assert "views_disagree" not in {finding.rule for finding in audit(played[1])}


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


def same(told: str, made: str) -> None:
    """The same words, and the same numbers but for what another processor's rounding may do to them."""
    told, made = " ".join(told.split()), " ".join(made.split())
    assert NUMBER.sub("#", told) == NUMBER.sub("#", made)
    for one, other in zip(NUMBER.findall(told), NUMBER.findall(made), strict=True):
        assert float(one) == pytest.approx(float(other), abs=0.02 if "." in one else 0), (told, made)


@pytest.mark.parametrize("page", ["README", "read-the-result"])
def test_the_table_of_the_guide_is_the_demonstration_s(
    page: str, played: tuple[Path, Journal], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    # scripts/guide-demo writes it anew. How many warnings and notes there are changes with every rule.
    shown = re.findall(r"^package_.*(?= +\d+ +\d+$)", cli("show", played[0]).stdout, re.M)
    told = re.findall(r"^package_\d/\d/\d +\d.*(?= +\d+ +\d+$)", PAGES[page], re.M)
    assert len(told) == len(shown) == 4
    for one, other in zip(told, shown, strict=True):
        same(one, other)


def test_the_guide_tells_the_demonstration_s_thread(played: tuple[Path, Journal]) -> None:
    told = PAGES["first-round"].split("<!-- thread -->")[1].split("<!-- end of thread -->")[0]
    for one, other in zip(re.findall("^> (.*)$", told, re.M), thread_words(played[1].rounds[-1]), strict=True):
        same(one, other)


def test_the_first_watch_tells_the_line_of_a_round(played: tuple[Path, Journal]) -> None:
    told = re.search(r"^(package_.*), \.\.\.$", PAGES["first-watch"], re.M)
    assert told
    same(told[1], one_line(played[1].rounds[-1])[: len(told[1])])


def test_the_guide_quotes_what_the_audit_says(played: tuple[Path, Journal]) -> None:
    said = " ".join(cli("show", played[0], "package_1/5/1").stdout.split())
    quoted = PAGES["read-the-result"].split("```text\nwarning ")[1].split("```")[0]
    for finding in re.split(r"^warning ", quoted, flags=re.M):
        rule = finding.split("]")[0]
        same(finding, said.split(f"warning {rule}]")[1].join([f"{rule}]", ""])[: len(" ".join(finding.split()))])


def commands(page: str) -> list[str]:
    blocks = re.findall(r"^ *```bash\n(.*?)^ *```", PAGES[page], re.M | re.S)
    return [line.split("#")[0].strip() for block in blocks for line in block.splitlines() if "refine-hooks" in line]


REFUSED = {"refine-hooks deposit refine_hooks_demo package_1/5/1 --out emdb"}  # and the page says so
PLAYED = {"demo", "serve", "watch", "compare"}
DONE: set[str] = set()  # what two tutorials have in common


@pytest.mark.parametrize("page", ["first-watch", "read-a-round", "finished-project", "two-half-maps"])
def test_the_commands_of_a_tutorial_do_what_it_says(
    page: str, played: tuple[Path, Journal], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")  # without ChimeraX
    monkeypatch.setenv("REFINE_HOOKS_AUDIT_ANALYSE_AT_MOST", "0")  # which takes long, and has tests of its own
    (tmp_path / "refine_hooks_demo").symlink_to(played[0])
    (tmp_path / "PROJECT").symlink_to(played[0])
    for number, half in enumerate(sorted((played[0] / "refine_hooks/half_maps").rglob("*4_class1_half*.mrc")), 1):
        (tmp_path / f"half{number}.mrc").symlink_to(half)
    asked = commands(page)
    assert len(asked) >= 4
    for line in asked:
        words = line.replace("D7", "C1").split()[1:]
        if words[0] not in PLAYED and line not in DONE:
            assert cli(*words, cwd=tmp_path).returncode == (1 if line in REFUSED else 0), line
            DONE.add(line)
