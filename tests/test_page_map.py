"""The map, the trends, the projects and the files of the page, in a real browser over logs made for it."""

import re
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import chromium
import live_logs
import live_page
import numpy as np
import pytest
from command_line import cli
from PIL import Image
from rounds_data import a_failure, healthy
from typer.testing import CliRunner

from refine_hooks.audit import audit
from refine_hooks.cli._commands import application
from refine_hooks.log.file import append, read_journal
from refine_hooks.log.folder import Store
from refine_hooks.log.records import Analysis, Failed, RoundRecord
from refine_hooks.model import Changes, Key
from refine_hooks.report import data, page
from refine_hooks.report.export import csv, emdb_xml
from refine_hooks.report.file import report_html
from refine_hooks.report.view import LogView
from refine_hooks.report.volume import about_volume, volume_picture
from refine_hooks.report.window import window

ASSETS = Path(data.__file__).parent / "assets"


# --- the volume -------------------------------------------------------------------------------------------------------


def a_volume(path: Path, mass_kDa: float | None = None, edge: int = 60) -> tuple[dict[str, Any], Any]:
    """What is known of the picture of a rod in a box, and its grey values."""
    z, y, x = np.indices((edge,) * 3) - edge // 2
    rod = np.exp(-((z / 3) ** 2 + (y / 4) ** 2 + (x / 12) ** 2)).astype(np.float32)
    path.write_bytes(volume_picture(rod, (rod > 0.05).astype(np.float32), 2.0, 8.0, mass_kDa))
    with Image.open(path) as image:
        image.load()
        about = about_volume(image.info)
    assert about is not None
    return about, np.asarray(image)


def test_the_volume_holds_the_mask_s_surroundings_in_few_voxels_and_says_where_they_are(tmp_path: Path) -> None:
    about, grey = a_volume(tmp_path / "v.png")
    edge, across = about["edge"], about["across"]
    assert edge <= 52
    tiles = grey.reshape(2, -1, edge, across, edge).swapaxes(2, 3).reshape(2, -1, edge, edge)[:, :edge]
    z, y, x = np.unravel_index(int(np.argmax(tiles[0])), tiles[0].shape)
    found = [begin + (at + 0.5) * about["step"] for begin, at in zip(about["start"], (x, y, z), strict=True)]
    assert found == pytest.approx([30.5, 30.5, 30.5], abs=about["step"])
    assert (tiles[1] > 127).sum() * about["step"] ** 3 == pytest.approx(4 / 3 * np.pi * 3 * 4 * 12 * 3**1.5, rel=0.2)


def test_the_first_contour_holds_the_volume_of_the_mass(tmp_path: Path) -> None:
    light, heavy = (a_volume(tmp_path / "v.png", mass)[0]["level"] for mass in (2.0, 8.0))
    assert heavy < light


def test_a_picture_that_is_no_volume_is_none() -> None:
    assert about_volume({}) is None
    assert about_volume({"Volume": "[]"}) is None
    assert about_volume({"Volume": '{"edge": 4}'}) is None
    good = (
        '{"edge": 4, "across": 8, "step": 1.5, "box": 8, "level": 9, "voxel_A": 2, "masked": true, "start": [0, 0, 0]}'
    )
    assert about_volume({"Volume": good}) is not None
    for other in ('"edge": 1e9', '"across": 0', '"step": -1', '"voxel_A": NaN', '"start": [0, 0]', '"level": "9"}'):
        assert (
            about_volume({"Volume": re.sub(rf"{other.partition(':')[0]}: (\[.*?\]|[^,}}]*)", other, good)}) is None
        ), other


def test_an_empty_mask_shows_the_whole_box() -> None:
    assert window(np.zeros((8, 8, 8), np.float32)) == ((0, 0, 0), 8)


def test_a_movie_shows_the_same_slice_in_all_rounds(tmp_path: Path, measured: Path) -> None:
    told = CliRunner().invoke(application(), ["plot", str(measured), "--movie", "XZ", "--out", str(tmp_path / "m.gif")])
    assert told.exit_code == 0, told.output
    with Image.open(tmp_path / "m.gif") as movie:
        assert movie.n_frames == len(live_logs.rounds_of(measured))  # type: ignore[attr-defined]
    wrong = CliRunner().invoke(
        application(), ["plot", str(measured), "--movie", "XY", "--out", str(tmp_path / "m.avi")]
    )
    assert wrong.exit_code
    assert not (tmp_path / "m.avi").exists()


