"""Where the map is good, and whether it still changes, in words."""

from refine_hooks.log.convergence import Agreement, Convergence
from refine_hooks.log.directions import Along
from refine_hooks.log.local import LocalChange, LocalPart, LocalResolution
from refine_hooks.model import Changes

_NEXT_TO_NOTHING, _MOST, _NEARLY_ALL = 0.01, 0.75, 0.95
_MUCH_SOLVENT = 0.3
_QUARTERS = (0.25, 0.5, 0.75)
_SETTLED, _STEADY_CLASSES = 0.5, 0.05  # noise that is the same; particles that change their class


def local_words(local: LocalResolution | None, whole_A: float | None = None) -> list[str]:
    """The local resolution and that of the parts, a sentence each.

    Args:
        local: of a round.
        whole_A: the resolution of the whole.
    """
    if local is None:
        return []
    words = [_all_places(local)]
    if local.note:
        words.append(local.note)
    if (
        whole_A is not None
        and local.coarsest_A < whole_A
        and local.not_stated > _MUCH_SOLVENT
        and local.beyond_nyquist < _MOST
    ):
        words.append(
            f"nearly all places are better than the {whole_A:.2f} Å of the whole, whose FSC holds the noise of the solvent in the "
            "mask as well"
        )
    words += [] if local.note else _parts_words(local.parts)
    if local.change is not None:
        words.append(_change_words(local.change))
    what = "has" if local.note else "is solvent or its edge and has"
    words.append(f"{100 * local.not_stated:.0f} % of the mask {what} no local resolution")
    if _NEXT_TO_NOTHING < local.beyond_nyquist < _MOST:
        words.append(
            f"{100 * local.beyond_nyquist:.0f} % of the places are good up to the limit of the voxels; smaller voxels may show more"
        )
    if local.path:
        words.append(f"map of local resolutions, 0 in the solvent: {local.path}")
    return words


def _all_places(local: LocalResolution) -> str:
    how = f"({local.mask}, {local.places} places, FSC = {local.threshold:g} in windows of about 4 wavelengths)"
    if local.beyond_nyquist >= _MOST:  # a number would only say how large the voxels are
        good = f"{100 * local.beyond_nyquist:.0f} % of all places are good up to the limit of the voxels"
        rest = (
            ""
            if local.beyond_nyquist >= _NEARLY_ALL
            else f", the poorest twentieth is at {local.coarsest_A:.2f} Å or coarser"
        )
        return f"local resolution: {good}{rest}; smaller voxels may show more {how}"
    first, middle, third = (
        _unless_beyond(local, length_A, share) for length_A, share in zip(local.quartiles_A, _QUARTERS, strict=True)
    )
    known = local.place_error is not None and not local.note
    right = f"{100 * (local.place_error or 0):.0f} %"
    error = f"; in phantoms of known resolution nine of ten places are right within {right}" if known else ""
    return (
        f"local resolution: {middle} in the middle of all places, half of them {first} to {third}, nine of ten "
        f"{_unless_beyond(local, local.finest_A, 0.05)} to {local.coarsest_A:.2f} Å {how}{error}"
    )


def _unless_beyond(local: LocalResolution, length_A: float, share: float) -> str:
    """A length that a share of the places is better than, unless these are good up to the limit of the voxels."""
    return f"{length_A:.2f} Å" if local.beyond_nyquist < share else f"{length_A:.2f} Å or better"


def _parts_words(parts: tuple[LocalPart, ...]) -> list[str]:
    """The parts with their intervals, and whether they differ by more than these."""
    if len(parts) == 1:
        return [f"the particle is one part: {resolution_words(parts[0])}"] if parts[0].interval_A else []
    if not parts:
        return []
    told = f"parts of the particle, with 90 % intervals: {'; '.join(part_words(part) for part in parts)}"
    read = [
        (part.resolution_A, part.interval_A, part.number) for part in parts if part.resolution_A and part.interval_A
    ]
    if len(read) < 2:
        return [told]
    rest = "" if len(read) == len(parts) else "of those with a number, "
    worst, best = max(read, key=lambda one: one[0]), min(read, key=lambda one: one[0])
    apart = worst[1][1] > best[1][0]
    said = f"part {worst[2]} is poorer than part {best[2]}" if apart else "the parts are alike within these intervals"
    return [f"{told}: {rest}{said}"]


def part_words(part: LocalPart) -> str:
    """One part with its resolution, e.g. `1 (61 %): 4.10 Å (4.15-4.05)`."""
    where = ", ".join(f"{x:.0f}" for x in part.at_A).replace("-0,", "0,")
    return f"{part.number} ({100 * part.volume_share:.0f} % of it, at {where} Å): {resolution_words(part)}"


