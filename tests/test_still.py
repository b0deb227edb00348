"""A look costs what its open rounds cost: finished rounds come from memory, until anything that they follow from has changed."""

import importlib
import os
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import cistem_project
import pytest
from opened import Opened

from refine_hooks.log.folder import Store
from refine_hooks.model import Fingerprint, Key, Round
from refine_hooks.programs import relion as relion_package
from refine_hooks.programs._still import Still
from refine_hooks.programs.cistem import dumps as cistem_dumps
from refine_hooks.programs.relion.files import Job
from refine_hooks.settings import Settings

cistem = Opened("cistem")
relion = Opened("relion")

SETTINGS = Settings()
cistem_rounds = importlib.import_module(
    "refine_hooks.programs.cistem.rounds"
)  # the package shows its function by that name


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    with tarfile.open(Path(__file__).parent / "data" / "relion_refine3d.tgz") as archive:
        archive.extractall(folder, filter="data")
    (folder / "Refine3D" / "job001" / "RELION_JOB_EXIT_SUCCESS").touch()
    long_ago = time.time() - 1000
    for path in (*folder.rglob("*"), folder):
        os.utime(path, (long_ago, long_ago))
    return folder


def look(project: Path) -> tuple[list[Round], int]:
    """The rounds, and how many jobs were looked into for them."""
    looked: list[str] = []

    def counted(directory: Path, job: Job, *rest: object) -> Iterator[Round]:
        looked.append(job.run)
        return real(directory, job, *rest)  # type: ignore[arg-type]

    real = relion_package.job_rounds
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(relion_package, "job_rounds", counted)
        return list(relion.rounds(project, SETTINGS, Store(project / "refine_hooks"))), len(looked)


def test_an_unchanged_job_is_looked_into_once(project: Path) -> None:
    first, looked = look(project)
    assert looked > 0
    assert len(first) >= 3
    again, looked = look(project)
    assert looked == 0
    assert all(a is b for a, b in zip(first, again, strict=True))


def _file_comes(job: Path) -> None:
    (job / "run_it010_half1_class001.mrc").touch()


def _table_rewritten(job: Path) -> None:
    path = job / "run_it009_half1_model.star"
    path.write_text(path.read_text() + "\n")


def _file_goes(job: Path) -> None:
    (job / "run_it009_half1_class001.mrc").unlink()


def _same_size_and_time_another_file(job: Path) -> None:
    path = job / "run_it009_half2_model.star"
    status, content = path.stat(), path.read_bytes()
    path.rename(path.with_suffix(".old"))
    path.write_bytes(content)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def _postprocessed(job: Path) -> None:
    folder = job.parent.parent / "PostProcess" / "job002"
    folder.mkdir(parents=True)
    (folder / "postprocess.star").write_text("data_general\n\n_rlnFinalResolution 8.0\n")


def _kept_in_the_spool(job: Path) -> None:
    folder = job.parent.parent / "refine_hooks" / "spool" / "relion" / "Refine3D" / "job001"
    folder.mkdir(parents=True)


@pytest.mark.parametrize(
    "change",
    [_file_comes, _table_rewritten, _file_goes, _same_size_and_time_another_file, _postprocessed, _kept_in_the_spool],
)
def test_any_change_is_seen_at_the_next_look(project: Path, change: Callable[[Path], None]) -> None:
    look(project)
    assert look(project)[1] == 0
    change(project / "Refine3D" / "job001")
    assert look(project)[1] > 0


def test_a_file_written_over_in_a_job_at_rest_is_seen_within_a_dozen_looks(project: Path) -> None:
    long_ago = time.time() - 10_000
    for path in (*project.rglob("*"), project):
        os.utime(path, (long_ago, long_ago))
    look(project)
    _table_rewritten(project / "Refine3D" / "job001")
    assert sum(look(project)[1] for _ in range(12)) > 0


def test_what_changed_a_moment_ago_is_looked_at_again_since_clocks_of_file_systems_are_coarse(project: Path) -> None:
    (project / "Refine3D" / "job001" / "note").touch()
    look(project)
    assert look(project)[1] > 0


def test_rounds_that_wait_or_fail_are_never_remembered() -> None:
    still, made = Still(), []

    def make() -> list[Round]:
        made.append(1)
        return [round_]

    for changes in ({"missing": ("x",)}, {"fault": "broken"}):
        round_ = Round(Key(run="r", iteration=1, class_id=1), "t", "l", Fingerprint(), **changes)  # type: ignore[arg-type]
        for _ in range(3):
            still.rounds(str(changes), lambda: (), make, lambda _: ())
    assert len(made) == 6


@pytest.fixture
def cistem_with_history(tmp_path: Path) -> tuple[Path, Store]:
    """Rounds 2 to 4 are measured and their dumps discarded."""
    folder, store = tmp_path / "project", Store(tmp_path / "out")
    database = cistem_project.begin(folder)
    for number in (2, 3, 4):
        cistem_dumps_come(folder, number)
        cistem.capture(folder, store.spool)
        cistem_project.wipe(folder, "AutoRefine3D")
        cistem_project.commit(database, number)
    for round_ in list(cistem.rounds(folder, SETTINGS, store)):
        cistem.discard(round_, store.spool)
    return folder, store


def cistem_dumps_come(folder: Path, number: int) -> None:
    cistem_project.write_parameters(folder, "AutoRefine3D", number)
    for name, content in cistem_project.dumps(number).items():
        (folder / "Scratch" / "AutoRefine3D" / name).write_bytes(content)


def counted(module: ModuleType, name: str, work: Callable[[], object]) -> int:
    """How often a function is called in ``work``."""
    calls: list[object] = []
    real = getattr(module, name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, name, lambda *given: calls.append(given) or real(*given))
        work()
    return len(calls)


def test_what_is_awaited_in_a_cistem_project_does_not_make_the_finished_rounds_be_made_again(
    cistem_with_history: tuple[Path, Store],
) -> None:
    folder, store = cistem_with_history
    cistem_dumps_come(folder, 5)
    first = list(cistem.rounds(folder, SETTINGS, store))
    assert [bool(round_.missing) for round_ in first] == [False, False, False, True]
    again: list[Round] = []
    assert counted(cistem_rounds, "_known", lambda: again.extend(cistem.rounds(folder, SETTINGS, store))) == 0
    assert all(a is b for a, b in zip(first[:3], again[:3], strict=True))
    assert again == first
    cistem_project.commit_generate(folder / "tcr_pmhc.db")
    assert counted(cistem_rounds, "_known", lambda: list(cistem.rounds(folder, SETTINGS, store))) == 4


def test_capturing_looks_only_at_what_is_kept_of_the_dumps_that_are_there(
    cistem_with_history: tuple[Path, Store],
) -> None:
    folder, store = cistem_with_history
    assert counted(cistem_dumps, "_kept_here", lambda: cistem.capture(folder, store.spool)) == 0
    cistem_dumps_come(folder, 5)
    assert counted(cistem_dumps, "_kept_here", lambda: cistem.capture(folder, store.spool)) == 1
    assert len(cistem_dumps.kept(store.spool)) == 4
