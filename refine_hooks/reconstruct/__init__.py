"""Half maps from particles: the stack, the parameters, our own insertion, each package's own finish.

Long work behaves: partial sums are saved now and then, and the work goes on from them.
"""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from refine_hooks.errors import RefineHooksError, StorageError
from refine_hooks.files.mrc import Map
from refine_hooks.fourier import workers
from refine_hooks.model import HalfMaps, Round, duration
from refine_hooks.particles import ParticlesJob, require_both_halves
from refine_hooks.particles.stacks import checked_boxes
from refine_hooks.programs.adapter import Project
from refine_hooks.reconstruct import beside, checkpoint
from refine_hooks.settings import Settings
from refine_hooks.sums import cistem as cistem_sums
from refine_hooks.sums import insertion, normalise
from refine_hooks.sums import relion as relion_sums
from refine_hooks.sums.plan import Floats, Plan, plan_for
from refine_hooks.sums.weights import cistem_weights, even_weights

logger = logging.getLogger(__name__)
_MEASURED_ON = 1000  # particles


@dataclass(frozen=True, slots=True)
class Desk:
    """Who works: where partial sums are kept, who follows it, and who may stop the work.

    Attributes:
        progress: told how many particles of how many are inserted.
        stop: asked after each block of particles.
        checkpoint: the file of partial sums; None keeps none.
        in_all: particles of everything that is to be reconstructed, where that is more than one round.
        require: asked before so many bytes of them are written; raises StorageError where they may not be.
        now: a clock in seconds.
    """

    progress: Callable[[int, int], None] = lambda done, total: None
    stop: Callable[[], bool] = lambda: False
    checkpoint: Path | None = None
    now: Callable[[], float] = time.monotonic
    require: Callable[[int], None] = lambda size: None
    in_all: int = 0


def reconstructed(project: Project, round_: Round, settings: Settings, desk: Desk) -> HalfMaps | None:
    """The half maps of a round from its particles; None, with a word why, where they cannot be had.

    Args:
        project: an opened project.
        round_: what to reconstruct.
        settings: threads, block size, cluster.
        desk: who is told.

    Raises:
        KeyboardInterrupt: stopped; what was done is saved.
    """
    try:
        job = project.particles(round_)
        return None if job is None else half_maps_of(job, f"{round_.key} {round_.label}", settings, desk)
    except RefineHooksError as error:
        logger.warning(f"{round_.key} {round_.label}: cannot be reconstructed from its particles: {error}")
        return None


def half_maps_of(job: ParticlesJob, name: str, settings: Settings, desk: Desk) -> HalfMaps:
    """The two half maps of some particles. The checkpoint stays until the caller has the maps on disk.

    Args:
        job: the particles and the rules to sum them by.
        name: what is reconstructed, for messages.
        settings: threads, block size, cluster.
        desk: who is told.

    Raises:
        ParticlesError: a stack, an image or a half set is not as the table says.
        KeyboardInterrupt: stopped; what was done is saved.
    """
    plan = plan_of(job)
    wide = beside.widened(plan, settings.reconstruct)
    sums = _inserted(wide, name, settings, desk)
    insertion.apply_symmetry(wide, sums, settings.reconstruct.threads)

    def finish(of_two: Floats) -> tuple[Map, Map]:
        return _finished(plan, of_two, 1, job.gridding), _finished(plan, of_two, 2, job.gridding)

    half1, half2 = finish(beside.all_particles(wide, sums))
    measured, lacking = beside.measured_beside(wide, sums, (half1, half2), finish, settings.fsc.threshold)
    one, two = (int(np.count_nonzero(plan.particles.half == half)) for half in (1, 2))
    return HalfMaps(
        half1,
        half2,
        "reconstructed",
        independence=job.independence,
        images=(one, two),
        notes=(*job.particles.notes, *job.notes, *lacking),
        measured=measured,
    )


def plan_of(job: ParticlesJob) -> Plan:
    """What has to be inserted, after all has been checked that can be known before.

    Raises:
        ParticlesError: a stack that is missing or short, an image outside it, an empty half.
    """
    particles = job.particles
    boxes = checked_boxes(particles)
    require_both_halves(particles)
    if job.package == "cistem":
        weights = cistem_weights(
            particles,
            score_weight_A2=job.score_weight_A2,
            adjust_scores=job.adjust_scores,
            threshold=job.score_threshold,
        )
    else:
        weights = even_weights(particles)
    whitening = None
    if job.whitening_radius_A is not None:
        whitening = normalise.whitening_filter(particles, boxes, job.whitening_radius_A)
    options = {"whitening": whitening, "grid": job.grid, "helix": job.helix}
    plan = plan_for(particles, boxes, weights, package=job.package, symmetry=job.symmetry, **options)
    require_both_halves(plan.particles)
    return plan


