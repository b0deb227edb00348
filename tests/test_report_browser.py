"""What a scientist does with the page, in a real browser: from disk, and live beside a running refinement."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import chromium
import live_logs
import live_page
import pytest
from rounds_data import a_failure

from refine_hooks.audit import audit
from refine_hooks.log import file as journal
from refine_hooks.log.convergence import Agreement, Convergence
from refine_hooks.log.directions import Along
from refine_hooks.log.file import read_journal
from refine_hooks.log.folder import Store
from refine_hooks.log.masks import MaskRecord
from refine_hooks.log.particles import MoreParticles, SubsetPoint, Substitution
from refine_hooks.log.records import Analysis, RoundRecord
from refine_hooks.report.file import report_html

pytestmark = [
    pytest.mark.browser,
    pytest.mark.early,
    pytest.mark.skipif(chromium.PROGRAM is None, reason="chromium is not on PATH"),
]
SHIFT = 8


@pytest.fixture(scope="module")
def measured(three_rounds: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return live_logs.copied(three_rounds, tmp_path_factory.mktemp("measured") / "project")


@pytest.fixture
def page(browser: chromium.Page) -> Iterator[chromium.Page]:
    browser.complaints.clear()
    prefer(browser, "light")
    yield browser
    assert browser.complaints == []
    browser.ask("Page.navigate", url="about:blank")


@pytest.fixture
def log(measured: Path, tmp_path: Path) -> Path:
    return live_logs.copied(measured, tmp_path / "project")


@pytest.fixture
def served(log: Path) -> Iterator[str]:
    with live_page.served(log.parents[2]) as address:
        yield address


def prefer(page: chromium.Page, scheme: str) -> None:
    page.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])


def written(log: Path) -> str:
    """The report of a log, written anew; its address."""
    journal = read_journal(log)
    report = log.parent / "report.html"
    report.write_text(report_html(Store(log.parent), journal, audit(journal)), encoding="utf-8")
    return report.as_uri()


def selected(page: chromium.Page) -> str:
    return str(page.run("document.querySelector('.row[aria-selected=true]')?.title"))


def value(record: RoundRecord, curve: str, shell: int) -> str:
    found = record.curve(curve)
    assert found is not None
    assert found.correlation[shell] is not None
    return f"{found.correlation[shell]:.4f}"


def hover_shell(page: chromium.Page, record: RoundRecord, shell: int) -> None:
    box: dict[str, float] = page.run("document.querySelector('#fsc .u-over').getBoundingClientRect().toJSON()")
    last = len(record.frequency_per_A) - 1
    page.hover(box["left"] + box["width"] * shell / last, box["top"] + box["height"] / 2)


def cells(page: chromium.Page) -> dict[str, str]:
    """Curve -> its value at the cursor, as the table below the plot shows it."""
    told: dict[str, str] = page.run(
        "Object.fromEntries([...document.querySelectorAll('[data-here]')].map((e) => [e.dataset.here, e.textContent]))"
    )
    return told


def test_the_report_opens_from_disk_and_fetches_nothing(page: chromium.Page, log: Path) -> None:
    page.open(written(log))
    record = live_logs.rounds_of(log)[-1]
    assert selected(page) == str(record.key)
    assert page.run("performance.getEntriesByType('resource').filter((e) => !e.name.startsWith('data:')).length") == 0
    assert f"{record.headline_curve().resolution_A:.2f}" in page.run(
        "document.querySelector('#verdict h1').textContent"
    )  # type: ignore[union-attr]
    assert page.run("[...document.querySelectorAll('#pictures img')].every((i) => i.complete && i.naturalWidth > 0)")
    page.until("document.querySelectorAll('#slices canvas').length === 3")
    assert page.run("document.querySelector('#provenance').textContent.includes('sha256')")


@pytest.mark.parametrize("shell", [3, 9, 17])
def test_values_are_read_off_the_curves_with_the_mouse(page: chromium.Page, log: Path, shell: int) -> None:
    page.open(written(log))
    record = live_logs.rounds_of(log)[-1]
    hover_shell(page, record, shell)
    page.until(f"document.querySelector('#fsc-of').textContent.startsWith('shell {shell} ')")
    here = cells(page)
    assert {name: here[name] for name in ("sphere", "automask_corrected")} == {
        name: value(record, name, shell) for name in ("sphere", "automask_corrected")
    }
    beside = page.run("document.querySelector('.readout').textContent")
    assert value(record, "automask_corrected", shell) in beside
    page.hover(5, 5)
    page.until("document.querySelector('.readout').hidden")


def test_the_keyboard_moves_between_rounds_compares_and_reads_values(page: chromium.Page, log: Path) -> None:
    page.open(written(log))
    records = live_logs.rounds_of(log)
    for key, there in (("ArrowLeft", 1), ("Home", 0), ("ArrowRight", 1), ("End", 2), ("ArrowRight", 2)):
        page.press(key)
        page.until(f"document.querySelector('.row[aria-selected=true]')?.title === '{records[there].key}'")
    page.press("c")
    page.until(f"document.querySelector('#fsc-key').textContent.includes('pale: {records[1].label}')")
    page.press("l")
    page.until("document.querySelector('#scale').getAttribute('aria-pressed') === 'true'")
    page.run("document.querySelector('#fsc').focus()")
    for _ in range(3):
        page.press("ArrowRight", SHIFT)
    page.until("document.querySelector('#fsc-of').textContent.startsWith('shell 3 ')")
    assert cells(page)["sphere"] == value(records[2], "sphere", 3)


def test_every_control_can_be_reached_by_the_tabulator_and_has_a_name(page: chromium.Page, log: Path) -> None:
    page.open(written(log))
    unnamed = page.run(
        """[...document.querySelectorAll('button, select, input, [tabindex="0"]')]
        .filter((e) => !(e.textContent.trim() || e.getAttribute('aria-label') || e.labels?.length)).map((e) => e.outerHTML)"""
    )
    assert unnamed == []
    assert page.run("[...document.querySelectorAll('img')].every((i) => i.alt)")


def ground(page: chromium.Page) -> int:
    """Lightness of the page's ground, 0..255."""
    return int(page.run("+getComputedStyle(document.body).backgroundColor.match(/\\d+/)[0]"))


