"""Settings and the record, built before a measurement begins."""

import os
from importlib import import_module

_SWITCH = "PYDANTIC_DISABLE_PLUGINS"


def build() -> None:
    """Import the models of the settings and of the record without pydantic's search for plugins.

    It reads what is known of every installed package, for a watcher of validation that nobody waits for here. The switch is a
    variable of the environment; it is as it was when this returns, so that no hook and no program that is started sees it.
    """
    before = os.environ.get(_SWITCH)
    os.environ[_SWITCH] = "__all__"
    try:
        for name in ("refine_hooks.settings", "refine_hooks.log.records"):
            import_module(name)
    finally:
        if before is None:
            del os.environ[_SWITCH]
        else:
            os.environ[_SWITCH] = before
