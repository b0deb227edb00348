"""Two half maps, as arrays or files, measured as ``refine-hooks measure`` measures them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from numpy.typing import ArrayLike

from refine_hooks.api.arrays import as_volume
from refine_hooks.errors import MapError, RefineHooksError, SettingsError
from refine_hooks.files.maps import read_given_map
from refine_hooks.files.mrc import Map, Volume
from refine_hooks.log.records import HalfMapsRecord, RoundRecord
from refine_hooks.measure import NamedMask, measure_halves, read_users_mask, require_compatible, round_record
from refine_hooks.model import Facts, Fingerprint, HalfMaps, Key, Round
from refine_hooks.settings import Settings
from refine_hooks.sums.symmetry import order_of

_Given = ArrayLike | Path | str


@dataclass(frozen=True, slots=True)
class MeasuredPair:
    """What `measure_half_maps` gives.

    Attributes:
        record: curves, masks, checks and headline, as a line of a log has them.
        masks: float32 [z, y, x] by name.
        average: of the half maps, float32 [z, y, x].
    """

    record: RoundRecord
    masks: Mapping[str, Volume]
    average: Volume

    @property
    def resolution_A(self) -> float | None:
        """Of the headline curve; None where there is none, see ``record.headline_withheld``."""
        curve = self.record.headline_curve()
        return curve.resolution_A if curve else None

    def _repr_html_(self) -> str:
        return self.record._repr_html_()


def measure_half_maps(
    half1: _Given,
    half2: _Given,
    voxel_size_A: float | None = None,
    *,
    masks: Mapping[str, _Given] | None = None,
    symmetry: str = "",
    sphere_radius_A: float | None = None,
    molecular_mass_kDa: float | None = None,
    settings: Settings | None = None,
) -> MeasuredPair:
    """Masks, curves, checks and the headline of two half maps, as ``refine-hooks measure`` has them.

    Args:
        half1: unfiltered, unmasked half map: a file, or an array [z, y, x].
        half2: the other one.
        voxel_size_A: edge of a voxel; needed for arrays, instead of the header's for files.
        masks: further masks by name, files or arrays of the same box.
        symmetry: imposed point group; looked for in the noise where none is given.
        sphere_radius_A: of the spherical mask; the largest that fits where it is not given.
        molecular_mass_kDa: for the curve as cisTEM scales it.
        settings: of masks and curves; the defaults where none are given.

    Raises:
        RefineHooksError: maps that cannot be read or do not belong together, a symmetry that does not exist; all faults at once.
    """
    if symmetry.strip() and order_of(symmetry) is None:
        raise SettingsError(f"symmetry {symmetry!r}: no such point group; write Cn, Dn, T, O or I, such as C4")
    one, two, named = _maps_of(half1, half2, voxel_size_A, masks or {})
    facts = Facts(
        voxel_size_A=one.voxel_size_A,
        molecular_mass_kDa=molecular_mass_kDa,
        sphere_radius_A=sphere_radius_A,
        symmetry=symmetry.strip().upper() or None,
    )
    round_ = Round(Key(run="measure", iteration=0, class_id=1), "arrays", "half maps", Fingerprint(), facts)
    halves = HalfMaps(one, two, "found")
    found = measure_halves(halves, facts, settings or Settings(), named)
    record = round_record(round_, halves, found, HalfMapsRecord(origin="found"), [mask.record for mask in found.masks])
    values = {mask.record.name: mask.values for mask in found.masks if mask.values is not None}
    return MeasuredPair(record, values, found.average)


def _maps_of(
    half1: _Given, half2: _Given, voxel_size_A: float | None, masks: Mapping[str, _Given]
) -> tuple[Map, Map, list[NamedMask]]:
    faults: list[str] = []
    halves: dict[str, Map] = {}
    named: list[NamedMask] = []
    for name, given in {"half1": half1, "half2": half2}.items():
        with _collected(faults):
            halves[name] = _map_of(name, given, voxel_size_A)
            require_compatible(halves[name], halves["half1"], name)
    for name, given in masks.items():
        with _collected(faults):
            named.append(_mask_of(name, given, voxel_size_A, halves.get("half1")))
    if faults:
        raise RefineHooksError(*faults)
    return halves["half1"], halves["half2"], named


@contextmanager
def _collected(faults: list[str]) -> Iterator[None]:
    """Keep what is wrong with one input, and go on to the next; one that needs a missing one says nothing."""
    try:
        yield
    except RefineHooksError as error:
        faults += error.faults
    except KeyError:
        pass


def _mask_of(name: str, given: _Given, voxel_size_A: float | None, half: Map | None) -> NamedMask:
    """A mask for a half map, or for one that cannot be read: then it is looked at by itself."""
    if half is not None and isinstance(given, Path | str):
        mask = read_users_mask(name, Path(given), half, voxel_size_A or 0.0)
    else:
        mask = NamedMask(name, _map_of(f"mask {name}", given, half.voxel_size_A if half else voxel_size_A))
    if half is not None and mask.map is not None:
        require_compatible(mask.map, half, f"mask {name}")
    return mask


def _map_of(name: str, given: _Given, voxel_size_A: float | None) -> Map:
    if isinstance(given, Path | str):
        return read_given_map(Path(given), voxel_size_A)
    volume = as_volume(given, name)
    if voxel_size_A is None or not voxel_size_A > 0:
        raise MapError(f"{name}: an array has no voxel size; give voxel_size_A, in Angstrom")
    return Map(volume, voxel_size_A)
