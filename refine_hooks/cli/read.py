"""Commands that read a log: audit, show, report, export."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from refine_hooks.cli._app import app
from refine_hooks.cli._logs import (
    FirstOfTwo,
    Log,
    LogConfig,
    OldLog,
    OldRound,
    SecondOfTwo,
    log_and_round,
    log_settings,
    open_log,
    read_log,
    require_round,
    round_and_findings,
    round_of,
)

if TYPE_CHECKING:
    from refine_hooks.log.file import Journal
    from refine_hooks.log.index import LogIndex
    from refine_hooks.settings import Settings


@app.command(short_help="Check each round and report problems.")
def audit(
    log: Log = Path(),
    as_json: Annotated[bool, typer.Option("--json", help="print the findings alone, as a JSON list")] = False,
    fail_on: Annotated[
        str, typer.Option(help="exit with 4 at such a finding: note or warning", show_default=False)
    ] = "",
    config: LogConfig = None,
) -> None:
    """Check each round and report problems: which result is better, which curve is suspicious, where, and what to do."""
    import json

    from refine_hooks.audit import audit as find

    if fail_on not in ("", "note", "warning"):
        raise typer.BadParameter(f"--fail-on {fail_on}: give note or warning")
    journal = read_log(log)
    settings = log_settings(journal, config)
    journal = _analysed(log, journal, settings)
    findings = find(journal, settings)
    if as_json:
        print(json.dumps([finding.model_dump(mode="json") for finding in findings], indent=2))
    else:
        from refine_hooks.report.text import show_findings, show_rounds

        show_rounds(journal, findings)
        show_findings(findings)
    if any(fail_on in {finding.severity, "note"} for finding in findings):
        raise typer.Exit(4)


def _analysed(log: Path, journal: Journal, settings: Settings) -> Journal:
    """The log with the further measurements of its rounds; told on standard error as they are made."""
    from refine_hooks.log.file import find_log
    from refine_hooks.log.folder import Store
    from refine_hooks.reanalyse import revisited

    store = Store(find_log(log).absolute().parent, int(settings.keep.min_free_GB * 1e9))
    return revisited(store, journal, settings)


@app.command(short_help="Show one round, or the table of rounds.")
def show(
    log: FirstOfTwo = "",
    key: SecondOfTwo = "",
    as_json: Annotated[bool, typer.Option("--json", help="print the record, or all records, as JSON")] = False,
    config: LogConfig = None,
    old_log: OldLog = None,
) -> None:
    """Show one round with all its numbers, or the table of all rounds."""
    import json

    place, key = log_and_round(log, key, old_log)
    index = open_log(place)
    if as_json:
        if key:
            print(json.dumps(round_of(index, key).model_dump(mode="json"), indent=2))
        else:
            _print_records(index)
        return
    from refine_hooks.report.text import show_round

    settings = log_settings(index, config)
    if key:
        show_round(*round_and_findings(index, key, settings))
    else:
        _show_table(index, settings)


def _print_records(index: LogIndex) -> None:
    """All records as one JSON list; no more than one of them is in memory."""
    import json

    before = "[\n"
    for summary in index.summaries():
        for record in index.records([summary.key]):
            text = json.dumps(record.model_dump(mode="json"), indent=2)
            sys.stdout.write(before + "  " + text.replace("\n", "\n  "))
            before = ",\n"
    print("[]" if before.startswith("[") else "\n]")


def _show_table(index: LogIndex, settings: Settings) -> None:
    """One line a round; records are read and audited some at a time."""
    from refine_hooks.audit.judge import Judge
    from refine_hooks.report.text import row_of, show_rows

    keys = [summary.key for summary in index.summaries()]
    rows = {key: row_of(record, found) for key, record, found in Judge(index, settings).judged(keys)}
    show_rows([rows[key] for key in keys if key in rows], index.failures())


@app.command(short_help="Write report.html anew.")
def report(
    log: Log = Path(),
    out: Annotated[
        Path | None, typer.Option(help="the file to write [default: report.html beside the log]", show_default=False)
    ] = None,
    config: LogConfig = None,
) -> None:
    """Write the report anew: one self-contained HTML file."""
    from refine_hooks.audit import audit as find
    from refine_hooks.log.file import find_log
    from refine_hooks.log.folder import Store
    from refine_hooks.report.file import report_html

    journal = read_log(log)
    store = Store(find_log(log).absolute().parent)
    target = store.report if out is None else out.absolute()
    page = report_html(store, journal, find(journal, log_settings(journal, config)))
    if out is not None:
        store = Store(target.parent)
        store.make()
    store.write_text(target, page)
    print(target)


@app.command(short_help="Write a round's curves for other programs.")
def export(
    log: FirstOfTwo = "",
    key: SecondOfTwo = "",
    *,
    kind: Annotated[str, typer.Option("--as", help="emdb-xml, star, csv or json", show_default=False)],
    out: Annotated[
        Path | None, typer.Option(help="the file to write [default: standard output]", show_default=False)
    ] = None,
    old_round: OldRound = "",
) -> None:
    """Write a round's curves for EMDB, for RELION's readers, or as a table."""
    from refine_hooks.report.export import export as exported

    place, key = log_and_round(log, key, None, old_round)
    require_round(key)
    text = exported(round_of(open_log(place), key), kind)
    if out is None:
        sys.stdout.write(text)
        return
    from refine_hooks.log.folder import Store

    store = Store(out.absolute().parent)
    store.make()
    store.write_text(out.absolute(), text)
    print(out)
