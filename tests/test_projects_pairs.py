"""Programs told by names alone, on imitations of their folders: rounds, half maps with their origin, own curves, copies."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import cli
from opened import Opened
from pairs_data import (
    PROGRAMS,
    VOXEL_A,
    brought_to_shells,
    dated,
    floored_fsc,
    nextpyp,
    put,
    put_text,
    simple,
    stopgap_classes,
    true_fsc,
    write_em,
)
from particles_data import PIXEL_A, columns, write_relion_star, write_stack
from small_program import BOX, half_maps_of

from refine_hooks.audit.rounds import halves_unfit
from refine_hooks.cli import main
from refine_hooks.errors import ProjectError
from refine_hooks.files.mrc import Map, read_map
from refine_hooks.log.file import read_journal
from refine_hooks.log.folder import Store
from refine_hooks.log.records import RoundRecord
from refine_hooks.model import KEPT_FIRST, Round
from refine_hooks.programs import adapter_called, claim, claims
from refine_hooks.programs.curve_tables import at_shells
from refine_hooks.programs.dynamo import em_header
from refine_hooks.programs.unused import unused_half_maps
from refine_hooks.settings import Settings, load_settings
from refine_hooks.testing import check_adapter
from refine_hooks.watch.loop import Watch, run

pytestmark = pytest.mark.usefixtures("quick_rounds")

NAMES = sorted(PROGRAMS)


def settings_of(name: str, **watch: float) -> Settings:
    program = dict(PROGRAMS[name].settings)
    return load_settings(
        program=name,
        overrides={"program": program, "watch": {"settle_s": 0.0, **watch}, "analysis": {"local": "never"}},
    )


def rounds_of(name: str, project: Path) -> list[Round]:
    return list(Opened(name).rounds(project, settings_of(name), Store(project / "refine_hooks")))


@pytest.mark.parametrize("name", NAMES)
def test_the_adapter_keeps_every_promise(name: str, tmp_path: Path) -> None:
    program = PROGRAMS[name]
    project = program.finished(tmp_path / "project")
    (tmp_path / "elsewhere").mkdir()
    rounds = check_adapter(
        adapter_called(name),
        project,
        tmp_path / "elsewhere",
        with_halves=program.late,
        settings=settings_of(name),
    )
    assert tuple(round_.label for round_ in rounds)[-program.late :] == program.labels[-program.late :]


@pytest.mark.parametrize("name", NAMES)
def test_exactly_one_adapter_claims_it_and_says_why(name: str, tmp_path: Path) -> None:
    project = PROGRAMS[name].finished(tmp_path)
    assert claim(project)[0] == name
    assert all(each.why for each in claims(project))


def watched(name: str, project: Path, out: Path) -> Watch:
    return Watch.of(project, name, adapter_called(name), settings_of(name), Store(out))


@pytest.mark.parametrize("name", NAMES)
def test_every_iteration_that_is_watched_keeps_its_own_half_maps_and_curve(name: str, tmp_path: Path) -> None:
    program, out = PROGRAMS[name], tmp_path / "out"
    project = tmp_path / "project"
    project.mkdir()
    for iteration in range(1, program.live + 1):
        program.play(project, iteration)
        run(watched(name, project, out), [0.0, 1.0])
    records = [line for line in read_journal(out / "rounds.jsonl").lines if isinstance(line, RoundRecord)]
    assert tuple(record.label for record in records) == program.labels
    for iteration, record in enumerate(records, 1):
        assert record.half_maps is not None
        assert record.half_maps.origin == program.origin
        assert record.half_maps.paths is not None
        halves = [read_map(out / path).voxels for path in record.half_maps.paths]
        wanted = [half.voxels for half in half_maps_of(iteration)]
        assert sorted(h.tobytes() for h in halves) == sorted(w.tobytes() for w in wanted)
        assert record.voxel_size_A == VOXEL_A
        if program.curve:
            curve = record.curve(f"reported_{program.curve}")
            assert curve is not None
            told = np.array(curve.correlation, float)
            good = np.isfinite(told)
            assert good[1 : BOX // 2 - 1].all()
            np.testing.assert_allclose(told[good], program.true(iteration)[good], atol=1e-4)
    assert not list((out / "spool").rglob("*.mrc")), "copies are removed once the half maps are written"


@pytest.mark.parametrize("name", ["cryodrgn", "recovar", "dynamight"])
def test_halves_of_one_set_of_poses_are_recorded_and_reported_as_such(name: str, tmp_path: Path) -> None:
    project, out = tmp_path / "project", tmp_path / "out"
    project.mkdir()
    PROGRAMS[name].play(project, 1)
    run(watched(name, project, out), [0.0, 1.0])
    (record,) = read_journal(out / "rounds.jsonl").rounds
    assert record.half_maps is not None
    assert record.half_maps.independence == "one_set_of_poses"
    assert [finding.rule for finding in halves_unfit(record, Settings())] == ["one_set_of_poses"]


def test_the_merged_map_that_is_the_halves_sum_tells_their_iteration_whatever_the_times_say(tmp_path: Path) -> None:
    nextpyp(tmp_path, 1)
    nextpyp(tmp_path, 2)
    maps = tmp_path / "frealign" / "maps"
    for k, half in enumerate(half_maps_of(1), 1):  # the merged map of iteration 3 is there, its halves are not yet
        dated([put(maps / f"t20s_r01_half{k}.mrc", half)], 9)
    rounds = {round_.key.iteration: round_ for round_ in rounds_of("nextpyp", tmp_path)}
    assert rounds[2].missing == (KEPT_FIRST,)
    for k, half in enumerate(half_maps_of(2), 1):
        dated([put(maps / f"t20s_r01_half{k}.mrc", half)], -9)
    rounds = {round_.key.iteration: round_ for round_ in rounds_of("nextpyp", tmp_path)}
    assert rounds[3].missing == (KEPT_FIRST,)


def test_states_of_m_follow_their_chain_and_not_their_times(tmp_path: Path) -> None:
    project = PROGRAMS["warp"].finished(tmp_path / "project")
    versions = project / "species" / "ribosome_1a2b3c4d" / "versions"
    before = ""
    for name in ("0fadecff", "0faded00", "0fadecfe"):
        put_text(
            versions / name / "ribosome.species", f'<Species><Param Name="PreviousVersion" Value="{before}"/></Species>'
        )
        before = name
    assert [round_.label for round_ in rounds_of("warp", project)] == ["0fadecff", "0faded00", "0fadecfe"]


def test_a_species_without_versions_is_copied_before_it_is_written_over(tmp_path: Path) -> None:
    project = PROGRAMS["warp"].finished(tmp_path / "project")
    shutil.rmtree(project / "species" / "ribosome_1a2b3c4d" / "versions")
    (waiting,) = rounds_of("warp", project)
    assert waiting.missing == (KEPT_FIRST,)
    run(watched("warp", project, tmp_path / "out"), [0.0, 1.0])
    (record,) = read_journal(tmp_path / "out" / "rounds.jsonl").rounds
    assert record.key.iteration == 1
    # M masks its half maps by a sphere; these were not: what their noise shows counts.
    assert record.half_maps is not None
    assert (record.half_maps.masked, record.half_maps.masked_by) == ("none", None)
    assert any("M's sphere" in note for note in record.notes)


@pytest.mark.parametrize("header_A", [1.0, 3.0])
def test_a_default_pixel_size_is_doubted(header_A: float, tmp_path: Path) -> None:
    for letter, half in zip("ab", half_maps_of(1), strict=True):
        dated([put(tmp_path / f"half_map_{letter}.mrc", Map(half.voxels, header_A))], 1)
    adapter = adapter_called("cryodrgn").open(tmp_path, Settings(), tmp_path / "spool")
    (round_,) = adapter.rounds()
    assert any("no pixel size was given" in note for note in round_.facts.notes) == (header_A == 1.0)


@pytest.mark.parametrize("name", NAMES)
def test_half_maps_under_other_names_are_not_passed_over_in_silence(name: str, tmp_path: Path) -> None:
    project = PROGRAMS[name].finished(tmp_path / "project")
    opened = adapter_called(name).open(project, settings_of(name), tmp_path / "spool")
    assert unused_half_maps(opened, opened.rounds()) == []
    folder = next(path.parent for path in sorted(project.rglob("*")) if path.suffix in (".mrc", ".em"))
    put(folder / "mine_half_A.mrc", half_maps_of(1)[0])
    (found,) = unused_half_maps(opened, opened.rounds())
    assert (found.path.name, "its name is none" in found.reason) == ("mine_half_A.mrc", True)


def test_states_of_recovar_are_rounds_too_and_its_mask_is_the_program_s(tmp_path: Path) -> None:
    one, two = half_maps_of(1)
    names = ("output/volumes/mean", "analysis_4/kmeans/center001", "analysis_4/traj001/state002", "state001")
    for name in names:
        for number, half in enumerate((one, two), 1):
            put(tmp_path / f"{name}_half{number}_unfil.mrc", half)
    put(tmp_path / "output" / "volumes" / "mask.mrc", Map(np.ones_like(one.voxels), one.voxel_size_A))
    opened = adapter_called("recovar").open(tmp_path, Settings(), tmp_path / "spool")
    rounds = {round_.key.run: round_ for round_ in opened.rounds()}
    assert set(rounds) == {"mean", *names[1:]}
    assert unused_half_maps(opened, rounds.values()) == []
    halves = {run: opened.half_maps(round_) for run, round_ in rounds.items()}
    assert {each.masked for each in halves.values() if each is not None} == {"inscribed_sphere"}
    assert [bool(opened.masks(rounds[run], halves[run])) for run in ("mean", "state001")] == [True, False]  # type: ignore[arg-type]
    assert any("one choice for both" in note for note in halves["state001"].notes)  # type: ignore[union-attr]


@pytest.mark.parametrize("inside", [1.0, 0.5])
def test_dynamight_s_reconstruction_mask_is_one_only_where_it_leaves_something_out(
    tmp_path: Path, inside: float
) -> None:
    project = PROGRAMS["dynamight"].finished(tmp_path / "project")
    folder, (half, _) = project / "backprojection", half_maps_of(1)
    put(folder / "mask_reconstruction.mrc", Map(np.full_like(half.voxels, inside), half.voxel_size_A))
    put(folder / "reconstruction_half1_020.mrc", half)
    opened = adapter_called("dynamight").open(project, Settings(), tmp_path / "spool")
    (round_,) = opened.rounds()
    halves = opened.half_maps(round_)
    assert halves is not None
    assert bool(opened.masks(round_, halves)) == (inside < 1)
    assert "a part of the images" in unused_half_maps(opened, [round_])[0].reason


def test_simple_s_start_up_volumes_are_named_as_what_they_are(tmp_path: Path) -> None:
    project = PROGRAMS["simple"].finished(tmp_path / "project")
    folder = next(project.rglob("recvol_state01*.mrc")).parent
    put(folder / "startvol_state01_even_unfil.mrc", half_maps_of(1)[0])
    opened = adapter_called("simple").open(project, settings_of("simple"), tmp_path / "spool")
    (found,) = unused_half_maps(opened, opened.rounds())
    assert "before the first iteration" in found.reason


def test_emclarity_s_sums_are_named_with_the_reason_that_they_are_not_read(tmp_path: Path) -> None:
    project = PROGRAMS["emclarity"].finished(tmp_path / "project")
    put(project / "cycle003_virus_class0_REF_ODD_NoWgt.mrc", half_maps_of(1)[0])
    put(project / "cycle003_virus_class0_Raw_EVE.mrc", half_maps_of(1)[0])
    opened = adapter_called("emclarity").open(project, settings_of("emclarity"), tmp_path / "spool")
    reasons = {each.path.name[-9:]: each.reason for each in unused_half_maps(opened, opened.rounds())}
    assert "divides one by the other" in reasons["NoWgt.mrc"]
    assert "another stage" in reasons["w_EVE.mrc"]


def test_once_exits_with_1_where_half_maps_are_there_and_none_was_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project = tmp_path / "project"
    put_text(project / "mparameters", "MODE 1\n")
    (project / "scratch").mkdir()
    put(project / "scratch" / "other_half1.mrc", half_maps_of(1)[0])
    monkeypatch.setattr(sys, "argv", ["refine-hooks", "once", str(project), "--out", str(tmp_path / "out")])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr().err
    assert ended.value.code == 1
    assert "scratch/other_half1.mrc: not used: its name is none" in said
    assert "none was measured" in said


def test_what_is_written_over_is_first_copied_and_measured_from_the_copy(tmp_path: Path) -> None:
    simple(tmp_path, 1)
    (waiting,) = rounds_of("simple", tmp_path)
    assert waiting.missing == (KEPT_FIRST,)
    adapter = Opened("simple")
    store = Store(tmp_path / "refine_hooks")
    adapter.capture(tmp_path, store.spool)
    simple(tmp_path, 2)
    first, second = adapter.rounds(tmp_path, settings_of("simple"), store)
    assert (first.missing, second.missing) == ((), (KEPT_FIRST,))
    halves = adapter.half_maps(tmp_path, first, store)
    assert halves is not None
    assert halves.paths is None, "a copy in the spool is no place to stay"
    np.testing.assert_array_equal(halves.half1.voxels, half_maps_of(1)[0].voxels)


def test_an_iteration_that_is_done_again_takes_the_place_of_the_first(tmp_path: Path) -> None:
    adapter, store = Opened("simple"), Store(tmp_path / "refine_hooks")
    simple(tmp_path, 1)
    adapter.capture(tmp_path, store.spool)
    simple(tmp_path, 1, content=7)
    (waiting,) = adapter.rounds(tmp_path, settings_of("simple"), store)
    assert (waiting.key.iteration, waiting.missing) == (1, (KEPT_FIRST,))
    adapter.capture(tmp_path, store.spool)
    (again,) = adapter.rounds(tmp_path, settings_of("simple"), store)
    halves = adapter.half_maps(tmp_path, again, store)
    assert halves is not None
    np.testing.assert_array_equal(halves.half1.voxels, half_maps_of(7)[0].voxels)


def test_iterations_that_nobody_watched_keep_their_curves(tmp_path: Path) -> None:
    project = PROGRAMS["nextpyp"].finished(tmp_path / "project")
    adapter = Opened("nextpyp")
    rounds = rounds_of("nextpyp", project)
    assert [(r.label, r.inputs.origin) for r in rounds] == [("it002", None), ("it003", None), ("it004", "found")]
    for iteration, round_ in enumerate(rounds[:2], 1):
        (curve,) = adapter.reported(project, round_)
        np.testing.assert_allclose(curve.correlation[1:], true_fsc(iteration)[1:], atol=1e-4)


def test_a_table_that_is_written_after_the_copy_was_made_is_still_read(tmp_path: Path) -> None:
    nextpyp(tmp_path, 1)
    table = tmp_path / "frealign" / "maps" / "t20s_r01_fsc.txt"
    text = table.read_text()
    table.unlink()
    adapter, store = Opened("nextpyp"), Store(tmp_path / "out")
    adapter.capture(tmp_path, store.spool)
    table.write_text(text)
    (round_,) = adapter.rounds(tmp_path, settings_of("nextpyp"), store)
    assert len(adapter.reported(tmp_path, round_)) == 1


@pytest.mark.parametrize("reverse", [1, -1])
def test_a_curve_is_brought_to_our_shells_whatever_its_own_points(reverse: int) -> None:
    x = np.array([0.0, 0.05, 0.1, 0.125, np.nan])[::reverse]
    y = np.array([1.0, 0.5, 0.0, -0.5, 9.0])[::reverse]
    values = at_shells(x, y, 16, 2.5)
    np.testing.assert_allclose(values[:6], [1.0, 0.75, 0.5, 0.25, 0.0, -0.5])
    assert np.isnan(values[6:]).all()


@pytest.mark.parametrize("scale", [1.0, VOXEL_A, BOX * VOXEL_A])
def test_nextpyp_s_frequencies_are_understood_whatever_their_unit(scale: float, tmp_path: Path) -> None:
    nextpyp(tmp_path, 1)
    table = tmp_path / "frealign" / "maps" / "t20s_r01_fsc.txt"
    rows = np.loadtxt(table)
    rows[:, 0] *= scale
    np.savetxt(table, rows, fmt="%10.5f")
    adapter = Opened("nextpyp")
    store = Store(tmp_path / "out")
    adapter.capture(tmp_path, store.spool)
    (round_,) = adapter.rounds(tmp_path, settings_of("nextpyp"), store)
    (curve,) = adapter.reported(tmp_path, round_)
    np.testing.assert_allclose(curve.correlation[1:], true_fsc(1)[1:], atol=1e-3)


def test_without_an_unfiltered_pair_simple_s_half_maps_are_as_they_were_reconstructed(tmp_path: Path) -> None:
    simple(tmp_path, 1, unfiltered=False)
    (waiting,) = rounds_of("simple", tmp_path)
    assert waiting.inputs.origin == "found"
    assert not any("unfil" in path.name for path in waiting.inputs.halves)


def test_an_unfiltered_pair_left_over_from_an_earlier_stage_is_not_taken(tmp_path: Path) -> None:
    simple(tmp_path, 1)
    simple(tmp_path, 2, unfiltered=False)
    (waiting,) = rounds_of("simple", tmp_path)
    assert waiting.inputs.origin == "found"
    assert not any("unfil" in path.name for path in waiting.inputs.halves)


def test_a_start_up_reconstruction_of_simple_is_none_of_the_rounds(tmp_path: Path) -> None:
    folder = tmp_path / "2_refine3D"
    put_text(tmp_path / "proj.simple", "x")
    simple(folder, 1)
    number = folder / "RESOLUTION_STATE01_ITER001"
    number.unlink()
    adapter, store = Opened("simple"), Store(tmp_path / "refine_hooks")
    assert adapter.capture(tmp_path, store.spool) == []
    (waiting,) = adapter.rounds(tmp_path, settings_of("simple"), store)
    assert waiting.missing == ("a file that tells its iteration",)
    simple(folder, 1)
    assert len(adapter.capture(tmp_path, store.spool)) == 3
    assert [str(r.key) for r in adapter.rounds(tmp_path, settings_of("simple"), store)] == ["2_refine3D/1/1"]


@pytest.mark.parametrize(("late_s", "number"), [(-5, 4), (5, 4), (-500, 5)])
def test_the_number_is_that_of_the_map_nearest_in_time(late_s: float, number: int, tmp_path: Path) -> None:
    """Whether a program writes the merged map a little before or after the halves; one far away is another iteration's."""
    simple(tmp_path, 4)
    newest = max(path.stat().st_mtime for path in tmp_path.glob("recvol_state01_*_unfil.mrc"))
    os.utime(tmp_path / "RESOLUTION_STATE01_ITER004", (newest + late_s, newest + late_s))
    (waiting,) = rounds_of("simple", tmp_path)
    assert (waiting.key.iteration, waiting.missing) == (number, (KEPT_FIRST,))


