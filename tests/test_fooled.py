"""The guide's table of what fools an FSC is what the program says today."""

from pathlib import Path

import pytest
from fooled import FAST, KINDS, Kind, row, said

PAGE = Path(__file__).resolve().parent.parent / "refine_hooks" / "guide" / "explanation" / "what-fools.md"


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.name in FAST], ids=lambda kind: kind.name)
def test_a_row_of_the_table_is_what_is_measured(kind: Kind) -> None:
    assert row(said(kind)) in PAGE.read_text("utf-8").splitlines()


def test_the_table_has_a_row_for_each_kind_in_their_order() -> None:
    rows = [line.split(" | ")[0] for line in PAGE.read_text("utf-8").splitlines() if line.startswith("| ")]
    assert [f"| {kind.name}" for kind in KINDS] == [name for name in rows if name != "| what is wrong"]
