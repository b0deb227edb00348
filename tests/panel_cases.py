"""The cases of the panel: every shape that has been seen to fool an automask, from excellent to hopeless.

The automask was tuned on `CASES`. It is judged by `JUDGED`, shapes and seeds that were made afterwards.
"""

from dataclasses import replace
from pathlib import Path

from panel import (
    Case,
    filament,
    folded_chain,
    globule,
    micelle,
    model,
    off_centre,
    ring,
    rod,
    shell,
    two_bodies,
    weak_arm,
)
from panel_shapes import amyloid, arch, ball, bilayer, block, capsid, disc, neighbours, sponge, tripod, tube

ROD, RING, SHELL, GLOBULE = rod(140, 12), ring(42, 11), shell(55, 38), globule(32)
CHAIN = folded_chain(450)


def _capsid(share: float, core: float, target_A: float, voxel_A: float = 3.5, colour: float = 0.0) -> Case:
    """A capsid whose diameter is a share of a box of 64."""
    kind = f"core {core:g}" if core else "empty"
    quality = "good" if target_A <= 9 else "poor"
    made = capsid(share * 32 * voxel_A, 24.0, core)
    return Case(f"capsid {100 * share:.0f} %, {kind}, {quality}", made, 64, voxel_A, target_A, colour)


FILLING = (
    _capsid(0.80, 0.0, 9.0),
    _capsid(0.80, 0.7, 9.0),
    _capsid(0.80, 1.0, 14.0),
    _capsid(0.84, 0.85, 8.5, 3.0),
    _capsid(0.84, 1.0, 8.5, 3.0),
    _capsid(0.88, 0.0, 14.0),
    _capsid(0.88, 0.7, 14.0, colour=-0.5),
    _capsid(0.88, 1.0, 9.0),
    _capsid(0.88, 0.85, 9.0, colour=-1.0),
    _capsid(0.94, 0.0, 9.0),
    _capsid(0.94, 0.85, 9.0),
    _capsid(0.94, 1.0, 14.0),
    Case("ball 88 %, good", ball(70), 64, 2.5, 6.5),
    Case("ball 88 %, poor", ball(84), 64, 3.0, 13.0),
    Case("ball 92 %, good", ball(74), 64, 2.5, 6.5),
    Case("ball 95 %, good", ball(76), 64, 2.5, 7.0, colour=-0.5),
    Case("ball 95 %, poor", ball(91), 64, 3.0, 13.0),
    Case("block, good", block(60, 55, 62), 64, 2.5, 7.0),
    Case("full of density, good", sponge(100), 64, 2.5, 6.0, full=True),
    Case("full of density, poor", sponge(110), 64, 3.0, 13.0, full=True),
)
THROUGH = (
    Case("amyloid, good", amyloid(32, 12, 90), 64, 2.2, 5.5),
    Case("amyloid, poor", amyloid(32, 12, 110), 64, 3.0, 11.0),
    Case("amyloid, red noise", amyloid(36, 14, 100), 64, 2.6, 8.0, colour=-1.5),
    Case("microtubule, good", tube(70, 48, 120), 64, 3.2, 8.0),
    Case("microtubule, poor", tube(70, 48, 125), 64, 3.4, 14.0),
    Case("microtubule, tilted", tube(60, 40, 120, 0.15), 64, 3.2, 9.0, colour=-0.5),
    Case("filament, small box", filament(20, 70), 48, 2.4, 7.0),
    Case("bilayer, good", bilayer(26, 95), 64, 2.6, 6.5),
    Case("bilayer, poor", bilayer(26, 110), 64, 3.0, 12.0),
)
BESIDE = (
    Case("neighbour at a face, good", globule(26), 64, 2.6, 6.5, clutter=neighbours(26, (0, 0, 90))),
    Case("neighbour at a face, poor", globule(28), 64, 3.0, 12.0, clutter=neighbours(28, (0, 98, 10))),
    Case("neighbours at two faces, good", rod(90, 13), 64, 2.8, 7.5, clutter=neighbours(24, (0, 92, 0), (10, -90, 20))),
    Case("neighbours at two faces, fair", globule(24), 64, 2.8, 9.0, clutter=neighbours(24, (85, 0, 0), (0, 0, -90))),
    Case("nanodisc, good", disc(45, 40, 22), 64, 2.4, 6.0),
    Case("nanodisc, poor", disc(45, 40, 22), 64, 2.8, 11.0),
    Case("micelle, poor", micelle(1.0), 64, 3.0, 12.0),
    Case("micelle, large", micelle(1.3), 64, 3.0, 9.0),
)
SMALL = (
    Case("box 32, rod", rod(60, 9), 32, 3.2, 8.0),
    Case("box 32, ring", ring(26, 9), 32, 3.2, 8.5),
    Case("box 32, globule", globule(22), 32, 2.8, 7.0),
    Case("box 32, globule, poor", globule(26), 32, 3.4, 13.0),
    Case("box 32, capsid 88 %", capsid(49, 16, 0.85), 32, 3.5, 9.0),
    Case("box 32, ball 92 %", ball(44), 32, 3.0, 8.0),
)

