"""The same insertion on many machines, with Dask: blocks of particles -> partial sums -> tree reduction on the workers.

Particles go out in waves, each about as long as the time between two checkpoints, and the sum of a wave comes back. Dask starts
a lost worker's share again on another. Each worker process inserts one share at a time with all threads it has, so that its
memory is that of its partial sums: three times `Plan.sums_shape` while two are added. Workers must see the stacks under the same
paths as the machine that the command runs on.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from refine_hooks.errors import InputError, ParticlesError, SettingsError
from refine_hooks.settings import ClusterSettings
from refine_hooks.sums import insertion
from refine_hooks.sums.plan import Floats, Plan

logger = logging.getLogger(__name__)

QUEUES = ("slurm", "pbs", "lsf")
_SHARES_PER_WORKER = 2
_FIRST_BLOCKS = 10
_CONNECT_S = 30
_POLL_S = 0.2
_ONE_AT_A_TIME = threading.Lock()


def share(plan: Plan, block_particles: int) -> Floats:
    """The partial sums of some particles; what a worker does."""
    from distributed import get_worker

    with _ONE_AT_A_TIME:
        return insertion.sums_of(plan, threads=get_worker().state.nthreads, block_particles=block_particles)


def added(one: Floats, other: Floats) -> Floats:
    """Two partial sums as one; neither is changed, since Dask may need them once more."""
    return one + other


def job_queue(settings: ClusterSettings) -> Any:
    """A cluster whose workers are jobs of the site's queue; none is submitted yet.

    Raises:
        SettingsError: dask-jobqueue is not installed, or its settings do not fit the queue.
    """
    try:
        import dask_jobqueue
    except ImportError as error:
        raise _not_installed() from error
    common: dict[str, Any] = {"cores": settings.cores, "processes": 1, "memory": settings.memory}
    common["walltime"] = settings.walltime
    common["queue"] = settings.queue or None
    common["project" if settings.scheduler == "lsf" else "account"] = settings.account or None
    kinds = {"slurm": "SLURMCluster", "pbs": "PBSCluster", "lsf": "LSFCluster"}
    try:
        return getattr(dask_jobqueue, kinds[settings.scheduler])(**common)
    except (ValueError, TypeError, RuntimeError, OSError) as error:
        raise SettingsError(
            f"[cluster]: no {settings.scheduler} cluster can be made of these settings: {error}"
        ) from error


def _not_installed() -> SettingsError:
    return SettingsError("[cluster]: needs Dask; install refine_hooks[cluster]")


def _client(settings: ClusterSettings, until_done: ExitStack) -> Any:
    try:
        import distributed
    except ImportError as error:
        raise _not_installed() from error
    connect: Any = distributed.Client
    if settings.scheduler in QUEUES:
        cluster = until_done.enter_context(job_queue(settings))
        cluster.scale(jobs=settings.workers)
        logger.info(
            f"{settings.workers} workers asked of {settings.scheduler}, {settings.cores} cores and {settings.memory} each"
        )
        return until_done.enter_context(connect(cluster))
    try:
        return until_done.enter_context(connect(settings.scheduler, timeout=_CONNECT_S))
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"[cluster] scheduler = {settings.scheduler!r}: no Dask scheduler answers there ({error}); name its address, e.g. "
            "tcp://host:8786, or slurm, pbs or lsf"
        ) from error


def insert(
    plan: Plan,
    sums: Floats,
    settings: ClusterSettings,
    *,
    begin: int,
    block_particles: int,
    wave_s: float,
    stop: Callable[[], bool],
    progress: Callable[[int], None],
) -> Iterator[int]:
    """Add particles ``begin`` and following to ``sums``; yields how many are in them after each wave.

    Args:
        plan: what to insert.
        sums: changed in place.
        settings: which cluster.
        begin: particles that the sums hold already.
        block_particles: images that a worker reads and inserts together.
        wave_s: how long a wave should take.
        stop: asked often; the wave in hand is then given up, and the iteration ends.
        progress: told how many particles the workers have done.

    Raises:
        ParticlesError: as `refine_hooks.sums.insertion.insert`, from a worker.
        InputError: the cluster fails again and again.
    """
    with ExitStack() as until_done:
        client = _client(settings, until_done)
        if not _workers(client, stop):
            return
        done, size = begin, 0
        while done < len(plan) and not stop():
            workers = max(1, len(client.nthreads()))
            size = size or workers * _FIRST_BLOCKS * block_particles
            end = min(len(plan), done + size)
            began = time.monotonic()
            total = _wave(
                client, plan.part(done, end), workers, block_particles, stop, partial(_further, progress, done)
            )
            if total is None:
                return
            sums += total
            size = max(workers, int((end - done) * wave_s / max(time.monotonic() - began, 1e-3)))
            done = end
            yield done


def _further(progress: Callable[[int], None], done: int, more: int) -> None:
    progress(done + more)


def _workers(client: Any, stop: Callable[[], bool]) -> int:
    """How many workers there are, once there is one."""
    if not client.nthreads():
        logger.info("waiting for the first worker")
    while not client.nthreads() and not stop():
        time.sleep(_POLL_S)
    return len(client.nthreads())


def _wave(
    client: Any, plan: Plan, workers: int, block: int, stop: Callable[[], bool], progress: Callable[[int], None]
) -> Floats | None:
    """The sums of some particles; None if it was stopped."""
    count = max(1, min(_SHARES_PER_WORKER * workers, -(-len(plan) // block)))
    cuts = np.linspace(0, len(plan), count + 1).astype(int).tolist()
    shares = [client.submit(share, plan.part(a, b), block, pure=False, retries=2) for a, b in pairwise(cuts)]
    sizes = np.diff(cuts)
    level = shares
    while len(level) > 1:
        pairs = [client.submit(added, *level[i : i + 2], pure=False) for i in range(0, len(level) - 1, 2)]
        level = pairs + level[2 * len(pairs) :]
    while not level[0].done():
        if stop():
            client.cancel(shares)
            return None
        progress(int(sum(n for n, future in zip(sizes, shares, strict=True) if future.status == "finished")))
        time.sleep(_POLL_S)
    try:
        return np.asarray(level[0].result())
    except ParticlesError:
        raise
    except Exception as error:
        raise InputError(
            f"the cluster gave up ({type(error).__name__}: {error}); see the workers' logs: are the stacks there under the same "
            "paths, and is [cluster] memory enough for three times the sums?"
        ) from error
