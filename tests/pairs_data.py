"""Imitations of programs that write half maps into a few folders: each plays one iteration after the other, under the real names.

The curves that they write are the true, unmasked FSCs of their half maps, in each program's own form.
"""

import os
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from small_program import BOX, half_maps_of

from refine_hooks.files.mrc import Map, write_map
from refine_hooks.fourier import transform
from refine_hooks.fsc import fsc

VOXEL_A = 3.0
BEGAN_S = time.time() - 100_000


def true_fsc(iteration: int) -> np.ndarray:
    """The FSC of what an iteration writes, over the shells 0..BOX // 2."""
    return fsc(*(transform(half.voxels) for half in half_maps_of(iteration)))


def floored_fsc(iteration: int) -> np.ndarray:
    """The FSC in shells [i - 1, i), as cryoDRGN counts them."""
    one, two = (np.fft.fftn(half.voxels.astype(float)) for half in half_maps_of(iteration))
    k = np.stack(np.meshgrid(*(np.fft.fftfreq(BOX, 1 / BOX),) * 3, indexing="ij"))
    shell = 1 + np.floor(np.sqrt((k**2).sum(axis=0))).astype(int).ravel()
    cross, power1, power2 = (
        np.bincount(shell, values.ravel())[: BOX // 2]
        for values in ((one * two.conj()).real, np.abs(one) ** 2, np.abs(two) ** 2)
    )
    return np.r_[1.0, cross[1:] / np.sqrt(power1 * power2)[1:]]


def brought_to_shells(iteration: int) -> np.ndarray:
    """`floored_fsc` at our shells: the mean of both neighbours, of which that of the origin is left out."""
    floored = floored_fsc(iteration)
    return np.r_[1.0, (1 + 2 * floored[2]) / 3, (floored[2:-1] + floored[3:]) / 2, floored[-1], np.nan]


def dated(paths: Iterable[Path], iteration: float) -> None:
    """Give files the times of an iteration, one second after the other."""
    for second, path in enumerate(paths):
        at_s = BEGAN_S + 1000 * iteration + second
        os.utime(path, (at_s, at_s))


def put(path: Path, volume: Map) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_map(path, volume, "an imitation")
    return path


def put_text(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def merged(one: Map, two: Map) -> Map:
    return Map((one.voxels + two.voxels) / 2, one.voxel_size_A)


def stopgap(project: Path, iteration: int) -> None:
    one, two = half_maps_of(iteration)
    files = [put(project / "ref" / f"ref_{half}_{iteration}.mrc", m) for half, m in (("A", one), ("B", two))]
    dated([*files, put(project / "ref" / f"ref_{iteration}.mrc", merged(one, two))], iteration)


def stopgap_classes(project: Path, iteration: int) -> None:
    for class_id in (1, 2):
        for half, m in zip("AB", half_maps_of(10 * class_id + iteration), strict=True):
            dated([put(project / "ref" / f"ref_{half}_{iteration}_{class_id}.mrc", m)], iteration)


def emclarity(project: Path, iteration: int) -> None:
    stem = f"cycle{iteration:03d}_virus_class0_REF"
    files = [
        put(project / f"{stem}_{half}.mrc", m) for half, m in zip(("ODD", "EVE"), half_maps_of(iteration), strict=True)
    ]
    rows = [(shell / (BOX * VOXEL_A), value, value / 2) for shell, value in enumerate(true_fsc(iteration))][1:]
    text = "".join(f"{x:.6f} {y:.6f} {cone:.6f}\n" for x, y, cone in rows)
    table = project / "FSC" / f"cycle{iteration:03d}_virus_Raw-1-fsc_GLD.txt"
    dated([*files, put_text(table, text)], iteration)


def simple(project: Path, iteration: int, unfiltered: bool = True, content: int = 0) -> None:
    one, two = half_maps_of(content or iteration)
    files = []
    if unfiltered:
        files = [put(project / f"recvol_state01_{h}_unfil.mrc", m) for h, m in (("even", one), ("odd", two))]
    files += [
        put(project / f"recvol_state01_{h}.mrc", Map(m.voxels / 2, 3.0)) for h, m in (("even", one), ("odd", two))
    ]
    table = project / "fsc_state01.bin"
    values = true_fsc(iteration)[1:]
    np.array([len(values), *values], np.float32).tofile(table)
    number = put_text(project / f"RESOLUTION_STATE01_ITER{iteration:03d}", "8.0\n")
    dated([*files, table, number], iteration + 0.1 * bool(content))


def nextpyp(project: Path, iteration: int) -> None:
    maps = project / "frealign" / "maps"
    one, two = half_maps_of(iteration)
    files = [put(maps / f"t20s_r01_half{k}.mrc", m) for k, m in ((1, one), (2, two))]
    number = put(maps / f"t20s_r01_{iteration + 1:02d}.mrc", merged(one, two))  # its first iteration is 2
    shells = np.arange(1, BOX // 2 + 1)
    columns = [shells / (BOX * VOXEL_A), *(true_fsc(i)[1:] for i in range(1, iteration + 1))]
    table = put_text(maps / "t20s_r01_fsc.txt", "")
    np.savetxt(table, np.array(columns).T, fmt="%10.5f")
    dated([*files, number, table], iteration)


def warp(project: Path, iteration: int) -> None:
    folder = project / "species" / "ribosome_1a2b3c4d"
    one, two = half_maps_of(iteration)
    mask = Map((np.abs(merged(one, two).voxels) > 0.2).astype(np.float32), VOXEL_A)
    version = folder / "versions" / f"{0xFADED01 - iteration:08x}"
    for place in (version, folder):
        files = [put(place / f"ribosome_half{k}.mrc", m) for k, m in ((1, one), (2, two))]
        files.append(put(place / "ribosome_mask.mrc", mask))
        names = ("wrpResolution", "wrpFSCUnmasked", "wrpFSCRandomized", "wrpFSCCorrected", "wrpFSCMasked")
        head = "\ndata_\n\nloop_\n" + "".join(f"_{name} #{k}\n" for k, name in enumerate(names, 1))
        values = true_fsc(iteration)
        rows = [(BOX * VOXEL_A / max(k, 1e-3), v, 0.0, v, v) for k, v in enumerate(values)]
        table = "".join("  ".join(f"{x:.6f}" for x in row) + "\n" for row in rows)
        dated([*files, put_text(place / "ribosome_fsc.star", head + table)], iteration)
    before = f"{0xFADED02 - iteration:08x}" if iteration > 1 else ""
    put_text(version / "ribosome.species", f'<Species><Param Name="PreviousVersion" Value="{before}" /></Species>')
    put_text(folder / "ribosome.species", "<Species/>")
    put_text(project / "virus.population", "<Population/>")


def write_em(path: Path, volume: Map) -> Path:
    """An EM file: 512 bytes of header (machine, type, three sizes), then 32-bit floats; x runs fastest."""
    header = bytearray(512)
    header[0], header[3] = 6, 5
    header[4:16] = np.array(volume.voxels.shape[::-1], "<i4").tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(header) + volume.voxels.astype("<f4").tobytes())
    return path


def dynamo(project: Path, iteration: int) -> None:
    averages = project / "align_eo" / "results" / f"ite_{iteration:04d}" / "averages"
    files = [
        write_em(averages / f"average_ref_{k:03d}_ite_{iteration:04d}.em", m)
        for k, m in enumerate(half_maps_of(iteration), 1)
    ]
    text = " ".join(f"{value:.6f}" for value in true_fsc(iteration)[1:])
    dated([*files, put_text(averages / f"bandpass_fsc_ite_{iteration:04d}.fsc", text)], iteration)


def cryodrgn(project: Path, iteration: int) -> None:
    one, two = half_maps_of(iteration)
    files = [put(project / f"half_map_{h}.mrc", m) for h, m in (("a", one), ("b", two))]
    rows = [(shell / BOX, *(value,) * 5) for shell, value in enumerate(floored_fsc(iteration))]
    head = "pixres NoMask Spherical Loose Tight Corrected\n"
    table = head + "".join(" ".join(f"{x:.6f}" for x in row) + "\n" for row in rows)
    put(project / "backproject.mrc", merged(one, two))
    dated([*files, put_text(project / "fsc-vals.txt", table)], iteration)


def pytom(project: Path, iteration: int) -> None:
    one, two = half_maps_of(iteration)
    files = [write_em(project / f"{iteration}-{half}.em", m) for half, m in (("Even", one), ("Odd", two))]
    filtered = write_em(project / f"{iteration}-EvenFiltered.em", one)
    table = put_text(project / f"{iteration}-FSC.dat", "\n".join(f"{v:.6f}" for v in true_fsc(iteration)[1:]) + "\n")
    dated([*files, filtered, table], iteration)


def frealign(project: Path, iteration: int) -> None:
    put_text(project / "mparameters", "MODE 1\ndata_input virus\n")
    for old in (project / "scratch").glob(f"virus_{iteration - 1}_r1_map?.mrc"):
        old.unlink()
    one, two = half_maps_of(iteration)
    dated(
        [put(project / "scratch" / f"virus_{iteration}_r1_map{k}.mrc", m) for k, m in ((1, one), (2, two))], iteration
    )
    dated([put(project / f"virus_{iteration}_r1.mrc", merged(one, two))], iteration)


def thunder(project: Path, iteration: int) -> None:
    stem = f"Round_{iteration:03d}"
    files = [
        put(project / f"Reference_000_{h}_{stem}.mrc", m) for h, m in zip("AB", half_maps_of(iteration), strict=True)
    ]
    rows = [f"{k} {k / (BOX * VOXEL_A):.6f} {v:.6f}\n" for k, v in enumerate(true_fsc(iteration)) if k]
    dated([*files, put_text(project / f"FSC_{stem}.txt", "".join(rows))], iteration)


def susan(project: Path, iteration: int) -> None:
    put_text(project / "info.prjtxt", "name:project\n")
    folder = project / f"ite_{iteration:04d}"
    one, two = half_maps_of(iteration)
    files = [put(folder / f"map_class001_half{k}.mrc", m) for k, m in ((1, one), (2, two))]
    dated([*files, put(folder / "map_class001.mrc", merged(one, two))], iteration)


def recovar(project: Path, iteration: int) -> None:
    volumes = project / "output" / "volumes"
    dated([put(volumes / f"mean_half{k}_unfil.mrc", m) for k, m in enumerate(half_maps_of(iteration), 1)], iteration)


def dynamight(project: Path, iteration: int) -> None:
    folder = project / "backprojection"
    dated([put(folder / f"map_half{k}.mrc", m) for k, m in enumerate(half_maps_of(iteration), 1)], iteration)


@dataclass(frozen=True)
class Imitation:
    """One program: how it plays an iteration, and what is to be found afterwards.

    ``live`` iterations have half maps when each is watched, ``late`` when only the end is seen.
    """

    play: Callable[[Path, int], None]
    origin: str
    live: int = 3
    late: int = 3
    curve: str | None = None
    labels: tuple[str, ...] = ("it001", "it002", "it003")
    settings: tuple[tuple[str, float], ...] = ()
    true: Callable[[int], np.ndarray] = true_fsc

    def finished(self, project: Path) -> Path:
        project.mkdir(parents=True, exist_ok=True)
        for iteration in range(1, self.live + 1):
            self.play(project, iteration)
        return project


PROGRAMS = {
    "stopgap": Imitation(stopgap, "found"),
    "emclarity": Imitation(emclarity, "regularised", curve="gold"),
    "simple": Imitation(simple, "found", late=1, curve="fsc"),
    "nextpyp": Imitation(nextpyp, "found", late=1, curve="fsc", labels=("it002", "it003", "it004")),
    "warp": Imitation(warp, "found", curve="unmasked", labels=("0faded00", "0fadecff", "0fadecfe")),
    "dynamo": Imitation(dynamo, "found", curve="bandpass", settings=(("voxel_size_A", VOXEL_A),)),
    "thunder": Imitation(thunder, "found", curve="fsc"),
    "susan": Imitation(susan, "found"),
    "recovar": Imitation(recovar, "found", live=1, late=1, labels=("it000",)),
    "dynamight": Imitation(dynamight, "found", live=1, late=1, labels=("it000",)),
    "cryodrgn": Imitation(
        cryodrgn, "found", live=1, late=1, curve="unmasked", labels=("it000",), true=brought_to_shells
    ),
    "pytom": Imitation(pytom, "found", curve="fsc", settings=(("voxel_size_A", VOXEL_A),)),
    "frealign": Imitation(frealign, "found", live=3, late=1),
}
