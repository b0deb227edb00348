"""The resolution of each place of the particle."""

from dataclasses import dataclass

from numpy.typing import ArrayLike

from refine_hooks.analysis.local_record import measured_locally
from refine_hooks.api.arrays import as_pair
from refine_hooks.errors import MapError, SettingsError
from refine_hooks.files.mrc import Map, Volume
from refine_hooks.log.local import LocalResolution
from refine_hooks.log.masks import MaskRecord
from refine_hooks.masks import automask as made_mask
from refine_hooks.sums.symmetry import order_of


@dataclass(frozen=True, slots=True)
class LocalMap:
    """What `local_resolution` gives.

    Attributes:
        values: resolutions in Angstrom on a coarser grid, float32 [z, y, x]; 0 in the solvent and at the mask's edge.
        voxel_size_A: from one place to the next; the first place is the first voxel of the half maps.
        record: quartiles, histogram and the resolution of each part, as a round of a log has them.
    """

    values: Volume
    voxel_size_A: float
    record: LocalResolution


def local_resolution(
    half1: ArrayLike,
    half2: ArrayLike,
    voxel_size_A: float,
    *,
    resolution_A: float,
    mask: ArrayLike | None = None,
    threshold: float = 0.143,
    symmetry: str = "C1",
) -> LocalMap:
    """Where the FSC of the surroundings of each place falls to the threshold.

    With windows as in Cardone, Heymann & Steven 2013 (doi:10.1016/j.jsb.2013.08.002), in bands and all places at once.

    Args:
        half1: unfiltered, unmasked half map [z, y, x].
        half2: of the same shape.
        voxel_size_A: edge of a voxel.
        resolution_A: of the whole, which sets how far places lie apart.
        mask: where the particle is [z, y, x], as tight as the particle; an automask is made where None, whose margin is known.
        threshold: level of the FSC.
        symmetry: imposed point group.

    Raises:
        MapError: arrays that do not fit each other, no mask can be made, or no place has a resolution.
        SettingsError: there is no such point group.
    """
    one, two = as_pair(half1, half2)
    order = order_of(symmetry)
    if order is None:
        raise SettingsError(f"symmetry {symmetry!r}: no such point group; write Cn, Dn, T, O or I, such as C4")
    about = MaskRecord(name="given", role="user", volume_A3=0.0, volume_fraction=0.0)
    values = None if mask is None else as_pair(half1, mask, "mask")[1]
    if values is None:
        made = made_mask(one, two, voxel_size_A)
        values = made.values
        if values is None:
            raise MapError(made.note or "no mask can be made from these half maps")
        about = about.model_copy(update={"name": "automask", "role": "automask", "parameters": made.parameters})
    found = measured_locally(
        Map(one, voxel_size_A),
        Map(two, voxel_size_A),
        values,
        about,
        overall_A=resolution_A,
        threshold=threshold,
        symmetry_order=order,
    )
    if found is None:
        raise MapError("no place in the mask has a resolution")
    return LocalMap(found.map.voxels, found.map.voxel_size_A, found.record)
