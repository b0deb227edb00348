"""Reading the masks that a user names: the header's voxel size is doubted where it cannot be meant."""

from pathlib import Path

from refine_hooks import masks
from refine_hooks.files.maps import read_given_map, stated_voxel_size_A
from refine_hooks.files.mrc import Map, same_voxel_size
from refine_hooks.measure.under import NamedMask


def read_users_mask(name: str, path: Path, half: Map, voxel_size_A: float = 0.0) -> NamedMask:
    """A mask file for half maps like ``half``.

    Programs leave a voxel size of 1 A, a cell of 1 A or nothing at all in the headers of masks. Such a header says nothing: the
    mask then has the half maps' voxel size, provided that it has their box.

    Args:
        name: of the mask.
        path: its file.
        half: one of the half maps.
        voxel_size_A: of the mask, where the user says it; 0 for the header's.

    Raises:
        NotReadyError, MapError: the file cannot be read.
    """
    stated_A = voxel_size_A or stated_voxel_size_A(path)
    fits = same_voxel_size(stated_A, half.voxel_size_A)
    if voxel_size_A or fits:
        return NamedMask(name, read_given_map(path, voxel_size_A or None), path)
    mask = read_given_map(path, half.voxel_size_A if masks.says_nothing(stated_A, half.box_px) else None)
    if stated_A <= 0 or mask.voxel_size_A != half.voxel_size_A or mask.box_px != half.box_px:
        return NamedMask(name, mask, path)
    note = (
        f"{path}: its header states voxels of {stated_A:g} A, as a program writes that does not know them; the mask has the half "
        f"maps' box, so their {half.voxel_size_A:g} A are taken; where that is not right, correct the header"
    )
    return NamedMask(name, mask, path, note=note)
