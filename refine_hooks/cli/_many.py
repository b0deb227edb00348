"""``watch`` of many projects: the process around `refine_hooks.facility.watches.Watches`."""

import logging
import os
import resource
import signal
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from types import FrameType
from typing import Any

from refine_hooks.cli._logging import handler, project_in_front
from refine_hooks.cli._umask import obey_umask
from refine_hooks.errors import ProjectError
from refine_hooks.facility.finding import Finder
from refine_hooks.facility.named import named
from refine_hooks.facility.pool import Pool
from refine_hooks.facility.watches import Watches, opener
from refine_hooks.files.metadata import Pace, counting
from refine_hooks.files.signals import set_from_handler
from refine_hooks.fourier import workers as cores
from refine_hooks.kernels import memory
from refine_hooks.settings import layers, load_settings, merged
from refine_hooks.settings.model import WatchSettings

logger = logging.getLogger(__name__)


def watch_many(
    places: Sequence[Path],
    patterns: bool,
    out: Path | None,
    config: Path | None,
    until_idle_s: float | None,
    program: str,
    overrides: dict[str, Any],
) -> str:
    """Watch projects until SIGINT or SIGTERM; why it ended.

    Args:
        places: folders of projects, or patterns.
        patterns: whether they are patterns.
        out: the folder that has one for each project; None for one in each project.
        config: a settings file laid over all others, for every project.
        until_idle_s: ends when nothing has happened in any for so long.
        program: of all of them, where their folders do not tell.
        overrides: settings laid over that file.

    Raises:
        RefineHooksError: a folder is not there, or the settings for the whole process are wrong.
    """
    of_all = load_settings(overrides=overrides, own=merged(layers(config)))
    settings = of_all.watch
    obey_umask(of_all)
    if not patterns and (gone := [str(place) for place in places if not place.is_dir()]):
        raise ProjectError(*(f"{place}: is not a folder; name the folder of a refinement project" for place in gone))
    _allow_many_files()
    memory.share()
    workers = settings.workers or max(1, cores() // 2)
    pool = Pool(workers, int(settings.memory_GB * 1e9) or _memory_bytes() // 2, max(1, cores() // workers))
    pace = Pace(settings.metadata_per_s) if settings.metadata_per_s else None
    watches = Watches(pool, opener(config, program, overrides), out, until_idle_s, settings.search_s, pace=pace)
    if not patterns:
        watches.add(place.absolute() for place in places)
    handler().timed = True
    project_in_front(named)
    what = f"all projects at {', '.join(map(str, places))}" if patterns else f"{len(places)} projects"
    logger.info(f"watching {what}; {workers} rounds are measured at once")
    _end_at_signals(watches)
    with counting(pace) if pace is not None else nullcontext():
        if patterns:
            watches.find([_finder(place, settings) for place in places])
        watches.run()
    return watches.why


def _finder(place: Path, settings: WatchSettings) -> Finder:
    return Finder(str(place), settings.depth, settings.ignore)


def _end_at_signals(watches: Watches) -> None:
    """The first SIGTERM or SIGINT lets the rounds in hand be finished, a second one drops them."""

    def stop(number: int, _: FrameType | None) -> None:
        if watches.asked_to_stop.is_set():
            set_from_handler(watches.asked_to_stop, watches.drop_what_is_in_hand)
            return
        watches.why = "interrupted" if number == signal.SIGINT else "terminated"
        set_from_handler(watches.asked_to_stop)
        rest = "finishing the rounds in hand; once more to drop them" if watches.pool.in_hand() else "stopping"
        logger.info(f"{watches.why}: {rest}")

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)


def _allow_many_files() -> None:
    """Each project has some files open."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _memory_bytes() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
