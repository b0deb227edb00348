"""What EMDB asks for of one round: two half maps, the mask, the FSC as XML, and a text with the numbers for the form.

EMDB wants half maps that are unfiltered, unmasked, unsharpened and superimposed. Whether they are is not taken on the record's
word: the files are read, and their FSC is measured again and held against the record.
"""

import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from refine_hooks import fsc
from refine_hooks._version import __version__
from refine_hooks.audit import Finding, artefacts
from refine_hooks.audit.halves import duplicates, halves_unlike, how_masked, same_voxels, superimposed
from refine_hooks.audit.limits import alignment_limit
from refine_hooks.audit.reading import measured, values
from refine_hooks.audit.signal import common_signal
from refine_hooks.errors import InputError, RefineHooksError
from refine_hooks.files.atomic import beside
from refine_hooks.files.folders import make_named
from refine_hooks.files.mrc import Map, read_header, read_map, same_voxel_size
from refine_hooks.fourier import transform
from refine_hooks.log.curves import Curve
from refine_hooks.log.folder import Store, path_of, slug
from refine_hooks.log.masks import MaskRecord
from refine_hooks.log.records import HalfMapsRecord, RoundRecord
from refine_hooks.report.export import emdb_xml
from refine_hooks.report.words import origin_words, withheld_words
from refine_hooks.settings import Settings

METHODS = {
    0.143: "FSC 0.143 CUT-OFF",
    0.33: "FSC 0.33 CUT-OFF",
    0.333: "FSC 0.33 CUT-OFF",
    0.5: "FSC 0.5 CUT-OFF",
}  # EMDB's vocabulary for the resolution method
_REFUSED = (
    superimposed,
    duplicates,
    halves_unlike,
    same_voxels,
    common_signal,
    artefacts.voxels_repeated,
    artefacts.voxels_clipped,
    artefacts.outlier_voxels,
    artefacts.hole_in_halves,
    artefacts.pattern_in_halves,
    artefacts.solvent_correlates,
)
_SAME_FSC = 2e-3
# A sphere that touches the box leaves 48 % of a cube; a map that is one constant in more of it was masked more tightly.
_CONSTANT_SHARE = 0.55
_IDENTICAL = 0.9999


@dataclass(frozen=True, slots=True)
class Deposit:
    """A round that can be deposited: what is copied under which name, and the two texts."""

    files: dict[str, Path]
    texts: dict[str, str]


def prepared(record: RoundRecord, folder: Path, findings: tuple[Finding, ...] = ()) -> Deposit:
    """Everything for one round, checked; nothing is written.

    Args:
        record: the round.
        folder: the log's folder, which the record's paths are relative to.
        findings: what the audit says of this round; its warnings go into the text.

    Raises:
        InputError: every reason why these half maps should not be deposited, and what to do about it.
    """
    faults = list(_record_faults(record))
    halves = _paths(record, folder)
    if not faults:
        faults += _file_faults(record, halves)
    curve = record.headline_curve()
    mask = record.mask(curve.mask) if curve is not None and curve.mask else None
    mask_file = None if mask is None or mask.path is None else path_of(folder, mask.path)
    if mask is not None and mask_file is not None:
        faults += _mask_faults(mask, mask_file)
    if faults:
        raise InputError(*faults)
    assert curve is not None
    stem = slug(f"{record.key.run}_{record.label}_class{record.key.class_id}")
    files = {f"{stem}_half_map_{number}.mrc": path for number, path in enumerate(halves, 1)}
    if mask_file is not None:
        files[f"{stem}_mask.mrc"] = mask_file
    xml = f"{stem}_fsc.xml"
    text = "\n".join(_text(record, curve, mask, files, xml, findings)) + "\n"
    return Deposit(files, {xml: emdb_xml(record), f"{stem}_deposition.txt": text})


