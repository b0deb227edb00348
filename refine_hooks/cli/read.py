"""Commands that read a log: audit, show, report, export."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from refine_hooks.cli._app import app
from refine_hooks.cli._logs import (
    FirstOfTwo,
    Log,
    LogConfig,
    OldLog,
    OldRound,
    SecondOfTwo,
    analyses_of,
    judge_of,
    log_and_round,
    log_settings,
    open_log,
    require_round,
    round_and_findings,
    round_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from refine_hooks.audit import Finding
    from refine_hooks.audit.judge import Judge
    from refine_hooks.log.index import LogIndex
    from refine_hooks.log.records import RoundRecord
    from refine_hooks.model import Key
    from refine_hooks.report.text import Row
    from refine_hooks.settings import Settings


@app.command(short_help="Check each round and report problems.")
def audit(
    log: Log = Path(),
    as_json: Annotated[bool, typer.Option("--json", help="print the findings alone, as a JSON list")] = False,
    fail_on: Annotated[
        Literal["", "note", "warning"],
        typer.Option(metavar="note|warning", help="exit with 4 at such a finding", show_default=False),
    ] = "",
    config: LogConfig = None,
) -> None:
    """Check each round and report problems: which result is better, which curve is suspicious, where, and what to do."""
    index = open_log(log)
    settings = log_settings(index, config)
    analyses = analyses_of(index, settings.keep.min_free_GB)
    analyses.analyse(index, settings)
    analyses.measure_newest_locally(index, settings)
    judge = judge_of(index, settings, analyses)
    severities = _told_as_json(judge) if as_json else _told(judge)
    if fail_on and (fail_on in severities or (fail_on == "note" and severities)):
        raise typer.Exit(4)


def _told(judge: Judge) -> set[str]:
    """Print the table of rounds and what was found of them; the severities that there were."""
    from refine_hooks.audit import Causes
    from refine_hooks.report.text import row_of, show_causes, show_rows

    places = {key: number for number, key in enumerate(known.key for known in judge.index.summaries())}
    rows: dict[Key, Row] = {}
    causes = Causes()
    for key, record, found in judge.judged(places):
        rows[key] = row_of(record, found)
        for finding in found:
            causes.add(places[key], finding)
    for finding in judge.of_failures():
        causes.add(len(places), finding)
    show_rows([rows[key] for key in places if key in rows], judge.index.failures())
    show_causes(causes)
    return {newest[0].severity for newest, _ in causes.told()}


def _told_as_json(judge: Judge) -> set[str]:
    """Print the findings in the order of the log as one JSON list; the severities that there were."""
    import json

    severities: set[str] = set()

    def texts(findings: Iterable[Finding]) -> list[str]:
        severities.update(finding.severity for finding in findings)
        return [json.dumps(finding.model_dump(mode="json"), indent=2).replace("\n", "\n  ") for finding in findings]

    of_round = {key: texts(found) for key, _, found in judge.judged(known.key for known in judge.index.summaries())}
    told = [of_round.get(known.key, []) for known in judge.index.summaries()]
    _print_list(text for found in (*told, texts(judge.of_failures())) for text in found)
    return severities


def _print_list(members: Iterable[str]) -> None:
    """Print texts of JSON, indented already, as the members of one list."""
    before = "[\n"
    for text in members:
        sys.stdout.write(f"{before}  {text}")
        before = ",\n"
    print("[]" if before.startswith("[") else "\n]")


@app.command(short_help="Show one round, or the table of rounds.")
def show(
    log: FirstOfTwo = "",
    key: SecondOfTwo = "",
    as_json: Annotated[
        bool, typer.Option("--json", help="print the record and what limits it, or all of them, as JSON")
    ] = False,
    config: LogConfig = None,
    old_log: OldLog = None,
) -> None:
    """Show one round with all its numbers, or the table of all rounds."""
    import json

    place, key = log_and_round(log, key, old_log)
    index = open_log(place, key)
    if as_json:
        if key:
            print(json.dumps(_with_limits(round_of(index, key)), indent=2))
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

    records = (record for known in index.summaries() for record in index.records([known.key]))
    _print_list(json.dumps(_with_limits(one), indent=2).replace("\n", "\n  ") for one in records)


def _with_limits(record: RoundRecord) -> dict[str, Any]:
    """JSON of a record, and beside its fields what limits its resolution."""
    from refine_hooks.audit.limiting import what_limits

    return {**record.model_dump(mode="json"), "limits": [one.model_dump(mode="json") for one in what_limits(record)]}


def _show_table(index: LogIndex, settings: Settings) -> None:
    """One line a round; records are read and audited some at a time."""
    from refine_hooks.report.text import row_of, show_rows

    keys = [summary.key for summary in index.summaries()]
    rows = {key: row_of(record, found) for key, record, found in judge_of(index, settings).judged(keys)}
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
    from refine_hooks.log.folder import Store
    from refine_hooks.report.file import Report
    from refine_hooks.report.view import LogView

    index = open_log(log)
    judge = judge_of(index, log_settings(index, config))
    while judge.judge():
        pass
    store = Store(index.path.absolute().parent)
    target = store.report if out is None else out.absolute()
    parts = Report(store).parts(LogView(index, judge))
    if out is not None:
        store = Store(target.parent)
        store.make()
    store.write_parts(target, parts)
    print(target)


@app.command(short_help="Write a round's curves for other programs.")
def export(
    log: FirstOfTwo = "",
    key: SecondOfTwo = "",
    *,
    kind: Annotated[
        Literal["emdb-xml", "star", "csv", "json"],
        typer.Option("--as", metavar="FORM", help="emdb-xml, star, csv or json", show_default=False),
    ],
    out: Annotated[
        Path | None, typer.Option(help="the file to write [default: standard output]", show_default=False)
    ] = None,
    old_round: OldRound = "",
) -> None:
    """Write a round's curves for EMDB, for RELION's readers, or as a table."""
    from refine_hooks.report.export import export as exported

    place, key = log_and_round(log, key, None, old_round)
    require_round(key)
    text = exported(round_of(open_log(place, key), key), kind)
    if out is None:
        sys.stdout.write(text)
        return
    from refine_hooks.log.folder import Store

    store = Store(out.absolute().parent)
    store.make()
    store.write_text(out.absolute(), text)
    print(out)
