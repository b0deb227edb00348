"""Every place says the level that a number was read at: it stands with the curve, whatever the settings are today."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from rounds_data import FREQUENCY, SHELLS, Values, a_round, falling, healthy, kind_of

from refine_hooks import curves
from refine_hooks.audit import audit
from refine_hooks.log.headline import with_headline
from refine_hooks.log.records import HalfMapsRecord, RoundRecord
from refine_hooks.log.summary import summary_of
from refine_hooks.model import Reported
from refine_hooks.report import data
from refine_hooks.report.deposit import method_of
from refine_hooks.report.text import row_of, show_round, show_rows
from refine_hooks.report.thread import thread_words
from refine_hooks.report.words import standing
from refine_hooks.watch.products import one_line

ASSETS = Path(data.__file__).parent / "assets"
HALF = {"sphere": falling(27), "sphere_scaled": falling(33), "automask": falling(30), "automask_corrected": falling(30)}


def at_level(level: float, values: dict[str, Values], **more: Any) -> RoundRecord:
    """A round that was measured with another threshold than the default."""
    made = []
    for name, correlation in values.items():
        mask = name.split("_")[0]
        known = curves.curve(
            name,
            mask,
            correlation,
            FREQUENCY,
            sd=np.full(SHELLS, 0.01),
            randomised_mean=np.zeros(SHELLS),
            randomised_sd=np.full(SHELLS, 0.01),
            onset_shell=12,
            threshold=level,
            volume_fraction=0.1,
            **kind_of(name),
        )
        made.append(known)
    return with_headline(healthy(**more).model_copy(update={"curves": tuple(made)}))


def printed(show: Any, *given: Any) -> str:
    console = Console(file=io.StringIO(), width=200)
    show(*given, console)
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def number_of(record: RoundRecord) -> float:
    here = standing(record)
    assert here is not None
    return here.resolution_A


@pytest.fixture
def half() -> RoundRecord:
    return at_level(0.5, HALF)


def test_the_page_gets_the_level_with_the_number_and_says_it(half: RoundRecord) -> None:
    assert data.row(summary_of(half), None)["res"]["automask_corrected"][1] == 0.5
    detail = data.detail(half, None, [])
    assert {curve["threshold"] for curve in detail["curves"]} == {0.5}
    assert detail["shown"]["verdict"]["basis"].startswith("FSC = 0.5, automask, corrected")


def test_no_script_of_the_page_has_a_level_of_its_own() -> None:
    scripts = [path for path in ASSETS.glob("*.js") if not path.name.startswith("uPlot")]
    assert [path.name for path in scripts if "0.143" in path.read_text(encoding="utf-8")] == []


def test_a_round_at_half_shows_its_crossings_and_is_deposited_under_its_method(half: RoundRecord) -> None:
    assert f"down {number_of(half):.2f}" in printed(lambda record, out: show_round(record, console=out), half)
    curve = half.headline_curve()
    assert curve is not None
    assert method_of(curve) == "FSC 0.5 CUT-OFF"


def test_the_story_of_a_round_says_its_level(half: RoundRecord) -> None:
    shows, holds, _ = thread_words(half)
    assert "falls below 0.5 " in shows
    assert "cross 0.5 " in holds


def test_the_audit_reads_a_curve_at_its_own_level_whatever_the_settings_say() -> None:
    dip = falling(30)
    dip[20:24] = 0.4
    found = audit([at_level(0.5, {**HALF, "automask_corrected": dip})])
    told = [finding.message for finding in found if finding.rule == "recrossing"]
    assert told
    assert "falls below 0.5 at" in told[0]


def test_a_program_s_number_at_another_level_is_shown_with_it() -> None:
    record = healthy(reported=Reported(resolution_A=20.2, level=0.5, rule="FSC = 0.5"))
    assert "20.20 at 0.5" in printed(lambda rows, out: show_rows(rows, (), out), [row_of(record, [])])


def test_a_program_s_number_is_shown_with_its_level_where_no_number_of_ours_stands_beside_it() -> None:
    reported = Reported(resolution_A=20.2, level=0.5, rule="FSC = 0.5")
    filtered = healthy(reported=reported, half_maps=HalfMapsRecord(origin="regularised", paths=("a", "b")))
    assert row_of(filtered, []).stated == "20.20 at 0.5"
    same = healthy(reported=Reported(resolution_A=20.2, level=0.143, rule="FSC = 0.143"))
    assert row_of(same, []).stated == "20.20"


def test_the_table_and_a_line_tell_half_maps_of_another_kind_as_the_page_does() -> None:
    independent = HalfMapsRecord(origin="merged", independence="independent", paths=("a", "b"))
    shared = HalfMapsRecord(origin="found", independence="shared_reference", paths=("a", "b"))
    of_one, of_another = healthy(1, 28, half_maps=independent), healthy(2, 30, half_maps=shared)
    told = printed(lambda rows, out: show_rows(rows, (), out), [row_of(one, []) for one in (of_one, of_another)])
    assert "-0." not in told
    alike = healthy(2, 30, half_maps=independent)
    assert "-0." in printed(lambda rows, out: show_rows(rows, (), out), [row_of(one, []) for one in (of_one, alike)])
    assert one_line(of_one).startswith("run/1/1 Round 1 [merged]: FSC = 0.143: ")
    assert "[found; both halves aligned to one reference]" in one_line(of_another)


def test_rounds_at_two_levels_are_not_compared(half: RoundRecord) -> None:
    before = standing(at_level(0.143, HALF))
    verdict = data.detail(half, before, [])["shown"]["verdict"]
    assert verdict["tone"] == "changed"
    assert "FSC = 0.143" in verdict["basis"]


def test_a_round_without_maps_and_curves_has_a_summary() -> None:
    nothing = {"box_px": 0, "voxel_size_A": 0.0, "frequency_per_A": (0.0,), "voxels_in_shell": (0,)}
    record = a_round({}, half_maps=None, masks=(), **nothing)
    assert summary_of(record).shell_per_A == 0.0
