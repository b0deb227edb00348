"""Plain words: what a reader meets is said in the field's own terms."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "refine_hooks"
NOT_TOLD = {"log/schema1.py"}  # its strings are what old logs hold

# Each is followed by what is said instead.
UNWANTED = {
    r"\bthe null\b|\bnull at cursor\b|\bnull band\b": "phase-randomised FSC",
    r"\bhonest\b": "unfiltered, unmasked half maps; independent half maps",
    r"\bmisleads?\b|\bmisleading\b|\bcurves? that lies?\b|\baccused?\b|\bto be doubted\b": "suspicious FSC curve",
    r"\bstood by\b|\bstand by it\b": "no resolution: this job writes no half maps",
    r"\bread off [“\"]": "FSC = 0.143, automask, corrected",
    r"\bno different\b": "unchanged within error",
    r"\bflatters?\b|\bmay flatter\b": "may be overestimated",
    r"\bshows its own noise\b": "volume-scaled FSC amplifies solvent noise",
    r"\bmask correlates by itself\b": "mask-induced correlation",
    r"\bcomes back\b": "re-crosses",
    r"\b\d*\}? ?shells? (?:coarser|finer)\b": "worse or better in Å, with the Fourier shells",
    r"\bscaled as cisTEM does\b|\bprogram's own:": "cisTEM Part_FSC; RELION gold-standard FSC",
    r"\brefinement's mask\b": "refinement mask",
    r"\bequal steps of 1\b|/Å\b(?!ngstrom)": "Å⁻¹",
    r"\bfiner is higher\b|\bfiner upwards\b": "higher resolution is up",
    r"\bwhere these numbers come from\b|\bhow each number was read\b": "provenance; resolution criteria",
    r"\bsmoothed to\b|\bfrom the corner\b": "low-pass filtered; slice 49 of 96",
    r"\bdirections of view\b": "viewing directions",
    r"\bclaimed shell\b": "resolution shell",
    r"\bat once: its files are whole\b": "ready to measure",
    r"\bnothing more to do\b": "Done",
    r"\bcareful colleague\b": "check each round and report problems",
    r"\b(?:is|are) told\b|\bwas told\b|\bbeing told\b": "active voice",
    r"\bthe night\b": "reliability",
    r"\bvoxels are too large\b|\buse a smaller pixel\b": "the FSC reaches Nyquist: re-extract with a smaller pixel size",
    r"\bhad again\b": "reproduced",
    r"\bhow-manieth\b": "every n-th",
}
PATTERNS = {re.compile(pattern, re.IGNORECASE): instead for pattern, instead in UNWANTED.items()}


def of_python() -> Iterator[tuple[str, str]]:
    """The strings of the package that are no docstrings; of the commands the docstrings, too, which are their help."""
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).as_posix()
        if name in NOT_TOLD:
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        silent = set() if name.startswith("cli/") else set(docstrings(tree))
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in silent:
                yield f"{name}:{node.lineno}", node.value


def docstrings(tree: ast.AST) -> Iterator[int]:
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            yield from (id(e.value) for e in body if isinstance(e, ast.Expr) and isinstance(e.value, ast.Constant))


def of_the_page() -> Iterator[tuple[str, str]]:
    """The page's markup, and its scripts without their comments."""
    for path in sorted((PACKAGE / "report" / "assets").iterdir()):
        if path.suffix in (".html", ".js") and not path.name.startswith("uPlot"):
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
                yield f"{path.name}:{number}", line.split("// ")[0]


def of_documents() -> Iterator[tuple[str, str]]:
    """README, guide, and the committed texts that users read."""
    places = [ROOT / "README.md", *sorted((PACKAGE / "guide").rglob("*.md")), *sorted((ROOT / "config").glob("*.toml"))]
    for path in places:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            yield f"{path.name}:{number}", line


@pytest.mark.parametrize("texts", [of_python, of_the_page, of_documents], ids=lambda texts: texts.__name__)
def test_what_a_reader_meets_is_in_plain_words(texts: object) -> None:
    each = {text: place for place, text in texts()}  # type: ignore[operator]
    wrong = [
        f"{place}: {found[0]!r} in {text.strip()[:90]!r}; say: {instead}"
        for text, place in each.items()
        for pattern, instead in PATTERNS.items()
        if (found := pattern.search(text))
    ]
    assert wrong == [], "\n".join(wrong)
