"""The picture of a round's viewing directions: over the whole sphere, symmetry mates included, with axes and a colour bar."""

import numpy as np
from numpy.typing import NDArray

from refine_hooks.analysis.views import Counts, Views, with_mates

HEIGHT_PX, WIDTH_PX = 220, 440
_MARGIN_PX = 60  # for the axes at the sides; as much below for the colour bar
_STEPS = 63  # of colour
_INK, _GROUND = (40, 45, 50), 255
# Anchors of a map from few to many views: dark blue, teal, green, yellow; equally spaced and rising in lightness.
_COLOURS = ((13, 8, 61), (44, 51, 126), (33, 102, 134), (31, 149, 130), (102, 190, 90), (253, 231, 37))

_SEEN_BY_CHANCE = 0.01

Pixels = NDArray[np.uint8]


def views_picture(views: Views) -> tuple[Pixels, str]:
    """Views over the sphere in an equal-area projection (Mollweide), relative to an even spread; and its caption."""
    counts, mates = with_mates(views)
    density = relative_density(counts)
    area = _bin_area(*counts.shape)
    order = np.argsort(density, axis=None)
    # By area, not by bin: the bins at the poles are tiny and one view fills them.
    top = max(float(density.flat[order[np.searchsorted(np.cumsum(area.flat[order]), 0.99)]]), 1.0)
    row, column, inside = _mollweide(HEIGHT_PX, WIDTH_PX, *counts.shape)
    level = np.clip(density[row, column] / top, 0, 1)
    sphere = _coloured(np.round(level * _STEPS) / _STEPS)
    sphere[~inside] = _GROUND
    empty = float(area[counts == 0].sum())
    by_chance = float((area * np.exp(-views.counts.sum() * mates * area)).sum())
    few = (
        f", where so few particles leave {100 * by_chance:.0f} % empty by chance" if by_chance > _SEEN_BY_CHANCE else ""
    )
    caption = (
        "Viewing directions (orientation distribution), theta and phi in degrees, equal areas; colour = density relative to "
        f"uniform, from none (dark) to {top:.3g} (yellow). {views.counts.sum():.0f} particles{_mates_words(views, mates)}; "
        f"none in {100 * empty:.0f} % of the sphere{few}."
    )
    return _with_axes(sphere, top), caption


def _mates_words(views: Views, mates: int) -> str:
    symmetry = (views.symmetry or "").strip().upper()
    if mates > 1:
        return f", each shown at its {mates} symmetry mates ({symmetry})"
    return f", symmetry mates ({symmetry}) not shown" if symmetry not in ("", "C1") else ""


def _with_axes(sphere: Pixels, top: float) -> Pixels:
    """The projection with theta and phi at its edges, and the colour bar below it."""
    from PIL import Image, ImageDraw, ImageFont

    height, width = sphere.shape[0] + _MARGIN_PX, sphere.shape[1] + 2 * _MARGIN_PX
    image = Image.new("RGB", (width, height), (_GROUND,) * 3)
    image.paste(Image.fromarray(sphere), (_MARGIN_PX, 8))
    drawing, font = ImageDraw.Draw(image), ImageFont.load_default(13)
    right, bottom, middle = _MARGIN_PX + sphere.shape[1], 8 + sphere.shape[0], 8 + sphere.shape[0] // 2
    drawing.ellipse((_MARGIN_PX, 8, right, bottom), outline=_INK)
    for text, at, anchor in (
        ("theta 0", (width // 2 - 120, 4), "ra"),
        ("theta 180", (width // 2 - 120, bottom + 4), "rd"),
        ("phi 0", (_MARGIN_PX - 4, middle - 8), "rm"),
        ("theta 90", (_MARGIN_PX - 4, middle + 8), "rm"),
        ("360", (right + 4, middle), "lm"),
    ):
        drawing.text(at, text, fill=_INK, font=font, anchor=anchor)
    bar = _coloured(np.round(np.linspace(0, 1, sphere.shape[1] // 2) * _STEPS) / _STEPS)[None].repeat(10, 0)
    left, bar_top = width // 2 - bar.shape[1] // 2, bottom + 18
    image.paste(Image.fromarray(bar), (left, bar_top))
    ends = ((left, "0"), (left + round(bar.shape[1] / top), "1 = uniform"), (left + bar.shape[1], f"{top:.3g}"))
    crowded = top < 1.6 or top > 4
    for x, text in (ends[0], ends[2]) if crowded else ends:
        drawing.line((x, bar_top, x, bar_top + 13), fill=_INK)
        drawing.text((x, bar_top + 14), text, fill=_INK, font=font, anchor="ma")
    if crowded:
        drawing.text((width // 2, bar_top + 14), "times uniform", fill=_INK, font=font, anchor="ma")
    return np.asarray(image)


def relative_density(counts: Counts) -> Counts:
    """Views per solid angle [theta, phi], 1 where they would be spread evenly."""
    density: Counts = counts / counts.sum() / _bin_area(*counts.shape)
    return density


def _bin_area(rows: int, columns: int) -> NDArray[np.float64]:
    edges = np.cos(np.linspace(0, np.pi, rows + 1))
    share = (edges[:-1] - edges[1:]) / 2
    return np.repeat(share[:, None] / columns, columns, axis=1)


def _mollweide(
    height: int, width: int, rows: int, columns: int
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.bool_]]:
    """Bin of every pixel of a Mollweide ellipse, and which pixels lie inside (Snyder 1987, USGS Paper 1395, p. 249)."""
    y = 1 - 2 * (np.arange(height) + 0.5) / height
    x = 2 * (np.arange(width) + 0.5) / width - 1
    auxiliary = np.arcsin(y)[:, None]
    latitude = np.arcsin((2 * auxiliary + np.sin(2 * auxiliary)) / np.pi)
    longitude = x[None, :] / np.cos(auxiliary)
    inside = np.abs(longitude) <= 1
    row = np.clip((np.pi / 2 - latitude) / np.pi * rows, 0, rows - 1)
    column = np.clip((longitude + 1) / 2 * columns, 0, columns - 1)
    return np.broadcast_to(row, inside.shape).astype(np.intp), column.astype(np.intp), inside


def _coloured(level: NDArray[np.float64]) -> Pixels:
    anchors = np.linspace(0, 1, len(_COLOURS))
    channels = [np.interp(level, anchors, [rgb[c] for rgb in _COLOURS]) for c in range(3)]
    return np.stack(channels, axis=-1).astype(np.uint8)
