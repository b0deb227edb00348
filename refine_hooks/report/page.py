"""The page that a scientist looks at: one HTML file that holds its data, its pictures and the scripts that draw them.

It opens from disk without a server and without a network. A content security policy with the hashes of its one script and its
one style sheet forbids everything else, so nothing that a log says can run. The live page (`refine_hooks.serve`) is the same
document, asking the server for its data.
"""

import base64
import hashlib
import html
import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from refine_hooks import __version__
from refine_hooks.audit.reading import Finding
from refine_hooks.journal import Journal
from refine_hooks.records import Failed, Key, RoundRecord, Start
from refine_hooks.report import data
from refine_hooks.store import Store

ROUNDS_WITH_CURVES, WARNED_WITH_CURVES = 250, 50
ROUNDS_WITH_PICTURES, WARNED_WITH_PICTURES = 50, 10
PICTURE_BYTES = 3_500_000  # of all pictures in one report, in base64
PICTURES = ("slices.png", "mask.png", "views.png")
_ASSETS = Path(__file__).resolve().parent / "assets"
_SCRIPTS = ("base.js", "charts.js", "panels.js", "app.js")


def write_report(store: Store, journal: Journal, findings: Sequence[Finding]) -> Path:
    """Write ``report.html`` of a log, whole or not at all.

    All rounds are listed. The newest `ROUNDS_WITH_CURVES` have their curves and `ROUNDS_WITH_PICTURES` their pictures; so have
    the newest of the older rounds that the audit warns of.

    Raises:
        StorageError: the disk is full, read-only or gone.
    """
    store.write_text(store.report, report_html(store, journal, findings))
    return store.report


def report_html(store: Store, journal: Journal, findings: Sequence[Finding]) -> str:
    """The report of a log as one self-contained HTML document."""
    rounds, by_round = journal.rounds, grouped(findings)
    starts = [line for line in journal.lines if isinstance(line, Start)]
    names = dict.fromkeys(curve.name for record in rounds for curve in record.curves)
    log = head(store.out, names, journal.failures, journal.faults, starts[-1] if starts else None)
    log["rows"] = [data.row(record, by_round[str(record.key)]) for record in rounds]
    log["details"] = _details(store, rounds, log["rows"], by_round)
    page, _ = render(log["title"], {"mode": "file", "logs": [{**log, "id": "0"}]})
    return page


def head(
    out: Path,
    curves: Iterable[str],
    failures: Iterable[Failed],
    faults: Iterable[str],
    start: Start | None,
) -> dict[str, Any]:
    """What the page shows of a log besides its rounds.

    Args:
        out: the log's folder; names the log where no project is known.
        curves: names of the curves that are to have a title and a colour.
    """
    return {
        "title": title(out, start),
        "curves": {name: data.style(name) for name in curves},
        "failures": [data.failure(line) for line in failures],
        "faults": list(faults),
        "provenance": data.provenance(start),
    }


def title(out: Path, start: Start | None) -> str:
    """A short name for a log: its project's folder, else the folder that it lies in."""
    name = Path(start.project).name if start else ""
    return name or (out.parent.name if out.name == "refine_hooks" else out.name) or "refine_hooks"


def _details(
    store: Store,
    rounds: Sequence[RoundRecord],
    rows: Sequence[dict[str, Any]],
    findings: Mapping[str, Sequence[Finding]],
) -> dict[str, Any]:
    before = data.standings(rows)
    room = PICTURE_BYTES
    details: dict[str, Any] = {}
    illustrated = _illustrated(rows)
    for record in _with_curves(rounds, rows):
        key = str(record.key)
        details[key] = data.detail(record, before[key], findings[key])
        if key in illustrated and room > 0:
            shown = pictures(store, record.key, record.label, embedded)
            details[key]["pictures"] = shown
            room -= sum(len(picture["src"]) for picture in shown)
    return details


def _with_curves(rounds: Sequence[RoundRecord], rows: Sequence[dict[str, Any]]) -> list[RoundRecord]:
    """The newest rounds, then the newest of the older ones that the audit warns of."""
    newest, older = rounds[-ROUNDS_WITH_CURVES:], rounds[:-ROUNDS_WITH_CURVES]
    warned = [record for record, row in zip(older, rows, strict=False) if row["found"][0]]
    return [*reversed(newest), *reversed(warned[-WARNED_WITH_CURVES:])]


def _illustrated(rows: Sequence[dict[str, Any]]) -> set[str]:
    newest, older = rows[-ROUNDS_WITH_PICTURES:], rows[:-ROUNDS_WITH_PICTURES]
    warned = [row for row in older if row["found"][0]][-WARNED_WITH_PICTURES:]
    return {row["key"] for row in (*newest, *warned)}


def grouped(findings: Iterable[Finding]) -> dict[str, list[Finding]]:
    """Round -> its findings."""
    by_round: dict[str, list[Finding]] = defaultdict(list)
    for finding in findings:
        by_round[finding.round].append(finding)
    return by_round


def pictures(store: Store, key: Key, label: str, source: Callable[[Path], str]) -> list[dict[str, Any]]:
    """The pictures of a round that are on disk: source, caption, width and height in CSS pixels; a torn one is left out.

    Args:
        source: turns a picture's path into the address that the page uses.
    """
    from PIL import Image, UnidentifiedImageError

    shown = []
    for what in PICTURES:
        path = store.picture_path(key, label, what)
        try:
            with Image.open(path) as image:
                image.load()
                caption = str(image.info.get("Description", what))
                shown.append({"src": source(path), "caption": caption, "width": image.width, "height": image.height})
        except (OSError, UnidentifiedImageError, SyntaxError):
            continue
    return shown


def embedded(path: Path) -> str:
    """A PNG file as a data address."""
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode("ascii")


def render(name: str, content: dict[str, Any]) -> tuple[str, str]:
    """The HTML document and the content security policy that it states, for a server to repeat as a header.

    Args:
        name: title of the page.
        content: ``mode`` "file" with ``logs``, or ``mode`` "live".
    """
    style, script = _style(), _script()
    live = content["mode"] == "live"
    policy = (
        f"default-src 'none'; script-src 'sha256-{_sha256(script)}'; style-src 'sha256-{_sha256(style)}'; "
        f"img-src data:{' ' + repr('self') if live else ''}; {'connect-src ' + repr('self') + '; ' if live else ''}"
        "base-uri 'none'; form-action 'none'"
    )
    parts = {
        "TITLE": html.escape(name),
        "GENERATOR": f"refine_hooks {__version__}",
        "POLICY": f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        "STYLE": style,
        "SCRIPT": script,
        "DATA": _json_in_html(content),
    }
    template = (_ASSETS / "page.html").read_text(encoding="utf-8")
    return re.sub("@([A-Z]+)@", lambda found: parts[found[1]], template), policy


def _json_in_html(content: dict[str, Any]) -> str:
    """JSON that cannot end the element it stands in."""
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")


@lru_cache(1)
def _style() -> str:
    return _asset("uPlot.min.css") + "\n" + _asset("style.css")


@lru_cache(1)
def _script() -> str:
    licence = f"/*! uPlot 1.6.32\n{_asset('uPlot.LICENSE')}*/"
    own = "\n".join(_asset(name) for name in _SCRIPTS)
    return f'{licence}\n{_asset("uPlot.iife.min.js")}\n(() => {{\n"use strict";\n{own}}})();\n'


def _asset(name: str) -> str:
    return (_ASSETS / name).read_text(encoding="utf-8")


def _sha256(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
