"""Figures for a paper: resolution by direction, what more particles would give, fitted noise, and rounds beside each other."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from refine_hooks.analysis.sampling import Sampled
from refine_hooks.audit.directions import divides_by_sampling
from refine_hooks.audit.reading import values
from refine_hooks.curves import NORMAL_90
from refine_hooks.errors import InputError
from refine_hooks.log.particles import MoreParticles, Substitution
from refine_hooks.log.records import RoundRecord
from refine_hooks.report.local_plot import plot_local
from refine_hooks.report.plot import draw_curve, draw_thresholds, frequency_axes, written_figure
from refine_hooks.report.what_helps import Beyond
from refine_hooks.report.words import title_of

_BLUE, _RED, _GREY = "#0072B2", "#D55E00", "#777777"


def plot_beyond(record: RoundRecord, what: Beyond, path: Path, width_cm: float = 12.0) -> None:
    """Draw one of the things that are known of a round beyond its one number.

    Args:
        record: the round.
        what: is to be drawn.
        path: file to write; its ending says which kind.
        width_cm: width of the figure.

    Raises:
        InputError: matplotlib is not installed, the ending is none of those known, or it was not measured of this round.
        StorageError: the file cannot be written.
    """
    draw: dict[Beyond, Callable[[RoundRecord, Path, float], None]] = {
        "local": plot_local,
        "directions": plot_directions,
        "particles": plot_particles,
        "convergence": plot_convergence,
        "substitution": plot_substitution,
    }
    draw[what](record, path, width_cm)


def plot_directions(record: RoundRecord, path: Path, width_cm: float = 12.0) -> None:
    """Resolution along the axes, beside it the noise of each direction over what the angles make of it, with 90 % intervals.

    Args:
        record: a round with directions.
        path: file to write; its ending says which kind.
        width_cm: width of the figure.

    Raises:
        InputError: matplotlib is not installed, the ending is none of those known, or the round has no directions.
        StorageError: the file cannot be written.
    """
    along = record.analysis.along if record.analysis is not None else ()
    noise = record.checks.noise_by_direction if record.checks is not None else None
    both = record.sampling is not None and noise is not None and len(noise.cones) == len(record.sampling.relative) > 0
    if not along and not both:
        raise InputError(
            f"{record.key}: has no resolution by direction; 'refine-hooks audit' analyses the newest rounds, [fsc] full = true all"
        )
    with written_figure(path, width_cm, 0.5 * width_cm) as figure:
        axes = list(np.atleast_1d(figure.subplots(1, int(bool(along)) + int(both))))
        if along:
            _along(axes.pop(0), record)
        if both and noise is not None and record.sampling is not None:
            expected = Sampled(np.array(record.sampling.relative)).noise_in_cones()
            _agreement(axes[0], expected, np.array(noise.cones), noise.sd or 0.0, divides_by_sampling(record))


def _along(axes: Any, record: RoundRecord) -> None:
    known = [one for one in (record.analysis.along if record.analysis else ()) if one.resolution_A and one.interval_A]
    for place, one in enumerate(known):
        axes.plot([place, place], one.interval_A, color=_BLUE, linewidth=2)
        axes.plot(place, one.resolution_A, "o", color=_BLUE, markersize=4)
    names = {"best": "least\nnoise", "worst": "most\nnoise"}
    axes.set_xticks(range(len(known)), [names.get(one.name, one.name) for one in known])
    axes.set_ylabel("resolution (Å)")
    axes.invert_yaxis()


def _agreement(axes: Any, expected: np.ndarray, measured: np.ndarray, sd: float, divides: bool) -> None:
    """Each direction a point with its 90 % interval; on the line where the program divides by the sampling, and the angles are
    those of the map. A power errs by a share of itself, which is the standard deviation of the mean one."""
    reach = NORMAL_90 * sd * measured
    if sd > 0:
        axes.vlines(expected, measured - reach, measured + reach, color=_BLUE, alpha=0.4, linewidth=0.5)
    axes.plot(expected, measured, ".", color=_BLUE, markersize=3)
    ends = np.array([min(expected.min(), measured.min()), max(expected.max(), measured.max())]) * (0.95, 1.05)
    if divides:
        axes.plot(ends, ends, color="#000000", linewidth=0.8)
    axes.set_xlabel("1 / sampling by the angles")
    axes.set_ylabel("noise of the half maps")


def plot_convergence(record: RoundRecord, path: Path, width_cm: float = 12.0) -> None:
    """FSC of a round's average with those of the rounds before it, beside the half-map FSC.

    Args:
        record: a round that was compared with others.
        path: file to write; its ending says which kind.
        width_cm: width of the figure.

    Raises:
        InputError: matplotlib is not installed, the ending is none of those known, or the round was not compared.
        StorageError: the file cannot be written.
    """
    known = record.convergence
    if known is None or known.with_last is None:
        raise InputError(
            f"{record.key}: its map was not compared with that of another round; that is done for the newest round of a watch, "
            "where the half maps of the rounds before it are on disk"
        )
    with written_figure(path, width_cm, 0.75 * width_cm) as figure:
        axes = figure.subplots()
        curve = record.headline_curve()
        if curve is not None:
            draw_curve(axes, record, curve, title_of(record, curve), [curve])
            draw_thresholds(axes, record, [curve])
        for one, colour in ((known.with_last, _RED), (known.with_before_last, _BLUE)):
            if one is not None:
                averages = values(one.correlation)
                axes.plot(
                    record.frequency_per_A, averages, color=colour, linewidth=1.1, label=f"averages, with {one.against}"
                )
        frequency_axes(axes, record.frequency_per_A[-1])
        axes.set_ylim(-0.1, 1.05)
        axes.set_ylabel("Fourier shell correlation")
        axes.legend()


def plot_particles(record: RoundRecord, path: Path, width_cm: float = 12.0) -> None:
    """1 / d^2 over the number of particles, with the fitted line and its 90 % band (ResLog).

    Args:
        record: a round with reconstructions of subsets.
        path: file to write; its ending says which kind.
        width_cm: width of the figure.

    Raises:
        InputError: matplotlib is not installed, the ending is none of those known, or the round has no subsets.
        StorageError: the file cannot be written.
    """
    if record.more_particles is None:
        raise InputError(
            f"{record.key}: has no reconstructions of subsets; set [reconstruct] subsets = true for rounds made from particles"
        )
    with written_figure(path, width_cm, 0.6 * width_cm) as figure:
        draw_particles(figure.subplots(), record.more_particles)


def draw_particles(axes: Any, known: MoreParticles) -> None:
    """The same into one pair of matplotlib's axes."""
    read = [(one.particles, one.resolution_A) for one in known.points if one.resolution_A]
    most = max(one.particles for one in known.points)
    for value_A2, style in (
        (known.b_factor_A2, "-"),
        (max(known.b_factor_A2 - NORMAL_90 * known.b_factor_sd_A2, 1.0), ":"),
        (known.b_factor_A2 + NORMAL_90 * known.b_factor_sd_A2, ":"),
    ):
        squared = np.linspace(0.3, 1.6, 100) / known.resolution_A**2
        s = np.sqrt(squared)
        ln = value_A2 / 2 * (squared - known.resolution_A**-2) + np.log(s * known.resolution_A)
        axes.plot(most * np.exp(ln), squared, style, color=_RED, linewidth=1)
    axes.plot([n for n, _ in read], [1 / d**2 for _, d in read], "o", color=_BLUE, markersize=4)
    coarse_A, fine_A = known.doubled_interval_A
    axes.plot([2 * most] * 2, [coarse_A**-2, fine_A**-2], color=_BLUE, linewidth=2)
    axes.plot(2 * most, known.doubled_A**-2, "o", markerfacecolor="white", color=_BLUE, markersize=4)
    axes.set_xscale("log")
    shown = sorted({min(one.particles for one in known.points), most, 2 * most})
    axes.set_xticks(shown, [f"{one:,}" for one in shown])
    axes.minorticks_off()
    axes.set_xlim(min(one.particles for one in known.points) * 0.7, most * 4)
    low = min(*(1 / d**2 for _, d in read), known.resolution_A**-2) if read else known.resolution_A**-2
    high = max(fine_A, 0.8 * known.doubled_A) ** -2
    axes.set_ylim(max(0.0, low - 0.15 * (high - low)), high + 0.15 * (high - low))
    axes.set_xlabel("particles")
    axes.set_ylabel("1/d² (Å⁻²)")
    in_A = axes.secondary_yaxis("right", functions=(_length_A, _squared))
    bottom, top = axes.get_ylim()
    lengths_A = _length_A(np.linspace(bottom, top, 7)[1:-1])
    in_A.set_yticks(lengths_A, [f"{one:.1f}" for one in lengths_A])
    in_A.set_ylabel("d (Å)")


