"""``explain``: what a directory is and why, and what a watch would do; it writes nothing at all."""

import json
import shutil
import tarfile
from pathlib import Path
from typing import Any

import cistem_project
import pytest
from command_line import cli as in_this_process
from pairs_data import PROGRAMS
from small_program import BOX, program, write_round

from refine_hooks import cli
from refine_hooks import programs as projects
from refine_hooks.explain import explain
from refine_hooks.log.folder import Store
from refine_hooks.log.records import Failed, Stop, now
from refine_hooks.programs.cistem import dumps
from refine_hooks.settings import load_settings
from refine_hooks.testing import fingerprint
from refine_hooks.watch.loop import Watch, run

JOB = Path("Refine3D") / "job001"


@pytest.fixture
def relion(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    with tarfile.open(Path(__file__).parent / "data" / "relion_refine3d.tgz") as archive:
        archive.extractall(folder, filter="data")
    return folder


def command(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """The exit code of ``refine-hooks explain``; what it printed is in capsys."""
    monkeypatch.setattr("sys.argv", ["refine-hooks", "explain", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


def explained(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: object
) -> dict[str, Any]:
    command(monkeypatch, *arguments, "--json")
    return json.loads(capsys.readouterr().out)  # type: ignore[no-any-return]


def test_a_project_is_told_with_its_rounds_their_files_and_their_origin(
    relion: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told = explained(monkeypatch, capsys, relion)
    assert told["program"] == "relion"
    rounds = {each["label"]: each for each in told["rounds"]}
    assert {label: each["origin"] for label, each in rounds.items()} == {
        "it000": "regularised",
        "it009": "regularised",
        "final": "found",
    }
    reads = {file["name"]: file["size"] for file in rounds["final"]["reads"]}
    for name in ("run_half1_class001_unfil.mrc", "run_half2_class001_unfil.mrc", "run_model.star"):
        assert reads[str(JOB / name)] == (relion / JOB / name).stat().st_size
    assert {each["action"] for each in told["rounds"]} == {"measure"}
    assert told["out"]["path"] == str(relion / "refine_hooks")


def test_nothing_is_written(
    relion: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = fingerprint(tmp_path)
    for arguments in ([relion], [relion, "--json"], [relion, "--out", tmp_path / "elsewhere"]):
        assert command(monkeypatch, *arguments) == 0
    assert fingerprint(tmp_path) == before
    assert [path.name for path in tmp_path.iterdir()] == ["project"]


def test_dumps_that_a_watch_would_save_are_told_and_not_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project = tmp_path / "tcr_pmhc"
    cistem_project.begin(project)
    for name, content in cistem_project.dumps(2).items():
        (dumps.scratch(project, "AutoRefine3D") / name).write_bytes(content)
    told = explained(monkeypatch, capsys, project)
    (waiting,) = told["rounds"]
    assert (told["program"], told["captures"], told["kept"]) == ("cistem", True, 0)
    assert (waiting["origin"], waiting["action"]) == ("merged", "wait")
    assert waiting["missing"]
    assert {Path(file["name"]).suffix for file in waiting["reads"]} >= {".dump"}
    assert not (project / "refine_hooks").exists()


def awaited(relion: Path) -> None:
    (relion / JOB / "run_it009_half1_model.star").unlink()


def faulty(relion: Path) -> None:
    path = relion / JOB / "run_it009_half1_class001.mrc"
    path.write_bytes(b"\x01" * path.stat().st_size)


def cleaned(relion: Path) -> None:
    for path in (relion / JOB).glob("run_it009_half?_class001.mrc"):
        path.unlink()


@pytest.mark.parametrize(
    ("change", "action", "origin"),
    [(awaited, "wait", "unknown"), (faulty, "fail", "none"), (cleaned, "record", "none")],
)
def test_each_round_says_what_would_be_done_with_it(
    relion: Path,
    change: Any,
    action: str,
    origin: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    change(relion)
    round_ = next(r for r in explained(monkeypatch, capsys, relion)["rounds"] if r["label"] == "it009")
    assert (round_["action"], round_["origin"]) == (action, origin)
    assert bool(round_["missing"]) == (action == "wait")
    assert bool(round_["fault"]) == (action == "fail")


def small_watch(project: Path, **changes: Any) -> Watch:
    settings = load_settings(overrides={"watch": {"settle_s": 0.0}})
    return Watch.of(project, "test", program(**changes), settings, Store(project / "refine_hooks"))


@pytest.mark.usefixtures("quick_rounds")
def test_what_the_log_holds_is_left_and_what_changed_since_is_measured_again(tmp_path: Path) -> None:
    for iteration in (1, 2, 3):
        write_round(tmp_path, iteration)
    run(small_watch(tmp_path), [0.0])
    write_round(tmp_path, 2)
    (tmp_path / "it3_half2.mrc").write_bytes(b"short")
    w = small_watch(tmp_path)
    (third,) = [r for r in w.opened.rounds() if r.key.iteration == 3]
    failed = Failed(
        failed_at=now(),
        program="test",
        label="it3",
        key=third.key,
        fingerprint=third.fingerprint,
        reason="it holds 5 bytes",
    )
    w.log.append(failed)
    told = explain(small_watch(tmp_path))
    words = {each.label: (each.action, each.why) for each in told.rounds}
    assert [action for action, _ in words.values()] == ["nothing", "measure", "nothing"]
    assert words["it1"][1] == "the log has it"
    assert words["it2"][1].startswith("again")
    assert "it holds 5 bytes" in words["it3"][1]
    assert told.out.log == "rounds measured: 2, failed: 1"


def test_a_project_that_cannot_be_looked_at_is_told_with_the_reason(tmp_path: Path) -> None:
    def broken(*_: object) -> list[Any]:
        raise PermissionError("no entry")

    (tmp_path / "refine_hooks").mkdir()
    (tmp_path / "refine_hooks" / "rounds.jsonl").write_text('{"type": "riddle"}\n')
    told = explain(small_watch(tmp_path, rounds=broken))
    assert any("no entry" in fault for fault in told.faults)
    assert any("rounds.jsonl:1" in fault for fault in told.faults)
    assert told.rounds == ()


def test_where_nothing_can_be_written_is_said(
    relion: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert command(monkeypatch, relion, "--out", tmp_path / "file" / "out") == 0
    assert "NOT WRITABLE" in capsys.readouterr().out


def test_what_no_program_claims_is_told_with_each_program_s_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes.txt").touch()
    assert command(monkeypatch, tmp_path) == 1
    first = capsys.readouterr()
    assert "--why says" in first.out
    assert "--program" in first.err
    assert command(monkeypatch, tmp_path, "--why") == 1
    said = capsys.readouterr()
    assert all(f"not {name}'s: " in said.out for name in projects.adapter_names())
    told = explained(monkeypatch, capsys, tmp_path)
    assert told["program"] is None
    assert all(claim["recognises"] is False and claim["why"] for claim in told["claims"])


def test_what_two_programs_claim_needs_the_user_s_word(
    relion: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cistem_project.whole_project(tmp_path / "other")
    shutil.copytree(tmp_path / "other", relion, dirs_exist_ok=True)
    assert command(monkeypatch, relion) == 1
    assert "cistem and relion" in capsys.readouterr().err
    assert command(monkeypatch, relion, "--project", "relion") == 0
    assert "taken as relion's, as you asked" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["gone"], "is not a folder"),
        ([".", "--config", "gone.toml"], "gone.toml"),
        ([".", "--project", "x"], "x is no"),
    ],
)
def test_wrong_input_is_said(
    arguments: list[str],
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert command(monkeypatch, *arguments) == (2 if "--project" in arguments else 1)
    assert told in capsys.readouterr().err


def test_every_round_of_a_log_with_other_lines_is_found(tmp_path: Path) -> None:
    write_round(tmp_path, 1)
    w = small_watch(tmp_path)
    w.store.make()
    w.log.append(Stop(stopped_at=now(), reason="test", rounds_measured=0, rounds_failed=0))
    (told,) = explain(small_watch(tmp_path)).rounds
    assert told.action == "measure"
    assert told.origin == "unknown"
    assert {file.size for file in told.reads} == {1024 + 4 * BOX**3}


@pytest.mark.parametrize(
    ("name", "captures", "actions"),
    [
        ("simple", True, ["capture"]),
        ("nextpyp", True, ["record", "record", "capture"]),
        ("stopgap", False, ["measure", "measure", "measure"]),
        ("dynamo", False, ["fail", "fail", "fail"]),
    ],
)
def test_half_maps_that_would_be_copied_first_are_told_apart(
    name: str,
    captures: bool,
    actions: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    told = explained(monkeypatch, capsys, PROGRAMS[name].finished(tmp_path / "project"))
    assert (told["program"], told["captures"]) == (name, captures)
    assert [each["action"] for each in told["rounds"]] == actions


def test_a_project_of_one_s_own_patterns_is_told_like_any_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_round(tmp_path, 4)
    (tmp_path / "mine.toml").write_text("[generic]\nhalf1 = 'it(?P<iteration>\\d+)_half(?P<half>[12])\\.mrc'\n")
    told = explained(monkeypatch, capsys, tmp_path, "--config", tmp_path / "mine.toml")
    (round_,) = told["rounds"]
    assert (told["program"], round_["key"], round_["origin"]) == ("generic", "run/4/1", "found")


@pytest.mark.parametrize("there", [True, False])
def test_a_pattern_that_matches_nothing_is_told_with_where_it_was_looked_for(tmp_path: Path, there: bool) -> None:
    (tmp_path / "maps").mkdir()
    if there:
        write_round(tmp_path / "maps", 4)
    pattern = r"map_(?P<iteration>\d+)_(?P<half>[ab])\.mrc"
    (tmp_path / "mine.toml").write_text(f"[generic]\nhalf1 = '{pattern}'\nfolders = ['maps']\n")
    told = in_this_process("explain", tmp_path, "--config", tmp_path / "mine.toml").stdout
    assert f"looked in 'maps' for files whose whole path in the project matches half1 = {pattern!r}" in told
    wanted = "none of the 2 .mrc files there does, such as maps/it4_half1.mrc, maps/it4_half2.mrc"
    assert (wanted if there else "no .mrc file is there yet") in told


@pytest.mark.parametrize(("asked", "action"), [([], "record"), (["--reconstruct", "missing"], "measure")])
def test_rounds_without_half_maps_are_told_to_come_from_the_particles_where_that_is_asked_for(
    asked: list[str], action: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cistem_project.whole_project(tmp_path / "tcr_pmhc")
    told = explained(monkeypatch, capsys, tmp_path / "tcr_pmhc", *asked)
    first = told["rounds"][0]
    assert (first["origin"], first["action"]) == ("none", action)
    assert "particles" in first["why"]


def test_a_folder_inside_a_project_is_answered_with_the_project(
    relion: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (relion / "Extract" / "job002").mkdir(parents=True)
    assert command(monkeypatch, relion / "Extract" / "job002") == 1
    assert f"give its project {relion} (relion)" in capsys.readouterr().err


def test_a_folder_around_a_project_is_answered_with_the_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project = PROGRAMS["warp"].finished(tmp_path / "around" / "m")
    assert command(monkeypatch, tmp_path / "around") == 1
    assert f"give its project {project} (warp)" in " ".join(capsys.readouterr().err.split())


def test_the_current_folder_is_meant_where_none_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert command(monkeypatch) == 1
    assert f"{tmp_path}: is empty" in capsys.readouterr().err
