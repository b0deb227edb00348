"""Long work behaves: it goes on where it was stopped or killed, here and on a cluster, and says what is wrong."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import cli
from heard import hear
from particles_data import COUNT, some_particles, write_cistem_star, write_relion_star, write_stack
from particles_data import columns as values_of
from small_program import a_watch, lines_of, program, write_round

from refine_hooks.cli._progress import Pace, lines_of_progress
from refine_hooks.facility import worker
from refine_hooks.facility.jobs import Job
from refine_hooks.files.mrc import read_map
from refine_hooks.log.records import Failed, RoundRecord
from refine_hooks.model import duration
from refine_hooks.particles import ParticlesJob
from refine_hooks.reconstruct import Desk, checkpoint, half_maps_of, plan_of
from refine_hooks.settings import load_settings
from refine_hooks.sums import insertion
from refine_hooks.watch.loop import Watch
from refine_hooks.watch.loop import run as watch_through


@pytest.fixture
def job(tmp_path: Path) -> ParticlesJob:
    write_stack(tmp_path / "s.mrcs")
    return ParticlesJob(some_particles(tmp_path / "s.mrcs"), "cistem", whitening_radius_A=10.0, score_weight_A2=2.0)


def settings(**changes: Any) -> Any:
    return load_settings(overrides={"reconstruct": {"block_particles": 5, "threads": 1, **changes}})


def stop_after(blocks: int) -> Callable[[], bool]:
    asked = iter(range(1, 1000))
    return lambda: next(asked) >= blocks


def test_stopped_work_goes_on_where_it_was_and_gives_the_same_map(job: ParticlesJob, tmp_path: Path) -> None:
    whole = half_maps_of(job, "x", settings(), Desk())
    path, said, seen = tmp_path / "c.sums", hear(), []
    with pytest.raises(KeyboardInterrupt):
        half_maps_of(job, "x", settings(), Desk(stop=stop_after(2), checkpoint=path))
    assert "stopped after 10 of 24 particles" in said[-1]
    desk = Desk(lambda done, total: seen.append(done), checkpoint=path)
    resumed = half_maps_of(job, "x", settings(threads=2, block_particles=3), desk)
    assert seen[0] == 10
    assert "going on after 10 of 24" in " ".join(said)
    assert (resumed.half1.voxels == whole.half1.voxels).all()
    assert (resumed.half2.voxels == whole.half2.voxels).all()


def test_sums_are_saved_as_often_as_the_settings_say(job: ParticlesJob, tmp_path: Path) -> None:
    path, found = tmp_path / "c.sums", []
    plan = plan_of(job)
    what, scratch = checkpoint.fingerprint(plan), insertion.empty_sums(plan)

    def look(done: int, total: int) -> None:
        found.append(checkpoint.resume(path, what, scratch))

    ticks = iter(range(0, 10000, 60))
    desk = Desk(look, checkpoint=path, now=lambda: float(next(ticks)))
    half_maps_of(job, "x", settings(checkpoint_s=100.0), desk)
    assert found == [0, 0, 0, 10, 10, 20]  # a minute a block, saved after every second one


@pytest.mark.parametrize("change", ["stack", "symmetry", "column", "torn"])
def test_a_checkpoint_of_other_input_is_not_used(job: ParticlesJob, tmp_path: Path, change: str) -> None:
    path = tmp_path / "c.sums"
    plan = plan_of(job)
    sums = insertion.empty_sums(plan) + 1
    checkpoint.save(path, checkpoint.fingerprint(plan), 10, sums)
    fresh = insertion.empty_sums(plan)
    assert checkpoint.resume(path, checkpoint.fingerprint(plan), fresh) == 10
    assert (fresh == 1).all()
    if change == "stack":
        write_stack(tmp_path / "s.mrcs", seed=8)
        os.utime(tmp_path / "s.mrcs", ns=(1, 1))
    elif change == "symmetry":
        job = ParticlesJob(job.particles, "cistem", symmetry="C2")
    elif change == "column":
        job.particles.psi_deg[3] += 0.01
    else:
        path.write_bytes(path.read_bytes()[:-100])
    said = hear()
    assert checkpoint.resume(path, checkpoint.fingerprint(plan_of(job)), fresh) == 0
    half_maps_of(job, "x", settings(), Desk(checkpoint=path))
    assert "begun anew" in said[0]


def test_a_disk_that_is_full_costs_the_checkpoint_and_not_the_work(
    job: ParticlesJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("refine_hooks.files.atomic.os.replace", full)
    said = hear()
    desk = Desk(checkpoint=tmp_path / "c.sums", now=iter(range(0, 10000, 60)).__next__)
    assert half_maps_of(job, "x", settings(checkpoint_s=1.0), desk).images == (12, 12)
    assert "No space left" in said[-1]
    assert list(tmp_path.glob("*c.sums*")) == []


KILLED = """
import os, sys, signal
from refine_hooks.sums import insertion
from refine_hooks import cli
plain, after, number = insertion.insert, int(sys.argv.pop(1)), int(sys.argv.pop(1))
def insert(*arguments, **options):
    for blocks, done in enumerate(plain(*arguments, **options), 1):
        yield done
        if blocks == after:
            os.kill(os.getpid(), number)
