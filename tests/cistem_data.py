"""What cisTEM's own programs wrote for one small round, and larger ones beside the checkout."""

import gzip
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from refine_hooks.files.mrc import Map, read_map
from refine_hooks.masks.cistem import EDGE_A, ring_masked

DATA = Path(__file__).parent / "data"
ROUND2 = DATA / "cistem_round2"
MASS_KDA = 91.66
VOXEL_SIZE_A = 2.5


@dataclass(frozen=True)
class Golden:
    name: str
    panel: str
    dump: str
    radius_A: float
    folder: str = "expected"


GOLDEN = [
    Golden("volume_2_1", "AutoRefine3D", "2_0", 75),
    Golden("volume_3_1", "AutoRefine3D", "3_0", 75),
    Golden("volume_4_1", "AutoRefine3D", "4_0", 75),
    Golden("generate3d_volume_4_4_1", "Generate3D", "4_0", 72, "project/Assets/Volumes"),
    Golden("volume_6_1", "ManualRefine3D", "6_0", 75),
    Golden("volume_6_2", "ManualRefine3D", "6_1", 75),
]


def golden_dumps(shared, case):
    folder = shared / "golden" / "cistem" / "dumps" / case.panel
    return [sorted(folder.glob(f"dump_file_{case.dump}_{half}_*.dump")) for half in ("odd", "even")]


def golden_halves(shared, case, tmp_path):
    folder = shared / "golden" / "cistem" / case.folder
    return [golden_map(folder / f"{case.name}_map{half}.mrc", tmp_path) for half in (1, 2)]


def golden_map(path, tmp_path):
    if not path.exists():
        unpacked = tmp_path / path.name
        unpacked.write_bytes(gzip.decompress(path.with_name(path.name + ".gz").read_bytes()))
        path = unpacked
    return read_map(path, VOXEL_SIZE_A).voxels


def table(path):
    """FSC and Part_FSC of a statistics text: rows of shells 1..N//2."""
    rows = [
        [float(word) for word in line.split()] for line in path.read_text().splitlines() if not line.startswith("C")
    ]
    return np.array(rows)[:, 3], np.array(rows)[:, 4]


def unpacked_round2(folder):
    """The dumps of round 2 as reconstruct3d wrote them: binned, two chunks a half. Returns odd and even paths."""
    for packed in ROUND2.glob("*.dump.gz"):
        (folder / packed.stem).write_bytes(gzip.decompress(packed.read_bytes()))
    return [sorted(folder.glob(f"*_{half}_*.dump")) for half in ("odd", "even")]


def write_dump(path, data, weight, original_px=None, voxel_A=1.0, original_voxel_A=1.0, **header):
    n = data.shape[0]
    values = {
        "images": 7,
        "occupancy": 100.0,
        "score": 30.0,
        "swc": 2.0,
        "symmetry": b"C1  ",
        "half": 1,
        "center": 1,
    } | header
    edges = (n,) * 3 + (original_px or n,) * 3
    images, occupancy, score, swc, symmetry, half, center = values.values()
    numbers = (*edges, images, voxel_A, original_voxel_A, occupancy, score, swc, symmetry, half, center)
    arrays = data.astype("<c8").tobytes() + weight.astype("<f4").tobytes()
    path.write_bytes(struct.pack("<7i5f4s2i", *numbers) + arrays)
    return path


def random_sums(n, seed=0):
    generator = np.random.default_rng(seed)
    shape = (n, n, n // 2 + 1)
    data = generator.standard_normal(shape) + 1j * generator.standard_normal(shape)
    weight = 300 * generator.random(shape)
    weight[generator.random(shape) < 0.2] = 0
    return (1000 * data).astype(np.complex64), weight.astype(np.float32)


def squared_distance(n):
    axis = (np.arange(n) - n // 2) ** 2
    return axis[:, None, None] + axis[:, None] + axis


def sphere_by_definition(voxels, radius_px, hole_px, edge_px):
    """cisTEM's sphere written out: the masked volume and the sum of the squared mask."""
    r = np.sqrt(squared_distance(len(voxels)))
    start = max(radius_px - edge_px / 2, 0)
    ring = (r >= start) & (r <= start + edge_px)
    mask = np.where(r < start, 1.0, np.where(ring, (1 + np.cos(np.pi * (r - start) / edge_px)) / 2, 0))
    fill = np.full(voxels.shape, voxels[ring].mean(dtype=float) if ring.any() else 0.0)
    if hole_px > 0:
        stop = hole_px + edge_px / 2
        begin = max(stop - edge_px, 0)
        inner = (r <= stop) & (r >= begin)
        within = (r <= stop) & (r < start)
        mask[within & inner] = ((1 + np.cos(np.pi * (stop - r) / edge_px)) / 2)[within & inner]
        mask[within & ~inner] = 0
        fill[within] = voxels[inner].mean(dtype=float)
    return mask * voxels + (1 - mask) * fill, (mask**2).sum()


def sphere_masked(
    volume: Map, radius_A: float, inner_radius_A: float = 0.0, edge_A: float = EDGE_A
) -> tuple[Map, float]:
    """A map under cisTEM's spherical mask, as merge3d writes its half maps, and the sum of the squared mask in voxels.

    Args:
        volume: unmasked map.
        radius_A: middle of the outer cosine edge.
        inner_radius_A: middle of the inner edge; 0 for none.
        edge_A: width of both edges.
    """
    scale = 1 / volume.voxel_size_A
    voxels, squares = ring_masked(volume.voxels, radius_A * scale, inner_radius_A * scale, edge_A * scale)
    return Map(voxels, volume.voxel_size_A, volume.origin_A), squares
