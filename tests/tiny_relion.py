"""A refinement that Debian's relion finishes in seconds: images of an ellipsoidal body, made here."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import mrcfile
import numpy as np
from scipy.ndimage import affine_transform, gaussian_filter
from scipy.spatial.transform import Rotation

BOX_PX, VOXEL_A, IMAGES = 24, 5.0, 24
PROGRAMS = ("mpirun", "relion_refine_mpi", "relion_external_reconstruct")
_OPTICS = """
# version 30001

data_optics

loop_
_rlnOpticsGroup #1
_rlnOpticsGroupName #2
_rlnVoltage #3
_rlnSphericalAberration #4
_rlnAmplitudeContrast #5
_rlnImagePixelSize #6
_rlnImageSize #7
_rlnImageDimensionality #8
1 og1 300.0 2.7 0.1 {voxel_A} {box_px} 2

# version 30001

data_particles

loop_
_rlnImageName #1
_rlnMicrographName #2
_rlnOpticsGroup #3
"""


def missing_programs() -> list[str]:
    return [name for name in PROGRAMS if shutil.which(name) is None]


def ctf(defocus_A: float = 15000.0) -> np.ndarray:
    """The contrast transfer at 300 kV, 2.7 mm and 10 % amplitude contrast, on the grid of a transform."""
    k = np.fft.fftfreq(BOX_PX, VOXEL_A)
    k2, wavelength_A = k[:, None] ** 2 + k[None, : BOX_PX // 2 + 1] ** 2, 0.0197
    return np.sin(np.pi * (wavelength_A * defocus_A * k2 - 0.5 * 2.7e7 * wavelength_A**3 * k2**2) + np.arcsin(0.1))


def with_ctf(folder: Path) -> None:
    """Multiply the images of a project by a CTF, and say so in their table."""
    with mrcfile.open(folder / "particles.mrcs", "r+") as mrc:
        mrc.set_data(np.fft.irfft2(np.fft.rfft2(mrc.data) * ctf(), s=(BOX_PX, BOX_PX)).astype(np.float32))
        mrc.voxel_size = VOXEL_A
    table = folder / "particles.star"
    labels = "".join(f"_rln{name} #{n}\n" for n, name in enumerate(("DefocusU", "DefocusV", "DefocusAngle"), 4))
    text = table.read_text().replace("_rlnOpticsGroup #3\n", f"_rlnOpticsGroup #3\n{labels}")
    table.write_text(text.replace(".mrc 1\n", ".mrc 1 15000 15000 0\n"))


def make_project(folder: Path) -> None:
    rng = np.random.default_rng(0)
    z, y, x = np.indices((BOX_PX,) * 3) - BOX_PX // 2
    body = (z / 3.0) ** 2 + (y / 4.0) ** 2 + (x / 7.0) ** 2 < 1
    volume = np.maximum(gaussian_filter(body * (1 + 2 * rng.normal(size=body.shape)), 0.8), 0).astype(np.float32)
    images = []
    for rotation in Rotation.random(IMAGES, random_state=1):
        matrix, centre = rotation.as_matrix(), np.full(3, BOX_PX // 2)
        image = affine_transform(volume, matrix, offset=centre - matrix @ centre, order=1).sum(axis=0)
        images.append(image + 1.5 * image.std() * rng.normal(size=image.shape))
    stack = np.array(images)
    stack = (stack - stack.mean(axis=(1, 2), keepdims=True)) / stack.std(axis=(1, 2), keepdims=True)
    for name, data in (("ref.mrc", gaussian_filter(volume, 2)), ("particles.mrcs", stack)):
        with mrcfile.new(folder / name) as mrc:
            mrc.set_data(data.astype(np.float32))
            mrc.voxel_size = VOXEL_A
    rows = "".join(f"{i:06d}@particles.mrcs mic{i % 6}.mrc 1\n" for i in range(1, IMAGES + 1))
    (folder / "particles.star").write_text(_OPTICS.format(voxel_A=VOXEL_A, box_px=BOX_PX) + rows)
    (folder / "Refine3D" / "job001").mkdir(parents=True)
    (folder / "Refine3D" / "job001" / "job.star").write_text("data_job\n\n_rlnJobType 10\n")


_SEARCH = (
    "--firstiter_cc --ini_high 50 --particle_diameter 90 --flatten_solvent --zero_mask --oversampling 0 --healpix_order 0 "
    "--offset_range 2 --offset_step 2 --sym C1 --norm --scale --random_seed 1"
)


def classify(folder: Path, *more: str) -> None:
    """Two classes in two iterations, to the end."""
    (folder / "Class3D" / "job002").mkdir(parents=True)
    command = f"relion_refine --o Class3D/job002/run --i particles.star --ref ref.mrc --K 2 --iter 2 {_SEARCH} --j 1"
    subprocess.run([*command.split(), "--dont_check_norm", *more], cwd=folder, capture_output=True, check=True)


def resume(folder: Path, iteration: int) -> subprocess.Popen[bytes]:
    """Continue the refinement after an iteration."""
    at = f"Refine3D/job001/run_it{iteration:03d}_optimiser.star"
    command = f"mpirun -n 3 --oversubscribe --mca mpi_yield_when_idle 1 relion_refine_mpi --continue {at}"
    environment = {**os.environ, "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    output = (folder / "again.txt").open("wb")
    more = ["--o", "Refine3D/job001/run"]
    return subprocess.Popen([*command.split(), *more], cwd=folder, env=environment, stdout=output, stderr=output)


def refine(folder: Path, *more: str, out: Path | None = None) -> subprocess.Popen[bytes]:
    """Start the refinement; with --external_reconstruct, RELION calls our hook."""
    launcher = folder / "hook.sh"
    launcher.write_text(
        f'#!/bin/sh\nexec "{sys.executable}" -c "from refine_hooks.cli import main; main()" relion-external-reconstruct "$@"\n'
    )
    launcher.chmod(0o755)
    environment = {**os.environ, "RELION_EXTERNAL_RECONSTRUCT_EXECUTABLE": str(launcher), "OMPI_ALLOW_RUN_AS_ROOT": "1"}
    environment |= {"OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "REFINE_HOOKS_OUT": str(out or folder / "refine_hooks")}
    arguments = (
        "mpirun -n 3 --oversubscribe --mca mpi_yield_when_idle 1 "
        "relion_refine_mpi --o Refine3D/job001/run --auto_refine --split_random_halves "
        "--i particles.star --ref ref.mrc --firstiter_cc --ini_high 50 --particle_diameter 90 --flatten_solvent --zero_mask "
        "--oversampling 0 --healpix_order 0 --auto_local_healpix_order 1 --offset_range 2 --offset_step 2 --sym C1 --norm --scale "
        "--low_resol_join_halves 60 --random_seed 1 --auto_ignore_angles --auto_resol_angles"  # few iterations
    )
    output = (folder / "out.txt").open("wb")
    return subprocess.Popen(
        [*arguments.split(), *more], cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT
    )
