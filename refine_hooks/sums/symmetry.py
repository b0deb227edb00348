"""Rotations of the point groups in the settings of cisTEM and of RELION.

Both programs put the main axis of C and D along z with a twofold along x, and the fourfolds of O along x, y, z. They differ in T
and I: cisTEM's T has its twofolds along the axes and its T2 is RELION's T (a threefold along z); cisTEM's I and I1 are RELION's
I1 (fivefolds nearest to x in the xz plane), and RELION's I is its I2 (fivefolds nearest to z).
"""

import re
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from refine_hooks.errors import SettingsError
from refine_hooks.model import Package

if TYPE_CHECKING:
    from refine_hooks.particles import Helix

Axis = tuple[int, tuple[float, float, float]]

_GOLDEN = (1 + 5**0.5) / 2
_T_ALONG_AXES: tuple[Axis, ...] = ((2, (0, 0, 1)), (3, (1, 1, 1)))
_T_THREEFOLD_Z: tuple[Axis, ...] = ((3, (0, 0, 1)), (2, (0, 2**0.5, 1)))
_O: tuple[Axis, ...] = ((4, (0, 0, 1)), (3, (1, 1, 1)))
_I1: tuple[Axis, ...] = ((2, (0, 0, 1)), (5, (_GOLDEN, 0, 1)), (3, (1, 1, 1)))
_I2: tuple[Axis, ...] = ((2, (0, 0, 1)), (5, (1, 0, _GOLDEN)), (3, (1, 1, 1)))
# Fivefold along z, twofold in the xz plane towards -x (I3); I4 is I3 turned by half a turn about z.
_I3: tuple[Axis, ...] = ((5, (0, 0, 1)), (2, (-1, 0, _GOLDEN)))
_I4: tuple[Axis, ...] = ((5, (0, 0, 1)), (2, (1, 0, _GOLDEN)))
_GROUPS: dict[Package, dict[str, tuple[Axis, ...]]] = {
    "cistem": {
        "T": _T_ALONG_AXES,
        "T1": _T_ALONG_AXES,
        "T2": _T_THREEFOLD_Z,
        "O": _O,
        "O1": _O,
        "I": _I1,
        "I1": _I1,
        "I2": _I2,
    },
    "relion": {"T": _T_THREEFOLD_Z, "O": _O, "I": _I2, "I1": _I1, "I2": _I2, "I3": _I3, "I4": _I4},
}
_EMAN2 = {"TET": "T", "OCT": "O", "ICOS": "I"}
_LARGEST = 60
_SAME_ROTATION = 1e-6


def rotations(symbol: str, package: Package = "cistem") -> NDArray[np.float64]:
    """All rotation matrices of a point group, the identity first, acting on (x, y, z): [operator, 3, 3].

    Args:
        symbol: C1, C4, D7, T, O, I, I2 ... in any case; blanks around it are ignored.
        package: whose setting of T and I is meant.

    Raises:
        SettingsError: no such group, or one with mirrors, which no protein has.
    """
    name = symbol.strip().upper()
    axial = re.fullmatch(r"([CD])0*([1-9]\d{0,3})", name)
    if axial:
        return _axial(int(axial[2]), dihedral=axial[1] == "D")
    # cisTEM reads a number behind the letter, so that T0, O0 and I0 are T, O and I.
    axes = _GROUPS[package].get(re.sub(r"^([TOI])0+$", r"\1", name) if package == "cistem" else name)
    if axes is None:
        known = ", ".join(["Cn", "Dn", *_GROUPS[package]])
        raise SettingsError(
            f"{symbol!r} is no symmetry that can be applied here; {package} knows {known} (groups with mirrors cannot be)"
        )
    return _closed(axes)


@cache
def order_of(symbol: str | None) -> int | None:
    """How many rotations the point group of a symbol has, whoever wrote it; None for one that is not known.

    EMAN2's names of the cubic groups (tet, oct, icos) are known as well.
    """
    if not symbol or not symbol.strip():
        return None
    name = _EMAN2.get(symbol.strip().upper(), symbol)
    packages: tuple[Package, ...] = ("cistem", "relion")
    for package in packages:
        try:
            return len(rotations(name, package))
        except SettingsError:
            continue
    return None


def _axial(n: int, *, dihedral: bool) -> NDArray[np.float64]:
    turns = [turn_about((0, 0, 1), 360.0 * k / n) for k in range(n)]
    flip = np.diag([1.0, -1.0, -1.0])
    return np.array(turns + ([t @ flip for t in turns] if dihedral else []))


def of_helix(helix: "Helix", padded_A: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What a helix does to a Fourier transform: rotations about z [unit, 3, 3], and the phase in radians per step of z [unit].

    The units lie on both sides of the box's middle, as RELION 3 to 5 take them (``BackProjector::applyHelicalSymmetry``).

    Args:
        helix: its rise, twist and how many units of it a box holds.
        padded_A: edge of the box that the transform is of.
    """
    units = np.arange(helix.units) - helix.units // 2
    turns = [turn_about((0, 0, 1), float(-helix.twist_deg * unit)) for unit in units]
    return np.array(turns), np.asarray(-2 * np.pi * units * helix.rise_A / padded_A, np.float64)


def turn_about(axis: Sequence[float], angle_deg: float) -> NDArray[np.float64]:
    """Right-handed rotation about an axis (x, y, z)."""
    x, y, z = np.asarray(axis, np.float64) / np.linalg.norm(axis)
    across = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    angle = np.deg2rad(angle_deg)
    return np.asarray(np.eye(3) + np.sin(angle) * across + (1 - np.cos(angle)) * across @ across)


@cache
def _closed(axes: tuple[Axis, ...]) -> NDArray[np.float64]:
    """The group that rotations about some axes generate; not to be written into."""
    generators = [turn_about(axis, 360.0 / fold) for fold, axis in axes]
    found = [np.eye(3)]
    known = {_rounded(found[0])}
    for one in found:  # which grows meanwhile
        for new in (one @ other for other in generators):
            if _rounded(new) not in known:
                known.add(_rounded(new))
                found.append(new)
        if len(found) > _LARGEST:
            raise AssertionError("these axes do not generate a finite point group")
    group = np.array(found)
    group.setflags(write=False)
    return group


def _rounded(rotation: NDArray[np.float64]) -> bytes:
    return (np.rint(rotation / _SAME_ROTATION) + 0.0).tobytes()
