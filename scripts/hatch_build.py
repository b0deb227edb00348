"""Compile the kernels while the wheel is made, so that the first measurement is as fast as any other.

Where there is no C compiler pip brings one for the build, zig's.
"""

import re
from pathlib import Path
from runpy import run_path
from shutil import rmtree
from sysconfig import get_platform
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_KERNELS = "refine_hooks/kernels"


class Kernels(BuildHookInterface[Any]):
    """Adds the libraries of every kind of this machine's processors to the wheel, whose name then holds the platform."""

    def dependencies(self) -> list[str]:
        """A compiler from pip where there is none."""
        return [] if self._build()["compiler"]() else ["ziglang>=0.12"]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and say what the wheel holds."""
        build = self._build()
        command = build["compiler"]()
        if command is None:
            self.app.display_warning("no C compiler works here: the kernels will be compiled on first use")
            return
        made = self._made()
        for variant in build["variants"]():
            library = build["build"](variant, made, command)
            build_data["force_include"][str(library)] = f"{_KERNELS}/{library.name}"
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{re.sub('[-.]', '_', get_platform())}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove what the wheel holds by now."""
        rmtree(self._made(), ignore_errors=True)

    def _made(self) -> Path:
        return Path(self.directory) / "kernels"

    def _build(self) -> dict[str, Any]:
        return run_path(str(Path(self.root) / _KERNELS / "build.py"))
