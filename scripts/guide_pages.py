"""The pages of the guide that are made from the code: log fields, rules, settings, commands."""

from collections.abc import Callable, Iterator
from typing import Any

from refine_hooks.audit import all_texts
from refine_hooks.cli._help import command_names, help_of
from refine_hooks.log.records import json_schema
from refine_hooks.settings import default_toml

_MADE = "<!-- written by scripts/write-config; do not edit -->\n"
_LINES = {"Start": "start", "RoundRecord": "round", "Failed": "failed", "Stop": "stop"}
_EXITS = """
| exit code | meaning |
|---|---|
| 0 | done |
| 1 | the input or the disk is at fault; the message says what, where, and what to do |
| 2 | the command line cannot be used |
| 3 | a bug of refine_hooks: please report it with the lines that it prints |
| 4 | findings at `--fail-on` |
| 130 | interrupted |
"""


def commands_page() -> str:
    """Every command with its help, as the program prints it."""
    parts = [f"# Commands\n\n{_MADE}{_EXITS}", f"```text\n{help_of('')}```"]
    parts += [f"## {name}\n\n```text\n{help_of(name)}```" for name in command_names()]
    return "\n\n".join(parts) + "\n"


def settings_page() -> str:
    """Every setting with its default."""
    return f"""# Settings

{_MADE}
`refine-hooks check-config` prints every setting with its value and where it comes from. From the lowest to the highest: these
defaults, those for the program, `/etc/refine_hooks.toml`, `~/.config/refine_hooks/config.toml`, `PROJECT/refine_hooks.toml`, the
environment (`REFINE_HOOKS_FSC_THRESHOLD=0.5` is `threshold` of `[fsc]`), `--config FILE`, and the options of a command. Keys that
are not known are refused.

```toml
{default_toml()}```
"""


def rules_page() -> str:
    """Every kind of finding, in the words that the page and the audit use."""
    parts = [
        f"# What the audit finds\n\n{_MADE}\nThe limits of the rules are in `[audit]` of the [settings](settings.md)."
    ]
    for one in sorted(all_texts().values()):
        told = [f"**{one.title}.**", *(text for text in (one.why,) if text)]
        parts.append(f"## {one.name}\n\n{' '.join(told)}" + (f"\n\nWhat to do: {one.do}" if one.do else ""))
    return "\n\n".join(parts) + "\n"


def log_page() -> str:
    """Every field of the log, from its JSON Schema."""
    models: dict[str, Any] = json_schema()["$defs"]
    parts = [
        f"# Fields of the log\n\n{_MADE}\n`rounds.jsonl` holds one JSON object a line; `type` says which: "
        "`start`, `round`, `failed` or `stop`. Lengths are in Å (`_A`), frequencies in Å⁻¹ (`_per_A`), masses in kDa, times in s. "
        "There is no NaN: what is not defined is `null`. A field that is left out has its default. The schema itself: "
        "`refine-hooks schema`."
    ]
    order = [*(name for name in _LINES if name in models), *(name for name in models if name not in _LINES)]
    for name in order:
        model = models[name]
        kind = f" A line whose `type` is `{_LINES[name]}`." if name in _LINES else ""
        rows = "\n".join(_rows(model))
        about = (model.get("description") or "").split("\n\n")[0].replace("\n", " ")
        if rows:
            parts.append(f"## {name}\n\n{about}{kind}\n\n| field | what it holds | |\n|---|---|---|\n{rows}")
    return "\n\n".join(parts) + "\n"


def _rows(model: dict[str, Any]) -> Iterator[str]:
    for name, field in model.get("properties", {}).items():
        yield f"| `{name}` | {_kind(field)} | {field.get('description', '')} |"


def _kind(field: dict[str, Any]) -> str:
    """A type of JSON Schema in words."""
    if "$ref" in field:
        name = field["$ref"].rsplit("/", 1)[1]
        return f"[{name}](#{name.lower()})"
    if "const" in field or "enum" in field:
        return ", ".join(f"`{value}`" for value in field.get("enum", [field.get("const")]))
    if "anyOf" in field or "oneOf" in field:
        return " or ".join(_kind(one) for one in field.get("anyOf") or field["oneOf"])
    kind = field.get("type", "anything")
    if kind == "array":
        each = field.get("prefixItems")
        return (
            f"list of {len(each)}: {', '.join(map(_kind, each))}"
            if each
            else f"list of {_kind(field.get('items', {}))}"
        )
    return {"null": "null", "integer": "whole number", "string": field.get("format", "text")}.get(kind, kind)


PAGES: dict[str, Callable[[], str]] = {
    "commands": commands_page,
    "log": log_page,
    "rules": rules_page,
    "settings": settings_page,
}
