"""What the log holds of a round beside those before it: whether the map still changes, and whether it still gets better."""

from typing import Literal

from pydantic import Field

from refine_hooks.model import Key, Record

ConvergenceVerdict = Literal["converged", "improving", "worsening", "oscillates", "undecided"]


class Agreement(Record):
    """The average of the half maps of one round with that of an earlier one, under one mask."""

    against: Key
    correlation: tuple[float | None, ...] = Field(description="FSC of the two averages")
    signal: float = Field(
        description="correlation of the two signals up to the resolution, without the noise; 1: the same"
    )
    signal_sd: float
    noise_shared: float | None = Field(
        default=None, description="how far the noise of the two averages is the same, from the shells without signal"
    )


class Convergence(Record):
    """The newest round of a run and class beside the rounds before it, as far as their half maps are on disk."""

    verdict: ConvergenceVerdict
    rounds: int = Field(description="how many rounds were compared")
    since: int | None = Field(
        default=None, description="converged: the first round since which the resolution is unchanged within error"
    )
    per_round_A: float | None = Field(default=None, description="median change of the last rounds; negative: better")
    mask: str | None = Field(default=None, description="name of the mask that the averages were compared under")
    with_last: Agreement | None = None
    with_before_last: Agreement | None = None
    last_two: Agreement | None = Field(default=None, description="the last round with the one before it")
