"""Compiled modules of other packages, without what those import around them.

scipy.fft and scipy.ndimage each take a fifth of a second to import, of which the compiled module that does the work takes a few
milliseconds; the rest helps arrays that are none of numpy's.
"""

import sys
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType


def compiled(name: str) -> ModuleType:
    """A compiled module by its full name, as the package itself would find it.

    Raises:
        ImportError: this version of the package has none of that name, or keeps it in another way.
    """
    if name in sys.modules:
        return sys.modules[name]
    package, *inside = name.split(".")
    found = find_spec(package)
    for folder in (found.submodule_search_locations or []) if found else []:
        for suffix in EXTENSION_SUFFIXES:
            path = Path(folder, *inside[:-1], inside[-1] + suffix)
            spec = spec_from_file_location(name, path) if path.exists() else None
            if spec and spec.loader:
                module = module_from_spec(spec)
                spec.loader.exec_module(module)
                sys.modules[name] = module
                return module
    raise ImportError(f"no compiled module {name}", name=name)
