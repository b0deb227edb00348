"""A movie of one slice through the map, round after round, from the volumes that were drawn when the rounds were measured."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from refine_hooks.errors import InputError
from refine_hooks.files.atomic import beside
from refine_hooks.files.folders import make_named
from refine_hooks.log.folder import Store
from refine_hooks.log.summary import RoundSummary
from refine_hooks.report.page import VOLUME, opened_picture
from refine_hooks.report.volume import about_volume

if TYPE_CHECKING:
    from PIL import Image

Plane = Literal["XY", "XZ", "YZ"]
KINDS = (".gif", ".mp4")
EDGE_PX, TITLE_PX = 400, 26
SECONDS_A_ROUND, LAST_S = 0.5, 2.0
_AXIS: dict[Plane, int] = {"XY": 0, "XZ": 1, "YZ": 2}  # of arrays z, y, x
_OUTLINE = (255, 122, 0)


@dataclass(frozen=True, slots=True)
class Volume:
    """The small map and mask of a round.

    Attributes:
        title: the round and its number.
        planes: map and mask [2, z, y, x], 0..255.
        origin_A: the corner of the first voxel (z, y, x), from the centre of the box.
        voxel_A: edge of a voxel.
    """

    title: str
    planes: NDArray[np.uint8]
    origin_A: tuple[float, float, float]
    voxel_A: float


def write_movie(store: Store, rounds: Sequence[RoundSummary], path: Path, plane: Plane = "XY") -> int:
    """Write the slice through the densest part of the last round, in every round, as one picture after the other.

    Args:
        store: where the rounds' pictures are.
        rounds: of one run and class, in their order.
        path: file to write; its ending says which kind.
        plane: which slice.

    Returns:
        The number of rounds in it.

    Raises:
        InputError: the ending is none of `KINDS`, fewer than two rounds have a volume, or MP4 cannot be written here.
        StorageError: the file cannot be written.
    """
    kind = path.suffix.lower()
    if kind not in KINDS:
        raise InputError(f"{path}: end the name with {' or '.join(KINDS)}; it says which kind of movie is meant")
    volumes = [found for one in rounds if (found := _volume_of(store, one)) is not None]
    if len(volumes) < 2:
        have = f"{len(volumes)} of {len(rounds)} rounds have a picture {VOLUME}"
        raise InputError(f"{have}, a movie needs two; they are drawn when rounds are measured")
    frames = [_frame(volume, volumes[-1], plane) for volume in volumes]
    make_named(path.absolute().parent)
    with beside(path.absolute()) as temporary:
        (_write_gif if kind == ".gif" else _write_mp4)(frames, temporary)
    return len(frames)


def _volume_of(store: Store, summary: RoundSummary) -> Volume | None:
    image = opened_picture(store.picture_path(summary.key, summary.label, VOLUME))
    about = about_volume(image.info) if image is not None else None
    if image is None or about is None:
        return None
    try:
        return _decoded(_title(summary), np.asarray(image.convert("L")), about)
    except ValueError:  # the picture has another size than it says
        return None


def _decoded(title: str, pixels: NDArray[np.uint8], about: dict[str, Any]) -> Volume:
    edge, across = about["edge"], about["across"]
    rows = -(-edge // across)
    tiles = pixels.reshape(2, rows, edge, across, edge).swapaxes(2, 3)
    voxel_A = about["voxel_A"] / about["step"]
    x, y, z = ((begin - about["box"] / 2) * voxel_A for begin in about["start"])
    return Volume(title, tiles.reshape(2, rows * across, edge, edge)[:, :edge], (z, y, x), about["voxel_A"])


def _title(summary: RoundSummary) -> str:
    curve = summary.headline_curve
    return summary.label + (f": {curve.resolution_A:.2f} A" if curve is not None and curve.resolution_A else "")


def _frame(volume: Volume, shown: Volume, plane: Plane) -> "Image.Image":
    """One round's slice, at the place and in the field of view of the one that is ``shown``."""
    from PIL import Image, ImageDraw, ImageFont

    axis = _AXIS[plane]
    density = shown.planes[0].astype(np.float64) ** 2 * (shown.planes[1] > 127 if shown.planes[1].any() else 1)
    densest = int(np.argmax(density.sum(axis=tuple(other for other in range(3) if other != axis))))
    place_A = shown.origin_A[axis] + (densest + 0.5) * shown.voxel_A
    index = round((place_A - volume.origin_A[axis]) / volume.voxel_A - 0.5)
    at = min(max(index, 0), volume.planes.shape[1] - 1)
    grey, inside = (np.take(part, at, axis)[::-1] for part in volume.planes)
    scale = EDGE_PX / (shown.planes.shape[1] * shown.voxel_A)
    size = max(2, round(len(grey) * volume.voxel_A * scale))
    up, across = (other for other in range(3) if other != axis)
    left = round((volume.origin_A[across] - shown.origin_A[across]) * scale)
    top = EDGE_PX - size - round((volume.origin_A[up] - shown.origin_A[up]) * scale)
    drawn = _outlined(_resized(grey, size), _resized(inside, size))
    frame = Image.new("RGB", (EDGE_PX, EDGE_PX + TITLE_PX), (17, 17, 17))
    frame.paste(Image.fromarray(drawn), (left, top + TITLE_PX))
    drawing = ImageDraw.Draw(frame)
    drawing.rectangle((0, 0, EDGE_PX, TITLE_PX), fill=(255, 255, 255))
    words = f"{volume.title}   {plane}"
    drawing.text((8, TITLE_PX // 2), words, fill=(20, 20, 20), font=ImageFont.load_default(14), anchor="lm")
    return frame


def _resized(plane: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    from PIL import Image

    return np.asarray(Image.fromarray(plane).resize((size, size), Image.Resampling.BICUBIC))


def _outlined(grey: NDArray[np.uint8], inside: NDArray[np.uint8]) -> NDArray[np.uint8]:
    from scipy.ndimage import binary_erosion

    within = inside > 127
    picture = np.repeat(grey[..., None], 3, axis=2)
    picture[within & ~binary_erosion(within, border_value=1)] = _OUTLINE
    return picture


def _write_gif(frames: Sequence["Image.Image"], path: Path) -> None:
    lasts = [round(1000 * SECONDS_A_ROUND)] * (len(frames) - 1) + [round(1000 * LAST_S)]
    first, *others = (frame.quantize(128) for frame in frames)
    first.save(path, format="GIF", save_all=True, append_images=others, duration=lasts, loop=0)


def _write_mp4(frames: Iterable["Image.Image"], path: Path) -> None:
    every = [np.asarray(frame) for frame in frames]
    every += [every[-1]] * round(LAST_S / SECONDS_A_ROUND - 1)
    options: dict[str, Any] = {"plugin": "FFMPEG", "fps": 1 / SECONDS_A_ROUND, "macro_block_size": 2}
    try:
        from imageio.v3 import imwrite

        content = imwrite("<bytes>", every, extension=".mp4", **options)
    except ImportError as error:
        raise InputError("MP4 needs ffmpeg: pip install 'refine_hooks[movie]'; a .gif needs nothing more") from error
    path.write_bytes(content or b"")
