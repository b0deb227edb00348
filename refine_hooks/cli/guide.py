"""``guide``: the documentation that is shipped with the package, in the terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from refine_hooks.cli._app import app

if TYPE_CHECKING:
    from collections.abc import Mapping

    from refine_hooks.guide import Page


@app.command(short_help="Read the guide in the terminal.")
def guide(
    topic: Annotated[
        str,
        typer.Argument(
            help="a page, the beginning of its name, a word of its title, or a finding of the audit; none lists the pages"
        ),
    ] = "",
) -> None:
    """Show a page of the guide; without a topic, the list of pages. Where the output is no terminal, it is Markdown.

    The names in brackets that `audit` and `show` print are topics too: what was found, why it matters, and what to do.

    Exits with 1, and the list of pages, where no page or more than one has that name.
    """
    from refine_hooks.errors import ProjectError
    from refine_hooks.guide import pages

    known = pages()
    if not topic:
        print("\n".join(_table(known)))
        return
    word = topic.lower()
    rule = _section(known["rules"].text, word)
    chosen = (
        [name for name in known if name == word]
        or [name for name in known if not rule and name.startswith(word)]
        or [name for name, page in known.items() if not rule and word in page.title.lower()]
    )
    if rule and not chosen:
        _show(rule)
        return
    if len(chosen) != 1:
        fault = "no page of the guide has that name" if not chosen else f"{', '.join(chosen)} have it"
        raise ProjectError("\n".join([f"{topic}: {fault}; the pages are", *_table(known)]))
    _show(known[chosen[0]].text)


def _section(page: str, name: str) -> str:
    """The section of that name; empty where there is none."""
    found = [part for part in page.split("\n## ")[1:] if part.split("\n", maxsplit=1)[0] == name]
    return f"## {found[0].rstrip()}\n" if found else ""


def _show(text: str) -> None:
    if not sys.stdout.isatty():
        print(text, end="")
        return
    from rich.console import Console
    from rich.markdown import Markdown

    Console().print(Markdown(text))


def _table(known: Mapping[str, Page]) -> list[str]:
    lines: list[str] = []
    for name, page in known.items():
        if page.kind not in lines:
            lines.append(page.kind)
        lines.append(f"  {name:<24}{page.title}")
    return lines