def test_a_film_without_its_package_says_what_to_install(
    tmp_path: Path, measured: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "imageio.v3", None)
    told = cli("plot", measured, "--movie", "XZ", "--out", tmp_path / "m.mp4")
    assert told.returncode == 1
    assert "pip install 'refine_hooks[movie]'" in told.stderr


# --- rules of the assets ----------------------------------------------------------------------------------------------


def test_no_module_has_long_lines_or_glyphs_that_need_a_special_font() -> None:
    for path in [*ASSETS.glob("*.js"), ASSETS / "style.css"]:
        if path.name.endswith(".min.js"):
            continue
        text = path.read_text(encoding="utf-8")
        assert max(map(len, text.splitlines())) <= 120, path.name
        assert set(re.findall(r"[^\x00-\x7f]", text)) <= set("Å⁻¹–−·→²³±≠∞▲▼●⚠✓✕×…◐°"), path.name
    assert {path.name for path in ASSETS.glob("*.js")} == {*page._SCRIPTS, "uPlot.iife.min.js"}


# --- in the browser ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def measured(three_rounds: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return live_logs.copied(three_rounds, tmp_path_factory.mktemp("measured") / "project")


@pytest.fixture
def tab(browser: chromium.Page) -> Iterator[chromium.Page]:
    browser.complaints.clear()
    yield browser
    assert browser.complaints == []
    browser.ask("Page.navigate", url="about:blank")


def written(folder: Path, lines: list[RoundRecord | Failed]) -> str:
    """The address of the report of a log of these lines, each a minute after the one before."""
    start = healthy().measured_at
    folder.mkdir(parents=True, exist_ok=True)
    for minute, line in enumerate(lines):
        when = "measured_at" if isinstance(line, RoundRecord) else "failed_at"
        append(folder / "rounds.jsonl", [line.model_copy(update={when: start + timedelta(minutes=minute)})])
    return reported(folder / "rounds.jsonl")


def reported(log: Path) -> str:
    journal = read_journal(log)
    report = log.parent / "report.html"
    report.write_text(report_html(Store(log.parent), journal, audit(journal)), encoding="utf-8")
    return report.as_uri()


def text(tab: chromium.Page, selector: str) -> str:
    return str(tab.run(f"document.querySelector({selector!r})?.textContent ?? ''"))


def slide(tab: chromium.Page, selector: str, value: int) -> None:
    tab.run(
        f"(s => {{ s.value = {value}; s.dispatchEvent(new Event('input')); }})(document.querySelector({selector!r}))"
    )


INK = """(() => {{ const c = document.querySelector('{0}'), d = el(c); return d; function el(c) {{
    const n = document.createElement('canvas'); n.width = c.width; n.height = c.height; const g = n.getContext('2d');
    g.drawImage(c, 0, 0); const p = g.getImageData(0, 0, n.width, n.height).data; let sum = 0;
    for (let i = 3; i < p.length; i += 4) sum += p[i] > 0 ? p[i - 3] + p[i - 2] + p[i - 1] : 0; return sum; }} }})()"""


