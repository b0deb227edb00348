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
    Local,
    Masks,
    Mass,
    Out,
    Project,
    Projects,
    Radius,
    Reconstruct,
    overrides_of,
)
from refine_hooks.errors import RefineHooksError

if TYPE_CHECKING:
    from refine_hooks.watch.loop import Watch


logger = logging.getLogger(__name__)


@app.command(short_help="Watch running refinements.")
def watch(
    project: Projects = None,
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
    local: Local = False,
    patterns: Annotated[
        bool, typer.Option("--all", help="PROJECT is a pattern; watch every project that it names, now and later")
    ] = False,
    depth: Annotated[
        int | None, typer.Option(help="with --all: how many folders below are looked into [default: 2]", min=0)
    ] = None,
    ignore: Annotated[
        list[str] | None, typer.Option(help="with --all: a pattern of names or paths to leave out; may be given again")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="of many projects: rounds measured at once [default: half the cores]", min=1)
    ] = None,
) -> None:
    """Watch a running refinement and measure every round as it arrives; or many, in one process.

    Everything is written below --out; nothing of the project is opened for writing and no lock is taken. The log is
    rounds.jsonl, the report is report.html. Ctrl-C finishes the round in hand, twice drops it.
    With several projects, or --all 'PATTERN' ..., each has its own settings and its own output folder; --out DIR is then a folder
    with one for each, or says by {name}, {parent} and {path} which. All are measured through one queue, live rounds first.
    """
    from refine_hooks.cli import _models

    _models.build()
    overrides = overrides_of(mask, radius, mass, reconstruct, full, local)
    overrides.setdefault("watch", {}).update({"force_poll": True} if poll else {})
    places = project or [Path()]
    if patterns or len(places) > 1:
        from refine_hooks.cli._many import watch_many

        asked = {"depth": depth, "ignore": ignore, "workers": workers}
        overrides["watch"] |= {name: value for name, value in asked.items() if value is not None}
        why = watch_many(places, patterns, out, config, until_idle, program, overrides)
    else:
        why = _watch_one(places[0], out, config, until_idle, program, overrides)
    if why == "interrupted":
        raise typer.Exit(130)


def _watch_one(
    project: Path,
    out: Path | None,
    config: Path | None,
    until_idle: float | None,
    program: str,
    overrides: dict[str, Any],
) -> str:
    from refine_hooks.cli._progress import progress_shown
    from refine_hooks.cli._umask import obey_umask
    from refine_hooks.kernels import memory
    from refine_hooks.watch.loop import watched_lines
    from refine_hooks.watch.opening import open_watch

    memory.keep()
    with progress_shown() as progress:
        w = open_watch(
            project, out, config, program, overrides, in_watch=True, inserting=partial(progress, what="particles")
        )
        obey_umask(w.settings)
        for _ in watched_lines(w, until_idle):
            pass
        _say_unused(w)
    return w.stopping.why


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
    project: Project = Path(),
    out: Out = None,
    config: Config = None,
    program: Adapter = "",
    mask: Masks = None,
    radius: Radius = 0.0,
    mass: Mass = 0.0,
    reconstruct: Reconstruct = "",
    full: Full = False,
    local: Local = False,
) -> None:
    """Measure every round that is on disk now, then exit.

    Rounds that the log already holds with the same input are not measured again.
    """
    from refine_hooks.cli import _models

    _models.build()
    from refine_hooks.cli._progress import progress_shown
    from refine_hooks.kernels import memory

    memory.keep()
    overrides = overrides_of(mask, radius, mass, reconstruct, full, local)
    with progress_shown() as progress:
        from refine_hooks.cli._umask import obey_umask
        from refine_hooks.watch.loop import run, two_scans
        from refine_hooks.watch.opening import open_watch

        inserting = partial(progress, what="particles")
        w = open_watch(project, out, config, program, overrides, in_watch=False, progress=progress, inserting=inserting)
        obey_umask(w.settings)
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
    local: Annotated[
        bool, typer.Option("--local", help="also the local resolution, and the resolution of the particle's parts")
    ] = False,
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
    from refine_hooks.cli import _models

    _models.build(findings=not as_json)
    from refine_hooks.cli._measure import measure_files

    sizes = voxel_size, mask_voxel_size
    measure_files(half1, half2, mask or [], radius, mass, out, config, full, as_json, symmetry, *sizes, local=local)


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
