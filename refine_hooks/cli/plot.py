"""``plot``: figures for a paper."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from refine_hooks.cli._app import app
from refine_hooks.cli._logs import (
    FirstOfTwo,
    LogConfig,
    OldRound,
    SecondOfTwo,
    analyses_of,
    log_and_round,
    log_settings,
    open_log,
    round_and_findings,
    round_of,
)

if TYPE_CHECKING:
    from refine_hooks.audit import Finding
    from refine_hooks.log.index import LogIndex
    from refine_hooks.model import Key
    from refine_hooks.report.movie import Plane
    from refine_hooks.report.what_helps import Beyond


@app.command(short_help="Draw curves as PNG, SVG or PDF.")
def plot(
    log: FirstOfTwo = "",
    key: SecondOfTwo = "",
    out: Annotated[
        Path | None,
        typer.Option(help="FILE.png, .svg or .pdf [default: fsc.png or resolution.png here]", show_default=False),
    ] = None,
    curve: Annotated[
        list[str] | None,
        typer.Option(help="draw only this curve, named as the log names it; may be repeated", show_default=False),
    ] = None,
    compare: Annotated[
        str, typer.Option(help="with ROUND: this round's curves beside it, dotted", show_default=False)
    ] = "",
    track: Annotated[
        str,
        typer.Option(
            metavar="RUN/CLASS",
            help="without ROUND: rounds of this run and class [default: those of the newest round]",
            show_default=False,
        ),
    ] = "",
    logarithmic: Annotated[bool, typer.Option("--log-scale", help="draw the correlation logarithmically")] = False,
    mark: Annotated[
        bool, typer.Option("--findings", help="with ROUND: shade the shells that the audit's warnings name")
    ] = False,
    movie: Annotated[
        Literal["", "XY", "XZ", "YZ"],
        typer.Option(
            help="this slice in all rounds of the track, as FILE.gif or .mp4 [default: no movie]", show_default=False
        ),
    ] = "",
    local: Annotated[bool, typer.Option("--local", help="with ROUND: draw its local resolution instead")] = False,
    directions: Annotated[
        bool, typer.Option("--directions", help="with ROUND: draw its resolution and noise by direction instead")
    ] = False,
    particles: Annotated[
        bool, typer.Option("--particles", help="with ROUND: draw what more particles would give instead")
    ] = False,
    convergence: Annotated[
        bool,
        typer.Option(
            "--convergence", help="with ROUND: draw the FSC of its average with those of the rounds before it"
        ),
    ] = False,
    substitution: Annotated[
        bool, typer.Option("--substitution", help="with ROUND: draw what of its power the angles were fitted to")
    ] = False,
    width: Annotated[float, typer.Option(help="width in cm", min=4.0, max=60.0)] = 12.0,
    config: LogConfig = None,
    old_round: OldRound = "",
) -> None:
    """Draw the curves of a round, or the resolution of all rounds, for a paper: PNG, SVG or PDF; or a movie of the map."""
    from refine_hooks.report.plot import plot_curves, plot_resolutions

    place, key = log_and_round(log, key, None, old_round)
    asked: dict[Beyond, bool] = {
        "local": local,
        "directions": directions,
        "particles": particles,
        "convergence": convergence,
        "substitution": substitution,
    }
    beyond = [name for name, wanted in asked.items() if wanted]
    if (compare or logarithmic or mark or beyond) and not key:
        raise typer.BadParameter(
            f"--compare, --log-scale, --findings, --{', --'.join(asked)} belong to one round; name it: LOG ROUND"
        )
    if len(beyond) > 1:
        raise typer.BadParameter(f"--{', --'.join(beyond)}: each is a figure of its own; ask for one at a time")
    if movie and key:
        raise typer.BadParameter(
            "--movie shows all rounds of a run and class; leave out ROUND, name another one with --track"
        )
    index = open_log(place, "" if compare else key)
    if movie:
        _movie(index, track, out or Path("slices.gif"), movie)
        return
    if beyond:
        _beyond(index, key, out, width, beyond[0])
        return
    names = tuple(curve or ())
    target = out or Path("fsc.png" if key else "resolution.png")
    if key:
        other = round_of(index, compare) if compare else None
        found: list[Finding] = []
        if mark:
            record, found = round_and_findings(index, key, log_settings(index, config))
        else:
            record = round_of(index, key)
        warnings = [finding for finding in found if finding.severity == "warning"]
        plot_curves(record, target, names, other, logarithmic, width, warnings)
    else:
        plot_resolutions(index.records(_of_track(index, track)), target, names, width)
    print(target)


def _movie(index: LogIndex, track: str, target: Path, plane: Plane) -> None:
    from refine_hooks.log.folder import Store
    from refine_hooks.report.movie import write_movie

    keys = set(_of_track(index, track))
    rounds = sorted((known for known in index.summaries() if known.key in keys), key=lambda known: known.key.iteration)
    count = write_movie(Store(index.path.absolute().parent), rounds, target, plane)
    print(f"{target} ({count} rounds)")


def _beyond(index: LogIndex, key: str, out: Path | None, width_cm: float, what: Beyond) -> None:
    """The figure, and below its name what it means."""
    from refine_hooks.report.beyond_plot import plot_beyond
    from refine_hooks.report.what_helps import words_of

    target = out or Path("local_resolution.png" if what == "local" else f"{what}.png")
    record = analyses_of(index).completed(round_of(index, key))
    plot_beyond(record, what, target, width_cm)
    print("\n".join([str(target), *words_of(record, what)]))


def _of_track(index: LogIndex, track: str) -> list[Key]:
    """The rounds of one run and class, those of the newest round where none is named, in the order of their iterations.

    Raises:
        InputError: the log holds no such run and class, or no round.
    """
    from refine_hooks.errors import InputError

    keys = {f"{known.key.run}/{known.key.class_id}": known.key for known in index.summaries()}
    if not keys:
        raise InputError(f"{index.path}: the log holds no measured round")
    newest = index.summaries()[-1].key
    wanted = track or f"{newest.run}/{newest.class_id}"
    if wanted not in keys:
        raise InputError(f"--track {wanted}: the log holds {', '.join(keys)}")
    return [known.key for known in index.series(keys[wanted])]
