"""Other programs on the same half maps, cold commands: what they cost, and how far their number is from the truth.

The halves are a signal that is known and white noise, so that the expected FSC under any mask is known, too: that of the automask,
which every program that takes a mask is given, is the truth. RELION makes a mask of its own, and is judged by that one.
"""

import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from benchmarks.measuring import NOISE, VOXEL_A, signal_of
from benchmarks.rounds import _relion, _timed

from refine_hooks import curves
from refine_hooks.files.mrc import Map, Volume, read_map, write_map
from refine_hooks.fourier import shell_frequency_per_A, shell_sums, transform, voxels_in_shell

LEVEL = 0.143
Figures = dict[str, float]


@dataclass(frozen=True)
class Peer:
    """A program: its command, and the pattern of the resolution in what it says."""

    name: str
    command: list[str]
    stated: str


HEADER = ("| box | program | its number | off by | wall s | CPU s | peak GB |", "|---|---|---|---|---|---|---|")


def run(folder: Path, box_px: int, own: Figures) -> None:
    """Print a row of the guide's table for each program, as it is measured.

    Args:
        folder: with the half maps and, below ``out``, what `measure` kept of them.
        box_px: edge of the half maps.
        own: what `measure` costs.
    """

    def say(program: str, found: Figures, read_A: float | None = None, truth_A: float = 0.0) -> None:
        number = "" if read_A is None else f"{read_A:.2f} A"
        off = "" if read_A is None else f"{read_A - truth_A:+.2f} A"
        figures = " | ".join(f"{found[name]:.2f}" if name in found else "" for name in ("wall s", "CPU s", "peak GB"))
        print(f"| {box_px} | {program} | {number} | {off} | {figures} |", flush=True)

    halves = [str(folder / f"half{number}.mrc") for number in (1, 2)]
    mask, own_A = _automask(folder / "out")
    truth_A = expected_A(signal_of(box_px), read_map(mask).voxels)
    say("expected under the automask", {}, truth_A, truth_A)
    say("`measure`, `automask_corrected`", own, own_A, truth_A)
    for peer in _of_a_mask(folder, halves, mask):
        if not shutil.which(peer.command[0]):
            say(f"{peer.name}: not installed", {})
            continue
        found = _timed(peer.command, folder / "said.txt", folder)
        read_A = _stated_A(peer.stated, (folder / "said.txt").read_text(errors="replace"))
        say(f"{peer.name}" + ("" if read_A else ": states no number"), _figures(found), read_A, truth_A)
    if not shutil.which("relion_postprocess"):
        say("relion_postprocess: not installed", {})
        return
    relion = _relion(folder, box_px)
    truth_A = expected_A(signal_of(box_px), read_map(folder / "relion_mask.mrc").voxels)
    say("`relion_mask_create`", _figures(relion["relion_mask_create"]))
    say("expected under RELION's mask", {}, truth_A, truth_A)
    read_A = _stated_A(r"_rlnFinalResolution\s+([\d.]+)", (folder / "post.star").read_text())
    say("`relion_postprocess`", _figures(relion["relion_postprocess"]), read_A, truth_A)


def expected_A(signal: Volume, mask: Volume) -> float:
    """Where S / (S + N) under a mask falls to 0.143, of a known signal and white noise of a known deviation."""
    half = transform(signal * mask)
    power = shell_sums(half, half).power1
    noise = NOISE**2 * float(np.square(mask, dtype=np.float64).sum()) * voxels_in_shell(len(mask))
    found = curves.resolution_A(
        power / np.maximum(power + noise, 1e-30), shell_frequency_per_A(len(mask), VOXEL_A), LEVEL
    )
    return found or 2 * VOXEL_A


def _of_a_mask(folder: Path, halves: list[str], mask: Path) -> list[Peer]:
    given = str(folder / "mask.mrc")
    write_map(Path(given), Map(read_map(mask).voxels, VOXEL_A), "benchmark")
    drgn = ["cryodrgn_utils", "fsc", *halves, "--mask", given, "--Apix", str(VOXEL_A), "-o", str(folder / "drgn.txt")]
    servalcat = ["servalcat", "fsc", "--halfmaps", *halves, "--mask", given, "-o", str(folder / "servalcat")]
    return [
        Peer("`servalcat fsc`", servalcat, r"from mask corrected FSC = ([\d.]+)"),
        Peer("`cryodrgn_utils fsc`, uncorrected", drgn, r"FSC=0.143: ([\d.]+) ang"),
    ]


def _stated_A(pattern: str, said: str) -> float | None:
    found = re.findall(pattern, said)
    return float(found[-1]) if found else None


def _figures(found: Figures) -> Figures:
    return {"wall s": found["wall_s"], "CPU s": found["cpu_s"], "peak GB": found["peak_GB"]}


def _automask(out: Path) -> tuple[Path, float]:
    """The automask that a measurement kept, and the resolution that it states."""
    record = json.loads((out / "rounds.jsonl").read_text().splitlines()[-1])
    kept = next(mask for mask in record["masks"] if mask["role"] == "automask")
    best = next(curve for curve in record["curves"] if curve["name"] == "automask_corrected")
    return out / kept["path"], float(best["resolution_A"])
