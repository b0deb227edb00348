"""Settings: one truth in three places."""

import json
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refine_hooks.errors import SettingsError
from refine_hooks.log.records import json_schema
from refine_hooks.settings import Settings, config_directory, default_toml, load_settings

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


@given(st.text(max_size=80))
def test_no_text_makes_the_reader_crash(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    file = tmp_path_factory.mktemp("fuzz") / "s.toml"
    file.write_text(text, encoding="utf-8", errors="surrogateescape" if text.isascii() else "ignore")
    try:
        load_settings(file)
    except SettingsError as error:
        assert "s.toml" in str(error)