def _inserted(plan: Plan, name: str, settings: Settings, desk: Desk) -> Floats:
    sums = insertion.empty_sums(plan)
    saving = _Saving(plan, sums, desk)
    begin = done = saving.resume(name)
    where = settings.cluster.scheduler or f"{settings.reconstruct.threads or workers()} threads"
    logger.info(f"{name}: reconstructing {len(plan)} particles at box {plan.box_px} on {where}")
    desk.progress(done, len(plan))
    saved = desk.now()
    foretell = _Foretelling(name, len(plan), desk.in_all)
    for done in _insertion(plan, sums, begin, settings, desk):
        desk.progress(done, len(plan))
        foretell(done)
        if desk.stop():
            break
        if desk.now() - saved >= settings.reconstruct.checkpoint_s and done < len(plan):
            saving.save(done)
            saved = desk.now()
    if done < len(plan):
        saving.save(done)
        logger.info(f"{name}: stopped after {done} of {len(plan)} particles; the same command goes on from there")
        raise KeyboardInterrupt
    return sums


def _insertion(plan: Plan, sums: Floats, begin: int, settings: Settings, desk: Desk) -> Iterator[int]:
    options = settings.reconstruct
    if not settings.cluster.scheduler:
        return insertion.insert(
            plan, sums, begin=begin, threads=options.threads, block_particles=options.block_particles
        )
    from refine_hooks.reconstruct import cluster

    return cluster.insert(
        plan,
        sums,
        settings.cluster,
        begin=begin,
        block_particles=options.block_particles,
        wave_s=options.checkpoint_s,
        stop=desk.stop,
        progress=lambda done: desk.progress(done, len(plan)),
    )


class _Foretelling:
    """Says once how long the particles will take, from the speed of the first thousand; compiling is not counted."""

    def __init__(self, name: str, total: int, in_all: int = 0) -> None:
        self.name, self.total, self.in_all = name, total, in_all
        self.first: tuple[int, float] | None = None
        self.said = False

    def __call__(self, done: int) -> None:
        if self.first is None:
            self.first = done, time.monotonic()
            return
        particles, seconds = done - self.first[0], time.monotonic() - self.first[1]
        rest = max(self.total, self.in_all) - done
        if self.said or rest <= 0 or seconds <= 0 or (particles < _MEASURED_ON and done < self.total):
            return
        self.said = True
        left, all_ = (duration(max(1.0, count * seconds / particles)) for count in (self.total - done, rest))
        more = f"about {all_} for all {self.in_all} that are still to come" if self.in_all > self.total else ""
        this = f"about {left} more for {self.total - done} particles" if done < self.total else ""
        logger.info(
            f"{self.name}: {', '.join(filter(None, (this, more)))}, measured on {particles}; --reconstruct never leaves this out"
        )


class _Saving:
    """Saving and finding again the sums of one plan; a disk that is full costs the checkpoint, never the work."""

    def __init__(self, plan: Plan, sums: Floats, desk: Desk) -> None:
        self.sums, self.desk, self.total = sums, desk, len(plan)
        self.what = checkpoint.fingerprint(plan) if desk.checkpoint else ""

    def resume(self, name: str) -> int:
        if self.desk.checkpoint is None:
            return 0
        there = self.desk.checkpoint.is_file()
        done = checkpoint.resume(self.desk.checkpoint, self.what, self.sums)
        from_there = f"going on after {done} of {self.total} particles" if done else "it is of other input; begun anew"
        if there:
            logger.info(f"{name}: {self.desk.checkpoint}: {from_there}")
        return done

    def save(self, done: int) -> None:
        if self.desk.checkpoint is None:
            return
        try:
            self.desk.require(self.sums.nbytes)
            checkpoint.save(self.desk.checkpoint, self.what, done, self.sums)
        except StorageError as error:
            logger.warning(f"the partial sums are not saved: {error}")


def _finished(plan: Plan, sums: Floats, half: int, gridding: bool) -> Map:
    if plan.package == "cistem":
        return cistem_sums.half_map(insertion.fourier_sums(plan, sums, half), use_up=True)
    grid = relion_sums.Grid(plan.box_px, plan.padding, plan.box_px)
    turns = relion_sums.GRIDDING_ITERATIONS if gridding else 0
    voxels = relion_sums.half_map_of_inserted(sums[half - 1], grid, turns)
    return Map(voxels, plan.voxel_size_A)
