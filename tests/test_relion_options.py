"""What a RELION refinement was told to do is obeyed by `reconstruct`, or refused in words; its sums become its own map."""

import os
import shutil
import tracemalloc
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mrcfile
import numpy as np
import pytest

from refine_hooks.errors import ParticlesError
from refine_hooks.files.mrc import read_map
from refine_hooks.model import Changes
from refine_hooks.particles import CTF_PHASE_FLIPPED, CTF_PLAIN, Helix
from refine_hooks.particles.cistem import read_par
from refine_hooks.particles.relion import read_star
from refine_hooks.programs._reading import Memory
from refine_hooks.programs.relion.external import fsc_of_sums, half_map_from_external
from refine_hooks.programs.relion.notes import facts_of
from refine_hooks.programs.relion.particles import particles
from refine_hooks.programs.relion.tables import ClassTable, Model, read_model, read_optimiser
from refine_hooks.reconstruct import Desk, half_maps_of, plan_of
from refine_hooks.settings import load_settings
from refine_hooks.sums.relion import Grid, even_weights, own_fsc

TABLE = """
data_general

_rlnTomoSubTomosAre2DStacks {tilts}

data_optics

loop_
_rlnOpticsGroup #1
_rlnVoltage #2
_rlnSphericalAberration #3
_rlnAmplitudeContrast #4
_rlnImagePixelSize #5
1 300 2.7 0.1 1.5

data_particles

loop_
_rlnImageName #1
_rlnAngleRot #2
_rlnAngleTilt #3
_rlnAnglePsi #4
_rlnDefocusU #5
_rlnDefocusV #6
_rlnDefocusAngle #7
_rlnOpticsGroup #8
_rlnRandomSubset #9
1@s.mrcs 1 2 3 9000 9100 5 1 1
2@s.mrcs 1 2 3 9000 9100 5 1 2
"""


def a_round(folder: Path, options: str = "", version: str = "5.0.1", call: str = "", model_A: float = 1.5) -> Any:
    (folder / "run_it003_data.star").write_text(TABLE.format(tilts=0))
    (folder / "run_it003_optimiser.star").write_text(
        f"# RELION optimiser; version {version}\n# --o run {call}\n\n# version 30001\n\ndata_optimiser_general\n\n"
        f"_rlnOutputRootName run\n{options}\n \n"
    )
    inputs = SimpleNamespace(
        particles_table=folder / "run_it003_data.star",
        job=SimpleNamespace(folder=folder, project=folder),
        stem="run_it003",
        kind="class",
        number=1,
        independence="independent",
        model=None,
    )
    facts = SimpleNamespace(symmetry="C1", voxel_size_A=model_A)
    return SimpleNamespace(inputs=inputs, facts=facts, key=SimpleNamespace(class_id=1))


def test_images_that_the_optimiser_says_are_phase_flipped_are_taken_so(tmp_path: Path) -> None:
    plain = particles(a_round(tmp_path))
    assert set(plain.particles.ctf_kind) == {CTF_PLAIN}
    flipped = particles(a_round(tmp_path, "_rlnCtfDataArePhaseFlipped 1"))
    assert set(flipped.particles.ctf_kind) == {CTF_PHASE_FLIPPED}


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("_rlnDoIgnoreCtfUntilFirstPeak 1", "ctf_intact_first_peak"),
        ("_rlnDoOnlyFlipCtfPhases 1", "only_flip_phases"),
        ("_rlnDoCorrectCtf 0", "CTF was not corrected"),
        ("_rlnDoHelicalRefine 1", "helical symmetry"),
    ],
)
def test_what_is_not_repeated_here_is_refused_in_words(tmp_path: Path, option: str, words: str) -> None:
    with pytest.raises(ParticlesError, match=words):
        particles(a_round(tmp_path, option))


