"""Names that are no UTF-8, hold a newline, are long, or become one when they are cleaned harm nothing but themselves."""

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from starlette.testclient import TestClient

from refine_hooks.cli._commands import application as commands
from refine_hooks.files.mrc import Map, write_map
from refine_hooks.files.names import meant, told, told_in
from refine_hooks.log.file import read_journal
from refine_hooks.log.folder import component
from refine_hooks.log.records import Failed, RoundRecord, now
from refine_hooks.model import Fingerprint, InputFile, Key
from refine_hooks.serve.app import application
from refine_hooks.serve.collection import collection_at
from refine_hooks.serve.events import Hub

BOX, VOXEL_A = 24, 4.0
RUNS = (b"plain", b"pl ain", b"pl_ain", b"caf\xe9", b"new\nline", b"b" * 250)
DATA = Path(__file__).parent / "data"
QUICK = (
    "[watch]\nsettle_s = 0.1\n[automask]\nenabled = false\n[fsc]\nrepeats = 2\n"
    "[analysis]\nlocal = 'never'\n[keep]\nmin_free_GB = 0.1\n"
)


@pytest.mark.parametrize("name", [*RUNS, b"a/b \xe9/c", "Å \u4e2d".encode(), b"50%", b"\x7f\x00"])
def test_a_name_is_told_in_one_valid_line_and_had_back(name: bytes) -> None:
    text = told(os.fsdecode(name))
    text.encode("utf-8")
    assert len(text.splitlines()) == 1
    assert os.fsencode(meant(text)) == name
    assert told(text) == text


def test_prose_keeps_its_lines() -> None:
    assert told_in("one\ntwo \udce9") == "one\ntwo \ufffdE9"


def test_no_two_names_become_one_component_of_a_path() -> None:
    names = [os.fsdecode(name) for name in RUNS]
    made = [component(name) for name in names]
    assert len(set(made)) == len(names)
    assert made[0] == "plain"
    assert made[2] == "pl_ain"
    assert [component(one) for one in made] == made
    assert max(map(len, made)) <= 100


def test_whatever_a_record_holds_can_be_written() -> None:
    odd = os.fsdecode(b"caf\xe9\n")
    failed = Failed(
        failed_at=now(),
        program="test",
        label=odd,
        key=Key(run=odd, iteration=1, class_id=1),
        fingerprint=Fingerprint(inputs=(InputFile(name=odd, size=1, mtime_ns=1),)),
        reason=f"{odd}: torn",
    )
    again = Failed.model_validate_json(failed.model_dump_json())
    assert again == failed
    assert again.fingerprint.inputs[0].path == Path(odd)
    assert Key.parse(str(failed.key)) == failed.key


def halves(folder: Path, names: tuple[str, str]) -> None:
    rng = np.random.default_rng(5)
    z, y, x = np.indices((BOX,) * 3) - BOX // 2
    ball = np.exp(-(((z / 4) ** 2 + (y / 5) ** 2 + (x / 7) ** 2) ** 2))
    signal = ball * (1 + rng.normal(size=ball.shape))
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        write_map(folder / name, Map((signal + 0.2 * rng.normal(size=ball.shape)).astype(np.float32), VOXEL_A), "t")


def ran(*arguments: object) -> subprocess.CompletedProcess[bytes]:
    command = [
        sys.executable,
        "-c",
        "from refine_hooks.cli import main; main()",
        *(os.fsencode(str(a)) for a in arguments),
    ]
    done = subprocess.run(command, capture_output=True, check=False, timeout=120)
    assert done.returncode in (0, 4), done.stderr
    return done


def read_by_all(out: Path) -> list[RoundRecord]:
    """The rounds of a log, once every reader has had it."""
    records = read_journal(out / "rounds.jsonl").rounds
    for arguments in (["audit", out, "--json"], ["report", out], ["show", out, records[-1].key]):
        commands()([str(argument) for argument in arguments], standalone_mode=False)
    table = ran("show", out).stdout.decode("utf-8")
    for record in records:
        assert str(record.key)[:20] in table
    logs = collection_at(out)
    asked = TestClient(application(logs, Hub(), lambda: None), base_url="http://127.0.0.1")  # type: ignore[arg-type,return-value]
    (log,) = logs.logs
    (shown,) = asked.get("/api/logs").json()["logs"]
    assert meant(shown["where"]) == str(out)
    assert asked.get("/metrics").status_code == 200
    rows = asked.get(f"/api/log/{log}").json()["rows"]
    assert {row["key"] for row in rows} == {str(record.key) for record in records}
    for row in rows:
        told_of = asked.get(f"/api/log/{log}/round", params={"key": row["key"]})
        assert told_of.status_code == 200
        (half, *_) = [link for link in told_of.json()["links"] if "half" in link["what"]] or [None]
        if half is not None:
            assert (
                asked.get(f"/api/log/{log}/file", params={"key": row["key"], "what": half["what"]}).status_code == 200
            )
    return list(records)


@pytest.mark.early
def test_a_project_with_odd_names_is_measured_and_read(tmp_path: Path) -> None:
    project = Path(os.fsdecode(os.fsencode(tmp_path) + b"/pro\xe9ject\n"))
    for run in RUNS[1:]:
        halves(project / os.fsdecode(run), ("it001_half1.mrc", "it001_half2.mrc"))
    config = tmp_path / "c.toml"
    config.write_text(
        "[generic]\nhalf1 = '(?P<run>.+)/it(?P<iteration>\\d+)_half(?P<half>[12])\\.mrc'\nfolders = ['*']\n" + QUICK
    )
    ran("once", project, "--program", "generic", "--config", config)
    records = read_by_all(project / "refine_hooks")
    assert len({record.key.run for record in records}) == len(RUNS) - 1
    for record in records:
        for file in record.fingerprint.inputs:
            assert (project / file.path).is_file()
    lines = (project / "refine_hooks" / "rounds.jsonl").read_bytes().splitlines()
    assert meant(json.loads(lines[0])["project"]) == str(project)


@pytest.mark.early
def test_a_relion_project_with_odd_names_is_measured_and_read(tmp_path: Path) -> None:
    project = Path(os.fsdecode(os.fsencode(tmp_path) + b"/r\xe9"))
    project.mkdir()
    with tarfile.open(DATA / "relion_refine3d.tgz") as archive:
        archive.extractall(project, filter="data")
    (job,) = (path.parent for path in project.rglob("run_it000_half1_model.star"))
    for path in list(job.iterdir()):
        if path.name.startswith("run_"):
            path.rename(path.with_name(os.fsdecode(b"r\xe9n") + path.name.removeprefix("run")))
    config = tmp_path / "c.toml"
    config.write_text(QUICK)
    ran("once", project, "--program", "relion", "--config", config, "--reconstruct", "never")
    records = read_by_all(project / "refine_hooks")
    assert records
    assert all("r\ufffdE9n" in record.key.run for record in records)
