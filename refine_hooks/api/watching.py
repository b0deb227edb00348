"""A watch as an iterator of records."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path

from refine_hooks.log.records import Failed, RoundRecord
from refine_hooks.settings import Settings
from refine_hooks.watch.loop import logged_lines, two_scans, watched_lines
from refine_hooks.watch.opening import open_watch


def watch_project(
    project: Path | str,
    on_round: Callable[[RoundRecord | Failed], None] | None = None,
    *,
    out: Path | str | None = None,
    program: str = "",
    masks: Mapping[str, Path | str] | None = None,
    settings: Settings | None = None,
    until_idle_s: float | None = None,
    once: bool = False,
) -> Iterator[RoundRecord]:
    """Measure every round of a refinement as ``refine-hooks watch`` does, and give each record once it is in the log.

    It begins when the first record is asked for. Rounds that the log holds already are not measured again, nor given. Leaving
    the iterator, or closing it, ends the watch. While it runs in the main thread, Ctrl-C finishes the round in hand.

    Args:
        project: the folder of the project.
        on_round: called with each line of the log before its record is given; with `Failed` where a round cannot be measured.
        out: where everything is written; ``refine_hooks`` in the project where None.
        program: the refinement program, where the folder does not tell.
        masks: further masks by name, MRC files.
        settings: what differs from the settings that the project, the user and the machine have in files.
        until_idle_s: ends when nothing has happened for so many seconds; None for never.
        once: measures what is there now, as ``refine-hooks once`` does, and ends.

    Raises:
        RefineHooksError: not a project, wrong settings, a mask that is not there, another watch that writes there, no room.
        KeyboardInterrupt: by the user, after the round in hand.
    """
    overrides = {} if settings is None else settings.model_dump(exclude_unset=True)
    given = {name: str(Path(file).absolute()) for name, file in (masks or {}).items()}
    if given:
        overrides["masks"] = {**overrides.get("masks", {}), **given}
    w = open_watch(Path(project), None if out is None else Path(out), None, program, overrides, in_watch=not once)
    lines = logged_lines(w, two_scans(w)) if once else watched_lines(w, until_idle_s)
    with closing(lines):
        for line in lines:
            if on_round is not None:
                on_round(line)
            if isinstance(line, RoundRecord):
                yield line
    if w.stopping.why == "interrupted":
        raise KeyboardInterrupt
