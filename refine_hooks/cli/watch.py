"""Commands that watch or measure: watch, once, measure, and what describes their input (schema, check-config)."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from refine_hooks.cli._app import app
from refine_hooks.cli._options import (
    Adapter,
    Config,
    Full,
    Masks,
    Mass,
    Out,
    Project,
    Radius,
    Reconstruct,
    overrides_of,
)
from refine_hooks.errors import RefineHooksError
from refine_hooks.files import file_system
from refine_hooks.watch import events

if TYPE_CHECKING:
    from collections.abc import Callable

    from refine_hooks.watch.loop import Watch


logger = logging.getLogger(__name__)


@app.command(short_help="Watch a running refinement.")
def watch(
    project: Project,
    out: Out = None,
    config: Config = None,
    until_idle: Annotated[
        float | None, typer.Option(help="stop after so many seconds without news", show_default=False)
    ] = None,
    poll: Annotated[bool, typer.Option("--poll", help="never rely on the file system's events")] = False,
    program: Adapter = "",
    mask: Masks = None,
    radius: Radius = 0.0,
    mass: Mass = 0.0,
    reconstruct: Reconstruct = "",
    full: Full = False,
) -> None:
    """Watch a running refinement and measure every round as it arrives.

    Everything is written below --out; nothing of the project is opened for writing and no lock is taken. The log is
    rounds.jsonl, the report is report.html. Ctrl-C finishes the round in hand, twice drops it.
    """
    overrides = overrides_of(mask, radius, mass, reconstruct, full)
    overrides.setdefault("watch", {}).update({"force_poll": True} if poll else {})
    from refine_hooks.cli._progress import progress_shown

    with progress_shown() as progress:
        w = open_watch(
            project, out, config, program, overrides, in_watch=True, inserting=partial(progress, what="particles")
        )
        why = _watch(w, until_idle)
        _say_unused(w)
    if why == "interrupted":
        raise typer.Exit(130)


def _watch(w: Watch, until_idle: float | None) -> str:
    from refine_hooks.watch.loop import run

    notifier = None
    if not w.settings.watch.force_poll and file_system.events_arrive(w.project):
        notifier = events.ChangeNotifier(w.opened.watched_folders)
    at_changes = "" if notifier is None else " and at every change"
    logger.info(
        f"watching {w.project} ({w.program}), writing to {w.store.out}; scanning every {w.settings.watch.poll_s:g} s{at_changes}"
    )
    try:
        return run(w, w.scan_times(notifier, until_idle), notifier, live=True)
    finally:
        if notifier is not None:
            notifier.close()


def _say_unused(w: Watch) -> bool:
    """Name the half maps that belong to no round; True where half maps are there and the log holds a measurement of none."""
    from refine_hooks.programs.unused import in_words, unused_half_maps

    try:
        rounds = list(w.opened.rounds())
    except (RefineHooksError, OSError):
        return False  # said by the scans before
    unused = unused_half_maps(w.opened, rounds)
    for line in in_words(unused, w.project):
        logger.warning(line)
    seen = unused or any(getattr(each.inputs, "halves", None) is not None for each in rounds)
    none_measured = bool(seen) and all(each.origin is None for each in w.index.summaries())
    if none_measured:
        logger.error(f"{w.project}: half maps are there, and none was measured; 'refine-hooks explain' says why")
    return none_measured


@app.command(short_help="Measure every round that is there now.")
def once(
    project: Project,
    out: Out = None,
    config: Config = None,
    program: Adapter = "",
    mask: Masks = None,
    radius: Radius = 0.0,
    mass: Mass = 0.0,
    reconstruct: Reconstruct = "",
    full: Full = False,
) -> None:
    """Measure every round that is on disk now, then exit.

    Rounds that the log already holds with the same input are not measured again.
    """
    from refine_hooks.cli._progress import progress_shown

    overrides = overrides_of(mask, radius, mass, reconstruct, full)
    with progress_shown() as progress:
        from refine_hooks.watch.loop import run, two_scans

        inserting = partial(progress, what="particles")
        w = open_watch(project, out, config, program, overrides, in_watch=False, progress=progress, inserting=inserting)
        why = run(w, two_scans(w))
    none_measured = _say_unused(w)
    if w.waits.waiting or none_measured:
        raise typer.Exit(1)
    if why == "interrupted":
        raise typer.Exit(130)


@app.command(short_help="Measure two half maps.")
def measure(
    half1: Annotated[Path, typer.Argument(help="first half map (MRC)", show_default=False, readable=False)],
    half2: Annotated[Path, typer.Argument(help="second half map (MRC)", show_default=False, readable=False)],
    mask: Masks = None,
    radius: Radius = 0.0,
    mass: Annotated[
        float, typer.Option(help="molecular mass in kDa, for the scaled curve", show_default=False, min=0.0)
    ] = 0.0,
    out: Annotated[
        Path | None, typer.Option(help="also write masks, pictures, log and report there", show_default=False)
    ] = None,
    config: Config = None,
    full: Full = False,
    as_json: Annotated[bool, typer.Option("--json", help="print the record alone, as JSON")] = False,
    symmetry: Annotated[
        str, typer.Option(help="point group that was imposed, as C4, D7, O, I", show_default=False)
    ] = "",
    voxel_size: Annotated[
        float, typer.Option(help="of the half maps in A [default: the headers']", show_default=False, min=0.0)
    ] = 0.0,
    mask_voxel_size: Annotated[
        float, typer.Option(help="of the masks in A [default: the headers']", show_default=False, min=0.0)
    ] = 0.0,
) -> None:
    """Measure two half maps under a sphere, an automask and your own masks."""
    from refine_hooks.cli._measure import measure_files

    sizes = voxel_size, mask_voxel_size
    measure_files(half1, half2, mask or [], radius, mass, out, config, full, as_json, symmetry, *sizes)


@app.command(short_help="Print the JSON Schema of the log's lines.")
def schema() -> None:
    """Print the JSON Schema of one line of the log."""
    import json

    from refine_hooks.log.records import json_schema

    print(json.dumps(json_schema(), indent=2))


@app.command("check-config", short_help="Check settings, and show where each comes from.")
def check_config(
    place: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE|PROJECT",
            help="a TOML file, or a project whose settings are shown [default: the current folder]",
            show_default=False,
            readable=False,
        ),
    ] = None,
    config: Config = None,
    program: Adapter = "",
) -> None:
    """Check a settings file (all faults at once), or print every setting with its value and where it comes from.

    From the lowest to the highest: the defaults, those for the program, /etc/refine_hooks.toml,
    ~/.config/refine_hooks/config.toml, PROJECT/refine_hooks.toml, the environment (REFINE_HOOKS_FSC_THRESHOLD=0.5 is threshold
    of [fsc]), --config, and the options of a command.
    """
    from refine_hooks.cli._settings import shown_settings
    from refine_hooks.settings import load_settings

    if place is not None and not place.is_dir():
        load_settings(place)
        print(f"{place}: is valid")
        return
    print(shown_settings(place or Path(), config, program), end="")


def open_watch(
    project: Path,
    out: Path | None,
    config: Path | None,
    program: str,
    overrides: dict[str, Any],
    in_watch: bool,
    progress: Callable[[int, int], None] | None = None,
    inserting: Callable[[int, int], None] | None = None,
) -> Watch:
    """A watch of ``project`` with all its settings; nothing is written yet.

    Args:
        in_watch: whether it is watched, not only measured as it is: rounds are not reconstructed then unless that is asked for.
        progress: learns how many rounds are done, and of how many.
        inserting: the same, of particles.

    Raises:
        RefineHooksError: not a project, wrong settings, a mask that is not there.
    """
    from refine_hooks.cli._progress import tell_compiling
    from refine_hooks.log.folder import Store
    from refine_hooks.programs import claim
    from refine_hooks.settings import layers, load_settings, merged
    from refine_hooks.watch.config import untold
    from refine_hooks.watch.loop import Watch

    project = project.absolute()
    own = merged(layers(config, project))
    early = load_settings(overrides=overrides, own=own)
    wanted = program or early.program.name or ("generic" if early.generic.half1 else "")
    name, adapter = claim(project, wanted)
    settings = load_settings(None, name, overrides, own)
    _require_files(settings.masks)
    when = settings.reconstruct.when
    store = Store((out or project / "refine_hooks").absolute(), int(settings.keep.min_free_GB * 1e9))
    tell_compiling()
    return Watch.of(
        project,
        name,
        adapter,
        settings,
        store,
        reconstruct=("never" if in_watch else "missing") if when == "auto" else when,
        progress=progress or untold,
        inserting=inserting or untold,
    )


def _require_files(masks: dict[str, str]) -> None:
    from refine_hooks.errors import SettingsError

    faults = [f"mask {name}: {file} is not there" for name, file in masks.items() if not Path(file).is_file()]
    if faults:
        raise SettingsError(*faults)
