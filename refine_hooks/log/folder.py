"""The folder named by ``--out``: where everything is written, under which name, and how much room is left.

Nothing outside this folder is ever written; names that come from a database or a STAR file cannot lead out of it.
"""

import os
import re
import shutil
import time
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from refine_hooks.errors import StorageError
from refine_hooks.files.atomic import beside
from refine_hooks.files.folders import make_below, make_named
from refine_hooks.files.mrc import Map, write_map
from refine_hooks.files.names import meant, told
from refine_hooks.model import Key

LOG_NAME = "rounds.jsonl"
OUT_NAME = "refine_hooks"  # in the project, where nothing else is named
_LONGEST = 100  # characters; names of files may have 255 bytes, and ours have endings
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_HALF_WRITTEN = re.compile(r"\..+\.(?:[0-9a-f]{8}|\d+)\.part")
OWN_FOLDERS = ("half_maps", "masks", "pictures", "sharpened", "local", "analysis", "records", "checkpoints", "spool")
_ABANDONED_AFTER_S = 3600.0  # longer than a hook in front of merge3d takes to save one dump


def path_of(folder: Path, text: str) -> Path:
    """The file that a path in a record means, whose log lies in ``folder``."""
    return folder / meant(text)


def index_path(log: Path) -> Path:
    """Where the summaries of a long log are kept; they may be deleted at any time."""
    return log.with_suffix(".index")


def slug(text: str) -> str:
    """``text`` as one component of a path: no slash, no blank, never hidden, never empty, never long."""
    return (_UNSAFE.sub("_", told(text)).strip("._") or "_")[:_LONGEST]


def component(text: str) -> str:
    """``text`` as one component of a path that belongs to it alone: what had to be changed in it is told by a suffix."""
    plain = slug(text)
    return plain if plain == text else f"{plain[: _LONGEST - 9]}-{zlib.crc32(os.fsencode(text)):08x}"


