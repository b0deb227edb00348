"""A round's curves in other programs' forms: EMDB's FSC XML, RELION's postprocess STAR, CSV."""

from collections.abc import Callable, Iterable
from xml.sax.saxutils import quoteattr

from refine_hooks.errors import InputError
from refine_hooks.log.curves import Curve
from refine_hooks.log.records import RoundRecord

_STAR_COLUMNS = {
    "rlnFourierShellCorrelationCorrected": "corrected",
    "rlnFourierShellCorrelationUnmaskedMaps": "unmasked",
    "rlnFourierShellCorrelationMaskedMaps": "masked",
    "rlnCorrectedFourierShellCorrelationPhaseRandomizedMaskedMaps": "randomised",
}
_SHELL_0_A = 999.0  # what RELION writes for the resolution of shell 0

Shells = tuple[float | None, ...]


def export(record: RoundRecord, kind: str) -> str:
    """A round as text of one kind: emdb-xml, star, csv or json.

    Raises:
        InputError: there is no such kind, or the round lacks the curves for it.
    """
    writers: dict[str, Callable[[RoundRecord], str]] = {
        "emdb-xml": emdb_xml,
        "star": relion_star,
        "csv": csv,
        "json": lambda r: r.model_dump_json(indent=2) + "\n",
    }
    if kind not in writers:
        raise InputError(f"{kind!r} is no form that a round can be exported as; there are: {', '.join(writers)}")
    return writers[kind](record)


def emdb_xml(record: RoundRecord) -> str:
    """The curve of the headline as EMDB wants it: one coordinate for each shell from shell 0 on, and nothing else under the root.

    EMDB's checker takes row i for shell i, so no row is left out between shell 0 and the last measured one: a shell without a
    value in between is written as 0. Shells beyond the last measured one have no row; zeros there would be read as a crossing.

    Raises:
        InputError: no curve that a resolution may be quoted from was measured here.
    """
    curve = record.headline_curve()
    if curve is None:
        raise InputError(
            f"{record.key}: has no FSC of unfiltered, unmasked half maps to deposit; see 'refine-hooks show {record.key}'"
        )
    title = quoteattr(f"refine_hooks {curve.name}")
    shells = zip(record.frequency_per_A[: _measured([curve.correlation])], curve.correlation, strict=False)
    rows = [
        f"  <coordinate>\n    <x>{frequency:.6f}</x>\n    <y>{_number(value, shell):.6f}</y>\n  </coordinate>\n"
        for shell, (frequency, value) in enumerate(shells)
    ]
    head = f'<fsc title={title} xaxis="Resolution (A-1)" yaxis="Correlation Coefficient">\n'
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{head}{"".join(rows)}</fsc>\n'


def _measured(columns: Iterable[Shells]) -> int:
    """How many shells there are up to the last one that any of the columns holds a value of."""
    return max(1 + max((k for k, value in enumerate(column) if value is not None), default=0) for column in columns)


def _number(value: float | None, shell: int) -> float:
    """A value where the form has no word for none: both halves agree in shell 0, and nothing is known elsewhere."""
    return value if value is not None else float(shell == 0)


def relion_star(record: RoundRecord) -> str:
    """The curves under the names of relion_postprocess' tables ``data_general`` and ``data_fsc``; only what the round has.

    Raises:
        InputError: none of these curves was measured.
    """
    unmasked = record.under(None)
    curve = record.headline_curve() or unmasked
    masked = record.under(curve.mask) if curve is not None and curve.mask else None
    known: dict[str, Shells | None] = {
        "corrected": curve.correlation if curve and curve.kind == "corrected" else None,
        "unmasked": unmasked.correlation if unmasked else None,
        "masked": masked.correlation if masked else None,
        "randomised": _randomised(masked),
    }
    columns = {label: column for label, name in _STAR_COLUMNS.items() if (column := known[name]) is not None}
    if curve is None or not columns:
        raise InputError(f"{record.key}: has no curves of its own half maps; 'csv' holds what the program reported")
    labels = ["rlnSpectralIndex", "rlnResolution", "rlnAngstromResolution", *columns]
    lines = ["", "data_general", "", *(f"_{name} {value}" for name, value in _general(record, curve, masked))]
    lines += ["", "", "data_fsc", "", "loop_", *(f"_{label} #{number}" for number, label in enumerate(labels, 1))]
    for shell, frequency in enumerate(record.frequency_per_A[: _measured(columns.values())]):
        resolution_A = 1 / frequency if frequency else _SHELL_0_A
        numbers = [1 / resolution_A, resolution_A, *(_number(column[shell], shell) for column in columns.values())]
        lines.append(f"{shell:>12d} " + " ".join(f"{number:>12.6f}" for number in numbers))
    return "\n".join([*lines, "", ""])


def _randomised(masked: Curve | None) -> Shells | None:
    """RELION's column of randomised phases: below the onset nothing is randomised, and it repeats the masked curve."""
    if masked is None or masked.randomised_mean is None:
        return None
    onset = masked.randomised_from_shell or 0
    pairs = zip(masked.correlation, masked.randomised_mean, strict=True)
    return tuple(own if shell < onset or null is None else null for shell, (own, null) in enumerate(pairs))


def _general(record: RoundRecord, curve: Curve, masked: Curve | None) -> list[tuple[str, str]]:
    """The lines of ``data_general`` that a reader of RELION's file looks for."""
    found: list[tuple[str, str]] = []
    if curve.resolution_A is not None:
        found.append(("rlnFinalResolution", f"{curve.resolution_A:.6f}"))
    for number, path in enumerate((record.half_maps.paths if record.half_maps else None) or (), 1):
        found.append((f"rlnUnfilteredMapHalf{number}", star_word(path)))
    mask = record.mask(curve.mask) if curve.mask else None
    if mask is not None and mask.path is not None:
        found.append(("rlnMaskName", star_word(mask.path)))
    if masked is not None and masked.randomised_from_shell:
        found.append(("rlnRandomiseFrom", f"{1 / record.frequency_per_A[masked.randomised_from_shell]:.6f}"))
    return found


def star_word(text: str) -> str:
    """A path as one word of a STAR file; quoted only where it must be, as RELION writes it."""
    from gemmi import cif

    return cif.quote(text) if text.split() != [text] or text[0] in "_#$'\";[]" else text


def csv(record: RoundRecord) -> str:
    """All curves, one column each, one row a shell; empty where nothing is measured."""
    columns: dict[str, Shells] = {}
    for curve in record.curves:
        columns[curve.name] = curve.correlation
        for part in ("randomised_mean", "randomised_sd", "sd"):
            values = getattr(curve, part)
            if values is not None:
                columns[f"{curve.name}_{part}"] = values
    lines = [",".join(["shell", "frequency_per_A", "resolution_A", *columns])]
    for shell, frequency in enumerate(record.frequency_per_A):
        cells = ["" if column[shell] is None else f"{column[shell]:.6f}" for column in columns.values()]
        lines.append(",".join([str(shell), f"{frequency:.8f}", f"{1 / frequency:.4f}" if frequency else "", *cells]))
    return "\n".join(lines) + "\n"
