"""Half maps of played refinements: their signal, and how far the noise of each shell repeats from round to round, are known."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import fft, ndimage

from refine_hooks.analysis.convergence import Point, Verdict, verdict
from refine_hooks.analysis.two_rounds import Agreed, RoundMaps, agreement, round_maps
from refine_hooks.masks import sphere


@dataclass(frozen=True)
class Play:
    """One round.

    Attributes:
        shape: which particle is seen.
        like: share of it; the rest is another particle.
        decay: of the signal with frequency: the higher, the coarser.
        strength: of the signal.
        moved: by so many voxels along x.
        shared: of the noise with that of every other round, of the coarsest shells.
        fades: how fast the shared noise fades with frequency, as where angles still change.
    """

    shape: int = 1
    like: float = 1.0
    decay: float = 22.0
    strength: float = 5.0
    moved: int = 0
    shared: float = 0.9
    fades: float = 0.0


@dataclass(frozen=True)
class Scene:
    """Where a refinement is played: its box, and a particle that is so many times as long along z as across."""

    box_px: int = 40
    voxel_A: float = 2.0
    radius_A: float = 26.0
    long: float = 1.0

    @cached_property
    def mask(self) -> np.ndarray:
        """Soft, around the particle."""
        if self.long == 1:
            return sphere(self.box_px, self.voxel_A, self.radius_A, 8.0)
        axis = (np.arange(self.box_px) - self.box_px // 2) * self.voxel_A
        z, y, x = np.meshgrid(axis / self.long, axis, axis, indexing="ij")
        distance_A = np.sqrt(x**2 + y**2 + z**2) - self.radius_A
        return np.clip(0.5 - distance_A / 8, 0, 1).astype(np.float32)

    @cached_property
    def square(self) -> np.ndarray:
        """Squared frequency, in 1/voxel squared."""
        f = np.fft.fftfreq(self.box_px)
        return f[:, None, None] ** 2 + f[:, None] ** 2 + np.fft.rfftfreq(self.box_px) ** 2

    def real(self, coefficients: np.ndarray) -> np.ndarray:
        return fft.irfftn(coefficients, s=(self.box_px,) * 3)

    def white(self, seed: Sequence[int]) -> np.ndarray:
        return fft.rfftn(np.random.default_rng(seed).standard_normal((self.box_px,) * 3))

    def signal(self, seed: Sequence[int], decay: float) -> np.ndarray:
        inside = ndimage.gaussian_filter((self.mask > 0.5).astype(np.float32), 1)
        return self.real(self.white(seed) * np.exp(-decay * self.square)) * inside

    def half_maps(self, play: Play, number: int, seed: int = 0) -> list[np.ndarray]:
        """The halves of round ``number``."""
        mixed = play.like * self.signal((seed, 1, play.shape), play.decay)
        if play.like < 1:
            mixed = mixed + np.sqrt(1 - play.like**2) * self.signal((seed, 2, number), play.decay)
        shared = play.shared * np.exp(-play.fades * self.square)
        halves = []
        for half in (0, 1):
            own, others = self.white((seed, 4, number, half)), self.white((seed, 3, half))
            noise = self.real(np.sqrt(shared) * others + np.sqrt(1 - shared) * own)
            halves.append(np.roll(play.strength * mixed + noise, play.moved, 2).astype(np.float32))
        return halves

    def maps_of(self, plays: Sequence[Play], seed: int = 0) -> list[RoundMaps]:
        """The newest round first, as the log compares them."""
        mask, found = np.roll(self.mask, plays[-1].moved, 2), []
        for number in reversed(range(len(plays))):
            half1, half2 = self.half_maps(plays[number], number, seed)
            found.append(round_maps(half1, half2, mask, found[0] if found else None))
        return found

    def compared(self, first: Play, second: Play, seed: int = 0) -> Agreed | None:
        """The second round beside the first one."""
        newest, last = self.maps_of([first, second], seed)
        return agreement(newest, last, self.mask)

    def judged(self, plays: Sequence[Play], seed: int = 0) -> Verdict:
        """What is said of the newest round, as of the log."""
        maps = self.maps_of(plays, seed)
        points = [self.point_of(number, one) for number, one in enumerate(maps[::-1], 1)]
        pairs = [agreement(maps[i], maps[j], self.mask) for i, j in ((0, 1), (0, 2), (1, 2))]
        return verdict(points, *pairs)

    def point_of(self, number: int, maps: RoundMaps) -> Point:
        """Where the half-map FSC falls to 0.143, between shells, with an interval of 3 %."""
        curve = maps.half_fsc
        end = int(np.flatnonzero(curve[1:] < 0.143)[0]) + 1
        read_A = self.box_px * self.voxel_A / (end - (0.143 - curve[end]) / (curve[end - 1] - curve[end]))
        return Point(number, read_A, (1.03 * read_A, read_A / 1.03))


def plays(decays: Sequence[float], steady: float) -> dict[str, list[Play]]:
    """A refinement of each verdict, of signals that decay so, from coarse to fine."""
    finer = [Play(decay=d, fades=10.0) for d in decays]
    return {
        "converged": [Play(decay=steady)] * 4,
        "improving": finer,
        "worsening": finer[::-1],
        "oscillates": [Play(shape=1 + n % 2, decay=steady, shared=0.5) for n in range(4)],
        "changing": [Play(like=0.7, decay=steady, shared=0.2)] * 4,
    }
