"""What nights bring: projects that go and come back, links out of the store, a hundred rounds at once."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from small_program import a_watch, fingerprint, lines_of, write_round

from refine_hooks.maps import read_map
from refine_hooks.records import Failed, Key, RoundRecord
from refine_hooks.run import run
from refine_hooks.store import Store, slug


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    write_round(folder, 1)
    return folder


def test_a_project_renamed_away_and_back_loses_nothing(project: Path, tmp_path: Path) -> None:
    said: list[str] = []
    w = a_watch(project, said)
    w.store = Store(tmp_path / "out")

    def ticks() -> Iterator[float]:
        yield 0.0
        project.rename(tmp_path / "away")
        yield 1.0
        (tmp_path / "away").rename(project)
        write_round(project, 2)
        yield 2.0

    run(w, ticks())
    assert [str(line.key) for line in w.lines if isinstance(line, RoundRecord)] == ["run/1/1", "run/2/1"]
    assert any("gone or out of reach" in text for text in said)
    assert not [line for line in w.lines if isinstance(line, Failed)]


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_permissions_taken_and_given_back_lose_nothing(project: Path, tmp_path: Path) -> None:
    w = a_watch(project, [])
    w.store = Store(tmp_path / "out")

    def ticks() -> Iterator[float]:
        project.chmod(0o000)
        yield 0.0
        project.chmod(0o755)
        yield 1.0

    run(w, ticks())
    assert [str(line.key) for line in w.lines if isinstance(line, RoundRecord)] == ["run/1/1"]


def test_an_input_deleted_or_growing_while_it_is_watched_is_a_line_or_is_waited_for(project: Path) -> None:
    second = project / "it1_half2.mrc"
    whole = second.read_bytes()
    w = a_watch(project, [], {"watch": {"settle_s": 2.0}})

    def ticks() -> Iterator[float]:
        for step, size in enumerate((2000, 9000, 20000, len(whole))):
            second.write_bytes(whole[:size])
            os.utime(second, ns=(10**9 * (step + 1), 10**9 * (step + 1)))
            yield float(step)
        yield 10.0

    run(w, ticks())
    assert lines_of(project, Failed) == []
    (record,) = lines_of(project, RoundRecord)
    np.testing.assert_array_equal(
        read_map(project / "refine_hooks" / record.half_maps.paths[1]).voxels, read_map(second).voxels
    )


def test_a_read_only_project_is_measured_elsewhere_and_stays_as_it_is(project: Path, tmp_path: Path) -> None:
    before = fingerprint(project)
    for path in project.iterdir():
        path.chmod(0o444)
    project.chmod(0o555)
    w = a_watch(project, [])
    w.store = Store(tmp_path / "out")
    try:
        run(w, [0.0])
    finally:
        project.chmod(0o755)
    assert len([line for line in w.lines if isinstance(line, RoundRecord)]) == 1
    assert fingerprint(project) == before
    assert not (project / "refine_hooks").exists()


@pytest.mark.parametrize(
    "run_name",
    ["../../etc", "/etc/passwd", "a/../../b", "..", ".hidden/..", "nul\0byte", "a" * 30 + "/\n", "Refine3D/job001"],
)
def test_no_name_of_a_project_leads_out_of_the_store(tmp_path: Path, run_name: str) -> None:
    store = Store(tmp_path / "out")
    key = Key(run=run_name, iteration=1, class_id=1)
    for path in (
        *store.half_map_paths(key, "../x"),
        store.mask_path(key, "/y", "../m"),
        store.picture_path(key, "..", "../p.png"),
    ):
        assert path.resolve().is_relative_to((tmp_path / "out").resolve())
        assert "\0" not in str(path)


@pytest.mark.parametrize(
    ("text", "wanted"), [("Auto #4 - Round 3", "Auto_4_-_Round_3"), ("..", "_"), ("", "_"), ("a/b", "a_b"), (".x", "x")]
)
def test_a_slug_is_one_harmless_name(text: str, wanted: str) -> None:
    assert slug(text) == wanted
