"""What the log holds of tests that are made while half maps are made from particles."""

from pydantic import Field

from refine_hooks.model import Record


class SubsetPoint(Record):
    """One reconstruction from some of the particles."""

    particles: int = Field(description="of both halves together")
    resolution_A: float | None = Field(default=None, description="null where the FSC does not cross")


class Target(Record):
    """How many times as many particles a resolution needs, everything else being as it is."""

    resolution_A: float
    factor: float
    interval: tuple[float, float] = Field(description="90 %: fewest, most")


class MoreParticles(Record):
    """How the resolution goes with the number of particles (ResLog), and what more of them would give.

    S / N goes as particles x exp(-B s^2 / 2) / s (Rosenthal & Henderson 2003). All of it is for the angles as they
    are: more particles refined anew may have better ones.
    """

    mask: str = Field(description="under which the curves were measured; unmasked where there is no automask")
    threshold: float
    resolution_A: float = Field(description="of all particles, where the fitted FSC crosses the threshold")
    b_factor_A2: float = Field(description="of signal to noise: amplitudes fall by exp(-B s^2 / 4)")
    b_factor_sd_A2: float
    fit_A: tuple[float, float] = Field(description="coarse and fine end of the shells that were fitted")
    points: tuple[SubsetPoint, ...]
    targets: tuple[Target, ...]
    doubled_A: float = Field(description="resolution with twice as many particles")
    doubled_interval_A: tuple[float, float] = Field(description="90 %: coarse end, fine end")


class Substitution(Record):
    """High-resolution noise substitution of the images, reconstructed with the same angles.

    Power of a half map that random phases do not give is coherent with the angles: signal, or noise that the angles were fitted to.
    The FSC is the part of it that the halves have in common.
    """

    from_A: float = Field(description="phases of the images are random beyond this resolution")
    to_A: float = Field(description="fine end of the shells that the numbers are of")
    fsc: float = Field(description="mean FSC of the unmasked halves in these shells")
    substituted_fsc: float = Field(description="the same of the substituted images; 0 but for chance")
    coherent: float = Field(description="share of a half map's power in these shells that random phases do not give")
    coherent_sd: float
    fitted_noise: float = Field(
        description="share of a half map's power that is coherent with its angles and not common to the halves: noise that the "
        "angles were fitted to"
    )
    fitted_noise_sd: float
    correlation: tuple[float | None, ...] = Field(description="FSC of the unmasked halves, over the shells 0..N//2")
    substituted_correlation: tuple[float | None, ...] = Field(description="of the substituted images")
    coherent_share: tuple[float | None, ...] = Field(description="of each shell")