def _length_A(squared: Any) -> Any:
    return np.maximum(squared, 1e-9) ** -0.5


def _squared(length_A: Any) -> Any:
    return np.maximum(length_A, 1e-9) ** -2.0


def plot_substitution(record: RoundRecord, path: Path, width_cm: float = 12.0) -> None:
    """FSC of the half maps and of images with random phases, and the share of the power that is coherent with the angles.

    Args:
        record: a round whose images were substituted.
        path: file to write; its ending says which kind.
        width_cm: width of the figure.

    Raises:
        InputError: matplotlib is not installed, the ending is none of those known, or no images were substituted.
        StorageError: the file cannot be written.
    """
    if record.substitution is None:
        raise InputError(
            f"{record.key}: its images were not substituted; set [reconstruct] substitute_from_A for rounds made from particles"
        )
    with written_figure(path, width_cm, 0.6 * width_cm) as figure:
        draw_substitution(figure.subplots(), record.substitution, np.array(record.frequency_per_A))


def draw_substitution(axes: Any, known: Substitution, frequency_per_A: np.ndarray) -> None:
    """The same into one pair of matplotlib's axes; the shells that the numbers are of are shaded."""
    for listed, colour, style, label in (
        (known.substituted_correlation, _GREY, "--", "FSC of random phases"),
        (known.correlation, _BLUE, "-", "FSC, unmasked"),
        (known.coherent_share, _RED, "-", "coherent with the angles"),
    ):
        axes.plot(frequency_per_A[1:], values(listed)[1:], style, color=colour, linewidth=1.2, label=label)
    axes.axvspan(1 / known.from_A, 1 / known.to_A, color=_RED, alpha=0.12, linewidth=0)
    frequency_axes(axes, float(frequency_per_A[-1]))
    axes.set_ylim(-0.1, 1.05)
    axes.set_ylabel("correlation, share of the power")
    axes.legend(loc="upper right")