CASES: tuple[Case, ...] = (
    Case("rod, excellent", ROD, 128, 1.5, 3.6),
    Case("rod, good", ROD, 96, 2.2, 7.0, colour=-0.5),
    Case("rod, poor", ROD, 80, 3.0, 13.0),
    Case("ring, excellent", RING, 112, 1.5, 3.7),
    Case("ring, good", RING, 96, 2.0, 7.0, colour=-1.0),
    Case("ring, poor", RING, 72, 3.0, 14.0),
    Case("hollow shell, good", SHELL, 100, 2.0, 5.5),
    Case("hollow shell, poor", SHELL, 80, 3.0, 12.0, colour=-0.5),
    Case("globule, excellent", GLOBULE, 96, 1.4, 3.2),
    Case("globule, good", GLOBULE, 96, 1.8, 6.0, colour=-1.0),
    Case("globule, poor", GLOBULE, 64, 2.8, 13.0),
    Case("weak arm, good", weak_arm(28, 60), 112, 1.8, 4.5),
    Case("weak arm, poor", weak_arm(28, 60), 80, 2.8, 11.0),
    Case("micelle, good", micelle(1.0), 112, 1.6, 4.0),
    Case("micelle, fair", micelle(1.0), 96, 2.2, 8.0, colour=-0.5),
    Case("filament, good", filament(20, 110), 96, 1.8, 4.5),
    Case("filament, poor", filament(20, 110), 72, 2.6, 11.0),
    Case("two bodies, good", two_bodies(24, 26), 112, 1.8, 5.0),
    Case("two bodies, poor", two_bodies(24, 26), 80, 2.8, 12.0),
    Case("off centre, good", off_centre(globule(26), 20, -24, 18), 112, 1.7, 4.2),
    Case("small box", globule(20), 40, 2.0, 6.0),
    Case("odd box", rod(90, 14), 85, 2.0, 5.5),
    Case("background subtracted", globule(30), 96, 1.7, 4.5, halo_A=40.0),
    Case("masked by a sphere", rod(110, 13), 100, 1.8, 5.0, masked_radius_A=80.0),
    Case("rod, cut at 20 A", ROD, 80, 3.0, 8.0, cut_A=20.0),
    Case("ring, cut at 30 A", RING, 72, 3.0, 8.0, cut_A=30.0),
    Case("globule, wide voxels", globule(140), 48, 12.0, 40.0, decay=3.0),
    Case("thin rod, poor", rod(140, 8), 80, 3.0, 14.0),
    Case("rod, red noise", ROD, 80, 3.0, 10.0, colour=-2.0),
    Case("rod, flat spectrum", ROD, 80, 3.0, 12.0, decay=2.0),
    Case("ring, flat spectrum", RING, 72, 3.0, 12.0, colour=-1.0, decay=3.0),
    Case("hollow shell, flat spectrum", SHELL, 80, 3.0, 12.0, colour=-1.0, decay=3.0),
    Case("weak arm, flat spectrum", weak_arm(28, 60), 80, 2.8, 11.0, decay=4.0),
    Case("micelle, red noise", micelle(1.0), 80, 2.6, 9.0, colour=-2.0),
    Case("atomic model, flat spectrum", CHAIN, 64, 2.6, 13.0, colour=-1.0, decay=2.0),
    Case("atomic model, excellent", CHAIN, 96, 1.3, 3.0),
    Case("atomic model, good", CHAIN, 96, 1.6, 5.0),
    Case("atomic model, fair", CHAIN, 80, 2.0, 9.0, colour=-0.5),
    Case("atomic model, poor", CHAIN, 64, 2.6, 14.0),
    Case("rod, hopeless", ROD, 80, 3.0, None),
    Case("globule, hopeless", GLOBULE, 64, 2.8, None, colour=-1.0),
    *FILLING,
    *THROUGH,
    *BESIDE,
    *SMALL,
)


