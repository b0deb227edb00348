"""Unfiltered half maps, an automask and a traceable FSC for every round of a cryo-EM refinement.

The names for scripts and notebooks are listed in ``__init__.pyi``, once; all others may move. They are loaded when they are first
used (scientific-python's SPEC 1): the hooks inside a refinement's loop import this package, and may not cost a thing.
"""

from typing import Any

from refine_hooks._version import __version__ as __version__


def __getattr__(name: str) -> Any:
    if name == "__all__":
        return sorted(_listed())
    module = None if name.startswith("_") else _listed().get(name)
    if module is None:
        raise AttributeError(f"module 'refine_hooks' has no attribute {name!r}")
    from importlib import import_module

    import_module("refine_hooks.api")
    found = getattr(import_module(module), name)
    globals()[name] = found
    return found


def _listed() -> dict[str, str]:
    """The module of each listed name."""
    import ast
    from importlib.resources import files

    text = (files("refine_hooks") / "__init__.pyi").read_text(encoding="utf-8")
    return {
        name.name: str(node.module)
        for node in ast.parse(text).body
        if isinstance(node, ast.ImportFrom)
        for name in node.names
        if not name.name.startswith("_")
    }


def __dir__() -> list[str]:
    return sorted({*globals(), *_listed()})
