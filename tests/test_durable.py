"""What a record says is on the disk, and not only in memory, before anybody is told: a power cut takes nothing that was said."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from full_disk import of_cistem
from small_program import a_watch, lines_of, write_round

from refine_hooks.log.file import read_journal
from refine_hooks.log.records import RoundRecord
from refine_hooks.watch import loop
from refine_hooks.watch.loop import run


def _place(what: Any) -> str:
    return os.readlink(f"/proc/self/fd/{what}") if isinstance(what, int) else os.fspath(what)


def test_files_are_flushed_before_they_get_their_names_and_the_log_before_the_round_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_round(tmp_path, 1)
    w = a_watch(tmp_path)
    done: list[tuple[str, str]] = []

    def noted(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **more: Any) -> Any:
            place = _place(args[0])
            answer = real(*args, **more)
            if place.startswith(str(w.store.out)):
                done.append((name, place))
                if name == "replace":
                    done.append(("named", os.fspath(args[1])))
            return answer

        return call

    for name in ("fsync", "replace", "pwrite"):
        monkeypatch.setattr(os, name, noted(name, getattr(os, name)))
    count_and_say = loop.count_and_say

    def told(*args: Any) -> None:
        done.append(("told", ""))
        count_and_say(*args)

    monkeypatch.setattr(loop, "count_and_say", told)
    run(w, [0.0])

    renamed = [place for what, place in done if what == "replace"]
    assert len(renamed) >= 5  # two half maps, the mask, pictures, the report
    for place in renamed:
        assert ("fsync", place) in done[: done.index(("replace", place))], place
    log = str(w.store.log)
    at = done.index(("told", ""))
    written = max(n for n, each in enumerate(done[:at]) if each == ("pwrite", log))
    assert ("fsync", log) in done[written:at]
    (record,) = lines_of(tmp_path, RoundRecord)
    assert record.half_maps is not None
    assert record.half_maps.paths is not None
    for path in (*record.half_maps.paths, *(mask.path for mask in record.masks if mask.path)):
        assert ("named", str(w.store.out / path)) in done[:written], path


def test_dumps_are_removed_after_their_round_is_logged_and_what_they_were_is_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    w = of_cistem(tmp_path / "project", tmp_path / "out")
    done: list[tuple[str, str]] = []

    def noted(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **more: Any) -> Any:
            done.append((name, _place(args[-1] if name == "replace" else args[0])))
            return real(*args, **more)

        return call

    for name in ("replace", "pwrite", "unlink"):
        monkeypatch.setattr(os, name, noted(name, getattr(os, name)))
    run(w, [0.0, 1.0])
    gone = [n for n, (name, place) in enumerate(done) if name == "unlink" and place.endswith(".dump")]
    logged = max(n for n, each in enumerate(done[: gone[0]]) if each == ("pwrite", str(w.store.log)))
    assert len(gone) == 4
    assert any(name == "replace" and place.endswith("/discarded.json") for name, place in done[logged : gone[0]])
    (record,) = [line for line in read_journal(w.store.log).lines if isinstance(line, RoundRecord)]
    assert record.half_maps is not None
