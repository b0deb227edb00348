"""What every adapter promises, checked in one call; for the tests of packages that add a program. Needs no test framework."""

import hashlib
from pathlib import Path

import numpy as np

from refine_hooks.errors import ParticlesError
from refine_hooks.model import Round
from refine_hooks.particles import half_counts
from refine_hooks.programs.adapter import Adapter, Project
from refine_hooks.settings import Settings


def check_adapter(
    adapter: Adapter, project: Path, tmp_path: Path, *, with_halves: int, settings: Settings | None = None
) -> list[Round]:
    """Check an adapter against a small finished project; nothing is written into it.

    Args:
        adapter: the value or module that is registered.
        project: a project that nobody writes at this moment.
        tmp_path: an empty folder.
        with_halves: how many of its rounds and classes have half maps.
        settings: given to the adapter.

    Returns:
        The rounds, for checks of one's own.

    Raises:
        AssertionError: a promise is not kept; says which.
    """
    before = fingerprint(project)
    (tmp_path / "empty").mkdir()
    _require(adapter.recognises(project), f"{project} is recognised")
    _require(not adapter.recognises(tmp_path / "empty"), "an empty folder is not recognised")
    for folder in (project, tmp_path / "empty"):
        _require(bool(adapter.why(folder)), f"why() says something of {folder}")
    (tmp_path / "out").mkdir()
    spool = tmp_path / "out" / "spool"
    opened = adapter.open(project, settings or Settings(), spool)
    _require(isinstance(opened, Project), "open() returns a refine_hooks.programs.adapter.Project")
    _check_capture(opened, spool)
    rounds = _check_rounds(opened)
    for round_ in rounds:
        _check_inputs(project, spool, round_)
    found = sum(_check_products(opened, round_) for round_ in rounds)
    _require(found == with_halves, f"{with_halves} rounds have half maps, {found} were found")
    fresh = adapter.open(project, settings or Settings(), spool)
    _require(list(fresh.rounds()) == rounds, "a project that is opened anew shows the same rounds")
    _check_discard(opened, rounds)
    _require(fingerprint(project) == before, "nothing of the project is touched")
    return rounds


def fingerprint(folder: Path) -> dict[str, tuple[int, int, str]]:
    """Every file below ``folder``: size, mtime and a hash of its content."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            status = path.stat()
            content = hashlib.sha256(path.read_bytes()).hexdigest()
            found[str(path.relative_to(folder))] = (status.st_size, status.st_mtime_ns, content)
    return found


def _require(holds: bool, promise: str) -> None:
    if not holds:
        raise AssertionError(f"does not hold: {promise}")


def _check_capture(opened: Project, spool: Path) -> None:
    for folder, with_subfolders in opened.watched_folders():
        _require(folder.is_relative_to(opened.directory), f"{folder} lies in the project")
        _require(isinstance(with_subfolders, bool), f"watched_folders() says of {folder} whether to look below it")
    saved = opened.capture()
    _require(all(path.is_file() and path.is_relative_to(spool) for path in saved), "what is captured is in the spool")
    _require(opened.captures or not saved, "a project that captures says so (captures = True)")
    _require(opened.capture() == [], "a second capture finds nothing new")


def _check_rounds(opened: Project) -> list[Round]:
    rounds = list(opened.rounds())
    _require(bool(rounds), "the project has rounds")
    _require(len({round_.key for round_ in rounds}) == len(rounds), "keys are unique")
    _require(list(opened.rounds()) == rounds, "a second scan shows the same rounds")
    return rounds


def _check_inputs(project: Path, spool: Path, round_: Round) -> None:
    spooled = {(path.name, path.stat().st_size) for path in spool.rglob("*") if path.is_file()}
    for file in round_.fingerprint.inputs:
        there = (project / file.path).is_file() or (file.path.name, file.size) in spooled
        _require(there, f"{round_.key}: {file.name} is in the project or in the spool")


def _check_products(opened: Project, round_: Round) -> bool:
    """Half maps, curves, masks and viewing directions of one round; whether it has half maps."""
    if round_.missing or round_.fault:
        return False
    halves = opened.half_maps(round_)
    if halves is not None:
        one, two, name = halves.half1, halves.half2, f"{round_.key}: half maps"
        _require(one.voxels.shape == two.voxels.shape == (one.box_px,) * 3, f"{name} are cubes of one box")
        _require(one.voxels.dtype == two.voxels.dtype == np.float32, f"{name} are float32")
        _require(one.voxel_size_A == two.voxel_size_A > 0, f"{name} have one voxel size")
        _require(bool(np.isfinite(one.voxels).all() and np.isfinite(two.voxels).all()), f"{name} are finite")
        for what, mask in opened.masks(round_, halves).items():
            _require(mask.mask is not None or bool(mask.note), f"{round_.key}: why there is no mask {what} is said")
    _check_particles(opened, round_)
    for curve in opened.reported(round_):
        values = curve.correlation[np.isfinite(curve.correlation)]
        name = f"{round_.key}: the curve {curve.name}"
        _require(bool(values.size) and bool(np.abs(values).max() <= 1 + 1e-6), f"{name} has values within -1..1")
        fits = halves is None or len(curve.correlation) == halves.half1.box_px // 2 + 1
        _require(fits, f"{name} is over the shells 0..N//2")
    views = opened.viewing_directions(round_)
    good = views is None or (views.ndim == 2 and bool((views >= 0).all()))
    _require(good, f"{round_.key}: viewing directions are counts in two dimensions")
    return halves is not None


def _check_particles(opened: Project, round_: Round) -> None:
    """A round's particles have both half sets; where they cannot be had, the reason names a file."""
    try:
        job = opened.particles(round_)
    except ParticlesError as error:
        _require(all(":" in fault for fault in error.faults), f"{round_.key}: why there are no particles names a file")
        return
    if job is not None:
        _require(opened.keeps_particles, "a project that keeps particles says so (keeps_particles = True)")
        _require(job.package in ("cistem", "relion"), f"{round_.key}: particles are summed by known rules")
        _require(all(half_counts(job.particles)) and bool(job.particles.stacks), f"{round_.key}: both halves have some")


def _check_discard(opened: Project, rounds: list[Round]) -> None:
    for round_ in rounds:
        opened.discard(round_)
    again = {round_.key: round_.fingerprint for round_ in opened.rounds()}
    measured = {round_.key: round_.fingerprint for round_ in rounds}
    _require(again == measured, "what was measured stays measured after its inputs are discarded")
    _require(opened.capture() == [], "what was discarded is not captured again")
