"""Every error that refine_hooks raises on purpose.

    RefineHooksError            message: what is wrong, where, what to do       exit code 1
    ├── InputError              a file or a value the user gave cannot be used
    │   ├── MapError            an MRC file or a map (truncated, NaN, not cubic, no voxel size)
    │   ├── SumsError           a dump or an array of Fourier sums (missing, torn, of another round)
    │   ├── ParticlesError      a parameter file or a particle stack
    │   └── SettingsError       a TOML file or an option
    ├── ProjectError            a directory is no project, or more than one program claims it
    ├── NotReadyError           what is asked for is being written at this moment: look again later
    └── StorageError            the disk under --out is full, read-only or gone

Anything else that reaches the command line is our own bug (exit code 3).
"""


class RefineHooksError(Exception):
    """Base of all errors whose message is meant for the user; ``faults`` lists every fault found, not only the first."""

    def __init__(self, *faults: str) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(faults))


class InputError(RefineHooksError):
    """A file or a value that the user gave cannot be used."""


class MapError(InputError):
    """An MRC file or a map cannot be used as it is."""


class SumsError(InputError):
    """A file of Fourier sums is missing, torn, or belongs to something else."""


class ParticlesError(InputError):
    """A parameter file or a particle stack cannot be used as it is."""


class SettingsError(InputError):
    """A settings file or an option is wrong."""


class ProjectError(RefineHooksError):
    """A directory is not a project that can be watched."""


class NotReadyError(RefineHooksError):
    """The thing is being written at this moment; looking again later will help."""


class StorageError(RefineHooksError):
    """The place that refine_hooks writes to is full, read-only or gone."""
