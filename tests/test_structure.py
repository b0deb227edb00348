"""No code reads a number, a flag or a kind out of a sentence or a name: what any code reads is a field of the record."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent / "refine_hooks"
ASSETS = ROOT / "report" / "assets"
# Logs of schema 1 kept kinds in names. This is where they become fields.
OLD_LOGS = ROOT / "log" / "schema1.py"
# What a program's files are called, and what it writes in them, is text.
FOREIGN = ("programs", "files", "particles", "settings")

KINDS = "corrected|scaled|masked|unmasked|reported|randomised|part_fsc|automask|sphere"
OF_A_NAME = re.compile(
    rf"""(?:ends|starts)with\(\s*\(?["'][^"']*(?:{KINDS})|remove(?:suffix|prefix)\(\s*["']_?(?:{KINDS})"""
)
IN_A_NAME = re.compile(rf"""["'][^"']*(?:{KINDS})[^"']*["']\s+(?:not\s+)?in\s+[\w.]*(?:name|note|label|rule)\b""")
OF_A_SENTENCE = re.compile(
    r"""\bre\.\w+\([^)]*\b[\w.]*(?:notes?|labels?|rules?|reasons?)\b|\.(?:search|match|fullmatch|findall|finditer)\([^)]*\b[\w.]*(?:notes?|labels?|rules?|reasons?)\b"""
)
BY_A_NAME = re.compile(r"""(?<!curves)\.curve\(\s*f?["']""")
IN_JAVASCRIPT = re.compile(
    rf"""(?:includes|startsWith|endsWith)\(\s*["'`][^"'`]*(?:{KINDS})|/[^/\n]*(?:{KINDS})[^/\n]*/\w*\.(?:test|exec)|replace\(/[^/\n]*(?:{KINDS})"""
)
ON_LABELS = re.compile(
    r"""/\w*\.(?:test|exec)\([^)]*\b(?:note|label|rule|name)\b|\b(?:note|label|rule|curve\.name|c\.name)\.(?:match|includes|startsWith|endsWith)\("""
)


def sources() -> list[Path]:
    ours = [path for path in ROOT.rglob("*.py") if path != OLD_LOGS]
    return [path for path in ours if path.relative_to(ROOT).parts[0] not in FOREIGN]


@pytest.mark.parametrize(
    "pattern", [OF_A_NAME, IN_A_NAME, OF_A_SENTENCE, BY_A_NAME], ids=["ends", "in", "sentence", "curve"]
)
def test_what_a_curve_is_is_read_from_its_fields(pattern: re.Pattern[str]) -> None:
    found = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path in sources()
        for match in pattern.finditer(path.read_text(encoding="utf-8"))
    ]
    assert found == []


def test_the_page_s_scripts_read_no_kind_out_of_a_name() -> None:
    scripts = [path for path in ASSETS.glob("*.js") if not path.name.startswith("uPlot")]
    assert len(scripts) > 10
    found = [
        f"{path.name}: {match[0]}"
        for path in scripts
        for pattern in (IN_JAVASCRIPT, ON_LABELS)
        for match in pattern.finditer(path.read_text(encoding="utf-8"))
    ]
    assert found == []


def test_no_line_of_the_page_s_scripts_is_over_120_characters() -> None:
    long = [
        f"{path.name}:{number}"
        for path in ASSETS.glob("*.js")
        if not path.name.startswith("uPlot")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if len(line) > 120
    ]
    assert long == []


@pytest.mark.parametrize(
    "line",
    [
        'if name.endswith("_corrected"):',
        'base = name.removesuffix("_scaled")',
        'if "corrected" in curve.name:',
        're.search("volume fraction", curve.note)',
        'record.curve("automask_corrected")',
    ],
)
def test_the_patterns_find_what_they_are_for(line: str) -> None:
    assert any(p.search(line) for p in (OF_A_NAME, IN_A_NAME, OF_A_SENTENCE, BY_A_NAME))