@pytest.mark.browser
@pytest.mark.skipif(chromium.PROGRAM is None, reason="chromium is not on PATH")
class TestInTheBrowser:
    """One browser for all."""

    def test_the_map_is_turned_cut_and_contoured(self, tab: chromium.Page, measured: Path) -> None:
        tab.open(reported(measured))
        tab.until("document.querySelectorAll('#slices canvas').length === 3")
        before = text(tab, "#slices figcaption")
        ink = tab.run(INK.format("#slices canvas"))
        slide(tab, "#slices input", 2)
        assert text(tab, "#slices figcaption") != before
        assert tab.run(INK.format("#slices canvas")) != ink
        tab.run("document.querySelector('#slices button').click()")
        tab.until("document.querySelector('#large').open")
        assert text(tab, "#large-words").startswith("XY slice")
        tab.run("document.querySelector('#large').close()")
        if not tab.run("document.querySelector('#surface-figure').hidden"):
            seen = tab.run(INK.format("#surface"))
            assert seen > 0
            slide(tab, "#level", 240)
            assert tab.run(INK.format("#surface")) != seen

    def test_the_same_slice_is_shown_in_all_rounds(self, tab: chromium.Page, measured: Path) -> None:
        tab.open(reported(measured))
        tab.until("document.querySelectorAll('#slices canvas').length === 3")
        tab.run("document.querySelector('#strip').open = true")
        tab.until("document.querySelectorAll('#strip-frames button').length === 3")
        slide(tab, "#strip-at", 0)
        assert text(tab, "#strip-words").startswith("it1")
        tab.run("document.querySelector('#strip-frames button').click()")
        tab.until("document.querySelector('.row[aria-selected=true]').title === 'run/1/1'")

    def test_arrow_keys_move_what_has_the_focus_and_links_stay_on_the_page(
        self, tab: chromium.Page, measured: Path
    ) -> None:
        tab.open(reported(measured))
        tab.until("document.querySelectorAll('#slices canvas').length === 3")
        tab.run("document.querySelector('#slices input').focus()")
        tab.press("ArrowLeft")
        assert tab.run("document.querySelector('.row[aria-selected=true]').title") == "run/3/1"
        tab.run("document.querySelector('#rounds').focus()")
        tab.press("ArrowLeft")
        tab.until("document.querySelector('.row[aria-selected=true]').title === 'run/2/1'")
        tab.run("document.querySelector('.skip').click()")
        assert not tab.run("document.querySelector('#one-log').hidden")

    def test_where_webgl_is_missing_still_pictures_stand_in(self, tab: chromium.Page, measured: Path) -> None:
        without = """const get = HTMLCanvasElement.prototype.getContext;
            HTMLCanvasElement.prototype.getContext = function (kind, ...more) {
              return kind.startsWith('webgl') ? null : get.call(this, kind, ...more); };"""
        script = tab.ask("Page.addScriptToEvaluateOnNewDocument", source=without)["identifier"]
        tab.open(reported(measured))
        tab.until("document.querySelectorAll('#slices canvas').length === 3")
        tab.ask("Page.removeScriptToEvaluateOnNewDocument", identifier=script)
        assert tab.run("document.querySelector('#show-mask').closest('label').hidden"), (
            "there is no mask in the picture"
        )
        assert "Surface of the mask" in text(tab, "#pictures figcaption")

    def test_the_log_s_findings_are_as_many_as_the_audit_s(self, tab: chromium.Page, tmp_path: Path) -> None:
        lines = [healthy(1), healthy(2, 20.0), a_failure(3, "half 2 is torn"), healthy(4, alignment_limit_A=5.0)]
        tab.open(written(tmp_path, lines))
        found = audit(read_journal(tmp_path / "rounds.jsonl"))
        warnings = sum(one.severity == "warning" for one in found)
        many = [
            f"{n} {word}{'' if n == 1 else 's'}" for n, word in ((warnings, "warning"), (len(found) - warnings, "note"))
        ]
        assert " and ".join(many) in text(tab, "#all-findings-count")
        causes = tab.run("document.querySelectorAll('#all-findings-list .finding').length")
        assert causes == len({(one.rule, one.severity) for one in found})

    def test_list_and_verdict_show_the_same_number_rounded_once(self, tab: chromium.Page, tmp_path: Path) -> None:
        rounds = [healthy(1 + i, 31.0 + 0.0173 * i) for i in range(12)]
        tab.open(written(tmp_path, [*rounds]))
        curves = [curve for record in rounds if (curve := record.headline_curve()) is not None]
        listed = tab.run("[...document.querySelectorAll('.row .number')].map((e) => e.textContent)")
        assert listed == [f"{curve.resolution_A:.2f} Å" for curve in reversed(curves)]
        assert listed[0] in text(tab, "#verdict h1")

    def test_all_rounds_are_a_fan_or_a_heat_map_and_small_trends(self, tab: chromium.Page, tmp_path: Path) -> None:
        rounds = [
            healthy(
                i,
                20.0 + i,
                particles=1000 * i,
                changes=Changes(orientations_deg=9.0 / i, offsets_A=1.0 / i, classes=0.0),
                analysis=Analysis(mask="automask", cfar=0.5 + i / 50, cfar_by_chance=0.8),
            )
            for i in range(1, 6)
        ]
        tab.open(written(tmp_path, rounds))
        tab.until("document.querySelector('#over-rounds canvas')")
        assert text(tab, "#over-of") == "5 rounds"
        titles = tab.run("[...document.querySelectorAll('#trends figcaption')].map((c) => c.textContent)")
        assert [re.sub(r" [\d.,]+( [Å°])?( dashed.*)?$", "", title) for title in titles] == [
            "resolution",
            "particles",
            "mask volume (automask) 142 nm³",
            "conical FSC area ratio",
            "change of angles",
            "change of offsets",
        ]
        assert titles[0].endswith("Å dashed: best so far")
        assert titles[4] == "change of angles 1.8 °"
        tab.run("document.querySelector('#heat').click()")
        tab.until("document.querySelector('#over-rounds canvas.heat')")
        tab.run("document.querySelector('canvas.heat').scrollIntoView()")
        box = tab.run("document.querySelector('canvas.heat').getBoundingClientRect().toJSON()")
        tab.hover(box["left"] + box["width"] / 3, box["top"] + 20)
        tab.until("document.querySelector('#over-rounds p').textContent.includes('FSC ')")
        assert text(tab, "#over-rounds p").startswith("Round 5 ·")

    def test_curves_are_saved_as_the_command_line_writes_them(self, tab: chromium.Page, tmp_path: Path) -> None:
        record = healthy(3)
        tab.open(written(tmp_path, [record]))
        tab.run("URL.createObjectURL = (blob) => { blob.text().then((t) => { window.saved = t; }); return '#'; }")
        tab.run("[...document.querySelectorAll('#save button')].find((b) => b.textContent.includes('CSV')).click()")
        tab.until("window.saved")
        ours, theirs = (t.splitlines() for t in (tab.run("window.saved"), csv(record)))
        assert ours[0] == theirs[0]
        for one, other in zip(ours[1:], theirs[1:], strict=True):
            numbers = ([float(cell or 0) for cell in line.split(",")] for line in (one, other))
            assert next(numbers) == pytest.approx(next(numbers), abs=6e-5)
        tab.run(
            "window.saved = ''; [...document.querySelectorAll('#save button')].find((b) => b.textContent.includes('EMDB')).click()"
        )
        tab.until("window.saved")
        shape = re.compile(r"(?<=<y>)-?[\d.]+")
        assert shape.sub("", tab.run("window.saved")) == shape.sub("", emdb_xml(record))
        assert f"refine-hooks plot {tmp_path} run/3/1" in text(tab, "#save")
        tab.run("window.saved = ''; document.querySelector('#tools-fsc .save:last-child').click()")
        tab.until("window.saved")
        drawn = tab.run("window.saved")
        assert drawn.startswith("<svg")
        assert "spatial frequency (Å⁻¹)" in drawn
        assert drawn.count("<polyline") >= 2

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_all_text_can_be_read(self, tab: chromium.Page, tmp_path: Path, scheme: str) -> None:
        tab.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        tab.open(written(tmp_path, [healthy(1), healthy(2, alignment_limit_A=5.0), a_failure(3, "half 2 is torn")]))
        pale = tab.run(
            """(() => { const rgb = (s) => s.match(/[\\d.]+/g).map(Number);
            const light = (c) => c.slice(0, 3).map((v) => v / 255)
              .map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
              .reduce((s, v, i) => s + v * [0.2126, 0.7152, 0.0722][i], 0);
            const ground = (e) => { for (; e; e = e.parentElement) {
              const c = rgb(getComputedStyle(e).backgroundColor); if (c.length < 4 || c[3] > 0.9) return c; }
              return [255, 255, 255]; };
            const found = [];
            for (const e of document.querySelectorAll('body *')) {
              if (e.closest('script, style, canvas, .hidden, [hidden], option') || !e.getClientRects().length) continue;
              if (![...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim())) continue;
              const [a, b] = [light(rgb(getComputedStyle(e).color)), light(ground(e))].sort((p, q) => q - p);
              if ((a + 0.05) / (b + 0.05) < 4.5) found.push(e.className + ' ' + e.textContent.slice(0, 40)); }
            return found; })()"""
        )
        assert pale == []
        tab.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": "light"}])

    def test_it_prints_whole_plots_with_title_path_and_date(self, tab: chromium.Page, measured: Path) -> None:
        tab.open(reported(measured))
        tab.until("document.querySelectorAll('#slices canvas').length === 3")
        tab.ask("Emulation.setEmulatedMedia", media="print")
        tab.ask("Emulation.setDeviceMetricsOverride", width=720, height=1000, deviceScaleFactor=1, mobile=False)
        tab.run("dispatchEvent(new Event('beforeprint'))")
        assert tab.run("document.documentElement.scrollWidth") <= 720
        wide = tab.run(
            "[...document.querySelectorAll('.u-wrap')].filter((u) => u.getBoundingClientRect().right > 721).length"
        )
        assert wide == 0
        printed = text(tab, "#printed")
        assert str(measured.parents[1]) in printed
        assert tab.run("[...document.querySelectorAll('#slices canvas')].every((c) => c.getClientRects().length)")
        assert "3 rounds" in printed
        assert tab.run("getComputedStyle(document.querySelector('#printed')).display") != "none"
        tab.ask("Emulation.setEmulatedMedia", media="")
        tab.ask("Emulation.clearDeviceMetricsOverride")


