"""What more particles would give, what noise the angles were fitted to, and what limits the resolution, in words."""

from collections.abc import Callable
from typing import Literal

from refine_hooks.audit.limiting import what_limits
from refine_hooks.log.particles import MoreParticles, Substitution, Target
from refine_hooks.log.records import RoundRecord
from refine_hooks.report.by_direction import direction_words
from refine_hooks.report.local import convergence_words, local_words

Beyond = Literal["directions", "local", "convergence", "particles", "substitution"]

_SD = 3.0
_UNCERTAIN, _VAGUE = 0.1, 0.3  # error of a B factor over it


def beyond_words(record: RoundRecord) -> list[str]:
    """All that is known of a round beyond its one number, a sentence each."""
    return [
        *direction_words(record),
        *local_words_of(record),
        *convergence_words(record.convergence, record.changes),
        *help_words(record),
    ]


def words_of(record: RoundRecord, what: Beyond) -> list[str]:
    """What is known of one of these things, a sentence each."""
    words: dict[Beyond, Callable[[RoundRecord], list[str]]] = {
        "directions": direction_words,
        "local": local_words_of,
        "convergence": lambda one: convergence_words(one.convergence, one.changes),
        "particles": _particles_words,
        "substitution": _substitution_words,
    }
    return words[what](record)


def local_words_of(record: RoundRecord) -> list[str]:
    """The local resolution beside that of the whole."""
    curve = record.headline_curve()
    return local_words(record.local, curve.resolution_A if curve is not None and not curve.of_program else None)


def help_words(record: RoundRecord) -> list[str]:
    """What would help, and what a substitution of the images found, a sentence each."""
    words = [*_particles_words(record), *_substitution_words(record)]
    found = what_limits(record)
    if found:
        words.append(f"what limits the resolution now: {'; '.join(one.sentence for one in found)}")
    return words


def _particles_words(record: RoundRecord) -> list[str]:
    known, nyquist_A = record.more_particles, 2 * record.voxel_size_A
    if known is None:
        return []
    words = more_particles_words(known, nyquist_A)
    if known.doubled_A < nyquist_A:
        words.append(f"the voxels show no more than {nyquist_A:.2f} Å: finer ones need smaller voxels first")
    return words


def _substitution_words(record: RoundRecord) -> list[str]:
    return [] if record.substitution is None else substitution_words(record.substitution, _sharing(record))


def more_particles_words(known: MoreParticles, nyquist_A: float = 0.0) -> list[str]:
    """The B factor, and what finer resolutions need.

    Args:
        known: what was found.
        nyquist_A: nothing finer is stated.
    """
    fewest = min(point.particles for point in known.points)
    coarse_A, fine_A = (max(end, nyquist_A) for end in known.doubled_interval_A)
    doubled = (
        f"{known.doubled_A:.2f} Å ({coarse_A:.2f}-{fine_A:.2f})"
        if known.doubled_A >= nyquist_A
        else f"{nyquist_A:.2f} Å, all that the voxels hold"
    )
    words = [
        f"signal to noise falls with B = {known.b_factor_A2:.0f} ± {known.b_factor_sd_A2:.0f} Å² (fitted from {known.fit_A[0]:.1f} "
        f"to {known.fit_A[1]:.1f} Å to {len(known.points)} reconstructions of {fewest} particles and more, {known.mask}); twice as "
        f"many particles would give {doubled}, these give {known.resolution_A:.2f} Å"
    ]
    targets = [one for one in known.targets if one.resolution_A >= nyquist_A]
    if targets:
        words.append(f"{'; '.join(_target_words(one) for one in targets)}, with angles as good as these")
    share = known.b_factor_sd_A2 / known.b_factor_A2
    if share > _VAGUE:
        words.append("this B is known so poorly that these numbers of particles are no more than a first guess")
    elif share > _UNCERTAIN:
        words.append(f"B is uncertain by {100 * share:.0f} %: few shells lie between signal and noise")
    return words


def _target_words(one: Target) -> str:
    fewest, most = (_times(end) for end in one.interval)
    return f"{one.resolution_A:.1f} Å needs about {_times(one.factor)} x as many particles ({fewest}-{most})"


def _times(factor: float) -> str:
    """Two digits, and no power of ten."""
    return f"{factor:.2g}" if factor < 10 else f"{float(f'{factor:.2g}'):,.0f}"


def _sharing(record: RoundRecord) -> str:
    """What is known of a reference that both halves were aligned to."""
    independence = record.half_maps.independence if record.half_maps is not None else "unknown"
    return {
        "independent": "the halves were aligned apart, so that there should be none",
        "shared_reference": "the halves of this round share their reference, so that this is no proof against overfitting",
        "one_set_of_poses": "the halves of this round share their angles, so that this is no proof against overfitting",
    }.get(independence, "it is not known whether the halves share one, so that this is no proof against overfitting")


def substitution_words(known: Substitution, sharing: str = "") -> list[str]:
    """What is noise that the angles were fitted to, as far as that can be told from signal.

    Args:
        known: what was found.
        sharing: what is known of a reference that both halves were aligned to.
    """
    head = (
        f"with random phases of the images beyond {known.from_A:.1f} Å and the same angles: from there to {known.to_A:.1f} Å "
        f"{100 * known.coherent:.1f} ± {100 * known.coherent_sd:.1f} % of a half map's power is coherent with its angles, of which "
        f"the FSC shows {100 * known.fsc:.1f} % to be common to both halves"
    )
    noise = f"{100 * known.fitted_noise:.1f} ± {100 * known.fitted_noise_sd:.1f} %"
    if known.fitted_noise > _SD * known.fitted_noise_sd:
        said = f"{noise} is noise that the angles of each half were fitted to: align to a coarser limit"
    else:
        said = f"no noise is seen that the angles of one half alone were fitted to ({noise})"
    return [
        f"{head}: {said}",
        "noise that both halves were fitted to alike, as to one shared reference, is common to them and counts as signal here"
        + (f"; {sharing}" if sharing else ""),
    ]
