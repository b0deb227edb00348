"""Every setting that is offered is obeyed: each is set to something else, and its effect looked at, here or in the test named.

A setting that is added to the model and has no entry here fails.
"""

import ast
from collections.abc import Callable, Iterator
from contextlib import ExitStack, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from particles_data import some_particles, write_stack
from played_time import PlayedClock, PlayedStop
from rounds_data import healthy
from small_program import BOX, a_watch, half_maps_of, lines_of, program, write_round

from refine_hooks import explain as explaining
from refine_hooks.audit import audit
from refine_hooks.errors import ProjectError, StorageError
from refine_hooks.files import file_system
from refine_hooks.files.mrc import Map, write_map
from refine_hooks.log.folder import Store
from refine_hooks.log.records import Analysis, RoundRecord
from refine_hooks.particles import ParticlesJob
from refine_hooks.reconstruct import Desk, cluster
from refine_hooks.reconstruct import half_maps_of as reconstructed
from refine_hooks.settings import Section, Settings, load_settings
from refine_hooks.settings.model import Hook
from refine_hooks.sums import insertion
from refine_hooks.watch import loop
from refine_hooks.watch.opening import open_watch
from refine_hooks.watch.owners import Activity
from refine_hooks.watch.schedule import settled
from refine_hooks.watch.state import Watch

HERE = Path(__file__).parent


def measured(folder: Path, overrides: dict[str, Any]) -> RoundRecord:
    project = folder / "project"
    project.mkdir(parents=True)
    rng = np.random.default_rng(3)
    for number, half in enumerate(half_maps_of(1), 1):
        noisy = half.voxels + 0.4 * rng.normal(size=half.voxels.shape).astype(np.float32)
        write_map(project / f"it1_half{number}.mrc", Map(noisy, half.voxel_size_A), "test")
    few = {"keep": {"min_free_GB": 0.01}, "fsc": {"repeats": 2}}
    both = {name: {**few.get(name, {}), **overrides.get(name, {})} for name in {*few, *overrides}}
    loop.run(a_watch(project, [], both), iter([0.0, 1.0]))
    (record,) = lines_of(project, RoundRecord)
    assert isinstance(record, RoundRecord)
    return record


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> RoundRecord:
    return measured(tmp_path_factory.mktemp("usual"), {})


def randomised(record: RoundRecord) -> Any:
    curve = record.under("automask")
    assert curve is not None
    return curve.randomised_from_shell, curve.randomised_sd


def parameters(record: RoundRecord, name: str) -> Any:
    mask = record.mask("sphere")
    assert mask is not None
    return getattr(mask.parameters, name)


# Of a measured round: the other value, and what then differs.
OF_A_ROUND: dict[str, tuple[Any, Callable[[RoundRecord], Any]]] = {
    "sphere.radius_A": (20.0, lambda record: parameters(record, "radius_A")),
    "sphere.edge_A": (6.0, lambda record: parameters(record, "edge_A")),
    "automask.enabled": (False, lambda record: record.mask("automask") is None),
    "fsc.threshold": (0.5, lambda record: {curve.threshold for curve in record.curves}),
    "fsc.randomise_below": (0.95, lambda record: randomised(record)[0]),
    "fsc.repeats": (4, lambda record: randomised(record)[1]),
    "fsc.seed": (7, lambda record: randomised(record)[1]),
    "fsc.full": (True, lambda record: record.analysis is None),
    "program.molecular_mass_kDa": (
        40.0,
        lambda record: [curve.volume_fraction for curve in record.curves if curve.kind == "scaled"],
    ),
}

