"""Readers of the smaller programs' files, and of files that were our own when we wrote them; see `hostile_target`."""

import atexit
import gzip
import io
import json
import os
import shutil
import tempfile
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np
from hostile_target import Reader, Target, called, made
from small_program import a_watch, half_maps_of, write_round

from refine_hooks import reanalyse
from refine_hooks.files.hdf import read_hdf_header, read_hdf_map
from refine_hooks.files.mrc import Map, write_map
from refine_hooks.log import copies, orders, stored
from refine_hooks.log.file import append, spelled
from refine_hooks.log.folder import Store, index_path
from refine_hooks.log.index import LogIndex
from refine_hooks.log.records import RoundRecord
from refine_hooks.model import Fingerprint, InputFile, Key, Round
from refine_hooks.notify.prometheus import state_of
from refine_hooks.particles import stacks
from refine_hooks.programs import _overwritten, cryodrgn, dynamo, emclarity, nextpyp, simple, sphire, warp
from refine_hooks.programs.pairs import Inputs, Pairs
from refine_hooks.programs.relion import spool
from refine_hooks.programs.relion.external import half_map_from_external
from refine_hooks.reconstruct import checkpoint
from refine_hooks.report import page
from refine_hooks.report.view import LogView
from refine_hooks.watch.loop import run


@cache
def _place(name: str) -> Path:
    """A folder for the files that have to lie around the one at hand."""
    folder = tempfile.TemporaryDirectory(prefix=name)
    atexit.register(folder.cleanup)
    return Path(folder.name)


# --- other programs ------------------------------------------------------------------------------------------------------


def _hdf_files() -> list[bytes]:
    from eman2_data import write_hdf

    voxels = half_maps_of(1)[0].voxels[:8, :8, :8]
    return [made(lambda path, bits=bits: write_hdf(path, voxels, bits=bits), ".hdf") for bits in (0, 12)]


def _hdf(path: Path) -> object:
    return read_hdf_header(path), read_hdf_map(path)


def _curves_of(adapter: Pairs) -> Reader:
    """An adapter's own curves, of a round that has the file at hand beside its half maps."""

    def reader(path: Path) -> object:
        inputs = Inputs(adapter.kinds[0], None, 24, 3.0, (path,))
        round_ = Round(Key(run="run", iteration=2, class_id=1), adapter.program, "it002", Fingerprint(), inputs=inputs)
        return adapter.reported(round_)

    return reader


def _curve(adapter: Pairs, ending: str, text: bytes) -> Target:
    return Target(_curves_of(adapter), ending, lambda: [text])


def _em() -> list[bytes]:
    head = bytearray(512)
    head[0], head[3] = 6, 5
    head[4:16] = np.array([4, 4, 4], "<i4").tobytes()
    return [bytes(head) + np.arange(64, dtype="<f4").tobytes()]


def _two_columns(count: int) -> bytes:
    return "".join(f"{n / 72:.5f} {1 - n / count:.4f}\n" for n in range(count)).encode()


_WARP = (
    b"\ndata_\n\nloop_\n_wrpResolution #1\n_wrpFSCUnmasked #2\n_wrpFSCMasked #3\n_wrpFSCRandomized #4\n_wrpFSCCorrected #5\n"
    b"0 1 1 1 1\n36 1 1 1 1\n18 0.9 0.9 0.2 0.8\n6 0.1 0.2 0.1 0.1\n\n"
)
_TRACKER = json.dumps(
    {
        "constants": {"pixel_size": 1.5, "nnxo": 64, "radius": 20, "symmetry": "c1", "mask3D": "mask.hdf"},
        "fuse_freq": 5,
        "fsc143": 20,
    }
).encode()


@cache
def _star_of_sums() -> Path:
    """A table of sums, two of its arrays beside it; the third is what is read."""
    folder = _place("sums")
    for name, scale in (("real", 1.0), ("imaginary", 0.1)):
        (folder / f"{name}.mrc").write_bytes(_array(scale))
    star = folder / "run_half1_class001_external_reconstruct.star"
    star.write_text(
        "\ndata_external_reconstruct_general\n\n_rlnExtReconsDataReal real.mrc\n_rlnExtReconsDataImag imaginary.mrc\n"
        "_rlnExtReconsWeight weight.mrc\n_rlnReferenceDimensionality 3\n_rlnOriginalImageSize 8\n_rlnPaddingFactor 1\n"
        "_rlnCurrentImageSize 8\n_rlnPixelSize 1.5\n\n"
    )
    return star


