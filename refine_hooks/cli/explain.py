"""``explain``: what a directory is and why, and what a watch of it would do."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from refine_hooks.cli._app import app
from refine_hooks.cli._options import Adapter, Config, Out, Project, Reconstruct

if TYPE_CHECKING:
    from refine_hooks.explain import ExplainedRound, Explanation
    from refine_hooks.programs import Claim


@app.command(short_help="Say what a folder is and what is missing.")
def explain(
    project: Project = Path(),
    out: Out = None,
    config: Config = None,
    program: Adapter = "",
    reconstruct: Reconstruct = "",
    as_json: Annotated[bool, typer.Option("--json", help="print it as JSON")] = False,
    why: Annotated[bool, typer.Option("--why", help="also the programs that it is not, each with its reason")] = False,
) -> None:
    """Say what a directory is and why, which rounds it has, what each would be measured from, and what is missing.

    Nothing is written anywhere. Exits with 1 where no program or more than one claims the directory; with ``--why``, each program's
    reason is printed.
    """
    import dataclasses
    import json

    from refine_hooks.errors import ProjectError
    from refine_hooks.explain import explain as explained
    from refine_hooks.programs import claims, require_readable
    from refine_hooks.watch.opening import open_watch

    require_readable(project)
    found = claims(project.absolute())
    try:
        overrides = {"reconstruct": {"when": reconstruct}} if reconstruct else {}
        w = open_watch(project, out, config, program, overrides, in_watch=True)
    except ProjectError:
        if as_json:
            print(json.dumps({"project": str(project.absolute()), "program": None, "claims": _tables(found)}, indent=2))
        else:
            told = found if why else [claim for claim in found if claim.recognises is not False]
            hint = [] if why else ["  --why says what each program's project would have to hold"]
            print("\n".join([str(project.absolute()), *_claims(told, ""), *hint]))
        raise
    explanation = explained(w, found)
    if as_json:
        print(json.dumps(dataclasses.asdict(explanation), indent=2))
    else:
        print("\n".join(_lines(explanation, why)))


def _tables(found: list[Claim]) -> list[dict[str, object]]:
    import dataclasses

    return [dataclasses.asdict(claim) for claim in found]


def _claims(found: list[Claim] | tuple[Claim, ...], chosen: str) -> list[str]:
    """The claimants first, in words."""
    words = {True: "it is {}'s", False: "not {}'s", None: "{} cannot be asked"}
    ordered = sorted(found, key=lambda claim: (claim.adapter != chosen, not claim.recognises))
    return [f"  {words[claim.recognises].format(claim.adapter)}: {claim.why}" for claim in ordered]


def _chosen(it: Explanation) -> list[Claim]:
    return [claim for claim in it.claims if claim.recognises or claim.adapter == it.program]


def _lines(it: Explanation, why: bool) -> list[str]:
    claimed = [claim.adapter for claim in it.claims if claim.recognises]
    told = [] if claimed == [it.program] else [f"  taken as {it.program}'s, as you asked"]
    looking = f"looked at every {it.poll_s:g} s" + (
        ", and at every change" if it.events else " only: events are not used"
    )
    place = it.out
    state = "is there" if place.exists else "will be made"
    room = f"{place.free_GB:g} GB free" if place.free_GB is not None else "free space unknown"
    disk = "the project's file system" if place.same_file_system else "another file system than the project's"
    writable = "" if place.writable else " NOT WRITABLE: name another folder with --out;"
    lines = [it.project, *told, *(_claims(it.claims, it.program) if why else _claims(_chosen(it), it.program))]
    lines.append(f"  file system: {it.file_system}, {looking}")
    lines.append(f"  output: {place.path};{writable} {state}, {room}, {disk}")
    lines.append(f"  log: {place.log}")
    if it.captures:
        lines.append(f"  saved before the program deletes or overwrites it: {it.kept} files now")
    lines += [f"  FAULT: {fault}" for fault in it.faults]
    lines += [f"rounds: {len(it.rounds)}", *(f"  {text}" for text in it.nothing)]
    for round_ in it.rounds:
        lines += _round_lines(round_)
    return [*lines, *_unused_lines(it)]


def _unused_lines(it: Explanation) -> list[str]:
    """Half maps that belong to no round, one line a reason."""
    by_reason: dict[str, list[str]] = {}
    for file in it.unused:
        by_reason.setdefault(file.reason, []).append(file.name)
    lines = [f"half maps that are not used: {len(it.unused)}"] if it.unused else []
    return [*lines, *(f"  {', '.join(names)}: {reason}" for reason, names in by_reason.items())]


def _round_lines(round_: ExplainedRound) -> list[str]:
    known = {"none": "no half maps", "unknown": "half maps not known yet"}
    origin = known.get(round_.origin, f"half maps {round_.origin}")
    lines = [f"  {round_.key} {round_.label} [{origin}] {round_.action}: {round_.why}"]
    return [*lines, *(f"    {_size(file.size)} {file.name}" for file in round_.reads)]


def _size(size: int | None) -> str:
    if size is None:
        return "       gone"
    if size < 1000:
        return f"{size:>8} B "
    amount, unit = size / 1e3, "kB"
    for larger in ("MB", "GB"):
        if amount >= 1000:
            amount, unit = amount / 1e3, larger
    return f"{amount:>8.1f} {unit}"
