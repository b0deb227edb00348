"""Debian's relion refines while we watch: every iteration is recorded, nothing of the job is touched."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tiny_relion
from opened import Opened

from refine_hooks.files.mrc import read_map
from refine_hooks.log.file import read_journal
from refine_hooks.log.folder import Store
from refine_hooks.log.records import RoundRecord
from refine_hooks.settings import load_settings
from refine_hooks.watch.loop import Watch, run, two_scans

pytestmark = [
    pytest.mark.early,
    pytest.mark.relion,
    pytest.mark.usefixtures("quick_rounds"),
    pytest.mark.skipif(bool(tiny_relion.missing_programs()), reason="relion is not installed"),
]


def watch_refinement(project: Path, out: Path, *more: str, iterations: int = 99) -> list[RoundRecord]:
    """Refine and watch at the same time, until the job has ended, or so many iterations are there, and one look after."""
    tiny_relion.make_project(project)
    quick = {"fsc": {"repeats": 2}, "analysis": {"local": "never"}, "keep": {"min_free_GB": 0.1}}
    settings = load_settings(program="relion", overrides={"watch": {"poll_s": 0.3, "settle_s": 0.2}, **quick})
    w = Watch.of(project, "relion", Opened("relion"), settings, Store(out))
    job = tiny_relion.refine(project, *more, out=out)
    began = time.monotonic()

    def ticks() -> Iterator[float]:
        over = 0
        for moment in w.scan_times(None):
            yield moment
            if len(iterations_on_disk(project)) > iterations:
                job.terminate()
            over += job.poll() is not None
            if over > 2 or moment - began > 240:
                return

    run(w, ticks(), live=True)
    assert job.wait(10) == 0 or len(iterations_on_disk(project)) > iterations, (project / "out.txt").read_text()[-2000:]
    log = read_journal(out / "rounds.jsonl")
    assert log.faults == ()
    assert log.failures == (), [f.reason for f in log.failures]
    return list(log.rounds)


def iterations_on_disk(project: Path) -> set[int]:
    return {int(p.name[6:9]) for p in (project / "Refine3D" / "job001").glob("run_it*_half1_model.star")}


def test_a_running_refinement_is_followed_round_by_round(tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    rounds = watch_refinement(project, tmp_path / "out", "--pad", "1")  # sooner; the half maps are RELION's own here
    numbered = {r.key.iteration: r for r in rounds if r.label.startswith("it")}
    assert set(numbered) == iterations_on_disk(project)
    for iteration, record in numbered.items():
        assert record.half_maps is not None
        assert record.half_maps.origin == "regularised"
        assert record.headline_curve() is None
        if iteration:
            assert record.curve("reported_gold_standard") is not None
    (final,) = [r for r in rounds if r.label == "final"]
    assert final.half_maps is not None
    assert final.half_maps.origin == "found"
    assert final.curve("automask_corrected") is not None
    assert not (project / "refine_hooks").exists()


def test_the_hook_inside_the_loop_gives_unfiltered_half_maps_of_every_iteration(tmp_path: Path) -> None:
    project, out = tmp_path / "project", tmp_path / "out"
    project.mkdir()
    rounds = watch_refinement(project, out, "--external_reconstruct", iterations=3)
    numbered = [r for r in rounds if r.label.startswith("it") and r.key.iteration > 0]
    assert len(numbered) >= 2
    for record in numbered:
        assert record.half_maps is not None
        assert record.half_maps.origin == "merged", record.label
        assert record.half_maps.paths is not None
        one, two = (read_map(out / path) for path in record.half_maps.paths)
        assert one.box_px == tiny_relion.BOX_PX
        assert not np.array_equal(one.voxels, two.voxels)
        own = record.curve("reported_gold_standard")
        assert own is not None
        assert own.reproduced_to is not None
        assert own.reproduced_to < 1e-4


@pytest.mark.long
@pytest.mark.parametrize("more", [("--ctf",), ("--ctf", "--ctf_phase_flipped")], ids=["plain", "phase-flipped"])
def test_classes_are_reconstructed_from_their_own_particles_and_share_one_reference(
    more: tuple[str, ...], tmp_path: Path
) -> None:
    project = tmp_path / "project"
    project.mkdir()
    tiny_relion.make_project(project)
    tiny_relion.with_ctf(project)
    tiny_relion.classify(project, *more)
    settings = load_settings(program="relion", overrides={"fsc": {"repeats": 2}, "keep": {"min_free_GB": 0.1}})
    w = Watch.of(project, "relion", Opened("relion"), settings, Store(tmp_path / "out"), "missing")
    run(w, two_scans(w))
    rounds = read_journal(tmp_path / "out" / "rounds.jsonl").rounds
    last = [record for record in rounds if record.key.iteration == 2 and record.key.run == "Class3D/job002"]
    assert [record.key.class_id for record in last] == [1, 2]
    for record in last:
        if record.half_maps is not None:  # a class may have lost all its particles
            assert (record.half_maps.origin, record.half_maps.independence) == ("reconstructed", "shared_reference")
            assert record.alignment_limit_A is not None
    assert any(record.half_maps is not None for record in last)


@pytest.mark.long
def test_a_run_that_was_stopped_and_continued_is_one_series(tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    tiny_relion.make_project(project)
    first = tiny_relion.refine(project)
    stopped_after(first, project, 3)
    before = seen_of(project)
    stopped_after(tiny_relion.resume(project, 1), project, len(before) + 2)
    assert seen_of(project) > before
    opened = Opened("relion").open(project, load_settings(program="relion"), tmp_path / "spool")
    rounds = [round_ for round_ in opened.rounds() if not round_.missing and not round_.fault]
    keys = [str(round_.key) for round_ in rounds]
    assert keys == [f"Refine3D/job001/{number}/1" for number in range(len(keys))]
    assert len(keys) > 3


def stopped_after(job: "subprocess.Popen[bytes]", project: Path, iterations: int) -> None:
    """Let RELION go on until so many iterations are there, then end it."""
    ends = time.monotonic() + 120
    while job.poll() is None and time.monotonic() < ends and len(seen_of(project)) < iterations:
        time.sleep(0.1)
    job.terminate()
    job.wait(20)


def seen_of(project: Path) -> set[str]:
    """The iterations whose tables are there, under whatever root name."""
    return {path.name for path in (project / "Refine3D" / "job001").glob("run_*it*_half1_model.star")}