# The test that sets it to something else and looks at what comes of it.
ELSEWHERE = {
    "analysis.local": "test_local::test_a_watch_measures_the_newest_round_locally_beside_the_log_and_all_of_them_where_asked",
    "watch.metadata_wait_s": "test_faults::test_a_round_whose_entry_comes_after_the_wait_stands_under_its_later_name_only",
    **{
        f"watch.{name}": "test_facility::test_the_process_is_made_as_the_settings_say"
        for name in ("workers", "memory_GB", "search_s", "depth", "ignore")
    },
    "keep.half_maps": "test_run::test_retention_removes_maps_and_never_lines",
    "keep.last": "test_run::test_retention_removes_maps_and_never_lines",
    "keep.every": "test_run::test_retention_removes_maps_and_never_lines",
    "keep.most_GB": "test_run::test_retention_removes_maps_and_never_lines",
    "keep.days": "test_log_index::test_maps_older_than_the_days_go_under_every_rule",
    "files.umask": "test_facility::test_what_is_written_has_the_group_and_the_rights_that_the_settings_say",
    "files.owner": "test_owner::test_everything_that_a_watch_writes_belongs_to_the_project_s_owner",
    "watch.metadata_per_s": "test_metadata::test_the_rate_of_the_settings_is_that_of_the_process",
    "files.group": "test_facility::test_what_is_written_has_the_group_and_the_rights_that_the_settings_say",
    "program.voxel_size_A": "test_projects_cistem::test_a_voxel_size_that_the_user_gives_is_that_of_the_half_maps",
    "reconstruct.block_particles": "test_reconstruct_work::test_sums_are_saved_as_often_as_the_settings_say",
    "reconstruct.subsets": "test_beside::test_subsets_and_substituted_images_leave_the_half_maps_as_they_are",
    "reconstruct.substitute_from_A": "test_beside::test_subsets_and_substituted_images_leave_the_half_maps_as_they_are",
    "reconstruct.checkpoint_s": "test_reconstruct_work::test_sums_are_saved_as_often_as_the_settings_say",
    **{
        f"cluster.{name}": "test_reconstruct_work::test_workers_are_asked_of_the_queue_as_the_settings_say"
        for name in ("scheduler", "cores", "memory", "walltime", "queue", "account")
    },
    "audit.disagree_shells": "test_one_answer::test_the_settings_of_the_log_count_and_those_of_a_file_over_them",
    "audit.jump_fraction": "test_one_answer::test_the_settings_of_the_log_count_and_those_of_a_file_over_them",
    "audit.analyse_at_most": "test_reanalyse::test_no_more_rounds_than_allowed_are_analysed_and_the_rest_is_said",
    "notify.targets": "test_tell::test_a_message_of_each_event_arrives_at_a_web_server",
    "notify.on": "test_tell::test_only_events_that_were_asked_for_are_told",
    "notify.metrics_file": "test_tell::test_a_watch_tells_of_its_rounds_of_its_failures_and_of_its_end",
    "notify.every": "test_tell::test_messages_of_a_period_come_as_one_and_what_needs_a_person_at_once",
    "notify.quiet": "test_tell::test_what_comes_in_quiet_hours_is_sent_at_their_end",
    "notify.link": "test_tell::test_a_message_says_the_project_the_round_what_changed_and_the_link",
    "notify.timeout_s": "test_tell::test_a_target_that_drips_for_ever_holds_up_neither_hooks_nor_the_end",
    "hooks.call": "test_tell::test_a_function_gets_the_record_itself",
    "hooks.command": "test_tell::test_a_command_gets_the_record_as_json_on_its_standard_input",
    "hooks.timeout_s": "test_tell::test_a_hook_that_hangs_is_ended_with_everything_that_it_started",
    "generic.half1": "test_adapters_elsewhere::test_one_pattern_or_two_keep_every_promise",
    "generic.half2": "test_adapters_elsewhere::test_one_pattern_or_two_keep_every_promise",
    **{
        f"generic.{name}": "test_adapters_elsewhere::test_what_the_settings_say_of_the_maps_is_believed"
        for name in ("folders", "voxel_size_A", "radius_A", "molecular_mass_kDa")
    },
}


def settings_there_are() -> set[str]:
    names = {f"hooks.{name}" for name in Hook.model_fields}
    for name in Settings.model_fields:
        section = getattr(Settings(), name)
        if isinstance(section, Section):
            names |= {f"{name}.{field}" for field in type(section).model_fields}
        elif name != "hooks":
            names.add(name)
    return names


def own_tests() -> set[str]:
    """The settings that a test of this file is named after."""
    tests = {name.removeprefix("test_") for name in globals() if name.startswith("test_")}
    return {name for name in settings_there_are() if name.replace(".", "_") in tests}


def test_every_setting_has_an_entry() -> None:
    assert {*OF_A_ROUND, *ELSEWHERE, *own_tests()} == settings_there_are()


@pytest.mark.parametrize("place", sorted(set(ELSEWHERE.values())))
def test_the_test_that_is_named_is_there(place: str) -> None:
    module, _, name = place.partition("::")
    tree = ast.parse((HERE / f"{module}.py").read_text(encoding="utf-8"))
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("setting", OF_A_ROUND)
def test_a_setting_changes_the_round(setting: str, usual: RoundRecord, tmp_path: Path) -> None:
    section, name = setting.split(".")
    value, effect = OF_A_ROUND[setting]
    assert effect(measured(tmp_path, {section: {name: value}})) != effect(usual)


def test_masks(usual: RoundRecord, tmp_path: Path) -> None:
    write_map(tmp_path / "m.mrc", Map(np.ones((BOX,) * 3, np.float32), 3.0), "mask")
    assert usual.mask("core") is None
    assert measured(tmp_path, {"masks": {"core": str(tmp_path / "m.mrc")}}).mask("core") is not None


def test_audit_anisotropy_cfar() -> None:
    record = healthy(analysis=Analysis(cfar=0.6, cfar_by_chance=0.95, cfar_best_A=4.0, cfar_worst_A=8.0))

    def told(limit: float) -> bool:
        settings = load_settings(overrides={"audit": {"anisotropy_cfar": limit}})
        return any(finding.rule == "anisotropy" for finding in audit([record], settings))

    assert (told(0.5), told(0.7)) == (False, True)


def played(project: Path, watch: dict[str, float]) -> tuple[Watch, PlayedClock]:
    clock = PlayedClock([], 60.0)
    settings, stop = load_settings(overrides={"watch": watch}), PlayedStop(clock)
    store = Store(project / "refine_hooks")
    return Watch.of(project, "test", program(), settings, store, clock=clock, asked_to_stop=stop), clock