def write(deposit: Deposit, out: Path, overwrite: bool = False, min_free_bytes: int = 0) -> list[Path]:
    """Copy and write everything into ``out``, where so much stays free; returns the files.

    Raises:
        InputError: files of these names are there already, and ``overwrite`` is not set.
        StorageError: less than ``min_free_bytes`` would stay free, or the disk is read-only or gone.
    """
    names = [*deposit.files, *deposit.texts]
    there = [str(out / name) for name in names if (out / name).exists()]
    if there and not overwrite:
        raise InputError(*(f"{name}: is there already; name another folder, or give --overwrite" for name in there))
    Store(out, min_free_bytes).require_room(sum(path.stat().st_size for path in deposit.files.values()))
    make_named(out)
    for name, path in deposit.files.items():
        with beside(out / name) as temporary:
            shutil.copyfile(path, temporary)
    for name, text in deposit.texts.items():
        with beside(out / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return [out / name for name in names]


def _record_faults(record: RoundRecord) -> Iterator[str]:
    """What the record itself says against these half maps."""
    key, halves = record.key, record.half_maps
    if halves is None:
        yield f"{key}: has no half maps; 'refine-hooks once PROJECT --reconstruct missing' makes them from the particles"
        return
    if halves.origin == "regularised":
        yield (
            f"{key}: its half maps are filtered{f', and masked by {halves.masked_by}' if halves.masked_by else ''}: EMDB wants "
            "them as they came out of the reconstruction. Deposit a round whose half maps are found, merged or reconstructed"
        )
    yield from _check_faults(record)
    if halves.paths is None:
        yield f"{key}: its half maps were removed by the [keep] settings; measure it again with keep.half_maps = 'all'"
    if halves.joined_below_A is not None:
        yield (
            f"{key}: its half maps are one map up to {halves.joined_below_A:g} A, so they are not "
            "independent there. Deposit the run's last round, whose halves are not joined, or reconstruct this one from its "
            "particles"
        )
    curve = record.headline_curve()
    if halves.origin != "regularised" and curve is None:
        why = withheld_words(record).rstrip(".") or "no curve of these half maps was measured"
        yield f"{key}: {why[0].lower()}{why[1:]}: there is no FSC to deposit"


def _check_faults(record: RoundRecord) -> Iterator[str]:
    """What was found when the halves were tested: EMDB wants them superimposed, unmasked and independent."""
    halves = record.half_maps
    if halves is not None and halves.origin != "regularised" and halves.masked in ("sphere", "mask"):
        yield (
            f"{record.key}: its half maps were multiplied by a {halves.masked} before, {how_masked(record)}, and EMDB wants "
            "them unmasked. Deposit half maps as they came out of the reconstruction"
        )
    for finding in alignment_limit(record, Settings()):
        yield f"{record.key}: {finding.message}"
    if halves is not None and halves.independence == "shared_reference" and not record.alignment_limit_A:
        yield (
            f"{record.key}: both its half maps were aligned to one reference, and nothing says up to which resolution: their FSC "
            "shows consistency only. Deposit halves that were refined independently"
        )
    if (
        halves is not None
        and halves.independence == "shared_reference"
        and record.alignment_limit_A
        and halves.origin == "reconstructed"
        and record.program != "cistem"  # it holds its reference to the limit, and the rule above looks beyond it
    ):
        yield (
            f"{record.key}: both its half maps were aligned to one reference up to {record.alignment_limit_A:.2f} A, as in a "
            "classification: their FSC shows consistency only. Deposit halves that were refined independently"
        )
    if halves is not None and halves.independence == "one_set_of_poses":
        yield (
            f"{record.key}: both its half maps were made with one set of poses: their FSC shows consistency only. Deposit halves "
            "that were refined independently"
        )
    limits = Settings()
    for rule in _REFUSED:
        for finding in rule(record, limits):
            yield f"{record.key}: {finding.message}"


def _paths(record: RoundRecord, folder: Path) -> tuple[Path, ...]:
    paths = record.half_maps.paths if record.half_maps is not None else None
    return tuple(path_of(folder, path) for path in paths) if paths else ()


def _file_faults(record: RoundRecord, paths: tuple[Path, ...]) -> list[str]:
    """What the files themselves say: gone, of another box, masked, identical, or not those that were measured."""
    faults: list[str] = []
    maps: list[Map] = []
    for path in paths:
        try:
            maps.append(read_map(path, record.voxel_size_A))
        except RefineHooksError as error:
            faults += error.faults
    if faults:
        return faults
    for path, volume in zip(paths, maps, strict=True):
        faults += _map_faults(record, path, volume)
    if maps[0].voxels.shape == maps[1].voxels.shape:
        faults += _pair_faults(record, paths, fsc.fsc(transform(maps[0].voxels), transform(maps[1].voxels)))
    return faults


def _map_faults(record: RoundRecord, path: Path, volume: Map) -> Iterator[str]:
    if volume.box_px != record.box_px:
        yield f"{path}: its box is {volume.box_px} px, the record's is {record.box_px} px; it is not the map that was measured"
    stated_A = read_header(path).voxel_size_A
    if not all(same_voxel_size(size_A, record.voxel_size_A) for size_A in stated_A):
        said = " x ".join(f"{size_A:g}" for size_A in stated_A)
        yield (
            f"{path}: its header states voxels of {said} A, the record {record.voxel_size_A:g} A: EMDB takes the header's word. "
            "Correct the header in a copy, and measure that"
        )
    constant = constant_share(volume)
    if constant > _CONSTANT_SHARE:
        by = (
            f" (by {record.half_maps.masked_by})" if record.half_maps is not None and record.half_maps.masked_by else ""
        )
        yield (
            f"{path}: {100 * constant:.0f} % of its voxels are one constant: it is masked{by}, "
            "and EMDB wants unmasked half maps. Deposit half maps merged from the program's sums ('refine-hooks watch'), or "
            "reconstructed from the particles ('refine-hooks once --reconstruct always')"
        )


def constant_share(volume: Map) -> float:
    """The share of voxels that hold the value of a corner: 0 for a map with noise all over, 0.4 and more under a sphere."""
    return float(np.mean(volume.voxels == volume.voxels[0, 0, 0]))


def _pair_faults(record: RoundRecord, paths: tuple[Path, ...], correlation: np.ndarray) -> Iterator[str]:
    finite = correlation[1:][np.isfinite(correlation[1:])]
    if not finite.size or float(finite.min()) > _IDENTICAL:
        yield f"{' and '.join(str(path) for path in paths)}: are the same map; these are not two half maps"
        return
    known = record.under(None)
    if known is None:
        return
    before = values(known.correlation)[: len(measured(known))]
    apart = float(np.nanmax(np.abs(correlation[1 : len(before)] - before[1 : len(correlation)]), initial=0.0))
    if apart > _SAME_FSC:
        yield (
            f"{' and '.join(str(path) for path in paths)}: their FSC differs from the recorded one by up to {apart:.3f}: they "
            "were changed after they were measured. Measure this round again"
        )


def _mask_faults(mask: MaskRecord, path: Path) -> Iterator[str]:
    if not path.is_file():
        yield f"{path}: the mask of the quoted curve is gone; measure this round again"
    elif mask.sha256 is not None and _sha256(path) != mask.sha256:
        yield f"{path}: is not the mask that was measured (another SHA-256); put that one back, or measure this round again"


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def method_of(curve: Curve) -> str:
    """EMDB's word for how the resolution was read off a curve."""
    return METHODS.get(curve.threshold, "OTHER")


def _text(
    record: RoundRecord,
    curve: Curve,
    mask: MaskRecord | None,
    files: dict[str, Path],
    xml: str,
    findings: tuple[Finding, ...],
) -> Iterator[str]:
    """The numbers that the deposition form asks for, and where each comes from."""
    assert record.half_maps is not None
    yield f"Deposition of {record.key}  {record.label}"
    yield f"measured {record.measured_at:%Y-%m-%d %H:%M} UTC by refine_hooks {__version__}; program {record.program}"
    yield ""
    yield from _resolution(curve)
    yield f"particles        {record.particles if record.particles is not None else 'not known'}"
    yield f"symmetry         {record.symmetry or 'not known'}"
    yield f"box              {record.box_px} x {record.box_px} x {record.box_px} voxels"
    yield f"voxel size       {record.voxel_size_A:.6g} A"
    yield ""
    yield "Half maps"
    yield from _halves(record.half_maps, record.program)
    yield ""
    yield "Mask of the FSC"
    yield from _mask(mask)
    others = [other for other in record.masks if other is not mask and other.sha256]
    if others:
        yield ""
        yield "Other masks that these half maps were measured under"
        for other in others:
            yield from _mask(other)
    yield ""
    yield "Files (SHA-256)"
    for name, path in files.items():
        yield f"  {_sha256(path)}  {name}"
    yield f"  {xml} is the FSC to upload: {curve.name}, one row a shell from shell 0"
    warnings = [finding for finding in findings if finding.severity == "warning"]
    if warnings:
        yield ""
        yield "The audit warns of this round"
        yield from (f"  - {finding.message}" for finding in warnings)
    yield ""
    yield "The primary map (sharpened or not) is not among these files: take the one that your figures and your model come from,"
    yield "in the same box and frame as the half maps."


def _resolution(curve: Curve) -> Iterator[str]:
    number = (
        f"not stated: the FSC never falls below {curve.threshold:g}"
        if curve.resolution_A is None
        else f"{curve.resolution_A:.2f} A"
    )
    yield f"resolution       {number}"
    if curve.interval_A is not None:
        yield f"90 % interval    {curve.interval_A[0]:.2f} to {curve.interval_A[1]:.2f} A"
    yield f"method           {method_of(curve)}"
    yield f"rule             {curve.rule}"
    yield f"curve            {curve.name}{', noise substitution (Chen et al. 2013)' if curve.kind == 'corrected' else ''}"


def _halves(halves: HalfMapsRecord, program: str) -> Iterator[str]:
    yield f"  {origin_words(halves, program)}"
    if halves.images[0] is not None and halves.images[1] is not None:
        yield f"  {halves.images[0]} and {halves.images[1]} particle images"
    masked = "masked at the corners of the box alone" if halves.masked == "inscribed_sphere" else "not masked"
    yield f"  tested: not identical, {masked}, lying on each other, of one hand and contrast; their FSC is the recorded one"
    if halves.origin == "found":
        yield "  not tested: whether they are unfiltered and unsharpened, as EMDB wants them; please state it from what you know"
    else:
        yield "  unfiltered and unsharpened: made by refine_hooks"
    if halves.independence == "unknown":
        yield "  not known: whether the halves were refined independently of each other; please state it from what you know"


def _mask(mask: MaskRecord | None) -> Iterator[str]:
    if mask is None:
        yield "  none: the curve is that of the whole box"
        return
    yield f"  {mask.name}, {mask.volume_A3 / 1e3:.4g} nm3, {100 * mask.volume_fraction:.2f} % of the box"
    if mask.sha256:
        yield f"  sha256 {mask.sha256}"
    if mask.note:
        yield f"  {mask.note}"
