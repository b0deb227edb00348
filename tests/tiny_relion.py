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

BOX_PX, VOXEL_A, IMAGES = 24, 5.0, 60
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
        "--low_resol_join_halves 60 --random_seed 1"
    )
    output = (folder / "out.txt").open("wb")
    return subprocess.Popen(
        [*arguments.split(), *more], cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT
    )
