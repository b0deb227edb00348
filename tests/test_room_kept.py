"""The room that is kept free for the refinement, in every place that writes; and a spool that cannot be written to."""

import os
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cistem_project
import numpy as np
import pytest
from full_disk import of_cistem
from heard import hear

from refine_hooks.errors import StorageError
from refine_hooks.programs import _saving
from refine_hooks.programs.cistem import dumps
from refine_hooks.programs.cistem.capture import capture
from refine_hooks.reconstruct import Desk, _Saving
from refine_hooks.watch.loop import run


@pytest.fixture
def nearly_full(monkeypatch: pytest.MonkeyPatch) -> None:
    """3 GB are free; links and shared extents cannot be had."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=3_000_000_000))

    def refused(*_: object, **__: object) -> None:
        raise OSError("not here")

    monkeypatch.setattr(os, "link", refused)
    monkeypatch.setattr(_saving.fcntl, "ioctl", refused)


@pytest.mark.usefixtures("nearly_full")
@pytest.mark.parametrize(("keep_GB", "saved"), [(2.9, True), (4.0, False)])
def test_dumps_are_copied_only_where_the_room_that_was_asked_for_stays_free(
    tmp_path: Path, keep_GB: float, saved: bool
) -> None:
    w = of_cistem(tmp_path / "project", tmp_path / "out", {"keep": {"min_free_GB": keep_GB}})
    w.store.make()
    if saved:
        assert w.opened.capture()
    else:
        with pytest.raises(StorageError, match="lower min_free_GB"):
            w.opened.capture()
    assert any((tmp_path / "out").rglob("*.dump*")) == saved


@pytest.mark.usefixtures("nearly_full")
def test_without_settings_two_gigabytes_stay_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    of_cistem(tmp_path / "project", tmp_path / "out")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=2_000_000_000))
    with pytest.raises(StorageError, match="2 GB stay free"):
        capture(tmp_path / "project", tmp_path / "spool")


def test_a_copy_and_its_name_are_on_the_disk_before_it_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = tmp_path / "source", tmp_path / "spool" / "target"
    source.write_bytes(b"dump")
    target.parent.mkdir()
    flushed: list[str] = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda h: (flushed.append(os.readlink(f"/proc/self/fd/{h}")), real(h))[1])
    state = source.stat()
    assert _saving.copy_whole(source, target, state.st_size, state.st_mtime_ns, 0)
    assert flushed[0].endswith(".part")
    assert flushed[1:] == [str(target.parent)]


def test_partial_sums_are_not_saved_into_the_last_of_the_disk(tmp_path: Path) -> None:
    def full(size: int) -> None:
        raise StorageError(f"{size} bytes are too many")

    said = hear()
    saving = object.__new__(_Saving)
    saving.sums, saving.desk, saving.total, saving.what = (
        np.zeros(8),
        Desk(checkpoint=tmp_path / "c", require=full),
        1,
        "",
    )
    saving.save(1)
    assert not (tmp_path / "c").exists()
    assert any("64 bytes are too many" in text for text in said)


def test_a_spool_that_cannot_be_written_to_is_said_and_not_at_every_scan(tmp_path: Path) -> None:
    w = of_cistem(tmp_path / "project", tmp_path / "out")
    w.store.make()
    w.store.spool.write_text("a file where the folder should be")
    said = hear()
    run(w, [0.0, 1.0, 2.0, 3.0, 4.0])
    told = [text for text in said if "could not be kept" in text and "cannot be saved" in text]
    assert 1 <= len(told) <= 2  # once more after something was measured


def test_an_output_folder_that_goes_while_dumps_are_saved_is_not_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch, out = tmp_path / "Scratch" / "AutoRefine3D", tmp_path / "out"
    scratch.mkdir(parents=True)
    for name, content in cistem_project.dumps(2).items():
        (scratch / name).write_bytes(content)
    looked = dumps.attempts

    def then_gone(*args: Any, **more: Any) -> Any:
        found = looked(*args, **more)
        out.rename(tmp_path / "away")
        return found

    out.mkdir()
    monkeypatch.setattr(dumps, "attempts", then_gone)
    with pytest.raises(StorageError):
        capture(tmp_path, out / "spool")
    assert not out.exists()
