"""How much of the signal a mask leaves out, and where."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from refine_hooks import masks
from refine_hooks.audit import audit
from refine_hooks.files.mrc import Map
from refine_hooks.fourier import transform
from refine_hooks.log.file import Journal
from refine_hooks.log.records import HalfMapsRecord, RoundRecord
from refine_hooks.measure import NamedMask, measure_halves, round_record
from refine_hooks.model import Facts, Fingerprint, HalfMaps, Key, Round
from refine_hooks.report.what_helps import help_words
from refine_hooks.settings import Settings

BOX, VOXEL_A = 64, 3.0
Volume = NDArray[np.float32]
Z, Y, X = (np.indices((BOX,) * 3) - BOX // 2) * VOXEL_A
ROD = ((Y**2 + Z**2 < 18**2) & (np.abs(X) < 60)).astype(np.float32)


def signal(seed: int = 3) -> Volume:
    texture = np.random.default_rng(seed).normal(size=ROD.shape)
    return gaussian_filter(ROD * (1 + 0.3 * texture), 0.8).astype(np.float32)


def halves(noise: float, seed: int = 3) -> tuple[Volume, Volume]:
    rng, clean = np.random.default_rng(seed + 100), signal(seed)
    return tuple((clean + noise * rng.normal(size=ROD.shape)).astype(np.float32) for _ in range(2))  # type: ignore[return-value]


def written_out(mask: Volume) -> float:
    """The share of the energy of the noise-free density, at the same filter, on the half maps' own grid."""
    energy = gaussian_filter(signal(), 5.0 / VOXEL_A) ** 2 * GENEROUS
    return float(((1 - mask**2) * energy).sum() / energy.sum())


def soft(mask: NDArray[np.bool_] | Volume) -> Volume:
    return np.clip(gaussian_filter(mask.astype(np.float32), 1.5), 0, 1).astype(np.float32)


GENEROUS = soft((Y**2 + Z**2 < 30**2) & (np.abs(X) < 75))


def outside(mask: Volume, noise: float = 1.0, seed: int = 3) -> masks.Outside | None:
    one, two = halves(noise, seed)
    return masks.signal_outside((transform(one), transform(two)), BOX, VOXEL_A, mask, GENEROUS)


@pytest.mark.parametrize("from_A", [0, 30, 45])
@pytest.mark.parametrize("noise", [0.0, 1.0, 3.0])
def test_the_share_of_a_rod_that_is_cut_off_is_that_of_the_noise_free_density(from_A: float, noise: float) -> None:
    mask = soft((Y**2 + Z**2 < 30**2) & (from_A > X))
    found = outside(mask, noise)
    assert found is not None
    assert abs(found.share - written_out(mask)) < 0.01 + 3 * found.sd
    assert found.at_A[0] > from_A
    assert abs(found.at_A[1]) < 15
    assert abs(found.at_A[2]) < 15


def test_a_mask_that_holds_the_particle_leaves_nothing_out() -> None:
    found = outside(GENEROUS)
    assert found is not None
    assert found.share < 0.02


def test_the_stated_error_is_the_spread_over_fresh_noise() -> None:
    cut = soft((Y**2 + Z**2 < 30**2) & (X < 45))
    found = [outside(cut, 6.0, seed) for seed in range(24)]
    shares = np.array([one.share for one in found if one is not None])
    sds = np.array([one.sd for one in found if one is not None])
    assert len(shares) == 24
    assert 0.6 < shares.std() / sds.mean() < 1.4


def test_noise_alone_has_no_share() -> None:
    rng = np.random.default_rng(1)
    one, two = (rng.normal(size=ROD.shape).astype(np.float32) for _ in range(2))
    assert masks.signal_outside((transform(one), transform(two)), BOX, VOXEL_A, GENEROUS, GENEROUS) is None


def record_of(named: list[NamedMask]) -> RoundRecord:
    """Of halves with a rod, as a round is measured."""
    one, two = (Map(half, VOXEL_A) for half in halves(1.0))
    pair = HalfMaps(one, two, "merged", images=(10, 10))
    facts = Facts(voxel_size_A=VOXEL_A, sphere_radius_A=85.0)
    measurement = measure_halves(pair, facts, Settings(), named)
    round_ = Round(Key(run="run", iteration=1, class_id=1), "test", "it1", Fingerprint(), facts)
    written = HalfMapsRecord(origin="merged", paths=("a", "b"))
    return round_record(round_, pair, measurement, written, [mask.record for mask in measurement.masks])


@pytest.mark.usefixtures("quick_rounds")
def test_a_refinement_mask_that_cuts_the_particle_is_measured_and_advised_against() -> None:
    cut = Map(soft((Y**2 + Z**2 < 30**2) & (X < 30)), VOXEL_A)
    named = [
        NamedMask("refinement", cut, role="refinement"),
        NamedMask("wide", Map(GENEROUS, VOXEL_A)),
        NamedMask("a body", cut, role="program", of_a_part=True),
    ]
    record = record_of(named)
    assert "limits the resolution now: the mask: 'refinement' leaves 28 % of" in help_words(record)[-1]
    told = [finding for finding in audit(Journal((record,))) if finding.rule == "signal_outside"]
    assert [finding.curve for finding in told] == ["refinement"]
    assert "used in the refinement" in told[0].message
    assert told[0].evidence["share"] == pytest.approx(0.25, abs=0.04)
    assert told[0].evidence["at_A"][0] > 30


@pytest.mark.usefixtures("quick_rounds")
@pytest.mark.parametrize(("across_A", "said"), [(30, False), (75, True)])
def test_a_refinement_mask_of_many_times_the_particle_is_what_limits(across_A: float, said: bool) -> None:
    wide = Map(soft((across_A**2 > Y**2 + Z**2) & (np.abs(X) < 85)), VOXEL_A)
    words = " ".join(help_words(record_of([NamedMask("refinement", wide, role="refinement")])))
    assert words.count("the mask: 'refinement' holds") == words.count("the mask") == said
