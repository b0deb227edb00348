"""What the rules share: what is found in a record, curves as arrays, and places on a curve in Angstrom."""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from refine_hooks.kernels.order import quantile
from refine_hooks.log.curves import Curve
from refine_hooks.log.masks import MaskRecord
from refine_hooks.log.records import RoundRecord
from refine_hooks.model import Prose, Record

Values = NDArray[np.float64]
Severity = Literal["note", "warning"]
Limiting = Literal["voxels", "angles", "views", "mask", "particles"]
LimitUnit = Literal["Å", "Å²", "%", "times"]

FEW_TWICE = (
    5e-3  # of the particles: so many may lie near another by chance, and their share of the noise moves no number
)
SUPPORTED_SD = 3.0  # a shell is supported where it exceeds the null by so many of its standard deviations


class Finding(Record):
    """One thing that a reader of the log should know; the message says what, where in Angstrom, and what to do."""

    rule: str
    severity: Severity
    round: str = Field(description="RUN/ITERATION/CLASS")
    curve: str | None = None
    shells: tuple[int, int] | None = Field(default=None, description="first and last shell concerned")
    message: str
    evidence: dict[str, Any] = Field(default_factory=dict)
    quote: str | None = Field(
        default=None, exclude=True, description="which number to quote, if nothing speaks against it"
    )


class Limit(Record):
    """One thing that limits the resolution of a round now; found when a record is read, and not stored."""

    kind: Limiting
    value: float = Field(
        description="voxels: Nyquist; angles: the B factor that their stated errors make; views: particles that even ones would be "
        "worth; mask: the signal that it leaves out, or its volume over the automask's; particles: what twice as many would give"
    )
    unit: LimitUnit
    interval: tuple[float, float] | None = Field(
        default=None,
        description="90 % interval of the value, of a resolution its coarse end first; null where no error is known",
    )
    sentence: Prose = Field(description="in words, with the numbers")


class Counts(NamedTuple):
    """How many findings of each severity.

    Attributes:
        rules: of each finding, the warnings first.
        curves: of each warning, the curve that it is about; None for the round.
    """

    warnings: int
    notes: int
    rules: tuple[str, ...] = ()
    curves: tuple[str | None, ...] = ()


def counted(findings: Iterable[Finding]) -> Counts:
    """How many findings of each severity there are."""
    ordered = sorted(findings, key=lambda finding: finding.severity != "warning")
    warnings = sum(finding.severity == "warning" for finding in ordered)
    rules, curves = (finding.rule for finding in ordered), (finding.curve for finding in ordered[:warnings])
    return Counts(warnings, len(ordered) - warnings, tuple(rules), tuple(curves))


def found(
    record: RoundRecord,
    rule: str,
    severity: Severity,
    message: str,
    *,
    curve: str | None = None,
    shells: tuple[int, int] | None = None,
    quote: str | None = None,
    **evidence: Any,
) -> Finding:
    """A finding about one round; numbers of the evidence are rounded to six significant digits, None is left out."""
    return Finding(
        rule=rule,
        severity=severity,
        round=str(record.key),
        curve=curve,
        shells=None if shells is None else (int(shells[0]), int(shells[1])),
        message=message,
        quote=quote,
        evidence={name: _plain(value) for name, value in evidence.items() if value is not None},
    )


def one_cause(record: RoundRecord, findings: Iterable[Finding]) -> Iterator[Finding]:
    """What one rule finds of several curves of a round, once: that of the quoted curve or the gravest, which names the others."""
    several = list(findings)
    if not several:
        return
    best = quoted(record)
    one = min(several, key=lambda f: (f.severity != "warning", best is None or f.curve != best.name))
    others = [f.curve for f in several if f is not one and f.curve is not None]
    if others:
        same = f". The same holds for {listed(others)}"
        curves = [one.curve, *others]
        one = one.model_copy(update={"message": one.message + same, "evidence": {**one.evidence, "curves": curves}})
    yield one


def listed(names: list[str]) -> str:
    """Names as in a sentence."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _plain(value: Any) -> Any:
    if isinstance(value, bool | str | int):
        return value
    if isinstance(value, Iterable):
        return [_plain(one) for one in value]
    return float(f"{float(value):.6g}")


@lru_cache(512)  # of a few rounds; the rules read one round after another
def _array(numbers: tuple[float | None, ...]) -> Values:
    array = np.array(numbers, np.float64)
    array.setflags(write=False)
    return array


def values(numbers: tuple[float | None, ...] | None) -> Values:
    """A tuple of a record over the shells 0..N//2 as an array, NaN where it holds null; empty for None."""
    return _array(numbers if numbers is not None else ())


