"""How an automask does on one case of the panel, and the goals it is held to."""

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from panel import Case, Truth, make

from refine_hooks import curves, fsc, masks
from refine_hooks.fourier import Curve, shell_sums, transform
from refine_hooks.fsc.randomised import Randomised, randomised
from refine_hooks.log.masks import AutomaskParameters

LEVEL, ONSET_BELOW, REPEATS, SEED = 0.143, 0.8, 5, 20130135


@dataclass(frozen=True)
class Score:
    """One line of the table; lengths in shells are counted from the origin, NaN where there is none."""

    case: Case
    made: bool
    coverage: float
    volume_ratio: float
    shell: float
    oracle_shell: float
    expected_shell: float
    scaled_shell: float
    randomised_at_claim: float
    randomised_sd_at_claim: float
    oracle_randomised_at_claim: float
    tail: float
    oracle_tail: float
    seconds: float
    parameters: AutomaskParameters
    note: str | None

    @property
    def shells_off(self) -> float:
        return self.shell - self.oracle_shell


def shell_of(correlation: Curve, first: int = 1) -> float:
    """Where a curve first falls to 0.143, in shells."""
    frequency = np.arange(len(correlation), dtype=float)
    resolution = curves.resolution_A(correlation, frequency, LEVEL)
    return 1 / resolution if resolution else float("nan")


def claimed(correlation: Curve) -> float | None:
    """`shell_of`, the last shell where the curve never falls below, or None where nothing is claimed."""
    shell = shell_of(correlation)
    if np.isfinite(shell):
        return shell
    return float(len(correlation) - 1) if np.all(correlation[1:] >= LEVEL) else None


def held_shells(case: Case) -> int:
    """How many shells of a case's halves hold something."""
    every = case.box_px // 2 + 1
    return every if case.cut_A is None else min(every, int(case.box_px * case.voxel_size_A / case.cut_A) + 1)


def corrected(truth: Truth, mask: NDArray[np.float32], drawn: Randomised, shells: int) -> Curve:
    return fsc.corrected(fsc.masked_fsc(truth.half1, truth.half2, mask), drawn.mean, drawn.onset_shell)[:shells]


def _tail(correlation: Curve, crossing: float) -> float:
    beyond = correlation[int(np.ceil(crossing)) + 1 :] if np.isfinite(crossing) else correlation[:0]
    return float(np.abs(beyond).max(initial=0))


def _scaled_shell(truth: Truth, case: Case, radius_A: float) -> float:
    """First crossing of the sphere's FSC scaled to the particle's volume (Grant, Rohou & Grigorieff 2018)."""
    sphere = masks.sphere(case.box_px, case.voxel_size_A, radius_A, 10.0)
    plain = fsc.masked_fsc(truth.half1, truth.half2, sphere)
    inside = float((truth.signal > 0.1 * truth.signal.max()).sum()) * case.voxel_size_A**3
    f = min(1.0, inside / (4 / 3 * np.pi * radius_A**3))
    return shell_of(plain / (f + (1 - f) * np.abs(plain)))