def _spelled(count: int) -> str:
    """Bytes for people."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


@dataclass(frozen=True, slots=True)
class Store:
    """The layout below ``out``; paths in records are relative to it.

    Attributes:
        min_free_bytes: nothing is written into the last of the disk.
        guard: asked before everything that is written; raises StorageError where this is not the folder that it was.
    """

    out: Path
    min_free_bytes: int = 0
    guard: Callable[[], None] = lambda: None

    @property
    def log(self) -> Path:
        """The log, one JSON object a line."""
        return self.out / LOG_NAME

    @property
    def report(self) -> Path:
        """The report, rewritten after every round."""
        return self.out / "report.html"

    @property
    def spool(self) -> Path:
        """Inputs saved from deletion, in folders that the adapter names."""
        return self.out / "spool"

    def half_map_paths(self, key: Key, label: str) -> tuple[Path, Path]:
        """Where the two half maps of a round belong."""
        stem = self._stem("half_maps", key, label)
        return stem.with_name(f"{stem.name}_half1.mrc"), stem.with_name(f"{stem.name}_half2.mrc")

    def mask_path(self, key: Key, label: str, name: str) -> Path:
        """Where a mask of a round belongs; the automask is plainly ``_mask``."""
        stem = self._stem("masks", key, label)
        return stem.with_name(f"{stem.name}_mask.mrc" if name == "automask" else f"{stem.name}_{slug(name)}_mask.mrc")

    def sharpened_path(self, key: Key, label: str) -> Path:
        """Where the sharpened map of a round belongs."""
        stem = self._stem("sharpened", key, label)
        return stem.with_name(f"{stem.name}_sharpened.mrc")

    def local_path(self, key: Key, label: str) -> Path:
        """Where the map of local resolutions of a round belongs."""
        stem = self._stem("local", key, label)
        return stem.with_name(f"{stem.name}_local.mrc")

    def analysis_path(self, key: Key, label: str) -> Path:
        """Where the further measurements belong that were made of a round after it was logged."""
        stem = self._stem("analysis", key, label)
        return stem.with_name(f"{stem.name}_analysis.json")

    def record_path(self, key: Key) -> Path:
        """Where the copy of a round's line belongs."""
        stem = self._stem("records", key, str(key.iteration))
        return stem.with_name(f"{stem.name}.json.gz")

    def picture_path(self, key: Key, label: str, what: str) -> Path:
        """Where a picture of a round belongs; ``what`` ends with the file's kind, e.g. ``slices.png``."""
        stem = self._stem("pictures", key, label)
        return stem.with_name(f"{stem.name}_{slug(what)}")

    def checkpoint_path(self, key: Key) -> Path:
        """Where the partial sums of a round are kept while it is being reconstructed from its particles."""
        return self.out / "checkpoints" / f"{component(str(key))}.sums"

    def _stem(self, folder: str, key: Key, label: str) -> Path:
        run = [component(part) for part in key.run.split("/") if part]
        return self.out.joinpath(folder, *run, f"{slug(label)}_class{key.class_id}")

    def relative(self, path: Path) -> str:
        """``path`` as it is written into a record: relative to the log's folder where it lies below it or beside it."""
        return told(os.path.relpath(path, self.out))

    def path(self, text: str) -> Path:
        """The file that a record's path means."""
        return path_of(self.out, text)

    def make(self) -> None:
        """Make the folder itself. Only what begins to write does: later it is there, or nothing is written.

        Raises:
            StorageError: it cannot be made.
        """
        make_named(self.out)

    def prepare(self, path: Path, needed_bytes: int = 0) -> None:
        """Make the folders below the store that ``path`` lies in, never the store itself: a share may have gone from under it.

        Raises:
            StorageError: the store is gone, a link leads out of it, or there is no room.
        """
        self.guard()
        self.require_inside(path)
        self.require_room(needed_bytes)
        try:
            make_below(path.parent, self.out)
        except FileNotFoundError as error:
            raise StorageError(f"{self.out}: is gone, or out of reach; nothing is written until it is back") from error
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or error
            raise StorageError(
                f"{path.parent}: cannot be made a folder ({why}); free some space or name another folder with --out"
            ) from error

    def write_map(self, path: Path, volume: Map, label: str) -> None:
        """Write a map into the store, if there is room for it.

        Raises:
            StorageError: less than the kept reserve would stay free, or writing failed.
        """
        self.prepare(path, volume.voxels.nbytes)
        write_map(path, volume, label)

    def write_text(self, path: Path, text: str) -> None:
        """Write a text file whole or not at all.

        Raises:
            StorageError: a link leads out of the store, or writing failed.
        """
        self.write_parts(path, [text.encode("utf-8")])

    def write_parts(self, path: Path, parts: Iterable[bytes]) -> None:
        """Write a file whole or not at all, from pieces that need never be in memory together.

        Raises:
            StorageError: a link leads out of the store, or writing failed.
        """
        self.prepare(path)
        with beside(path) as temporary, temporary.open("wb") as stream:
            stream.writelines(parts)

    def require_inside(self, path: Path) -> None:
        """Refuse to write through a link that leads out of the store.

        Raises:
            StorageError: names the link's folder.
        """
        folder = path.parent
        try:
            inside = folder.resolve().is_relative_to(self.out.resolve())
        except (OSError, RuntimeError) as error:  # RuntimeError: links in a circle
            raise StorageError(f"{folder}: cannot be reached ({getattr(error, 'strerror', None) or error})") from error
        if not inside:
            raise StorageError(
                f"{folder}: leads out of {self.out} by a link, and nothing is written there; remove the link, or name the "
                "folder that it leads to with --out"
            )

    def require_own_folders(self) -> None:
        """`require_inside` for everything that will be written, before the work begins.

        Raises:
            StorageError: every link that leads out.
        """
        faults: list[str] = []
        for name in OWN_FOLDERS:
            try:
                self.require_inside(self.out / name / "file")
            except StorageError as error:
                faults += error.faults
        if faults:
            raise StorageError(*faults)

    def sweep(self) -> None:
        """Remove what killed watches left half written. Only for the holder of the lock: these are files of nobody else.

        Into the spool the hook inside the loop writes as well, so there only what is old is removed.
        """
        for name in (".", *OWN_FOLDERS):
            for folder, folders, files in os.walk(self.out / name):
                for part in [entry for entry in (*folders, *files) if _HALF_WRITTEN.fullmatch(entry)]:
                    _remove(Path(folder, part), only_if_old=name == "spool")
                if name == ".":
                    break

    def require_room(self, needed_bytes: int = 0) -> None:
        """Refuse to write into the last of the disk: the user's refinement needs it more.

        Raises:
            StorageError: less than the reserve would stay free.
        """
        there = self.out
        try:
            while not there.exists() and there != there.parent:
                there = there.parent
            free = shutil.disk_usage(there).free
        except OSError as error:
            raise StorageError(f"{self.out}: cannot be reached ({error.strerror})") from error
        if free < needed_bytes + self.min_free_bytes:
            raise StorageError(
                f"{self.out}: {_spelled(free)} are free, {_spelled(needed_bytes)} are needed and "
                f"{_spelled(self.min_free_bytes)} are kept for the refinement; free some space, or lower min_free_GB"
            )


def _remove(path: Path, only_if_old: bool) -> None:
    try:
        # Not the mtime: a copy has that of its source.
        if only_if_old and time.time() - path.lstat().st_ctime < _ABANDONED_AFTER_S:
            return
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    except OSError:
        return
