"""Fixtures that several files share."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from heard import hear_no_more

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(autouse=True)
def _plain_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("NO_COLOR", "1")


@pytest.fixture(autouse=True)
def _nobody_listens_any_more() -> Iterator[None]:
    yield
    hear_no_more()


@pytest.fixture(scope="session")
def shared() -> Path:
    if not SHARED.is_dir():
        pytest.skip("the large reference data are not there")
    return SHARED


collect_ignore = ["data"]  # the example package has a test of its own, which is run where it is installed
