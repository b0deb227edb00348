"""What each finding means, in the words of the page and of the README: a title, why it is so, and what to do."""

import re
from collections.abc import Iterable
from typing import NamedTuple


class Meaning(NamedTuple):
    """A finding in three short pieces of plain English."""

    title: str
    why: str
    do: str


MEANING = {
    "scaled_curve": Meaning(
        "The scaled curve shows its own noise",
        "It is the FSC under a large mask, scaled up to the particle's volume; the solvent's noise is scaled up with it.",
        "Read the curve under a mask that follows the particle.",
    ),
    "alignment_limit": Meaning(
        "The crossing lies where both halves share a reference",
        "Up to that limit both halves were aligned to one map, so they agree in its noise too.",
        "Refine once more with a coarser limit and see whether the number stays.",
    ),
    "limit_unsupported": Meaning(
        "Particles were aligned beyond what the maps support",
        "Beyond the resolution, particles are aligned to noise, and the next round finds that noise again.",
        "Set the high-resolution limit of the next round to the coarse end of the interval.",
    ),
    "truncation": Meaning(
        "The curve is cut off, it does not fall",
        "The program reconstructed no further than this; what looks like a crossing is the end of the data.",
        "Look at a later round, or raise the limit of the reconstruction.",
    ),
    "recrossing": Meaning(
        "The curve falls below the threshold and comes back",
        "One number cannot describe it: a mask's edge, duplicates or aligned noise bring a curve back.",
        "Quote the first fall only, and find out what returns.",
    ),
    "rising_tail": Meaning(
        "The curve rises towards Nyquist",
        "Real signal only falls. A mask's edge, interpolation or particles in both halves make a rise.",
        "Do not read a number beyond the first fall; look for duplicates and widen the mask.",
    ),
    "spike": Meaning(
        "A lone spike among shells near zero",
        "A pattern that both halves share at one frequency: high symmetry, few views, a fixed pattern of the detector.",
        "It is no resolution: read the first crossing, and do not refine that far.",
    ),
    "never_below": Meaning(
        "The curve never falls below the threshold",
        "Either the halves are not independent (the same particle in both), or the pixel is too large for the data.",
        "Look for duplicate particles first; if there are none, refine with a smaller pixel.",
    ),
    "identical_halves": Meaning(
        "The two half maps are the same map",
        "A correlation of one at all frequencies is no measurement.",
        "Find out which file was taken twice.",
    ),
    "mask_correlates": Meaning(
        "The mask correlates by itself",
        "With randomised phases the curve is still far from zero where its number is read: that part is the mask's edge.",
        "Quote the corrected curve; use a wider mask with a softer edge.",
    ),
    "mask_too_tight": Meaning(
        "The mask is too tight",
        "The corrected curve dips where phases begin to be randomised: the mask alone explains the low resolution.",
        "Widen the mask or soften its edge.",
    ),
    "mask_and_sphere": Meaning(
        "Mask and sphere disagree",
        "A large sphere holds mostly solvent, which hides signal; a mask that cuts the particle takes signal away.",
        "Quote the corrected curve under the mask, and look at the mask's outline.",
    ),
    "signal_outside": Meaning(
        "Signal lies outside of the mask",
        "A part of the particle is not measured, and not aligned to where the refinement uses this mask.",
        "Widen the mask at the place named.",
    ),
    "anisotropy": Meaning(
        "The map is better in some directions than in others",
        "Views are missing, so that one number does not describe the map.",
        "Look at the views; quote the worst direction too.",
    ),
    "worse": Meaning(
        "This round is worse than an earlier one",
        "The resolution went down by more than its uncertainty.",
        "Keep the better round; find out what was changed between them.",
    ),
    "oscillates": Meaning(
        "The rounds swing between two resolutions",
        "The refinement does not settle: mask or limit change from round to round.",
        "Quote none of them alone; fix the limit or the mask.",
    ),
    "particles_jumped": Meaning(
        "The number of particles jumped", "The two resolutions are not of the same data.", "Make sure it was meant."
    ),
    "mask_jumped": Meaning(
        "The mask's volume jumped", "A change of resolution may be the mask's alone.", "Look at its outline."
    ),
    "reported_curve": Meaning(
        "Our curve and the program's differ",
        "They should be one curve; they were made from other maps or under another mask.",
        "Find out which before either is quoted.",
    ),
    "reported_number": Meaning(
        "The program states another number",
        "Its mask, its scaling or its rule is another one.",
        "Quote the number whose mask and rule are known.",
    ),
    "not_honest": Meaning(
        "The half maps are not independent or not raw",
        "They were filtered, masked or joined, and the curve shows that.",
        "Measure unfiltered, unmasked half maps.",
    ),
    "program_warning": Meaning("The program itself warned", "It saw something in its own curve.", "Read its log."),
    "mask_missing": Meaning("A mask could not be used", "There is no curve under it.", "See the reason."),
    "no_half_maps": Meaning(
        "There are no half maps",
        "Without them no FSC can be measured; only what the program reports is known.",
        "Reconstruct them from the particles: refine-hooks once PROJECT --reconstruct missing.",
    ),
    "missing_round": Meaning("Rounds are missing", "They were not watched, or their files are gone.", ""),
    "failed_round": Meaning("A round could not be measured", "", "It is tried again when its files change."),
    "repeated_round": Meaning("A round repeats another", "It changed nothing; it is no sign of convergence.", ""),
}


def meaning(rule: str) -> Meaning:
    """What a rule's finding means; its name in words where nothing else is known."""
    return MEANING.get(rule) or Meaning(rule.replace("_", " ").capitalize(), "", "")


def in_words(message: str, titles: Iterable[tuple[str, str]]) -> str:
    """A message of the audit as the page prints it: curves by their titles, Angstrom as its sign, ended with a full stop.

    Args:
        message: the finding's message, with the names of curves as the log has them.
        titles: name and title of the round's curves.
    """
    known = {name: title for name, title in titles if "_" in name}
    if known:
        names = "|".join(re.escape(name) for name in sorted(known, key=len, reverse=True))
        message = re.sub(rf"(?<![\w/])['“]?({names})['”]?(?![\w/])", lambda found: f"“{known[found[1]]}”", message)
    message = re.sub(r"(?<=\d) A\b", " Å", message)
    message = message[:1].upper() + message[1:]
    return message if message.endswith((".", "!", "?")) else message + "."