def test_a_pair_whose_number_may_still_come_is_waited_for(tmp_path: Path) -> None:
    simple(tmp_path, 1)
    for path in tmp_path.glob("recvol_state01_*_unfil.mrc"):
        path.touch()
    (waiting,) = rounds_of("simple", tmp_path)
    assert waiting.missing == ("a file that tells its iteration",)


def test_classes_of_one_iteration_are_told_apart(tmp_path: Path) -> None:
    stopgap_classes(tmp_path, 1)
    assert [str(r.key) for r in rounds_of("stopgap", tmp_path)] == ["ref/1/1", "ref/1/2"]


def test_classes_counted_from_0_are_counted_from_1(tmp_path: Path) -> None:
    project = PROGRAMS["emclarity"].finished(tmp_path)
    for path in project.glob("cycle*_class0_*.mrc"):
        shutil.copy(path, project / path.name.replace("class0", "class1"))
    assert [(r.key.iteration, r.key.class_id) for r in rounds_of("emclarity", project)] == [
        (iteration, class_id) for iteration in (1, 2, 3) for class_id in (1, 2)
    ]


def test_m_s_states_are_numbered_in_their_order_and_its_mask_is_found(tmp_path: Path) -> None:
    project = PROGRAMS["warp"].finished(tmp_path)
    rounds = rounds_of("warp", project)
    assert [str(r.key) for r in rounds] == [f"ribosome_1a2b3c4d/{n}/1" for n in (1, 2, 3)]
    adapter, store = Opened("warp"), Store(tmp_path / "out")
    halves = adapter.half_maps(project, rounds[0], store)
    assert halves is not None
    assert halves.valid_shells == BOX // 2 - 3
    mask = adapter.masks(project, rounds[0], halves).get("refinement")
    assert mask is not None
    assert mask.path == project / "species/ribosome_1a2b3c4d/versions/0faded00/ribosome_mask.mrc"


