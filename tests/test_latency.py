"""A round's measuring begins at most poll_s + settle_s and one scan after its last input came, whenever and however that comes.

Time is played: the files are real, the seconds are not.
"""

import os
import shutil
import tarfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import cistem_project
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from opened import Opened
from played_time import PlayedClock, PlayedNotifier, PlayedStop
from small_program import program, write_round

from refine_hooks.log.file import read_journal
from refine_hooks.log.folder import Store
from refine_hooks.model import Fingerprint, InputFile, Key, Round
from refine_hooks.settings import load_settings
from refine_hooks.watch.loop import Watch, run
from refine_hooks.watch.schedule import Schedule, scan_times, settled

pytestmark = pytest.mark.usefixtures("quick_rounds")

Deed = tuple[float, Callable[[], object]]
Span = tuple[float, float]
_ROUNDING_S = 1e-6


def a_notifier(kind: str, clock: PlayedClock) -> PlayedNotifier | None:
    return None if kind == "none" else PlayedNotifier(clock, kind == "notifies")


seconds = st.floats(0.0, 40.0).map(lambda s: round(s, 3))


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.lists(seconds, min_size=1, max_size=4), min_size=1, max_size=6),
    st.sampled_from(("notifies", "dead", "none")),
    st.sampled_from((0.5, 2.0, 5.0, 7.3)),
    st.sampled_from((0.0, 0.1, 0.7, 2.0, 3.0, 12.0)),
    st.sampled_from((0.0, 0.006, 0.1, 0.3, 1.0)),
    st.sampled_from((0.0, 0.4, 9.0, 100.0)),
    st.booleans(),
)
@example([[0.0, 1.0, 3.0, 4.0]], "notifies", 2.0, 0.7, 0.1, 0.0, False)
def test_measuring_begins_in_time_at_any_moment_and_with_any_settings(
    writings: list[list[float]],
    kind: str,
    poll_s: float,
    settle_s: float,
    scan_s: float,
    measuring_s: float,
    late: bool,
) -> None:
    """What is measured meanwhile of other rounds is no part of the wait; ``late``: a scan reads the disk at its end."""
    disk: dict[int, int] = {}

    def write(iteration: int) -> None:
        disk[iteration] = disk.get(iteration, 0) + 1
        if notifier is not None:
            notifier.notify()

    deeds: list[Deed] = [(s, lambda i=i: write(i)) for i, moments in enumerate(writings) for s in moments]  # type: ignore[misc]
    clock = PlayedClock(deeds, 80.0 + measuring_s * len(deeds))
    notifier, schedule, measured, begun = (
        a_notifier(kind, clock),
        Schedule(poll_s, settle_s, clock),
        dict[int, int](),
        dict[int, float](),
    )
    busy: list[Span] = []

    def scan() -> list[Round]:
        clock.go_to(clock.now_s + (scan_s if late else 0.0))
        found = [a_round(iteration, size) for iteration, size in disk.items()]
        clock.go_to(clock.now_s + (0.0 if late else scan_s))
        return found

    def done(round_: Round) -> bool:
        return measured.get(round_.key.iteration) == round_.fingerprint.inputs[0].size

    for round_ in settled(scan, scan_times(notifier, PlayedStop(clock), schedule, None, clock), schedule, done):
        number, began_s = round_.key.iteration, clock.now_s
        measured[number], begun[number] = round_.fingerprint.inputs[0].size, began_s
        clock.go_to(began_s + measuring_s)
        busy.append((began_s, clock.now_s))
    for number, moments in enumerate(writings):
        last_s, began_s = max(moments), begun[number]
        assert measured[number] == len(moments)
        assert began_s - last_s >= settle_s - scan_s - _ROUNDING_S
        waited_s = began_s - last_s - sum(max(0.0, min(end, began_s) - max(start, last_s)) for start, end in busy)
        apart_s = max(
            poll_s, scan_s + min(scan_s, poll_s)
        )  # scans that take half of poll_s and more rest as long as that
        assert waited_s <= apart_s + settle_s + 2 * scan_s + _ROUNDING_S


def a_round(iteration: int, size: int) -> Round:
    fingerprint = Fingerprint(inputs=(InputFile(name="file", size=size, mtime_ns=0),))
    return Round(Key(run="run", iteration=iteration, class_id=1), "program", "label", fingerprint)


