"""Half maps of a round from its particles: the stack, that round's parameters, our own insertion, each package's own finish."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from refine_hooks.errors import RefineHooksError
from refine_hooks.maps import Map
from refine_hooks.particles.stacks import checked_boxes
from refine_hooks.projects.adapter import Adapter, HalfMaps, ParticlesJob, Round
from refine_hooks.settings import Settings
from refine_hooks.sums import cistem as cistem_sums
from refine_hooks.sums import insertion, normalise
from refine_hooks.sums import relion as relion_sums
from refine_hooks.sums.weights import cistem_weights, even_weights


def reconstructed(
    adapter: Adapter, project: Path, round_: Round, settings: Settings, say: Callable[[str], None]
) -> HalfMaps | None:
    """The half maps of a round from its particles; None, with a word why, where they cannot be had.

    Args:
        adapter: of the project's program.
        project: the project's folder.
        round_: what to reconstruct.
        settings: threads and block size.
        say: told what is done, or why it is not.
    """
    try:
        job = adapter.particles(project, round_)
        return None if job is None else half_maps_of(job, f"{round_.key} {round_.label}", settings, say)
    except RefineHooksError as error:
        say(f"{round_.key} {round_.label}: cannot be reconstructed from its particles: {error}")
        return None


def half_maps_of(job: ParticlesJob, name: str, settings: Settings, say: Callable[[str], None]) -> HalfMaps:
    """The two half maps of some particles.

    Args:
        job: the particles and the rules to sum them by.
        name: what is reconstructed, for messages.
        settings: threads and block size.
        say: told how far the work is.

    Raises:
        ParticlesError: a stack, an image or a half set is not as the table says.
    """
    plan = plan_of(job)
    sums = _inserted(plan, name, settings, say)
    insertion.apply_symmetry(plan, sums, settings.reconstruct.threads)
    half1, half2 = (_finished(plan, sums, half) for half in (1, 2))
    images = tuple(int(np.count_nonzero(plan.particles.half == half)) for half in (1, 2))
    return HalfMaps(
        half1, half2, "reconstructed", images=(images[0], images[1]), notes=(*job.particles.notes, *job.notes)
    )


def plan_of(job: ParticlesJob) -> insertion.Plan:
    """What has to be inserted, after all has been checked that can be known before.

    Raises:
        ParticlesError: a stack that is missing or short, an image outside it, an empty half.
    """
    particles = job.particles
    boxes = checked_boxes(particles)
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
    return insertion.plan(particles, boxes, weights, package=job.package, symmetry=job.symmetry, whitening=whitening)


def _finished(plan: insertion.Plan, sums: insertion.Floats, half: int) -> Map:
    if plan.package == "cistem":
        return cistem_sums.half_map(insertion.fourier_sums(plan, sums, half), use_up=True)
    return _relion_half(plan, sums, half)


def _relion_half(plan: insertion.Plan, sums: insertion.Floats, half: int) -> Map:
    made = insertion.fourier_sums(plan, sums, half)
    grid = relion_sums.Grid(plan.box_px, plan.padding, plan.box_px)
    voxels = relion_sums.half_map(made.data.real.copy, made.data.imag.copy, lambda: made.weight, grid)
    return Map(voxels, plan.voxel_size_A)


def _inserted(plan: insertion.Plan, name: str, settings: Settings, say: Callable[[str], None]) -> insertion.Floats:
    threads = settings.reconstruct.threads or insertion.cores()
    say(f"{name}: reconstructing {len(plan)} particles at box {plan.box_px} on {threads} threads")
    sums = insertion.empty_sums(plan)
    told = 0
    for done in insertion.insert(plan, sums, threads=threads, block_particles=settings.reconstruct.block_particles):
        if 10 * done // len(plan) > told and done < len(plan):
            told = 10 * done // len(plan)
            say(f"{name}: {done} of {len(plan)} particles")
    return sums
