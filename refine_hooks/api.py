"""What scripts and notebooks use: the names that `refine_hooks` lists. Nothing here prints, and nothing is kept between calls."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from refine_hooks import fsc
from refine_hooks.audit import audit
from refine_hooks.audit.reading import Finding
from refine_hooks.curves import resolution_A
from refine_hooks.errors import InputError, MapError, RefineHooksError, SettingsError
from refine_hooks.files.maps import read_given_map
from refine_hooks.files.mrc import Map, Volume
from refine_hooks.fourier import shell_frequency_per_A, transform
from refine_hooks.fsc.randomised import randomised
from refine_hooks.log.file import find_log, read_journal
from refine_hooks.log.records import Failed, HalfMapsRecord, RoundRecord
from refine_hooks.masks import automask as made_mask
from refine_hooks.measure import NamedMask, measure_halves, require_compatible, round_record
from refine_hooks.model import Facts, Fingerprint, HalfMaps, Key, Round
from refine_hooks.settings import Settings, load_settings, settings_of
from refine_hooks.sums.symmetry import order_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from pandas import DataFrame

__all__ = [
    "Finding",
    "Log",
    "MeasuredPair",
    "PhaseRandomised",
    "RefineHooksError",
    "RoundRecord",
    "Settings",
    "audit_log",
    "automask",
    "load_settings",
    "masked_fsc",
    "measure_half_maps",
    "phase_randomised",
    "plot_fsc",
    "read_log",
    "resolution",
    "unmasked_fsc",
]

_Given = ArrayLike | Path | str
_FIELDS = ("label", "program", "measured_at", "particles", "symmetry", "alignment_limit_A")


@dataclass(frozen=True, slots=True)
class Log:
    """The rounds of one log, newest line of each.

    Attributes:
        path: of the log.
        rounds: the measured rounds, in the order of the log.
        failures: the rounds that could not be measured.
        faults: what could not be read, a sentence a line.
        settings: of the newest watch that wrote into the log.
    """

    path: Path
    rounds: tuple[RoundRecord, ...]
    failures: tuple[Failed, ...]
    faults: tuple[str, ...]
    settings: Settings

    def __len__(self) -> int:
        return len(self.rounds)

    def __iter__(self) -> Iterator[RoundRecord]:
        return iter(self.rounds)

    def __getitem__(self, key: str) -> RoundRecord:
        """A round by its key, RUN/ITERATION/CLASS.

        Raises:
            InputError: the log has no such round.
        """
        for record in self.rounds:
            if str(record.key) == key:
                return record
        raise InputError(f"{self.path}: no round {key!r}; it has {', '.join(str(each.key) for each in self.rounds)}")

    def where(self, *, run: str | None = None, class_id: int | None = None, origin: str | None = None) -> Log:
        """The rounds of a run, a class, or with half maps of an origin (`found`, `merged`, `reconstructed`, `regularised`)."""
        kept = tuple(
            record
            for record in self.rounds
            if (run is None or record.key.run == run)
            and (class_id is None or record.key.class_id == class_id)
            and (origin is None or (record.half_maps is not None and record.half_maps.origin == origin))
        )
        return Log(self.path, kept, self.failures, self.faults, self.settings)

    def to_dataframe(self) -> DataFrame:
        """One row a round: its key, what the program says of it, and the headline with its interval in Angstrom; needs pandas.

        Raises:
            InputError: pandas is not installed.
        """
        try:
            from pandas import DataFrame
        except ImportError as error:
            raise InputError("to_dataframe needs pandas: pip install pandas") from error
        return DataFrame([_row(record) for record in self.rounds])

    def _repr_html_(self) -> str:
        rows = [_row(record) for record in self.rounds]
        names = ("round", "label", "origin", "curve", "resolution_A", "worst_A", "best_A", "particles")
        head = "".join(f"<th>{name}</th>" for name in names)
        body = "".join("<tr>" + "".join(f"<td>{_cell(row[name])}</td>" for name in names) + "</tr>" for row in rows)
        return f"<table><caption>{html.escape(str(self.path))}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _row(record: RoundRecord) -> dict[str, Any]:
    curve = record.headline_curve()
    worst_A, best_A = (curve.interval_A if curve else None) or (None, None)
    return {
        "round": str(record.key),
        "run": record.key.run,
        "iteration": record.key.iteration,
        "class_id": record.key.class_id,
        **{name: getattr(record, name) for name in _FIELDS},
        "origin": record.half_maps.origin if record.half_maps else None,
        "curve": curve.name if curve else None,
        "resolution_A": curve.resolution_A if curve else None,
        "worst_A": worst_A,
        "best_A": best_A,
        "box_px": record.box_px,
        "voxel_size_A": record.voxel_size_A,
    }


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.2f}" if isinstance(value, float) else html.escape(str(value))


def read_log(place: Path | str) -> Log:
    """The log of a project, of an output folder, or a log by its name.

    Raises:
        InputError: there is none.
    """
    path = find_log(Path(place))
    journal = read_journal(path)
    start = journal.start
    settings = settings_of(start.settings if start else None)
    return Log(path, tuple(journal.rounds), tuple(journal.failures), tuple(journal.faults), settings)


def audit_log(log: Log | Path | str) -> list[Finding]:
    """What is to be said of the rounds of a log, by the limits of the watch that wrote it.

    Raises:
        InputError: there is no log.
    """
    log = log if isinstance(log, Log) else read_log(log)
    return audit((*log.rounds, *log.failures), log.settings)


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
        return Log(Path("two half maps"), (self.record,), (), (), Settings())._repr_html_()


def measure_half_maps(
    half1: _Given,
    half2: _Given,
    voxel_size_A: float | None = None,
    *,
    masks: Mapping[str, _Given] | None = None,
    symmetry: str = "C1",
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
        symmetry: imposed point group.
        sphere_radius_A: of the spherical mask; the largest that fits where it is not given.
        molecular_mass_kDa: for the curve as cisTEM scales it.
        settings: of masks and curves; the defaults where none are given.

    Raises:
        RefineHooksError: maps that cannot be read or do not belong together, a symmetry that does not exist; all faults at once.
    """
    if order_of(symmetry) is None:
        raise SettingsError(f"symmetry {symmetry!r}: no such point group; write Cn, Dn, T, O or I, such as C4")
    one, two, named = _maps_of(half1, half2, voxel_size_A, masks or {})
    facts = Facts(
        voxel_size_A=one.voxel_size_A,
        molecular_mass_kDa=molecular_mass_kDa,
        sphere_radius_A=sphere_radius_A,
        symmetry=symmetry.strip().upper(),
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
    maps: dict[str, Map] = {}
    for name, given in {
        "half1": half1,
        "half2": half2,
        **{f"mask {each}": mask for each, mask in masks.items()},
    }.items():
        try:
            maps[name] = _map_of(name, given, voxel_size_A)
            require_compatible(maps["half1"], maps[name], name)
        except RefineHooksError as error:
            faults += error.faults
        except KeyError:
            continue
    if faults:
        raise RefineHooksError(*faults)
    named = [NamedMask(each, maps[f"mask {each}"]) for each in masks]
    return maps["half1"], maps["half2"], named


def _map_of(name: str, given: _Given, voxel_size_A: float | None) -> Map:
    if isinstance(given, Path | str):
        return read_given_map(Path(given), voxel_size_A)
    volume = _volume(given, name)
    if voxel_size_A is None or not voxel_size_A > 0:
        raise MapError(f"{name}: an array has no voxel size; give voxel_size_A, in Angstrom")
    return Map(volume, voxel_size_A)


def _volume(given: ArrayLike, name: str) -> Volume:
    volume = np.ascontiguousarray(given, np.float32)
    if volume.ndim != 3 or len(set(volume.shape)) != 1:
        raise MapError(f"{name}: an array of the shape {volume.shape}; a map is a cube [z, y, x]")
    return volume


def unmasked_fsc(half1: ArrayLike, half2: ArrayLike) -> NDArray[np.float64]:
    """Fourier shell correlation of two maps over the shells 0..N//2; NaN where one of the two has no power.

    Saxton & Baumeister 1982, J Microsc 127:127; shell k holds the coefficients with round(abs(k)) = k of the whole transform.

    Args:
        half1: [z, y, x], a cube of edge N.
        half2: of the same shape.

    Raises:
        MapError: an array that is no cube, or two of different shapes.
    """
    one, two = _pair(half1, half2)
    return fsc.fsc(transform(one), transform(two))


def masked_fsc(half1: ArrayLike, half2: ArrayLike, mask: ArrayLike) -> NDArray[np.float64]:
    """The same under a mask [z, y, x] of the same shape.

    Raises:
        MapError: an array that is no cube, or two of different shapes.
    """
    one, two = _pair(half1, half2)
    return fsc.masked_fsc(one, two, _pair(half1, mask, "mask")[1])


def _pair(half1: ArrayLike, half2: ArrayLike, name: str = "half2") -> tuple[Volume, Volume]:
    one, two = _volume(half1, "half1"), _volume(half2, name)
    if one.shape != two.shape:
        raise MapError(f"half1 has the shape {one.shape}, {name} {two.shape}; they must be equal")
    return one, two


@dataclass(frozen=True, slots=True)
class PhaseRandomised:
    """The phase-randomised FSC under a mask, and what it corrects; all curves are over the shells 0..N//2.

    Attributes:
        masked: FSC under the mask.
        mean: expected FSC of the halves with random phases.
        sd: standard deviation of one randomised FSC.
        corrected: (masked - mean) / (1 - mean) from two shells past the onset.
        onset_shell: first shell whose phases are randomised.
    """

    masked: NDArray[np.float64]
    mean: NDArray[np.float64]
    sd: NDArray[np.float64]
    corrected: NDArray[np.float64]
    onset_shell: int


def phase_randomised(
    half1: ArrayLike,
    half2: ArrayLike,
    mask: ArrayLike,
    *,
    below: float = 0.8,
    repeats: int = 5,
    seed: int = 0,
    symmetry: str = "C1",
) -> PhaseRandomised:
    """Phase randomisation (Chen et al. 2013, doi:10.1016/j.ultramic.2013.06.004) of two unmasked half maps under one mask.

    Args:
        half1: [z, y, x].
        half2: of the same shape.
        mask: of the same shape.
        below: phases are randomised from where the unmasked FSC stays below this.
        repeats: randomisations that the spread is from; the mean takes none.
        seed: of the phases.
        symmetry: imposed point group, for the spread.

    Raises:
        MapError: arrays that do not fit each other, or halves whose FSC never falls below ``below``.
    """
    one, two = _pair(half1, half2)
    values = _pair(half1, mask, "mask")[1]
    transforms = transform(one), transform(two)
    unmasked = fsc.fsc(*transforms)
    onset = fsc.onset(unmasked, below)
    if onset is None:
        raise MapError(f"the unmasked FSC stays above {below:g} to the last shell, so that no phases can be randomised")
    found = randomised(transforms, values, onset, repeats, seed, order=order_of(symmetry) or 1)
    masked = fsc.masked_fsc(one, two, values)
    return PhaseRandomised(masked, found.mean, found.sd, fsc.corrected(masked, found.mean, onset), onset)


def automask(half1: ArrayLike, half2: ArrayLike, voxel_size_A: float) -> Volume:
    """A tight but generous soft mask, float32 [z, y, x], from two unfiltered, unmasked half maps.

    It is not put to the test of randomised phases; `measure_half_maps` does that.

    Raises:
        MapError: arrays that do not fit each other, or halves from which no mask can be made; says why.
    """
    one, two = _pair(half1, half2)
    made = made_mask(one, two, voxel_size_A)
    if made.values is None:
        raise MapError(made.note or "no mask can be made from these half maps")
    return made.values


def resolution(
    correlation: ArrayLike, voxel_size_A: float, *, threshold: float = 0.143, box_px: int | None = None
) -> float | None:
    """The resolution in Angstrom of a curve over the shells 0..N//2: its first crossing of the threshold, linear in frequency.

    Args:
        correlation: the curve.
        voxel_size_A: edge of a voxel.
        threshold: Rosenthal & Henderson 2003 (doi:10.1016/j.jmb.2003.07.013) for two half maps.
        box_px: N; even where it is not given.

    Returns:
        None where the curve never crosses, or is below the threshold from the first shell on.
    """
    values = np.asarray(correlation, np.float64)
    box_px = box_px or 2 * (len(values) - 1)
    return resolution_A(values, shell_frequency_per_A(box_px, voxel_size_A), threshold)


def plot_fsc(record: RoundRecord, names: tuple[str, ...] = (), axes: Axes | None = None) -> Axes:
    """The curves of a round over 1/Angstrom, drawn into a figure of yours or a new one; needs matplotlib.

    Args:
        record: of a log, or of `measure_half_maps`.
        names: of the curves; all of ours but the unmasked one where none are given.
        axes: to draw into.

    Raises:
        InputError: matplotlib is not installed, or the round has no curve of that name.
    """
    from refine_hooks.report.plot import draw_curves

    if axes is None:
        try:
            from matplotlib.figure import Figure
        except ImportError as error:
            raise InputError("plot_fsc needs matplotlib: pip install 'refine_hooks[plot]'") from error
        axes = Figure(layout="constrained").subplots()
    draw_curves(axes, record, names)
    axes.legend()
    return axes
