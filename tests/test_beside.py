"""What is reconstructed beside half maps in the same pass: subsets of the particles, and images with random phases."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from grown_particles import Fitted, Grown, grown
from rounds_data import healthy

from refine_hooks.analysis.more_particles import Subset, more_particles
from refine_hooks.audit.limiting import b_factor_of_angles_A2, what_limits
from refine_hooks.errors import ParticlesError
from refine_hooks.fourier import shell_frequency_per_A, voxels_in_shell
from refine_hooks.log.directions import Sampling
from refine_hooks.log.masks import MaskRecord
from refine_hooks.log.particles import MoreParticles, SubsetPoint, Substitution, Target
from refine_hooks.log.records import HalfMapsRecord
from refine_hooks.model import Accuracy, HalfMaps
from refine_hooks.particles import ParticlesJob
from refine_hooks.reconstruct import Desk, half_maps_of
from refine_hooks.report.what_helps import help_words, more_particles_words, substitution_words
from refine_hooks.settings import Settings
from refine_hooks.sums import insertion
from refine_hooks.sums.plan import plan_for
from refine_hooks.sums.weights import even_weights

SMALL = Grown(box_px=32, particles=400, b_factor_A2=300.0, resolution_A=7.0)


def made(path: Path, what: Grown, seed: int = 1, **settings: object) -> HalfMaps:
    own = Settings()
    own = own.model_copy(update={"reconstruct": own.reconstruct.model_copy(update=settings)})
    return half_maps_of(ParticlesJob(grown(path, what, seed), "cistem"), "grown", own, Desk())


def test_subsets_and_substituted_images_leave_the_half_maps_as_they_are(tmp_path: Path) -> None:
    plain = made(tmp_path / "a.mrcs", SMALL)
    more = made(tmp_path / "b.mrcs", SMALL, subsets=True, substitute_from_A=8.0)
    scale = float(np.abs(plain.half1.voxels).max())
    np.testing.assert_allclose(more.half1.voxels, plain.half1.voxels, atol=1e-5 * scale)
    np.testing.assert_allclose(more.half2.voxels, plain.half2.voxels, atol=1e-5 * scale)
    assert plain.measured == ()
    assert more.images == plain.images
    known, other = more.measured
    assert isinstance(known, MoreParticles)
    assert isinstance(other, Substitution)
    assert sorted(one.particles for one in known.points) == [50, 50, 100, 100, 200, 200, 400]


def test_b_factors_are_those_of_the_particles_within_their_errors(tmp_path: Path) -> None:
    pulls, ratios = [], []
    for seed, b_factor_A2 in enumerate((80.0, 140.0, 200.0)):
        what = Grown(box_px=40, particles=700, b_factor_A2=b_factor_A2, resolution_A=5.5)
        known = made(tmp_path / f"{seed}.mrcs", what, seed, subsets=True).measured[0]
        assert isinstance(known, MoreParticles)
        pulls.append((known.b_factor_A2 - b_factor_A2) / known.b_factor_sd_A2)
        ratios.append(known.b_factor_A2 / b_factor_A2)
    assert np.abs(pulls).max() < 3
    assert np.mean(ratios) == pytest.approx(1, abs=0.12)
    words = " ".join(more_particles_words(known))
    assert "twice as many particles would give" in words
    assert "x as many particles" in words
    for sd_A2, uncertain in ((8.0, False), (30.0, True)):
        told = more_particles_words(known.model_copy(update={"b_factor_A2": 120.0, "b_factor_sd_A2": sd_A2}))
        assert any("B is uncertain by 25 %" in words for words in told) is uncertain


def test_more_particles_give_what_their_signal_and_noise_say() -> None:
    frequency, counts = shell_frequency_per_A(128, 1.2), voxels_in_shell(128)

    def curve(particles: float) -> np.ndarray:
        s = np.maximum(frequency, frequency[1])
        x = particles * np.exp(-110 / 2 * (s**2 - 4.0**-2)) / s / 4 * 0.143 / 0.857 / 8000
        return np.asarray(x / (1 + x))

    subsets = [Subset(n, curve(n)) for n in (1000, 2000, 4000, 8000)]
    known = more_particles(subsets, frequency, counts, "m", 0.143)
    assert known is not None
    assert known.b_factor_A2 == pytest.approx(110, rel=0.001)
    assert known.resolution_A == pytest.approx(4, rel=0.001)
    assert known.targets[1].resolution_A == pytest.approx(3.6)
    assert known.targets[1].factor == pytest.approx(4 / 3.6 * np.exp(55 * (3.6**-2 - 4.0**-2)), rel=0.01)
    expected = next(d for d in np.arange(4, 3, -1e-4) if 4 / d * np.exp(55 * (d**-2 - 4.0**-2)) >= 2)
    assert known.doubled_A == pytest.approx(expected, abs=1e-3)
    assert more_particles([Subset(10, np.zeros(65))], frequency, counts, "m", 0.143) is None


@pytest.mark.parametrize(("fitted", "noise"), [("", False), ("halves", True)])
def test_noise_that_the_angles_were_fitted_to_is_told_from_honest_angles(
    fitted: Fitted, noise: bool, tmp_path: Path
) -> None:
    what = Grown(box_px=32, particles=600, fitted=fitted, signal_to_A=8.0)
    known = made(tmp_path / "a.mrcs", what, substitute_from_A=8.0).measured[0]
    assert isinstance(known, Substitution)
    assert (known.fitted_noise > 3 * known.fitted_noise_sd) is noise
    assert abs(known.fsc) < 0.05
    assert abs(known.substituted_fsc) < 0.05
    assert any("fitted to: align to a coarser limit" in words for words in substitution_words(known)) is noise


def test_substituted_images_do_not_depend_on_blocks_or_threads(tmp_path: Path) -> None:
    particles = grown(tmp_path / "a.mrcs", replace(SMALL, particles=20))
    plan = plan_for(particles, (32,), even_weights(particles), package="cistem", symmetry="C1")
    plan = replace(plan, substituted_from_A=10.0)
    one, other = insertion.sums_of(plan, threads=1, block_particles=3), insertion.sums_of(plan, threads=2)
    assert len(one) == 4
    np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5 * float(np.abs(one).max()))
    assert not np.allclose(one[0], one[2], atol=1e-3 * float(np.abs(one).max()))


def test_what_was_asked_for_and_cannot_be_measured_is_said(tmp_path: Path) -> None:
    what = replace(SMALL, particles=160, resolution_A=14.0)
    found = made(tmp_path / "a.mrcs", what, subsets=True, substitute_from_A=4.2)
    assert found.measured == ()
    assert [note.split(":")[0] for note in found.notes[-2:]] == [
        "no B factor",
        "random phases beyond 4.2 A say nothing",
    ]


def test_too_few_particles_for_subsets_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ParticlesError, match="too few for subsets"):
        made(tmp_path / "a.mrcs", replace(SMALL, particles=40), subsets=True)


def test_what_limits_is_told_with_its_numbers() -> None:
    mask = MaskRecord(name="automask", role="automask", volume_A3=4 / 3 * np.pi * 50**3 * 2, volume_fraction=0.1)
    record = healthy(masks=(mask,), accuracy=Accuracy(rotations_deg=2.0, offsets_A=1.0))
    own = b_factor_of_angles_A2(record)
    assert own == pytest.approx(8 * np.pi**2 * (1 + 2 / 9 * np.deg2rad(2) ** 2 * 0.6 * 2500))
    views = Sampling(
        factor=0.5, factor_sd=0.01, unseen=0, lowest=0.2, lowest_axis=(0, 0, 1), highest=2, highest_axis=(1, 0, 0)
    )
    assert [one.kind for one in what_limits(record.model_copy(update={"sampling": views}))][-1] == "views"
    known = MoreParticles(
        mask="automask",
        threshold=0.143,
        resolution_A=5.0,
        b_factor_A2=200.0,
        b_factor_sd_A2=10.0,
        fit_A=(10.0, 5.0),
        points=(),
        targets=(),
        doubled_A=4.7,
        doubled_interval_A=(4.75, 4.65),
    )
    found = what_limits(record.model_copy(update={"more_particles": known}))
    assert {"angles", "particles"} <= {one.kind for one in found}
    assert "as much as all of the B factor of 50 ± 10 Å²" in " ".join(
        one.sentence
        for one in what_limits(
            record.model_copy(update={"more_particles": known.model_copy(update={"b_factor_A2": 50.0})})
        )
    )
    target = Target(resolution_A=4.5, factor=14.2, interval=(1.3, 253.0))
    vague = known.model_copy(
        update={"targets": (target,), "b_factor_sd_A2": 150.0, "points": (SubsetPoint(particles=9, resolution_A=9.0),)}
    )
    said = " ".join(more_particles_words(vague, 4.68))
    assert "4.70 Å (4.75-4.68)" in said  # the voxels end there
    assert "4.5 Å needs" not in said
    assert "no more than a first guess" in said
    assert "4.5 Å needs about 14 x as many particles (1.3-250)" in " ".join(more_particles_words(vague))
    points = (SubsetPoint(particles=100, resolution_A=9.0),)
    few = known.model_copy(update={"doubled_A": 1.9 * record.voxel_size_A, "points": points})
    at_nyquist = healthy(more_particles=few)
    assert "particles" not in {one.kind for one in what_limits(at_nyquist)}
    assert "need smaller voxels first" in " ".join(help_words(at_nyquist))
    generous = MaskRecord(name="sphere", role="sphere", volume_A3=5 * mask.volume_A3, volume_fraction=0.5)
    under_it = healthy(masks=(mask, generous)).model_copy(update={"headline": "sphere"})
    assert [one.kind for one in what_limits(under_it)] == ["mask"]
    assert not help_words(healthy()) or "limits" in help_words(healthy())[0]


@pytest.mark.parametrize(
    ("independence", "said"),
    [
        ("independent", "aligned apart"),
        ("shared_reference", "share their reference, so that this is no proof against overfitting"),
        ("one_set_of_poses", "share their angles, so that this is no proof"),
        ("unknown", "not known whether the halves share one, so that this is no proof"),
    ],
)
def test_no_fitted_noise_is_no_word_on_a_reference_that_both_halves_share(independence: str, said: str) -> None:
    halves = HalfMapsRecord(origin="reconstructed", independence=independence)
    known = Substitution(
        from_A=8, to_A=6, fsc=0.2, substituted_fsc=0, coherent=0.2, coherent_sd=0.01, fitted_noise=0, fitted_noise_sd=0.01,
        correlation=(), substituted_correlation=(), coherent_share=(),
    )  # fmt: skip
    assert said in " ".join(help_words(healthy(half_maps=halves, substitution=known)))
