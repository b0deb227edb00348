"""Every reader of foreign bytes, with good files to begin from; see `hostile_target` for what it owes."""

import gzip
import io
import struct
import tarfile
from pathlib import Path

import numpy as np
from cistem_project import begin, dump_bytes, write_parameters
from hostile_elsewhere import ELSEWHERE, log_of_a_round
from hostile_target import Target, made
from small_program import half_maps_of

from refine_hooks.files.mrc import read_map, write_map
from refine_hooks.log.file import read_journal
from refine_hooks.particles import cistem, cryosparc, relion
from refine_hooks.programs._reading import Memory
from refine_hooks.programs.cistem import database, dumps
from refine_hooks.programs.cistem.evidence import images_in_parameters
from refine_hooks.programs.cryosparc.halves import read_fsc_table
from refine_hooks.programs.cryosparc.job import read_filter_radii, read_job, read_log
from refine_hooks.programs.eman2.curves import read_curve
from refine_hooks.programs.eman2.folder import read_settings
from refine_hooks.programs.relion import notes, tables, views
from refine_hooks.programs.relion.external import half_map_from_external
from refine_hooks.programs.relion.star import read_star
from refine_hooks.settings import load_settings
from refine_hooks.sums.cistem import half_map, merge_half

DATA = Path(__file__).parent / "data"


def _merge(path: Path) -> object:
    return half_map(*merge_half([path]))


def _database(path: Path) -> object:
    content = database.content(path, Memory(), wait_s=0.0)
    database.read(path, lambda c: [c.execute("SELECT 1"), database._count_used(c, 2, 1)], wait_s=0.0)
    return content, database.statistics(path, 2, 1), database.angular_bins(path, 2, 1)


def _ledger(path: Path) -> object:
    return dumps._ledger(path, Memory())


def _star_files(ending: str) -> list[bytes]:
    with tarfile.open(DATA / "relion_refine3d.tgz") as archive:
        members = [m for m in archive.getmembers() if m.name.endswith(ending)]
        return [stream.read()[:20000] for m in members if (stream := archive.extractfile(m))]


def _maps() -> list[bytes]:
    return [made(lambda path: write_map(path, half_maps_of(1)[0], "seed"))]


def _dumps() -> list[bytes]:
    real = gzip.decompress((DATA / "cistem_round2" / "dump_file_2_0_odd_1.dump.gz").read_bytes())
    return [dump_bytes("odd", 10, box_px=4), dump_bytes("even", 3, box_px=5), real[:60]]


def _parameters() -> list[bytes]:
    def write(path: Path) -> None:
        begin(path / "p")
        write_parameters(path / "p", "AutoRefine3D", 2, used=(3, 4))
        (found,) = (path / "p" / "Assets" / "Parameters").iterdir()
        raw.append(found.read_bytes())

    import tempfile

    raw: list[bytes] = []
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder))
    columns = [(1 << bit, kind) for bit, kind in ((0, 9), (5, 3), (6, 3), (7, 3), (8, 3), (14, 3), (24, 8))]
    mixed = struct.pack("<2i", len(columns), 2) + b"".join(struct.pack("<qb", *c) for c in columns)
    for n in (1, 2):
        mixed += struct.pack("<I5f", n, 9000.0, 9100.0, 10.0, 0.0, 1.5) + struct.pack("<i", 9) + b"stack.mrc"
    return [*raw, mixed]


def _par() -> list[bytes]:
    row = " ".join(
        ["1", "10.0", "20.0", "30.0", "1.5", "-1.5", "0", "0", "9000", "9100", "12", "0.0", "100", "-1", "1", "9", "0"]
    )
    return [f"C  header\n{row}\n{row}\n".encode(), " ".join(row.split()[:16]).encode()]


def _cistem_star() -> list[bytes]:
    angles = ("AnglePsi", "AngleTheta", "AnglePhi", "XShift", "YShift")
    microscope = (
        "Defocus1",
        "Defocus2",
        "DefocusAngle",
        "PixelSize",
        "MicroscopeVoltagekV",
        "MicroscopeCsMM",
        "AmplitudeContrast",
    )
    labels = ("PositionInStack", *angles, *microscope, "StackFilename")
    head = "".join(f"_cisTEM{label} #{n}\n" for n, label in enumerate(labels, 1))
    rows = "".join(f"{n} 1 2 3 0 0 9000 9100 5 1.5 300 2.7 0.1 '../x.mrc'\n" for n in (1, 2))
    return [f"# Written by cisTEM\ndata_\n\nloop_\n{head}{rows}\n".encode()]


def _particles_star() -> list[bytes]:
    text = (
        "\ndata_optics\n\nloop_\n_rlnOpticsGroup #1\n_rlnVoltage #2\n_rlnSphericalAberration #3\n_rlnAmplitudeContrast #4\n"
        "_rlnImagePixelSize #5\n1 300 2.7 0.1 1.5\n\n\n"
        "data_particles\n\nloop_\n_rlnImageName #1\n_rlnAngleRot #2\n_rlnAngleTilt #3\n"
        "_rlnAnglePsi #4\n_rlnDefocusU #5\n_rlnDefocusV #6\n_rlnDefocusAngle #7\n_rlnOpticsGroup #8\n_rlnRandomSubset #9\n"
        "000001@a.mrcs 1 2 3 9000 9100 5 1 1\n000002@a.mrcs 1 2 3 9000 9100 5 1 2\n\n"
    )
    return [text.encode(), *_star_files("data.star")]


