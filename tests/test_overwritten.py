"""Pairs that a program writes over: kept once per iteration, never mixed, never half-written."""

import os
from pathlib import Path

import numpy as np
import pytest

from refine_hooks.errors import StorageError
from refine_hooks.files.mrc import Map, read_map, write_map
from refine_hooks.programs import _overwritten as overwritten


class Program:
    """Writes two halves over and over; each file says which iteration it is of. The clock is the file's mtime."""

    def __init__(self, folder: Path) -> None:
        self.pair = (folder / "even.mrc", folder / "odd.mrc")
        self.folder = folder

    def write(self, which: int, iteration: int, at_s: float) -> None:
        value = np.full((4, 4, 4), iteration, np.float32)
        write_map(self.pair[which], Map(value, 1.0), "a half")
        os.utime(self.pair[which], (at_s, at_s))

    def number(self, iteration: int, at_s: float) -> None:
        path = self.folder / f"map_{iteration:02d}.txt"
        path.touch()
        os.utime(path, (at_s, at_s))

    def numbered(self) -> list[tuple[int, Path]]:
        return [(int(path.stem[4:]), path) for path in self.folder.glob("map_*.txt")]


@pytest.fixture
def program(tmp_path: Path) -> Program:
    (tmp_path / "project").mkdir()
    return Program(tmp_path / "project")


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    return overwritten.spool_folder(tmp_path / "spool", "some", "run_1", 2)


def keep(program: Program, iteration: int | None, folder: Path, **more) -> list[Path]:
    return overwritten.keep(program.pair, iteration, folder, spool=folder.parents[2], **more)


def look(program: Program, spool: Path, find=overwritten.written_after, **more) -> list[str]:
    found = find(program.pair, program.numbered())
    return [p.name for p in keep(program, found, spool, whole=overwritten.whole_mrc, **more)]


def contents(spool: Path) -> dict[int, tuple[float, float]]:
    """What iteration each kept file is of."""
    return {
        number: tuple(float(read_map(path).voxels[0, 0, 0]) for path in this.halves)
        for number, this in overwritten.kept(spool).items()
    }


def test_each_iteration_is_kept_once_however_often_it_is_looked_at(program, spool):
    for iteration, at_s in ((1, 100.0), (2, 200.0), (3, 300.0)):
        for which in (0, 1):
            program.write(which, iteration, at_s + which)
            assert look(program, spool) == [], "a pair whose number has not come is not kept"
        program.number(iteration, at_s + 2)
        assert look(program, spool) == ["even.mrc", "odd.mrc"]
        assert look(program, spool) == []
    assert contents(spool) == {1: (1, 1), 2: (2, 2), 3: (3, 3)}


def test_a_look_between_the_two_halves_mixes_no_iterations(program, spool):
    for which in (0, 1):
        program.write(which, 1, 100.0 + which)
    program.number(1, 90.0)
    assert look(program, spool, overwritten.written_before) == ["even.mrc", "odd.mrc"]
    program.number(2, 190.0)
    program.write(0, 2, 200.0)
    assert look(program, spool, overwritten.written_before) == []
    program.write(1, 2, 201.0)
    assert look(program, spool, overwritten.written_before) == ["even.mrc", "odd.mrc"]
    assert contents(spool) == {1: (1, 1), 2: (2, 2)}


def test_a_first_look_between_the_two_halves_is_put_right_by_the_second(program, spool):
    program.number(1, 90.0)
    program.write(1, 1, 101.0)
    program.number(2, 190.0)
    program.write(0, 2, 200.0)
    assert look(program, spool, overwritten.written_before)
    assert contents(spool) == {1: (2, 1)}
    program.write(1, 2, 201.0)
    assert look(program, spool, overwritten.written_before)
    assert contents(spool) == {2: (2, 2)}, "the true pair takes the place of the mixed one"


def test_a_half_that_is_torn_or_still_warm_is_waited_for(program, spool):
    program.number(1, 90.0)
    for which in (0, 1):
        program.write(which, 1, 100.0)
    whole = program.pair[1].read_bytes()
    program.pair[1].write_bytes(whole[:-4])
    os.utime(program.pair[1], (100.0, 100.0))
    assert look(program, spool, overwritten.written_before) == []
    program.pair[1].write_bytes(whole)
    assert look(program, spool, overwritten.written_before) == [], "written this moment"
    os.utime(program.pair[1], (100.0, 100.0))
    assert look(program, spool, overwritten.written_before) == ["even.mrc", "odd.mrc"]


