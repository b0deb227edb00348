"""A refinement that plays itself while the watcher follows it, through the same code as any real one."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

from refine_hooks.demo import cistem
from refine_hooks.errors import InputError
from refine_hooks.files import file_system
from refine_hooks.log.file import Journal, read_journal
from refine_hooks.log.folder import OUT_NAME, Store
from refine_hooks.programs import adapter_called
from refine_hooks.settings import load_settings
from refine_hooks.watch import events
from refine_hooks.watch.loop import Watch, run


def demonstrate(directory: Path, pace: float = 1.0) -> Journal:
    """Play a small cisTEM refinement into ``directory`` and watch it; returns the log.

    Args:
        directory: a new or empty folder.
        pace: multiplies the pauses of the refinement; 0 plays it as fast as it can be computed.

    Raises:
        InputError: the folder holds something already.
    """
    directory = directory.absolute()
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise InputError(f"{directory}: is there already and not an empty folder; name a new one")
    directory.mkdir(parents=True, exist_ok=True)
    settings = load_settings(program="cistem", overrides={"watch": {"poll_s": 0.5}, "keep": {"min_free_GB": 0.2}})
    w = Watch.of(directory, "cistem", adapter_called("cistem"), settings, Store(directory / OUT_NAME))
    faults: list[BaseException] = []
    player = threading.Thread(
        target=_play, args=(directory, pace, faults, w.stopping.asked), name="refinement", daemon=True
    )
    notifier = events.ChangeNotifier(w.opened.watched_folders) if file_system.events_arrive(directory) else None
    player.start()
    try:
        run(w, _until_played(w, player, notifier), notifier, live=True)
    finally:
        w.stopping.asked.set()
        if notifier is not None:
            notifier.close()
    if faults:
        raise faults[0]
    return read_journal(w.store.log)


def _play(directory: Path, pace: float, faults: list[BaseException], stop: threading.Event) -> None:
    def pause(seconds: float) -> None:
        stop.wait(seconds * pace)

    try:
        cistem.play(directory, pause)
    except BaseException as error:
        faults.append(error)


def _until_played(w: Watch, player: threading.Thread, notifier: events.ChangeNotifier | None) -> Iterator[float]:
    """Moments until the refinement is over and every round of it is in the log."""
    ended_at: float | None = None
    for moment in w.scan_times(notifier):
        yield moment
        if not player.is_alive():
            ended_at = ended_at or time.monotonic()
            waited_s = time.monotonic() - max(ended_at, w.activity.last_s)
            if (
                w.counts.done >= len(cistem.ROUNDS)
                or waited_s > w.settings.watch.settle_s + 4 * w.settings.watch.poll_s
            ):
                yield moment  # what waits for an idle turn is measured
                return
