"""Rounds for tests of whoever reads a log: curves of known shape in a record that is otherwise complete."""

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refine_hooks import audit, curves
from refine_hooks.fourier import shell_frequency_per_A, voxels_in_shell
from refine_hooks.log.curves import Curve
from refine_hooks.log.headline import with_headline
from refine_hooks.log.masks import MaskRecord, SphereParameters
from refine_hooks.log.records import Failed, HalfMapsRecord, RoundRecord, now
from refine_hooks.log.summary import RoundSummary, summary_of
from refine_hooks.model import Fingerprint, InputFile, Key, ProgramWarning, Reported, WarningCode

BOX, VOXEL_A = 128, 1.5
FREQUENCY = shell_frequency_per_A(BOX, VOXEL_A)
SHELLS = len(FREQUENCY)
Values = NDArray[np.float64]


REPORTED_MASKS = {"reported_fsc": "sphere", "reported_part_fsc": "sphere"}


def falling(shell: float, width: float = 3.0, shells: int = SHELLS) -> Values:
    return 1 / (1 + np.exp((np.arange(shells) - shell) / width))


def masks_of(fraction: float = 0.02) -> tuple[MaskRecord, ...]:
    box_A3 = (BOX * VOXEL_A) ** 3
    sphere = MaskRecord(
        name="sphere",
        role="sphere",
        volume_A3=0.3 * box_A3,
        volume_fraction=0.3,
        parameters=SphereParameters(radius_A=75.0, edge_A=10.0),
    )
    return sphere, MaskRecord(name="automask", role="automask", volume_A3=fraction * box_A3, volume_fraction=fraction)


def kind_of(name: str) -> dict[str, Any]:
    """What a curve of that name is, by the names that the tests give."""
    if name.startswith("reported_"):
        made = {"reported_part_fsc": "scaled", "reported_postprocess_randomised": "randomised"}.get(name)
        made = made or name.removeprefix("reported_postprocess_").replace("reported_gold_standard", "fsc")
        made = made.removeprefix("reported_")
        return {"kind": "randomised" if made == "randomised" else "reported", "made": made}
    ending = name.rpartition("_")[2]
    return {"kind": ending if ending in ("corrected", "scaled") else "measured"}


def reported(resolution_A: float, rule: str) -> Reported:
    return Reported(resolution_A=resolution_A, level=0.5 if "0.5" in rule else 0.143, rule=rule)


def warned(code: WarningCode, text: str) -> dict[str, Any]:
    return {"program_warnings": (ProgramWarning(code=code, text=text, source="run.err"),)}


@lru_cache(4096)
def _curve(name: str, correlation: bytes, null_sd: float, onset: int) -> Curve:
    mask = REPORTED_MASKS.get(name) if name.startswith(("reported", "unmasked")) else name.partition("_")[0]
    known: dict[str, Any] = {}
    if mask not in (None, "sphere") or name.endswith("_scaled"):
        known = {
            "randomised_mean": np.zeros(SHELLS),
            "randomised_sd": np.full(SHELLS, null_sd),
            "onset_shell": onset,
        }
    values = np.frombuffer(correlation)
    return curves.curve(name, mask, values, FREQUENCY, sd=np.full(SHELLS, 0.01), **kind_of(name), **known)


def a_round(
    values: dict[str, Values], iteration: int = 1, null_sd: float = 0.01, onset: int = 12, **more: Any
) -> RoundRecord:
    records = [
        _curve(name, np.asarray(correlation, np.float64).tobytes(), null_sd, onset)
        for name, correlation in values.items()
    ]
    fields: dict[str, Any] = {
        "program": "test",
        "label": f"Round {iteration}",
        "measured_at": now(),
        "key": Key(run="run", iteration=iteration, class_id=1),
        "fingerprint": Fingerprint(inputs=(InputFile(name=f"{iteration}", size=1, mtime_ns=1),)),
        "number": iteration,
        "box_px": BOX,
        "voxel_size_A": VOXEL_A,
        "frequency_per_A": tuple(FREQUENCY.tolist()),
        "voxels_in_shell": tuple(voxels_in_shell(BOX).tolist()),
        "half_maps": HalfMapsRecord(origin="merged", paths=("a", "b")),
        "masks": masks_of(),
        "curves": tuple(records),
    }
    return with_headline(RoundRecord(**{**fields, **more}))


def healthy(iteration: int = 1, shell: float = 30.0, **more: Any) -> RoundRecord:
    values = {
        "unmasked": falling(shell - 4),
        "sphere": falling(shell - 3),
        "automask": falling(shell),
        "automask_corrected": falling(shell),
    }
    return a_round(values, iteration, **more)


def a_failure(iteration: int, reason: str) -> Failed:
    record = healthy(iteration)
    return Failed(
        failed_at=now(),
        program="test",
        label=record.label,
        key=record.key,
        fingerprint=record.fingerprint,
        reason=reason,
    )


def rule_names() -> set[str]:
    """The names of all findings: of the texts, and as the rules' sources spell them."""
    named = re.compile(r'(?:found\(\s*record,|records\[0\],|records\[-1\],|rule=)\s*"(\w+)"')
    sources = Path(audit.__file__).parent.glob("*.py")
    return set(audit.all_texts()) | {
        name for path in sources for name in named.findall(path.read_text(encoding="utf-8"))
    }


@dataclass(frozen=True)
class Held:
    """A log in memory, for what reads one through its index."""

    rounds: tuple[RoundRecord, ...]

    def summaries(self) -> list[RoundSummary]:
        return [summary_of(record) for record in self.rounds]

    def record(self, key: Key) -> RoundRecord:
        return next(record for record in self.rounds if record.key == key)


def held(rounds: tuple[RoundRecord, ...]) -> Held:
    return Held(rounds)
