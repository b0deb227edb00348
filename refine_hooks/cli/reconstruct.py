"""The command that makes half maps from particles."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from refine_hooks.cli._app import app
from refine_hooks.cli._options import Adapter, Config
from refine_hooks.errors import ProjectError, SettingsError

if TYPE_CHECKING:
    from types import FrameType

    from refine_hooks.log.folder import Store
    from refine_hooks.model import HalfMaps
    from refine_hooks.particles import ParticlesJob
    from refine_hooks.settings import Settings

logger = logging.getLogger(__name__)

Known = Annotated[float, typer.Option(help="where the file does not tell", show_default=False)]
ProjectOrNone = Annotated[
    Path | None,
    typer.Argument(help="the refinement project's folder", show_default=False, readable=False),
]
RoundKey = Annotated[
    str, typer.Argument(metavar="ROUND", help="RUN/ITERATION/CLASS, as explain and show print it", show_default=False)
]
OldRound = Annotated[str, typer.Option("--round", hidden=True)]
ParticleFile = Annotated[
    Path | None,
    typer.Option(
        help="instead of a project: .cistem, .star (cisTEM or RELION), .par or .cs",
        show_default=False,
        readable=False,
    ),
]
MapsFolder = Annotated[
    Path | None,
    typer.Option(help="where the maps are written [default: PROJECT/refine_hooks/reconstructed]", show_default=False),
]
Symmetry = Annotated[
    str,
    typer.Option(help="point group, in the package's setting [default: the project's, else C1]", show_default=False),
]
Rules = Annotated[
    str, typer.Option(help="cistem or relion: whose rules of summing [default: the file's]", show_default=False)
]
Stack = Annotated[
    Path | None, typer.Option(help="the particle stack, where the file names none or another", show_default=False)
]
Root = Annotated[Path | None, typer.Option(help="the folder that stack paths start from (RELION)", show_default=False)]
OneClass = Annotated[int, typer.Option("--class", help="only this class (RELION) [default: all]", show_default=False)]
PixelSize = Annotated[float, typer.Option(help="in A, where the file does not tell", show_default=False)]
Voltage = Annotated[float, typer.Option(help="in kV, where the file does not tell", show_default=False)]
SphericalAberration = Annotated[float, typer.Option(help="in mm, where the file does not tell", show_default=False)]
MaskRadius = Annotated[
    float,
    typer.Option(
        help="of the particle in A: normalise images by the noise outside, as cisTEM does", show_default=False
    ),
]
ScoreWeight = Annotated[float, typer.Option(help="cisTEM's particle weighting factor in A^2")]
Rise = Annotated[float, typer.Option(help="of a helix in A, from one unit to the next (RELION)", show_default=False)]
Twist = Annotated[
    float, typer.Option(help="of a helix in degrees, above 0 for a right-handed one (RELION)", show_default=False)
]
Units = Annotated[
    int, typer.Option(help="of a helix that one box holds: RELION's --nr_helical_asu", min=0, show_default=False)
]
White = Annotated[bool, typer.Option("--white", help="particles are brighter than the ice (cisTEM)")]
Ewald = Annotated[bool, typer.Option("--ewald", help="refused: the Ewald sphere's curvature is not corrected")]
Subsets = Annotated[
    bool,
    typer.Option(
        "--subsets", help="in the same pass also from halves, quarters and eighths: what more particles would give"
    ),
]
Substitute = Annotated[
    float,
    typer.Option(
        metavar="A",
        help="in the same pass also with random phases of the images beyond this resolution: noise that the angles were fitted to",
        show_default=False,
    ),
]
Cluster = Annotated[
    str,
    typer.Option(
        help="on many machines: the address of a Dask scheduler, or slurm, pbs, lsf (see [cluster])",
        show_default=False,
    ),
]


@app.command(short_help="Make half maps from a round's particles.")
def reconstruct(
    project: ProjectOrNone = None,
    round_: RoundKey = "",
    *,
    particles: ParticleFile = None,
    out: MapsFolder = None,
    symmetry: Symmetry = "",
    package: Rules = "",
    stack: Stack = None,
    root: Root = None,
    class_id: OneClass = 0,
    pixel_size: PixelSize = 0.0,
    voltage: Voltage = 0.0,
    cs: SphericalAberration = 0.0,
    amplitude_contrast: Known = 0.0,
    mask_radius: MaskRadius = 0.0,
    score_weight: ScoreWeight = 0.0,
    helical_rise: Rise = 0.0,
    helical_twist: Twist = 0.0,
    helical_units: Units = 0,
    white: White = False,
    ewald: Ewald = False,
    subsets: Subsets = False,
    substitute_from: Substitute = 0.0,
    cluster: Cluster = "",
    config: Config = None,
    program: Adapter = "",
    old_round: OldRound = "",
) -> None:
    """Make the two half maps of any round from its particles, or of a parameter file.

    Give PROJECT and ROUND, or --particles and --out. The paths of the two maps are printed. Work that is stopped, or killed,
    goes on where it was when the same command is given again.
    """
    if ewald:
        raise SettingsError(
            "--ewald: the curvature of the Ewald sphere is not corrected here; use relion_reconstruct --ewald"
        )
    if (project is None) == (particles is None):
        raise typer.BadParameter("give either PROJECT ROUND, or --particles FILE with --out DIR")
    if package not in ("", "cistem", "relion"):
        raise typer.BadParameter(f"--package {package}: is neither cistem nor relion")
    from refine_hooks.cli import _models

    _models.build()
    from refine_hooks.reconstruct.jobs import job_of_file, with_helix
    from refine_hooks.settings import layers, load_settings, merged

    overrides: dict[str, Any] = {"cluster": {"scheduler": cluster}} if cluster else {}
    beside = {
        **({"subsets": True} if subsets else {}),
        **({"substitute_from_A": substitute_from} if substitute_from else {}),
    }
    overrides |= {"reconstruct": beside} if beside else {}
    if project is not None:
        _of_round(project, round_ or old_round, out, symmetry, config, program, overrides)
        return
    if particles is None or out is None:
        raise typer.BadParameter("--particles needs --out DIR, the folder for the half maps")
    known = {
        "pixel_size_A": pixel_size,
        "voltage_kV": voltage,
        "cs_mm": cs,
        "amplitude_contrast": amplitude_contrast,
    }
    options: dict[str, Any] = {name: value for name, value in known.items() if value}
    options.update({"stack": stack} if stack else {}, **({"root": root} if root else {}))
    options.update({"class_id": class_id} if class_id else {}, **({"contrast": 1} if white else {}))
    settings = load_settings(overrides=overrides, own=merged(layers(config)))
    job = job_of_file(particles, package, symmetry or "C1", mask_radius, score_weight, **options)
    job = with_helix(job, helical_rise, helical_twist, helical_units)
    _of_file(job, particles, out.absolute(), settings)


def _of_file(job: ParticlesJob, particles: Path, out: Path, settings: Settings) -> None:
    stem = out / particles.stem
    paths = stem.with_name(f"{stem.name}_half1.mrc"), stem.with_name(f"{stem.name}_half2.mrc")
    _write(job, particles.name, settings, paths, stem.parent / "checkpoints" / f"{stem.name}.sums")


def _of_round(
    project: Path,
    key: str,
    out: Path | None,
    symmetry: str,
    config: Path | None,
    program: str,
    overrides: dict[str, Any],
) -> None:
    from refine_hooks.log.folder import OUT_NAME, Store
    from refine_hooks.programs import claim
    from refine_hooks.settings import layers, load_settings, merged

    project = project.absolute()
    own = merged(layers(config, project))
    name, adapter = claim(project, program or load_settings(overrides=overrides, own=own).program.name)
    settings = load_settings(None, name, overrides, own)
    opened = adapter.open(project, settings, Store(project / OUT_NAME).spool)
    rounds = list(opened.rounds())
    chosen = next((round_ for round_ in rounds if str(round_.key) == key), None)
    if chosen is None:
        what = f"there is no round {key!r}" if key else "name a round: PROJECT ROUND"
        raise ProjectError(f"{project}: {what}; there are: {', '.join(str(round_.key) for round_ in rounds) or 'none'}")
    job = opened.particles(chosen)
    if job is None:
        raise ProjectError(f"{project}: {name} keeps no particles of {key} that could be reconstructed here")
    if symmetry:
        job = replace(job, symmetry=symmetry)
    store = Store((out or project / OUT_NAME / "reconstructed").absolute(), int(settings.keep.min_free_GB * 1e9))
    paths = store.half_map_paths(chosen.key, chosen.label)
    _write(job, f"{key} {chosen.label}", settings, paths, store.checkpoint_path(chosen.key))


def _write(job: ParticlesJob, name: str, settings: Settings, paths: tuple[Path, Path], checkpoint: Path) -> None:
    from functools import partial

    from refine_hooks.cli._progress import progress_shown
    from refine_hooks.log.folder import Store
    from refine_hooks.reconstruct import Desk, half_maps_of

    with progress_shown() as progress, _stopping() as stop:
        store = Store(checkpoint.parent.parent, int(settings.keep.min_free_GB * 1e9))
        store.make()
        desk = Desk(partial(progress, what="particles"), stop, checkpoint, require=partial(store.prepare, checkpoint))
        halves = half_maps_of(job, name, settings, desk)
        for note in halves.notes:
            logger.info(note)
        store.require_room(2 * halves.half1.voxels.nbytes)
        for number, (path, half) in enumerate(zip(paths, (halves.half1, halves.half2), strict=True), 1):
            store.write_map(path, half, f"refine_hooks reconstructed half {number}: {name}")
        checkpoint.unlink(missing_ok=True)
        logger.info(_resolution(halves, settings.fsc.threshold))
        _told(halves, store, paths[0])
    for path in paths:
        print(path)


def _told(halves: HalfMaps, store: Store, path: Path) -> None:
    """What was measured beside the half maps: in words, and as JSON beside them."""
    import json

    from refine_hooks.log.particles import MoreParticles, Substitution
    from refine_hooks.report.what_helps import more_particles_words, substitution_words

    kept = {}
    for one in halves.measured:
        if isinstance(one, MoreParticles):
            words, name = more_particles_words(one, 2 * halves.half1.voxel_size_A), "more_particles"
        elif isinstance(one, Substitution):
            words, name = substitution_words(one), "substitution"
        else:
            continue
        kept[name] = one.model_dump(mode="json")
        for text in words:
            logger.info(text)
    if kept:
        target = path.with_name(f"{path.stem.removesuffix('_half1')}_particles.json")
        store.write_text(target, json.dumps(kept))
        print(target)


def _resolution(halves: HalfMaps, level: float) -> str:
    from refine_hooks import curves, fsc
    from refine_hooks.fourier import shell_frequency_per_A, transform

    one, two = halves.half1, halves.half2
    correlation = fsc.fsc(transform(one.voxels), transform(two.voxels))
    value_A = curves.resolution_A(correlation, shell_frequency_per_A(one.box_px, one.voxel_size_A), level)
    images = " + ".join(str(number) for number in halves.images)
    return f"{images} particles; unmasked FSC {'never below' if value_A is None else 'below'} {level:g}" + (
        "" if value_A is None else f" from {value_A:.2f} A"
    )


@contextmanager
def _stopping() -> Iterator[Callable[[], bool]]:
    """The first SIGTERM or SIGINT saves what is done and ends; a second one ends at once."""
    import signal
    import threading

    from refine_hooks.files.signals import set_from_handler

    asked = threading.Event()

    def stop(number: int, _: FrameType | None) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        set_from_handler(asked)
        logger.info("stopping after the particles in hand")

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield asked.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
