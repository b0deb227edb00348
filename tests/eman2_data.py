"""A refinement of EMAN2 as its programs write it: HDF5 in the MDF layout, file by file in the order of e2refine_postprocess."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np

BOX, APIX = 24, 3.0


def write_hdf(path: Path, voxels: np.ndarray, apix: float = APIX, bits: int = 0) -> None:
    """One image; with ``bits`` as compressed integers, as EMAN2 has written finished maps since 2022."""
    attributes = {f"EMAN.apix_{axis}": apix for axis in "xyz"} | {f"EMAN.origin_{axis}": 0.0 for axis in "xyz"}
    stored = voxels.astype(np.float32)
    if bits:
        low, high = float(voxels.min()), float(voxels.max())
        stored = np.round((voxels - low) / (high - low) * (2**bits - 1)).astype(np.uint16)
        attributes |= {"EMAN.stored_rendermin": low, "EMAN.stored_rendermax": high}
        attributes["EMAN.stored_renderbits"] = np.int32(bits)
    part = path.with_suffix(".part")
    with h5py.File(part, "w") as file:
        file.create_group("MDF/images").attrs["imageid_max"] = np.array([0], np.int32)
        group = file.create_group("MDF/images/0")
        for name, value in attributes.items():
            group.attrs[name] = np.array([value])
        group.create_dataset("image", data=stored, compression="gzip" if bits else None)
    path.write_bytes(part.read_bytes())
    part.unlink()


def halves_of(iteration: int, box: int = BOX) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(7)
    z, y, x = (np.indices((box,) * 3) - box // 2) / box
    blob = np.exp(-((z / 0.12) ** 2 + (y / 0.16) ** 2 + (x / 0.22) ** 2))
    signal = blob * (1 + rng.normal(size=blob.shape))
    noise = np.random.default_rng(iteration)
    return tuple((signal + noise.normal(0, 0.5 / iteration, blob.shape)).astype(np.float32) for _ in range(2))


def fsc(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """By its definition over the whole transform."""
    a, b = np.fft.fftn(one), np.fft.fftn(two)
    k = np.fft.fftfreq(one.shape[0]) * one.shape[0]
    shell = np.round(np.sqrt(k[:, None, None] ** 2 + k[:, None] ** 2 + k**2)).astype(int).ravel()
    sums = [np.bincount(shell, v.ravel()) for v in ((a * b.conj()).real, abs(a) ** 2, abs(b) ** 2)]
    return (sums[0] / np.sqrt(sums[1] * sums[2]))[: one.shape[0] // 2 + 1]


def filtered(voxels: np.ndarray) -> np.ndarray:
    k = np.fft.fftfreq(voxels.shape[0])
    k2 = k[:, None, None] ** 2 + k[:, None] ** 2 + k**2
    return np.fft.ifftn(np.fft.fftn(voxels) * np.exp(-k2 / 0.02)).real


def write_fsc(path: Path, values: np.ndarray) -> None:
    """Like e2proc3d --calcfsc: from shell 1, without the last."""
    extent = BOX * APIX
    path.write_text("".join(f"{k / extent:g}\t{v:g}\n" for k, v in enumerate(values) if 0 < k < len(values) - 1))


def masks() -> tuple[np.ndarray, np.ndarray]:
    z, y, x = np.indices((BOX,) * 3) - BOX // 2
    r = np.sqrt(z**2 + y**2 + x**2)
    return np.clip(10.5 - r, 0, 1), np.clip(8.5 - r, 0, 1)


def iteration_steps(folder: Path, iteration: int, raw_copies: bool = True) -> Iterator[str]:
    """Does one iteration, and stops wherever a look may fall."""
    name = f"{iteration:02d}"
    halves = dict(zip(("even", "odd"), halves_of(iteration), strict=True))
    for which, half in halves.items():
        write_hdf(folder / f"threed_{name}_{which}.hdf", half)
        yield f"reconstructed {which}"
        if raw_copies:
            write_hdf(folder / f"threed_raw_{which}.hdf", half, bits=12)
            yield f"copied {which}"
    even, odd = halves.values()
    write_fsc(folder / f"fsc_unmasked_{name}.txt", fsc(even, odd))
    yield "unmasked curve"
    write_hdf(folder / f"threed_{name}.hdf", even + odd)
    yield "early map"
    wide, tight = masks()
    write_hdf(folder / "mask.hdf", wide, bits=8)
    write_hdf(folder / "mask_tight.hdf", tight, bits=8)
    write_fsc(folder / f"fsc_maskedtight_{name}.txt", fsc(even * tight, odd * tight))
    write_fsc(folder / f"fsc_masked_{name}.txt", fsc(even * wide, odd * wide))
    yield "curves"
    for which, half in halves.items():
        write_hdf(folder / f"threed_{which}_unmasked.hdf", filtered(half))
    yield "unmasked copies"
    for which, half in halves.items():
        write_hdf(folder / f"threed_{name}_{which}.hdf", filtered(half * wide) * wide, bits=10)
        yield f"filtered {which}"
    write_hdf(folder / f"threed_{name}.hdf", filtered(even + odd) * wide, bits=10)
    yield "done"


def write_project(folder: Path, iterations: int = 2, run: str = "refine_01", raw_copies: bool = True) -> Path:
    """A project with one finished refinement; nobody looked on."""
    for _ in steps(folder, iterations, run, raw_copies):
        pass
    return folder


def steps(
    folder: Path,
    iterations: int,
    run: str = "refine_01",
    raw_copies: bool = True,
    clock: Callable[[], float] | None = None,
) -> Iterator[str]:
    """A refinement, step by step; ``clock`` says when each file was written (default: as it happens)."""
    here = folder / run
    here.mkdir(parents=True)
    (here / "0_refine_parms.json").write_text('{"sym": "c1", "mass": 450.0, "targetres": 8.0, "iter": 3}')
    for which, start in zip(("even", "odd"), halves_of(1), strict=True):
        write_hdf(here / f"threed_00_{which}.hdf", filtered(start))
    seen = {path: path.stat().st_mtime_ns for path in here.iterdir()}
    for iteration in range(1, iterations + 1):
        for step in iteration_steps(here, iteration, raw_copies):
            if clock is not None:
                for path in sorted(here.iterdir(), key=lambda p: p.stat().st_mtime_ns):
                    if seen.get(path) != path.stat().st_mtime_ns:
                        at_s = clock()
                        os.utime(path, (at_s, at_s))
                        seen[path] = path.stat().st_mtime_ns
            yield f"{iteration}: {step}"
