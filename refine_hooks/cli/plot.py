"""``plot``: figures for a paper."""

from pathlib import Path
from typing import Annotated

import typer

from refine_hooks.cli._app import app
from refine_hooks.cli._logs import (
    FirstOfTwo,
    LogConfig,
    OldRound,
    SecondOfTwo,
    log_and_round,
    log_settings,
    read_log,
    round_of,
)


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
    width: Annotated[float, typer.Option(help="width in cm", min=4.0, max=60.0)] = 12.0,
    config: LogConfig = None,
    old_round: OldRound = "",
) -> None:
    """Draw the curves of a round, or the resolution of all rounds, for a paper: PNG, SVG or PDF."""
    from refine_hooks.audit import audit
    from refine_hooks.errors import InputError
    from refine_hooks.report.plot import plot_curves, plot_resolutions

    place, key = log_and_round(log, key, None, old_round)
    if (compare or logarithmic or mark) and not key:
        raise typer.BadParameter(
            "--compare, --log-scale and --findings belong to the curves of one round; name it: LOG ROUND"
        )
    journal = read_log(place)
    names = tuple(curve or ())
    target = out or Path("fsc.png" if key else "resolution.png")
    if key:
        other = round_of(journal, compare) if compare else None
        record = round_of(journal, key)
        found = audit(journal, log_settings(journal, config), only={record.key}) if mark else []
        warnings = [finding for finding in found if finding.severity == "warning"]
        plot_curves(record, target, names, other, logarithmic, width, warnings)
    else:
        tracks = {f"{record.key.run}/{record.key.class_id}": None for record in journal.rounds}
        if not tracks:
            raise InputError(f"{place}: the log holds no measured round")
        newest = journal.rounds[-1].key
        wanted = track or f"{newest.run}/{newest.class_id}"
        if wanted not in tracks:
            raise InputError(f"--track {wanted}: the log holds {', '.join(tracks)}")
        rounds = [record for record in journal.rounds if f"{record.key.run}/{record.key.class_id}" == wanted]
        plot_resolutions(sorted(rounds, key=lambda record: record.key.iteration), target, names, width)
    print(target)
