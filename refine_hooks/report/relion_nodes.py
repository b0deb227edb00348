"""The results of a RELION "External" job as nodes of its pipeline."""

import os
from collections.abc import Iterable
from pathlib import Path

from refine_hooks.log.folder import path_of
from refine_hooks.log.records import RoundRecord
from refine_hooks.report.export import star_word

FILE = "RELION_OUTPUT_NODES.star"
# The number of RELION 3.1, and the label of RELION 4 and 5 (pipeline_jobs.h of both).
_HALF_MAP = 10, "DensityMap.mrc.halfmap"
_MASK = 7, "Mask3D.mrc"
_LOG_FILE = 13, "LogFile.pdf.relion"


def output_nodes(records: Iterable[RoundRecord], folder: Path, log_file: Path, project: Path) -> str:
    """The STAR file in which a job tells RELION of its results; each version of RELION reads the column that it knows.

    Args:
        records: the rounds whose half maps and automask become nodes; what lies outside ``folder`` is another job's already.
        folder: of the job, and of its log.
        log_file: a PDF, if it was made.
        project: RELION's project, which names of nodes are relative to.
    """
    nodes: list[tuple[Path, tuple[int, str]]] = []
    for record in records:
        nodes += [(path_of(folder, path), _HALF_MAP) for path in (record.half_maps and record.half_maps.paths) or ()]
        nodes += [(path_of(folder, m.path), _MASK) for m in record.masks if m.role == "automask" and m.path is not None]
    nodes.append((log_file, _LOG_FILE))
    inside = [
        (file, kind) for file, kind in nodes if file.is_file() and file.resolve().is_relative_to(folder.resolve())
    ]
    head = ["", "data_output_nodes", "", "loop_", "_rlnPipeLineNodeName #1", "_rlnPipeLineNodeType #2"]
    rows = [f"{star_word(os.path.relpath(file, project))} {number} {label}" for file, (number, label) in inside]
    return "\n".join([*head, "_rlnPipeLineNodeTypeLabel #3", *rows, ""])