def a_helical_round(folder: Path, units: int | None = 6, options: str = "", **more: Any) -> Any:
    round_ = a_round(folder, options, **more)
    table = SimpleNamespace(helix=(4.78, -1.2))
    round_.inputs.model = SimpleNamespace(classes=(table,), helical_units=units, box_px=24, voxel_size_A=1.5)
    return round_


def test_a_helix_is_imposed_as_the_model_table_tells_it_and_said(tmp_path: Path) -> None:
    job = particles(a_helical_round(tmp_path))
    assert job.helix == Helix(4.78, -1.2, 6)
    assert any("6 units, 4.78 A rise and -1.2 degrees" in note and "central Z percentage" in note for note in job.notes)
    called = a_helical_round(tmp_path, None, "_rlnDoHelicalRefine 1", call="--helix --helical_nr_asu 3")
    assert particles(called).helix == Helix(4.78, -1.2, 3)
    searched = particles(a_helical_round(tmp_path, options="_rlnHelicalSymmetryLocalRefinement 1"))
    assert any("once its own sums were made" in note for note in searched.notes)


@pytest.mark.parametrize("how", [{"options": "_rlnIgnoreHelicalSymmetry 1"}, {"call": "--ignore_helical_symmetry"}])
def test_a_helix_whose_symmetry_was_ignored_or_is_of_one_unit_is_none(tmp_path: Path, how: dict[str, str]) -> None:
    assert particles(a_helical_round(tmp_path, **how)).helix is None
    assert particles(a_helical_round(tmp_path, units=1)).helix is None


def test_a_helix_that_the_tables_tell_half_of_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ParticlesError, match="an unknown number of units"):
        particles(a_helical_round(tmp_path, None))
    round_ = a_helical_round(tmp_path)
    round_.inputs.model.classes[0].helix = (float("nan"), -1.2)
    with pytest.raises(ParticlesError, match="nan A rise"):
        particles(round_)


@pytest.mark.parametrize(
    ("version", "call", "gridding"),
    [
        ("5.0.1", "", False),
        ("4.0-beta", "", False),
        ("3.1.3", "", True),
        ("3.1.3", "--skip_gridding", False),
        ("5.0.1", "--dont_skip_gridding", True),
    ],
)
def test_gridding_is_done_where_that_version_does_it(tmp_path: Path, version: str, call: str, gridding: bool) -> None:
    assert particles(a_round(tmp_path, version=version, call=call)).gridding is gridding


def test_a_model_s_other_pixel_size_is_said(tmp_path: Path) -> None:
    assert len(particles(a_round(tmp_path)).notes) == 1
    assert "1.5 A, the model table's is 1.6 A" in particles(a_round(tmp_path, model_A=1.6)).notes[1]


def test_images_of_two_pixel_sizes_make_a_map_on_the_model_s_grid(tmp_path: Path) -> None:
    """The first stack by its name, a.mrcs, has the other optics group's pixels."""
    round_ = a_round(tmp_path, model_A=1.5)
    round_.inputs.model = SimpleNamespace(box_px=24, voxel_size_A=1.5, classes=[])
    text = TABLE.format(tilts=0).replace("1 300 2.7 0.1 1.5\n", "1 300 2.7 0.1 1.5\n2 300 2.7 0.1 2.0\n")
    more = "".join(f"{n}@a.mrcs 1 2 3 9000 9100 5 2 {n}\n" for n in (1, 2))
    (tmp_path / "run_it003_data.star").write_text(text + more)
    for name, box_px, pixel_A in (("s.mrcs", 24, 1.5), ("a.mrcs", 18, 2.0)):
        with mrcfile.new(tmp_path / name) as mrc:
            mrc.set_data(np.random.default_rng(1).normal(size=(2, box_px, box_px)).astype(np.float32))
            mrc.voxel_size = pixel_A
    job = particles(round_)
    plan = plan_of(job)
    assert (plan.box_px, plan.voxel_size_A, plan.boxes) == (24, 1.5, (18, 24))
    assert any("1.5, 2 A" in note for note in job.notes)
    made = half_maps_of(job, "a round", load_settings(), Desk())
    assert (made.half1.box_px, made.half1.voxel_size_A) == (24, 1.5)


