"""The log survives kills, hands and newer versions."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from refine_hooks.errors import InputError, StorageError
from refine_hooks.log import file as journal
from refine_hooks.log.curves import Curve
from refine_hooks.log.file import append, read_journal
from refine_hooks.log.records import Failed, RoundRecord, Stop, now
from refine_hooks.model import Fingerprint, InputFile, Key


def a_round(iteration: int = 1, **more: object) -> RoundRecord:
    values: dict[str, object] = {
        "program": "cistem",
        "label": f"Round {iteration}",
        "measured_at": now(),
        "key": Key(run="package_1", iteration=iteration, class_id=1),
        "fingerprint": Fingerprint(inputs=(InputFile(name="a", size=1, mtime_ns=2),)),
        "box_px": 4,
        "voxel_size_A": 1.0,
        "frequency_per_A": (0.0, 0.25, 0.5),
        "voxels_in_shell": (1, 18, 45),
        "half_maps": None,
    }
    return RoundRecord.model_validate({**values, **more})


def a_failure(iteration: int = 1) -> Failed:
    r = a_round(iteration)
    return Failed(failed_at=now(), program="cistem", label=r.label, key=r.key, fingerprint=r.fingerprint, reason="torn")


def test_lines_come_back_as_they_were_appended(tmp_path: Path) -> None:
    lines = [a_round(1), a_failure(2), Stop(stopped_at=now(), reason="over", rounds_measured=1, rounds_failed=1)]
    append(tmp_path / "rounds.jsonl", lines[:2])
    append(tmp_path / "rounds.jsonl", lines[2:])
    assert list(read_journal(tmp_path / "rounds.jsonl").lines) == lines


def test_a_log_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert read_journal(tmp_path / "rounds.jsonl").lines == ()


def test_a_torn_tail_is_no_line_and_is_cut_before_the_next(tmp_path: Path) -> None:
    log = tmp_path / "rounds.jsonl"
    append(log, [a_round(1)])
    with log.open("ab") as stream:
        stream.write(b'{"type":"round","schema_ver' + b"x" * 200_000)
    assert len(read_journal(log).lines) == 1
    assert read_journal(log).faults == ()
    append(log, [a_round(2)])
    assert [line.key.iteration for line in read_journal(log).rounds] == [1, 2]
    assert read_journal(log).faults == ()


def test_every_line_that_is_none_of_ours_is_named_by_its_number(tmp_path: Path) -> None:
    log = tmp_path / "rounds.jsonl"
    newer = a_round(2).model_dump_json().replace('"schema_version":2', '"schema_version":9')
    edited = a_round(3).model_dump_json().replace('"box_px":4', '"box_px":"four"')
    log.write_text(
        "\n".join([a_round(1).model_dump_json(), newer, edited, "not JSON", "[]", a_round(4).model_dump_json()]) + "\n"
    )
    read = read_journal(log)
    assert [r.key.iteration for r in read.rounds] == [1, 4]
    assert [fault.split(": ")[0] for fault in read.faults] == [f"{log}:{n}" for n in (2, 3, 4, 5)]
    assert "newer version" in read.faults[0]
    assert "box_px" in read.faults[1]


def test_a_round_measured_again_stands_under_its_last_measurement(tmp_path: Path) -> None:
    log = tmp_path / "rounds.jsonl"
    append(log, [a_round(1), a_failure(2), a_round(1, label="again"), a_round(2), a_failure(3)])
    read = read_journal(log)
    assert [r.label for r in read.rounds] == ["again", "Round 2"]
    assert [f.key.iteration for f in read.failures] == [3]


def test_a_line_that_cannot_be_written_leaves_the_log_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "rounds.jsonl"
    append(log, [a_round(1)])
    before = log.read_bytes()
    real = journal.os.pwrite

    def half_then_full(handle: int, data: bytes, at: int) -> int:
        if at > len(before):
            raise OSError(28, "No space left on device")
        return real(handle, data[:10], at)

    monkeypatch.setattr(journal.os, "pwrite", half_then_full)
    with pytest.raises(StorageError, match="No space left"):
        append(log, [a_round(2)])
    assert log.read_bytes() == before


@given(st.binary(max_size=300))
def test_no_bytes_make_reading_crash(tmp_path_factory: pytest.TempPathFactory, raw: bytes) -> None:
    log = tmp_path_factory.mktemp("fuzz") / "rounds.jsonl"
    log.write_bytes(raw)
    read = read_journal(log)
    assert read.lines == ()


@pytest.mark.parametrize("text", ["package_1/4/1", "Refine3D/job001/12/2", "a/b/c/0/1"])
def test_a_key_reads_back_as_it_prints(text: str) -> None:
    assert str(Key.parse(text)) == text


@pytest.mark.parametrize("text", ["", "4/1", "run/x/1", "run/4/0", "run/4/-1", "run/4", "/4/1"])
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="RUN/ITERATION/CLASS"):
        Key.parse(text)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_nothing_that_json_cannot_say_gets_into_a_record(bad: float) -> None:
    with pytest.raises(ValidationError):
        Curve(name="sphere", correlation=(1.0, bad), rule="r")
