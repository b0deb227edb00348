"""What scripts and notebooks use: only listed names, arrays or files in, records out."""

import ast
import gc
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from particles_data import BOX, COUNT, PIXEL_A, columns, write_relion_star, write_stack
from played_refinement import Play, Scene
from rounds_data import healthy

import refine_hooks
from refine_hooks.audit import audit
from refine_hooks.files.mrc import Map, write_map
from refine_hooks.log.directions import Along
from refine_hooks.log.file import append
from refine_hooks.log.records import Analysis, RoundRecord

VOXEL_A = 3.0
ROOT = Path(__file__).resolve().parent.parent


def a_pair(box_px: int = 32) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(5)
    z, y, x = np.indices((box_px,) * 3) - box_px // 2
    ball = np.exp(-((z / 4) ** 2 + (y / 5) ** 2 + (x / 8) ** 2))
    signal = ball * (1 + rng.normal(size=ball.shape))
    one, two = (signal + 0.1 * rng.normal(size=ball.shape) for _ in range(2))
    return one, two


def test_every_listed_name_is_there_and_documented() -> None:
    for name in refine_hooks.__all__:
        assert getattr(refine_hooks, name).__doc__, name
        assert f"`{name}`" in (ROOT / "refine_hooks/guide/reference/python.md").read_text("utf-8")
    assert set(refine_hooks.__all__) <= set(dir(refine_hooks))
    assert {"read_log", "measure_half_maps", "watch_project"} <= set(refine_hooks.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        refine_hooks.nothing  # noqa: B018


def test_the_import_alone_loads_nothing_heavy() -> None:
    code = """
import sys, time
began = time.process_time()
import refine_hooks
print([m for m in ("ast", "numpy", "scipy", "pydantic") if m in sys.modules], time.process_time() - began < 0.15)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[] True"


def test_arrays_and_files_give_the_same_measurement(tmp_path: Path) -> None:
    one, two = (np.asarray(half, np.float32) for half in a_pair())
    for name, half in (("one.mrc", one), ("two.mrc", two)):
        write_map(tmp_path / name, Map(half, VOXEL_A), "test")
    of_arrays = refine_hooks.measure_half_maps(one, two, VOXEL_A, masks={"mine": np.ones_like(one)})
    of_files = refine_hooks.measure_half_maps(tmp_path / "one.mrc", str(tmp_path / "two.mrc"))
    assert of_arrays.resolution_A == of_files.resolution_A
    assert of_arrays.resolution_A == pytest.approx(of_arrays.record.headline_curve().resolution_A)  # type: ignore[union-attr]
    assert {"sphere", "automask", "mine"} <= set(of_arrays.masks)
    assert "automask_corrected" in of_files._repr_html_()


def test_a_symmetry_that_nobody_states_is_looked_for_as_the_command_does() -> None:
    averaged = [sum(np.rot90(half, turn, (1, 2)) for turn in range(4)) for half in a_pair(35)]
    found = refine_hooks.measure_half_maps(*averaged, VOXEL_A).record
    assert any("C4 symmetry was imposed" in note for note in found.notes)
    assert refine_hooks.measure_half_maps(*averaged, VOXEL_A, symmetry="c4").record.notes == ()


def test_every_fault_of_what_is_given_is_said_at_once() -> None:
    one, two = a_pair()
    with pytest.raises(refine_hooks.RefineHooksError) as caught:
        refine_hooks.measure_half_maps(one[:5], two, masks={"flat": one[0]})
    assert len(caught.value.faults) == 3
    with pytest.raises(refine_hooks.RefineHooksError, match="no such point group"):
        refine_hooks.measure_half_maps(one, two, VOXEL_A, symmetry="C0.5")
    with pytest.raises(refine_hooks.RefineHooksError, match="must be equal"):
        refine_hooks.unmasked_fsc(one, a_pair(24)[0])
    with pytest.raises(refine_hooks.RefineHooksError) as caught:
        refine_hooks.measure_half_maps(one, a_pair(24)[0], VOXEL_A, masks={"small": one[:20, :20, :20]})
    assert [fault.split(";")[0] for fault in caught.value.faults] == [
        "half2: its box is 24 x 24 x 24 voxels, the half map's is 32 x 32 x 32",
        "mask small: its box is 20 x 20 x 20 voxels, the half map's is 32 x 32 x 32",
    ]


def test_a_mask_whose_header_cannot_be_meant_is_taken_as_the_command_takes_it(tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("one.mrc", "two.mrc", "mask.mrc")]
    halves = [np.asarray(half, np.float32) for half in a_pair()]
    for path, volume, voxel_A in zip(files, (*halves, np.ones_like(halves[0])), (VOXEL_A, VOXEL_A, 1.0), strict=True):
        write_map(path, Map(volume, voxel_A), "test")
    found = refine_hooks.measure_half_maps(*files[:2], masks={"mine": files[2]})
    assert "voxels of 1 A" in found.record.mask("mine").note  # type: ignore[operator,union-attr]


def test_the_fsc_is_that_of_the_definition_over_the_whole_transform() -> None:
    one, two = a_pair(16)
    first, second = np.fft.fftn(one), np.fft.fftn(two)
    k = np.sqrt(sum(np.square(q) for q in np.meshgrid(*[np.fft.fftfreq(16) * 16] * 3, indexing="ij")))
    shell = np.floor(k + 0.5).astype(int)
    expected = [
        (first * second.conj())[shell == n].sum().real
        / np.sqrt((np.abs(first[shell == n]) ** 2).sum() * (np.abs(second[shell == n]) ** 2).sum())
        for n in range(9)
    ]
    assert refine_hooks.unmasked_fsc(one, two) == pytest.approx(expected, abs=1e-5)
    assert refine_hooks.masked_fsc(one, two, np.ones_like(one)) == pytest.approx(expected, abs=1e-5)


def test_phases_are_randomised_under_an_automask_and_the_corrected_curve_has_a_resolution() -> None:
    one, two = a_pair()
    mask = refine_hooks.automask(one, two, VOXEL_A)
    found = refine_hooks.phase_randomised(one, two, mask)
    assert found.masked[: found.onset_shell] == pytest.approx(found.corrected[: found.onset_shell])
    assert np.all(np.abs(found.mean[found.onset_shell + 2 :]) < found.mean[1])
    read_A = refine_hooks.resolution(found.corrected, VOXEL_A)
    assert read_A is None or 2 * VOXEL_A < read_A < 32 * VOXEL_A
    assert refine_hooks.resolution(np.linspace(1, 0, 17), VOXEL_A, threshold=0.5) == pytest.approx(32 * VOXEL_A / 8)


def a_log(folder: Path, *rounds: RoundRecord) -> refine_hooks.Log:
    folder.mkdir(exist_ok=True)
    append(folder / "rounds.jsonl", rounds or (healthy(1), healthy(2, 31)))
    return refine_hooks.read_log(folder)


def test_a_log_is_read_filtered_shown_and_judged(tmp_path: Path) -> None:
    rounds = [healthy(1), healthy(2, 31), healthy(3, alignment_limit_A=4.0)]
    log = a_log(tmp_path / "out", *rounds)
    assert [record.key for record in log] == [each.key for each in rounds]
    assert len(log) == len(log.where(run=rounds[0].key.run, class_id=1)) == 3
    assert len(log.where(origin="regularised")) == 0
    best_A = min(each.headline_curve().resolution_A for each in rounds)  # type: ignore[union-attr,type-var]
    assert 0 < len(log.where(better_than_A=best_A + 0.01)) < 3  # type: ignore[operator]
    assert log[str(rounds[1].key)] == log.rounds[1] == rounds[1]
    assert [record.key for record in log.rounds[1:]] == [each.key for each in rounds[1:]]
    with pytest.raises(refine_hooks.RefineHooksError, match="it has run/1/1"):
        log["run/9/1"]
    assert "limit_unsupported" in {finding.rule for finding in refine_hooks.audit_log(log)}
    assert refine_hooks.audit_log(log) == refine_hooks.audit_log(tmp_path / "out")
    assert refine_hooks.audit_log(log) == audit(rounds, log.settings)
    assert {each.round for each in refine_hooks.audit_log(log.where(run="none"))} == set()


def test_the_records_of_a_log_stay_on_disk(tmp_path: Path) -> None:
    def records() -> int:
        gc.collect()
        return sum(type(one) is RoundRecord for one in gc.get_objects())

    before = records()  # of other tests
    log = a_log(tmp_path, *(healthy(number) for number in range(1, 20)))
    assert records() <= before
    assert sum(1 for _ in log) == 19


def test_a_log_and_its_records_show_themselves(tmp_path: Path) -> None:
    log = a_log(tmp_path, healthy(1, label="<1>"), healthy(2))
    ElementTree.fromstring(log._repr_html_())
    assert log._repr_html_().count("<tr>") == 3
    shown = ElementTree.fromstring(f"<div>{log.rounds[0]._repr_html_()}</div>")
    svg, table = shown
    assert len(svg.findall("{*}polyline")) >= 3
    assert len(table.findall("tbody/tr")) == len(log.rounds[0].curves)
    assert "headline" in table.findtext("caption", "")


def test_a_log_becomes_tables_of_pandas(tmp_path: Path) -> None:
    pytest.importorskip("pandas")
    log = a_log(tmp_path)
    table = log.to_dataframe()
    assert list(table["iteration"]) == [1, 2]
    assert (table["worst_A"] > table["best_A"]).all()
    shells = log.to_dataframe(curves=True)
    record = log.rounds[0]
    assert len(shells) == sum(len(each.correlation) for each in log for each in each.curves)
    first = shells[(shells["round"] == str(record.key)) & (shells["curve"] == record.headline)]
    assert first["correlation"].to_numpy() == pytest.approx(record.headline_curve().values(), nan_ok=True)  # type: ignore[union-attr]


PROJECT = r"""
[generic]
half1 = '(?P<run>r)_it(?P<iteration>\d+)_(?P<half>[ab])\.mrc'
[watch]
settle_s = 0.01
[keep]
min_free_GB = 0
"""


def a_project(folder: Path, one: np.ndarray, two: np.ndarray) -> None:
    (folder / "refine_hooks.toml").write_text(PROJECT, encoding="utf-8")
    for name, half in (("1_a", one), ("1_b", two), ("2_a", one), ("2_b", two)):
        write_map(folder / f"r_it{name}.mrc", Map(half.astype(np.float32), VOXEL_A), "test")


def test_a_watch_gives_the_records_that_it_logs_and_says_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    a_project(tmp_path, *a_pair(24))
    settings = refine_hooks.load_settings(tmp_path / "refine_hooks.toml")
    lines: list[object] = []
    first = refine_hooks.watch_project(
        tmp_path, lines.append, settings=settings, out=tmp_path / "out", until_idle_s=0.1
    )
    record = next(first)
    first.close()  # type: ignore[attr-defined]
    assert lines == [record]
    log = refine_hooks.read_log(tmp_path / "out")
    assert [each.key for each in log] == [record.key]
    rest = list(refine_hooks.watch_project(tmp_path, settings=settings, out=tmp_path / "out", once=True))
    assert len({record.key, *(each.key for each in rest)}) == len(refine_hooks.read_log(tmp_path / "out")) == 2
    assert capfd.readouterr() == ("", "")


def test_each_place_of_the_particle_has_a_resolution() -> None:
    one, two = a_pair()
    found = refine_hooks.local_resolution(one, two, VOXEL_A, resolution_A=8.0)
    stated = found.values[found.values > 0]
    assert 0 < len(stated) == found.record.places
    assert found.record.finest_A <= np.median(stated) <= found.record.coarsest_A
    assert found.voxel_size_A >= VOXEL_A
    given = refine_hooks.local_resolution(
        one, two, VOXEL_A, resolution_A=8.0, mask=refine_hooks.automask(one, two, VOXEL_A)
    )
    assert given.record.places > found.record.places  # solvent in the mask is not known to be one
    with pytest.raises(refine_hooks.RefineHooksError, match="no such point group"):
        refine_hooks.local_resolution(one, two, VOXEL_A, resolution_A=8.0, symmetry="Q")


def test_half_maps_are_made_from_a_parameter_file_and_its_stack(tmp_path: Path) -> None:
    write_stack(tmp_path / "s.mrcs")
    table = write_relion_star(tmp_path / "p.star", columns(), "s.mrcs")
    seen: list[int] = []
    halves = refine_hooks.reconstruct_half_maps(
        table, stack=tmp_path / "s.mrcs", progress=lambda done, total: seen.append(done)
    )
    assert halves.half1.shape == halves.half2.shape == (BOX,) * 3
    assert halves.voxel_size_A == PIXEL_A
    assert halves.images == (COUNT // 2, COUNT // 2)
    assert seen[-1] == COUNT
    for wrong, words in ({"white": True}, "--white is not for"), ({"symmetry": "Z9"}, "Z9"):
        with pytest.raises(refine_hooks.RefineHooksError, match=words):
            refine_hooks.reconstruct_half_maps(table, **wrong)
    with pytest.raises(refine_hooks.RefineHooksError, match="is not there"):
        refine_hooks.reconstruct_half_maps(tmp_path / "none.star")


def test_curves_are_drawn_into_axes_of_ones_own() -> None:
    pytest.importorskip("matplotlib")
    axes = refine_hooks.plot_fsc(healthy(1))
    assert len(axes.get_lines()) >= 2
    assert refine_hooks.plot_fsc(healthy(1), ("automask",), axes) is axes


def test_the_example_of_the_guide_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (ROOT / "refine_hooks/guide/reference/python.md").read_text("utf-8")
    one, two = a_pair()
    for name, half in (("half1.mrc", one), ("half2.mrc", two)):
        write_map(tmp_path / name, Map(half.astype(np.float32), VOXEL_A), "test")
    (tmp_path / "project" / "refine_hooks").mkdir(parents=True)
    append(tmp_path / "project" / "refine_hooks" / "rounds.jsonl", [healthy(1), healthy(2, 31)])
    a_project(tmp_path / "project", one, two)
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```", page, re.M | re.S)
    assert len(blocks) >= 5
    for block in blocks:
        names = {
            name.name for node in ast.walk(ast.parse(block)) if isinstance(node, ast.ImportFrom) for name in node.names
        }
        assert names <= set(refine_hooks.__all__)
        exec(compile(block, "python.md", "exec"), {})


def test_two_rounds_given_as_arrays_are_compared_and_what_a_log_knows_is_said_and_drawn(tmp_path: Path) -> None:
    scene, play = Scene(24, 2.0, 15.0), Play(shared=0.5)
    halves = [tuple(scene.half_maps(play, number)) for number in (0, 1)]
    found = refine_hooks.compare_rounds(halves[1], halves[0], 2.0, mask=scene.mask)
    assert found.signal == pytest.approx(1, abs=4 * found.signal_sd + 0.01)
    assert found.signal_sd < 0.1
    assert found.correlation.shape == (13,)
    with pytest.raises(refine_hooks.RefineHooksError, match="next to no signal"):
        noise = np.random.default_rng(1).standard_normal((2, 24, 24, 24))
        refine_hooks.compare_rounds(halves[1], (noise[0], noise[1]), 2.0, mask=scene.mask)
    along = Along(name="x", axis=(1, 0, 0), resolution_A=5.0, interval_A=(5.2, 4.8))
    record = healthy(analysis=Analysis(along=(along,)))
    assert "resolution by direction: along x 5.00 Å (5.20-4.80)" in refine_hooks.words_beyond(record)
    assert refine_hooks.words_beyond(record, "substitution") == []
    assert refine_hooks.plot_beyond(record, "directions", tmp_path / "d.svg").stat().st_size > 1000
