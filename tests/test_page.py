"""What the page says of a log, and what it shows first: in words, and in a real browser over logs made for it."""

import base64
import json
import os
import re
import zlib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import chromium
import numpy as np
import pytest
from rounds_data import a_failure, a_round, falling, healthy

from refine_hooks.audit import audit
from refine_hooks.log.file import append, read_journal
from refine_hooks.log.folder import Store
from refine_hooks.log.headline import with_headline
from refine_hooks.log.local import LocalPart, LocalResolution
from refine_hooks.log.records import Failed, HalfMapsRecord, RoundRecord, Start, Stop, now
from refine_hooks.model import Key, Reported
from refine_hooks.report import data
from refine_hooks.report.file import Report, report_html
from refine_hooks.report.quote import quote
from refine_hooks.report.view import LogView
from refine_hooks.report.words import standing, verdict

ASSETS = Path(data.__file__).parent / "assets"
browser_test = [
    pytest.mark.browser,
    pytest.mark.skipif(chromium.PROGRAM is None, reason="chromium is not on PATH"),
]


def judged(record: RoundRecord, previous: RoundRecord | None = None) -> Any:
    before = None if previous is None else standing(previous)
    return verdict(record, before, [one for one in audit([record]) if one.round == str(record.key)])


def with_program_s_curves_alone(iteration: int = 1, **more: Any) -> RoundRecord:
    shape = falling(30)
    scaled = shape / (0.1 + 0.9 * abs(shape))
    scaled[50:] = 0.3
    return a_round({"reported_fsc": shape, "reported_part_fsc": scaled}, iteration, half_maps=None, masks=(), **more)


# --- words ------------------------------------------------------------------------------------------------------------


def test_no_advice_quotes_a_number_of_a_curve_that_it_does_not_advise() -> None:
    told = judged(with_program_s_curves_alone())
    assert told.suspicious == "reported_part_fsc"
    assert (told.tone, "reported by test" in told.headline) == ("reported", True), "it is no measurement of ours"
    assert told.do
    assert "Å" not in told.do, "the program's own sphere is no curve under a mask that follows the particle"


def test_a_number_that_a_warning_doubts_carries_the_doubt_and_is_not_better() -> None:
    halves = HalfMapsRecord(origin="merged", independence="shared_reference", paths=("a", "b"))
    record = healthy(2, alignment_limit_A=5.0, half_maps=halves)
    told = judged(record, healthy(1, 20.0, half_maps=halves))
    here = standing(record)
    assert here is not None
    assert (
        told.headline
        == f"{here.resolution_A:.2f} Å, may be overestimated: both halves were aligned to one map up to 5.00 Å"
    )
    assert told.tone == "doubtful"


def test_rounds_of_half_maps_of_another_kind_are_not_compared() -> None:
    merged = healthy(1, half_maps=HalfMapsRecord(origin="merged", paths=("a", "b")))
    found = healthy(2, 40.0, half_maps=HalfMapsRecord(origin="found", paths=("a", "b")))
    assert judged(found, merged).tone == "changed"
    assert "Fourier sums" in judged(found, merged).basis


def test_a_round_without_half_maps_says_why_it_has_no_number_and_is_not_cleared() -> None:
    bare = with_headline(
        a_round({"reported_fsc": falling(30)}, half_maps=None, masks=()).model_copy(update={"curves": ()})
    )
    told = judged(bare)
    assert told.headline == "No resolution: this round has no half maps"
    assert "suspicious" not in told.why.lower()


def test_the_page_gets_the_record_itself_so_that_a_new_field_needs_nothing_in_between() -> None:
    record = healthy()
    detail = data.detail(record, None, [])
    assert set(RoundRecord.model_fields) - set(detail) == {"frequency_per_A", "voxels_in_shell"}
    assert set(detail["curves"][0]) == set(type(record.curves[0]).model_fields)
    assert isinstance(detail["curves"][0]["correlation"]["packed"], str)


INDEPENDENT = HalfMapsRecord(origin="found", independence="independent", paths=("a", "b"))
SHARED = HalfMapsRecord(origin="merged", independence="shared_reference", paths=("a", "b"))


