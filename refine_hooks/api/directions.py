"""How good a map is along each axis, and how often each direction was seen."""

import numpy as np
from numpy.typing import ArrayLike

from refine_hooks.analysis.further import analyse
from refine_hooks.analysis.sampling import sampling
from refine_hooks.analysis.views import Views
from refine_hooks.api.arrays import as_pair
from refine_hooks.errors import MapError, SettingsError
from refine_hooks.fourier import transform
from refine_hooks.fsc import fsc, masked_fsc
from refine_hooks.log.directions import Along, Sampling
from refine_hooks.sums.symmetry import order_of

_BIN_DEG = 5


def resolution_by_direction(
    half1: ArrayLike,
    half2: ArrayLike,
    voxel_size_A: float,
    *,
    mask: ArrayLike | None = None,
    threshold: float = 0.143,
    symmetry: str = "C1",
) -> tuple[Along, ...]:
    """The resolution along x, y and z and about the axes of the weakest and strongest noise, with 90 % intervals.

    FSC of the coefficients within 20 degrees of an axis (conical FSC: Tan et al. 2017, doi:10.1038/nmeth.4347).

    Args:
        half1: unfiltered, unmasked half map [z, y, x].
        half2: of the same shape.
        voxel_size_A: edge of a voxel.
        mask: [z, y, x], with a soft edge; none where None.
        threshold: level of the FSC.
        symmetry: imposed point group.

    Raises:
        MapError: arrays that do not fit each other.
        SettingsError: there is no such point group.
    """
    one, two = as_pair(half1, half2)
    order = order_of(symmetry)
    if order is None:
        raise SettingsError(f"symmetry {symmetry!r}: no such point group; write Cn, Dn, T, O or I, such as C4")
    if mask is None:
        values, correlation = np.ones_like(one), fsc(transform(one), transform(two))
    else:
        values = as_pair(half1, mask, "mask")[1]
        correlation = masked_fsc(one, two, values)
    record = analyse(one, two, voxel_size_A, values, "", correlation, threshold=threshold, symmetry_order=order).record
    return record.along


def sampling_of_views(theta_deg: ArrayLike, phi_deg: ArrayLike, *, symmetry: str = "C1") -> Sampling:
    """How often each direction of Fourier space was seen, and the sampling compensation factor.

    Baldwin & Lyumkis 2020 (doi:10.1016/j.pbiomolbio.2019.09.002).

    Args:
        theta_deg: of each particle, the angle between its viewing direction and z (RELION's tilt).
        phi_deg: the azimuth of its viewing direction from x (RELION's rot).
        symmetry: point group in RELION's setting; each particle is a view along all of its mates.

    Raises:
        MapError: no angles, or not as many of both.
    """
    theta, phi = (np.asarray(angles, np.float64).ravel() for angles in (theta_deg, phi_deg))
    if theta.shape != phi.shape or not theta.size or not np.isfinite(theta).all() or not np.isfinite(phi).all():
        raise MapError(
            f"{theta.size} angles theta and {phi.size} phi: give as many finite ones of both, and one at least"
        )
    z = np.cos(np.deg2rad(theta))
    azimuth = np.mod(phi + np.where(np.sin(np.deg2rad(theta)) < 0, 180, 0), 360)
    edges = np.linspace(0, 180, 180 // _BIN_DEG + 1), np.linspace(0, 360, 360 // _BIN_DEG + 1)
    counts, *_ = np.histogram2d(np.rad2deg(np.arccos(np.clip(z, -1, 1))), azimuth, bins=edges)
    found = sampling(Views(counts, symmetry))
    assert found is not None
    return found
