"""The map of the page coloured by local resolution, and its still picture where the browser has no WebGL."""

import base64
import json
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import chromium
import numpy as np
import pytest
from PIL import Image
from rounds_data import healthy

from refine_hooks.audit import audit
from refine_hooks.audit.judge import Judge
from refine_hooks.files.mrc import Map
from refine_hooks.log.file import append, read_journal
from refine_hooks.log.folder import Store
from refine_hooks.log.index import LogIndex
from refine_hooks.log.records import Analysis
from refine_hooks.model import Key
from refine_hooks.report.file import Report, report_html
from refine_hooks.report.local_picture import write_local_picture
from refine_hooks.report.page import pictures
from refine_hooks.report.view import LogView
from refine_hooks.report.volume import volume_picture

BOX, VOXEL_A = 48, 2.0


def a_rod() -> Any:
    z, y, x = np.indices((BOX,) * 3) - BOX // 2
    return np.exp(-((z / 3) ** 2 + (y / 4) ** 2 + (x / 12) ** 2)).astype(np.float32)


def places(step: int = 3) -> Map:
    """A local resolution every ``step`` voxels within the rod: 6 A on its left, 9 A on its right."""
    rod = a_rod()[::step, ::step, ::step]
    x = np.arange(rod.shape[2]) * step
    values = np.where(x < BOX // 2, 6.0, 9.0) * (rod > 0.3)
    return Map(values.astype(np.float32), step * VOXEL_A)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A log of one round with its volume and its local resolution."""
    store, record = Store(tmp_path_factory.mktemp("drawn") / "refine_hooks"), healthy(1)
    store.make()
    append(store.log, [record])
    path = store.picture_path(record.key, record.label, "volume.png")
    path.parent.mkdir(parents=True)
    path.write_bytes(volume_picture(a_rod(), (a_rod() > 0.05).astype(np.float32), VOXEL_A))
    assert write_local_picture(store, record.key, record.label, places()) is not None
    journal = read_journal(store.log)
    store.report.write_text(report_html(store, journal, audit(journal)), encoding="utf-8")
    return store


def test_each_voxel_has_the_resolution_of_the_place_nearest_to_it(drawn: Store) -> None:
    record = read_journal(drawn.log).rounds[0]
    told = pictures(drawn, record.key, record.label, str)["volume"]
    assert (told["local"]["from_A"], told["local"]["to_A"]) == (6.0, 9.0)
    edge, across = told["edge"], told["across"]
    with Image.open(told["local"]["src"]) as image:
        tiles = np.asarray(image).reshape(-1, edge, across, edge).swapaxes(1, 2).reshape(-1, edge, edge)[:edge]
    x = told["start"][0] + (np.arange(edge) + 0.5) * told["step"] - 0.5
    middle = tiles[edge // 2, edge // 2]
    assert set(middle[(x > BOX / 2 - 10) & (x < BOX / 2 - 3)]) == {1}
    assert set(middle[(x > BOX / 2 + 1) & (x < BOX / 2 + 10)]) == {255}
    assert tiles[0, 0, 0] == 0, "the corner is far from any place"


@pytest.mark.parametrize("values", [0.0, 7.0])
def test_a_map_of_one_colour_is_not_drawn(drawn: Store, values: float) -> None:
    record = read_journal(drawn.log).rounds[0]
    path = drawn.picture_path(record.key, record.label, "local.png")
    before = path.read_bytes()
    same = Map(np.full((16,) * 3, values, np.float32), 6.0)
    assert write_local_picture(drawn, record.key, record.label, same) is None
    assert path.read_bytes() == before


def test_the_report_shows_what_was_measured_of_a_round_after_it_was_written(tmp_path: Path) -> None:
    append(tmp_path / "rounds.jsonl", [healthy(1)])
    beside: list[Analysis] = []
    index = LogIndex(tmp_path / "rounds.jsonl")
    judge = Judge(index, completed=lambda record: record.model_copy(update={"analysis": beside[0]} if beside else {}))
    view, report = LogView(index, judge), Report(Store(tmp_path))
    index.refresh()
    for wanted in (False, True):
        html = b"".join(report.parts(view)).decode()
        held = json.loads(re.findall(r'data-round="run/1/1">(.*?)</script>', html, re.S)[0])["detail"]
        detail = json.loads(zlib.decompress(base64.b64decode(held["deflated"]), -zlib.MAX_WBITS))
        assert bool(detail["analysis"]) == wanted
        beside.append(Analysis(mask="automask", half_bit_A=8.5))
        index.tell_news([Key(run="run", iteration=1, class_id=1)])


@pytest.fixture(scope="module")
def tab(browser: chromium.Page) -> Iterator[chromium.Page]:
    yield browser
    assert browser.complaints == []


COLOURS = """(() => { const c = document.createElement('canvas'), s = document.querySelector('#surface');
    [c.width, c.height] = [s.width, s.height]; const g = c.getContext('2d'); g.drawImage(s, 0, 0);
    const d = g.getImageData(0, 0, c.width, c.height).data, n = { red: 0, blue: 0 };
    for (let i = 0; i < d.length; i += 4) { if (d[i + 3] < 200) continue;
      if (d[i] > d[i + 2] + 60) n.red++; if (d[i + 2] > d[i] + 60) n.blue++; } return n; })()"""


@pytest.mark.browser
@pytest.mark.skipif(chromium.PROGRAM is None, reason="chromium is not on PATH")
@pytest.mark.parametrize("webgl", [True, False])
def test_the_map_is_coloured_by_local_resolution_with_and_without_webgl(
    tab: chromium.Page, drawn: Store, webgl: bool
) -> None:
    without = """const get = HTMLCanvasElement.prototype.getContext;
        HTMLCanvasElement.prototype.getContext = function (kind, ...more) {
          return kind.startsWith("webgl") ? null : get.call(this, kind, ...more); };"""
    if not webgl:
        tab.ask("Page.addScriptToEvaluateOnNewDocument", source=without)
    tab.open(drawn.report.as_uri())
    tab.until("document.querySelectorAll('#slices canvas').length === 3")
    assert not tab.run("document.querySelector('#by-resolution').closest('label').hidden")
    assert "6.00" in tab.run("document.querySelector('#resolution-scale').textContent")
    tab.run("document.querySelector('#show-mask').click()")
    seen = tab.run(COLOURS)
    assert min(seen.values()) > 2000, seen
    tab.run("document.querySelector('#by-resolution').click()")
    plain = tab.run(COLOURS)
    assert max(plain.values()) < 500, plain
    assert tab.run("document.querySelector('#resolution-scale').textContent") == ""
