"""Settings as the text of a TOML file: every one with its value, what it means, and where the value comes from."""

import json
from collections.abc import Mapping
from typing import Any, Literal, get_args, get_origin

from refine_hooks.settings.model import Hook, Section, Settings

_HEAD = "# Every setting of refine_hooks with its default. Copy what you change; unknown keys are refused."


def default_toml() -> str:
    """The text of ``config/default.toml``: every setting with its default and what it means."""
    return settings_toml(Settings(), {}, _HEAD)


def settings_toml(settings: Settings, sources: Mapping[str, str], head: str) -> str:
    """Every setting with its value and what it means.

    Args:
        settings: the values.
        sources: for ``section.name``, where a value comes from that is not the default.
        head: the first line.
    """
    lines = [head, ""]
    for name, info in Settings.model_fields.items():
        value = getattr(settings, name)
        if isinstance(value, Section):
            what = (type(value).__doc__ or "").split("\n")[0]
            lines += [f"[{name}]  # {what}", *_table(value, name, sources), ""]
        elif name == "masks":
            lines.append(f"[masks]  # {info.description}")
            lines += [
                f"{_key(one)} = {json.dumps(file)}{_from(sources, f'masks.{one}')}" for one, file in value.items()
            ]
            lines.append("")
        elif not value:
            lines += ["# [[hooks]]   # runs after each round; may be given again"]
            lines += [*(f"# {line}" for line in _table(Hook(), "", {})), ""]
        else:
            for hook in value:
                lines += [f"[[hooks]]{_from(sources, 'hooks')}", *_table(hook, "", {}), ""]
    return "\n".join(lines)


def _key(name: str) -> str:
    return name if name.isascii() else json.dumps(name)


def _from(sources: Mapping[str, str], key: str) -> str:
    return f"  # from {sources[key]}" if key in sources else ""


def _table(section: Section, name: str, sources: Mapping[str, str]) -> list[str]:
    lines = []
    for field, info in type(section).model_fields.items():
        value: Any = getattr(section, field)
        text = json.dumps(list(value) if isinstance(value, tuple) else value)
        choices = get_args(info.annotation) if get_origin(info.annotation) is Literal else ()
        what = "; ".join(part for part in (info.description or "", " | ".join(choices)) if part)
        source = _from(sources, f"{name}.{field}")
        lines.append(f"{field} = {text}{f'  # {what}' if what else ''}{source}")
    return lines