def _cs() -> list[bytes]:
    names = [*cryosparc._NEEDED, "alignments3D/split"]
    kinds = {
        "blob/path": "S12",
        "alignments3D/pose": "3f4",
        "alignments3D/shift": "2f4",
        "blob/idx": "u4",
        "alignments3D/split": "u4",
    }
    rows = np.zeros(2, [(name, kinds.get(name, "f4")) for name in names])
    rows["blob/path"], rows["blob/psize_A"], rows["ctf/accel_kv"] = b"J1/a.mrcs", 1.5, 300
    stream = io.BytesIO()
    np.save(stream, rows)
    return [stream.getvalue()]


def _databases() -> list[bytes]:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        return [begin(Path(folder) / "p").read_bytes()]


def _external() -> list[bytes]:
    text = (
        "\ndata_external_reconstruct_general\n\n_rlnExtReconsDataReal x.mrc\n_rlnExtReconsDataImag /etc/passwd\n"
        "_rlnExtReconsWeight ../y.mrc\n_rlnReferenceDimensionality 3\n_rlnOriginalImageSize 32\n_rlnPaddingFactor 2\n"
        "_rlnCurrentImageSize 32\n_rlnPixelSize 1.5\n\n"
    )
    return [text.encode()]


def _postprocess() -> list[bytes]:
    text = (
        "\ndata_general\n\n_rlnFinalResolution 8.0\n_rlnUnfilteredMapHalf1 a.mrc\n_rlnUnfilteredMapHalf2 b.mrc\n\n\n"
        "data_fsc\n\nloop_\n"
        "_rlnSpectralIndex #1\n_rlnFourierShellCorrelationCorrected #2\n0 1.0\n1 0.9\n2 0.1\n\n"
    )
    return [text.encode()]


TARGETS: dict[str, Target] = {
    **ELSEWHERE,
    "mrc": Target(read_map, ".mrc", _maps, fast=False),
    "dump": Target(_merge, ".dump", _dumps),
    "discarded dumps": Target(
        _ledger, ".json", lambda: [b'{"images": [3, 4], "inputs": [{"name": "a", "size": 1, "mtime_ns": 2}]}']
    ),
    "cistem parameters": Target(cistem.read_binary, ".cistem", _parameters),
    "cistem parameters, counted": Target(images_in_parameters, ".cistem", _parameters),
    "cistem par": Target(cistem.read_par, ".par", _par),
    "cistem star": Target(cistem.read_star, ".star", _cistem_star),
    "cistem database": Target(_database, ".db", _databases, fast=False),
    "relion particles": Target(relion.read_star, ".star", _particles_star),
    "relion views": Target(lambda path: views.views_in(path, Memory()), ".star", _particles_star),
    "relion star": Target(read_star, ".star", _particles_star),
    "relion model": Target(tables.read_model, ".star", lambda: _star_files("run_model.star")),
    "relion optimiser": Target(tables.read_optimiser, ".star", lambda: _star_files("optimiser.star")),
    "relion sampling": Target(tables.read_symmetry, ".star", lambda: _star_files("sampling.star")),
    "relion postprocess": Target(tables.read_postprocess, ".star", _postprocess),
    "relion external": Target(half_map_from_external, ".star", _external),
    "relion errors": Target(
        lambda path: notes.run_warnings(path, Memory()), ".err", lambda: [b"WARNING: the FSC is low\r\nWARNING FSC\n"]
    ),
    "cryosparc particles": Target(cryosparc.read_cs, ".cs", _cs),
    "cryosparc job": Target(
        read_job, ".json", lambda: [b'{"type": "nonuniform_refine_new", "status": "completed", "params_spec": {}}']
    ),
    "cryosparc log": Target(
        read_log, ".log", lambda: [b"[CPU: 1 MB] Using Filter Radius 50.1 (8.2A) | Previous: 20.0 (20A)\n"]
    ),
    "cryosparc radii": Target(
        read_filter_radii,
        ".json",
        lambda: [b"\0Start Iteration 0\0Using Filter Radius 50.1 (8.2A) | Previous: 20.0 (20A)\0Start Iteration 1\0"],
    ),
    "cryosparc curve": Target(
        lambda path: read_fsc_table(path, 24), ".txt", lambda: [b"wave_number\tfsc_nomask\n0\t1.0\n1\t0.9\n"]
    ),
    "eman2 settings": Target(read_settings, ".json", lambda: [b'{"model": "x.hdf", "mass": 800.0, "sep": [1, 2]}']),
    "eman2 curve": Target(
        lambda path: read_curve(path, 24, 72.0), ".txt", lambda: [b"0.0\t1.0\n0.01\t0.9\n0.02\t0.1\n"]
    ),
    "log": Target(read_journal, ".jsonl", log_of_a_round),
    "settings": Target(load_settings, ".toml", lambda: [(DATA.parent.parent / "config" / "default.toml").read_bytes()]),
}