def torn(project: Path) -> str:
    path = project / "ref" / "ref_B_2.mrc"
    path.write_bytes(path.read_bytes()[:-9])
    return "its header states"


def alone(project: Path) -> str:
    (project / "ref" / "ref_A_2.mrc").unlink()
    return "the other half of ref_B_2.mrc"


def other_box(project: Path) -> str:
    put(project / "ref" / "ref_B_2.mrc", Map(np.zeros((8, 8, 8), np.float32), VOXEL_A))
    return "ref_A_2.mrc has a box of 24 x 24 x 24 voxels, ref_B_2.mrc one of 8 x 8 x 8"


def no_voxel_size(project: Path) -> str:
    for path in project.glob("ref/ref_[AB]_2.mrc"):
        raw = bytearray(path.read_bytes())
        raw[40:52] = bytes(12)
        path.write_bytes(raw)
    return "voxel_size_A in [program]"


def other_voxel_size(project: Path) -> str:
    put(project / "ref" / "ref_B_2.mrc", Map(half_maps_of(2)[1].voxels, 1.5))
    return "voxel sizes of 1.5 to 3 A"


def no_map(project: Path) -> str:
    (project / "ref" / "ref_B_2.mrc").write_bytes(b"no map, but long enough to be one" * 100)
    return "is not an MRC map"


