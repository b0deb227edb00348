"""The summaries that are kept beside a long log: the next reader begins with them, and never believes them blindly."""

import os
import random
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from rounds_data import a_failure, a_round, falling

from refine_hooks.log import index as index_module
from refine_hooks.log import stored
from refine_hooks.log.file import append
from refine_hooks.log.folder import index_path
from refine_hooks.log.headline import with_headline
from refine_hooks.log.index import LogIndex
from refine_hooks.log.records import Failed, LogLine, RoundRecord
from refine_hooks.model import Fingerprint, Key


def rounds(first: int, last: int) -> list[RoundRecord]:
    return [a_round({"unmasked": falling(20), "sphere": falling(20 + n)}, n) for n in range(first, last + 1)]


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A log of 12 rounds, one of which was measured twice, with a failure and a line that is none of ours."""
    monkeypatch.setattr(stored, "WORTH_KEEPING", 1000)
    path = tmp_path / "rounds.jsonl"
    append(path, [*rounds(1, 9), a_failure(10, "torn")])
    with path.open("ab") as stream:
        stream.write(b"no line of ours\n\n")
    again = rounds(3, 3)[0].model_copy(update={"fingerprint": Fingerprint(revision="other")})
    append(path, [again, *rounds(11, 12)])
    return path


def read(path: Path) -> LogIndex:
    index = LogIndex(path)
    index.read()
    return index


def told(index: LogIndex) -> object:
    return (
        [(known, known.fingerprint, known.curves) for known in index.summaries()],
        index.failures(),
        index.faults,
        index.curves(),
        [index.last(known.key) for known in index.summaries()],
    )


def lines_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """How many rounds had to be read from the log itself."""
    seen = []
    with monkeypatch.context() as patched:
        skimmed = index_module.skimmed
        patched.setattr(index_module, "skimmed", lambda text: (seen.append(text), skimmed(text))[1])
        read(path)
    return sum(b'"type":"round"' in text for text in seen)


def test_the_next_reader_knows_the_same_and_reads_what_was_appended_alone(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = told(read(log))
    assert index_path(log).is_file()
    assert told(read(log)) == first
    assert lines_read(log, monkeypatch) == 1  # the superseded one
    append(log, rounds(13, 13))
    assert lines_read(log, monkeypatch) == 2
    kept = told(read(log))
    index_path(log).unlink()
    assert told(read(log)) == kept


@pytest.mark.parametrize("then", ["at rest", "a round is appended"])
def test_a_line_that_was_edited_in_its_place_is_read_anew(log: Path, then: str) -> None:
    read(log)
    with log.open("r+b") as stream:
        at = stream.read().index(b'"iteration":5,')
        stream.seek(at)
        stream.write(b'"iteration":7,')
    if then != "at rest":
        append(log, rounds(13, 13))
    kept = told(read(log))
    index_path(log).unlink()
    assert told(read(log)) == kept


@pytest.mark.parametrize("harm", ["torn", "edited", "empty", "binary", "nested", "another"])
def test_a_file_that_was_harmed_is_not_believed(log: Path, harm: str, tmp_path: Path) -> None:
    first = told(read(log))
    path = index_path(log)
    text = path.read_bytes()
    other = tmp_path / "other" / "rounds.jsonl"
    other.parent.mkdir()
    append(other, rounds(1, 9))
    read(other)
    harmed = {
        "torn": text[: len(text) * 2 // 3],
        "edited": text.replace(b'"run"', b'"fun"', 1),
        "empty": b"",
        "binary": bytes(range(256)) * 8,
        "nested": b"[" * 100_000 + b"\n",
        "another": index_path(other).read_bytes(),
    }[harm]
    path.write_bytes(harmed)
    assert told(read(log)) == first


def test_a_pipe_or_a_folder_under_its_name_harms_nothing(log: Path) -> None:
    first = told(read(log))
    index_path(log).unlink()
    os.mkfifo(index_path(log))
    assert told(read(log)) == first
    index_path(log).unlink(missing_ok=True)
    index_path(log).mkdir()
    assert told(read(log)) == first


def test_a_log_that_was_cut_copied_or_whose_last_line_was_edited_is_read_anew(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read(log)
    whole = log.read_bytes()
    log.write_bytes(whole.replace(b'"iteration":12', b'"iteration":19'))
    assert lines_read(log, monkeypatch) == 12
    assert 19 in {known.key.iteration for known in read(log).summaries()}
    log.write_bytes(whole[: len(whole) // 2])
    assert len(read(log).summaries()) < 9
    copy = log.parent / "copy"
    copy.mkdir()
    for file in (log, index_path(log)):
        shutil.copy(file, copy)
    assert told(read(copy / log.name)) == told(read(log))


def test_where_it_cannot_be_written_the_log_is_read_all_the_same(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(os, "replace", refused)
    assert len(read(log).summaries()) == 11
    assert [path.name for path in log.parent.iterdir()] == ["rounds.jsonl"]


def test_rounds_that_are_added_while_it_is_followed_are_kept_by_the_next_reader(log: Path) -> None:
    index = read(log)
    for record in rounds(20, 24):
        ((offset, length),) = append(log, [record])
        index.add(record, offset, length)
    index.read()
    assert told(read(log)) == told(index)
    assert isinstance(index.failures()[0], Failed)


def test_a_log_that_was_touched_is_gone_through_once(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = told(read(log))
    log.chmod(0o600)
    gone_through = []
    with monkeypatch.context() as patched:
        whole = stored.checksum
        patched.setattr(
            stored, "checksum", lambda handle, start, *rest: gone_through.append(start) or whole(handle, start, *rest)
        )
        assert told(read(log)) == known
        assert 0 in gone_through
        gone_through.clear()
        assert told(read(log)) == known
    assert 0 not in gone_through


def test_a_short_log_has_no_such_file(tmp_path: Path) -> None:
    log = tmp_path / "rounds.jsonl"
    append(log, rounds(1, 3))
    read(log)
    assert not index_path(log).exists()


NOT_SHOWN = {
    *("scipy", "skimage", "mrcfile", "matplotlib", "PIL"),
    *(
        f"refine_hooks.{room}"
        for room in ("fourier", "fsc", "masks", "measure", "particles", "kernels.fft", "watch", "programs")
    ),
}


def test_showing_a_round_needs_none_of_what_measuring_does(tmp_path: Path) -> None:
    log = tmp_path / "rounds.jsonl"
    append(log, rounds(1, 3))
    command = (
        "import importlib.metadata, sys; importlib.metadata.entry_points = lambda **_: sys.exit('searched for plugins'); "
        "from refine_hooks.cli._commands import application; "
        "application('show')(sys.argv[1:], standalone_mode=False); "
        f"print(sorted({NOT_SHOWN!r} & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", command, "show", str(log), "run/3/1"], capture_output=True, text=True, check=True
    )
    assert done.stderr.strip() == "[]"


def test_a_summary_with_inputs_that_are_none_has_none(log: Path) -> None:
    known = next(iter(read(log).summaries()))
    assert replace(known, inputs=b"nan" + known.inputs).fingerprint == Fingerprint()


def a_hard_log(path: Path, seed: int) -> list[Key]:
    """Rounds of two runs and three classes in a shuffled order: some failed, measured again, or known by another key since."""
    draw = random.Random(seed)
    lines: list[LogLine] = []
    keys = [(run, n, c) for run in ("run", "other/run") for c in (2, 1, 3) for n in range(1, 18)]
    draw.shuffle(keys)
    for run, n, class_id in keys:
        record = a_round({"unmasked": falling(20), "sphere": falling(20 + draw.randrange(8))}, n)
        key = Key(run=run, iteration=n, class_id=class_id)
        record = with_headline(record.model_copy(update={"key": key, "fingerprint": Fingerprint(revision=str(n))}))
        lines += [a_failure(n, "torn").model_copy(update={"key": key})] if draw.random() < 0.2 else []
        lines.append(record)
        if draw.random() < 0.2:
            lines.append(record.model_copy(update={"fingerprint": Fingerprint(revision="other")}))
        if draw.random() < 0.2:
            before = draw.choice([line.key for line in lines if isinstance(line, RoundRecord)])
            lines.append(
                record.model_copy(
                    update={"key": Key(run=run, iteration=40 + n, class_id=class_id), "supersedes": before}
                )
            )
    append(path, lines)
    return list(dict.fromkeys(line.key for line in lines if isinstance(line, RoundRecord)))


def beside(index: LogIndex, key: Key) -> object:
    near = index.beside([key])
    places = [(known.place, known.earlier) for one in near.lines if (known := index.summary(one.key)) is not None]
    return near.rounds, near.lines, near.failed, places, index.summary(key) is None, index.faults


LATER = a_round({"unmasked": falling(20), "sphere": falling(60)}, 12)
OF_ANOTHER = LATER.model_copy(update={"key": LATER.key.model_copy(update={"iteration": 30})})


@pytest.mark.parametrize("tail", [[], [OF_ANOTHER], [LATER], [a_failure(2, "gone")]])
def test_one_round_of_a_long_log_is_read_with_what_it_is_compared_with_and_no_more(
    tail: list[LogLine], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored, "WORTH_KEEPING", 1000)
    path = tmp_path / "rounds.jsonl"
    keys = a_hard_log(path, len(tail))
    read(path)
    append(path, tail)
    whole, known = read(path), []
    for key in [*keys[::15], Key(run="run", iteration=99, class_id=1), Key(run="none", iteration=1, class_id=1)]:
        one = LogIndex(path, key)
        one.read()
        assert beside(one, key) == beside(whole, key)
        known.append(len(one.summaries()))
    of_a_round_passed_over = tail not in ([], [OF_ANOTHER])
    assert (min(known) == len(whole.summaries())) is of_a_round_passed_over
