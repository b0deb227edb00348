"""Half maps with known truth: what an automask is held against.

A signal is a cloud of atoms inside a shape (jittered lattice at the density of protein, with the texture of domains and
helices), or an atomic model; two draws of coloured noise make the halves. The noise is scaled so that the expected FSC under the
oracle mask, S / (S + N), falls to 0.143 at a given resolution. The oracle mask is the smallest set of voxels that holds 99.5 % of
the energy of the signal blurred with 3 A sigma, grown by 6 A, with an 8 A cosine edge outside of that.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

from refine_hooks.masks import cosine_edge, sphere

Points = NDArray[np.float64]
Volume = NDArray[np.float32]

ATOM_SPACING_A = 2.7
KDA_PER_A3 = 0.81 / 1000
BLUR_A, GROW_A, EDGE_A = 3.0, 6.0, 8.0


@dataclass(frozen=True)
class Atoms:
    """Positions about the box's centre [n, 3] (z, y, x), their weight, and how far each is blurred beyond its own size."""

    positions_A: Points
    weight: NDArray[np.float64]
    blur_A: NDArray[np.float64]


@dataclass(frozen=True)
class Case:
    """One pair of half maps to be made.

    Attributes:
        name: of the shape and what is special about it.
        shape: what makes the atoms, from a random generator.
        target_A: where the expected FSC under the oracle mask falls to 0.143; None for hopeless noise.
        colour: the noise's power goes as frequency to this power (above a floor).
        masked_radius_A: the halves have been multiplied by a sphere of this radius, as some programs do.
        halo_A: the signal lacks what is coarser than this, as maps do whose background was subtracted.
        cut_A: the halves hold nothing finer, cut off sharply, as early rounds of some programs do.
        clutter: density that is in the halves but not of the particle, as its neighbours are.
        full: nothing in the box is solvent, and that is what must be said.
        decay: B factor of the signal in units of target_A ** 2; about 11 in measured half maps.
    """

    name: str
    shape: Callable[[np.random.Generator], Atoms]
    box_px: int
    voxel_size_A: float
    target_A: float | None
    colour: float = 0.0
    masked_radius_A: float | None = None
    halo_A: float | None = None
    cut_A: float | None = None
    clutter: Callable[[np.random.Generator], Atoms] | None = None
    full: bool = False
    decay: float = 11.0
    seed: int = 1

    @property
    def quality(self) -> str:
        """What the goals are: those of a good or a poor map, or a word instead of a mask."""
        if self.full:
            return "full"
        if self.target_A is None:
            return "hopeless"
        return "good" if self.target_A <= 9 else "poor"


@dataclass(frozen=True)
class Truth:
    """A case made real: halves, signal, oracle mask, expected FSC under it (shells 0..N//2), S / (S + N) of each shell."""

    half1: Volume
    half2: Volume
    signal: Volume
    oracle: Volume
    expected: NDArray[np.float64]


# --- shapes -----------------------------------------------------------------------------------------------------------


def _lattice(rng: np.random.Generator, reach_A: float) -> Points:
    ticks = np.arange(-reach_A, reach_A + ATOM_SPACING_A, ATOM_SPACING_A)
    grid = np.stack(np.meshgrid(ticks, ticks, ticks, indexing="ij"), -1).reshape(-1, 3)
    return grid + rng.normal(0, 0.8, grid.shape)


def _texture(rng: np.random.Generator, positions_A: Points) -> NDArray[np.float64]:
    """Weights that vary over 5 to 20 A as domains, helices and loops do: mean 1, never negative."""
    field = np.zeros(len(positions_A))
    waves = 40
    for period_A in np.geomspace(5, 30, waves):
        direction = rng.normal(size=3)
        phase = 2 * np.pi * (positions_A @ (direction / np.linalg.norm(direction)) / period_A + rng.random())
        field += np.cos(phase)
    weight = np.exp(0.6 * field / np.sqrt(waves / 2))
    return weight / weight.mean()


