"""Settings: one truth in three places."""

import json
import os
import tomllib
from pathlib import Path

import pytest
from heard import hear
from hypothesis import given, settings
from hypothesis import strategies as st

from refine_hooks.errors import SettingsError
from refine_hooks.log.records import json_schema
from refine_hooks.settings import Settings, config_directory, default_toml, layers, load_settings, merged, settings_of

CONFIG = Path(__file__).resolve().parent.parent / "config"


def test_the_committed_defaults_are_those_of_the_models() -> None:
    assert (CONFIG / "default.toml").read_text(encoding="utf-8") == default_toml()


def test_the_committed_schema_is_that_of_the_models() -> None:
    assert json.loads((CONFIG / "rounds.schema.json").read_text(encoding="utf-8")) == json_schema()


def test_the_default_file_states_every_setting_and_changes_none() -> None:
    table = tomllib.loads(default_toml())
    assert load_settings(CONFIG / "default.toml") == Settings()
    for name, section in Settings().model_dump().items():
        if name not in ("hooks", "masks"):
            assert set(table[name]) == set(section)


def test_the_shipped_files_are_found_beside_an_installed_package() -> None:
    assert (config_directory() / "default.toml").is_file()


@pytest.mark.parametrize("file", sorted(p.name for p in CONFIG.glob("*.toml")))
def test_every_shipped_file_is_valid(file: str) -> None:
    load_settings(CONFIG / file)


