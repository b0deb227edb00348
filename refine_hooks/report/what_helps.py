"""What more particles would give, what noise the angles were fitted to, and what limits the resolution, in words."""

from refine_hooks.audit.limiting import limits
from refine_hooks.log.particles import MoreParticles, Substitution, Target
from refine_hooks.log.records import RoundRecord
from refine_hooks.report.by_direction import direction_words
from refine_hooks.report.local import convergence_words, local_words

_SD = 3.0


def beyond_words(record: RoundRecord) -> list[str]:
    """All that is known of a round beyond its one number, a sentence each."""
    return [
        *direction_words(record),
        *local_words(record.local),
        *convergence_words(record.convergence, record.changes),
        *help_words(record),
    ]


def help_words(record: RoundRecord) -> list[str]:
    """What would help, and what a substitution of the images found, a sentence each."""
    known = record.more_particles
    words = [] if known is None else more_particles_words(known)
    if known is not None and known.doubled_A < 2 * record.voxel_size_A:
        words.append(
            f"the voxels show no more than {2 * record.voxel_size_A:.2f} Å: finer ones need smaller voxels first"
        )
    words += [] if record.substitution is None else substitution_words(record.substitution, _sharing(record))
    found = limits(record)
    if found and (record.more_particles is not None or found[0].what != "particles"):
        words.append(f"what limits the resolution now: {'; '.join(one.words for one in found)}")
    return words


def more_particles_words(known: MoreParticles) -> list[str]:
    """The B factor, and what finer resolutions need."""
    fewest = min(point.particles for point in known.points)
    coarse_A, fine_A = known.doubled_interval_A
    return [
        f"signal to noise falls with B = {known.b_factor_A2:.0f} ± {known.b_factor_sd_A2:.0f} Å² (fitted from {known.fit_A[0]:.1f} "
        f"to {known.fit_A[1]:.1f} Å to {len(known.points)} reconstructions of {fewest} particles and more, {known.mask}); twice as "
        f"many particles would give {known.doubled_A:.2f} Å ({coarse_A:.2f}-{fine_A:.2f}), these give {known.resolution_A:.2f} Å",
        f"{'; '.join(_target_words(one) for one in known.targets)}, with angles as good as these",
    ]


def _target_words(one: Target) -> str:
    fewest, most = one.interval
    return f"{one.resolution_A:.1f} Å needs about {one.factor:.2g} x as many particles ({fewest:.2g}-{most:.2g})"


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
        f"{100 * known.coherent:.1f} ± {100 * known.coherent_sd:.1f} % of a half map's power is coherent with its angles, and the "
        f"FSC accounts for {100 * known.fsc:.1f} %"
    )
    noise = f"{100 * known.fitted_noise:.1f} ± {100 * known.fitted_noise_sd:.1f} %"
    if known.fitted_noise > _SD * known.fitted_noise_sd:
        said = f"{noise} is noise that the angles of each half were fitted to: align to a coarser limit"
    else:
        said = f"no noise that the angles of one half were fitted to is seen ({noise})"
    return [
        f"{head}: {said}",
        "noise that both halves were fitted to alike, as to one shared reference, is common to them and counts as signal here"
        + (f"; {sharing}" if sharing else ""),
    ]
