"""Whether a file of EMAN2 is whole, in a project that is looked at again and again."""

from pathlib import Path

from refine_hooks.errors import RefineHooksError
from refine_hooks.files.hdf import read_hdf_header
from refine_hooks.programs._reading import Memory


def whole_hdf(path: Path, memory: Memory) -> bool:
    """Whether an EMAN2 file can be opened and holds a map; HDF5 itself refuses a file that is shorter than it should be."""
    try:
        memory.file(read_hdf_header, path)
    except (RefineHooksError, OSError):
        return False
    return True