def test_subtomograms_as_2d_stacks_are_refused_by_their_flag(tmp_path: Path) -> None:
    (tmp_path / "p.star").write_text(TABLE.format(tilts=1).replace("_rlnDefocusU", "_rlnOther"))
    with pytest.raises(ParticlesError, match="rlnTomoSubTomosAre2DStacks"):
        read_star(tmp_path / "p.star")


def test_a_table_without_rows_holds_no_particles(tmp_path: Path) -> None:
    (tmp_path / "p.star").write_text(TABLE.format(tilts=0).partition("1@s")[0])
    with pytest.raises(ParticlesError, match="holds no particles"):
        read_star(tmp_path / "p.star")


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("      2 ******* 2.0 3.0 0 0 10000 0 9000 9100 5 0 100 0 1 1 0", r"line 3 holds '\*\*\*\*\*\*\*'"),
        ("      2 1.0 2.0 3.0 0.0-1234.50 10000 0 9000 9100 5 0 100 0 1 1 0", r"line 3 holds '0\.0-1234\.50'"),
        ("      2 1.0 2.0 3.0", "line 3 has 4 values"),
    ],
    ids=["stars", "joined", "short"],
)
def test_a_line_of_a_par_file_that_is_no_row_is_named(tmp_path: Path, row: str, words: str) -> None:
    good = "      1 1.0 2.0 3.0 0 0 10000 0 9000 9100 5 0 100 0 1 1 0"
    (tmp_path / "a.par").write_text(f"C comment\n{good}\n{row}\n")
    with pytest.raises(ParticlesError, match=words):
        read_par(tmp_path / "a.par", stack=tmp_path / "s.mrc", pixel_size_A=1.0, voltage_kV=300, cs_mm=2.7)


@pytest.mark.shared
@pytest.mark.parametrize("job", ["job018", "job009"], ids=["padding 1", "blush"])
@pytest.mark.parametrize("half", [1, 2])
def test_sums_become_the_map_that_relion_5_makes_of_them(shared: Path, job: str, half: int, tmp_path: Path) -> None:
    golden = shared / "golden" / "relion501"
    stem = f"run_it001_half{half}_class001_external_reconstruct"
    for path in (golden / "Refine3D" / job).glob(f"{stem}*"):
        os.utime(shutil.copy(path, tmp_path), (1, 1))  # a checkout gives times of its own
    made, _ = half_map_from_external(tmp_path / f"{stem}.star")
    wanted = read_map(golden / "truth" / f"{job}_it001_half{half}.mrc").voxels
    assert np.abs(made.voxels - wanted).max() < 1e-5 * np.abs(wanted).max()


@pytest.mark.shared
@pytest.mark.parametrize("stem", ["job018/run_it001", "job018/run_it002", "job009/run_it001"])
def test_relion_s_own_fsc_is_had_again_from_its_sums(shared: Path, stem: str) -> None:
    path = shared / "golden" / "relion501" / "Refine3D" / stem
    one, two = (path.with_name(f"{path.name}_half{half}_class001_external_reconstruct.star") for half in (1, 2))
    stated = read_model(path.with_name(f"{path.name}_half1_model.star")).classes[0].gold_standard
    assert stated is not None
    last = int(np.count_nonzero(np.isfinite(stated))) - 1  # of which the grid holds a part only
    assert np.abs(fsc_of_sums((one, two))[:last] - stated[:last]).max() < 1e-5