@pytest.fixture
def served(tmp_path: Path) -> Iterator[str]:
    """The address of the live page of three projects: one that is well, one whose newest round failed, one that is warned of."""
    for name, lines in {
        "well": [healthy(1, 20.0), healthy(2, 30.0)],
        "torn": [healthy(1), a_failure(2, "half 2 is torn")],
        "warned": [healthy(1, alignment_limit_A=5.0)],
    }.items():
        written(tmp_path / name / "refine_hooks", [*lines])
    with live_page.served(tmp_path) as address:
        yield address


@pytest.mark.browser
@pytest.mark.skipif(chromium.PROGRAM is None, reason="chromium is not on PATH")
def test_several_projects_are_shown_at_a_glance_and_each_has_an_address(tab: chromium.Page, served: str) -> None:
    tab.open(served)
    tab.until("document.querySelectorAll('#overview-table tbody tr').length === 3")
    tab.until("document.querySelector('#overview-table tbody tr:nth-child(2) th').textContent.startsWith('warned')")
    rows = tab.run("[...document.querySelectorAll('#overview-table tbody tr')].map((r) => r.textContent)")
    assert [row.split("/")[0] for row in rows] == ["torn", "warned", "well"]
    assert "half 2 is torn" in rows[0]
    assert tab.run("document.querySelectorAll('#overview-table .spark polyline').length") == 1
    tab.run("document.querySelector('#overview-table tbody tr:nth-child(3) a').click()")
    tab.until("document.querySelector('.row[aria-selected=true]')?.title === 'run/2/1'")
    tab.press("ArrowLeft")
    tab.until("decodeURIComponent(location.hash).endsWith('&round=run/1/1')")
    address = tab.run("location.href")
    tab.ask("Page.navigate", url="about:blank")
    tab.open(address)
    assert text(tab, "#title") == "well"
    assert text(tab, "#verdict h2").startswith("Round 1")
    tab.run("document.querySelector('#all-logs').click()")
    tab.until("!document.querySelector('#overview').hidden")
    chips = tab.run("[...document.querySelectorAll('#overview-states button')].map((b) => b.textContent)")
    assert chips == ["all 3", "need a person 2", "newest round failed 1", "not watched 2"]
    shown = "[...document.querySelectorAll('#overview-table tbody th a')].map((a) => a.textContent)"
    tab.run("document.querySelector('#overview-states button:nth-child(2)').click()")
    assert tab.run(shown) == ["torn", "warned"]
    tab.run("document.querySelectorAll('#overview-table thead button')[0].click()")
    tab.run("document.querySelectorAll('#overview-table thead button')[0].click()")
    assert tab.run(shown) == ["warned", "torn"]
    tab.run("const i = document.querySelector('#overview-text'); i.value = 'TORN'; i.dispatchEvent(new Event('input'))")
    assert tab.run(shown) == ["torn"]


def test_a_project_is_quoted_with_its_newest_number_of_ours(tmp_path: Path) -> None:
    bare = healthy(2).model_copy(update={"key": Key(run="other", iteration=1, class_id=1), "headline": None})
    written(tmp_path, [healthy(1), bare])
    view = LogView.of(tmp_path / "rounds.jsonl")
    view.index.refresh()
    told = view.standing()
    assert told["last"] == "Round 2"
    assert told["resolution"]["of"] == "Round 1"
