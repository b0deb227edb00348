"""How much of a half map is noise that its angles were fitted to: images with random phases, reconstructed with the same angles.

High-resolution noise substitution (Chen et al. 2013, Ultramicroscopy 135:24, doi:10.1016/j.ultramic.2013.06.004) of one round,
without aligning anew. Images keep their amplitudes, angles and weights; where their phases are random, what they add up to has the
power of noise alone. The power that the true phases have beyond that is coherent with the angles: signal, or noise that the angles
were fitted to. Signal is common to both halves, S / (S + N) = FSC; noise that each half was fitted to is not.
"""

import numpy as np
from numpy.typing import NDArray

from refine_hooks import curves, fsc
from refine_hooks.files.mrc import Map
from refine_hooks.fourier import ShellSums, shell_sums, transform, voxels_in_shell
from refine_hooks.log.particles import Substitution

_PAST = 1  # shells: interpolation mixes neighbours
_FINEST, _OF_NYQUIST = 1.5, 0.95  # times the frequency of the limit
_FEWEST_SHELLS = 2
_TOGETHER = 2.0  # coefficients of a reconstruction that hang together by its interpolation


def substitution(halves: tuple[Map, Map], substituted: tuple[Map, Map], from_A: float) -> Substitution | None:
    """What the substituted half maps say of the half maps; None where no shells lie beyond the limit.

    Args:
        halves: as reconstructed, unmasked.
        substituted: from images with random phases beyond the limit, with the same angles and weights.
        from_A: the limit.
    """
    own, other = (shell_sums(*(transform(one.voxels) for one in pair)) for pair in (halves, substituted))
    box_px, voxel_size_A = halves[0].box_px, halves[0].voxel_size_A
    limit = box_px * voxel_size_A / from_A
    first = int(np.ceil(limit)) + _PAST
    last = min(int(_FINEST * limit), int(_OF_NYQUIST * box_px / 2))
    if last - first + 1 < _FEWEST_SHELLS:
        return None
    correlation, nothing = fsc.correlation(own), fsc.correlation(other)
    coherent = 1 - _power(other) / np.maximum(_power(own), 1e-300)
    shells = slice(first, last + 1)
    counts = voxels_in_shell(box_px)[shells] / _TOGETHER
    share = counts / counts.sum()
    mean_fsc, mean_coherent = float(share @ correlation[shells]), float(share @ coherent[shells])
    coherent_sd = (1 - min(mean_coherent, 0.99)) * float(np.sqrt(2 / counts.sum()))
    return Substitution(
        from_A=from_A,
        to_A=box_px * voxel_size_A / last,
        fsc=mean_fsc,
        substituted_fsc=float(share @ nothing[shells]),
        coherent=mean_coherent,
        coherent_sd=coherent_sd,
        fitted_noise=mean_coherent - mean_fsc,
        fitted_noise_sd=float(np.hypot(coherent_sd, (1 - mean_fsc**2) / np.sqrt(counts.sum()))),
        correlation=curves.listed(correlation) or (),
        substituted_correlation=curves.listed(nothing) or (),
        coherent_share=curves.listed(np.where(np.arange(len(coherent)) < first, np.nan, coherent)) or (),
    )


def _power(sums: ShellSums) -> NDArray[np.float64]:
    return np.asarray((sums.power1 + sums.power2) / 2)
