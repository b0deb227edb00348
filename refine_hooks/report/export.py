"""A round's curves in other programs' forms: EMDB's FSC XML, RELION's postprocess STAR, CSV."""

from collections.abc import Callable
from xml.sax.saxutils import quoteattr

from refine_hooks.errors import InputError
from refine_hooks.records import RoundRecord

_STAR_COLUMNS = {
    "rlnFourierShellCorrelationCorrected": "corrected",
    "rlnFourierShellCorrelationUnmaskedMaps": "unmasked",
    "rlnFourierShellCorrelationMaskedMaps": "masked",
    "rlnCorrectedFourierShellCorrelationPhaseRandomizedMaskedMaps": "randomised",
}


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
    """The headline curve as EMDB wants it: one coordinate for each shell from shell 0 on, and nothing else under the root.

    EMDB's checker takes row i for shell i; a shell without a value is written as 0.
    """
    curve = record.headline()
    if curve is None:
        raise InputError(
            f"{record.key}: has no curve of honest half maps to deposit; see 'refine-hooks show {record.key}'"
        )
    title = quoteattr(f"refine_hooks {curve.name}")
    rows = [
        f"  <coordinate>\n    <x>{frequency:.6f}</x>\n    <y>{value or 0.0:.6f}</y>\n  </coordinate>\n"
        for frequency, value in zip(record.frequency_per_A, curve.correlation, strict=True)
    ]
    head = f'<fsc title={title} xaxis="Resolution (A-1)" yaxis="Correlation Coefficient">\n'
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{head}{"".join(rows)}</fsc>\n'


def relion_star(record: RoundRecord) -> str:
    """The curves under the names of relion_postprocess' table ``data_fsc``; only columns that the round has."""
    curve = record.headline()
    mask = record.curve(curve.mask) if curve is not None and curve.mask else None
    unmasked = record.curve("unmasked")
    values = {
        "corrected": curve.correlation if curve and curve.name.endswith("_corrected") else None,
        "unmasked": unmasked.correlation if unmasked else None,
        "masked": mask.correlation if mask else None,
        "randomised": mask.null_mean if mask else None,
    }
    columns = {label: column for label, name in _STAR_COLUMNS.items() if (column := values[name]) is not None}
    labels = ["rlnSpectralIndex", "rlnResolution", "rlnAngstromResolution", *columns]
    lines = ["", "data_general", ""]
    if curve is not None and curve.resolution_A is not None:
        lines.append(f"_rlnFinalResolution {curve.resolution_A:.6f}")
    lines += ["", "data_fsc", "", "loop_", *(f"_{label} #{number}" for number, label in enumerate(labels, 1))]
    for shell, frequency in enumerate(record.frequency_per_A):
        numbers = [
            frequency,
            1 / frequency if frequency else 999.0,
            *(column[shell] or 0.0 for column in columns.values()),
        ]
        lines.append(f"{shell:>6d} " + " ".join(f"{number:>12.6f}" for number in numbers))
    return "\n".join([*lines, "", ""])


def csv(record: RoundRecord) -> str:
    """All curves, one column each, one row a shell; empty where nothing is measured."""
    columns: dict[str, tuple[float | None, ...]] = {}
    for curve in record.curves:
        columns[curve.name] = curve.correlation
        for part in ("null_mean", "null_sd", "sd"):
            values = getattr(curve, part)
            if values is not None:
                columns[f"{curve.name}_{part}"] = values
    lines = [",".join(["shell", "frequency_per_A", "resolution_A", *columns])]
    for shell, frequency in enumerate(record.frequency_per_A):
        cells = ["" if column[shell] is None else f"{column[shell]:.6f}" for column in columns.values()]
        lines.append(",".join([str(shell), f"{frequency:.8f}", f"{1 / frequency:.4f}" if frequency else "", *cells]))
    return "\n".join(lines) + "\n"
