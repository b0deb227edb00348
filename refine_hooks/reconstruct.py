"""Half maps of a round from its particles: the stack, that round's parameters, our own insertion, each package's own finish."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from refine_hooks.errors import RefineHooksError
from refine_hooks.maps import Map
from refine_hooks.particles import Particles
from refine_hooks.particles.stacks import checked_boxes
from refine_hooks.projects.adapter import HalfMaps, Round
from refine_hooks.settings import Settings
from refine_hooks.sums import cistem as cistem_sums
from refine_hooks.sums import insertion, normalise
from refine_hooks.sums import relion as relion_sums
from refine_hooks.sums.weights import cistem_weights, even_weights


def reconstructed(
    project: Path, program: str, round_: Round, settings: Settings, say: Callable[[str], None]
) -> HalfMaps | None:
    """The half maps of a round from its particles; None, with a word why, where they cannot be had.

    Args:
        project: the project's folder.
        program: name of its adapter.
        round_: what to reconstruct.
        settings: threads and block size.
        say: told what is done, or why it is not.
    """
    try:
        if program == "cistem":
            halves = _cistem(project, round_, settings, say)
        elif program == "relion":
            halves = _relion(project, round_, settings, say)
        else:
            return None
    except RefineHooksError as error:
        say(f"{round_.key} {round_.label}: cannot be reconstructed from its particles: {error}")
        return None
    return halves


def _cistem(project: Path, round_: Round, settings: Settings, say: Callable[[str], None]) -> HalfMaps:
    from refine_hooks.projects.cistem.particles import job_of

    job = job_of(project, round_)
    boxes = checked_boxes(job.particles)
    weights = cistem_weights(job.particles, score_weight_A2=job.score_weight_A2, adjust_scores=job.adjust_scores)
    whitening = normalise.whitening_filter(job.particles, boxes, job.mask_radius_A)
    plan = insertion.plan(job.particles, boxes, weights, package="cistem", symmetry=job.symmetry, whitening=whitening)
    sums = _inserted(plan, round_, settings, say)
    half1, half2 = (cistem_sums.half_map(insertion.fourier_sums(plan, sums, half), use_up=True) for half in (1, 2))
    note = (
        "reconstructed to full resolution; the noise's whitening filter is cisTEM's but for its random choice of images"
    )
    return _half_maps(half1, half2, job.particles, plan, (*job.particles.notes, note))


def _relion(project: Path, round_: Round, settings: Settings, say: Callable[[str], None]) -> HalfMaps:
    from refine_hooks.projects.relion.particles import job_of

    job = job_of(project, round_)
    boxes = checked_boxes(job.particles)
    plan = insertion.plan(job.particles, boxes, even_weights(job.particles), package="relion", symmetry=job.symmetry)
    sums = _inserted(plan, round_, settings, say)
    half1, half2 = (_relion_half(plan, sums, half) for half in (1, 2))
    note = (
        "RELION masks the images to the particle's sphere before insertion; here they are inserted as they are, so that "
        "these half maps are noisier than its _unfil pair"
    )
    return _half_maps(half1, half2, job.particles, plan, (*job.particles.notes, note))


def _relion_half(plan: insertion.Plan, sums: insertion.Floats, half: int) -> Map:
    made = insertion.fourier_sums(plan, sums, half)
    grid = relion_sums.Grid(plan.box_px, plan.padding, plan.box_px)
    voxels = relion_sums.half_map(made.data.real.copy, made.data.imag.copy, lambda: made.weight, grid)
    return Map(voxels, plan.voxel_size_A)


def _inserted(plan: insertion.Plan, round_: Round, settings: Settings, say: Callable[[str], None]) -> insertion.Floats:
    threads = settings.reconstruct.threads or insertion.cores()
    say(f"{round_.key} {round_.label}: reconstructing {len(plan)} particles at box {plan.box_px} on {threads} threads")
    sums = insertion.empty_sums(plan)
    told = 0
    for done in insertion.insert(plan, sums, threads=threads, block_particles=settings.reconstruct.block_particles):
        if 10 * done // len(plan) > told and done < len(plan):
            told = 10 * done // len(plan)
            say(f"{round_.key}: {done} of {len(plan)} particles")
    return sums


def _half_maps(half1: Map, half2: Map, particles: Particles, plan: insertion.Plan, notes: tuple[str, ...]) -> HalfMaps:
    images = tuple(int(np.count_nonzero(plan.particles.half == half)) for half in (1, 2))
    return HalfMaps(half1, half2, "reconstructed", images=(images[0], images[1]), notes=notes)
