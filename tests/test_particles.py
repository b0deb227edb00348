"""Parameter files of every format, and what is wrong with them before any work begins."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from particles_data import (
    BOX,
    COUNT,
    PIXEL_A,
    columns,
    some_particles,
    write_cistem,
    write_cistem_star,
    write_par,
    write_relion_star,
    write_stack,
)

from refine_hooks.errors import ParticlesError, RefineHooksError
from refine_hooks.files.star import parse_star
from refine_hooks.particles import (
    CTF_PHASE_FLIPPED,
    CTF_PREMULTIPLIED,
    Particles,
    package_of,
    read_particles,
    require_both_halves,
    stacks,
)
from refine_hooks.particles.cistem import from_database_rows
from refine_hooks.sums.weights import cistem_weights

MICROSCOPE = {"pixel_size_A": PIXEL_A, "voltage_kV": 300.0, "cs_mm": 2.7, "amplitude_contrast": 0.07}
_DATABASE = (
    "POSITION_IN_STACK PHI THETA PSI XSHIFT YSHIFT DEFOCUS1 DEFOCUS2 DEFOCUS_ANGLE PHASE_SHIFT OCCUPANCY SCORE SIGMA \
PIXEL_SIZE MICROSCOPE_VOLTAGE MICROSCOPE_CS AMPLITUDE_CONTRAST ASSIGNED_SUBSET"
)


def by_cistem_binary(folder: Path) -> Particles:
    return read_particles(write_cistem(folder / "p.cistem", columns()), stack=folder / "s.mrcs")


def by_cistem_binary_with_paths(folder: Path) -> Particles:
    return read_particles(write_cistem(folder / "p.cistem", columns(), "s.mrcs"))


def by_cistem_star(folder: Path) -> Particles:
    return read_particles(write_cistem_star(folder / "p.star", columns()), stack=folder / "s.mrcs")


def by_par(folder: Path) -> Particles:
    halves = columns()["half"]
    read = read_particles(write_par(folder / "p.par", columns()), stack=folder / "s.mrcs", **MICROSCOPE)
    return replace(read, half=halves)  # the format has none


def by_database(folder: Path) -> Particles:
    rows = list(zip(*columns().values(), strict=True))
    return from_database_rows(_DATABASE.split(), rows, source="project.db", stack=folder / "s.mrcs")


def by_relion_3_0(folder: Path) -> Particles:
    return read_particles(write_relion_star(folder / "p.star", columns(), "s.mrcs", optics=False))


def by_relion_3_1(folder: Path) -> Particles:
    return read_particles(write_relion_star(folder / "p.star", columns(), "s.mrcs"))


@pytest.mark.parametrize(
    "reader",
    [by_cistem_binary, by_cistem_binary_with_paths, by_cistem_star, by_par, by_database, by_relion_3_0, by_relion_3_1],
)
def test_every_format_says_the_same_of_the_same_particles(tmp_path: Path, reader: Callable[[Path], Particles]) -> None:
    write_stack(tmp_path / "s.mrcs")
    read, wanted = reader(tmp_path), some_particles(tmp_path / "s.mrcs")
    assert read.stacks == (tmp_path / "s.mrcs",)
    weights = ("occupancy", "score", "sigma", "contrast")  # which RELION does not have
    for name in set(columns()) - (set(weights) if "relion" in reader.__name__ else set()):
        assert getattr(read, name) == pytest.approx(getattr(wanted, name), rel=1e-6, abs=1e-5), name
    assert read.used.all()
    assert stacks.checked_boxes(read) == (BOX,)


def test_the_phase_shift_of_a_star_file_is_in_radians_only_if_cistem_wrote_it(tmp_path: Path) -> None:
    write_stack(tmp_path / "s.mrcs")
    values = columns()
    ours = write_cistem_star(tmp_path / "cistem.star", values)
    foreign = write_cistem_star(tmp_path / "foreign.star", {**values, "phase_shift_rad": np.full(COUNT, 90.0)}, False)
    assert read_particles(ours, stack=tmp_path / "s.mrcs").phase_shift_rad == pytest.approx(0.5)
    assert read_particles(foreign, stack=tmp_path / "s.mrcs").phase_shift_rad == pytest.approx(np.pi / 2)


def test_excluded_rows_leave_the_averages_in_binary_files_and_stay_in_star_files(tmp_path: Path) -> None:
    """As reconstruct3d: dropped from .cistem at reading; in .star they are in the averages, and only not inserted."""
    activity = np.where(np.arange(COUNT) < 6, -1, 1)
    values = {**columns(), "activity": activity}
    values["occupancy"] = np.where(activity < 0, 10.0, 100.0)
    binary = read_particles(write_cistem(tmp_path / "p.cistem", values), stack=tmp_path / "s.mrcs")
    text = read_particles(write_cistem_star(tmp_path / "p.star", values), stack=tmp_path / "s.mrcs")
    assert (len(binary), len(text)) == (COUNT - 6, COUNT)
    assert int(text.used.sum()) == COUNT - 6
    assert set(text.image[text.used]) == set(binary.image)
    assert text.occupancy.mean() != pytest.approx(binary.occupancy.mean())


def test_a_particle_without_occupancy_counts_in_the_averages_and_is_not_inserted(tmp_path: Path) -> None:
    occupancy = np.where(np.arange(COUNT) % 4 == 0, 0.0, 100.0)
    read = read_particles(
        write_cistem_star(tmp_path / "p.star", {**columns(), "occupancy": occupancy}), stack=tmp_path / "s.mrcs"
    )
    weights = cistem_weights(replace(read, sigma=np.full(COUNT, 10.0)), score_weight_A2=0.0)
    assert int(weights.used.sum()) == COUNT * 3 // 4
    assert weights.amplitude[1] == pytest.approx(4 / 3)


def test_without_half_sets_cistem_splits_even_from_odd_positions(tmp_path: Path) -> None:
    values = {name: v for name, v in columns().items() if name != "half"}
    read = read_particles(write_cistem_star(tmp_path / "p.star", values), stack=tmp_path / "s.mrcs")
    assert (read.half == np.where(read.image % 2 == 0, 2, 1)).all()


def test_without_half_sets_relion_rows_alternate_and_that_is_said(tmp_path: Path) -> None:
    read = read_particles(write_relion_star(tmp_path / "p.star", columns(), "s.mrcs", RandomSubset=None))
    assert read.half.tolist()[:4] == [1, 2, 1, 2]
    assert "RandomSubset" in read.notes[0]


def test_several_stacks_are_found_from_the_project_above_the_file(tmp_path: Path) -> None:
    write_stack(tmp_path / "Extract" / "a.mrcs", 12)
    write_stack(tmp_path / "Extract" / "b.mrcs", 12)
    values = {**columns(), "image": np.r_[1:13, 1:13]}
    names = [f"{n:06d}@Extract/{'ab'[i // 12]}.mrcs" for i, n in enumerate(values["image"])]
    (tmp_path / "Refine3D" / "job001").mkdir(parents=True)
    path = write_relion_star(tmp_path / "Refine3D" / "job001" / "run_data.star", values, "", ImageName=names)
    read = read_particles(path)
    assert read.stacks == (tmp_path / "Extract" / "a.mrcs", tmp_path / "Extract" / "b.mrcs")
    assert stacks.checked_boxes(read) == (BOX, BOX)
    assert read.stack.tolist() == [0] * 12 + [1] * 12


def test_each_optics_group_has_its_own_pixel_size(tmp_path: Path) -> None:
    groups = np.where(np.arange(COUNT) < 10, 3, 7)
    path = write_relion_star(tmp_path / "p.star", columns(), "s.mrcs", groups=groups, pixel_sizes={7: 1.5, 3: 2.0})
    assert read_particles(path).pixel_size_A.tolist() == [2.0] * 10 + [1.5] * 14


@pytest.mark.parametrize("name", ["data_1", "save_1", "loop_1", "_1", "#2", "'5", '"5', "$HOME", "Gr\u00fcn", "[1,1]"])
def test_names_are_what_stands_between_blanks_whatever_they_begin_with(tmp_path: Path, name: str) -> None:
    values, names = columns(), [f"{name}/{i // 10}.mrc" for i in range(COUNT)]
    images = [f"{n:06d}@{name}.mrcs" for n in values["image"]]
    path = write_relion_star(tmp_path / "p.star", values, "", MicrographName=names, ImageName=images)
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    read = read_particles(path)
    assert [stack.name for stack in read.stacks] == [f"{name}.mrcs"]
    np.testing.assert_allclose(read.psi_deg, values["psi_deg"])
    np.testing.assert_array_equal(read.image, values["image"])


@pytest.mark.parametrize("quote", ["'", '"'])
def test_a_name_in_quotes_may_hold_blanks_and_the_quote_itself(tmp_path: Path, quote: str) -> None:
    """As RELION reads it: a quote closes where a blank follows."""
    values, name = columns(), f"grid 2/it{quote}s"
    names, images = (
        [f"{quote}{text}{quote}" for text in texts]
        for texts in (
            [f"{name}.mrc"] * COUNT,
            [f"{n:06d}@{name}.mrcs" for n in values["image"]],
        )
    )
    path = write_relion_star(tmp_path / "p.star", values, "", MicrographName=names, ImageName=images)
    read = read_particles(path)
    assert [stack.name for stack in read.stacks] == [f"it{quote}s.mrcs"]
    np.testing.assert_array_equal(read.image, values["image"])
    assert parse_star(f"data_\n_rlnA {quote}{quote}\n", "here")[""].text("rlnA") == ""


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda row: row.rpartition(" ")[0], "has 14 of 15 values"),
        (lambda row: row.replace("@", "@ ", 1), None),
        (lambda row: "x" + row.partition("@")[0] + "@" + row.partition("@")[2], "rlnImageName is no number"),
        (lambda row: " ".join([row.split()[0], "1.2.3", *row.split()[2:]]), "rlnAngleRot is no number"),
        (lambda row: " ".join([row.split()[0], "nan", *row.split()[2:]]), "phi_deg is not a number"),
        (lambda row: f"{row} 9", "has 16 of 15 values"),  # RELION 3.1.3 refuses it as well
    ],
)
def test_a_row_that_is_wrong_is_named_by_its_line(
    tmp_path: Path, change: Callable[[str], str], says: str | None
) -> None:
    path = write_relion_star(
        tmp_path / "p.star", columns(), "s.mrcs", MicrographName=["m.mrc"] * COUNT, N=["1"] * COUNT, M=["1"] * COUNT
    )
    lines = path.read_text().split("\n")
    row = next(i for i, line in enumerate(lines) if "000007@" in line)
    lines[row] = change(lines[row])
    path.write_text("\n".join(lines))
    with pytest.raises(RefineHooksError, match=f"line {row + 1}\\b") as caught:
        read_particles(path)
    assert says is None or says in str(caught.value)


def test_the_last_of_two_columns_of_one_label_counts(tmp_path: Path) -> None:
    path = write_relion_star(tmp_path / "p.star", columns(), "s.mrcs", Again=np.full(COUNT, 2))
    path.write_text(
        path.read_text().replace("_rlnAgain", "_rlnRandomSubset").replace("_rlnVoltage", "_rlnOpticsGroup1")
    )
    with pytest.raises(RefineHooksError, match="rlnVoltage"):
        read_particles(path)
    assert (read_particles(path, voltage_kV=300.0).half == 2).all()


@pytest.mark.parametrize(
    ("label", "kind"),
    [("CtfDataAreCtfPremultiplied", CTF_PREMULTIPLIED), ("CtfDataArePhaseFlipped", CTF_PHASE_FLIPPED)],
)
def test_what_was_done_to_the_images_before_is_known(tmp_path: Path, label: str, kind: int) -> None:
    path = write_relion_star(tmp_path / "p.star", columns(), "s.mrcs", **{label: np.ones(COUNT, int)})
    assert (read_particles(path).ctf_kind == kind).all()


@pytest.mark.parametrize("mode", [0, 1, 2, 6, 12])
def test_images_are_read_in_every_mode(tmp_path: Path, mode: int) -> None:
    images = write_stack(tmp_path / "s.mrcs", mode=mode)
    particles = some_particles(tmp_path / "s.mrcs")
    plan = stacks.blocks(particles, stacks.checked_boxes(particles), 5)
    for block, read in zip(plan, stacks.read_images(particles, plan), strict=True):
        assert read.dtype == np.float32
        assert (read == images[particles.image[block.rows] - 1]).all()


def test_every_number_of_half_precision_is_read_as_it_is(tmp_path: Path) -> None:
    every = np.arange(1 << 16, dtype=np.uint16).view(np.float16).reshape(1, 256, 256)
    write_stack(tmp_path / "s.mrcs", count=1, mode=12, box=256)
    header = (tmp_path / "s.mrcs").read_bytes()[:1024]
    (tmp_path / "s.mrcs").write_bytes(header + every.tobytes())
    rows = replace(some_particles(tmp_path / "s.mrcs"), image=np.ones(COUNT, int))
    read = next(stacks.read_images(rows, [stacks.Block(np.zeros(1, int), 0, 256)]))
    np.testing.assert_array_equal(read, every.astype(np.float32))
    np.testing.assert_array_equal(np.signbit(read), np.signbit(every))


@pytest.mark.parametrize("changed", ["cut off", "other box", "fewer images", "gone"])
def test_a_stack_that_changes_while_it_is_read_is_named(tmp_path: Path, changed: str) -> None:
    path = tmp_path / "s.mrcs"
    write_stack(path)
    particles = some_particles(path)
    plan = stacks.blocks(particles, stacks.checked_boxes(particles), 5)
    read = stacks.read_images(particles, plan)
    if changed == "cut off":
        next(read)
        cut(path, path.stat().st_size // 3)
    elif changed == "gone":
        path.unlink()
    else:
        write_stack(path, **({"box": BOX + 2} if changed == "other box" else {"count": 3}))
    with pytest.raises(ParticlesError, match=r"s\.mrcs: the particle stack"):
        list(read)


def test_both_packages_files_are_told_apart(tmp_path: Path) -> None:
    assert package_of(write_relion_star(tmp_path / "a.star", columns(), "s.mrcs")) == "relion"
    assert package_of(write_cistem_star(tmp_path / "b.star", columns())) == "cistem"
    assert package_of(write_cistem(tmp_path / "c.cistem", columns())) == "cistem"


def cut(path: Path, size: int) -> Path:
    path.write_bytes(path.read_bytes()[:size])
    return path


FAULTY = {
    "torn binary": (lambda f: cut(write_cistem(f / "p.cistem", columns()), 900), "of the 24 rows that it states"),
    "torn binary with text": (lambda f: cut(write_cistem(f / "p.cistem", columns(), "s.mrcs"), 900), "torn"),
    "no binary": (lambda f: cut(write_cistem(f / "p.cistem", columns()), 5), "too few"),
    "short par": (lambda f: cut(write_par(f / "p.par", columns()), 700), "16 or 17 columns"),
    "no number": (
        lambda f: write_cistem_star(f / "p.star", {**columns(), "score": np.array(["high"] * COUNT)}),
        "Score",
    ),
    "an angle that is none": (
        lambda f: write_cistem_star(f / "p.star", {**columns(), "psi_deg": np.r_[0, 0, np.nan, np.zeros(COUNT - 3)]}),
        "psi_deg is not a number in 1 rows, the first is particle 3",
    ),
    "no pixel size": (
        lambda f: write_cistem_star(f / "p.star", {**columns(), "pixel_size_A": np.zeros(COUNT)}),
        "pixel_size_A is not above zero",
    ),
    "no angles": (lambda f: write_relion_star(f / "p.star", columns(), "s.mrcs", AngleTilt=None), "rlnAngleTilt"),
    "unknown group": (
        lambda f: write_relion_star(f / "p.star", columns(), "s.mrcs", groups=np.full(COUNT, 5)),
        "optics group 5",
    ),
    "magnification": (
        lambda f: write_relion_star(f / "p.star", columns(), "s.mrcs", MagMat00=np.full(COUNT, 1.02)),
        "anisotropic magnification",
    ),
    "aberrations": (
        lambda f: write_relion_star(f / "p.star", columns(), "s.mrcs", optics=False, OddZernike=["[0.1,0]"] * COUNT),
        "antisymmetric aberrations",
    ),
    "not there": (lambda f: f / "nothing.star", "nothing.star"),
    "another kind": (lambda f: f / "p.csv", "not a parameter file"),
}


@pytest.mark.parametrize("case", FAULTY)
def test_a_parameter_file_that_is_wrong_says_what_and_where(tmp_path: Path, case: str) -> None:
    make, word = FAULTY[case]
    path = make(tmp_path)  # type: ignore[operator]
    options = (
        {}
        if path.suffix in (".star", ".csv") and "rln" in (path.read_text() if path.exists() else "rln")
        else {"stack": tmp_path / "s.mrcs"}
    )
    with pytest.raises(RefineHooksError, match=word) as caught:
        read_particles(path, **options)
    assert all(str(path) in fault for fault in caught.value.faults)


def test_everything_wrong_with_the_stacks_is_said_at_once(tmp_path: Path) -> None:
    write_stack(tmp_path / "short.mrcs", 4)
    (tmp_path / "torn.mrcs").write_bytes((tmp_path / "short.mrcs").read_bytes()[:1500])
    (tmp_path / "none.mrcs").write_text("no stack")
    names = ("short.mrcs", "torn.mrcs", "none.mrcs", "gone.mrcs")
    particles = replace(
        some_particles(tmp_path / "short.mrcs"),
        stacks=tuple(tmp_path / name for name in names),
        stack=np.arange(COUNT) % 4,
        image=np.r_[9, np.ones(COUNT - 1, int)],
    )
    with pytest.raises(ParticlesError) as caught:
        stacks.checked_boxes(particles)
    assert len(caught.value.faults) == 4
    for name, word in zip(names, ("image 9 (particle 1", "shorter", "none.mrcs", "is not there"), strict=True):
        assert any(name in fault and word in fault for fault in caught.value.faults), name


def test_a_half_without_particles_is_refused(tmp_path: Path) -> None:
    particles = some_particles(tmp_path / "s.mrcs", half=np.ones(COUNT, int))
    with pytest.raises(ParticlesError, match=r"made.star: half 2 has no particle"):
        require_both_halves(particles)
