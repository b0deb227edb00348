"""Fixtures that several files share, and the order of the tests."""

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from itertools import chain, groupby, islice
from pathlib import Path

import chromium
import live_logs
import pytest
from heard import hear_no_more

SHARED = Path(__file__).resolve().parents[2] / "shared"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin each of the equal parts that the processes of a run are given with long tests, file by file."""
    early = [item for item in items if item.get_closest_marker("early")]
    others = iter([item for item in items if not item.get_closest_marker("early")])
    processes = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    parts: list[list[pytest.Item]] = [[] for _ in range(processes)]
    for number, (_, of_file) in enumerate(groupby(early, key=lambda item: item.path)):
        parts[number % processes] += of_file
    for part in parts:
        part.extend(islice(others, max(0, len(items) // processes - len(part))))
    items[:] = [*chain.from_iterable(parts), *others]


@pytest.fixture(autouse=True)
def _plain_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("NO_COLOR", "1")


@pytest.fixture(autouse=True)
def _nobody_listens_any_more() -> Iterator[None]:
    hear_no_more()
    yield
    hear_no_more()


@pytest.fixture(scope="session")
def shared() -> Path:
    if not SHARED.is_dir():
        pytest.skip("the large reference data are not there")
    return SHARED


@pytest.fixture
def quick_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rounds are measured without what takes longest and is looked at elsewhere: how the halves lie to each other, and pictures."""
    monkeypatch.setattr("refine_hooks.measure.superposition", lambda *_: None)
    monkeypatch.setattr("refine_hooks.watch.products.write_pictures", lambda *_: None)


MadeOnce = Callable[[str, Callable[[Path], object]], Path]


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> MadeOnce:
    """Gives a folder by its name; the first process of a run that asks makes it, and the others wait. It is there to be read."""
    base = tmp_path_factory.getbasetemp()
    root = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "made_once"
    root.mkdir(exist_ok=True)

    def folder(name: str, make: Callable[[Path], object]) -> Path:
        place, done = root / name, root / f"{name}.done"
        with (root / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not done.exists():
                shutil.rmtree(place, ignore_errors=True)
                make(place)
                done.touch()
        return place

    return folder


@pytest.fixture(scope="session")
def three_rounds(made_once: MadeOnce) -> Path:
    """The log of a project with three measured rounds, to be copied."""
    return made_once("three_rounds", live_logs.measured_project) / "refine_hooks" / "rounds.jsonl"


@pytest.fixture(scope="session")
def _chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[chromium.Page]:
    with chromium.started(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture(scope="module")
def browser(_chromium: chromium.Page) -> Iterator[chromium.Page]:
    """A fresh tab for each file, in one browser for a process."""
    with chromium.tab(_chromium) as tab:
        yield tab


collect_ignore = ["data"]  # the example package has a test of its own, which is run where it is installed
