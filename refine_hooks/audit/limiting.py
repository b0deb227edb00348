"""What limits the resolution of a round now, as far as it is known: voxels, angles, views, masks, the number of particles.

It rests on what a record holds and is found anew whenever the record is read, as findings are: no log holds it.
"""

import numpy as np

from refine_hooks.audit.masks import cuts_signal
from refine_hooks.audit.reading import Limit
from refine_hooks.curves import NORMAL_90
from refine_hooks.log.masks import MaskRecord
from refine_hooks.log.records import RoundRecord

_AT_NYQUIST = 1.08
_COSTLY_VIEWS = 0.8  # sampling compensation factor
_MUCH = 0.3  # of the B factor
_GENEROUS = 4.0  # times the automask's volume


def what_limits(record: RoundRecord) -> list[Limit]:
    """What limits the resolution of a round now, as far as its record tells.

    Args:
        record: of a log.

    Returns:
        What can be mended first before what takes more data; empty where nothing is known.
    """
    curve = record.headline_curve()
    if curve is None or curve.resolution_A is None:
        return []
    found = [_voxels(record, curve.resolution_A), _angles(record), _views(record), *_masks(record, curve.mask)]
    found.append(_particles(record))
    return [one for one in found if one is not None]


def _voxels(record: RoundRecord, resolution_A: float) -> Limit | None:
    nyquist_A = 2 * record.voxel_size_A
    if resolution_A > _AT_NYQUIST * nyquist_A:
        return None
    words = f"the voxels: {resolution_A:.2f} Å lies at their limit of {nyquist_A:.2f} Å"
    return Limit(kind="voxels", value=nyquist_A, unit="Å", sentence=words)


def b_factor_of_angles_A2(record: RoundRecord) -> float | None:
    """B factor of the errors that the program states of its angles and shifts: 8 pi^2 times the mean square error along an axis.

    A turn by a about any axis moves a point at distance r by a r sqrt(2 / 3), a third of its square along each axis. The particle
    is taken for a ball of half of its automask's volume: the mask has solvent about it.
    """
    mask = next((one for one in record.masks if one.role == "automask" and one.volume_A3 > 0), None)
    accuracy = record.accuracy
    if accuracy is None or (mask is None and accuracy.offsets_A is None):
        return None
    square = (accuracy.offsets_A or 0.0) ** 2
    if mask is not None and accuracy.rotations_deg is not None:
        radius_A = (3 * mask.volume_A3 / 2 / (4 * np.pi)) ** (1 / 3)
        square += 2 / 9 * np.deg2rad(accuracy.rotations_deg) ** 2 * 0.6 * radius_A**2
    return float(8 * np.pi**2 * square)


def _angles(record: RoundRecord) -> Limit | None:
    own, accuracy = b_factor_of_angles_A2(record), record.accuracy
    if own is None or accuracy is None:
        return None
    stated = ", ".join(
        text
        for text in (
            f"{accuracy.rotations_deg:.1f}°" if accuracy.rotations_deg is not None else "",
            f"{accuracy.offsets_A:.1f} Å" if accuracy.offsets_A is not None else "",
        )
        if text
    )
    words = _angles_words(record, own, stated)
    return None if words is None else Limit(kind="angles", value=own, unit="Å²", sentence=words)


def _angles_words(record: RoundRecord, own_A2: float, stated: str) -> str | None:
    """What the errors of the angles do, beside the whole B factor where that is known; None where it is not much."""
    known = record.more_particles
    if known is None:
        curve = record.headline_curve()
        smallest_A2 = 4 * (curve.resolution_A or 0.0) ** 2 if curve is not None else np.inf
        # exp(-B s^2 / 2) = exp(-2): so much signal is lost at the resolution
        if own_A2 < smallest_A2:
            return None
        left = 100 * np.exp(-own_A2 / smallest_A2)  # exp(-B s^2 / 4) of the amplitudes, s being 1 / resolution
        return (
            f"the angles: the errors that the program states ({stated}) make a B factor of {own_A2:.0f} Å², which leaves "
            f"{f'{left:.0f}' if left >= 1 else 'less than 1'} % of the amplitudes at the resolution"
        )
    if own_A2 < _MUCH * known.b_factor_A2:
        return None
    whole = f"the B factor of {known.b_factor_A2:.0f} ± {known.b_factor_sd_A2:.0f} Å²"
    share = (
        f"{own_A2:.0f} Å² of {whole}" if own_A2 < known.b_factor_A2 else f"{own_A2:.0f} Å², as much as all of {whole}"
    )
    return f"the angles: errors as the program states them ({stated}) make {share}"


def _views(record: RoundRecord) -> Limit | None:
    sampling = record.sampling
    if sampling is None or sampling.factor >= _COSTLY_VIEWS:
        return None
    reach = NORMAL_90 * sampling.factor_sd
    least, most = (1 / max(sampling.factor + step, 1e-3) for step in (reach, -reach))
    words = f"the views: even ones would be worth {1 / sampling.factor:.1f} times as many particles"
    return Limit(kind="views", value=1 / sampling.factor, unit="times", interval=(least, most), sentence=words)


def _masks(record: RoundRecord, name: str | None) -> list[Limit]:
    """Of the refinement's mask, which the next angles are found under, and of the one that the resolution is read under."""
    automask = next((one for one in record.masks if one.role == "automask" and one.volume_A3 > 0), None)
    own = [one for one in record.masks if one.role == "refinement" or one.name == name]
    return [found for one in own if (found := _mask(one, automask)) is not None]


def _mask(own: MaskRecord, automask: MaskRecord | None) -> Limit | None:
    outside = own.signal_outside
    if outside is not None and cuts_signal(outside):
        share, reach = 100 * outside.share, 100 * NORMAL_90 * outside.sd
        words = f"the mask: {own.name!r} leaves {share:.0f} % of the signal out"
        return Limit(kind="mask", value=share, unit="%", interval=(share - reach, share + reach), sentence=words)
    if automask is None or own.volume_A3 < _GENEROUS * automask.volume_A3:
        return None
    times = own.volume_A3 / automask.volume_A3
    words = f"the mask: {own.name!r} holds {times:.0f} times the particle's automask, most of it solvent"
    return Limit(kind="mask", value=times, unit="times", sentence=words)


def _particles(record: RoundRecord) -> Limit | None:
    known = record.more_particles
    if known is None or known.doubled_A < 2 * record.voxel_size_A:  # more would not be seen in these voxels
        return None
    coarse_A, fine_A = known.doubled_interval_A
    words = f"the number of particles: twice as many would give {known.doubled_A:.2f} Å ({coarse_A:.2f}-{fine_A:.2f})"
    return Limit(kind="particles", value=known.doubled_A, unit="Å", interval=known.doubled_interval_A, sentence=words)
