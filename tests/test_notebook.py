"""A notebook of Jupyter: from two half maps to a figure, and from a log to a table."""

import os
from pathlib import Path

import numpy as np
import pytest
from rounds_data import healthy
from test_api import a_pair

from refine_hooks.files.mrc import Map, write_map
from refine_hooks.log.file import append

ROOT = Path(__file__).resolve().parent.parent
CELLS = [
    "from refine_hooks import audit_log, measure_half_maps, plot_fsc, read_log",
    "pair = measure_half_maps('half1.mrc', 'half2.mrc')\npair",
    "import matplotlib.pyplot as plt\nfigure, axes = plt.subplots()\nplot_fsc(pair.record, axes=axes);",
    "log = read_log('.')\nlog",
    "log.rounds[-1]",
    "log.to_dataframe()",
]


@pytest.mark.early
def test_a_notebook_goes_from_half_maps_to_a_figure_and_from_a_log_to_a_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nbclient, nbformat = pytest.importorskip("nbclient"), pytest.importorskip("nbformat")
    for name in ("ipykernel", "matplotlib", "pandas"):
        pytest.importorskip(name)
    for name, half in zip(("half1.mrc", "half2.mrc"), a_pair(24), strict=True):
        write_map(tmp_path / name, Map(half.astype(np.float32), 3.0), "test")
    append(tmp_path / "rounds.jsonl", [healthy(1), healthy(2, 31)])
    monkeypatch.delenv("MPLBACKEND", raising=False)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]))
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    nbclient.NotebookClient(book, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}).execute()
    nbformat.validate(book)
    shown = [{kind for output in cell.outputs for kind in output.get("data", {})} for cell in book.cells]
    assert shown[1:] == [
        {"text/html", "text/plain"},
        {"image/png", "text/plain"},  # by pyplot, at the end of the cell
        *[{"text/html", "text/plain"}] * 3,
    ]
    assert "<svg" in book.cells[4].outputs[0].data["text/html"]