insertion.insert = insert
cli.main()
"""


@pytest.mark.parametrize(
    "number", [signal.SIGKILL, signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.long)]
)
def test_a_command_that_is_killed_goes_on_when_it_is_given_again(tmp_path: Path, number: int) -> None:
    write_stack(tmp_path / "s.mrcs")
    write_cistem_star(tmp_path / "p.star", values_of())
    config = tmp_path / "c.toml"
    config.write_text("[reconstruct]\nblock_particles = 5\nthreads = 1\ncheckpoint_s = 0.000001\n")

    words = ["reconstruct", "--particles", "p.star", "--stack", "s.mrcs", "--config", "c.toml", "--out"]
    whole = cli(*words, "whole", cwd=tmp_path)
    assert whole.returncode == 0, whole.stderr
    assert whole.stdout.split() == [str(tmp_path / "whole" / f"p_half{half}.mrc") for half in (1, 2)]
    program = [sys.executable, "-c", KILLED, "3", str(int(number)), *words, "killed"]
    killed = subprocess.run(program, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert killed.returncode == (-9 if number == signal.SIGKILL else 130)
    assert not (tmp_path / "killed" / "p_half1.mrc").exists()
    again = cli(*words, "killed", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    done = 15 if number == signal.SIGKILL else 20  # what was saved, or what was in hand as well
    assert f"going on after {done} of 24" in again.stderr
    for half in (1, 2):
        one, other = (read_map(tmp_path / out / f"p_half{half}.mrc") for out in ("whole", "killed"))
        assert (one.voxels == other.voxels).all()
    assert list((tmp_path / "killed").rglob("*.sums")) == []


def run(folder: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    return cli("reconstruct", *words, cwd=folder)


REFUSED = {
    "nothing named": ([], "give either PROJECT"),
    "both named": ([".", "--particles", "p.star", "--out", "o"], "give either PROJECT"),
    "no folder": (["--particles", "p.star"], "--out DIR"),
    "the curvature": (["--particles", "p.star", "--out", "o", "--ewald"], "Ewald sphere is not corrected"),
    "no such file": (["--particles", "gone.star", "--out", "o"], "gone.star: is not there"),
    "no such group": (["--particles", "p.star", "--out", "o", "--symmetry", "Ih"], "'Ih' is no symmetry"),
    "no such package": (["--particles", "p.star", "--out", "o", "--package", "x"], "neither cistem nor relion"),
    "no stack": (["--particles", "p.star", "--out", "o"], "gone.mrcs: the particle stack is not there"),
    "an option for another package": (["--particles", "p.star", "--out", "o", "--white"], "--white is not for a file"),
    "no scheduler": (
        ["--particles", "q.star", "--out", "o", "--cluster", "nonsense://x"],
        "no Dask scheduler answers there",
    ),
}


WRONG_COMMAND_LINE = ("nothing named", "both named", "no folder", "no such package")


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_done_is_refused_in_words(tmp_path: Path, case: str) -> None:
    words, expected = REFUSED[case]
    write_stack(tmp_path / "s.mrcs")
    write_relion_star(tmp_path / "p.star", values_of(), "gone.mrcs")
    write_relion_star(tmp_path / "q.star", values_of(), "s.mrcs")
    done = run(tmp_path, *words)
    assert done.returncode == (2 if case in WRONG_COMMAND_LINE else 1), done.stderr
    assert expected in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture
def cluster() -> Iterator[Any]:
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=60
    ) as local:
        yield local


def on_cluster(address: str, **changes: Any) -> Any:
    overrides = {"cluster": {"scheduler": address}, "reconstruct": {"block_particles": 3, "threads": 1, **changes}}
    return load_settings(overrides=overrides)


def test_a_cluster_gives_the_same_map_though_a_worker_is_killed(job: ParticlesJob, cluster: Any) -> None:
    asked = iter(range(1000))
    victim = cluster.workers[0].pid

    def kill_once() -> bool:
        if next(asked) == 1:  # first asked before a wave, then while the workers are at it
            os.kill(victim, signal.SIGKILL)
        return False

    alone = half_maps_of(job, "x", settings(), Desk())
    in_three = on_cluster(cluster.scheduler_address, block_particles=8)
    together = half_maps_of(job, "x", in_three, Desk(stop=kill_once))
    assert next(asked) > 2
    for one, other in ((alone.half1, together.half1), (alone.half2, together.half2)):
        assert np.abs(one.voxels - other.voxels).max() < 1e-5 * np.abs(one.voxels).max()


def test_what_is_wrong_on_a_worker_is_said_as_it_is_here(job: ParticlesJob, tmp_path: Path, cluster: Any) -> None:
    raw = bytearray((tmp_path / "s.mrcs").read_bytes())
    raw[-4:] = np.float32(np.nan).tobytes()
    (tmp_path / "s.mrcs").write_bytes(bytes(raw))
    plain = ParticlesJob(job.particles, "cistem")
    with pytest.raises(Exception, match=r"image 24 \(particle 24 of made\.star\) holds a NaN") as caught:
        half_maps_of(plain, "x", on_cluster(cluster.scheduler_address), Desk())
    assert type(caught.value).__name__ == "ParticlesError"


def test_work_on_a_cluster_can_be_stopped_and_goes_on_here(job: ParticlesJob, tmp_path: Path, cluster: Any) -> None:
    from refine_hooks.reconstruct import cluster as ours

    path, plan = tmp_path / "c.sums", plan_of(job)
    sums = insertion.empty_sums(plan)
    options = {"begin": 0, "block_particles": 1, "wave_s": 1e-9, "progress": lambda done: None}
    waves = ours.insert(
        plan,
        sums,
        on_cluster(cluster.scheduler_address).cluster,
        stop=lambda: False,
        **options,  # type: ignore[arg-type]
    )
    done = next(waves)
    waves.close()
    assert done == 20  # two workers, ten blocks of one particle
    checkpoint.save(path, checkpoint.fingerprint(plan), done, sums)
    said = hear()
    resumed = half_maps_of(job, "x", settings(), Desk(checkpoint=path))
    whole = half_maps_of(job, "x", settings(), Desk())
    assert "going on after 20 of 24" in said[0]
    assert np.abs(resumed.half1.voxels - whole.half1.voxels).max() < 1e-5 * np.abs(whole.half1.voxels).max()


@pytest.mark.parametrize(
    ("queue", "words"),
    [
        ("slurm", ["-p big", "-A lab", "--mem=30G", "--cpus-per-task=6", "-t 01:00:00"]),
        ("pbs", ["-q big", "-A lab", "ncpus=6", "walltime=01:00:00"]),
        ("lsf", ["-q big", '-P "lab"', "-n 6", "-W 01:00"]),
    ],
)
def test_workers_are_asked_of_the_queue_as_the_settings_say(queue: str, words: list[str]) -> None:
    pytest.importorskip("dask_jobqueue")
    from refine_hooks.reconstruct.cluster import job_queue

    table = {"scheduler": queue, "cores": 6, "memory": "32GB", "walltime": "01:00:00", "queue": "big", "account": "lab"}
    if queue == "lsf":
        table["walltime"] = "01:00"
    with job_queue(load_settings(overrides={"cluster": table}).cluster) as asked:
        script = asked.job_script()
    for word in words:
        assert word in script
    assert "--nthreads 6" in script


def test_lines_of_progress_come_now_and_then_with_speed_and_time_left() -> None:
    clock, said = [0.0], hear()
    move = lines_of_progress(lambda: clock[0])
    for seconds, done in ((0, 1000), (10, 2000), (35, 4500), (40, 5000), (90, 10000), (95, 10500)):
        clock[0] = float(seconds)
        move(done, 100000, what="particles")
        move(1, 3)
    assert said == ["4500 of 100000 particles, 100/s, 16 min left", "10000 of 100000 particles, 100/s, 15 min left"]


def test_speed_is_counted_anew_for_another_piece_of_work() -> None:
    clock = [1.0]
    pace = Pace(lambda: clock[0])
    assert pace.per_s(0, 100) is None
    clock[0] = 3.0
    assert pace.per_s(50, 100) == 25
    assert pace.per_s(0, 100) is None


@pytest.mark.parametrize(("seconds", "words"), [(42, "42 s"), (400, "7 min"), (11100, "3 h 05 min")])
def test_a_duration_is_said_as_people_say_it(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_the_count_of_particles_and_where_the_maps_are_is_printed(tmp_path: Path) -> None:
    write_stack(tmp_path / "s.mrcs")
    write_relion_star(tmp_path / "p.star", values_of(), "s.mrcs")
    done = run(tmp_path, "--particles", "p.star", "--out", "o", "--symmetry", "c2")
    assert done.returncode == 0, done.stderr
    assert f"{COUNT // 2} + {COUNT // 2} particles" in done.stderr
    assert json.dumps(done.stdout.split()) == json.dumps([str(tmp_path / "o" / f"p_half{h}.mrc") for h in (1, 2)])


def test_a_watch_that_is_stopped_while_it_reconstructs_goes_on_the_next_time(job: ParticlesJob, tmp_path: Path) -> None:
    project = tmp_path / "project"
    project.mkdir()
    write_round(project, 1)

    def watch(**told: Any) -> Watch:
        return a_watch(
            project,
            said,
            {"reconstruct": {"block_particles": 5, "threads": 1}},
            particles=lambda directory, round_: job,
            half_maps=lambda directory, round_, store: None,
            reconstruct="missing",
            **told,
        )

    said = hear()

    def stop(done: int, total: int) -> None:
        if done == 10:
            stopped.stopping.asked.set()

    stopped = watch(inserting=stop)
    watch_through(stopped, [0.0, 10.0])
    assert lines_of(project, RoundRecord) == []
    assert lines_of(project, Failed) == []
    assert len(list(stopped.store.out.glob("checkpoints/*.sums"))) == 1
    watch_through(watch(), [0.0, 10.0])
    assert "going on after 10 of 24" in " ".join(said)
    (record,) = lines_of(project, RoundRecord)
    assert (record.half_maps.origin, record.half_maps.images) == ("reconstructed", (12, 12))
    assert list(stopped.store.out.glob("checkpoints/*")) == []


def test_a_reconstruction_of_the_queue_is_cancelled_with_its_project_and_goes_on_the_next_time(
    job: ParticlesJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tmp_path / "project"
    project.mkdir()
    write_round(project, 1)
    given = {"particles": lambda directory, round_: job, "half_maps": lambda directory, round_, store: None}
    w = a_watch(project, [], {"reconstruct": {"block_particles": 5, "threads": 1}}, **given, reconstruct="missing")
    w.store.make()
    (round_,) = w.opened.rounds()
    monkeypatch.setattr(worker, "adapter_called", lambda name: program(**given))
    asked = Job(project, w.program, w.settings, w.store.out, "", "missing", round_.key, round_.fingerprint)
    desk, said = worker._Desk(), hear()
    desk.asked_to_stop.set()  # as the process does when the project's watch ends
    cancelled = desk.done(asked)
    assert cancelled.record is None
    assert len(list(w.store.out.glob("checkpoints/*.sums"))) == 1
    desk.asked_to_stop.clear()
    record = desk.done(asked).checked().record
    assert record is not None
    assert record.half_maps is not None
    assert record.half_maps.origin == "reconstructed"
    assert any("going on after" in text for text in said)
    assert list(w.store.out.glob("checkpoints/*")) == []