@pytest.mark.parametrize(("box_px", "padding"), [(8, 1), (8, 2), (9, 2), (8, 1.5)])
def test_sums_are_averaged_in_the_nearest_voxel_before_their_fsc(box_px: int, padding: float) -> None:
    grid, rng = Grid(box_px, padding, 6), np.random.default_rng(1)
    arrays = rng.normal(size=(2, 3, *grid.array_shape)).astype(np.float32)
    arrays[:, 2] = np.abs(arrays[:, 2])
    averaged, square = np.zeros((2, 7, 7, 4), complex), np.zeros((7, 7, 4))
    weights = np.zeros(averaged.shape)
    for z, y, x in np.ndindex(grid.array_shape):
        steps = [k if k < (grid.padded_px + 1) // 2 else k - grid.padded_px for k in (z, y)] + [x]
        voxel = [int(np.sign(k) * np.floor(abs(k) / padding + 0.5)) for k in steps]
        if x < (grid.padded_px + 1) // 2 and max(map(abs, voxel)) <= 3:
            place = voxel[0] + 3, voxel[1] + 3, voxel[2]
            averaged[:, *place] += arrays[:, 0, z, y, x] + 1j * arrays[:, 1, z, y, x]
            weights[:, *place] += arrays[:, 2, z, y, x]
            square[place] = sum(k * k for k in voxel)
    one, two = averaged / weights
    shells = np.floor(np.sqrt(square) + 0.5)
    wanted = [
        (one * two.conj()).real[shells == s].sum()
        / np.sqrt((np.abs(one) ** 2)[shells == s].sum() * (np.abs(two) ** 2)[shells == s].sum())
        for s in range(1, 4)
    ]
    made = own_fsc(lambda half, part: arrays[half, part], grid)
    np.testing.assert_allclose(made, [1.0, *wanted, *[0.0] * (box_px // 2 - 3)], atol=1e-6)


@pytest.mark.parametrize(
    ("numbers", "tables", "changes"),
    [
        ((2.36, 0.908, 0.02), "# version 30001", Changes(orientations_deg=2.36, offsets_A=0.908, classes=0.02)),
        ((2.36, 0.908, 0.02), "", Changes(orientations_deg=2.36, classes=0.02)),  # before 3.1: pixels
        ((999.0, 999.0, 9999999.0), "# version 30001", None),  # before the second iteration
    ],
)
def test_what_changed_since_the_iteration_before_is_told_in_known_units(
    tmp_path: Path, numbers: tuple[float, ...], tables: str, changes: Changes | None
) -> None:
    names = ("Orientations", "Offsets", "Classes")
    rows = "\n".join(f"_rlnChangesOptimal{name} {value}" for name, value in zip(names, numbers, strict=True))
    path = tmp_path / "run_it003_optimiser.star"
    path.write_text(f"# RELION optimiser\n\n{tables}\n\ndata_optimiser_general\n\n{rows}\n \n")
    found = read_optimiser(path)
    assert found.changes == changes
    a_class = ClassTable(None, None, None, kept_fixed=False)
    about: Any = {
        "images": (None, None),
        "postprocess": None,
        "final": False,
        "first": False,
        "split": False,
        "samplings": [],
    }
    one, two = (
        facts_of(
            memory=Memory(),
            model=Model(8, 1.0, 8, None, 9, False, (a_class,) * count),
            number=1,
            optimiser=found,
            **about,
        )
        for count in (1, 2)
    )
    assert two.changes == changes
    assert one.changes == (changes and changes.model_copy(update={"classes": None}))  # with one class it is no news


def test_the_search_for_even_weights_takes_little_more_memory_than_its_two_grids() -> None:
    """Padded, a box of 256 has 0.55 GB in each: with copies beside them it would not go into 2 GB."""
    grid = Grid(64, 2.0, 64)
    weight = np.random.default_rng(1).random((grid.working_px, grid.working_px, grid.working_px // 2 + 1), np.float32)
    even_weights(weight, grid, 1)
    tracemalloc.start()
    even_weights(weight, grid, 1)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 2.8 * 8 * weight.size
