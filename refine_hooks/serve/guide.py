"""The guide as pages of the live page's server."""

import hashlib
import html
import re
from base64 import b64encode
from functools import lru_cache

from markdown_it import MarkdownIt
from markdown_it.token import Token

from refine_hooks.errors import InputError
from refine_hooks.guide import Page, pages, pictures

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 52rem; margin: 2rem auto; padding: 0 1rem; color: #222; background: #fff; }
a { color: #0b5cad; } img { max-width: 100%; } nav { margin-bottom: 2rem; }
table { border-collapse: collapse; display: block; overflow-x: auto; } td, th { border-bottom: 1px solid #ccc; padding: .3rem .6rem;
text-align: left; vertical-align: top; } pre { background: #f3f3f3; padding: .7rem; overflow-x: auto; } code { font-size: .92em; }
@media (prefers-color-scheme: dark) { body { color: #ddd; background: #181818; } a { color: #7cb8f5; } pre { background: #262626; }
td, th { border-color: #444; } }
"""
_HASH = b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
POLICY = f"default-src 'none'; img-src 'self'; style-src 'sha256-{_HASH}'; base-uri 'none'; frame-ancestors 'none'"
# Tables hold pictures written as HTML, which is shown nowhere else: all other HTML of a page stays text.
_IMAGE = re.compile(r'<img src="([^"<>]+)" width="\d+" alt="([^"<>]+)">')
_PAGE = re.compile(r"(?:\.\./)?(?:[\w-]+/)?([\w-]+)\.md(#[\w-]+)?")
_PICTURE = re.compile(r"(?:\.\./)*\.readme/([\w-]+\.png)")


@lru_cache(64)
def guide_page(name: str, root: str = "") -> str:
    """A page of the guide as a document of HTML, or the list of all pages for no name; ``root`` is where a proxy has the page.

    Raises:
        InputError: there is no such page.
    """
    if not name:
        return _document("The guide", _list_of_pages(root), root)
    page = pages().get(name)
    if page is None:
        raise InputError(f"{name}: the guide has no such page")
    return _document(page.title, _rendered(page, root), root)


def guide_picture(name: str) -> bytes:
    """A picture of the guide (PNG).

    Raises:
        InputError: there is no such picture.
    """
    known = {path.name: path for path in pictures().glob("*.png")}
    if name not in known:
        raise InputError(f"{name}: the guide has no such picture")
    return known[name].read_bytes()


def _document(title: str, body: str, root: str) -> str:
    head = (
        f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{html.escape(title)}</title>'
    )
    nav = f'<nav><a href="{root}/">refine_hooks</a> · <a href="{root}/guide">all pages of the guide</a></nav>'
    return f'<!doctype html><html lang="en"><head>{head}<style>{_STYLE}</style></head><body>{nav}{body}</body></html>'


def _list_of_pages(root: str) -> str:
    parts, kind = ["<h1>The guide</h1>"], ""
    for page in pages().values():
        if page.kind != kind:
            parts.append(f"{'</ul>' if kind else ''}<h2>{page.kind}</h2><ul>")
            kind = page.kind
        parts.append(f'<li><a href="{root}/guide/{page.name}">{html.escape(page.title)}</a></li>')
    return "".join([*parts, "</ul>"])


def _rendered(page: Page, root: str) -> str:
    text = re.sub(r"^<!--.*?-->\n", "", page.text, flags=re.M)
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = markdown.parse(_IMAGE.sub(r"![\2](\1)", text))
    for number, token in enumerate(tokens):
        if token.type == "heading_open":
            token.attrSet("id", _anchor(tokens[number + 1].content))
        for child in token.children or ():
            _redirect(child, root)
    return str(markdown.renderer.render(tokens, markdown.options, {}))


def _anchor(heading: str) -> str:
    """The name of a heading's place, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def _redirect(token: Token, root: str) -> None:
    """Let links between pages and pictures of pages lead to this server."""
    if token.type == "link_open" and (found := _PAGE.fullmatch(str(token.attrGet("href")))):
        token.attrSet("href", f"{root}/guide/{found[1]}{found[2] or ''}")
    if token.type == "image" and (found := _PICTURE.fullmatch(str(token.attrGet("src")))):
        token.attrSet("src", f"{root}/guide/picture/{found[1]}")