def filled(
    rng: np.random.Generator,
    reach_A: float,
    distance_A: Callable[[Points], NDArray[np.float64]],
    weight: float = 1.0,
    blur_A: float = 0.0,
    smooth: bool = False,
) -> Atoms:
    """Atoms where ``distance_A`` is below zero, with a surface that undulates by an Angstrom or two."""
    positions = _lattice(rng, reach_A)
    bumps = sum(
        np.cos(positions @ (d / np.linalg.norm(d)) * 2 * np.pi / rng.uniform(18, 40) + rng.uniform(0, 6.3))
        for d in rng.normal(size=(6, 3))
    )
    positions = positions[distance_A(positions) + (0.0 if smooth else 1.0) * bumps < 0]
    texture = np.ones(len(positions)) if smooth else _texture(rng, positions)
    return Atoms(positions, weight * texture, np.full(len(positions), blur_A))


def joined(*parts: Atoms) -> Atoms:
    return Atoms(*(np.concatenate([getattr(p, name) for p in parts]) for name in ("positions_A", "weight", "blur_A")))


def moved(atoms: Atoms, z: float, y: float, x: float) -> Atoms:
    return Atoms(atoms.positions_A + np.array([z, y, x]), atoms.weight, atoms.blur_A)


def segment(p: Points, start: tuple[float, ...], end: tuple[float, ...]) -> NDArray[np.float64]:
    a, axis = np.asarray(start), np.asarray(end, float) - np.asarray(start)
    along = np.clip((p - a) @ axis / (axis @ axis), 0, 1)
    return np.asarray(np.linalg.norm(p - a - along[:, None] * axis, axis=1))


def globule(radius_A: float) -> Callable[[np.random.Generator], Atoms]:
    return lambda rng: filled(rng, radius_A * 1.3 + 6, lambda p: np.linalg.norm(p * (1, 1.15, 0.88), axis=1) - radius_A)


def rod(length_A: float, radius_A: float) -> Callable[[np.random.Generator], Atoms]:
    half, bend = length_A / 2, length_A / 8

    def distance(p: Points) -> NDArray[np.float64]:
        return np.minimum(segment(p, (-half, bend, 0), (0, 0, 0)), segment(p, (0, 0, 0), (half, bend, 0))) - radius_A

    return lambda rng: filled(rng, half + radius_A + 6, distance)


def ring(radius_A: float, thickness_A: float) -> Callable[[np.random.Generator], Atoms]:
    def distance(p: Points) -> NDArray[np.float64]:
        return np.hypot(np.hypot(p[:, 1], p[:, 2]) - radius_A, p[:, 0]) - thickness_A

    return lambda rng: filled(rng, radius_A + thickness_A + 6, distance)


def shell(outer_A: float, inner_A: float) -> Callable[[np.random.Generator], Atoms]:
    middle, half = (outer_A + inner_A) / 2, (outer_A - inner_A) / 2
    return lambda rng: filled(rng, outer_A + 6, lambda p: np.abs(np.linalg.norm(p, axis=1) - middle) - half)


def weak_arm(radius_A: float, reach_A: float) -> Callable[[np.random.Generator], Atoms]:
    def make(rng: np.random.Generator) -> Atoms:
        body = globule(radius_A)(rng)
        arm = filled(
            rng,
            reach_A + 12,
            lambda p: np.maximum(
                segment(p, (0, 0, 0), (0.3 * reach_A, 0, reach_A)) - 8, radius_A * 0.9 - np.linalg.norm(p, axis=1)
            ),
            0.5,
            2.0,
        )
        return moved(joined(body, arm), 0, 0, -reach_A / 3)

    return make


def micelle(size: float) -> Callable[[np.random.Generator], Atoms]:
    def make(rng: np.random.Generator) -> Atoms:
        helices = filled(
            rng, 45 * size, lambda p: np.maximum(np.hypot(p[:, 1], p[:, 2]) - 14 * size, np.abs(p[:, 0]) - 22 * size)
        )
        head = moved(globule(22 * size)(rng), 38 * size, 0, 0)

        def belt(p: Points) -> NDArray[np.float64]:
            disc = np.sqrt((np.hypot(p[:, 1], p[:, 2]) / 34) ** 2 + (p[:, 0] / 20) ** 2) / size
            return np.maximum(np.abs(disc - 0.88) - 0.16, 14 * size - np.hypot(p[:, 1], p[:, 2])) * 25

        return moved(joined(helices, head, filled(rng, 45 * size, belt, 0.45, 2.5, smooth=True)), -15 * size, 0, 0)

    return make


