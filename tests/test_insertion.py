"""Insertion against its definition written out in full, and against relion_reconstruct."""

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from command_line import cli
from particles_data import BOX, COUNT, PIXEL_A, columns, some_particles, write_relion_star, write_stack

from refine_hooks import fsc
from refine_hooks.errors import ParticlesError, SettingsError, SumsError
from refine_hooks.files.mrc import read_map
from refine_hooks.fourier import transform
from refine_hooks.kernels import build
from refine_hooks.model import HalfMaps
from refine_hooks.particles import (
    CTF_PHASE_FLIPPED,
    CTF_PREMULTIPLIED,
    Helix,
    Particles,
    ParticlesJob,
    read_particles,
    stacks,
)
from refine_hooks.reconstruct import Desk, half_maps_of
from refine_hooks.settings import load_settings
from refine_hooks.sums import insertion, relion, tiles
from refine_hooks.sums.plan import Plan, plan_for
from refine_hooks.sums.symmetry import rotations
from refine_hooks.sums.weights import Weights, even_weights


def planned(
    particles: Particles, package: Any = "cistem", symmetry: str = "C1", weights: Weights | None = None
) -> Plan:
    boxes = stacks.checked_boxes(particles)
    return plan_for(particles, boxes, weights or even_weights(particles), package=package, symmetry=symmetry)


def turn(phi: float, theta: float, psi: float) -> np.ndarray:
    """R = Rz(phi) Ry(theta) Rz(psi), active and right-handed."""

    def z(a: float) -> np.ndarray:
        return np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])

    t = np.deg2rad(theta)
    y = np.array([[np.cos(t), 0, np.sin(t)], [0, 1, 0], [-np.sin(t), 0, np.cos(t)]])
    return z(np.deg2rad(phi)) @ y @ z(np.deg2rad(psi))


