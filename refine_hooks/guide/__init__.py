"""The documentation, shipped as Markdown: its pages and its pictures."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

KINDS = ("tutorials", "how-to", "reference", "explanation")
# What a reader wants first; all others follow by their names.
_ORDER = (
    *("first-watch", "read-a-round", "first-round", "finished-project", "two-half-maps", "add-a-program"),
    *(
        "live",
        "cistem-hook",
        "relion-hook",
        "read-the-result",
        "page",
        "figures",
        "deposit",
        "compare",
        "from-particles",
        "cluster",
    ),
    *("commands", "settings", "output", "log", "curve-names", "rules", "programs", "python", "api"),
    *("curves", "mask", "phase-randomisation", "interval", "scaled-fsc", "what-fools", "local-resolution"),
    *("directions", "what-would-help"),
)
_HERE = Path(__file__).resolve().parent


@dataclass(frozen=True, slots=True)
class Page:
    """One page.

    Attributes:
        name: as a reader asks for it.
        kind: one of `KINDS`.
        path: of its Markdown.
    """

    name: str
    kind: str
    path: Path

    @property
    def text(self) -> str:
        """The page as Markdown."""
        return self.path.read_text(encoding="utf-8")

    @property
    def title(self) -> str:
        """Its first line."""
        return self.text.split("\n", maxsplit=1)[0].lstrip("# ")


@lru_cache(1)
def pages() -> dict[str, Page]:
    """The pages by their names, in the order of a reader."""
    found = [Page(path.stem, kind, path) for kind in KINDS for path in sorted((_HERE / kind).glob("*.md"), key=_place)]
    return {page.name: page for page in found}


def _place(path: Path) -> tuple[int, str]:
    return (_ORDER.index(path.stem) if path.stem in _ORDER else len(_ORDER)), path.stem


def pictures() -> Path:
    """The folder of the pages' pictures: inside an installed wheel, or beside the package in a checkout."""
    installed = _HERE / "pictures"
    return installed if installed.is_dir() else _HERE.parents[1] / ".readme"
