"""Where settings come from, and the only reader of TOML.

From the lowest to the highest: the defaults, ``config/<program>.toml`` of this package, ``/etc/refine_hooks.toml``,
``~/.config/refine_hooks/config.toml``, ``PROJECT/refine_hooks.toml``, the environment, ``--config``, the command line's options.
"""

import logging
import os
import select
import stat
import time
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from refine_hooks.errors import SettingsError
from refine_hooks.settings.faults import in_words
from refine_hooks.settings.model import Section, Settings, with_new_names

logger = logging.getLogger(__name__)

SYSTEM_FILE = Path("/etc/refine_hooks.toml")
PROJECT_FILE = "refine_hooks.toml"
PREFIX = "REFINE_HOOKS_"
_NO_SETTINGS = {"REFINE_HOOKS_TOKEN", "REFINE_HOOKS_OUT", "REFINE_HOOKS_RELION_EXTERNAL_RECONSTRUCT"}
_MOST_BYTES = 1_000_000
_PIPE_S = 10.0
_DEEPEST = 100  # dots of a key; the parser's time grows with their square
_TOO_DEEP = "its values are nested too deeply for a settings file"


@dataclass(frozen=True, slots=True)
class Layer:
    """The settings of one source."""

    source: str
    table: dict[str, Any]