def filament(radius_A: float, reach_A: float) -> Callable[[np.random.Generator], Atoms]:
    """Longer than its box: whoever draws it cuts it."""

    def distance(p: Points) -> NDArray[np.float64]:
        twist = np.arctan2(p[:, 1], p[:, 2]) - 2 * np.pi * p[:, 0] / 80
        return np.hypot(p[:, 1], p[:, 2]) - radius_A * (1 + 0.15 * np.cos(2 * twist))

    return lambda rng: filled(rng, reach_A, distance)


def two_bodies(radius_A: float, gap_A: float) -> Callable[[np.random.Generator], Atoms]:
    def make(rng: np.random.Generator) -> Atoms:
        second = 0.75 * radius_A
        return joined(
            moved(globule(radius_A)(rng), 0, 0, -(gap_A / 2 + second)),
            moved(globule(second)(rng), 5, 5, gap_A / 2 + radius_A),
        )

    return make


def off_centre(
    shape: Callable[[np.random.Generator], Atoms], z: float, y: float, x: float
) -> Callable[[np.random.Generator], Atoms]:
    return lambda rng: moved(shape(rng), z, y, x)


def folded_chain(residues: int) -> Callable[[np.random.Generator], Atoms]:
    """An atomic model of its own: a chain of 3.8 A steps drawn to its centre and clear of itself; five atoms a residue."""

    def make(rng: np.random.Generator) -> Atoms:
        radius_A = 3.0 * residues ** (1 / 3) * 0.75
        chain = np.zeros((residues, 3))
        for i in range(1, residues):
            steps = rng.normal(size=(40, 3))
            tries = chain[i - 1] + 3.8 * steps / np.linalg.norm(steps, axis=1)[:, None]
            near = np.linalg.norm(tries[:, None] - chain[None, max(0, i - 400) : i], axis=2)
            cost = (near < 4.5).sum(axis=1) + 4.0 * np.maximum(
                0, np.linalg.norm(tries * (1, 0.8, 1.3), axis=1) / radius_A - 1
            ) ** 2 * 10
            chain[i] = tries[np.argmin(cost + rng.random(40))]
        atoms = (chain[:, None] + rng.normal(0, 1.6, (residues, 5, 3))).reshape(-1, 3)
        return Atoms(atoms - atoms.mean(axis=0), np.ones(len(atoms)), np.zeros(len(atoms)))

    return make


def model(path: Path) -> Callable[[np.random.Generator], Atoms]:
    """The atoms of a PDB or mmCIF file, about their centre."""

    def make(rng: np.random.Generator) -> Atoms:
        import gemmi

        found = [
            a
            for c in gemmi.read_structure(str(path))[0]
            for r in c
            if r.name != "HOH"
            for a in r
            if a.element.name != "H"
        ]
        positions = np.array([[a.pos.z, a.pos.y, a.pos.x] for a in found])
        weight = np.array([a.element.atomic_number * a.occ for a in found], float)
        return Atoms(positions - positions.mean(axis=0), weight / 7, np.zeros(len(found)))

    return make


# --- maps -------------------------------------------------------------------------------------------------------------


def _frequency_per_A(box_px: int, voxel_size_A: float) -> NDArray[np.float32]:
    z = np.fft.fftfreq(box_px, voxel_size_A)
    x = np.fft.rfftfreq(box_px, voxel_size_A)
    return np.sqrt(z[:, None, None] ** 2 + z[None, :, None] ** 2 + x[None, None, :] ** 2).astype(np.float32)


def density(
    atoms: Atoms, box_px: int, voxel_size_A: float, b_factor_A2: float = 0.0, halo_A: float | None = None
) -> Volume:
    """Gaussian atoms (1.2 A sigma, widened to what the voxels can carry) on a grid; those outside of the box are cut off."""
    frequency = _frequency_per_A(box_px, voxel_size_A)
    total = np.zeros(frequency.shape, np.complex64)
    for blur_A in np.unique(atoms.blur_A):
        chosen = atoms.blur_A == blur_A
        px = atoms.positions_A[chosen] / voxel_size_A + box_px // 2
        edges = [np.arange(box_px + 1) - 0.5] * 3
        counts, _ = np.histogramdd(px, edges, weights=atoms.weight[chosen])
        sigma_A = np.hypot(max(1.2, 0.6 * voxel_size_A), blur_A)
        total += fft.rfftn(counts.astype(np.float32)) * np.exp(-2 * (np.pi * sigma_A * frequency) ** 2)
    total *= np.exp(-b_factor_A2 / 4 * frequency**2)
    if halo_A is not None:
        total *= 1 - np.exp(-2 * (np.pi * halo_A * frequency) ** 2)
    return np.asarray(fft.irfftn(total, s=(box_px,) * 3), np.float32)