def test_dark_mode_follows_the_system_and_the_key_with_curves_in_colours_of_their_own(
    page: chromium.Page, log: Path
) -> None:
    drawn = """(() => { const c = document.querySelector('#fsc canvas');
        const d = c.getContext('2d').getImageData(0, 0, c.width, c.height).data;
        const s = getComputedStyle(document.documentElement).getPropertyValue('--automask').trim();
        const [r, g, b] = [1, 3, 5].map((i) => parseInt(s.slice(i, i + 2), 16)); let n = 0;
        for (let i = 0; i < d.length; i += 4) if (d[i] === r && d[i + 1] === g && d[i + 2] === b && d[i + 3] === 255) n++;
        return n; })()"""
    page.open(written(log))
    assert ground(page) > 200
    page.until(f"{drawn} > 300")
    prefer(page, "dark")
    page.until("document.documentElement.dataset.theme === 'dark'")
    assert ground(page) < 60
    page.until(f"{drawn} > 300")
    page.press("d")
    page.until("document.documentElement.dataset.theme === 'light'")
    assert ground(page) > 200
    page.run("localStorage.clear()")


def test_nothing_overflows_a_narrow_window(page: chromium.Page, log: Path) -> None:
    page.ask("Emulation.setDeviceMetricsOverride", width=390, height=800, deviceScaleFactor=2, mobile=False)
    gone = MaskRecord(
        name="body", role="program", volume_A3=0, volume_fraction=0, note=f"{'/a_folder_of_a_project' * 5} is gone"
    )
    live_logs.another_round(log, 9, masks=(*live_logs.rounds_of(log)[-1].masks, gone))
    page.open(written(log))
    assert "a_folder_of_a_project" in page.run("document.querySelector('#findings').textContent")
    assert page.run("document.documentElement.scrollWidth") <= 390
    page.ask("Emulation.clearDeviceMetricsOverride")