def measured(curve: Curve) -> Values:
    """The correlation up to the last shell before the first null, shell 0 apart."""
    all_shells = values(curve.correlation)
    undefined = np.flatnonzero(~np.isfinite(all_shells[1:]))
    return all_shells[: undefined[0] + 1] if undefined.size else all_shells


def falls_after(correlation: Values, level: float) -> int | None:
    """The last shell before the first fall below ``level``; None for a curve that never falls, or begins below it."""
    below = np.flatnonzero(correlation[1:] < level)
    return int(below[0]) if below.size and below[0] >= 1 else None


def stretches(above: NDArray[np.bool_], start: int) -> list[tuple[int, int]]:
    """First and last shell of every unbroken run of True from shell ``start`` on."""
    edges = np.diff(np.concatenate(([False], above[start:], [False])).astype(np.int8))
    begins, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    return [(int(a) + start, int(b) - 1 + start) for a, b in zip(begins, ends, strict=True)]


def shell_of(record: RoundRecord, resolution: float) -> float:
    """The shell, in fractions, at a resolution in A."""
    return record.box_px * record.voxel_size_A / resolution


def at(record: RoundRecord, shell: float) -> float:
    """The resolution in A at a shell."""
    return record.box_px * record.voxel_size_A / max(shell, 0.5)


def between(record: RoundRecord, one_A: float, other_A: float) -> tuple[int, int]:
    """The shells at two resolutions, the lower first."""
    first, last = sorted((shell_of(record, one_A), shell_of(record, other_A)))
    return round(first), round(last)


def resolution(record: RoundRecord, curve: Curve, level: float | None = None) -> float | None:
    """What the record read off the curve in A, else the first crossing of its own level, or of another, linear in frequency."""
    level = curve.threshold if level is None else level
    if curve.resolution_A is not None and level == curve.threshold:
        return curve.resolution_A
    correlation = measured(curve)
    shell = falls_after(correlation, level)
    if shell is None:
        return None
    return at(record, shell + float((correlation[shell] - level) / (correlation[shell] - correlation[shell + 1])))


def unscaled_curves(record: RoundRecord) -> list[Curve]:
    """All curves but the scaled and the randomised ones."""
    return [curve for curve in record.curves if not curve.is_scaled and curve.kind != "randomised"]


def mask_names(record: RoundRecord) -> list[str]:
    """Masks with a curve of their own, the sphere apart."""
    names = [curve.mask for curve in record.curves if curve.kind == "measured" and curve.mask is not None]
    spheres = {mask.name for mask in record.masks if mask.role == "sphere"}
    return [name for name in names if name not in spheres]


def sphere_of(record: RoundRecord) -> MaskRecord | None:
    """The spherical mask of a round."""
    return next((mask for mask in record.masks if mask.role == "sphere"), None)


def whole_map(record: RoundRecord) -> Curve | None:
    """The curve without a tight mask: under the sphere, else with no mask."""
    sphere = sphere_of(record)
    return (record.under(sphere.name) if sphere is not None else None) or record.under(None)


def whole_number(record: RoundRecord) -> Curve | None:
    """The curve that says what the map reaches without a tight mask: a sphere that cuts density correlates like any other mask."""
    sphere = sphere_of(record)
    return (record.under(sphere.name, "corrected") if sphere is not None else None) or whole_map(record)


def quoted(record: RoundRecord) -> Curve | None:
    """The curve that the round's resolution is read from, also where the program's own curves are all there is."""
    return record.quoted()


def is_quoted(record: RoundRecord, curve: Curve) -> bool:
    """Whether a curve is the one quoted, or the one that was corrected to give it."""
    best = quoted(record)
    return best is not None and (
        curve.name == best.name or (curve.kind == "measured" and curve.mask is not None and curve.mask == best.mask)
    )


def spread(numbers: Values) -> float:
    """Standard deviation estimated from the median absolute deviation; NaN for fewer than five values."""
    if len(numbers) < 5 or not np.isfinite(numbers).all():
        return float("nan")
    return 1.4826 * quantile(np.abs(numbers - quantile(numbers, 0.5)), 0.5)


def twice(record: RoundRecord) -> int:
    """Particles in both halves by the program's table, where they are more than neighbours that happen to touch."""
    found_twice = record.checks.duplicates if record.checks is not None else None
    if found_twice is None:
        return 0
    count = found_twice.images + found_twice.places
    return count if found_twice.images or count > FEW_TWICE * (record.particles or 0) else 0


def independent(record: RoundRecord) -> bool:
    """Whether the halves were refined apart, as the program that made them says."""
    return record.half_maps is not None and record.half_maps.independence == "independent"
