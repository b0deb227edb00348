"""Half maps from particles, against the packages' own."""

import gzip
import shutil
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from heard import hear
from opened import Opened

from refine_hooks import curves, fsc
from refine_hooks.files.mrc import read_map
from refine_hooks.fourier import shell_frequency_per_A, transform
from refine_hooks.log.file import read_journal
from refine_hooks.log.folder import Store
from refine_hooks.log.records import RoundRecord
from refine_hooks.model import HalfMaps
from refine_hooks.particles import stacks
from refine_hooks.particles.cistem import read_star
from refine_hooks.reconstruct import Desk, reconstructed
from refine_hooks.settings import load_settings
from refine_hooks.sums import insertion
from refine_hooks.sums.cistem import merge_half
from refine_hooks.sums.plan import Plan, plan_for
from refine_hooks.sums.weights import Weights, cistem_weights
from refine_hooks.watch.loop import Watch, run, two_scans

cistem = Opened("cistem")
relion = Opened("relion")

pytestmark = pytest.mark.shared
QUICK = {"automask": {"enabled": False}, "fsc": {"repeats": 2}, "analysis": {"local": "never"}}


def unpacked(source: Path, folder: Path) -> Path:
    target = folder / source.name.removesuffix(".gz")
    with gzip.open(source) as packed, target.open("wb") as plain:
        shutil.copyfileobj(packed, plain)
    return target


@pytest.fixture
def sixty(shared: Path, tmp_path: Path) -> tuple[Plan, Path]:
    """The 60 golden particles of cisTEM, weighed within their whole file."""
    folder = shared / "golden" / "cistem_insertion"
    every = read_star(unpacked(folder / "parameters_3000.star.gz", tmp_path), stack=folder / "images_101_to_160.mrcs")
    weights = cistem_weights(every, score_weight_A2=2.0)
    chosen = (every.image >= 101) & (every.image <= 160)
    particles = every.rows(chosen)
    particles = replace(particles, image=particles.image - 100)
    own = Weights(**{f.name: getattr(weights, f.name)[chosen] for f in fields(weights)})
    boxes = stacks.checked_boxes(particles)
    return plan_for(particles, boxes, own, package="cistem", symmetry="C1"), folder


def test_the_sums_of_sixty_particles_are_those_of_reconstruct3d(sixty: tuple[Plan, Path], tmp_path: Path) -> None:
    plan, folder = sixty
    sums = insertion.sums_of(plan, threads=2, block_particles=17)
    for half, name in ((1, "odd"), (2, "even")):
        ours = insertion.fourier_sums(plan, sums, half)
        theirs, _ = merge_half([unpacked(folder / f"{name}_1.dump.gz", tmp_path)])
        assert ours.images == 30
        assert np.abs(ours.data - theirs.data).max() < 2e-5 * np.abs(theirs.data).max()
        assert np.abs(ours.weight - theirs.weight).max() < 2e-5 * theirs.weight.max()


def test_threads_and_blocks_change_nothing(sixty: tuple[Plan, Path]) -> None:
    plan, _ = sixty
    one = insertion.sums_of(plan, threads=1, block_particles=60)
    two = insertion.sums_of(plan, threads=2, block_particles=7)
    assert np.abs(one - two).max() <= 1e-5 * np.abs(one).max()


def agreement(halves: HalfMaps, wanted: tuple[Path, Path], limit_A: float) -> float:
    """The lowest FSC between our half maps and theirs, out to a resolution."""
    lowest = 1.0
    for ours, path in zip((halves.half1, halves.half2), wanted, strict=True):
        theirs = read_map(path, ours.voxel_size_A)
        correlation = fsc.fsc(transform(ours.voxels), transform(theirs.voxels))
        last = int(ours.box_px * ours.voxel_size_A / limit_A)
        lowest = min(lowest, float(correlation[1 : last + 1].min()))
    return lowest


