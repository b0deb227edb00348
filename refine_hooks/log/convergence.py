"""What the log holds of a round beside those before it: whether the map still changes, and whether it still gets better."""

from typing import Literal

from pydantic import Field

from refine_hooks.model import Key, Record

ConvergenceVerdict = Literal["converged", "improving", "worsening", "oscillates", "changing", "undecided"]


class Agreement(Record):
    """One round beside an earlier one, the half maps of both under one mask."""

    against: Key
    correlation: tuple[float | None, ...] = Field(
        description="FSC of the averages of the half maps of the two rounds, as far as beyond their resolution"
    )
    signal: float = Field(
        description="correlation of the two signals up to the resolution, from halves that share no particle; 1: the same"
    )
    signal_sd: float
    noise_shared: float | None = Field(
        default=None, description="correlation of the noise of the two rounds up to the resolution; 1: no angle changed"
    )
    better: float | None = Field(
        default=None,
        description="by how much the half-map FSC of this round lies above that of the earlier one, where both fall",
    )
    better_sd: float | None = None
    moved_A: float | None = Field(
        default=None, description="by how far the particle was moved between the rounds; undone for the comparison"
    )
    turned_deg: float | None = Field(
        default=None, description="angle between the particles of the two rounds, where significant; not undone"
    )


class Convergence(Record):
    """The newest round of a run and class beside the rounds before it, as far as their half maps are on disk."""

    verdict: ConvergenceVerdict
    rounds: int = Field(description="how many rounds were compared")
    since: int | None = Field(
        default=None, description="converged: the first round since which the resolution is unchanged within error"
    )
    per_round_A: float | None = Field(
        default=None, description="median change of the last rounds, an iteration; negative: better"
    )
    mask: str | None = Field(default=None, description="name of the mask that the averages were compared under")
    with_last: Agreement | None = None
    with_before_last: Agreement | None = None
    last_two: Agreement | None = Field(default=None, description="the last round with the one before it")