def coloured_noise(rng: np.random.Generator, box_px: int, voxel_size_A: float, colour: float) -> Volume:
    """Noise whose power goes as (frequency + a floor of 1/60 A) ** colour; unit variance."""
    white = rng.standard_normal((box_px,) * 3, np.float32)
    if colour:
        frequency = _frequency_per_A(box_px, voxel_size_A)
        white = fft.irfftn(fft.rfftn(white) * ((frequency + 1 / 60) ** (colour / 2)), s=(box_px,) * 3)
    return np.asarray(white / white.std(), np.float32)


def oracle_mask(signal: Volume, voxel_size_A: float) -> Volume:
    """The mask that knows the signal; see the module's description."""
    blurred = ndimage.gaussian_filter(signal, BLUR_A / voxel_size_A, mode="constant")
    energy = np.sort(np.where(blurred > 0, blurred, 0).ravel().astype(np.float64) ** 2)[::-1]
    held = np.cumsum(energy)
    level = np.sqrt(energy[np.searchsorted(held, 0.995 * held[-1])])
    distance = ndimage.distance_transform_edt(blurred < level, sampling=voxel_size_A)
    return cosine_edge(distance - GROW_A, EDGE_A)


def _power(volume: Volume) -> NDArray[np.float64]:
    """Mean power of the full transform's coefficients in the shells 0..N//2."""
    box_px = volume.shape[0]
    shells = np.floor(_frequency_per_A(box_px, 1.0) * box_px + 0.5).astype(int).ravel()
    twice = np.full(box_px // 2 + 1, 2.0)
    twice[0] = 1
    twice[box_px // 2 :] = 1 if box_px % 2 == 0 else 2
    weight = np.broadcast_to(twice, (box_px, box_px, len(twice))).ravel()
    power = np.abs(fft.rfftn(volume)).ravel().astype(np.float64) ** 2
    return (np.bincount(shells, weight * power) / np.bincount(shells, weight))[: box_px // 2 + 1]


def _smooth(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.exp(ndimage.gaussian_filter1d(np.log(values + 1e-30), 1.0))


def make(case: Case) -> Truth:
    """The half maps of a case and what is known of them."""
    rng = np.random.default_rng([case.seed, case.box_px])
    grid = (case.box_px, case.voxel_size_A, case.decay * (case.target_A or 20.0) ** 2, case.halo_A)
    signal = density(case.shape(rng), *grid)
    rms = np.sqrt(np.mean(signal**2)) + np.float32(1e-12)
    signal /= rms
    seen = signal if case.clutter is None else signal + density(case.clutter(rng), *grid) / rms
    oracle = oracle_mask(signal, case.voxel_size_A)
    noises = [coloured_noise(rng, case.box_px, case.voxel_size_A, case.colour) for _ in range(2)]
    noise = _smooth(_power(noises[0])) * np.mean(oracle**2, dtype=np.float64)
    own = _power(signal * oracle)
    power = _smooth(own)
    if case.target_A is None:
        scale2 = 3e3 * float((power / noise)[2])
    else:
        at = round(case.box_px * case.voxel_size_A / case.target_A)
        scale2 = float((power / noise)[at]) / (0.143 / 0.857)
    halves = [np.asarray(seen + np.sqrt(scale2) * n, np.float32) for n in noises]
    if case.masked_radius_A is not None:
        soft = sphere(case.box_px, case.voxel_size_A, case.masked_radius_A, 10.0)
        halves = [h * soft for h in halves]
    if case.cut_A is not None:
        beyond = _frequency_per_A(case.box_px, case.voxel_size_A) > 1 / case.cut_A
        halves = [np.asarray(fft.irfftn(np.where(beyond, 0, fft.rfftn(h)), s=h.shape), np.float32) for h in halves]
    return Truth(halves[0], halves[1], signal, oracle, own / (own + scale2 * noise))