def reach_A(signal: NDArray[np.float32], voxel_size_A: float) -> float:
    """How far from the box's centre the signal goes; what a user would give as the particle's radius."""
    n = signal.shape[0]
    where = np.argwhere(signal > 0.15 * signal.max()) - n // 2
    return float(min(np.linalg.norm(where, axis=1).max() * voxel_size_A + 10, n // 2 * voxel_size_A - 5))


def score(case: Case) -> Score:
    """Make a case and measure the automask on it."""
    truth = make(case)
    transforms = transform(truth.half1), transform(truth.half2)
    radius_A = case.masked_radius_A or reach_A(truth.signal, case.voxel_size_A)
    start = time.perf_counter()
    sums = shell_sums(*transforms)
    onset_shell = fsc.onset(fsc.correlation(sums), ONSET_BELOW) or 1
    held = held_shells(case)
    made = masks.automask(
        truth.half1,
        truth.half2,
        case.voxel_size_A,
        transforms=transforms,
        claim=masks.Claim(onset_shell, sums, lambda curve: claimed(curve[:held])),
        finest_A=case.cut_A or 0.0,
    )
    seconds = time.perf_counter() - start
    mask = made.values
    volumes = {"oracle": truth.oracle} if mask is None else {"oracle": truth.oracle, "automask": mask}
    found = {name: randomised(transforms, values, onset_shell, REPEATS, SEED) for name, values in volumes.items()}
    oracle_curve = corrected(truth, truth.oracle, found["oracle"], held)
    own = corrected(truth, mask, found["automask"], held) if mask is not None else np.full_like(oracle_curve, np.nan)
    shell, oracle_shell = shell_of(own), shell_of(oracle_curve)
    shells = np.arange(len(own))
    drawn = found.get("automask", found["oracle"])
    inside = mask >= 0.5 if mask is not None else np.zeros(truth.signal.shape, bool)
    energy = np.maximum(truth.signal, 0).astype(np.float64) ** 2  # a halo about the density is none of it
    return Score(
        case=case,
        made=mask is not None,
        coverage=float(energy[inside].sum() / energy.sum()),
        volume_ratio=float(inside.sum() / (truth.oracle >= 0.5).sum()),
        shell=shell,
        oracle_shell=oracle_shell,
        expected_shell=shell_of(truth.expected),
        scaled_shell=_scaled_shell(truth, case, radius_A),
        randomised_at_claim=float(np.interp(shell, shells, drawn.mean[:held])),
        randomised_sd_at_claim=float(np.interp(shell, shells, drawn.sd[:held])),
        oracle_randomised_at_claim=float(np.interp(oracle_shell, shells, found["oracle"].mean[:held])),
        tail=_tail(own, shell),
        oracle_tail=_tail(oracle_curve, oracle_shell),
        seconds=seconds,
        parameters=made.parameters,
        note=made.note,
    )


# --- goals and the table ----------------------------------------------------------------------------------------------

VOLUME = (0.8, 1.35)
COVERAGE = {"good": 0.99, "poor": 0.97}
SHELLS_OFF, MEDIAN_OFF, TAIL = 1.0, 0.4, 0.15
GOALS = (
    f"goals: coverage at least {COVERAGE['good']:g} (poor {COVERAGE['poor']:g}), volume {VOLUME[0]:g} to {VOLUME[1]:g}, at most "
    f"{SHELLS_OFF:g} shell off the oracle's and {MEDIAN_OFF:g} in the median, tail below {TAIL:g}"
)
HEADER = (
    f"{'case':<36}{'cover':>7}{'volume':>8}{'shell':>8}{'oracle':>8}{'off':>7}{'scaled off':>11}{'null':>7}{'its sd':>7}"
    f"{'tail':>6}{'(oracle)':>9}{'s':>7}  missed"
)


def missed(one: Score) -> list[str]:
    """The goals that a case misses, in words; none for a case without hope, or without solvent, that got no mask."""
    if one.case.quality in ("hopeless", "full"):
        return ["a mask of noise" if one.case.quality == "hopeless" else "a mask without solvent"] if one.made else []
    if not one.made:
        return ["no mask"]
    return [
        word
        for word, bad in {
            "coverage": one.coverage < COVERAGE[one.case.quality],
            "volume": not VOLUME[0] <= one.volume_ratio <= VOLUME[1],
            "resolution": one.case.cut_A is None and not abs(one.shells_off) <= SHELLS_OFF,
            "tail": one.tail >= TAIL,
        }.items()
        if bad
    ]


def row(one: Score) -> str:
    """A case as a line of the table."""
    scaled = one.scaled_shell - one.oracle_shell
    if not one.made:
        why = f"no mask: {one.parameters.reason}"
        return f"{one.case.name:<36}{why:<76}{one.seconds:>7.2f}  {', '.join(missed(one))}"
    own = f"{one.case.name:<36}{one.coverage:>7.4f}{one.volume_ratio:>8.2f}"
    if not np.isfinite(one.shell):
        return f"{own}{'cut before it crosses':>24}{'':>36}{one.seconds:>17.2f}  {', '.join(missed(one))}"
    return (
        f"{own}{one.shell:>8.2f}{one.oracle_shell:>8.2f}{one.shells_off:>+7.2f}{scaled:>+11.2f}"
        f"{one.randomised_at_claim:>7.3f}{one.randomised_sd_at_claim:>7.3f}{one.tail:>6.2f}"
        f"{one.oracle_tail:>9.2f}{one.seconds:>7.2f}  {', '.join(missed(one))}"
    )


def summary(scores: list[Score]) -> str:
    """The table's last line."""
    made = [one for one in scores if one.made and one.case.quality not in ("hopeless", "full")]
    whole = [one for one in made if one.case.cut_A is None]
    if not made:
        return "no mask at all"
    off = np.abs([one.shells_off for one in whole])
    scaled = np.abs([one.scaled_shell - one.oracle_shell for one in whole])
    volumes = [one.volume_ratio for one in made]
    return (
        f"{len(scores)} pairs: coverage at least {min(one.coverage for one in made):.4f}, volume {min(volumes):.2f} to "
        f"{max(volumes):.2f}, off by {np.median(off):.2f} shells in the median and {off.max():.2f} at worst "
        f"(scaled sphere {np.median(scaled):.2f} and {np.nanmax(scaled):.2f}), tail at most {max(one.tail for one in made):.2f}; "
        f"no mask, and said, in {sum(not one.made for one in scores)}; goals missed in {sum(bool(missed(one)) for one in scores)}"
    )
