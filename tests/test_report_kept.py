"""A report that is written again and again: what was made of a round is copied from the report before, and not held in memory."""

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image, PngImagePlugin
from rounds_data import healthy

from refine_hooks.log.file import append
from refine_hooks.log.folder import Store
from refine_hooks.report import page
from refine_hooks.report.file import Report
from refine_hooks.report.kept import Kept
from refine_hooks.report.view import LogView


def grown(view: LogView, *numbers: int) -> None:
    """Rounds with a picture each are logged and judged."""
    store = Store(view.index.out)
    for record in map(healthy, numbers):
        path = store.picture_path(record.key, record.label, "slices.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        about = PngImagePlugin.PngInfo()
        about.add_text("Description", f"slices of {record.label}")
        Image.effect_noise((64, 64), 50).save(path, pnginfo=about)
        append(view.index.path, [record])
    view.index.refresh()
    while view.judge.judge():
        pass


@pytest.fixture
def view(tmp_path: Path) -> LogView:
    made = LogView.of(tmp_path / "rounds.jsonl")
    grown(made, 1, 2, 3)
    return made


def made_anew(view: LogView) -> bytes:
    return but_its_time(b"".join(Report(Store(view.index.out)).parts(view)))


def but_its_time(report: bytes) -> bytes:
    return re.sub(rb'"written_at":"[^"]*"', b"", report)


def held_bytes(report: Report) -> int:
    pieces = [piece for part in report._parts.values() for piece in (part.detail, part.pictures)]
    assert all(pieces)
    return sum(len(piece) for piece in pieces if isinstance(piece, bytes))


def test_what_was_made_of_a_round_stays_in_the_report_and_not_in_memory(view: LogView) -> None:
    report = Report(Store(view.index.out))
    for number in (4, 5, 6):
        written = but_its_time(report.write(view).read_bytes())
        assert written == made_anew(view)
        assert held_bytes(report) == 0
        grown(view, number)


def edited(report: Path) -> None:
    report.write_bytes(report.read_bytes().replace(b"deflated", b"inflated"))
    os.utime(report, (1.7e9, 1.7e9))


HARMS: tuple[Callable[[Path], None], ...] = (edited, Path.unlink, lambda report: os.truncate(report, 1000))


@pytest.mark.parametrize("harm", HARMS)
def test_a_report_that_is_not_as_it_was_written_is_made_anew(view: LogView, harm: Callable[[Path], None]) -> None:
    report = Report(Store(view.index.out))
    harm(report.write(view))
    assert but_its_time(report.write(view).read_bytes()) == made_anew(view)


def test_a_report_that_could_not_be_written_is_written_the_next_time(
    view: LogView, monkeypatch: pytest.MonkeyPatch
) -> None:
    report, real = Report(Store(view.index.out)), page.of_round
    report.write(view)
    grown(view, 4)

    def of_round(key: str, *detail: bytes) -> tuple[bytes, ...]:
        if key == "run/2/1":
            raise OSError("no")
        return real(key, *detail)

    with monkeypatch.context() as patch:
        patch.setattr(page, "of_round", of_round)
        with pytest.raises(Exception, match="no"):
            report.write(view)
    assert but_its_time(report.write(view).read_bytes()) == made_anew(view)


def test_a_file_that_is_cut_while_it_is_read_counts_as_not_written(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "file")
    kept.path.write_bytes(b"0123456789")
    assert kept.written()
    with kept.opened() as as_written:
        assert as_written
        assert kept.piece((2, 3)) == b"234"
        os.truncate(kept.path, 4)
        with pytest.raises(OSError, match="was cut"):
            kept.piece((2, 3))
    with kept.opened() as as_written:
        assert not as_written