@pytest.mark.parametrize(
    ("key", "stem"), [("package_1/4/1", "volume_4_1"), ("package_2/6/1", "volume_6_1"), ("package_2/6/2", "volume_6_2")]
)
def test_a_round_of_cistem_is_reconstructed_as_its_own_programs_do(
    shared: Path, tmp_path: Path, key: str, stem: str
) -> None:
    golden = shared / "golden" / "cistem"
    project, settings = golden / "project", load_settings(program="cistem")
    (round_,) = [r for r in cistem.rounds(project, settings, Store(tmp_path / "out")) if str(r.key) == key]
    halves = reconstructed(Opened("cistem").open(project, settings, tmp_path / "spool"), round_, settings, Desk())
    assert halves is not None
    wanted = tuple(unpacked(golden / "expected" / f"{stem}_map{h}.mrc.gz", tmp_path) for h in (1, 2))
    frequency = shell_frequency_per_A(halves.half1.box_px, halves.half1.voxel_size_A)
    theirs = [read_map(path, halves.half1.voxel_size_A).voxels for path in wanted]
    their_A = curves.resolution_A(fsc.fsc(*(transform(v) for v in theirs)), frequency, 0.143)
    assert their_A is not None
    z, y, x = np.indices(theirs[0].shape) - len(theirs[0]) // 2
    ball = np.clip((75 + 5 - np.sqrt(z**2 + y**2 + x**2) * 2.5) / 10, 0, 1).astype(np.float32)
    masked = HalfMaps(
        replace(halves.half1, voxels=halves.half1.voxels * ball),
        replace(halves.half2, voxels=halves.half2.voxels * ball),
        "reconstructed",
    )
    assert agreement(masked, wanted, their_A) > 0.99  # type: ignore[arg-type]
    our_A = curves.resolution_A(fsc.masked_fsc(halves.half1.voxels, halves.half2.voxels, ball), frequency, 0.143)
    assert our_A is not None
    assert abs(160 / our_A - 160 / their_A) <= 0.5


@pytest.mark.early
@pytest.mark.usefixtures("quick_rounds")
def test_a_finished_project_ends_with_half_maps_for_every_round(shared: Path, tmp_path: Path) -> None:
    project = shared / "golden" / "cistem" / "project"
    store = Store(tmp_path / "out")
    w = Watch.of(
        project,
        "cistem",
        Opened("cistem"),
        load_settings(program="cistem", overrides=QUICK),
        store,
        "missing",
    )
    run(w, [0.0, 10.0])
    records = [line for line in read_journal(w.store.log).lines if isinstance(line, RoundRecord)]
    assert len(records) == 6
    assert all(r.half_maps is not None for r in records)
    assert {r.half_maps.origin for r in records if r.half_maps} == {"found", "reconstructed"}


def test_what_cannot_be_reconstructed_is_said_once_and_recorded_once(shared: Path, tmp_path: Path) -> None:
    project = shared / "golden" / "relion" / "InitialModel" / "job008"
    for _ in range(2):
        said = hear()
        store = Store(tmp_path / "out")
        settings = load_settings(program="relion", overrides=QUICK)
        w = Watch.of(project, "relion", Opened("relion"), settings, store, "missing")
        run(w, two_scans(w))
        assert sum("/10/1 and 1 more: not reconstructed" in text for text in said) == 1
    assert len([line for line in read_journal(w.store.log).lines if isinstance(line, RoundRecord)]) == 2


def test_a_round_of_relion_is_reconstructed_to_full_resolution(shared: Path, tmp_path: Path) -> None:
    project, settings = shared / "golden" / "relion", load_settings(program="relion")
    rounds = list(relion.rounds(project, settings, Store(tmp_path / "out")))
    by_label = {r.label: r for r in rounds if r.key.run == "Refine3D/job001"}
    halves = reconstructed(
        Opened("relion").open(project, settings, tmp_path / "spool"), by_label["it008"], settings, Desk()
    )
    final = relion.half_maps(project, by_label["final"], Store(tmp_path / "out"))
    assert halves is not None
    assert final is not None
    ours, theirs = (fsc.fsc(transform(h.half1.voxels), transform(h.half2.voxels)) for h in (halves, final))
    assert np.abs(ours - theirs)[:26].max() < 0.1
