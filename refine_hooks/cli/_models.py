"""Settings and the record, built before a command measures or reads."""

import os
from importlib import import_module

_SWITCH = "PYDANTIC_DISABLE_PLUGINS"
_MODELS, _FINDINGS = ("refine_hooks.settings", "refine_hooks.log.records"), "refine_hooks.audit.reading"


def build(findings: bool = True) -> None:
    """Import the models of the settings, of the record and of what is found in one without pydantic's search for plugins.

    It reads what is known of every installed package, for a watcher of validation that nobody waits for here. The switch is a
    variable of the environment; it is as it was when this returns, so that no hook and no program that is started sees it.
    """
    before = os.environ.get(_SWITCH)
    os.environ[_SWITCH] = "__all__"
    try:
        for name in (*_MODELS, *((_FINDINGS,) if findings else ())):
            import_module(name)
    finally:
        if before is None:
            del os.environ[_SWITCH]
        else:
            os.environ[_SWITCH] = before
