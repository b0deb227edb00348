"""What cryoSPARC says of a job: job.json, the log of its process, and the texts of its event log where it was exported."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from refine_hooks.errors import NotReadyError, RefineHooksError
from refine_hooks.files.reading import parsed_json, positive_number, read_bytes
from refine_hooks.model import Independence
from refine_hooks.programs._reading import Memory, read_text

_HEARTBEAT = re.compile(r"=+ sending heartbeat[^\n]*\n")
_READ_OFF = re.compile(
    r"(?P<tightening>Computing FSC with mask)|FSC (?P<label>[A-Z][\w-]*(?: [A-Z]\w*)*)\.\.\.|"
    r"0\.143 at (?P<shell>\d+\.?\d*) radwn\."
)
_STARTS = re.compile(rb"Start Iteration (?P<number>\d{1,9})|Using Filter Radius [\d.]+ \((?P<filter_A>\d+\.?\d*)A\)")
_ENDED = "main process now complete"
_OVER = ("completed", "failed", "killed")


@dataclass(frozen=True, slots=True)
class Summary:
    """What job.json keeps of one iteration of one class: curves by name over ``waves`` (in shells), and the stated resolution."""

    resolution_A: float | None
    waves: tuple[float, ...]
    curves: tuple[tuple[str, tuple[float, ...]], ...]


@dataclass(frozen=True, slots=True)
class JobTable:
    """A job.json.

    Attributes:
        type: cryoSPARC's own name of the kind of job, e.g. ``nonuniform_refine_new``.
        split_A: both halves have one reference in shells coarser than this.
        windowed: maps are multiplied by a spherical window.
        particles: by iteration.
        summaries: what it keeps of each class, by iteration from 0.
    """

    type: str = ""
    status: str = ""
    version: str = ""
    symmetry: str | None = None
    split_A: float | None = None
    windowed: bool = False
    particles: dict[int, int] = field(default_factory=dict)
    summaries: tuple[tuple["Summary", ...], ...] = ()

    @property
    def refines(self) -> bool:
        """Whether it may make maps of two halves or of classes; True where the kind is not known."""
        if not self.type:
            return True
        return "ctf" not in self.type and any(
            word in self.type for word in ("refine", "reconstruct", "abinit", "class_3D", "flex_highres")
        )

    @property
    def independence(self) -> Independence:
        """Whether the halves of this kind of job were aligned apart."""
        if self.classes:
            return "shared_reference"
        if "flex" in self.type:
            return "one_set_of_poses"
        return "independent" if "refine" in self.type else "unknown"

    @property
    def classes(self) -> bool:
        """Whether it makes several maps without halves of their own."""
        return any(word in self.type for word in ("hetero", "abinit", "class_3D"))


def read_job(path: Path) -> JobTable:
    """A job.json of any version; what it does not say stays empty.

    Raises:
        NotReadyError: not there, or being written.
    """
    try:
        said = parsed_json(read_text(path))
    except ValueError as error:
        raise NotReadyError(f"{path}: is no complete JSON ({error}); it is being written") from error
    if not isinstance(said, dict):
        return JobTable()
    spec = _table(said, "spec")
    kind = said.get("job_type") or spec.get("type") or said.get("type") or ""
    symmetry, split_A = _parameter(said, "refine_symmetry"), _parameter(said, "refine_res_gsfsc_split")
    return JobTable(
        type=str(kind),
        status=str(said.get("status") or ""),
        version=str(said.get("version") or ""),
        symmetry=symmetry if isinstance(symmetry, str) and symmetry else None,
        split_A=positive_number(split_A),
        windowed=_parameter(said, "refine_window") is True,
        particles=_particles(said),
        summaries=_summaries(said),
    )


def _table(table: dict[str, Any], name: str) -> dict[str, Any]:
    value = table.get(name)
    return value if isinstance(value, dict) else {}


def _parameter(said: dict[str, Any], name: str) -> Any:
    """What the user set, else the default; since version 5 both are under ``spec``."""
    for place in (_table(said, "params_spec"), _table(_table(said, "spec"), "params"), _table(said, "params_base")):
        if name in place:
            value = place[name]
            return value.get("value") if isinstance(value, dict) else value
    return None


def _particles(said: dict[str, Any]) -> dict[int, int]:
    results = said.get("output_results")
    for result in results if isinstance(results, list) else []:
        if isinstance(result, dict) and result.get("name") == "alignments3D":
            versions, counts = result.get("versions"), result.get("num_items")
            if isinstance(versions, list) and isinstance(counts, list):
                pairs = zip(versions, counts, strict=False)
                return {int(v): int(n) for v, n in pairs if isinstance(v, int) and isinstance(n, int)}
    return {}


def _summaries(said: dict[str, Any]) -> tuple[tuple[Summary, ...], ...]:
    """Of each output of volumes; since version 5 they are below ``spec.outputs``."""
    groups = said.get("output_result_groups") or _table(said, "spec").get("outputs") or []
    found = []
    for group in groups.values() if isinstance(groups, dict) else groups if isinstance(groups, list) else []:
        stats = group.get("summary_stats") if isinstance(group, dict) else None
        read = tuple(map(_summary, stats)) if isinstance(stats, list) else ()
        if any(each.curves for each in read):
            found.append(read)
    return tuple(found)


def _summary(stats: Any) -> Summary:
    info = _table(stats, "fsc_info_best") if isinstance(stats, dict) else {}
    waves = _numbers(info.get("radwns"))
    curves = [
        (name.removeprefix("fsc_"), values)
        for name, value in info.items()
        if name.startswith("fsc_") and len(values := _numbers(value)) == len(waves)
    ]
    return Summary(positive_number(info.get("radwn_final_A")), waves, tuple(curves) if waves else ())


def _numbers(values: Any) -> tuple[float, ...]:
    if not isinstance(values, list):
        return ()
    return tuple(float(v) if isinstance(v, int | float) else float("nan") for v in values)


def summary_of(table: JobTable, number: int, class_index: int | None) -> Summary | None:
    """What is kept of one iteration of a class; None where nothing is."""
    index = class_index or 0
    of_class = table.summaries[index] if index < len(table.summaries) else ()
    found = of_class[number] if number < len(of_class) else None
    return found if found is not None and found.curves else None


def iterations_summarised(table: JobTable, class_index: int | None) -> list[int]:
    """The iterations of a class of which curves are kept."""
    index = class_index or 0
    of_class = table.summaries[index] if index < len(table.summaries) else ()
    return [number for number, each in enumerate(of_class) if each.curves]


@dataclass(frozen=True, slots=True)
class JobLog:
    """A job.log: whether the process has ended, and where each curve of each iteration crossed 0.143, in shells.

    Attributes:
        crossings: one table an iteration, from 0: label ("No-Mask", "Tight Mask", ...) -> shell. Of the last iteration, whose
            mask is tightened step by step, the last step's.
    """

    ended: bool = False
    crossings: tuple[dict[str, float], ...] = ()


def read_log(path: Path) -> JobLog:
    """A job.log. Heartbeats of another process fall into the middle of its lines; they are taken out first.

    Raises:
        NotReadyError: not there, or empty.
    """
    text = _HEARTBEAT.sub("", read_text(path))
    passes: list[dict[str, float]] = []
    tightening, label = False, ""
    for found in _READ_OFF.finditer(text):
        if found["tightening"]:
            tightening = True
        elif found["label"]:
            label = found["label"]
            if label == "No-Mask":
                if tightening and passes:
                    passes[-1] = {}
                else:
                    passes.append({})
                tightening = False
        elif label and passes:
            passes[-1][label] = float(found["shell"])
            label = ""
    return JobLog(_ENDED in text, tuple(passes))


def read_filter_radii(path: Path) -> dict[int, float]:
    """The resolution that each iteration was filtered to, in Angstrom, from an exported ``events.bson``.

    Only its texts are looked for; they lie in the file as they are.

    Raises:
        NotReadyError: not there.
    """
    try:
        content = read_bytes(path)
    except OSError as error:
        raise NotReadyError(f"{path}: cannot be read ({error.strerror})") from error
    found, iteration = {}, None
    for match in _STARTS.finditer(content):
        if match["number"]:
            iteration = int(match["number"])
        elif iteration is not None:
            found[iteration] = float(match["filter_A"])
    return found


def log_of(folder: Path, memory: Memory) -> JobLog:
    """The log of a job; empty where there is none yet."""
    try:
        return memory.file(read_log, folder / "job.log")
    except RefineHooksError:
        return JobLog()


def filter_radii_of(folder: Path, memory: Memory) -> dict[int, float]:
    """See `read_filter_radii`; empty where the event log was not exported."""
    try:
        return memory.file(read_filter_radii, folder / "events.bson")
    except RefineHooksError:
        return {}


def over(folder: Path, table: JobTable, memory: Memory) -> bool:
    """Whether a job has ended. Its log knows first: job.json is written anew only when the job is exported."""
    if (folder / "job.log").is_file():
        return log_of(folder, memory).ended
    return table.status in _OVER


def running(folder: Path, table: JobTable, memory: Memory) -> bool:
    """Whether a job is known to be running, so that its files may be cleared."""
    return (folder / "job.log").is_file() and not over(folder, table, memory)