@pytest.mark.parametrize("spoil", [torn, alone, other_box, no_voxel_size, other_voxel_size, no_map])
def test_what_is_wrong_or_awaited_is_said_and_the_other_rounds_go_on(
    spoil: Callable[[Path], str], tmp_path: Path
) -> None:
    project = PROGRAMS["stopgap"].finished(tmp_path)
    told = spoil(project)
    found = {r.label: r for r in rounds_of("stopgap", project)}
    assert told in "; ".join([*found["it002"].missing, found["it002"].fault or ""])
    for label in ("it001", "it003"):
        assert (found[label].missing, found[label].fault) == ((), None)


def test_files_that_have_long_been_there_need_not_be_waited_for(tmp_path: Path) -> None:
    project = PROGRAMS["stopgap"].finished(tmp_path)
    (project / "ref" / "ref_A_2.mrc").touch()
    assert [r.complete for r in rounds_of("stopgap", project)] == [True, False, True]


def test_a_voxel_size_that_no_header_states_is_taken_from_the_settings(tmp_path: Path) -> None:
    project = PROGRAMS["stopgap"].finished(tmp_path)
    no_voxel_size(project)
    adapter, store = Opened("stopgap"), Store(tmp_path / "out")
    settings = load_settings(overrides={"program": {"voxel_size_A": 2.5}})
    before = list(adapter.rounds(project, Settings(), store))[1]
    second = list(adapter.rounds(project, settings, store))[1]
    assert second.fault is None
    assert second.fingerprint != before.fingerprint, "what failed for want of it is measured now"
    halves = adapter.half_maps(project, second, store)
    assert halves is not None
    assert halves.half1.voxel_size_A == 2.5