def test_further_measurements_are_told_where_they_were_made(page: chromium.Page, log: Path) -> None:
    told = "/area ratio.*0\\.40/.test(document.querySelector('#analysis').textContent)"
    page.open(written(log))
    assert not page.run(told)
    live_logs.another_round(log, 9, analysis=Analysis(mask="automask", half_bit_A=8.5, cfar=0.4))
    page.open(written(log))
    assert page.run(told)


def test_what_was_found_beyond_one_number_is_drawn(page: chromium.Page, log: Path) -> None:
    last = live_logs.rounds_of(log)[-1]
    flat = tuple(0.5 for _ in last.frequency_per_A)
    beside = Agreement(against=last.key, correlation=flat, signal=1.0, signal_sd=0.004)
    told = Convergence(verdict="undecided", rounds=2, mask="automask", with_last=beside)
    found: dict[str, object] = {
        "more_particles": MoreParticles(
            mask="automask", threshold=0.143, resolution_A=8.0, b_factor_A2=200.0, b_factor_sd_A2=20.0, fit_A=(10.0, 8.0),
            points=(SubsetPoint(particles=100, resolution_A=12.0), SubsetPoint(particles=400, resolution_A=8.0)),
            targets=(), doubled_A=7.5, doubled_interval_A=(7.6, 7.4),
        ),
        "substitution": Substitution(
            from_A=8, to_A=6, fsc=0.2, substituted_fsc=0, coherent=0.2, coherent_sd=0.01, fitted_noise=0, fitted_noise_sd=0.01,
            correlation=flat, substituted_correlation=flat, coherent_share=flat,
        ),
    }  # fmt: skip
    along = tuple(Along(name=name, axis=(1, 0, 0), resolution_A=5.0, interval_A=(5.2, 4.8)) for name in ("x", "y"))
    found["analysis"] = Analysis(along=along)
    live_logs.another_round(log, 9, convergence=told, headline="automask_corrected", **found)
    page.open(written(log))
    assert page.run("document.querySelectorAll('#analysis svg line.part').length") == 2
    assert page.run("getComputedStyle(document.querySelector('#help-chart svg text')).fontSize") == "12px"
    assert page.run("document.querySelectorAll('#help-chart svg .dot').length") == 3  # two points and the key
    assert page.run("[...document.querySelectorAll('#help-chart polyline')].every((one) => one.points.length > 5)")
    assert page.run(
        "[...document.querySelectorAll('#help p, #local p')].every((one) => /^[^a-z].*[.]/.test(one.textContent))"
    )
    assert "this round's average with the last round's" in page.run("document.querySelector('#fsc-key').textContent")
    page.run("URL.createObjectURL = (blob) => { blob.text().then((t) => { window.saved = t; }); return '#'; }")
    page.run("document.querySelector('#tools-fsc .save:last-child').click()")
    page.until("window.saved")
    line = re.search(r'points="([^"]+)"><title>average with the last round', page.run("window.saved"))
    assert line
    assert len({point.split(",")[1] for point in line[1].split()}) == 1  # flat, as it is in the record


def test_markup_in_a_log_is_shown_as_text(page: chromium.Page, log: Path) -> None:
    evil = "</script><img src=x onerror='document.title=666'><b>"
    live_logs.another_round(log, 9, label=evil, notes=(evil,), run_=evil)
    page.open(written(log))
    assert page.run("document.querySelector('.row[aria-selected=true] b').textContent") == evil
    assert "666" not in page.run("document.title")
    assert page.run("document.querySelectorAll('img[src=x]').length") == 0


