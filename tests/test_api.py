"""What scripts and notebooks use: only listed names, arrays or files in, records out."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from rounds_data import healthy

import refine_hooks
from refine_hooks.files.mrc import Map, write_map
from refine_hooks.log.file import append

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
    assert set(refine_hooks.__all__) <= set(dir(refine_hooks))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        refine_hooks.nothing  # noqa: B018


def test_the_import_alone_loads_nothing_heavy() -> None:
    code = "import sys, refine_hooks; print([m for m in ('numpy', 'scipy', 'numba', 'pydantic') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


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


def test_every_fault_of_what_is_given_is_said_at_once() -> None:
    one, two = a_pair()
    with pytest.raises(refine_hooks.RefineHooksError) as caught:
        refine_hooks.measure_half_maps(one[:5], two, masks={"flat": one[0]})
    assert len(caught.value.faults) == 3
    with pytest.raises(refine_hooks.RefineHooksError, match="no such point group"):
        refine_hooks.measure_half_maps(one, two, VOXEL_A, symmetry="C0.5")
    with pytest.raises(refine_hooks.RefineHooksError, match="must be equal"):
        refine_hooks.unmasked_fsc(one, a_pair(24)[0])


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


def test_a_log_is_read_filtered_shown_and_judged(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    rounds = [healthy(1), healthy(2, 31), healthy(3, alignment_limit_A=4.0)]
    append(tmp_path / "out" / "rounds.jsonl", rounds)
    log = refine_hooks.read_log(tmp_path / "out")
    assert [record.key for record in log] == [each.key for each in rounds]
    assert len(log) == len(log.where(run=rounds[0].key.run, class_id=1)) == 3
    assert len(log.where(origin="regularised")) == 0
    assert log[str(rounds[1].key)] == rounds[1]
    with pytest.raises(refine_hooks.RefineHooksError, match="it has run/1/1"):
        log["run/9/1"]
    assert "limit_unsupported" in {finding.rule for finding in refine_hooks.audit_log(log)}
    assert refine_hooks.audit_log(log) == refine_hooks.audit_log(tmp_path / "out")
    assert log._repr_html_().count("<tr>") == 4


def test_a_log_becomes_a_table_of_pandas(tmp_path: Path) -> None:
    pytest.importorskip("pandas")
    append(tmp_path / "rounds.jsonl", [healthy(1), healthy(2, 31)])
    table = refine_hooks.read_log(tmp_path).to_dataframe()
    assert list(table["iteration"]) == [1, 2]
    assert (table["worst_A"] > table["best_A"]).all()


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
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```", page, re.M | re.S)
    assert len(blocks) >= 2
    for block in blocks:
        names = {
            name.name for node in ast.walk(ast.parse(block)) if isinstance(node, ast.ImportFrom) for name in node.names
        }
        assert names <= set(refine_hooks.__all__)
        exec(compile(block, "python.md", "exec"), {})
    assert all(f"`{name}`" in page for name in refine_hooks.__all__)
