"""``measure``: two half maps given by name, measured like a round of a project."""

from importlib import import_module
from pathlib import Path
from threading import Thread
from typing import Any

from refine_hooks import measure
from refine_hooks.cli._options import named_masks
from refine_hooks.errors import RefineHooksError, SettingsError
from refine_hooks.files.maps import read_given_map
from refine_hooks.files.mrc import Map
from refine_hooks.files.reading import read_ahead
from refine_hooks.kernels import memory
from refine_hooks.log.folder import Store
from refine_hooks.log.records import RoundRecord
from refine_hooks.measure import NamedMask
from refine_hooks.model import Facts, HalfMaps, Key, Round, fingerprint_of
from refine_hooks.settings import Settings, layers, load_settings, merged
from refine_hooks.sums.symmetry import order_of
from refine_hooks.watch.measure_round import Callbacks, MeasureConfig, measure_round

_EXACTLY = 1e-6


def measure_files(
    half1: Path,
    half2: Path,
    masks: list[str],
    radius_A: float,
    mass_kDa: float,
    out: Path | None,
    config: Path | None,
    full: bool,
    as_json: bool,
    symmetry: str = "",
    voxel_size_A: float = 0.0,
    mask_voxel_size_A: float = 0.0,
    local: bool = False,
) -> None:
    """Measure, print the record or a table, and write everything below ``out`` where one is given.

    Raises:
        RefineHooksError: every fault of the given files at once.
    """
    if symmetry and order_of(symmetry) is None:
        raise SettingsError(f"--symmetry {symmetry!r}: no such point group; write Cn, Dn, T, O or I, such as C4")
    memory.keep()
    overrides: dict[str, Any] = {"fsc": {"full": True}} if full else {}
    overrides |= {"analysis": {"local": "all"}} if local else {}
    settings = load_settings(overrides=overrides, own=merged(layers(config)))
    files = {**settings.masks, **named_masks(masks)}
    voxel_size_A = voxel_size_A or settings.program.voxel_size_A
    halves, named = _read_all(half1.absolute(), half2.absolute(), files, voxel_size_A, mask_voxel_size_A)
    facts = Facts(
        voxel_size_A=halves.half1.voxel_size_A,
        molecular_mass_kDa=mass_kDa or settings.program.molecular_mass_kDa or None,
        sphere_radius_A=radius_A or settings.sphere.radius_A or None,
        symmetry=symmetry.strip().upper() or None,
    )
    fingerprint = fingerprint_of(Path.cwd(), [half1.absolute(), half2.absolute()])
    round_ = Round(Key(run="measure", iteration=0, class_id=1), "files", half1.stem, fingerprint, facts)
    if not as_json:  # what shows the round is imported while it is measured
        Thread(target=import_module, args=["refine_hooks.report.text"], daemon=True).start()
    record = _measured(round_, halves, named, settings, out)
    if as_json:
        print(record.model_dump_json())
        return
    from refine_hooks.report.text import show_round

    show_round(record)


def _measured(
    round_: Round, halves: HalfMaps, masks: list[NamedMask], settings: Settings, out: Path | None
) -> RoundRecord:
    keep = out is not None
    store = Store((out or Path.cwd()).absolute(), int(settings.keep.min_free_GB * 1e9) if keep else 0)
    if keep:
        store.make()
        store.require_own_folders()
    given = Callbacks(half_maps=lambda _: halves, masks=lambda *_: masks)
    record = measure_round(MeasureConfig(settings, store, keep), round_, None, given)
    assert record is not None
    if keep:
        _keep(store, record, settings)
    return record


def _keep(store: Store, record: RoundRecord, settings: Settings) -> None:
    """Append a round to the log of its folder, and tell whoever is to learn of it."""
    from refine_hooks.log import copies
    from refine_hooks.log import file as journal
    from refine_hooks.notify.observers import Observers
    from refine_hooks.report.view import LogView

    copies.copy_line(store, record, journal.spelled(record))
    journal.append(store.log, [record])
    view = LogView.of(store.log, settings)
    view.index.refresh()
    observers = Observers(view, store)
    observers.of_round(record)
    observers.wait()


def _read_all(
    half1: Path, half2: Path, files: dict[str, str], voxel_size_A: float, mask_voxel_size_A: float
) -> tuple[HalfMaps, list[NamedMask]]:
    """All maps, or all their faults at once."""
    faults: list[str] = []
    maps: dict[Path, Map] = {}
    read_ahead([half1, half2, *(Path(file) for file in files.values())])
    for path in (half1, half2):
        try:
            maps[path] = read_given_map(path, voxel_size_A or None)
        except RefineHooksError as error:
            faults += error.faults
    masks = []
    for name, file in files.items():
        path = Path(file)
        try:
            reference = next(iter(maps.values()), None)
            if reference is None:
                read_given_map(path, mask_voxel_size_A or 1.0)  # its own faults, with those of the half maps
            else:
                masks.append(measure.read_users_mask(name, path, reference, mask_voxel_size_A))
        except RefineHooksError as error:
            faults += error.faults
    if faults:
        raise RefineHooksError(*faults)
    notes = () if voxel_size_A else _doubts(half1, maps[half1].voxel_size_A)
    return HalfMaps(maps[half1], maps[half2], "found", (half1, half2), notes=notes), masks


def _doubts(path: Path, voxel_size_A: float) -> tuple[str, ...]:
    if abs(voxel_size_A - 1) > _EXACTLY:
        return ()
    return (
        f"{path}: its header states voxels of exactly 1 A, as programs write that do not know them; every resolution here is "
        "wrong by the same factor if that is not so: say the voxel size with --voxel-size",
    )
