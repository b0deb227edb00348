"""Numpy, settings and the record, imported before a command measures or reads."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module

# pydantic reads what is known of every installed package, for a watcher of validation that nobody waits for here. The threads of
# numpy's products of matrices wait for each other busily: where a refinement uses the cores, many times as long as the work takes.
_SWITCHES = {"PYDANTIC_DISABLE_PLUGINS": "__all__", "OPENBLAS_NUM_THREADS": "1"}
_MODELS, _FINDINGS = ("numpy", "refine_hooks.settings", "refine_hooks.log.records"), "refine_hooks.audit.reading"


def build(findings: bool = True) -> None:
    """Import numpy without threads of its own, and the models of settings, record and findings without a search for plugins.

    The switches are variables of the environment; they are as they were when this returns, so that no hook and no program that
    starts later sees them.
    """
    with _switched():
        for name in (*_MODELS, *((_FINDINGS,) if findings else ())):
            import_module(name)


@contextmanager
def _switched() -> Iterator[None]:
    before = {name: os.environ.get(name) for name in _SWITCHES}
    os.environ.update(_SWITCHES)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