def config_directory() -> Path:
    """The folder of the shipped TOML files: inside an installed wheel, or beside the package in a checkout."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "_config"
    return installed if installed.is_dir() else package.parent / "config"


def _read_toml(path: Path) -> tuple[dict[str, Any], str]:
    """A file's table, and its text."""
    try:
        text = _read(path).decode("utf-8")
        if any(line.partition("=")[0].count(".") > _DEEPEST for line in text.splitlines() if line[:1] != "#"):
            raise SettingsError(f"{path}: {_TOO_DEEP}")
        return tomllib.loads(text), text
    except OSError as error:
        raise SettingsError(
            f"{path}: cannot be read ({error.strerror}); name a readable TOML file with --config"
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: is not valid TOML: {error}") from error
    except RecursionError:
        raise SettingsError(f"{path}: {_TOO_DEEP}") from None


def _read(path: Path) -> bytes:
    """A plain file of bounded size, or what a shell hands over in a pipe (``<(...)``)."""
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        kind = os.fstat(handle).st_mode
        handed_over = stat.S_ISFIFO(kind) and str(path).startswith(("/dev/fd/", "/dev/stdin", "/proc/"))
        if not stat.S_ISREG(kind) and not handed_over:
            raise SettingsError(f"{path}: is no plain file; name a TOML file with --config")
        found, ends = b"", time.monotonic() + _PIPE_S
        while len(found) <= _MOST_BYTES:
            if handed_over and not select.select([handle], [], [], max(0.0, ends - time.monotonic()))[0]:
                raise SettingsError(f"{path}: nothing comes through this pipe")
            piece = os.read(handle, _MOST_BYTES)
            if not piece:
                return found
            found += piece
        raise SettingsError(f"{path}: is larger than {_MOST_BYTES // 1000} kB, which no settings file is")
    finally:
        os.close(handle)


def _laid_over(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    merged = dict(with_new_names(below))
    for name, value in with_new_names(above).items():
        under = merged.get(name)
        merged[name] = _laid_over(under, value) if isinstance(under, dict) and isinstance(value, dict) else value
    return merged


def _validated(table: dict[str, Any], source: str, text: str = "") -> Settings:
    try:
        return Settings.model_validate(table)
    except ValidationError as error:
        raise SettingsError(*in_words(error, source, text)) from error


def own_table(config: Path | None) -> dict[str, Any]:
    """What one TOML file says, checked; masks named by absolute paths. Empty without a file.

    Raises:
        SettingsError: every fault at once, each with the file and the key.
    """
    if config is None:
        return {}
    own, text = _read_toml(config)
    _validated(own, str(config), text)
    if "masks" in own:
        own["masks"] = {name: str(config.absolute().parent / file) for name, file in own["masks"].items()}
    return own


def layers(
    config: Path | None, project: Path | None = None, environment: Mapping[str, str] | None = None
) -> list[Layer]:
    """What the files, the environment and ``--config`` say, the lowest first.

    Args:
        config: the file of ``--config``.
        project: the project's folder; the ``refine_hooks.toml`` in it is read where it is the user's own or root's, since
            settings can name commands to run.
        environment: of the process, where None. ``REFINE_HOOKS_FSC_THRESHOLD=0.5`` is ``threshold`` of ``[fsc]``.

    Raises:
        SettingsError: every fault at once, each with its source and key.
    """
    found: list[Layer] = []
    faults: list[str] = []
    for source in (*_files(project), None, *([config] if config else [])):
        try:
            if source is None:
                found.append(_of_environment(os.environ if environment is None else environment))
            else:
                found.append(Layer(str(source), own_table(source)))
        except SettingsError as error:
            faults += error.faults
    if faults:
        raise SettingsError(*faults)
    return [layer for layer in found if layer.table]


def _files(project: Path | None) -> Iterator[Path]:
    home = os.environ.get("XDG_CONFIG_HOME") or (f"{os.environ['HOME']}/.config" if os.environ.get("HOME") else "")
    own = [Path(home) / "refine_hooks" / "config.toml"] if home else []
    for path in (SYSTEM_FILE, *own):
        if path.is_file():
            yield path
    path = (project or Path()) / PROJECT_FILE
    if project is None or not path.is_file():
        return
    if path.stat().st_uid in (0, os.geteuid()):
        yield path
    else:
        logger.warning(
            f"{path}: is another user's, and passed over, since settings can name commands to run; if you trust it, name it with "
            "--config"
        )


def _of_environment(environment: Mapping[str, str]) -> Layer:
    table: dict[str, Any] = {}
    faults: list[str] = []
    names = sorted(name for name in environment if name.startswith(PREFIX) and name not in _NO_SETTINGS)
    for variable in names:
        try:
            section, name, value = _setting(variable, environment[variable])
        except SettingsError as error:
            faults += error.faults
            continue
        table.setdefault(section, {})[name] = value
        try:
            Settings.model_validate({section: {name: value}})
        except ValidationError as error:
            faults.append(f"{variable}: {error.errors()[0]['msg'].removeprefix('Value error, ')}")
    if faults:
        raise SettingsError(*faults)
    return Layer(f"the environment ({', '.join(names)})", table)


def _setting(variable: str, text: str) -> tuple[str, str, Any]:
    """Section, name and value of a variable; a value is written as in TOML, a text also without its quotes."""
    section, _, rest = variable.removeprefix(PREFIX).lower().partition("_")
    model = type(getattr(Settings(), section, None))
    if section == "masks" and rest:
        return section, rest, str(Path(text).absolute())
    fields = getattr(model, "model_fields", {}) if issubclass(model, Section) else {}
    name = next((field for field in fields if field.lower() == rest), None)
    if name is None:
        raise SettingsError(f"{variable}: is no setting; REFINE_HOOKS_FSC_THRESHOLD is threshold of [fsc], and so on")
    if fields[name].annotation is str:
        return section, name, text
    try:
        return section, name, tomllib.loads(f"value = {text}")["value"]
    except (tomllib.TOMLDecodeError, RecursionError):
        return section, name, text


def merged(found: list[Layer]) -> dict[str, Any]:
    """One table of several layers."""
    table: dict[str, Any] = {}
    for layer in found:
        table = _laid_over(table, layer.table)
    return table


def load_settings(
    config: Path | None = None,
    program: str = "",
    overrides: dict[str, Any] | None = None,
    own: dict[str, Any] | None = None,
) -> Settings:
    """Settings for a program: defaults, then ``config/<program>.toml``, then the user's, then the command line's.

    Args:
        config: the user's TOML file.
        program: name of the adapter.
        overrides: nested tables, as the command line's options spell them.
        own: the user's settings instead of ``config``, as `merged` gives them.

    Raises:
        SettingsError: every fault at once, each with the file and the key.
    """
    shipped = shipped_layer(program)
    table = _laid_over(shipped.table if shipped else {}, own_table(config) if own is None else own)
    if overrides:
        table = _laid_over(table, overrides)
    return _validated(table, "command line" if overrides else str(config or (shipped.source if shipped else "")))


def shipped_layer(program: str) -> Layer | None:
    """What this package sets for a program; None where that is nothing."""
    shipped = config_directory() / f"{program}.toml"
    if not program or not shipped.is_file():
        return None
    table, text = _read_toml(shipped)
    _validated(table, str(shipped), text)
    return Layer(str(shipped), table)


def settings_of(recorded: Mapping[str, Any] | None, own: dict[str, Any] | None = None) -> Settings:
    """The settings that a log is read with: those of its newest start line, with the user's ``--config`` laid over.

    Messages and hooks of the watch are left out: readers send nothing. What this version does not know, or no longer
    allows, has its default.

    Args:
        recorded: ``settings`` of the start line; None where the log has none.
        own: what `own_table` gave for ``--config``.
    """
    table = {name: value for name, value in (recorded or {}).items() if name not in ("notify", "hooks")}
    while True:
        try:
            Settings.model_validate(table)
            break
        except ValidationError as error:
            for fault in error.errors():
                table = _without(table, [str(part) for part in fault["loc"]])
    return _validated(_laid_over(table, own or {}), "--config")


def _without(table: dict[str, Any], place: list[str]) -> dict[str, Any]:
    """A table without one entry; without the whole section where the place is none in it."""
    section = table.get(place[0])
    if len(place) > 1 and isinstance(section, dict) and place[1] in section:
        return {**table, place[0]: {name: value for name, value in section.items() if name != place[1]}}
    return {name: value for name, value in table.items() if name != place[0]}