def test_thousands_of_rounds_cost_the_page_a_few_rows(page: chromium.Page, log: Path, served: str) -> None:
    live_logs.many_rounds(log, 410)  # more than the live page gets at first
    page.open(written(log))
    assert page.run("document.querySelectorAll('#rounds .row').length") < 60
    page.press("Home")
    page.until("document.querySelector('.row[aria-selected=true]')?.title === 'run/1/1'")
    page.open(served)  # which opens on the newest rounds, and gets the others then
    page.until("document.querySelector('#round-count').textContent === '413'")
    assert page.run("document.querySelectorAll('#rounds .row').length") < 60
    page.run("location.hash = '#round=' + encodeURIComponent('run/2/1')")
    page.until("document.querySelector('.row[aria-selected=true]')?.title === 'run/2/1'")
    page.reload()
    page.until("document.querySelector('.row[aria-selected=true]')?.title === 'run/2/1'")


def test_a_round_arrives_in_the_open_page_and_a_reader_of_the_newest_is_taken_along(
    page: chromium.Page, log: Path, served: str
) -> None:
    page.open(served)
    assert selected(page) == "run/3/1"
    page.until("document.querySelector('#live').dataset.state === 'open'")
    live_logs.another_round(log, 4)
    page.until("document.querySelector('.row[aria-selected=true]')?.title === 'run/4/1'")
    assert page.run("document.querySelectorAll('#rounds .row').length") == 4
    page.press("Home")
    page.until("document.querySelector('.row[aria-selected=true]')?.title === 'run/1/1'")
    live_logs.another_round(log, 5)
    page.until("!document.querySelector('#toast').hidden")
    assert selected(page) == "run/1/1", "one who looks at an older round is only told"
    page.run("document.querySelector('#toast button').click()")
    page.until("document.querySelector('.row[aria-selected=true]')?.title === 'run/5/1'")


def test_a_round_that_fails_while_the_page_is_open_is_seen_at_once(page: chromium.Page, log: Path, served: str) -> None:
    page.open(served)
    page.until("document.querySelector('#live').dataset.state === 'open'")
    assert page.run("document.querySelector('#alarm').hidden")
    journal.append(log, [a_failure(9, "half 1 is gone: copy it back")])
    page.until("!document.querySelector('#alarm').hidden")
    assert "half 1 is gone" in page.run("document.querySelector('#alarm').textContent")
    assert page.run("document.querySelectorAll('#rounds .row[data-failed=true]').length") == 1


def test_half_maps_can_be_fetched_and_several_projects_stand_in_one_list(
    page: chromium.Page, log: Path, served: str, measured: Path
) -> None:
    page.open(served)
    links: list[Any] = page.run("[...document.querySelectorAll('#provenance a')].map((a) => a.href)")
    assert len(links) == 3
    got = page.run(f"fetch({json.dumps(links[0])}).then((a) => a.arrayBuffer()).then((b) => b.byteLength)")
    halves = live_logs.rounds_of(log)[-1].half_maps
    assert halves is not None
    assert halves.paths is not None
    assert got == (log.parent / halves.paths[0]).stat().st_size
    assert page.run("document.querySelector('#log-pick').hidden")
    live_logs.copied(measured, log.parents[2] / "second")
    page.until("!document.querySelector('#log-pick').hidden")
    titles = page.run("[...document.querySelectorAll('#log option')].map((o) => o.textContent)")
    assert titles == ["project", "second"]
    page.run("(s => { s.selectedIndex = 1; s.dispatchEvent(new Event('change')); })(document.querySelector('#log'))")
    page.until("document.querySelector('#title').textContent === 'second'")


def test_the_page_of_another_site_gets_no_stream(browser: chromium.Page, served: str, tmp_path: Path) -> None:
    (tmp_path / "other.html").write_text(
        f"""<script>window.heard = "nothing"; document.documentElement.dataset.ready = "yes";
        const stream = new EventSource("{served}api/events"); stream.onopen = () => window.heard = "open";
        stream.onmessage = () => window.heard = "message"; stream.onerror = () => window.heard = "refused";</script>""",
        encoding="utf-8",
    )
    browser.open((tmp_path / "other.html").as_uri())
    browser.until("window.heard !== 'nothing'")
    assert browser.run("window.heard") == "refused"
    browser.ask("Page.navigate", url="about:blank")
