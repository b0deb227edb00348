"""The masks that a pair of half maps is measured under: the sphere, the automask, and those that are given."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from refine_hooks import curves, fsc, masks
from refine_hooks.files.mrc import Map, Volume
from refine_hooks.fourier import Curve, Extent, extent
from refine_hooks.log.masks import (
    AutomaskParameters,
    MaskParameters,
    MaskRecord,
    SignalOutside,
    SphereParameters,
    UserParameters,
)
from refine_hooks.measure.pair import Pair, require_same_place
from refine_hooks.model import Facts, MaskRole
from refine_hooks.settings import Settings

if TYPE_CHECKING:
    from refine_hooks.curves.cistem import ScaledCurve


@dataclass(frozen=True, slots=True)
class NamedMask:
    """A mask to measure under: the user's, or the program's own. ``map`` is None when it cannot be had.

    Attributes:
        cistem_edge: soften it as cisTEM does (any voxel above 0 counts, 10 Angstrom cosine edge) before measuring.
        of_a_part: what lies outside it is not asked for: it is of one part of the particle.
    """

    name: str
    map: Map | None
    path: Path | None = None
    role: MaskRole = "user"
    parameters: MaskParameters = field(default_factory=UserParameters)
    note: str | None = None
    cistem_edge: bool = False
    of_a_part: bool = False


@dataclass(frozen=True, slots=True)
class MeasuredMask:
    """A mask's record and its voxels; the caller that writes the file fills in path and hash."""

    record: MaskRecord
    values: Volume | None
    extent: Extent | None = None
    correlated: float = 1.0  # see `fsc.correlated_voxels`; more where the noise is uneven
    together: Curve = field(default_factory=lambda: np.ones(1))  # how the errors of shells 0, 1, 2 .. apart correlate
    correlation: Curve | None = None  # the FSC under it, where it is measured already
    scaled: "ScaledCurve | None" = None  # what cisTEM prints under it, likewise
    softened: bool = False


def _described(
    name: str,
    role: MaskRole,
    values: Volume,
    voxel_size_A: float,
    parameters: MaskParameters,
    note: str | None,
    path: Path | None = None,
    together: Curve | None = None,
    found: Extent | None = None,
) -> MeasuredMask:
    found = found or extent(values)
    record = MaskRecord(
        name=name,
        role=role,
        path=str(path) if path else None,
        volume_A3=found.total * voxel_size_A**3,
        volume_fraction=found.total / values.size,
        sum_of_squares=found.squares,
        parameters=parameters,
        note=note,
    )
    together = fsc.shells_together(values) if together is None else together
    return MeasuredMask(record, values, found, float(together[0]), together / together[0])


def _absent(
    name: str, role: MaskRole, parameters: MaskParameters, note: str | None, path: Path | None = None
) -> MeasuredMask:
    record = MaskRecord(
        name=name,
        role=role,
        path=str(path) if path else None,
        volume_A3=0.0,
        volume_fraction=0.0,
        parameters=parameters,
        note=note,
    )
    return MeasuredMask(record, None)


def sphere_mask(pair: Pair, facts: Facts, settings: Settings) -> tuple[MeasuredMask, list[str]]:
    """The sphere that was asked for, else the program's, else the largest that fits; and notes."""
    edge_A = settings.sphere.edge_A
    largest_A = pair.box_px // 2 * pair.voxel_size_A - edge_A / 2
    asked_A = settings.sphere.radius_A or facts.sphere_radius_A or largest_A
    radius_A, notes = asked_A, []
    if asked_A > largest_A + 1e-3 * pair.voxel_size_A:
        radius_A = max(largest_A, pair.voxel_size_A)
        notes.append(f"a sphere of radius {asked_A:g} A does not fit into the box: {radius_A:g} A is used")
    values = masks.sphere(pair.box_px, pair.voxel_size_A, radius_A, edge_A)
    parameters = SphereParameters(radius_A=radius_A, edge_A=edge_A)
    sphere = _described("sphere", "sphere", values, pair.voxel_size_A, parameters, notes[0] if notes else None)
    return sphere, notes


def with_its_curves(pair: Pair, sphere: MeasuredMask, facts: Facts, settings: Settings) -> MeasuredMask:
    """The sphere with its FSC and, where the mass is known, cisTEM's scaled one; they share a transform if the edge is cisTEM's.

    cisTEM takes the radius that was asked for even where the box cuts that sphere.
    """
    if pair.fault is not None or sphere.values is None or sphere.extent is None:
        return sphere
    mass_kDa = settings.program.molecular_mass_kDa or facts.molecular_mass_kDa
    both, box = (pair.half1.voxels, pair.half2.voxels), sphere.extent.box
    if not mass_kDa:
        return replace(sphere, correlation=fsc.masked_fsc(*both, sphere.values, box))
    from refine_hooks.curves.cistem import scaled_sphere, sphere_curves
    from refine_hooks.masks.cistem import EDGE_A

    radius_A = sphere_sizes(sphere).radius_A
    asked_A = settings.sphere.radius_A or facts.sphere_radius_A or radius_A
    halves = (*both, pair.voxel_size_A, asked_A, mass_kDa)
    if asked_A > radius_A or pair.box_px % 2 or sphere_sizes(sphere).edge_A != EDGE_A or radius_A < EDGE_A / 2:
        own = fsc.masked_fsc(*both, sphere.values, box)
        return replace(sphere, correlation=own, scaled=scaled_sphere(*halves))
    correlation, scaled = sphere_curves(*halves, sphere.values, box=box)
    return replace(sphere, correlation=correlation, scaled=scaled)


