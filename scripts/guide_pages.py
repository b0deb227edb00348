"""The pages of the guide that are made from the code: log fields, rules, settings, commands, the names for Python."""

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator
from typing import Any

from pydantic import BaseModel

import refine_hooks
from refine_hooks.audit import all_texts
from refine_hooks.audit.reading import Finding, Limit
from refine_hooks.cli._help import command_names, help_of
from refine_hooks.guide import KINDS, pages
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
    parts.append(_read_off_records())
    return "\n\n".join(parts) + "\n"


def _read_off_records() -> str:
    """What is no field of the log: it follows from a record, and is found anew whenever one is read."""
    parts = [
        "## What is read off a record\n\nNo line holds what follows from a record: it is found when the record is read, so that "
        "an old log is judged by the rules of today. `audit --json` and `audit_log` give each [finding](rules.md) as a `Finding`; "
        "`show --json` gives, beside the fields of each record, `limits`: what limits the resolution now, a `Limit` each, as "
        "`what_limits` does (`explanation/what-would-help`). `export --as json` writes the record alone."
    ]
    for model in (Finding, Limit):
        rows = "\n".join(_rows(model.model_json_schema(mode="serialization")))
        parts.append(
            f"### {model.__name__}\n\n{inspect.getdoc(model)}\n\n| field | what it holds | |\n|---|---|---|\n{rows}"
        )
    return "\n\n".join(parts)


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


# Names of types that are the source's own.
_SAID = {"_Given": "ArrayLike | Path | str", "NDArray[np.float64]": "NDArray[float64]", "Volume": "NDArray[float32]"}
_ELSEWHERE = {
    "Settings": "Its fields are the [settings](settings.md).",
    "RoundRecord": "Its fields are those of the [log](log.md#roundrecord).",
    "Failed": "Its fields are those of the [log](log.md#failed).",
}


def api_page() -> str:
    """Every public name with its arguments and its docstring."""
    parts = [
        f"# Python: every name\n\n{_MADE}\nFor how they are used, with examples, see [Python](python.md). What is not listed here "
        "may move."
    ]
    for name in refine_hooks.__all__:
        found = getattr(refine_hooks, name)
        lines = [f"{name}{_signature(found)}", *(f"    {line}".rstrip() for line in _doc(found).splitlines())]
        for each, member in _members(found):
            lines += [
                "",
                f"    .{each}{_signature(member)}",
                *(f"        {one}".rstrip() for one in _doc(member).splitlines()),
            ]
        parts.append(f"## {name}\n\n```text\n" + "\n".join(lines) + "\n```")
        if name in _ELSEWHERE:
            parts.append(_ELSEWHERE[name])
    return "\n\n".join(parts) + "\n"


def _doc(found: Any) -> str:
    text = inspect.getdoc(found) or ""
    if isinstance(found, type) and issubclass(found, BaseModel) and found.__name__ not in _ELSEWHERE:
        told = (
            f"    {name}: {field.description or _type_of(field.annotation)}."
            for name, field in found.model_fields.items()
            if not field.exclude
        )
        text += "\n\nAttributes:\n" + "\n".join(told)
    return text


def _type_of(annotation: Any) -> str:
    return (
        getattr(annotation, "__name__", "") if isinstance(annotation, type) else str(annotation).replace("typing.", "")
    )


def _signature(found: Any) -> str:
    """Arguments and result as they are written in the source; nothing of a class or an attribute."""
    if isinstance(found, property | type):
        return ""
    node = ast.parse(textwrap.dedent(inspect.getsource(found))).body[0]
    assert isinstance(node, ast.FunctionDef)
    given = [one for one in _arguments(node.args) if one != "self"]
    result = f" -> {ast.unparse(node.returns) if node.returns else None}"
    text = f"({', '.join(given)}){result}"
    if len(text) > 90:
        text = "(" + "".join(f"\n        {one}," for one in given) + f"\n    ){result}"
    for name, meaning in _SAID.items():
        text = text.replace(name, meaning)
    return text.replace("'", '"')


def _arguments(given: ast.arguments) -> Iterator[str]:
    defaults = [None] * (len(given.args) - len(given.defaults)) + [*given.defaults]
    yield from (_argument(one, default) for one, default in zip(given.args, defaults, strict=True))
    if given.vararg or given.kwonlyargs:
        yield f"*{_argument(given.vararg, None) if given.vararg else ''}"
    yield from (_argument(one, default) for one, default in zip(given.kwonlyargs, given.kw_defaults, strict=True))
    if given.kwarg:
        yield f"**{_argument(given.kwarg, None)}"


def _argument(one: ast.arg, default: ast.expr | None) -> str:
    text = one.arg + (f": {ast.unparse(one.annotation)}" if one.annotation else "")
    return text if default is None else f"{text} = {'...' if isinstance(default, ast.Lambda) else ast.unparse(default)}"


def _members(found: Any) -> Iterator[tuple[str, Any]]:
    """What a class of ours offers beside its fields."""
    if isinstance(found, type):
        yield from (
            (name, member)
            for name, member in vars(found).items()
            if not name.startswith(("_", "model_"))
            and (isinstance(member, property) or inspect.isfunction(member))
            and _doc(member)
        )


def pages_table() -> str:
    """The README's table of the guide's pages."""
    rows = [
        f"| {kind.replace('-', ' ')} | "
        + " · ".join(
            f"[{page.title}](refine_hooks/guide/{kind}/{page.name}.md)"
            for page in pages().values()
            if page.kind == kind
        )
        + " |"
        for kind in KINDS
    ]
    return "| | |\n|---|---|\n" + "\n".join(rows)


PAGES: dict[str, Callable[[], str]] = {
    "api": api_page,
    "commands": commands_page,
    "log": log_page,
    "rules": rules_page,
    "settings": settings_page,
}
