"""A round in the viewers: scripts of ChimeraX, layers of napari."""

import stat
from pathlib import Path

import chimerax_grammar
import numpy as np
import pytest
from command_line import cli
from live_logs import copied, measured_project, rounds_of
from scipy.ndimage import gaussian_filter

from refine_hooks.api import napari
from refine_hooks.errors import InputError
from refine_hooks.files.mrc import read_map
from refine_hooks.log.folder import Store, path_of
from refine_hooks.log.masks import AutomaskParameters
from refine_hooks.log.particles import MoreParticles, SubsetPoint, Substitution
from refine_hooks.reanalyse import Analyses
from refine_hooks.report.viewer import chimerax_script, half_map_files


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return measured_project(tmp_path_factory.mktemp("viewers") / "a 'rod' of \"200 kDa\"", 3, idle=True)


def test_the_newest_round_is_opened_with_its_masks_and_its_series(log: Path, tmp_path: Path) -> None:
    done = cli("open", log, "--out", "round.cxc", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "round.cxc\n")
    session = chimerax_grammar.run((tmp_path / "round.cxc").read_text("utf-8"))
    record = rounds_of(log)[-1]
    assert all(file.is_file() for file in session.opened)
    masks = [f"mask: {mask.name}" for mask in record.masks if mask.path]
    assert list(session.models.values())[:3] == ["half map 1", "half map 2", "average"]
    assert list(session.models.values())[4:-2] == masks
    assert session.models[session.coloured] == "local resolution, A"
    assert session.series == {len(session.models)}
    assert {number for number, given in session.shown.items() if "show" in given} == {
        4,
        5 + masks.index("mask: automask"),
    }
    colours = [given["color"] for number, given in session.shown.items() if number > 4 and "color" in given]
    assert len(set(colours)) == len(colours) == len(masks) + 1


def test_a_round_by_its_key_is_opened_without_a_series(log: Path, tmp_path: Path) -> None:
    key = str(rounds_of(log)[0].key)
    done = cli("open", log, key, cwd=tmp_path)
    assert "ChimeraX was not found" in done.stderr
    session = chimerax_grammar.run((tmp_path / done.stdout.strip()).read_text("utf-8"))
    assert not session.series
    assert "it1_" in session.opened[0].name


