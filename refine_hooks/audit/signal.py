"""Rules about whether the two halves share a signal at all: none, none from the first shell on, or one of the other sign."""

from collections.abc import Iterator

import numpy as np

from refine_hooks.audit.halves import superimposed
from refine_hooks.audit.reading import Finding, at, found, measured, quoted
from refine_hooks.audit.rules import Texts, rule_of_round
from refine_hooks.log.records import RoundRecord
from refine_hooks.log.signal import SIGNAL_SD, TOGETHER, most_negative, score_of, sd_of_none
from refine_hooks.settings import Settings
from refine_hooks.sums.symmetry import order_of


@rule_of_round(
    Texts(
        "no_signal",
        "The half maps share no signal",
        "What both have in common is no more than noise has by chance, so no resolution can be stated.",
        "Check that both files are half maps of this job; if they are, the particles do not align.",
    ),
    Texts(
        "anticorrelated",
        "The FSC is negative",
        "One half map has the opposite sign of the other, at some frequencies or at all.",
        "Check that both halves were treated alike: contrast, CTF correction, phase flipping.",
    ),
    Texts(
        "never_above",
        "The FSC begins below the threshold",
        "The first shells do not agree, so there is no first fall that could be the resolution.",
        "Look at both half maps at low resolution: a gradient, ice or another normalisation in one of them does this.",
    ),
)
def common_signal(record: RoundRecord, settings: Settings) -> Iterator[Finding]:
    """Halves without a common signal; those that do not superimpose are named by `superimposed`."""
    plain = record.under(None)
    if plain is None or record.half_maps is None or any(superimposed(record, settings)):
        return
    correlation = measured(plain)
    order, masked = order_of(record.symmetry) or 1, record.half_maps.masked != "none"
    sd = sd_of_none(record.voxels_in_shell[: len(correlation)], order, masked)
    shell = most_negative(correlation, sd)
    curve, level = quoted(record) or plain, settings.fsc.threshold
    if shell is not None:
        value = float(correlation[shell : shell + TOGETHER].mean())
        text = (
            f"the unmasked FSC is {value:.2f} at {at(record, shell + 1):.2f} A: the halves have opposite signs there. Check that "
            "contrast, CTF correction and phase flipping are the same in both"
        )
        yield found(record, "anticorrelated", "warning", text, curve=plain.name, shells=(shell, shell + TOGETHER - 1))
    elif (score := score_of(correlation, sd)) < SIGNAL_SD:
        text = (
            f"the half maps share no signal: the unmasked FSC stands {max(score, 0.0):.1f} standard deviations above none. No "
            "resolution can be stated, whatever a mask shows; check that both files are half maps of this job"
        )
        yield found(record, "no_signal", "warning", text, curve=plain.name, score=score)
    elif len(measured(curve)) > 1 and measured(curve)[1] < level:
        first = int(np.argmax(measured(curve)[1:] >= level)) + 1
        above = f", and is above it first at {at(record, first):.2f} A" if measured(curve)[first] >= level else ""
        text = (
            f"{curve.name} begins below {level:g}, with {measured(curve)[1]:.2f} in the first shell{above}: no resolution can be "
            "read off it. Look for a gradient, or another normalisation, in one of the half maps"
        )
        yield found(record, "never_above", "warning", text, curve=curve.name, shells=(1, first))
