"""What the noise of a pair says: how many of its coefficients are independent, and whether views are missing."""

from dataclasses import dataclass, replace

from refine_hooks import fsc
from refine_hooks.analysis.directions import NoiseDirections, noise_directions
from refine_hooks.analysis.signal_directions import SignalDirections, signal_directions
from refine_hooks.measure.pair import Pair
from refine_hooks.measure.under import MeasuredMask
from refine_hooks.model import Facts
from refine_hooks.sums.symmetry import order_of


@dataclass(frozen=True, slots=True)
class Noise:
    """The noise of a pair.

    Attributes:
        order: of the point group that was imposed, stated or found.
        symmetry_found: symbol of one that the noise has and nobody stated.
        directions: its power by direction; None where the halves do not differ.
        signal: power of the signal by direction; None where too few shells hold any.
    """

    order: int
    symmetry_found: str | None
    directions: NoiseDirections | None
    signal: SignalDirections | None = None

    def notes(self) -> list[str]:
        """What a reader must know, in words."""
        found = []
        if self.symmetry_found is not None:
            found.append(
                f"{self.symmetry_found} symmetry was imposed on the half maps, which nobody states: "
                f"one coefficient in {self.order} counts as independent; state it with --symmetry {self.symmetry_found}"
            )
        return found


def noise_of(pair: Pair, facts: Facts) -> Noise:
    """Symmetry and directions of the noise of a pair; a pair with a fault has none."""
    order, found = order_of(facts.symmetry), None
    if pair.fault is not None:
        return Noise(order or 1, None, None)
    if order is None:
        from refine_hooks.analysis.imposed import imposed_symmetry

        found = imposed_symmetry(*pair.transforms)
    order = order or order_of(found) or 1
    seen = noise_directions(*pair.transforms, pair.sums, valid_shells=pair.valid_shells, correlated=order)
    signal = signal_directions(*pair.transforms, pair.sums, valid_shells=pair.valid_shells, correlated=order)
    return Noise(order, found, seen, signal)


def with_uneven_noise(pair: Pair, mask: MeasuredMask, noise: Noise, level: float) -> MeasuredMask:
    """The mask with as few independent coefficients as uneven noise leaves where a curve is read.

    Args:
        pair: the half maps.
        mask: any.
        noise: of the pair.
        level: of the resolution.
    """
    if mask.values is None or mask.extent is None or mask.extent.box is None or noise.directions is None:
        return mask
    by_place = fsc.unevenness_by_place(pair.half1.voxels, pair.half2.voxels, mask.values, mask.extent.box)
    return replace(mask, correlated=mask.correlated * fsc.unevenness(noise.directions.unevenness, by_place, level))