def test_chimerax_is_started_where_it_is_found(log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "chimerax"
    program.write_text(f'#!/bin/sh\ncp "$1" {tmp_path}/new.cxc && mv {tmp_path}/new.cxc {tmp_path}/seen.cxc\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    assert cli("open", log).returncode == 0
    for _ in range(200):
        if (tmp_path / "seen.cxc").exists():
            break
        __import__("time").sleep(0.01)
    assert chimerax_grammar.run((tmp_path / "seen.cxc").read_text("utf-8")).series


def test_the_average_is_drawn_where_the_automask_took_a_voxel_for_particle(log: Path) -> None:
    record = rounds_of(log)[-1]
    mask = record.mask("automask")
    assert mask is not None
    assert mask.path is not None
    found = mask.parameters
    assert isinstance(found, AutomaskParameters)
    session = chimerax_grammar.run(chimerax_script(record, log.parent))
    level, sigma_A = float(session.shown[4]["level"]), found.filter_A
    assert (level, sigma_A) == (pytest.approx(found.threshold, rel=1e-5), pytest.approx(found.filter_A))
    halves = [read_map(file).voxels for file in session.opened[:2]]
    smooth = gaussian_filter((halves[0] + halves[1]) / 2, sigma_A / record.voxel_size_A, mode="wrap")
    inside = smooth > level
    assert 0.003 < inside.mean() < 0.03
    assert read_map(path_of(log.parent, mask.path)).voxels[inside].min() > 0.5


def test_what_was_measured_of_particles_is_written_into_chimerax_s_log(log: Path) -> None:
    found = {
        "program": "recovar",
        "more_particles": MoreParticles(
            mask="automask", threshold=0.143, resolution_A=8.0, b_factor_A2=200.0, b_factor_sd_A2=20.0, fit_A=(10.0, 8.0),
            points=(SubsetPoint(particles=100, resolution_A=12.0),), targets=(), doubled_A=7.5, doubled_interval_A=(7.6, 7.4),
        ),
        "substitution": Substitution(
            from_A=8, to_A=6, fsc=0.2, substituted_fsc=0, coherent=0.3, coherent_sd=0.01, fitted_noise=0.1, fitted_noise_sd=0.01,
            correlation=(), substituted_correlation=(), coherent_share=(),
        ),
    }  # fmt: skip
    said = chimerax_grammar.run(chimerax_script(rounds_of(log)[-1].model_copy(update=found), log.parent)).said
    assert any(
        "B = 200 ± 20 Å²" in one and "twice as many particles would give 7.50 Å (7.60-7.40)" in one for one in said
    )
    assert any("10.0 ± 1.0 % is noise that the angles of each half were fitted to" in one for one in said)
    assert any("Noise power by direction" in one for one in said)
    record = Analyses(Store(log.parent)).completed(rounds_of(log)[-1])
    assert record.local is not None
    for finest_A, middle_A, coarsest_A in ((8.1, 8.1, 8.2), (8.1, 8.9, 8.9), (8.0, 8.0, 8.0)):
        numbers = {"finest_A": finest_A, "quartiles_A": (middle_A,) * 3, "coarsest_A": coarsest_A}
        alike = record.model_copy(update={"local": record.local.model_copy(update=numbers)})
        assert chimerax_grammar.run(chimerax_script(alike, log.parent)).coloured  # by values that rise


def test_a_project_that_was_moved_keeps_its_local_resolution(log: Path, tmp_path: Path) -> None:
    moved = copied(log, tmp_path / "moved")
    assert cli("open", moved, "--out", "round.cxc", cwd=tmp_path).returncode == 0
    session = chimerax_grammar.run((tmp_path / "round.cxc").read_text("utf-8"))
    assert session.models[session.coloured] == "local resolution, A"


def test_half_maps_that_are_gone_are_named(log: Path, tmp_path: Path) -> None:
    moved = copied(log, tmp_path / "other")
    record = rounds_of(moved)[-1]
    for half in (moved.parent / "half_maps").rglob("*half1.mrc"):
        half.unlink()
    done = cli("open", moved, str(record.key), cwd=tmp_path)
    assert done.returncode == 1
    assert "half1.mrc: is not there" in done.stderr
    assert "of no round are on disk" in cli("open", moved, cwd=tmp_path).stderr
    assert record.half_maps is not None
    bare = record.model_copy(update={"half_maps": record.half_maps.model_copy(update={"paths": None})})
    with pytest.raises(InputError, match="were not kept"):
        chimerax_script(bare, moved.parent)


def test_a_name_that_no_command_line_can_hold_is_refused(log: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be told"):
        chimerax_script(rounds_of(copied(log, tmp_path / "two\nlines"))[-1], tmp_path / "two\nlines" / "refine_hooks")


@pytest.mark.parametrize(
    "line", ["volume #9 level 1", "open a.mrc colour red", "volume #1 level high", "vseries slider #1", "fly #1"]
)
def test_the_grammar_refuses_what_chimerax_would(line: str) -> None:
    with pytest.raises(AssertionError):
        chimerax_grammar.run(f"open a.mrc\n{line}")


def test_napari_opens_a_log_s_newest_round_as_layers(log: Path) -> None:
    read = napari.reader([str(log)])
    assert read is not None
    layers = read([str(log)])
    record = rounds_of(log)[-1]
    names = [about["name"] for _, about, _ in layers]
    assert names == ["it3, average", "half map 1", "half map 2", *(f"mask: {m.name}" for m in record.masks if m.path)]
    assert [kind for *_, kind in layers] == ["image"] * 3 + ["labels"] * (len(layers) - 3)
    assert {about["scale"] for _, about, _ in layers} == {(record.voxel_size_A,) * 3}
    assert {about["units"] for _, about, _ in layers} == {("angstrom",) * 3}
    assert {values.shape for values, *_ in layers} == {(record.box_px,) * 3}
    labels = [set(np.unique(values)) for values, *_ in layers[3:]]
    assert labels == [{0, number} for number in range(1, len(labels) + 1)]
    assert [about["name"] for _, about, _ in layers if about["visible"]] == ["it3, average", "mask: automask"]


def test_napari_opens_the_round_of_a_half_map_and_leaves_other_files_alone(log: Path, tmp_path: Path) -> None:
    half = half_map_files(rounds_of(log)[0], log.parent)[1]
    read = napari.reader(str(half))
    assert read is not None
    layers = read(str(half))
    assert layers[0][1]["name"] == "it1, average"
    assert (layers[2][0] == read_map(half).voxels).all()
    (tmp_path / "another_half1.mrc").write_bytes(half.read_bytes())
    assert napari.reader(str(tmp_path / "another_half1.mrc")) is None
    assert napari.reader([str(half), str(half)]) is None
    assert napari.reader(str(tmp_path / "rounds.jsonl")) is None


def test_the_manifest_of_the_napari_plug_in_is_valid() -> None:
    manifest = pytest.importorskip("npe2").PluginManifest.from_file(Path(napari.__file__).parents[1] / "napari.yaml")
    manifest.validate_imports()
    assert manifest.contributions.readers
