"""``guide``: the documentation that is shipped with the package, in the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from refine_hooks.cli._app import app

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

_KINDS = ("tutorials", "how-to", "reference", "explanation")


@app.command(short_help="Read the guide in the terminal.")
def guide(
    topic: Annotated[
        str, typer.Argument(help="a page of the guide, or the beginning of its name; none lists the pages")
    ] = "",
) -> None:
    """Print a page of the guide as Markdown; without a topic, the list of pages.

    Exits with 1, and the list of pages, where no page or more than one has that name.
    """
    from refine_hooks.errors import ProjectError

    pages = _pages()
    if not topic:
        print("\n".join(_table(pages)))
        return
    chosen = [name for name in pages if name == topic] or [name for name in pages if name.startswith(topic)]
    if len(chosen) != 1:
        fault = "no page of the guide has that name" if not chosen else f"{', '.join(chosen)} begin with it"
        raise ProjectError("\n".join([f"{topic}: {fault}; the pages are", *_table(pages)]))
    print(pages[chosen[0]][1].read_text(encoding="utf-8"), end="")


def _pages() -> dict[str, tuple[str, Traversable]]:
    """Kind and file of each page by its name, in the order of a reader."""
    from importlib.resources import files

    root = files("refine_hooks") / "guide"
    return {
        page.name.removesuffix(".md"): (kind, page)
        for kind in _KINDS
        for page in sorted((root / kind).iterdir(), key=lambda page: page.name)
    }


def _table(pages: dict[str, tuple[str, Traversable]]) -> list[str]:
    lines: list[str] = []
    for name, (kind, page) in pages.items():
        if not any(line == kind for line in lines):
            lines.append(kind)
        title = page.read_text(encoding="utf-8").split("\n", maxsplit=1)[0].lstrip("# ")
        lines.append(f"  {name:<24}{title}")
    return lines