def test_references_of_a_dynamo_project_without_half_sets_are_no_halves(tmp_path: Path) -> None:
    project = PROGRAMS["dynamo"].finished(tmp_path / "project")
    shutil.move(project / "align_eo", project / "classes")
    for table in project.glob("classes/results/*/averages/*.fsc"):
        table.unlink()
    rounds = rounds_of("dynamo", project)
    assert [r.inputs.origin for r in rounds] == [None, None, None]
    assert not any(r.missing or r.fault for r in rounds)


def test_an_em_file_is_read_in_both_byte_orders_and_refused_where_it_is_none(tmp_path: Path) -> None:
    volume = half_maps_of(1)[0]
    little = write_em(tmp_path / "little.em", volume)
    raw = bytearray(little.read_bytes())
    raw[0] = 5
    raw[4:16] = np.frombuffer(bytes(raw[4:16]), "<i4").astype(">i4").tobytes()
    raw[512:] = volume.voxels.astype(">f4").tobytes()
    big = tmp_path / "big.em"
    big.write_bytes(raw)
    from refine_hooks.files.mrc import read_voxels

    for path in (little, big):
        np.testing.assert_array_equal(read_voxels(path, em_header(path)), volume.voxels)


def test_older_tables_and_names_of_cryodrgn_are_read(tmp_path: Path) -> None:
    for half, volume in zip((1, 2), half_maps_of(1), strict=True):
        put(tmp_path / f"vol_half-map{half}.mrc", volume)
    rows = "".join(f"{k} {k / BOX} {v}\n" for k, v in enumerate(floored_fsc(1)))
    put_text(tmp_path / "vol_fsc-vals.txt", rows)
    (round_,) = rounds_of("cryodrgn", tmp_path)
    (curve,) = Opened("cryodrgn").reported(tmp_path, round_)
    np.testing.assert_allclose(curve.correlation[:-2], brought_to_shells(1)[:-2], atol=1e-6)