JUDGED: tuple[Case, ...] = tuple(
    replace(case, seed=11)
    for case in (
        Case("arch, good", arch(48, 12), 64, 2.6, 6.5),
        Case("arch, poor", arch(56, 13), 64, 3.2, 13.0, colour=-0.5),
        Case("tripod, good", tripod(11, 52), 64, 2.6, 7.0),
        Case("tripod, poor", tripod(12, 60), 64, 3.2, 12.0, colour=-1.0),
        Case("tripod, flat spectrum", tripod(12, 56), 64, 3.0, 11.0, decay=3.0),
        Case("capsid 86 %, thick, core 0.9", capsid(0.86 * 96, 34, 0.9), 64, 3.0, 8.0, colour=-0.5),
        Case("capsid 82 %, flat spectrum", capsid(0.82 * 102, 22, 0.95), 64, 3.2, 11.0, decay=3.0),
        Case("capsid 90 %, red noise", capsid(0.90 * 102, 26, 0.8), 64, 3.2, 10.0, colour=-2.0),
        Case("capsid 92 %, thin, empty, poor", capsid(0.92 * 96, 16, 0.0), 64, 3.0, 13.0),
        Case("capsid 84 %, background subtracted", capsid(0.84 * 96, 24, 0.8), 64, 3.0, 8.5, halo_A=50.0),
        Case("block, poor", block(78, 70, 84), 64, 3.2, 13.0),
        Case("block, flat", block(30, 76, 72), 64, 2.8, 8.0, colour=-1.0),
        Case("ball 90 %, flat spectrum", ball(86), 64, 3.0, 11.0, decay=3.0),
        Case("ball 93 %, odd box", ball(78), 57, 3.0, 8.0),
        Case("microtubule, thin wall, poor", tube(62, 46, 120), 64, 3.2, 12.0, colour=-0.5),
        Case("amyloid, thin, poor", amyloid(26, 9, 110, 250.0), 64, 3.0, 10.0),
        Case("bilayer, small protein", bilayer(20, 90), 56, 2.8, 8.0),
        Case("bilayer, red noise", bilayer(28, 100), 64, 2.8, 9.0, colour=-1.5),
        Case("neighbours, ring", ring(34, 10), 64, 2.8, 8.0, clutter=neighbours(26, (0, 96, 0))),
        Case("neighbours, poor", arch(34, 11), 64, 3.2, 12.0, clutter=neighbours(28, (0, 104, 0), (-100, 0, 20))),
        Case("nanodisc, wide", disc(60, 44, 24), 64, 2.8, 7.0),
        Case("box 32, tripod", tripod(10, 26), 32, 3.2, 8.5),
        Case("box 32, tube", tube(30, 14, 60), 32, 3.2, 9.0),
        Case("box 32, capsid 84 %, poor", capsid(0.84 * 54, 18, 0.9), 32, 3.4, 12.0),
        Case("full of density, red noise", sponge(105), 64, 2.8, 9.0, colour=-1.5, full=True),
        Case("tripod, hopeless", tripod(12, 56), 64, 3.0, None),
    )
)


def of_models(folder: Path) -> tuple[Case, ...]:
    """Cases of real coordinates, where a folder with them is at hand."""
    sizes = {"9n5j.cif": (160, 2.0), "gcp2.pdb": (128, 1.8), "3qc7.pdb": (128, 1.7)}
    return tuple(
        Case(f"{name}, {quality}", model(folder / name), box_px, voxel_A * stretch, target_A)
        for name, (box_px, voxel_A) in sizes.items()
        for quality, stretch, target_A in (("good", 1.0, 5.0), ("fair", 1.0, 8.0), ("poor", 1.0, 13.0))
        if (folder / name).exists()
    )


def fresh(case: Case, draw: int) -> Case:
    """The same case with other noise, draw 0 as it is; the atoms and the noise come from the seed."""
    return replace(case, seed=case.seed + draw)
