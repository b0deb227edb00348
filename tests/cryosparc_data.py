"""A cryoSPARC project as its jobs leave it: maps and masks by iteration, job.json, a log with heartbeats, particles."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from eman2_data import fsc, halves_of

from refine_hooks.files.mrc import Map, write_map

BOX, PIXEL = 24, 2.0
COLUMNS = (
    "nomask",
    "sphericalmask",
    "loosemask",
    "tightmask",
    "noisesub_raw",
    "noisesub_true",
    "noisesub",
)


def mask(radius: float) -> np.ndarray:
    z, y, x = np.indices((BOX,) * 3) - BOX // 2
    return np.clip(radius + 0.5 - np.sqrt(z**2 + y**2 + x**2), 0, 1).astype(np.float32)


MASKS = {"mask_refine": mask(10), "mask_fsc": mask(9), "mask_fsc_auto": mask(8)}


def job_table(kind: str, status: str, iterations: int, version: str = "v4.4.1", **parameters: object) -> dict:
    """A job.json; from version 5 on the kind and the parameters are below ``spec``."""
    values = {"refine_symmetry": "C1", "refine_res_gsfsc_split": 20, "refine_window": True} | parameters
    table: dict = {"uid": "J5", "project_uid": "P1", "status": status, "version": version, "title": "New Job J5"}
    if version.startswith("v5"):
        table["spec"] = {"type": kind, "params": values}
    else:
        table |= {"type": kind, "job_type": kind, "params_spec": {}}
        table["params_base"] = {name: {"title": name, "value": value} for name, value in values.items()}
    counts = [1000 * (n + 1) for n in range(iterations)]
    table["output_results"] = [
        {"name": "map", "versions": list(range(iterations)), "num_items": [1] * iterations},
        {"name": "alignments3D", "versions": list(range(iterations)), "num_items": counts},
    ]
    return table


def log_pass(shells: dict[str, float]) -> str:
    """A heartbeat of the monitor falls into the middle of a line, as they do."""
    beat = "========= sending heartbeat\n"
    text = ""
    for label, shell in shells.items():
        number = f"{shell:.3f}"
        if "Loose" in label:
            number = number[:2] + beat + number[2:]
        text += f"{f'FSC {label}...':<23}0.143 at {number} radwn. 0.5 at 3.000 radwn. Took 1.258s.\n"
    return text


def job_log(iterations: int, ended: bool) -> str:
    text = "\n\n================= CRYOSPARCW =======\nProject P1 Job J5\n========= sending heartbeat\n"
    for n in range(iterations):
        text += "compute_resid_pow with  (500, 1, 80, 1========= sending heartbeat\n2) 120\n"
        text += log_pass({"No-Mask": 4 + n, "Spherical Mask": 5 + n, "Loose Mask": 6 + n, "Tight Mask": 7 + n})
    if ended:
        for step in range(3):
            text += f"---- Computing FSC with mask {2 + step / 4:.2f} to {6 + step:.2f}\n"
            text += log_pass({"No-Mask": 6, "Tight Mask": 9.5, "Noise Sub": 8 + step / 2})
        text += "========= main process now complete at 2024-01-01.\n========= monitor process now complete.\n"
    return text


def fsc_table(path: Path, iteration: int) -> dict[str, np.ndarray]:
    """Tab-separated, with a column that means nothing where the noise's correlation is near 1."""
    one, two = halves_of(iteration + 1)
    curves = {
        "nomask": fsc(one, two),
        "sphericalmask": fsc(one * mask(11), two * mask(11)),
        "loosemask": fsc(one * mask(9), two * mask(9)),
        "tightmask": fsc(one * mask(8), two * mask(8)),
    }
    curves["noisesub_raw"] = np.linspace(1, 0, BOX // 2 + 1)
    with np.errstate(all="ignore"):
        true = (curves["tightmask"] - curves["noisesub_raw"]) / (1 - curves["noisesub_raw"])
    curves["noisesub_true"] = true
    curves["noisesub"] = np.where(np.arange(BOX // 2 + 1) < 5, curves["tightmask"], true)
    lines = ["\t".join(["wave_number", *(f"fsc_{name}" for name in COLUMNS)])]
    for k in range(BOX // 2 + 1):
        lines.append("\t".join([f"{float(k)}", *(f"{curves[name][k]:.6f}" for name in COLUMNS)]))
    path.write_text("\n".join(lines) + "\n")
    return curves


def write_iteration(job: Path, stem: str, iteration: int, tightened: bool) -> Iterator[str]:
    """The files of one iteration in the order in which they appear."""
    one, two = halves_of(iteration + 1)
    for name, voxels in {
        "map": (one + two) / 2,
        "map_sharp": (one + two) / 2,
        "map_half_A": one,
        "map_half_B": two,
    }.items():
        write_map(job / f"{stem}_{iteration:03d}_volume_{name}.mrc", Map(voxels, PIXEL), "cryosparc")
        yield name
    for name, voxels in MASKS.items():
        if name != "mask_fsc_auto" or tightened:
            write_map(job / f"{stem}_{iteration:03d}_volume_{name}.mrc", Map(voxels, PIXEL), "cryosparc")
            yield name
    write_particles(job, f"{stem}_{iteration:03d}_particles.cs")
    yield "particles"


def write_particles(job: Path, name: str, count: int = 40) -> None:
    """The columns that a refinement changes; the images are in the passthrough table, in another order."""
    rng = np.random.default_rng(3)
    uid = rng.permutation(count).astype("<u8") + 100
    own = np.zeros(
        count,
        [
            ("uid", "<u8"),
            ("alignments3D/split", "<u4"),
            ("alignments3D/shift", "<f4", (2,)),
            ("alignments3D/pose", "<f4", (3,)),
            ("alignments3D/psize_A", "<f4"),
            *((f"ctf/{c}", "<f4") for c in ("accel_kv", "cs_mm", "amp_contrast", "df1_A", "df2_A", "df_angle_rad")),
        ],
    )
    own["uid"], own["alignments3D/split"], own["alignments3D/psize_A"] = uid, np.arange(count) % 2, PIXEL
    own["alignments3D/pose"] = rng.normal(size=(count, 3))
    own["ctf/accel_kv"], own["ctf/cs_mm"], own["ctf/amp_contrast"] = 300, 2.7, 0.1
    own["ctf/df1_A"] = own["ctf/df2_A"] = 15000
    with (job / name).open("wb") as stream:
        np.save(stream, own)
    blobs = np.zeros(
        count + 3,
        [("uid", "<u8"), ("blob/path", "S40"), ("blob/idx", "<u4"), ("blob/psize_A", "<f4"), ("blob/sign", "<f4")],
    )
    blobs["uid"] = np.sort(np.append(uid, [1, 2, 3]))
    blobs["blob/path"], blobs["blob/psize_A"], blobs["blob/sign"] = b">J2/extract/stack.mrc", PIXEL, -1
    blobs["blob/idx"] = blobs["uid"]
    with (job / f"{name.split('_', maxsplit=1)[0]}_passthrough_particles.cs").open("wb") as stream:
        np.save(stream, blobs)


def write_project(
    folder: Path, iterations: int = 2, stem: str = "J5", kind: str = "nonuniform_refine_new", **parameters: object
) -> Path:
    """A finished refinement J5 with tables of its curves, beside an extraction J2 that must not be looked into."""
    job = folder / "J5"
    job.mkdir(parents=True)
    (folder / "project.json").write_text('{"uid": "P1", "title": "imitated"}')
    (folder / "job_manifest.json").write_text('{"jobs": ["J2", "J5"]}')
    (folder / "J2" / "extract").mkdir(parents=True)
    (folder / "J2" / "job.json").write_text(json.dumps({"type": "extract_micrographs_multi", "status": "completed"}))
    for n in range(iterations):
        for _ in write_iteration(job, stem, n, tightened=n == iterations - 1):
            pass
        fsc_table(job / f"J5_fsc_iteration_{n:03d}.txt", n)
    fsc_table(job / f"J5_fsc_iteration_{iterations - 1:03d}_after_fsc_mask_auto_tightening.txt", iterations - 1)
    (job / "job.json").write_text(json.dumps(job_table(kind, "completed", iterations, **parameters)))
    (job / "job.log").write_text(job_log(iterations, ended=True))
    return folder


def steps(folder: Path, iterations: int, clears: bool = True) -> Iterator[str]:
    """A refinement that runs: files appear one after another, and older iterations are cleared."""
    job = folder / "J5"
    job.mkdir(parents=True)
    (folder / "project.json").write_text('{"uid": "P1"}')
    (job / "job.json").write_text(json.dumps(job_table("nonuniform_refine_new", "running", 0)))
    yield "queued"
    for n in range(iterations):
        (job / "job.log").write_text(job_log(n, ended=False))
        yield f"{n}: computing"
        for step in write_iteration(job, "J5", n, tightened=n == iterations - 1):
            yield f"{n}: {step}"
        if clears and n:
            for path in job.glob(f"J5_{n - 1:03d}_volume*.mrc"):
                path.unlink()
            yield f"{n}: cleared"
    (job / "job.log").write_text(job_log(iterations, ended=True))
    yield "ended"