@pytest.mark.parametrize("poll_s", [20.0, 30.0])
def test_watch_poll_s(tmp_path: Path, poll_s: float) -> None:
    w, _ = played(tmp_path, {"poll_s": poll_s})
    assert list(w.scan_times(None)) == list(np.arange(0.0, 60.0, poll_s))


@pytest.mark.parametrize("settle_s", [3.0, 12.0])
def test_watch_settle_s(tmp_path: Path, settle_s: float) -> None:
    write_round(tmp_path, 1)
    w, clock = played(tmp_path, {"poll_s": 10.0, "settle_s": settle_s})
    next(settled(w.opened.rounds, w.scan_times(None), w.schedule, w.done))
    assert clock.now_s == settle_s


def test_watch_stalled_after_s(tmp_path: Path) -> None:
    moments = iter([0.0, 50.0, 50.0, 50.0, 50.0])
    activity = Activity(lambda: next(moments))
    assert activity.stalled_for(60.0) is None
    assert activity.stalled_for(40.0) == 50.0


def test_watch_force_poll(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_system, "events_arrive", lambda _: True)
    found = [explaining.explain(a_watch(tmp_path, [], {"watch": {"force_poll": one}})).events for one in (False, True)]
    assert found == [True, False]


def test_watch_database_lock_timeout_s(tmp_path: Path) -> None:
    tried = []

    def locked(*_: object) -> list[object]:
        tried.append(1)
        raise OSError("the database is locked")

    write_round(tmp_path, 1)
    quick = {"watch": {"poll_s": 0.02, "database_lock_timeout_s": 0.01}}
    longer = {"watch": {"poll_s": 0.02, "database_lock_timeout_s": 0.3}}
    counts = []
    for overrides in (quick, longer):
        tried.clear()
        loop._first_scan(a_watch(tmp_path, [], overrides, rounds=locked))
        counts.append(len(tried))
    assert counts[0] < counts[1]


def test_keep_sums(tmp_path: Path) -> None:
    given = {}
    for keep in (False, True):
        gone: list[object] = []
        project = tmp_path / str(keep)
        project.mkdir()
        write_round(project, 1)
        overrides = {"keep": {"min_free_GB": 0.01, "sums": keep}, "fsc": {"repeats": 2}}
        loop.run(
            a_watch(project, [], overrides, discard=lambda round_, _, gone=gone: gone.append(round_)), iter([0.0, 1.0])
        )
        given[keep] = len(gone)
    assert given == {False: 1, True: 0}


def opened(project: Path, text: str) -> Watch:
    project.mkdir(exist_ok=True)
    (project / "own.toml").write_text(text)
    return open_watch(project, None, project / "own.toml", "", {}, True)


def test_keep_min_free_GB(tmp_path: Path) -> None:
    text = "[program]\nname = 'relion'\n[keep]\nmin_free_GB = {}\n"
    opened(tmp_path, text.format(0)).store.require_room()
    with pytest.raises(StorageError, match="min_free_GB"):
        opened(tmp_path, text.format(1e9)).store.require_room()


def test_program_name(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="not a project of a program that is known"):
        opened(tmp_path, "")
    assert [opened(tmp_path, f"[program]\nname = '{name}'").program for name in ("relion", "eman2")] == [
        "relion",
        "eman2",
    ]


def test_reconstruct_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_stack(tmp_path / "s.mrcs")
    job, used = ParticlesJob(some_particles(tmp_path / "s.mrcs"), "cistem"), []

    def insert(*_: object, threads: int, **__: object) -> Iterator[int]:
        used.append(threads)
        return iter(())

    monkeypatch.setattr(insertion, "insert", insert)
    for threads in (2, 3):
        with pytest.raises(KeyboardInterrupt):  # nothing is inserted
            reconstructed(job, "x", load_settings(overrides={"reconstruct": {"threads": threads}}), Desk())
    assert used == [2, 3]


@pytest.mark.parametrize("workers", [2, 7])
def test_cluster_workers(workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    distributed = pytest.importorskip("distributed")
    asked: list[int] = []
    queue = SimpleNamespace(scale=lambda **how: asked.append(how["jobs"]))
    monkeypatch.setattr(cluster, "job_queue", lambda _: nullcontext(queue))
    monkeypatch.setattr(distributed, "Client", nullcontext)
    settings = load_settings(overrides={"cluster": {"scheduler": "slurm", "workers": workers}}).cluster
    with ExitStack() as until_done:
        assert cluster._client(settings, until_done) is queue
    assert asked == [workers]


def test_reconstruct_when(tmp_path: Path) -> None:
    def of(when: str, in_watch: bool) -> str:
        config = tmp_path / "c.toml"
        config.write_text(
            f"[reconstruct]\nwhen = '{when}'\n[generic]\nhalf1 = 'it(?P<iteration>[0-9]+)_half(?P<half>[12])[.]mrc'\n"
        )
        return open_watch(tmp_path, None, config, "generic", {}, in_watch).config.reconstruct

    assert [of("auto", True), of("auto", False)] == ["never", "missing"]
    assert [of("always", True), of("never", False)] == ["always", "never"]
