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
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from refine_hooks._version import __version__
from refine_hooks.audit import all_texts
from refine_hooks.audit.reading import Finding
from refine_hooks.files.names import told
from refine_hooks.files.reading import open_plain, read_bytes
from refine_hooks.log.folder import OUT_NAME, Store
from refine_hooks.log.records import Failed, Start
from refine_hooks.log.summary import CurveIdentity
from refine_hooks.model import Key
from refine_hooks.report import data
from refine_hooks.report.volume import about_local, about_volume

if TYPE_CHECKING:
    from PIL import Image

FIGURES = ("slices.png", "mask.png", "views.png")
VOLUME, LOCAL = "volume.png", "local.png"
PICTURES = (*FIGURES, VOLUME, LOCAL)
_ASSETS = Path(__file__).resolve().parent / "assets"
_LARGEST_PX = 1 << 24  # no picture of ours comes near
_SCRIPTS = (
    "base.js",
    "inflate.js",
    "curves.js",
    "axes.js",
    "fsc.js",
    "svg.js",
    "over_rounds.js",
    "heat_map.js",
    "small_trends.js",
    "analysis.js",
    "help.js",
    "local.js",
    "rounds.js",
    "best.js",
    "seen.js",
    "trend.js",
    "verdict.js",
    "curve_table.js",
    "volume.js",
    "slices.js",
    "surface.js",
    "tint.js",
    "still.js",
    "scene.js",
    "strip.js",
    "map.js",
    "findings.js",
    "log_findings.js",
    "provenance.js",
    "save.js",
    "address.js",
    "overview.js",
    "state.js",
    "keys.js",
    "watch.js",
    "live.js",
    "app.js",
)


def head(
    out: Path,
    curves: Iterable[CurveIdentity],
    failures: Iterable[Failed],
    faults: Iterable[str],
    start: Start | None,
    found: Mapping[str, Sequence[Finding]],
) -> dict[str, Any]:
    """What the page shows of a log besides its rounds.

    Args:
        out: the log's folder; names the log where no project is known.
        curves: the curves of the log.
        failures: the rounds that failed.
        faults: what is wrong with the log itself.
        start: its newest watch.
        found: the findings of rounds of which nothing but a failure is known.
    """
    return {
        "title": title(out, start),
        "log": told(str(out.absolute())),
        "curves": {curve.name: data.identity(curve) for curve in curves},
        "failures": [data.failure(line, found.get(str(line.key), ())) for line in failures],
        "rules": {name: texts.title for name, texts in all_texts().items()},
        "faults": list(faults),
        "provenance": data.provenance(start),
    }


def title(out: Path, start: Start | None) -> str:
    """A short name for a log: its project's folder, else the folder that it lies in."""
    name = Path(start.project).name if start else ""
    return told(name or (out.parent.name if out.name == OUT_NAME else out.name)) or "refine_hooks"


def grouped(findings: Iterable[Finding]) -> dict[str, list[Finding]]:
    """Round -> its findings."""
    by_round: dict[str, list[Finding]] = defaultdict(list)
    for finding in findings:
        by_round[finding.round].append(finding)
    return by_round


def pictures(store: Store, key: Key, label: str, source: Callable[[Path], str]) -> dict[str, Any]:
    """The pictures of a round that are on disk, and the volume that the page draws itself; a torn one is left out.

    Args:
        source: turns a picture's path into the address that the page uses.

    Returns:
        ``pictures``: kind, source, caption, width and height in CSS pixels of each; ``volume``: source and what is known of it
        (`refine_hooks.report.volume`), or None.
    """
    shown: list[dict[str, Any]] = []
    for what in FIGURES:
        path = store.picture_path(key, label, what)
        image = opened_picture(path)
        if image is not None:
            caption, kind = str(image.info.get("Description", what)), what.partition(".")[0]
            size = {"kind": kind, "caption": caption, "width": image.width, "height": image.height}
            shown.append({"src": source(path), **size})
    path = store.picture_path(key, label, VOLUME)
    image = opened_picture(path)
    about = about_volume(image.info) if image is not None else None
    if about is None or image is None:
        return {"pictures": shown, "volume": None}
    local = _local(store.picture_path(key, label, LOCAL), (image.width, image.height // 2), source)
    return {"pictures": shown, "volume": {"src": source(path), **about, **local}}


def _local(path: Path, size: tuple[int, int], source: Callable[[Path], str]) -> dict[str, Any]:
    """The local resolution of a volume of that size of picture; nothing where there is none."""
    image = opened_picture(path)
    about = about_local(image.info) if image is not None and image.size == size else None
    return {} if about is None else {"local": {"src": source(path), **about}}


def opened_picture(path: Path) -> "Image.Image | None":
    """A whole PNG file; None where there is none."""
    from PIL import Image, UnidentifiedImageError

    try:
        with open_plain(path) as stream, Image.open(stream, formats=("PNG",)) as image:
            if image.width * image.height > _LARGEST_PX:
                return None
            image.load()
            return image
    except (OSError, ValueError, SyntaxError, UnidentifiedImageError, Image.DecompressionBombError):
        return None


def embedded(path: Path) -> str:
    """A PNG file as a data address."""
    return "data:image/png;base64," + base64.b64encode(read_bytes(path)).decode("ascii")


class Document(NamedTuple):
    """The page in three pieces, between which its data stand.

    Attributes:
        before: what stands before the JSON of the logs.
        between: what stands between that and the elements of the rounds (see `of_round`).
        after: the rest.
        policy: the content security policy that the page states.
    """

    before: str
    between: str
    after: str
    policy: str


def document(name: str, mode: Literal["file", "live"]) -> Document:
    """The HTML document without its data.

    Args:
        name: title of the page.
        mode: a file holds JSON of its logs as data, the live page asks a server, which repeats the policy as a header.
    """
    style, script = _style(), _script()
    live = mode == "live"
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
    }
    pieces = re.split("@DATA@|@ROUNDS@", _asset("page.html"))
    before, between, after = (re.sub("@([A-Z]+)@", lambda found: parts[found[1]], piece) for piece in pieces)
    return Document(before + f'{{"mode":"{mode}","logs":[', "]}" + between, after, policy)


def of_round(key: str, *detail: bytes) -> tuple[bytes, ...]:
    """The element that holds the JSON of one round: the page reads it only when that round is looked at."""
    name = html.escape(key, quote=True).encode("utf-8", "replace")
    return b'<script type="application/json" data-round="', name, b'">', *detail, b"</script>\n"


def json_in_html(content: Any) -> bytes:
    """JSON that cannot end the element it stands in, in UTF-8."""
    text = json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").encode("utf-8", "replace")


def packed_json(parts: Iterable[bytes], level: int = 6) -> bytes:
    """JSON of JSON: its size in bytes and the text itself, deflated (RFC 1951) and in base64; the page unpacks it when it needs it.

    Args:
        parts: the text, in pieces of UTF-8.
        level: how much time is taken for it, 1 to 9.
    """
    engine, size, deflated = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS), 0, []
    for part in parts:
        size += len(part)
        deflated.append(engine.compress(part))
    text = base64.b64encode(b"".join((*deflated, engine.flush())))
    return b'{"size":%d,"deflated":"%s"}' % (size, text)


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
