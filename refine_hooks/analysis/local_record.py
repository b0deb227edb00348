"""The local resolution of a round under its mask, as the log holds it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from refine_hooks.analysis.domains import domains, filled
from refine_hooks.analysis.local import Labels, local_resolution
from refine_hooks.analysis.local_body import body_of
from refine_hooks.analysis.local_parts import PartReading
from refine_hooks.files.mrc import Map, Volume
from refine_hooks.log.local import LocalChange, LocalPart
from refine_hooks.log.local import LocalResolution as LocalRecord
from refine_hooks.log.masks import AutomaskParameters, MaskRecord, SphereParameters
from refine_hooks.model import Key

_PERCENTILES = (5, 25, 50, 75, 95)
_BIN = 0.05  # of a bin's resolution: its width
_CHANGED = 0.05
_PLACE_ERROR = 0.12  # of nine of ten places, and of 95 of 100 in nearly all phantoms of scripts/local-panel
_NO_AUTOMASK = "without an automask the particle is not told apart from the solvent in the mask"
_SPAN = (0.5, 99.5)  # percentiles that the histogram begins and ends at


@dataclass(frozen=True, slots=True)
class LocalMeasured:
    """What goes into the record, and the map, whose voxels are a whole number of the half maps' voxels wide."""

    record: LocalRecord
    map: Map


def measured_locally(
    half1: Map,
    half2: Map,
    mask: Volume,
    about: MaskRecord,
    *,
    overall_A: float,
    threshold: float = 0.143,
    symmetry_order: int = 1,
    between: Callable[[], object] = bool,
) -> LocalMeasured | None:
    """Local resolution and that of the parts; None where the mask holds no particle, or no place has a resolution.

    Args:
        half1: unmasked half map.
        half2: the other one.
        mask: in which the particle lies [z, y, x].
        about: what is known of it.
        overall_A: resolution of the whole.
        threshold: level of the FSC.
        symmetry_order: how many operators the imposed point group has.
        between: called again and again; what it raises ends the work.
    """
    body = body_of(mask, half1.voxel_size_A, solvent_about_A(about))
    parts = domains(body, half1.voxel_size_A)
    found = local_resolution(
        half1.voxels,
        half2.voxels,
        half1.voxel_size_A,
        parts,
        overall_A=overall_A,
        threshold=threshold,
        symmetry_order=symmetry_order,
        between=between,
    )
    if found is None or not (found.resolution_A > 0).any():
        return None
    values = found.resolution_A[found.resolution_A > 0].astype(np.float64)
    low, first, middle, third, high = np.percentile(values, _PERCENTILES).tolist()
    edges, shares = _histogram(values)
    record = LocalRecord(
        mask=about.name,
        threshold=threshold,
        voxel_size_A=found.voxel_size_A,
        places=len(values),
        finest_A=low,
        quartiles_A=(first, middle, third),
        coarsest_A=high,
        histogram_from_A=edges,
        histogram_share=shares,
        not_stated=max(0.0, 1 - float(np.count_nonzero(body)) / float(mask.sum(dtype=np.float64))),
        beyond_nyquist=float(found.finer.sum() / len(values)),
        place_error=_PLACE_ERROR,
        parts=_parts(parts, half1.voxel_size_A, found.parts),
        note=None if isinstance(about.parameters, AutomaskParameters) else _NO_AUTOMASK,
    )
    return LocalMeasured(record, Map(found.resolution_A, found.voxel_size_A, half1.origin_A))


def solvent_about_A(about: MaskRecord) -> float:
    """How much solvent a mask has between the particle's surface and the contour where it is 1/2; its own soft edge at least."""
    parameters = about.parameters
    if isinstance(parameters, AutomaskParameters):
        return parameters.reach_A or 0.0
    return parameters.edge_A / 2 if isinstance(parameters, SphereParameters) else 0.0


def _histogram(values: NDArray[np.float64]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    low, high = np.log(np.percentile(values, _SPAN))
    bins = max(1, int(np.ceil((high - low) / _BIN)))
    edges = np.exp(low + _BIN * np.arange(bins + 1))
    counts, _ = np.histogram(np.clip(values, edges[0], edges[-1]), edges)
    return tuple(edges.tolist()), tuple((counts / len(values)).tolist())


def _parts(labels: Labels, voxel_size_A: float, readings: tuple[PartReading, ...]) -> tuple[LocalPart, ...]:
    box = filled(labels > 0)
    assert box is not None
    found, cut = [], labels[box]
    total = float(np.count_nonzero(cut))
    for number, reading in enumerate(readings, 1):
        count, within = _counted(cut == number)
        z, y, x = ((within + [one.start for one in box] - len(labels) // 2) * voxel_size_A).tolist()
        found.append(
            LocalPart(
                number=number,
                volume_share=count / total,
                at_A=(x, y, z),
                resolution_A=reading.resolution_A,
                interval_A=reading.interval_A,
                state=reading.state,
            )
        )
    return tuple(found)


def _counted(inside: NDArray[np.bool_]) -> tuple[int, NDArray[np.float64]]:
    """How many voxels, and their middle z, y, x."""
    plane = inside.sum(axis=0, dtype=np.int32)
    along = [np.array([np.count_nonzero(one) for one in inside]), plane.sum(axis=1), plane.sum(axis=0)]
    count = int(along[0].sum())
    return count, np.array([values @ np.arange(len(values)) / count for values in along])


def changed(record: LocalRecord, now: Map, before: Map, against: Key) -> LocalRecord:
    """The record with what became of each place since the former round; as it is where the maps share no place."""
    if not np.allclose(now.origin_A, before.origin_A, atol=0.05 * now.voxel_size_A):
        return record
    at = np.argwhere(now.voxels > 0)
    there = np.rint(at * (now.voxel_size_A / before.voxel_size_A)).astype(np.int64)
    inside = (there < before.voxels.shape[0]).all(axis=1)
    at, there = at[inside], there[inside]
    new, old = now.voxels[tuple(at.T)].astype(np.float64), before.voxels[tuple(there.T)].astype(np.float64)
    new, old = new[old > 0], old[old > 0]
    if not len(new):
        return record
    change = LocalChange(
        against=against,
        median_A=float(np.median(new - old)),
        better=float((new < old * (1 - _CHANGED)).mean()),
        worse=float((new > old * (1 + _CHANGED)).mean()),
    )
    return record.model_copy(update={"change": change})