def of_run(record: RoundRecord, run: str, class_id: int = 1) -> RoundRecord:
    key = Key(run=run, iteration=record.key.iteration, class_id=class_id)
    return record.model_copy(update={"key": key})


def relion(record: RoundRecord) -> RoundRecord:
    return record.model_copy(update={"program": "relion"})


@pytest.mark.parametrize(
    ("record", "answer", "why"),
    [
        (healthy(half_maps=INDEPENDENT), "yes", "FSC = 0.143, automask, corrected"),
        (healthy(half_maps=SHARED, alignment_limit_A=9.0), "care", "state the alignment limit (9.00 Å)"),
        (healthy(), "care", "Nothing tells whether"),
        (
            healthy(half_maps=SHARED, alignment_limit_A=5.0),
            "no",
            "or within one Fourier shell of it, may be overestimated",
        ),
        (
            of_run(healthy(half_maps=INDEPENDENT), "Refine3D/job018"),
            "yes",
            "independently: test does so in Refine3D/job018",
        ),
        (relion(of_run(healthy(half_maps=INDEPENDENT), "Class3D/job014")), "care", "Nothing tells whether"),
        (with_program_s_curves_alone(), "care", "not measured here"),
        (with_headline(healthy(half_maps=None).model_copy(update={"curves": ()})), "no", "No FSC curve"),
    ],
)
def test_it_says_whether_the_number_may_be_quoted(record: RoundRecord, answer: str, why: str) -> None:
    told = quote(record, audit([record]))
    assert told.answer == answer
    assert why in told.why
    assert bool(told.do) == ("overestimated" in told.why), "what is doubted comes with what to do"


def test_unchanged_within_error_shows_both_intervals_that_overlap() -> None:
    told = judged(healthy(2), healthy(1))
    assert told.tone == "same"
    assert told.basis.count("90 % CI") == 2
    assert told.against == "Round 1"


def test_a_number_that_is_doubted_or_the_program_s_is_compared_in_the_words_below_it() -> None:
    doubted = judged(healthy(2, alignment_limit_A=5.0, half_maps=SHARED), healthy(1, 20.0, half_maps=SHARED))
    assert doubted.basis.endswith("better than Round 1 (7.56 Å), if the number holds.")
    own = judged(with_program_s_curves_alone(2), with_program_s_curves_alone(1))
    assert "unchanged within error since Round 1" in own.basis


# --- in the browser ---------------------------------------------------------------------------------------------------


@pytest.fixture
def page(browser: chromium.Page) -> Iterator[chromium.Page]:
    browser.complaints.clear()
    yield browser
    assert browser.complaints == []
    browser.ask("Page.navigate", url="about:blank")


def opened(page: chromium.Page, folder: Path, *lines: RoundRecord | Failed) -> None:
    """The report of a log of these lines, each measured a minute after the one before, in the browser."""
    folder.mkdir(exist_ok=True)
    start = lines[0].measured_at if isinstance(lines[0], RoundRecord) else lines[0].failed_at
    for minute, line in enumerate(lines):
        when = "measured_at" if isinstance(line, RoundRecord) else "failed_at"
        append(folder / "rounds.jsonl", [line.model_copy(update={when: start + timedelta(minutes=minute)})])
    journal = read_journal(folder / "rounds.jsonl")
    report = folder / "report.html"
    report.write_text(report_html(Store(folder), journal, audit(journal)), encoding="utf-8")
    page.open(report.as_uri())


def text(page: chromium.Page, selector: str) -> str:
    return str(page.run(f"document.querySelector({selector!r})?.textContent ?? ''"))


def selected(page: chromium.Page) -> str:
    return str(page.run("document.querySelector('.row[aria-selected=true]')?.title"))