def _array(scale: float) -> bytes:
    import mrcfile

    values = scale * np.random.default_rng(1).uniform(0.5, 1.0, (8, 8, 5)).astype(np.float32)

    def write(path: Path) -> None:
        with mrcfile.new(path) as mrc:
            mrc.set_data(values)

    return made(write, ".mrc")


def _array_of_sums(path: Path) -> object:
    star = _star_of_sums()
    weight = star.with_name("weight.mrc")
    weight.unlink(missing_ok=True)
    weight.symlink_to(path)
    return half_map_from_external(star)


def _stack(path: Path) -> object:
    header = stacks.read_header(path)
    rows = SimpleNamespace(image=np.arange(1, header.nz + 1), stacks=(path,))
    plan = [stacks.Block(np.arange(header.nz), 0, header.nx)]
    return [float(np.sum(images, dtype=np.float64)) for images in stacks.read_images(rows, plan)]  # type: ignore[arg-type]


# --- what was our own ----------------------------------------------------------------------------------------------------


@cache
def _measured() -> tuple[Store, RoundRecord, bytes]:
    """A measured round, and what an audit keeps beside the log."""
    project = _place("measured")
    write_round(project, 1)
    w = a_watch(project)
    run(w, [0.0])
    shutil.rmtree(w.store.out / "pictures")  # so that the one at hand is the only one
    log = LogIndex(w.store.log)
    log.read()
    record = log.record(Key(run="run", iteration=1, class_id=1)).model_copy(update={"analysis": None})
    assert reanalyse._measured(w.store, record, w.settings) is not None
    return w.store, record, w.store.analysis_path(record.key, record.label).read_bytes()


def _instead_of(place: Callable[[Store, RoundRecord], Path], read: Callable[[Store, RoundRecord], object]) -> Reader:
    """A reader of a file in the store, which the file at hand takes the place of."""

    def reader(path: Path) -> object:
        store, record, _ = _measured()
        target = place(store, record)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        target.symlink_to(path)
        return read(store, record)

    return reader


def _follow(path: Path) -> object:
    log = LogView.of(path)
    log.index.refresh()
    log.judge.judge()
    keys = [summary.key for summary in log.index.summaries()]
    return list(log.details(keys)), log.rows(), log.head(), log.since(0), state_of(log.judge), log.index.failures()


def log_of_a_round() -> list[bytes]:
    return [_measured()[0].log.read_bytes()]


@cache
def _kept_of() -> tuple[LogIndex, bytes]:
    """A log of two rounds as it is read without its summaries, and the file that these are kept in."""
    log = _place("kept") / "rounds.jsonl"
    append(log, [_measured()[1], _measured()[1].model_copy(update={"key": Key(run="b", iteration=2, class_id=1)})])
    index = LogIndex(log)
    with mock.patch.object(stored, "WORTH_KEEPING", 1000):
        index.read()
    return index, index_path(log).read_bytes()


def _orders(path: Path) -> object:
    """What is asked of a watch, and what one says of itself: never read through a link."""
    raw = path.read_bytes() if path.is_file() else b""
    for name in (orders._ORDERS, orders._STANDING):
        (path.parent / name).write_bytes(raw)
    asked = orders.read_orders(path.parent, os.geteuid())
    return [] if asked == orders.Orders() else [asked, orders.read_standing(path.parent)]


def _summaries(path: Path) -> object:
    """The answers from a log whose summaries are these: never others than without them."""
    known, _ = _kept_of()
    place, answers = index_path(known.path), []
    last = known.summaries()[-1]
    repaired = path.with_name("repaired")
    repaired.write_bytes(_with_its_checksum(path.read_bytes()) if path.is_file() else b"")
    for kept in (path, repaired):
        for about in (last.key, None):
            place.unlink(missing_ok=True)
            place.symlink_to(kept)
            index = LogIndex(known.path, about)
            with mock.patch.object(stored, "WORTH_KEEPING", 1000):
                index.read()
            told = [(one, one.fingerprint, one.curves) for one in index.summaries()]
            answers.append(told if about is None else told[-1:])
    whole = [(one, one.fingerprint, one.curves) for one in known.summaries()]
    if answers[:2] != [whole[-1:], whole]:
        raise AssertionError("other answers than without the summaries")
    return answers


def _with_its_checksum(raw: bytes) -> bytes:
    """As one would write it who knows how it is checked."""
    first, _, body = raw.partition(b"\n")
    try:
        head = json.loads(first) | {"body": zlib.crc32(body)}
    except (ValueError, TypeError, RecursionError):
        return raw
    return json.dumps(head).encode() + b"\n" + body


