"""Commands that read a log: audit, show, report, export. A LOG may be rounds.jsonl, its folder, or the project."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from refine_hooks.cli._app import app
from refine_hooks.cli._logs import read_log, round_of

if TYPE_CHECKING:
    from refine_hooks.log.file import Journal
    from refine_hooks.settings import Settings

Log = Annotated[
    Path,
    typer.Argument(help="rounds.jsonl, the folder that holds it, or the project", show_default=False, readable=False),
]
LogOption = Annotated[
    Path, typer.Option("--log", help="rounds.jsonl, the folder that holds it, or the project", readable=False)
]
Config = Annotated[Path | None, typer.Option(help="TOML file with the audit's limits", show_default=False)]


@app.command(short_help="Say what is doubtful about each round.")
def audit(
    log: Log,
    as_json: Annotated[bool, typer.Option("--json", help="print the findings alone, as a JSON list")] = False,
    fail_on: Annotated[
        str, typer.Option(help="exit with 1 at such a finding: note or warning", show_default=False)
    ] = "",
    config: Config = None,
) -> None:
    """Say what a careful colleague would say of the rounds: which is better, which curve is lying, where, what to do."""
    import json

    from refine_hooks.audit import audit as find
    from refine_hooks.errors import InputError
    from refine_hooks.settings import load_settings

    if fail_on not in ("", "note", "warning"):
        raise InputError(f"--fail-on {fail_on}: give note or warning")
    settings = load_settings(config)
    journal = _analysed(log, settings)
    findings = find(journal, settings)
    if as_json:
        print(json.dumps([finding.model_dump(mode="json") for finding in findings], indent=2))
    else:
        from refine_hooks.report.text import show_findings, show_rounds

        show_rounds(journal, findings)
        show_findings(findings)
    if any(fail_on in {finding.severity, "note"} for finding in findings):
        raise typer.Exit(1)


def _analysed(log: Path, settings: Settings) -> Journal:
    """The log with the further measurements of its rounds; told on standard error as they are made."""
    from refine_hooks.log.file import find_log
    from refine_hooks.log.folder import Store
    from refine_hooks.reanalyse import revisited

    store = Store(find_log(log).absolute().parent, int(settings.keep.min_free_GB * 1e9))
    return revisited(store, read_log(log), settings)


@app.command(short_help="Show one round, or the table of rounds.")
def show(
    key: Annotated[
        str,
        typer.Argument(
            metavar="[ROUND]", help="RUN/ITERATION/CLASS; without one, the table of rounds", show_default=False
        ),
    ] = "",
    log: LogOption = Path("."),
    as_json: Annotated[bool, typer.Option("--json", help="print the record, or all records, as JSON")] = False,
) -> None:
    """Show one round with all its numbers, or the table of all rounds."""
    import json

    journal = read_log(log)
    if as_json:
        records = [round_of(journal, key)] if key else list(journal.rounds)
        tables = [record.model_dump(mode="json") for record in records]
        print(json.dumps(tables[0] if key else tables, indent=2))
        return
    from refine_hooks.audit import audit as find
    from refine_hooks.report.text import show_round, show_rounds

    findings = find(journal)
    if key:
        record = round_of(journal, key)
        show_round(record, [finding for finding in findings if finding.round == str(record.key)])
    else:
        show_rounds(journal, findings)


@app.command(short_help="Write report.html anew.")
def report(
    log: Log,
    out: Annotated[
        Path | None, typer.Option(help="the file to write [default: report.html beside the log]", show_default=False)
    ] = None,
    config: Config = None,
) -> None:
    """Write the report anew: one self-contained HTML file."""
    from refine_hooks.audit import audit as find
    from refine_hooks.log.file import find_log
    from refine_hooks.log.folder import Store
    from refine_hooks.report.file import report_html
    from refine_hooks.settings import load_settings

    journal = read_log(log)
    store = Store(find_log(log).absolute().parent)
    target = store.report if out is None else out.absolute()
    page = report_html(store, journal, find(journal, load_settings(config)))
    if out is not None:
        store = Store(target.parent)
        store.make()
    store.write_text(target, page)
    print(target)


@app.command(short_help="Write a round's curves for other programs.")
def export(
    log: Log,
    key: Annotated[str, typer.Option("--round", help="RUN/ITERATION/CLASS as the tables print it", show_default=False)],
    kind: Annotated[str, typer.Option("--as", help="emdb-xml, star, csv or json", show_default=False)],
    out: Annotated[
        Path | None, typer.Option(help="the file to write [default: standard output]", show_default=False)
    ] = None,
) -> None:
    """Write a round's curves for EMDB, for RELION's readers, or as a table."""
    from refine_hooks.report.export import export as exported

    text = exported(round_of(read_log(log), key), kind)
    if out is None:
        sys.stdout.write(text)
        return
    from refine_hooks.log.folder import Store

    store = Store(out.absolute().parent)
    store.make()
    store.write_text(out.absolute(), text)
    print(out)