def test_all_faults_are_told_at_once_with_file_and_key(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("[watch]\npoll = 5\npoll_s = -1\n[fsc]\nthreshold = 'high'\n[nonsense]\nx = 1\n")
    with pytest.raises(SettingsError) as caught:
        load_settings(file)
    keys = {fault.split(": ")[1] for fault in caught.value.faults}
    assert keys == {"watch.poll", "watch.poll_s", "fsc.threshold", "nonsense"}
    assert all(fault.startswith(str(file)) for fault in caught.value.faults)


def test_the_command_line_lies_over_the_file_and_the_file_over_the_defaults(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("[fsc]\nrepeats = 7\nthreshold = 0.5\n")
    settings = load_settings(file, overrides={"fsc": {"repeats": 9}})
    assert (settings.fsc.repeats, settings.fsc.threshold, settings.fsc.seed) == (9, 0.5, Settings().fsc.seed)


def test_masks_in_a_file_are_found_relative_to_it(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('[masks]\ncore = "masks/core.mrc"\nother = "/data/other.mrc"\n')
    assert load_settings(file).masks == {"core": str(tmp_path / "masks/core.mrc"), "other": "/data/other.mrc"}


@pytest.mark.parametrize("name", ["sphere", "automask", "refinement", "reported_x", "a b", "../x"])
def test_a_mask_cannot_take_a_name_that_means_something_else(tmp_path: Path, name: str) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(f'[masks]\n"{name}" = "m.mrc"\n')
    with pytest.raises(SettingsError, match="names cannot be given"):
        load_settings(file)


def test_a_file_that_is_no_toml_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.toml").write_bytes(b"\xff\xfe[[")
    with pytest.raises(SettingsError, match=r"x\.toml"):
        load_settings(tmp_path / "x.toml")
    with pytest.raises(SettingsError, match=r"y\.toml"):
        load_settings(tmp_path / "y.toml")


@settings(max_examples=25, deadline=None)
@given(st.text(max_size=80))
def test_no_text_makes_the_reader_crash(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    file = tmp_path_factory.mktemp("fuzz") / "s.toml"
    file.write_text(text, encoding="utf-8", errors="surrogateescape" if text.isascii() else "ignore")
    try:
        load_settings(file)
    except SettingsError as error:
        assert "s.toml" in str(error)


@pytest.mark.parametrize(
    "text",
    [
        "watch.poll_s = 1e308",
        "watch.settle_s = 1e308",
        "watch.stalled_after_s = 1e300",
        "keep.min_free_GB = 1e300",
        "fsc.seed = 1e34",
        f"fsc.seed = {10**34}",
        "reconstruct.threads = 99999999",
        "sphere.radius_A = 1e300",
        "[[hooks]]\ntimeout_s = 1e308",
        "watch.poll_s = inf",
        "watch.poll_s = nan",
    ],
)
def test_a_number_that_nothing_could_be_done_with_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "c.toml").write_text(text)
    with pytest.raises(SettingsError, match=r"c\.toml, line \d+: "):
        load_settings(tmp_path / "c.toml")


@pytest.mark.parametrize("text", ["x = " + "[" * 100_000, "x" + ".x" * 100_000 + " = 1", "#" * 2_000_000])
def test_a_file_that_is_nested_deeply_or_large_is_refused_and_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "c.toml").write_text(text)
    with pytest.raises(SettingsError, match=r"c\.toml"):
        load_settings(tmp_path / "c.toml")


@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_only_plain_files_are_read(tmp_path: Path, kind: str) -> None:
    path = {"pipe": tmp_path / "c.toml", "device": Path("/dev/zero"), "folder": tmp_path}[kind]
    if kind == "pipe":
        os.mkfifo(path)
    with pytest.raises(SettingsError, match="plain file"):
        load_settings(path)


def test_names_of_before_are_still_read(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text("[watch]\ndatabase_wait_s = 7.0\nlock_timeout_s = 8.0\n")
    watch = load_settings(tmp_path / "c.toml", "cistem").watch
    assert (watch.metadata_wait_s, watch.database_lock_timeout_s) == (7.0, 8.0)


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """The files that are looked for, none of which is there yet."""
    monkeypatch.setattr("refine_hooks.settings.sources.SYSTEM_FILE", tmp_path / "etc.toml")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    for folder in ("home/refine_hooks", "project"):
        (tmp_path / folder).mkdir(parents=True)
    return {
        "system": tmp_path / "etc.toml",
        "user": tmp_path / "home" / "refine_hooks" / "config.toml",
        "project": tmp_path / "project" / "refine_hooks.toml",
        "config": tmp_path / "c.toml",
    }


def test_the_nearer_source_of_a_setting_counts(places: dict[str, Path]) -> None:
    order = ["system", "user", "project", "environment", "config"]
    for number, name in enumerate(order, 1):
        if name != "environment":
            places[name].write_text(
                f"[fsc]\nrepeats = {number + 1}\n" + (f"seed = {number}\n" if name == "system" else "")
            )
        environment = {"REFINE_HOOKS_FSC_REPEATS": "5", "REFINE_HOOKS_TOKEN": "x" * 20} if number >= 4 else {}
        config = places["config"] if number == 5 else None
        found = layers(config, places["project"].parent, environment)
        settings = load_settings(own=merged(found))
        assert (settings.fsc.repeats, settings.fsc.seed, len(found)) == (number + 1, 1, number)


def test_a_projects_file_of_somebody_else_is_not_read_and_that_is_said(
    places: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    said = hear()
    places["project"].write_text("[[hooks]]\ncommand = ['sh']\n")
    if os.geteuid() == 0:
        os.chown(places["project"], 12345, -1)
    monkeypatch.setattr(os, "geteuid", lambda: 4242)
    assert layers(None, places["project"].parent, {}) == []
    assert [str(places["project"]) in text and "--config" in text for text in said] == [True]


@pytest.mark.parametrize("variable", ["REFINE_HOOKS_FSC_NOTHING", "REFINE_HOOKS_NOTHING", "REFINE_HOOKS_WATCH_POLL_S"])
def test_a_variable_that_is_no_setting_is_named(places: dict[str, Path], variable: str) -> None:
    assert places
    with pytest.raises(SettingsError, match=variable):
        layers(None, None, {variable: "soon"})


def test_a_log_is_read_with_the_settings_of_its_newest_watch_and_the_users_over_them() -> None:
    recorded = Settings.model_validate({"fsc": {"threshold": 0.5}, "audit": {"jump_fraction": 0.4}}).model_dump(
        mode="json"
    )
    recorded |= {"of a later version": {"x": 1}, "sphere": {"radius_A": -1, "edge_A": 7.0}}
    recorded["watch"]["lock_timeout_s"] = 3.0
    found = settings_of(recorded, {"audit": {"jump_fraction": 0.9}})
    assert (found.fsc.threshold, found.audit.jump_fraction) == (0.5, 0.9)
    assert (found.sphere.radius_A, found.sphere.edge_A) == (0.0, 7.0)
    assert settings_of(None) == Settings()


def test_every_fault_of_a_file_says_its_line_what_was_written_and_what_may_be_meant(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        '# mine\n[watch]\npoll_s = -1\n\n[fsc]\nthreshhold = 0.5\n[audti]\nx = 1\n[notify]\non = ["lunch"]\n'
        '[[hooks]]\ncommand = ["a"]\n[[hooks]]\ncommand = ["b"]\ntimeout_s = 1e308\n'
    )
    with pytest.raises(SettingsError) as caught:
        load_settings(path)
    assert caught.value.faults == (
        f"{path}, line 3: watch.poll_s: Input should be greater than 0, not -1",
        f"{path}, line 6: fsc.threshhold: is no setting (is threshold meant?); 'refine-hooks check-config' lists them all",
        f"{path}, line 10: notify.on.0: Input should be 'round', 'finding', 'failed', 'stalled' or 'finished'",
        f"{path}, line 15: hooks.1.timeout_s: Input should be less than or equal to 86400",
        f"{path}, line 7: audti: is no setting (is audit meant?); 'refine-hooks check-config' lists them all",
    )
