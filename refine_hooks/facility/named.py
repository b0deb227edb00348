"""Which project the present thread works for: messages begin with it where one process watches several."""

from contextvars import ContextVar

PROJECT: ContextVar[str] = ContextVar("PROJECT", default="")


def named(text: str) -> str:
    """A message with the project in front that this thread works for."""
    project = PROJECT.get()
    return f"{project}: {text}" if project and not text.startswith(project) else text
