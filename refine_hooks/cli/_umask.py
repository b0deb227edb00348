"""The rights of what a command writes."""

import os

from refine_hooks.settings import Settings


def obey_umask(settings: Settings) -> None:
    """Let what this process writes have the rights that the settings want."""
    if settings.files.umask:
        os.umask(int(settings.files.umask, 8))
