"""Particles that are in both half sets: found by the particle table, recorded, reported, and never deposited."""

import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from particles_data import COUNT, columns, write_relion_star
from rounds_data import healthy

from refine_hooks.audit.halves import duplicates
from refine_hooks.audit.reading import twice
from refine_hooks.log.checks import Checks, Duplicates
from refine_hooks.log.file import read_journal
from refine_hooks.log.folder import Store
from refine_hooks.particles.doubles import Places, in_both_halves
from refine_hooks.particles.relion import read_places
from refine_hooks.programs import adapter_called
from refine_hooks.settings import Settings, load_settings
from refine_hooks.watch.loop import Watch, run

JOB = Path("Refine3D") / "job001"


def test_what_is_near_in_the_other_half_is_what_the_distances_say() -> None:
    rng = np.random.default_rng(3)
    n = 400
    half, micrograph = rng.integers(1, 3, n), rng.integers(0, 4, n)
    x, y = rng.uniform(0, 1000, (2, n))
    image = np.arange(n)
    image[:20] = image[20:40]
    found = in_both_halves(Places(np.arange(n) + 1, np.zeros(n, int), image, half, micrograph, x, y), 25.0)
    same = {i for i in image.tolist() if set(half[image == i]) == {1, 2}}
    left = ~np.isin(image, list(same))
    near = [
        i
        for i in np.flatnonzero(left & (half == 2))
        if np.any(left & (half == 1) & (micrograph == micrograph[i]) & (np.hypot(x - x[i], y - y[i]) <= 25.0))
    ]
    assert (found.images, found.places) == (len(same), len(near))
    assert min(found.images, found.places) > 3


def table(folder: Path, **extra: Any) -> Path:
    """A grid of picks 200 px apart, whose last three are picked again 3 px away in the other half."""
    place = np.r_[np.arange(COUNT - 3), [0, 1, 2]]
    values = columns()
    values["half"] = np.r_[1 + np.arange(COUNT - 3) % 2, 1 + np.arange(1, 4) % 2]
    values["shift_x_A"] = values["shift_y_A"] = np.zeros(COUNT)
    x, y = 200.0 * (place % 6) + 3.0 * (np.arange(COUNT) >= COUNT - 3), 200.0 * (place // 6)
    names = {"MicrographName": ["m.mrc"] * COUNT, "CoordinateX": x, "CoordinateY": y, **extra}
    return write_relion_star(folder / "run_data.star", values, "s.mrcs", **names)


def test_picks_of_one_place_are_found_in_a_table_of_relion(tmp_path: Path) -> None:
    places = read_places(table(tmp_path))
    assert places is not None
    found = in_both_halves(places, 15.0)
    assert (found.images, found.places) == (0, 3)
    assert set(found.first_rows) <= {1, 2, 3, 22, 23, 24}
    assert in_both_halves(places, 5.0).places == 0, "3 px are 9 A"


def test_the_shift_that_a_pick_was_refined_to_counts(tmp_path: Path) -> None:
    places = read_places(table(tmp_path, OriginXAngst=np.where(np.arange(COUNT) >= COUNT - 3, 60.0, 0.0)))
    assert places is not None
    assert in_both_halves(places, 15.0).places == 0


@pytest.mark.parametrize("extra", [{"RandomSubset": None}, {"HelicalTubeID": np.ones(COUNT, int)}])
def test_segments_and_tables_without_half_sets_say_nothing(tmp_path: Path, extra: dict[str, Any]) -> None:
    assert read_places(table(tmp_path, **extra)) is None


def test_only_rows_of_the_class_count_and_keep_their_numbers(tmp_path: Path) -> None:
    classes = np.where(np.isin(np.arange(COUNT), [1, 2, COUNT - 2, COUNT - 1]), 2, 1)
    places = read_places(table(tmp_path, ClassNumber=classes), class_id=2)
    assert places is not None
    assert in_both_halves(places, 15.0).places == 2
    assert places.row.tolist() == [2, 3, COUNT - 1, COUNT]


def test_a_round_of_relion_records_its_duplicates_and_the_audit_names_them(tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    with tarfile.open(Path(__file__).parent / "data" / "relion_refine3d.tgz") as archive:
        archive.extractall(project, filter="data")
    table(project / JOB)
    quick = {"fsc": {"repeats": 2}, "automask": {"enabled": False}, "analysis": {"local": "never"}}
    settings = load_settings(program="relion", overrides=quick)
    w = Watch.of(project, "relion", adapter_called("relion"), settings, Store(tmp_path / "out"))
    run(w, [0.0, 1.0])
    final = next(r for r in read_journal(tmp_path / "out" / "rounds.jsonl").rounds if r.label == "final")
    assert final.checks is not None
    assert final.checks.duplicates is not None
    assert final.checks.duplicates.places == twice(final) == 3
    assert any("3 particles are in both halves" in finding.message for finding in duplicates(final, Settings()))


def test_a_few_neighbours_that_touch_are_no_duplicates(tmp_path: Path) -> None:
    few, many = (Duplicates(images=0, places=places, first_rows=(1,)) for places in (7, 20))
    record = healthy(1).model_copy(update={"particles": 1600})
    seen = [twice(record.model_copy(update={"checks": Checks(duplicates=found)})) for found in (few, many)]
    assert seen == [0, 20]
