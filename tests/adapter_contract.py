"""What every adapter promises, checked in one call: `check_adapter`."""

import hashlib
from pathlib import Path

import numpy as np

from refine_hooks.errors import ParticlesError
from refine_hooks.log.folder import Store
from refine_hooks.model import Round
from refine_hooks.particles import half_counts
from refine_hooks.programs.adapter import Adapter
from refine_hooks.settings import Settings


def fingerprint(folder: Path) -> dict[str, tuple[int, int, str]]:
    """Every file below ``folder``: size, mtime and a hash of its content."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            status = path.stat()
            found[str(path.relative_to(folder))] = (
                status.st_size,
                status.st_mtime_ns,
                hashlib.sha256(path.read_bytes()).hexdigest(),
            )
    return found


def check_adapter(
    adapter: Adapter, project: Path, tmp_path: Path, *, with_halves: int, settings: Settings | None = None
) -> list[Round]:
    """Check an adapter against a small finished project; nothing is written into it.

    Args:
        adapter: the module.
        project: a project that nobody writes at this moment.
        tmp_path: an empty folder.
        with_halves: how many of its rounds and classes have half maps.
        settings: given to the adapter.

    Returns:
        The rounds, for checks of one's own.
    """
    settings = settings or Settings()
    store = Store(tmp_path / "out")
    before = fingerprint(project)
    (tmp_path / "empty").mkdir()

    assert adapter.recognises(project)
    assert not adapter.recognises(tmp_path / "empty")
    for folder, with_subfolders in adapter.bells(project):
        assert folder.is_relative_to(project)
        assert isinstance(with_subfolders, bool)

    saved = adapter.capture(project, store.spool)
    assert all(path.is_file() and path.is_relative_to(store.spool) for path in saved)
    assert adapter.capture(project, store.spool) == [], "a second capture finds nothing new"

    rounds = list(adapter.rounds(project, settings, store))
    assert rounds, "the project has rounds"
    assert len({round_.key for round_ in rounds}) == len(rounds), "keys are unique"
    assert list(adapter.rounds(project, settings, store)) == rounds, "a second look shows the same"
    for round_ in rounds:
        _check_inputs(project, store, round_)
    assert sum(_check_products(adapter, project, store, round_) for round_ in rounds) == with_halves

    for round_ in rounds:
        adapter.discard(round_, store.spool)
    again = {round_.key: round_.stamp for round_ in adapter.rounds(project, settings, store)}
    assert again == {round_.key: round_.stamp for round_ in rounds}, (
        "what was measured stays measured after its inputs are discarded"
    )
    assert adapter.capture(project, store.spool) == [], "what was discarded is not captured again"
    assert fingerprint(project) == before, "nothing of the project is touched"
    return rounds


def _check_inputs(project: Path, store: Store, round_: Round) -> None:
    spooled = {(path.name, path.stat().st_size) for path in store.spool.rglob("*") if path.is_file()}
    for file in round_.stamp.inputs:
        there = (project / file.name).is_file() or (Path(file.name).name, file.size) in spooled
        assert there, f"{round_.key}: {file.name} is nowhere"


def _check_products(adapter: Adapter, project: Path, store: Store, round_: Round) -> bool:
    """Half maps, curves, mask and views of one round; whether it has half maps."""
    if round_.missing or round_.fault:
        return False
    halves = adapter.half_maps(project, round_, store)
    if halves is not None:
        one, two = halves.half1, halves.half2
        assert one.voxels.shape == two.voxels.shape == (one.box_px,) * 3
        assert one.voxels.dtype == two.voxels.dtype == np.float32
        assert one.voxel_size_A == two.voxel_size_A > 0
        assert np.isfinite(one.voxels).all()
        assert np.isfinite(two.voxels).all()
        masks = [adapter.refinement_mask(project, round_, halves)]
        masks += adapter.further_masks(project, round_, halves).values()
        for mask in masks:
            assert mask is None or mask.mask is not None or mask.note, "a mask that cannot be had is explained"
    _check_particles(adapter, project, round_)
    for curve in adapter.reported(project, round_):
        values = curve.correlation[np.isfinite(curve.correlation)]
        assert values.size
        assert np.abs(values).max() <= 1 + 1e-6
        assert halves is None or len(curve.correlation) == halves.half1.box_px // 2 + 1
    views = adapter.angular_distribution(project, round_)
    assert views is None or (views.ndim == 2 and (views >= 0).all())
    return halves is not None


def _check_particles(adapter: Adapter, project: Path, round_: Round) -> None:
    """A round's particles have both half sets; where they cannot be had, the reason names a file."""
    try:
        job = adapter.particles(project, round_)
    except ParticlesError as error:
        assert all(":" in fault for fault in error.faults)
        return
    if job is not None:
        assert job.package in ("cistem", "relion")
        assert all(half_counts(job.particles))
        assert job.particles.stacks
