"""The cases of the panel: every shape that has been seen to fool an automask, from excellent to hopeless."""

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

ROD, RING, SHELL, GLOBULE = rod(140, 12), ring(42, 11), shell(55, 38), globule(32)
CHAIN = folded_chain(450)

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


def fresh(case: Case, seed: int) -> Case:
    """The same case with other noise."""
    return replace(case, seed=seed)