class Project:
    """Files that come at played moments, with the times that a file system would give them there."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.began_ns = folder, time.time_ns() - 2000 * 10**9
        folder.mkdir()

    def age(self, paths: Iterable[Path], at_s: float) -> None:
        for path in paths:
            for each in (path, path.parent):
                os.utime(each, ns=(self.began_ns, self.began_ns + int(at_s * 1e9)))

    def all_old(self) -> None:
        for path in (*self.folder.rglob("*"), self.folder):
            os.utime(path, ns=(self.began_ns - 10**12, self.began_ns - 10**12))


def small(project: Project, first_s: float) -> list[Deed]:
    """Two files of which the second one comes later and is replaced once more, as by a program that writes slowly."""

    def half(number: int, at_s: float) -> None:
        write_round(aside, 1)
        target = project.folder / f"it1_half{number}.mrc"
        shutil.copy(aside / target.name, target)
        project.age([target], at_s)

    aside = project.folder.parent / "aside"
    aside.mkdir()
    moments = ((first_s - 3, 1), (first_s - 1.9, 2), (first_s, 2))
    return [(at_s, lambda at_s=at_s, number=number: half(number, at_s)) for at_s, number in moments]  # type: ignore[misc]


def relion(project: Project, first_s: float, *, copied: bool = False) -> list[Deed]:
    """The halves' maps and tables as RELION writes them; in a copied project they come in this order, with any times."""

    def come(name: str, at_s: float) -> None:
        shutil.copy(aside / name, job / name)
        project.age([job / name], -at_s if copied else at_s)

    aside = project.folder.parent / "aside" / "Refine3D" / "job001"
    with tarfile.open(Path(__file__).parent / "data" / "relion_refine3d.tgz") as archive:
        archive.extractall(project.folder, filter="data")
        archive.extractall(project.folder.parent / "aside", filter="data")
    job = project.folder / "Refine3D" / "job001"
    for path in (*job.glob("run_it009*"), *job.glob("run_half*"), job / "run_model.star", job / "run_class001.mrc"):
        path.unlink()
    project.all_old()
    names = ["optimiser.star", "half1_class001.mrc", "half2_class001.mrc", "half1_model.star", "half2_model.star"]
    return [
        (first_s - 0.7 * (len(names) - 1 - number), lambda name=name, s=number: come(f"run_it009_{name}", s))  # type: ignore[misc]
        for number, name in enumerate(names)
    ]


def copied_relion(project: Project, first_s: float) -> list[Deed]:
    """Maps that are newer than their tables prove nothing, and have to settle."""
    return relion(project, first_s, copied=True)


def cistem(project: Project, first_s: float) -> list[Deed]:
    """Dumps, then the database's entry, which is the last input."""

    def dumps() -> None:
        cistem_project.write_parameters(project.folder, "AutoRefine3D", 2)
        for name, content in cistem_project.dumps(2).items():
            (project.folder / "Scratch" / "AutoRefine3D" / name).write_bytes(content)

    shutil.rmtree(project.folder)
    database = cistem_project.begin(project.folder)
    return [(first_s - 9, dumps), (first_s, lambda: cistem_project.commit(database, 2))]


PLAYS = {"test": small, "relion": relion, "relion, copied": copied_relion, "cistem": cistem}
SETTLES = {"test", "relion, copied"}


@pytest.mark.parametrize("kind", ["notifies", "dead", "none"])
@pytest.mark.parametrize("last_s", [30.01, 33.9])
@pytest.mark.parametrize("name", PLAYS)
def test_a_round_on_disk_is_measured_in_time(name: str, last_s: float, kind: str, tmp_path: Path) -> None:
    """Just after a scan and just before the next one, by programs that prove that a round is whole and by others."""
    project = Project(tmp_path / "project")
    opened = program() if name == "test" else Opened(name.partition(",")[0])
    begun: list[float] = []

    def half_maps(*given: Any) -> Any:
        begun.append(clock.now_s)
        return opened.half_maps(*given)

    def ringing(deed: Callable[[], object]) -> Callable[[], object]:
        def both() -> None:
            deed()
            if notifier is not None:
                notifier.notify()

        return both

    deeds = [(at_s, ringing(deed)) for at_s, deed in PLAYS[name](project, last_s)]
    clock = PlayedClock(deeds, 100.0)
    notifier = a_notifier(kind, clock)
    parts = {each: getattr(opened, each) for each in vars(program()) if each not in ("recognises", "why", "open")}
    timed = program(**{**parts, "half_maps": half_maps})
    quick = {"automask": {"enabled": False}, "fsc": {"repeats": 2}, "analysis": {"local": "never"}}
    slow = {"watch": {"poll_s": 5.0, "settle_s": 3.0}, "keep": {"min_free_GB": 0.0}}
    given = load_settings(overrides={**slow, **quick})
    w = Watch.of(
        project.folder, "test", timed, given, Store(tmp_path / "out"), clock=clock, asked_to_stop=PlayedStop(clock)
    )
    run(w, w.scan_times(notifier))
    records = list(read_journal(w.store.log).rounds)
    newest = max(record.key.iteration for record in records)
    assert [r.half_maps is not None for r in records if r.key.iteration == newest] == [True]
    settle_s = given.watch.settle_s if name in SETTLES else 0.0
    poll_s = 0.0 if kind == "notifies" else given.watch.poll_s
    assert settle_s <= begun[-1] - last_s <= poll_s + settle_s + _ROUNDING_S