def _copied(path: Path) -> object:
    """The rounds that a log lacks, from a copy of one of its lines."""
    store = Store(path.parent / "copies")
    place = store.record_path(_measured()[1].key)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.unlink(missing_ok=True)
    place.symlink_to(path)
    return list(copies.lacking(store, LogIndex(store.log)))


def _ledger() -> list[bytes]:
    files = [InputFile(name=name, size=1, mtime_ns=2).model_dump() for name in ("a.mrc", "b.mrc")]
    return [json.dumps({"iteration": 1, "discarded": False, "files": files}).encode()]


def _checkpoint(path: Path) -> object:
    return checkpoint.resume(path, "these", np.zeros((2, 2, 2), np.float32))


def _checkpoints() -> list[bytes]:
    sums: Any = np.ones((2, 2, 2), np.float32)
    return [made(lambda path: checkpoint.save(path, "these", 5, sums))]


def _pictures() -> list[bytes]:
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    words, stream = PngInfo(), io.BytesIO()
    words.add_text("Description", "slices", zip=True)
    Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8)).save(stream, "PNG", pnginfo=words)
    return [stream.getvalue()]


ELSEWHERE: dict[str, Target] = {
    "hdf": Target(_hdf, ".hdf", _hdf_files),
    "sphire tracker": Target(sphire._read_tracker, ".json", lambda: [_TRACKER, b"{}"]),
    "sphire curve": Target(
        lambda path: sphire.read_curve(path, 24), ".txt", lambda: [b"1.0\n0.9\n0.1\n", _two_columns(5)]
    ),
    "dynamo map": Target(lambda path: dynamo.ADAPTER.kinds[0].read(path, 1.5), ".em", _em),
    "dynamo curve": _curve(dynamo.ADAPTER, "x.fsc", b" ".join(b"%.2f" % (1 - n / 12) for n in range(12))),
    "emclarity curve": _curve(emclarity.ADAPTER, "fsc_GLD.txt", _two_columns(12)),
    "nextpyp curve": _curve(nextpyp.ADAPTER, "_fsc.txt", _two_columns(12)),
    "cryodrgn curve": _curve(
        cryodrgn.ADAPTER, "fsc-vals.txt", b"pixres \"no_mask\" 'tight'\n0.0 1.0 1.0\n0.2 0.5 0.6\n"
    ),
    "cryodrgn old curve": _curve(cryodrgn.ADAPTER, "fsc-vals.txt", b"0 0.0 1.0\n1 0.2 0.5\n"),
    "simple curve": _curve(simple.ADAPTER, "fsc.bin", np.array([3, 1.0, 0.5, 0.1], np.float32).tobytes()),
    "warp curve": _curve(warp.ADAPTER, "_fsc.star", _WARP),
    "relion arrays": Target(_array_of_sums, ".mrc", lambda: [_array(1.0)], fast=False),
    "particle stack": Target(
        _stack,
        ".mrcs",
        lambda: [made(lambda path: write_map(path, Map(np.ones((4, 4, 4), np.float32), 1.5), "seed"), ".mrcs")],
    ),
    "log, followed": Target(_follow, ".jsonl", log_of_a_round, fast=False),
    "summaries of a log": Target(_summaries, ".index", lambda: [_kept_of()[1]], fast=False),
    "copy of a line": Target(_copied, ".json.gz", lambda: [gzip.compress(spelled(_measured()[1]))], fast=False),
    "orders": Target(_orders, ".json", lambda: [b'{"stop": "7@here", "paused": true, "waiting": 3, "why": "room"}']),
    "kept pairs": Target(called("kept.json", _overwritten._read), ".json", _ledger),
    "discarded arrays": Target(called("discarded.json", spool._discarded), ".json", lambda: [b'{"a.star": [1, 2]}']),
    "checkpoint": Target(_checkpoint, ".sums", _checkpoints),
    "analysis": Target(
        _instead_of(lambda store, record: store.analysis_path(record.key, record.label), reanalyse._kept),
        ".json",
        lambda: [_measured()[2]],
        fast=False,
    ),
    "picture": Target(
        _instead_of(
            lambda store, record: store.picture_path(record.key, record.label, page.PICTURES[0]),
            lambda store, record: page.pictures(store, record.key, record.label, str),
        ),
        ".png",
        _pictures,
        fast=False,
    ),
}