def sphere_sizes(sphere: MeasuredMask) -> SphereParameters:
    """How the spherical mask was made."""
    assert isinstance(sphere.record.parameters, SphereParameters)
    return sphere.record.parameters


def automask(pair: Pair, settings: Settings, limit_radius_A: float | None = None) -> list[MeasuredMask]:
    """The automask, with the reason where there is none; nothing where it is switched off.

    Args:
        pair: the half maps.
        settings: of the mask.
        limit_radius_A: of the sphere that the user or the program names; density beyond it is left out.
    """
    if not settings.automask.enabled:
        return []
    if pair.fault is not None:
        return [_absent("automask", "automask", AutomaskParameters(), f"no mask was made: {pair.fault}")]
    claim = None
    if pair.onset_shell is not None:
        claim = masks.Claim(pair.onset_shell, pair.sums, lambda curve: _claimed_shell(curve, pair, settings))
    made = masks.automask(
        pair.half1.voxels,
        pair.half2.voxels,
        pair.voxel_size_A,
        limit_radius_A=limit_radius_A,
        transforms=pair.transforms,
        claim=claim,
        finest_A=pair.box_px * pair.voxel_size_A / pair.valid_shells if pair.valid_shells else 0.0,
    )
    parameters = made.parameters
    if made.values is None:
        return [_absent("automask", "automask", parameters, made.note)]
    described = _described(
        "automask",
        "automask",
        made.values,
        pair.voxel_size_A,
        parameters,
        made.note,
        together=made.together,
        found=made.extent,
    )
    return [replace(described, correlation=made.correlation)]


def _claimed_shell(correlation: Curve, pair: Pair, settings: Settings) -> float | None:
    """The shell of the resolution; the last one with data where the curve stays above the threshold to the end."""
    curve = correlation if pair.valid_shells is None else correlation[: pair.valid_shells + 1]
    resolution_A = curves.resolution_A(curve, pair.frequency_per_A[: len(curve)], settings.fsc.threshold)
    if resolution_A:
        return pair.box_px * pair.voxel_size_A / resolution_A
    return float(len(curve) - 1) if np.all(curve[1:] >= settings.fsc.threshold) else None


def checked_mask(pair: Pair, mask: NamedMask) -> MeasuredMask:
    """A mask that was given, checked and softened as it asks for, with the FSC under it.

    Raises:
        MapError: it cannot be used.
    """
    if mask.map is None:
        return _absent(mask.name, mask.role, mask.parameters, mask.note, mask.path)
    name = str(mask.path or f"the mask {mask.name}")
    if mask.role == "user":  # the program itself went by the voxels alone
        require_same_place(mask.map, pair.half1, name)
    given = np.clip(mask.map.voxels, 0, 1) if mask.cistem_edge else mask.map.voxels
    values, changed = masks.checked(given, mask.map.voxel_size_A, pair.box_px, pair.voxel_size_A, name)
    if mask.cistem_edge:
        from refine_hooks.masks.cistem import apply_mask_soft

        values = apply_mask_soft(values, pair.voxel_size_A)
    note = "; ".join(text for text in (mask.note, changed) if text) or None
    described = _described(mask.name, mask.role, values, pair.voxel_size_A, mask.parameters, note, mask.path)
    box = described.extent.box if described.extent else None
    correlation = fsc.masked_fsc(pair.half1.voxels, pair.half2.voxels, values, box)
    return replace(described, correlation=correlation, softened=mask.cistem_edge)


def with_doubt(mask: MeasuredMask, signal_outside: float | None) -> MeasuredMask:
    """The mask's record with what is odd about a mask that was given: all of the box, inverted, beside the particle."""
    odd = None if mask.values is None else masks.doubt(mask.values, signal_outside)
    if odd is None:
        return mask
    note = "; ".join(text for text in (mask.record.note, odd) if text)
    return replace(mask, record=mask.record.model_copy(update={"note": note}))


def with_signal_outside(pair: Pair, mask: MeasuredMask, automask: MeasuredMask) -> MeasuredMask:
    """The mask's record with the share of the signal that it leaves out, where the automask says where the signal is."""
    if mask.values is None or automask.values is None or automask.record.role != "automask":
        return with_doubt(mask, None)
    found = masks.signal_outside(pair.transforms, pair.box_px, pair.voxel_size_A, mask.values, automask.values)
    if found is None:
        return with_doubt(mask, None)
    x_A, y_A, z_A = (round(length, 1) for length in found.at_A)
    outside = SignalOutside(share=round(found.share, 4), sd=round(found.sd, 4), at_A=(x_A, y_A, z_A))
    measured = replace(mask, record=mask.record.model_copy(update={"signal_outside": outside}))
    return with_doubt(measured, found.share)
