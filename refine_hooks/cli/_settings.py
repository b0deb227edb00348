"""The settings of a project as a text, each with the source that it comes from."""

from pathlib import Path

from refine_hooks.programs import claims
from refine_hooks.settings import default_toml, layers, load_settings, merged, settings_toml, shipped_layer

_HEAD = "# Every setting of {} with its value; where it is not the default, its source stands behind it."


def shown_settings(project: Path, config: Path | None, program: str) -> str:
    """Every setting of a project; the defaults alone where nothing sets another.

    Raises:
        SettingsError: every fault at once, each with its source and key.
    """
    project = project.absolute()
    found = layers(config, project)
    own = merged(found)
    shipped = shipped_layer(program or load_settings(own=own).program.name or _program_of(project))
    settings = load_settings(own=merged([*([shipped] if shipped else []), *found]))
    sources: dict[str, str] = {}
    for layer in [*([shipped] if shipped else []), *found]:
        for section, table in layer.table.items():
            names = table if isinstance(table, dict) else ()
            sources |= {section: layer.source, **{f"{section}.{name}": layer.source for name in names}}
    return settings_toml(settings, sources, _HEAD.format(project)) if sources else default_toml()


def _program_of(project: Path) -> str:
    """The one program that claims a folder, if there is one."""
    claimants = [claim.adapter for claim in claims(project) if claim.recognises]
    return claimants[0] if len(claimants) == 1 else ""