def test_what_was_discarded_is_not_kept_again_until_it_changes(program, spool):
    for which in (0, 1):
        program.write(which, 1, 100.0)
    program.number(1, 101.0)
    look(program, spool)
    overwritten.discard(overwritten.kept(spool)[1])
    this = overwritten.kept(spool)[1]
    assert this.halves is None
    assert [path.name for path in this.folder.iterdir()] == ["kept.json"]
    assert look(program, spool) == []
    for which in (0, 1):
        program.write(which, 7, 110.0)
    program.number(1, 111.0)
    assert look(program, spool) == ["even.mrc", "odd.mrc"], "the program did the same iteration again"
    assert contents(spool) == {1: (7, 7)}


def test_a_copy_stays_as_it_was_when_the_program_writes_into_the_same_file(program, spool):
    for which in (0, 1):
        program.write(which, 1, 100.0)
    program.number(1, 101.0)
    look(program, spool)
    with program.pair[0].open("r+b") as stream:
        stream.seek(1024)
        stream.write(np.full(64, 9, np.float32).tobytes())
    assert contents(spool) == {1: (1, 1)}


def test_files_that_are_only_removed_are_linked_with_the_masks_beside_them(program, spool):
    for which in (0, 1):
        program.write(which, 1, 100.0)
    mask = program.folder / "mask.mrc"
    write_map(mask, Map(np.ones((4, 4, 4), np.float32), 1.0), "a mask")
    files = (mask, program.folder / "mask_that_is_not_there.mrc")
    saved = keep(program, 5, spool, beside_it=files, whole=overwritten.whole_mrc, rewritten=False)
    assert [path.name for path in saved] == ["even.mrc", "odd.mrc", "mask.mrc"]
    this = overwritten.kept(spool)[5]
    assert program.pair[0].stat().st_ino == this.halves[0].stat().st_ino, "no space is taken"
    assert this.file("mask.mrc") == this.folder / "mask.mrc"
    assert this.file("mask_that_is_not_there.mrc") is None
    for path in (*program.pair, mask):
        path.unlink()
    assert contents(spool) == {5: (1, 1)}


def test_a_file_named_by_time_gives_the_number(program):
    for which in (0, 1):
        program.write(which, 1, 100.0 + which)
    for number, at_s in ((1, 50.0), (2, 100.5), (3, 150.0), (4, 250.0)):
        program.number(number, at_s)
    assert overwritten.written_after(program.pair, program.numbered()) == 3
    assert overwritten.written_before(program.pair, program.numbered()) == 1
    assert overwritten.written_after(program.pair, []) is None
    assert overwritten.written_before((program.pair[0], program.folder / "none"), program.numbered()) is None


def test_the_last_of_the_disk_is_left_to_the_refinement(program, spool, monkeypatch):
    for which in (0, 1):
        program.write(which, 1, 100.0)
    program.number(1, 101.0)
    nearly_full = type("Usage", (), {"free": 1_900_000_000})
    with monkeypatch.context() as patch:
        patch.setattr("shutil.disk_usage", lambda path: nearly_full)
        with pytest.raises(StorageError, match=r"1.90 GB are free.*--out"):
            look(program, spool)
        assert contents(spool) == {}
        assert list(spool.iterdir()) == [], "nothing half-done is left"
    assert look(program, spool) == ["even.mrc", "odd.mrc"]


def test_a_mask_that_goes_while_it_is_looked_at_is_left_out(program, spool):
    for which in (0, 1):
        program.write(which, 1, 100.0)
    mask = program.folder / "mask.mrc"
    write_map(mask, Map(np.ones((4, 4, 4), np.float32), 1.0), "a mask")

    def whole(path: Path) -> bool:
        ready = overwritten.whole_mrc(path)
        if path == mask:
            mask.unlink()
        return ready

    assert keep(program, 5, spool, beside_it=[mask], whole=whole, rewritten=False) == []
    saved = keep(program, 5, spool, beside_it=[mask], whole=whole, rewritten=False)
    assert [path.name for path in saved] == ["even.mrc", "odd.mrc"]


def test_a_pair_that_is_written_over_while_it_is_copied_is_not_kept(program, spool, monkeypatch):
    """The first half is copied whole, and then the program goes on to the next iteration."""
    for which in (0, 1):
        program.write(which, 1, 100.0)
    program.number(1, 300.0)
    copy_whole = overwritten.copy_whole

    def copied(source: Path, target: Path, size: int, mtime_ns: int, keep: int) -> bool:
        done = copy_whole(source, target, size, mtime_ns, keep)
        if source == program.pair[1]:
            program.write(0, 2, 200.0)
        return done

    with monkeypatch.context() as patch:
        patch.setattr(overwritten, "copy_whole", copied)
        assert look(program, spool) == []
    assert contents(spool) == {}