def written_out(particles: Particles, images: np.ndarray, plan: Plan, half_set: int) -> tuple[Any, Any]:
    """The whole sphere's sums [z, y, x] of one half set: every coefficient and its mate, spread over eight neighbours."""
    n, reach = images.shape[1], plan.half + 2
    data, weight = np.zeros((2 * reach + 1,) * 3, complex), np.zeros((2 * reach + 1,) * 3)
    k = np.arange(-(n // 2), n - n // 2)
    ky, kx = np.meshgrid(k, np.arange(n // 2 + 1), indexing="ij")
    once = (kx > 0) | (ky >= 0)
    if plan.package == "relion":
        once &= kx**2 + ky**2 <= (n / 2) ** 2
    kx, ky = kx[once], ky[once]
    mates = rotations(plan.symmetry, "cistem") if plan.package == "cistem" else np.eye(3)[None]
    volts = particles.voltage_kV * 1000
    factor, relativistic = (12.2639, 0.97845e-6) if plan.package == "cistem" else (12.2643247, 0.978466e-6)
    wavelength = factor / np.sqrt(volts + relativistic * volts**2)
    for i in np.flatnonzero(particles.half == half_set):
        s2 = (kx**2 + ky**2) / (n * particles.pixel_size_A[i]) ** 2
        azimuth = np.arctan2(ky, kx) - np.deg2rad(particles.defocus_angle_deg[i])
        one, two = particles.defocus_1_A[i], particles.defocus_2_A[i]
        defocus = 0.5 * (one + two + np.cos(2 * azimuth) * (one - two))
        chi = np.pi * wavelength[i] * s2 * (defocus - 0.5 * wavelength[i] ** 2 * s2 * particles.cs_mm[i] * 1e7)
        contrast = particles.amplitude_contrast[i]
        chi += particles.phase_shift_rad[i] + np.arctan(contrast / np.sqrt(1 - contrast**2))
        by = {CTF_PREMULTIPLIED: np.ones_like(chi), CTF_PHASE_FLIPPED: np.abs(np.sin(chi))}
        ctf = np.sin(chi)
        spectrum = np.fft.fft2(images[particles.image[i] - 1].astype(float)) / n**2
        if plan.package == "relion":
            spectrum[0, 0] = 0
        shift = np.array([particles.shift_x_A[i], particles.shift_y_A[i]]) / particles.pixel_size_A[i] + n // 2
        value = spectrum[ky, kx] * np.exp(2j * np.pi * (kx * shift[0] + ky * shift[1]) / n)
        w = plan.amplitude[i] * np.exp(plan.falloff_A2[i] * s2)
        value = value * particles.contrast[i] * by.get(int(particles.ctf_kind[i]), ctf) * w
        angles = particles.phi_deg[i], particles.theta_deg[i], particles.psi_deg[i]
        for mate in mates:
            place = plan.padding * (mate @ turn(*angles) @ np.stack([kx, ky, np.zeros_like(kx)]))
            for sign in (1, -1):
                spread(data, weight, sign * place, value if sign == 1 else value.conj(), ctf**2 * w, reach)
    return data, weight


def spread(data: Any, weight: Any, place: Any, value: Any, squared: Any, reach: int) -> None:
    low = np.floor(place).astype(int)
    part = place - low
    for corner in np.ndindex(2, 2, 2):
        share = np.prod([p if c else 1 - p for c, p in zip(corner, part, strict=True)], axis=0)
        at = low + np.array(corner)[:, None]
        inside = np.all(np.abs(at) <= reach, axis=0)
        x, y, z = (at + reach)[:, inside]
        np.add.at(data, (z, y, x), (share * value)[inside])
        np.add.at(weight, (z, y, x), (share * squared)[inside])


def completed(sums: np.ndarray, half: int, mates_added: bool) -> tuple[Any, Any]:
    """Sums [z, y, x] for x >= 0 and everything within the box, the mates on the plane x = 0 added up."""
    inner = slice(2, 2 * half + 1)  # -half + 1 .. half - 1
    mine = sums[inner, inner, :half].astype(float)
    data, weight = mine[..., 0] + 1j * mine[..., 1], mine[..., 2]
    if mates_added:
        return data, weight
    mates, theirs = data[::-1, ::-1, 0].conj(), weight[::-1, ::-1, 0]
    data[..., 0], weight[..., 0] = data[..., 0] + mates, weight[..., 0] + theirs
    return data, weight


CASES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "cistem": ("cistem", "C1", {}),
    "cistem, white particles": ("cistem", "C1", {"contrast": 1.0}),
    "cistem, D2": ("cistem", "D2", {}),
    "cistem, T": ("cistem", "T", {}),
    "cistem, I": ("cistem", "I", {}),
    "relion": ("relion", "C1", {}),
    "relion, phase-flipped": ("relion", "C1", {"ctf_kind": CTF_PHASE_FLIPPED}),
    "relion, premultiplied": ("relion", "C1", {"ctf_kind": CTF_PREMULTIPLIED}),
}


@pytest.mark.parametrize("case", CASES)
def test_sums_are_those_of_the_definition_written_out(tmp_path: Path, case: str) -> None:
    package, symmetry, changes = CASES[case]
    images = write_stack(tmp_path / "s.mrcs")
    count = 8 if symmetry in ("T", "I") else COUNT  # each counts so many times
    particles = some_particles(tmp_path / "s.mrcs", **changes).rows(np.arange(count))
    rng = np.random.default_rng(5)
    weights = Weights(rng.uniform(0.5, 2, count), rng.normal(0, 30, count) * (package == "cistem"), particles.used)
    plan = planned(particles, package, symmetry, weights)
    sums = insertion.sums_of(plan, threads=2, block_particles=7)
    insertion.apply_symmetry(plan, sums)
    middle, half = plan.half + 2, plan.half
    for half_set in (1, 2):
        ours, our_weight = completed(sums[half_set - 1], half, package == "relion")
        wanted, wanted_weight = written_out(plan.particles, images, plan, half_set)
        inner = slice(middle - half + 1, middle + half)
        wanted, wanted_weight = (v[inner, inner, middle : middle + half] for v in (wanted, wanted_weight))
        # The mate of the coefficient at the origin is the coefficient itself: added twice, or not.
        for values in (wanted, ours, wanted_weight, our_weight):
            values[half - 1, half - 1, 0] = 0
        within = np.indices(ours.shape)
        z, y, x = within[0] - half + 1, within[1] - half + 1, within[2]
        inside = z**2 + y**2 + x**2 < (half - 2) ** 2  # an image's own Nyquist line is one-sided
        assert np.abs(ours - wanted)[inside].max() < 1e-4 * np.abs(wanted).max()
        assert np.abs(our_weight - wanted_weight)[inside].max() < 1e-4 * wanted_weight.max()


@pytest.mark.parametrize(("package", "symmetry"), [("cistem", "C1"), ("cistem", "D2"), ("relion", "C1")])
def test_threads_and_blocks_do_not_change_a_bit(tmp_path: Path, package: str, symmetry: str) -> None:
    write_stack(tmp_path / "s.mrcs")
    plan = planned(some_particles(tmp_path / "s.mrcs"), package, symmetry)
    one = insertion.sums_of(plan, threads=1, block_particles=COUNT)
    for threads, block in ((1, 5), (2, 7), (3, 1), (5, 24)):
        assert (insertion.sums_of(plan, threads=threads, block_particles=block) == one).all()


@pytest.mark.parametrize(("package", "symmetry"), [("cistem", "D2"), ("relion", "C1")])
@pytest.mark.parametrize(
    ("module", "constant", "value"),
    [
        (tiles, "_TILE_EDGE", 1),
        (tiles, "_TILE_EDGE", 5),
        (insertion, "_ROWS_AT_ONCE", 1),
        (insertion, "_READ_BYTES", 1),
        (insertion, "_PART_BYTES", 1),
    ],
)
def test_tiles_do_not_change_a_bit(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    package: str,
    symmetry: str,
    module: ModuleType,
    constant: str,
    value: int,
) -> None:
    write_stack(tmp_path / "s.mrcs")
    plan = planned(some_particles(tmp_path / "s.mrcs"), package, symmetry)
    one = insertion.sums_of(plan, threads=1)
    monkeypatch.setattr(module, constant, value)
    assert (insertion.sums_of(plan, threads=2) == one).all()


def test_the_next_block_is_prepared_while_one_is_added_where_there_is_room_for_two(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the room for one is all that is taken; the sums are the same."""
    write_stack(tmp_path / "s.mrcs")
    plan = planned(some_particles(tmp_path / "s.mrcs"))
    one, rooms, known = insertion.sums_of(plan, threads=1), [], insertion._aligned

    def counted(shape: tuple[int, ...]) -> Any:
        rooms.append(int(np.prod(shape)))
        return known(shape)

    monkeypatch.setattr(insertion, "_aligned", counted)
    bytes_of_five = 5 * insertion.block_bytes(BOX)
    for allowed, count in ((2 * bytes_of_five, 2), (2 * bytes_of_five - 1, 1)):
        monkeypatch.setattr(insertion, "_BLOCK_BYTES", allowed)
        assert (insertion.sums_of(plan, threads=2, block_particles=5) == one).all()
        assert rooms[-count:] == [bytes_of_five // 4] * count
        assert len(rooms) == 1 + count  # after the sums
        rooms.clear()


PLAIN = """
import sys
sys.path[:0] = sys.argv[4:]
from pathlib import Path
import numpy as np
from refine_hooks.kernels import build
build.SOURCES = Path(sys.argv[3])
build.variant = lambda: "plain"  # as where the processor is an old one, or none of Intel's kind
from refine_hooks.sums import insertion
from test_insertion import planned, some_particles
np.save(sys.argv[2], insertion.sums_of(planned(some_particles(Path(sys.argv[1])), "cistem", "C1"), threads=2))
"""


@pytest.mark.skipif(build.variant() == "plain", reason="this machine has one library")
def test_an_old_processor_gives_the_same_sums(tmp_path: Path) -> None:
    write_stack(tmp_path / "s.mrcs")
    wanted = insertion.sums_of(planned(some_particles(tmp_path / "s.mrcs"), "cistem", "C1"), threads=2)
    (tmp_path / "sources").mkdir()
    for name in ("arrays.h", "coefficients.c", "insertion.c"):  # the others would take seconds to compile
        shutil.copy(build.SOURCES / name, tmp_path / "sources")
    arguments = [tmp_path / "s.mrcs", tmp_path / "plain.npy", tmp_path / "sources", *sys.path]
    subprocess.run([sys.executable, "-c", PLAIN, *map(str, arguments)], check=True)
    plain = np.load(tmp_path / "plain.npy")
    np.testing.assert_allclose(plain, wanted, atol=1e-6 * np.abs(wanted).max(), rtol=0)


def test_the_order_of_rows_does_not_matter(tmp_path: Path) -> None:
    write_stack(tmp_path / "s.mrcs")
    particles = some_particles(tmp_path / "s.mrcs")
    mixed = particles.rows(np.random.default_rng(1).permutation(COUNT))
    assert (insertion.sums_of(planned(mixed)) == insertion.sums_of(planned(particles))).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_an_image_that_cannot_be_read_is_named(tmp_path: Path, bad: float) -> None:
    images = write_stack(tmp_path / "s.mrcs")
    images[6, 3, 3] = bad
    raw = (tmp_path / "s.mrcs").read_bytes()
    (tmp_path / "s.mrcs").write_bytes(raw[: -images.nbytes] + images.tobytes())
    particles = some_particles(tmp_path / "s.mrcs").rows(np.arange(COUNT)[::-1])
    with pytest.raises(ParticlesError, match=r"s\.mrcs: image 7 \(particle 18 of made\.star\) holds a NaN"):
        insertion.sums_of(planned(particles))


def test_a_stack_of_another_box_is_scaled_to_the_first_ones_grid(tmp_path: Path) -> None:
    """Images of twice the pixel size and half the box carry the same coefficients."""
    write_stack(tmp_path / "s.mrcs", box=BOX)
    same = write_stack(tmp_path / "t.mrcs", box=BOX)
    fine = np.repeat(np.repeat(same, 2, axis=1), 2, axis=2)
    import mrcfile

    with mrcfile.new(tmp_path / "f.mrcs", overwrite=True) as stack:
        stack.set_data(fine)
        stack.set_image_stack()
    particles = some_particles(tmp_path / "s.mrcs")
    pair = replace(
        particles,
        stacks=(tmp_path / "s.mrcs", tmp_path / "f.mrcs"),
        stack=np.arange(COUNT) % 2,
        pixel_size_A=np.where(np.arange(COUNT) % 2, PIXEL_A / 2, PIXEL_A),
    )
    plan = planned(pair)
    assert (plan.box_px, plan.boxes) == (BOX, (BOX, 2 * BOX))
    assert np.isfinite(insertion.sums_of(plan)).all()


def half_maps(particles: Particles, package: Any, symmetry: str, **options: Any) -> HalfMaps:
    job = ParticlesJob(particles, package, symmetry=symmetry, **options)
    return half_maps_of(job, "test", load_settings(), Desk())


@pytest.mark.parametrize("package", ["cistem", "relion"])
@pytest.mark.parametrize(
    ("symmetry", "turns"), [("C2", "z2"), ("C4", "z4"), ("D2", "z2 x2"), ("D4", "z4 x2"), ("O", "z4 x4")]
)
def test_a_map_has_the_symmetry_that_was_asked_for(tmp_path: Path, package: str, symmetry: str, turns: str) -> None:
    write_stack(tmp_path / "s.mrcs")
    halves = half_maps(some_particles(tmp_path / "s.mrcs"), package, symmetry)
    inner = halves.half1.voxels[1:, 1:, 1:]  # what lies symmetrically about the centre
    z, y, x = np.indices(inner.shape) - len(inner) // 2
    ball = z**2 + y**2 + x**2 < (BOX // 2 - 1) ** 2
    for each in turns.split():
        axes = {"z": (1, 2), "x": (0, 1)}[each[0]]
        turned = np.rot90(inner, 4 // int(each[1]), axes)
        assert np.corrcoef(turned[ball], inner[ball])[0, 1] > (0.9999 if package == "relion" else 0.95), each


@pytest.mark.parametrize(
    ("package", "symbol", "order", "along_z"),
    [
        ("cistem", "C7", 7, 7),
        ("cistem", "D5", 10, 5),
        ("cistem", "T", 12, 2),
        ("cistem", "T2", 12, 3),
        ("cistem", "O", 24, 4),
        ("cistem", "I", 60, 2),
        ("cistem", "I2", 60, 2),
        ("relion", "C7", 7, 7),
        ("relion", "D5", 10, 5),
        ("relion", "T", 12, 3),
        ("relion", "O", 24, 4),
        ("relion", "I", 60, 2),
        ("relion", "I1", 60, 2),
        ("relion", "I2", 60, 2),
        ("relion", "I3", 60, 5),
        ("relion", "I4", 60, 5),
    ],
)
def test_point_groups_are_groups_of_the_right_order_and_setting(
    package: Any, symbol: str, order: int, along_z: int
) -> None:
    group = rotations(symbol, package)
    assert len(group) == order
    assert np.allclose(group[0], np.eye(3))
    products = np.einsum("aij,bjk->abik", group, group).reshape(-1, 3, 3)
    nearest = np.abs(products[:, None] - group[None]).max(axis=(2, 3)).min(axis=1)
    assert nearest.max() < 1e-6
    assert sum(np.allclose(g[2], [0, 0, 1]) for g in group) == along_z


@pytest.mark.parametrize("symbol", ["S4", "C0", "Ih", "", "H", "D"])
def test_what_is_no_rotation_group_is_refused(symbol: str) -> None:
    with pytest.raises(SettingsError, match="no symmetry"):
        rotations(symbol, "cistem")


@pytest.mark.parametrize("turns", [0, 2])
def test_a_half_map_straight_from_the_sums_is_that_of_their_transform(tmp_path: Path, turns: int) -> None:
    write_stack(tmp_path / "s.mrcs")
    plan = planned(some_particles(tmp_path / "s.mrcs"), "relion")
    sums = insertion.sums_of(plan)
    grid = relion.Grid(plan.box_px, plan.padding, plan.box_px)
    made = insertion.fourier_sums(plan, sums, 2)
    through = relion.half_map(made.data.real.copy, made.data.imag.copy, lambda: made.weight, grid, turns)
    np.testing.assert_array_equal(relion.half_map_of_inserted(sums[1], grid, turns), through)
    with pytest.raises(SumsError, match="steps wide"):
        relion.half_map_of_inserted(sums[1, 1:], grid)


@pytest.mark.relion
@pytest.mark.parametrize(
    "symmetry",
    [
        "C1",
        "T",
        "I2",
        "C1 --helical_rise 7.5 --helical_twist -31 --nr_helical_asu 4",
        "D2 --helical_rise 6 --helical_twist 24 --nr_helical_asu 5",
        *(pytest.param(each, marks=pytest.mark.long) for each in ("C3", "D2", "O", "I1", "I3", "I4")),
    ],
)
def test_half_maps_are_those_of_relion_reconstruct(tmp_path: Path, symmetry: str) -> None:
    if shutil.which("relion_reconstruct") is None:
        pytest.skip("relion_reconstruct is not on PATH")
    count, box = 300, 32
    write_stack(tmp_path / "s.mrcs", count, box=box)
    values = {**columns(count), "phase_shift_rad": np.zeros(count)}
    star = write_relion_star(tmp_path / "p.star", values, "s.mrcs", box=box)
    group, *options = symmetry.split()
    helix = Helix(float(options[1]), float(options[3]), int(options[5])) if options else None
    halves = half_maps(read_particles(star), "relion", group, helix=helix)
    both = ((1, halves.half1), (2, halves.half2))
    for number, ours in both if symmetry == "C1" else both[:1]:
        command = f"relion_reconstruct --i p.star --o half{number}.mrc --ctf --subset {number} --sym {symmetry}"
        subprocess.run(command.split(), cwd=tmp_path, check=True, capture_output=True)
        theirs = read_map(tmp_path / f"half{number}.mrc", PIXEL_A)
        correlation = fsc.fsc(transform(ours.voxels), transform(theirs.voxels))
        last = int(0.9 * box / 2)  # at Nyquist itself RELION leaves points out by how their rotation is rounded
        assert correlation[1 : last + 1].min() > 0.99
        k = np.fft.fftfreq(box, 1 / box)
        within = k[:, None, None] ** 2 + k[None, :, None] ** 2 + k**2 <= last**2
        power = [np.sum(np.abs(np.fft.fftn(half.voxels)[within]) ** 2) for half in (ours, theirs)]
        assert power[0] == pytest.approx(power[1], rel=0.1)


def test_helical_symmetry_is_asked_for_on_the_command_line_and_never_left_out_in_silence(tmp_path: Path) -> None:
    count, box = 12, 16
    write_stack(tmp_path / "s.mrcs", count, box=box)
    values = {**columns(count), "phase_shift_rad": np.zeros(count)}
    star = write_relion_star(tmp_path / "p.star", values, "s.mrcs", box=box, HelicalTubeID=np.ones(count, int))

    def made(*options: str, out: str = "plain") -> tuple[int, str, np.ndarray | None]:
        done = cli("reconstruct", "--particles", str(star), "--out", str(tmp_path / out), *options)
        path = tmp_path / out / "p_half1.mrc"
        return done.returncode, done.stderr, read_map(path, PIXEL_A).voxels if path.is_file() else None

    code, words, plain = made()
    assert code == 0
    assert "segments of filaments" in words
    helix = ["--helical-rise", "6", "--helical-twist", "30"]
    code, words, turned = made(*helix, "--helical-units", "3", out="helix")
    assert code == 0
    assert "segments of filaments" not in words
    assert plain is not None
    assert turned is not None
    assert np.abs(turned - plain).max() > 0.05 * np.abs(plain).max()
    for wrong, word in (
        (helix, "two or more units"),
        ([*helix, "--helical-units", "3", "--package", "cistem"], "no helix"),
    ):
        code, words, _ = made(*wrong, out="wrong")
        assert code == 1
        assert word in words


@pytest.mark.parametrize(("symbol", "same"), [("T0", "T"), ("O0", "O"), ("I0", "I"), ("C01", "C1"), ("d07", "D7")])
def test_symbols_that_cistem_takes_are_taken(symbol: str, same: str) -> None:
    np.testing.assert_allclose(rotations(symbol), rotations(same))
    assert len(rotations("C256")) == 256


def test_the_whitening_curve_is_cistem_s(tmp_path: Path) -> None:
    from refine_hooks.sums import normalise

    n, points = 12, int(7 * 2**0.5 + 1)
    images = np.random.default_rng(0).normal(3, 1, (3, n, n)).astype(np.float32)
    power, squares = np.zeros((n, n // 2 + 1)), np.zeros((points + 1, 2))
    r = np.hypot(*np.meshgrid(np.arange(n) - n // 2, np.arange(n) - n // 2, indexing="ij"))
    edge = np.where(r < 2, 0, np.where(r > 4, 1, 0.5 - 0.5 * np.cos(np.pi * (r - 2) / 2)))
    for image in images.astype(float):
        masked = image * edge + (1 - edge) * image[(r >= 2) & (r <= 4)].mean()
        power += np.abs(np.fft.rfft2(masked / image[r > 3].std())) ** 2
    np.testing.assert_allclose(normalise.noise_power(images, 3.0, 2.0), power, rtol=1e-3)
    step = 0.5 * 2**0.5 / (points - 1)
    for j, x in np.ndindex(power.shape):
        y = j if 2 * j < n else j - n
        if x == 0 and -n < 2 * y < 0:
            continue
        place = np.hypot(x, y) / n / step
        for shell, share in ((int(place), 1 - place % 1), (int(place) + 1, place % 1)):
            squares[min(shell, points)] += share * power[j, x], share
    mean = squares[:, 0] / np.maximum(squares[:, 1], 1e-12)
    wanted = np.interp(np.hypot(3, 2) / n / step, np.arange(points + 1)[mean > 0], mean[mean > 0] ** -0.5)
    assert normalise._by_rotation(power)[2, 3] == pytest.approx(wanted, rel=1e-4)