class TestInTheBrowser:
    """One browser for all."""

    pytestmark = browser_test

    def test_it_opens_on_the_newest_round_with_a_number_of_ours(self, page: chromium.Page, tmp_path: Path) -> None:
        bare = of_run(with_program_s_curves_alone(1), "Class3D/job020")
        opened(page, tmp_path, healthy(1), healthy(2), bare)
        assert selected(page) == "run/2/1"
        options = page.run("[...document.querySelectorAll('#track option')].map((o) => o.textContent)")
        assert len(options) == 3
        assert any("2 rounds" in option and "best" in option for option in options)
        assert text(page, "#verdict h2").startswith("run · Round 2 against Round 1 · 20"), (
            "the verdict names its run, and when"
        )

    def test_a_newest_round_that_failed_is_seen_first(self, page: chromium.Page, tmp_path: Path) -> None:
        opened(page, tmp_path, healthy(1), healthy(2), a_failure(3, "half 2 is torn: copy it again"))
        assert "half 2 is torn" in text(page, "#alarm")
        assert not page.run("document.querySelector('#alarm').hidden")
        told = text(page, "#verdict h2")
        assert told.startswith("Round 3 failed; the round shown is not the newest: Round 2 against Round 1 · 20")
        assert text(page, "#round-count") == "3, 1 of them failed"
        rows = page.run("[...document.querySelectorAll('#rounds .row')].map((r) => r.dataset.failed)")
        assert rows == ["true", "false", "false"]
        page.press("End")
        page.until("document.querySelector('#verdict h1').textContent.includes('could not be measured')")
        assert page.run("document.querySelector('#fsc').closest('.card').hidden")

    def test_the_best_round_is_named_and_one_that_is_doubted_is_marked(
        self, page: chromium.Page, tmp_path: Path
    ) -> None:
        def shared(iteration: int, shell: float, limit_A: float) -> RoundRecord:
            return healthy(iteration, shell, half_maps=SHARED, alignment_limit_A=limit_A)

        opened(
            page, tmp_path, shared(1, 20.0, 20.0), shared(2, 30.0, 20.0), shared(3, 40.0, 3.0), shared(4, 25.0, 20.0)
        )
        assert text(page, ".row .best") == "best?"
        assert re.search(r"finest 4\.\d\d Å, in doubt", text(page, "#track option:last-child")), "as the verdict has it"
        doubted = page.run("[...document.querySelectorAll('#rounds .row small span')].map((s) => s.className)")
        assert doubted.count("warn") == 1, "a warning that doubts the number is set apart"
        assert text(page, "#verdict .best").startswith("Best of 4 measured rounds: Round 3 4")
        assert "best whose number no warning doubts: Round 2 5" in text(page, "#verdict .best")
        tones = page.run("[...document.querySelectorAll('#rounds .row')].map((r) => r.lastChild.className)")
        assert tones == ["down", "unchanged", "up", ""], "a number that is doubted is not called better"
        page.ask("Emulation.setEmulatedMedia", media="print")
        assert page.run("document.querySelector('#verdict .best button').getClientRects().length"), (
            "it is named in print"
        )
        page.ask("Emulation.setEmulatedMedia", media="")
        page.run("document.querySelector('#verdict .best button').click()")
        page.until("document.querySelector('.row[aria-selected=true]')?.title === 'run/3/1'")
        assert "this one, if its number holds" in text(page, "#verdict .best")

    def test_a_report_says_when_it_was_written_and_whether_a_watch_was_running(
        self, page: chromium.Page, tmp_path: Path
    ) -> None:
        append(tmp_path / "rounds.jsonl", [healthy(1)])
        start = Start(
            started_at=now(), project="/data/p", program="test", versions={}, settings={}, host="elsewhere", pid=1
        )
        stop = Stop(stopped_at=now(), reason="interrupted", rounds_measured=1, rounds_failed=0)
        view = LogView.of(tmp_path / "rounds.jsonl")
        view.index.refresh()
        file = tmp_path / "report.html"
        (tmp_path / ".lock").write_text("x")
        os.utime(tmp_path / ".lock", (1.7e9, 1.7e9))
        since = " since [-0-9]+ [0-9:]+"
        ends = (([], ""), ([start], f": the watch was stalled{since}"), ([stop], f": the watch had ended{since}"))
        for ended, told in ends:
            append(tmp_path / "rounds.jsonl", ended)
            view.index.refresh()
            file.write_bytes(b"".join(Report(Store(tmp_path)).parts(view)))
            page.open(file.as_uri())
            assert re.fullmatch(rf"Report of [-0-9]+ [0-9:]+{told}", text(page, "#live"))
            assert ("nothing of the refinement itself" in text(page, "#stalled:not([hidden])")) == ("stalled" in told)

    def test_local_resolutions_are_drawn_where_they_differ_and_told_where_they_do_not(
        self, page: chromium.Page, tmp_path: Path
    ) -> None:
        parts = tuple(
            LocalPart(number=n, volume_share=0.5, at_A=(0, 0, n), resolution_A=8.0 + n, interval_A=(8.3 + n, 7.8 + n))
            for n in (1, 2)
        )
        local = LocalResolution(
            mask="automask", threshold=0.143, voxel_size_A=6.0, places=100, finest_A=8.0, quartiles_A=(8.5, 9.0, 9.5),
            coarsest_A=10.0, histogram_from_A=(8.0, 9.0, 10.0), histogram_share=(0.4, 0.6), not_stated=0.1, parts=parts,
            path="local/" + 60 * "x" + ".mrc",
        )  # fmt: skip
        limit = local.model_copy(update={"beyond_nyquist": 1.0})
        opened(page, tmp_path, healthy(1, local=limit), healthy(2, local=local))
        assert page.run("document.querySelectorAll('#local-bars rect').length") == 2
        assert page.run("document.querySelectorAll('#local-bars circle').length") == 2
        assert page.run("document.querySelector('#local-bars svg').getBoundingClientRect().width") <= 640
        page.ask("Emulation.setDeviceMetricsOverride", width=390, height=800, deviceScaleFactor=1, mobile=False)
        assert page.run("document.documentElement.scrollWidth") <= 390
        page.ask("Emulation.clearDeviceMetricsOverride")
        page.press("Home")
        page.until("document.querySelector('.row[aria-selected=true]')?.title === 'run/1/1'")
        assert not page.run("document.querySelector('#local-bars svg')")
        assert "100 % of all places are good up to the limit of the voxels" in text(page, "#local")

    def test_a_round_without_curves_says_why_and_hides_empty_panels(self, page: chromium.Page, tmp_path: Path) -> None:
        bare = with_headline(healthy(1, half_maps=None).model_copy(update={"curves": (), "masks": ()}))
        opened(page, tmp_path, bare)
        assert "this round has no half maps" in text(page, "#verdict h1")
        for chart in ("#fsc", "#resolution"):
            assert page.run(f"document.querySelector('{chart}').closest('.card').hidden")

    def test_a_change_within_the_error_has_no_colour(self, page: chromium.Page, tmp_path: Path) -> None:
        opened(page, tmp_path, healthy(1), healthy(2, 30.1), healthy(3, 40.0))
        tones = page.run("[...document.querySelectorAll('#rounds .row')].map((r) => r.lastChild.className)")
        assert tones == ["up", "unchanged", ""]

    def test_a_program_s_number_is_set_apart_with_its_level(self, page: chromium.Page, tmp_path: Path) -> None:
        opened(page, tmp_path, with_program_s_curves_alone(1))
        assert "program, FSC 0.143" in text(page, ".row")
        assert text(page, "#verdict .best") == ""
        opened(page, tmp_path / "two", with_program_s_curves_alone(1), with_program_s_curves_alone(2))
        assert "by the program's own numbers: " in text(page, "#verdict .best")
        assert page.run("document.querySelector('.row .best').classList.contains('own')")
        opened(page, tmp_path / "mixed", with_program_s_curves_alone(1), healthy(2))
        assert text(page, "#verdict .best").startswith("No other round was read alike")
        assert not page.run("document.querySelector('.row .best')")

    @pytest.mark.parametrize("strategy", [zlib.Z_DEFAULT_STRATEGY, zlib.Z_FIXED, zlib.Z_HUFFMAN_ONLY])
    @pytest.mark.parametrize("level", [0, 1, 9])
    def test_the_page_unpacks_what_was_deflated(self, page: chromium.Page, level: int, strategy: int) -> None:
        rng = np.random.default_rng(level)
        noise = "".join(chr(one) for one in rng.integers(32, 1200, 30_000))
        text = json.dumps(["Å" * 700, noise, rng.integers(-9000, 9000, 3000).tolist(), "", "ab" * 9000])
        engine = zlib.compressobj(level, zlib.DEFLATED, -15, strategy=strategy)
        deflated = engine.compress(text.encode()) + engine.flush()
        held = {"size": len(text.encode()), "deflated": base64.b64encode(deflated).decode()}
        script = (ASSETS / "inflate.js").read_text("utf-8")
        assert page.run(f"(() => {{ {script}\nreturn JSON.stringify(unpackedJson({json.dumps(held)})); }})()") == (
            json.dumps(json.loads(text), ensure_ascii=False, separators=(",", ":"))
        )

    def test_what_lies_far_below_is_drawn_when_it_is_seen_or_nothing_else_is_to_do(
        self, page: chromium.Page, tmp_path: Path
    ) -> None:
        opened(page, tmp_path, healthy(1), healthy(2), healthy(3))
        page.until("document.querySelector('#trends .small-chart .u-wrap')")
        page.until("document.querySelector('#over-rounds .u-wrap')")
        page.press("ArrowLeft")
        page.until("document.querySelector('.row[aria-selected=true]')?.title === 'run/2/1'")
        page.until("document.querySelectorAll('#over-rounds .u-wrap').length === 1")

    def test_a_line_of_the_trend_joins_only_like_with_like(self, page: chromium.Page) -> None:
        scripts = "".join(
            (ASSETS / name).read_text("utf-8") for name in ("base.js", "curves.js", "rounds.js", "trend.js")
        )
        rows = """const row = (iteration, more) => ({ run: "run", class: 1, origin: "merged", independence: "unknown",
            res: { automask: [8, 0.143] }, iteration, ...more });
            const rows = [row(1), row(2), row(3, { origin: "regularised" }), row(4, { res: { automask: [9, 0.5] } }),
              row(5, { class: 2 }), row(6, { independence: "independent" }), row(7)];
            const groups = trendGroups(rows, ["automask"], { automask: { kind: "measured" } });
            return groups.map((g) => [...g.rows].map((r) => r.iteration));"""
        assert page.run(f"(() => {{ {scripts}\n{rows} }})()") == [[1, 2, 7], [3], [4], [5], [6]]
        broken = """const failed = { run: "run", class: 1, failed: true, res: {} };
            const rows = [{ run: "run", class: 1, res: { a: [8, 0.143] } }, failed, { run: "b", class: 1, res: {} }];
            return trendValues(rows, { name: "a", first: rows[0], rows: new Set([rows[0]]) }, 0).map((v) => v === null);"""
        assert page.run(f"(() => {{ {scripts}\n{broken} }})()") == [False, True, False], "a failed round is a gap"

    def test_the_trend_is_drawn_over_rounds_hours_or_particles(self, page: chromium.Page, tmp_path: Path) -> None:
        opened(page, tmp_path, healthy(1, particles=500), healthy(2, 33.0, particles=900), healthy(3))
        drawn = "document.querySelector('#resolution canvas').toDataURL()"
        seen = [page.run(drawn)]
        for over in ("hours", "particles", "round"):
            page.run(
                f"(s => {{ s.value = '{over}'; s.dispatchEvent(new Event('change')); }})(document.querySelector('#over'))"
            )
            page.run("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
            seen.append(page.run(drawn))
        assert len(set(seen[:3])) == 3
        assert seen[3] == seen[0]

    def test_the_level_of_each_number_is_said_where_they_differ(self, page: chromium.Page, tmp_path: Path) -> None:
        record = healthy(1, reported=Reported(resolution_A=20.2, level=0.5, rule="FSC = 0.5"))
        own = record.curves[0].model_copy(update={"name": "reported_gold_standard", "kind": "reported", "made": "fsc"})
        own = own.model_copy(update={"threshold": 0.5, "resolution_A": 20.2, "mask": None})
        opened(page, tmp_path, record.model_copy(update={"curves": (*record.curves, own)}))
        assert "20.20 Å at 0.5" in text(page, "[data-curve=reported_gold_standard]")
        assert "at 0.143" in text(page, "[data-curve=automask_corrected]")
