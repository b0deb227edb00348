"""The directions from which the particles of a round are seen, counted from its (possibly huge) particle table."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from refine_hooks.errors import RefineHooksError
from refine_hooks.files.reading import open_plain
from refine_hooks.programs._reading import Memory

THETA_BINS, PHI_BINS = 18, 72
_WHOLE_BYTES = 64 << 20
_PIECES, _PIECE_BYTES = 256, 128 << 10
_HEADER_BYTES = 1 << 20


def views_in(path: Path, memory: Memory) -> NDArray[np.float64] | None:
    """Number of views per bin [theta 0..180, phi 0..360] of a ``*_data.star``.

    A table of more than 64 MB is sampled: 256 pieces, evenly spread; the counts are then those of the sample.
    None where the table is not there, not whole, or has no angles.
    """
    try:
        return memory.file(_counted, path)
    except (RefineHooksError, OSError, ValueError, IndexError):
        return None


def _counted(path: Path) -> NDArray[np.float64] | None:
    with open_plain(path) as stream:
        head = stream.read(_HEADER_BYTES)
        columns, start = _particle_columns(head)
        stream.seek(0, 2)
        size = stream.tell()
        pieces = [(start, size - start)] if size <= _WHOLE_BYTES else _spread(start, size)
        counts = np.zeros((THETA_BINS, PHI_BINS))
        for offset, length in pieces:
            stream.seek(offset)
            counts += _histogram(stream.read(length), columns, whole=len(pieces) == 1)
    return counts if counts.any() else None


def _spread(start: int, size: int) -> list[tuple[int, int]]:
    return [(int(o), _PIECE_BYTES) for o in np.linspace(start, size - _PIECE_BYTES, _PIECES)]


def _particle_columns(head: bytes) -> tuple[tuple[int, int, int], int]:
    """Columns of rot and tilt, how many there are, and where the first row starts.

    Raises:
        ValueError: no table of particles with angles.
    """
    block = max(head.find(b"\ndata_particles"), head.find(b"\ndata_images"), 0)
    position = head.index(b"\nloop_", block) + 1
    names: list[bytes] = []
    for line in head[position:].splitlines(keepends=True)[1:]:
        position_of_next = position
        if line.startswith(b"_"):
            names.append(line.split()[0])
        elif line.strip():
            break
        position = position_of_next
    rows = head.index(names[-1], block)
    return (names.index(b"_rlnAngleRot"), names.index(b"_rlnAngleTilt"), len(names)), head.index(b"\n", rows) + 1


def _histogram(piece: bytes, columns: tuple[int, int, int], whole: bool) -> NDArray[np.float64]:
    rot, tilt, count = columns
    rows = [line.split() for line in piece.splitlines()]
    kept = rows if whole else rows[1:-1]
    angles = np.array([(float(row[rot]), float(row[tilt])) for row in kept if len(row) >= count])
    if not angles.size:
        return np.zeros((THETA_BINS, PHI_BINS))
    theta = np.degrees(np.arccos(np.clip(np.cos(np.radians(angles[:, 1])), -1, 1)))
    flipped = np.sin(np.radians(angles[:, 1])) < 0
    phi = (angles[:, 0] + np.where(flipped, 180.0, 0.0)) % 360
    edges = np.linspace(0, 180, THETA_BINS + 1), np.linspace(0, 360, PHI_BINS + 1)
    return np.asarray(np.histogram2d(theta, phi, bins=edges)[0], np.float64)
