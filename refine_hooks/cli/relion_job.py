"""``relion-job``: a job of RELION's "External" type, that measures and audits another job."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from refine_hooks.cli._app import app
from refine_hooks.cli._options import Config, Mass, Radius, Reconstruct, overrides_of

if TYPE_CHECKING:
    from refine_hooks.watch.loop import Watch

logger = logging.getLogger(__name__)
_SUCCESS, _FAILURE, _ABORTED = (f"RELION_JOB_EXIT_{how}" for how in ("SUCCESS", "FAILURE", "ABORTED"))
_ABORT = "RELION_JOB_ABORT_NOW"
_LOOK_EVERY_S = 1.0

OfJob = Annotated[
    Path | None, typer.Option("--in_3dref", help="a map of the job that is to be measured", show_default=False)
]
ParticlesOfJob = Annotated[
    Path | None, typer.Option("--in_parts", help="its particles instead, as run_data.star", show_default=False)
]
OneMask = Annotated[Path | None, typer.Option("--in_mask", help="a further mask", show_default=False)]
Threads = Annotated[int, typer.Option("--j", help="threads for reconstructing [default: all]", show_default=False)]
FullWord = Annotated[
    str, typer.Option("--full", metavar="yes|no", help="also anisotropy and what once --full measures")
]


@app.command(
    "relion-job",
    short_help="RELION's External job: measure a job.",
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)
def relion_job(
    context: typer.Context,
    out: Annotated[Path, typer.Option("--o", help="the folder of this job, as RELION gives it", show_default=False)],
    in_3dref: OfJob = None,
    in_parts: ParticlesOfJob = None,
    in_mask: OneMask = None,
    threads: Threads = 0,
    radius: Radius = 0.0,
    mass: Mass = 0.0,
    reconstruct: Reconstruct = "",
    full: FullWord = "no",
    config: Config = None,
) -> None:
    """Measure and audit another job of the RELION project, as a job of RELION's own type External.

    In RELION's window choose External; as executable type 'refine-hooks relion-job', and as 3D reference a map of the job
    that is to be measured (run_class001.mrc). Options go into the tab Params, such as label 'radius', value 90. RELION runs
    it in the project's folder. Everything is written into the job's folder; half maps that were made there, the automask and
    logfile.pdf become nodes that other jobs can take.
    """
    if context.args:
        logger.warning(f"passed over: {' '.join(context.args)}")
    overrides: dict[str, Any] = overrides_of(
        [str(in_mask)] if in_mask else None, radius, mass, reconstruct, full == "yes"
    )
    if threads:
        overrides.setdefault("reconstruct", {})["threads"] = threads
    with _told_by_files(out):
        of = in_3dref or in_parts
        if of is None:
            raise typer.BadParameter("give a map of the job that is to be measured as input 3D reference")
        w = _measured(of.parent, out, config, overrides)
        _write_nodes(w)
        if w.stopping.why == "interrupted":
            raise KeyboardInterrupt
        if w.waits.waiting:
            raise typer.Exit(1)


@contextmanager
def _told_by_files(out: Path) -> Iterator[None]:
    """Tell RELION by the files that it looks for in a job's folder how the job ended."""
    out.mkdir(parents=True, exist_ok=True)
    for name in (_SUCCESS, _FAILURE, _ABORTED):
        (out / name).unlink(missing_ok=True)
    try:
        yield
    except BaseException:
        aborted = (out / _ABORT).exists()
        (out / _ABORT).unlink(missing_ok=True)
        (out / (_ABORTED if aborted else _FAILURE)).touch()
        raise
    (out / _SUCCESS).touch()


def _measured(job: Path, out: Path, config: Path | None, overrides: dict[str, Any]) -> Watch:
    """Measure what is in the job's folder, and print the audit; RELION's abort ends it after the round in hand."""
    from refine_hooks.cli._progress import progress_shown
    from refine_hooks.cli.read import audit
    from refine_hooks.watch.events import repeating
    from refine_hooks.watch.loop import run, two_scans
    from refine_hooks.watch.opening import open_watch

    with progress_shown() as progress:
        w = open_watch(job, out, config, "relion", overrides, in_watch=False, progress=progress)

        def look() -> None:
            if (out / _ABORT).exists() and not w.stopping.asked.is_set():
                w.stopping.why = "interrupted"
                w.stopping.asked.set()

        with repeating(look, _LOOK_EVERY_S):
            run(w, two_scans(w))
    audit(out)
    return w


def _write_nodes(w: Watch) -> None:
    from importlib.util import find_spec

    from refine_hooks.report.plot import plot_curves
    from refine_hooks.report.relion_nodes import FILE, output_nodes

    newest = {(known.key.run, known.key.class_id): known.key for known in w.index.summaries()}
    records = w.index.records(newest.values())
    log_file = w.store.out / "logfile.pdf"
    if find_spec("matplotlib") is None:
        logger.info("no logfile.pdf: it needs matplotlib (pip install 'refine_hooks[plot]')")
    elif records:
        plot_curves(records[-1], log_file)
    w.store.write_text(w.store.out / FILE, output_nodes(records, w.store.out, log_file, Path.cwd()))