def resolution_words(one: LocalPart | Along) -> str:
    """The resolution of a part or along an axis with its interval, or why there is none."""
    if one.resolution_A is not None and one.interval_A is not None:
        return f"{one.resolution_A:.2f} Å ({one.interval_A[0]:.2f}-{one.interval_A[1]:.2f})"
    from_A = "" if one.interval_A is None else f" from {one.interval_A[0]:.2f} Å to the limit of the voxels"
    return {
        "never_above": "no resolution",
        "truncated": "good as far as the half maps go",
        "undecided": f"not told, the FSC is too noisy{from_A}",
    }.get(one.state, "good to the limit of the voxels")


def _change_words(change: LocalChange) -> str:
    return (
        f"against {change.against}: {100 * change.better:.0f} % of the places are better by more than 5 %, "
        f"{100 * change.worse:.0f} % worse; median change {change.median_A:+.2f} Å"
    )


def convergence_words(convergence: Convergence | None, changes: Changes | None = None) -> list[str]:
    """What becomes of the refinement, what that is read off, and how much changed by the program's own count."""
    counted = _counted_words(changes)
    if convergence is None:
        return counted
    compared = f"{convergence.rounds} round{'' if convergence.rounds == 1 else 's'}"
    return [
        f"convergence ({compared}): {_verdict_words(convergence, changes)}",
        *([] if convergence.with_last is None else _beside_words(convergence.with_last, convergence.mask)),
        *counted,
    ]


def _counted_words(changes: Changes | None) -> list[str]:
    """How much the particles' parameters changed, which the program states without an error."""
    known = (
        (
            (changes.orientations_deg, "orientations by {:.2f} degrees"),
            (changes.offsets_A, "shifts by {:.2f} Å"),
            (changes.classes and 100 * changes.classes, "the class of {:.1f} % of the particles"),
        )
        if changes is not None
        else ()
    )
    parts = [words.format(value) for value, words in known if value is not None]
    changed = ", ".join(parts)
    return (
        [f"changed since the iteration before, as the program counts it: {changed}; a settled refinement stays near 0"]
        if parts
        else []
    )


def _verdict_words(convergence: Convergence, changes: Changes | None) -> str:
    rate = f"{abs(convergence.per_round_A or 0):.2f} Å a round"
    return {
        "converged": _converged_words(convergence, changes),
        "improving": f"still improving by {rate}",
        "worsening": f"getting worse by {rate}",
        "oscillates": "oscillates between two solutions: this round is like the one before the last, not like the last one",
        "changing": "not converged: it still changes, without a direction",
        "undecided": "not decided: a verdict needs three rounds that can be compared",
    }[convergence.verdict]


def _converged_words(convergence: Convergence, changes: Changes | None) -> str:
    """What is settled: resolution, map, angles and classes are not the same thing."""
    since, alike = f"since round {convergence.since}", convergence.with_last
    if alike is None:
        return f"converged {since}: the resolution is unchanged within error; the maps were not compared"
    moving = [
        *(["most angles"] if alike.noise_shared is not None and alike.noise_shared < _SETTLED else []),
        *(["classes"] if changes is not None and (changes.classes or 0.0) > _STEADY_CLASSES else []),
    ]
    if moving:
        what = " and ".join(moving)
        return f"resolution and map are unchanged within error {since}, but {what} still change: it is not settled"
    return f"converged {since}: the resolution is unchanged within error, and the map no longer changes"


def _beside_words(one: Agreement, mask: str | None) -> list[str]:
    """What two rounds have in common, a sentence each."""
    same = "the same" if one.signal + 2 * one.signal_sd >= 0.97 else "not the same"
    words = [
        f"against {one.against} ({mask}): the signal is {same}, its correlation is {min(one.signal, 1.0):.3f} ± "
        f"{max(one.signal_sd, 0.001):.3f} up to the resolution; 1 is an unchanged map"
    ]
    if one.better is not None and one.better_sd:
        sure = abs(one.better) > 3 * one.better_sd
        side = "above" if one.better > 0 else "below"
        level = f"lies {abs(one.better):.3f} ± {one.better_sd:.3f} {side}" if sure else "lies within its error of"
        words.append(f"the half-map FSC of this round {level} that of {one.against}")
    if one.noise_shared is not None:
        words.append(f"{_noise_words(one.noise_shared)} ({100 * one.noise_shared:.0f} % of their noise is the same)")
    if one.moved_A:
        words.append(
            f"the particle was moved by {one.moved_A:.1f} Å between the two rounds; the maps were compared in one place"
        )
    if one.turned_deg and same != "the same":
        words.append(
            f"the particle was turned by {one.turned_deg:.1f} degrees between the two rounds, which is a part of that"
        )
    return words


def _noise_words(shared: float) -> str:
    if shared > 0.9:
        return "nearly all angles are the same as in the earlier round"
    return "angles still change" if shared > 0.5 else "most angles changed by more than the resolution can bear"