def test_the_origin_s_own_row_of_cryodrgn_spoils_no_shell(tmp_path: Path) -> None:
    for letter, half in zip("ab", half_maps_of(1), strict=True):
        put(tmp_path / f"half_map_{letter}.mrc", half)
    rows = "".join(f"{k / BOX} {-1.0 if k == 1 else 1.0}\n" for k in range(BOX // 2 + 1))
    put_text(tmp_path / "fsc-vals.txt", f"pixres NoMask\n{rows}")
    (curve,) = Opened("cryodrgn").reported(tmp_path, rounds_of("cryodrgn", tmp_path)[0])
    np.testing.assert_allclose(curve.correlation[:-1], 1.0)


@pytest.mark.skipif(shutil.which("cryodrgn") is None, reason="cryodrgn is not on PATH")
def test_what_cryodrgn_itself_writes_is_a_round_with_its_own_curve(tmp_path: Path) -> None:
    box, count = 24, 120
    write_stack(tmp_path / "s.mrcs", count, box=box)
    values = {**columns(count), "phase_shift_rad": np.zeros(count)}
    write_relion_star(tmp_path / "p.star", values, "s.mrcs", box=box)
    for command in (
        f"parse_pose_star p.star -D {box} --Apix {PIXEL_A} -o poses.pkl",
        f"parse_ctf_star p.star -D {box} --Apix {PIXEL_A} --ps 0 -o ctf.pkl",
        "backproject_voxel p.star --poses poses.pkl --ctf ctf.pkl -o made",
    ):
        subprocess.run(["cryodrgn", *command.split()], cwd=tmp_path, check=True, capture_output=True)
    made = tmp_path / "made"
    assert cli("once", made, "--out", tmp_path / "out").returncode == 0
    (record,) = read_journal(tmp_path / "out" / "rounds.jsonl").rounds
    assert record.half_maps is not None
    assert (record.program, record.half_maps.origin, record.box_px) == ("cryodrgn", "found", box)
    assert (record.half_maps.independence, record.voxel_size_A) == ("one_set_of_poses", pytest.approx(PIXEL_A))
    names = {curve.name for curve in record.curves if curve.of_program}
    assert names == {f"reported_{name}" for name in ("unmasked", "spherical", "loose", "tight", "corrected")}
    difference = record.checks and record.checks.unmasked_against_program
    assert difference is not None
    assert not difference.is_of_another


@pytest.mark.parametrize("text", ["", "no numbers at all\n", "0.1\n", "nan nan\n" * 9])
@pytest.mark.parametrize("name", [n for n in NAMES if PROGRAMS[n].curve])
def test_a_table_that_holds_no_curve_is_passed_over(name: str, text: str, tmp_path: Path) -> None:
    program = PROGRAMS[name]
    project = program.finished(tmp_path / "project")
    adapter, store = Opened(name), Store(tmp_path / "out")
    for path in project.rglob("*"):
        if path.suffix in (".txt", ".star", ".fsc", ".bin", ".dat"):
            path.write_text(text)
            dated([path], program.live)
    adapter.capture(project, store.spool)
    rounds = list(adapter.rounds(project, settings_of(name), store))
    assert rounds
    for round_ in rounds:
        assert all(np.isnan(curve.correlation).all() for curve in adapter.reported(project, round_))


def test_two_programs_names_in_one_folder_are_told_apart_by_the_user(tmp_path: Path) -> None:
    for name in ("stopgap", "cryodrgn"):
        PROGRAMS[name].finished(tmp_path)
    with pytest.raises(ProjectError, match=r"stopgap and cryodrgn.*--program"):
        claim(tmp_path)
    assert claim(tmp_path, "stopgap")[0] == "stopgap"


def test_nothing_below_the_folders_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = PROGRAMS["stopgap"].finished(tmp_path)
    for path in list((project / "ref").glob("*.mrc")):
        put_text(project / "ref" / "old" / path.name, "")
    assert len(rounds_of("stopgap", project)) == 3


def test_a_file_that_goes_between_two_looks_harms_nothing(tmp_path: Path) -> None:
    project = PROGRAMS["simple"].finished(tmp_path / "project")
    seen: list[Any] = []
    for path in sorted(project.iterdir()):
        path.unlink()
        seen.append(rounds_of("simple", project))
        Opened("simple").capture(project, tmp_path / "spool")
    assert seen[-1] == []
