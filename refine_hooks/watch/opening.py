"""A watch of a folder, with the settings of everybody who has a say in it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from refine_hooks.errors import RefineHooksError, SettingsError
from refine_hooks.files.maps import stated_voxel_size_A
from refine_hooks.log.folder import OUT_NAME, Store
from refine_hooks.programs import claim
from refine_hooks.settings import layers, load_settings, merged
from refine_hooks.watch.config import Measurer, untold
from refine_hooks.watch.state import Watch


def open_watch(
    project: Path,
    out: Path | None,
    config: Path | None,
    program: str,
    overrides: dict[str, Any],
    in_watch: bool,
    progress: Callable[[int, int], None] = untold,
    inserting: Callable[[int, int], None] = untold,
    measurer: Measurer | None = None,
) -> Watch:
    """A watch of ``project`` with all its settings; nothing is written yet.

    Args:
        project: its folder.
        out: where everything is written; ``refine_hooks`` in the project where None.
        config: a settings file laid over all others.
        program: the refinement program, where the folder does not tell.
        overrides: settings laid over that file, table by table.
        in_watch: whether it is watched, not only measured as it is: rounds are not reconstructed then unless that is asked for.
        progress: learns how many rounds are done, and of how many.
        inserting: the same, of particles.
        measurer: who measures; this process where None.

    Raises:
        RefineHooksError: not a project, wrong settings, a mask that is not there.
    """
    project = project.absolute()
    own = merged(layers(config, project))
    early = load_settings(overrides=overrides, own=own)
    wanted = program or early.program.name or ("generic" if early.generic.half1 else "")
    name, adapter = claim(project, wanted)
    settings = load_settings(None, name, overrides, own)
    _require_files(settings.masks)
    when = settings.reconstruct.when
    store = Store((out or project / OUT_NAME).absolute(), int(settings.keep.min_free_GB * 1e9))
    return Watch.of(
        project,
        name,
        adapter,
        settings,
        store,
        reconstruct=("never" if in_watch else "missing") if when == "auto" else when,
        progress=progress,
        inserting=inserting,
        measurer=measurer,
    )


def _require_files(masks: dict[str, str]) -> None:
    """Check that every mask of the user is a map, before hours of work without it."""
    faults: list[str] = []
    for name, file in masks.items():
        try:
            stated_voxel_size_A(Path(file))
        except RefineHooksError as error:
            faults += [f"mask {name}: {fault}" for fault in error.faults]
    if faults:
        raise SettingsError(*faults)
