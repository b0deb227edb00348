"""What kind of file system a folder lies on, and what may be read there."""

import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

_SHARED_FILE_SYSTEMS = {
    "nfs",
    "nfs4",
    "gpfs",
    "lustre",
    "cifs",
    "smb3",
    "smbfs",
    "beegfs",
    "ceph",
    "afs",
    "9p",
    "pvfs2",
    "orangefs",
    "glusterfs",
}


def file_system_type(path: Path, mounts: str | None = None) -> str:
    """Type of the file system that holds ``path``, as /proc/self/mountinfo names it; empty where that cannot be known.

    Args:
        path: any path, existing or not.
        mounts: text in the form of /proc/self/mountinfo, for systems that are described rather than there.
    """
    return _mounted(path, mounts)[0]


def locks_stay_here(path: Path, mounts: str | None = None) -> bool:
    """Whether another machine does not see the locks of this one: NFS that is mounted with nolock or local_lock."""
    kind, options = _mounted(path, mounts)
    return kind.startswith("nfs") and bool({"nolock", "local_lock=all", "local_lock=flock"} & set(options.split(",")))


def _mounted(path: Path, mounts: str | None) -> tuple[str, str]:
    """Type and options of the file system that holds ``path``; empty where they cannot be known."""
    if mounts is None:
        try:
            mounts = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return "", ""
    place, best, found = str(path.resolve()), "", ("", "")
    for line in mounts.splitlines():
        fields, _, rest = line.partition(" - ")
        point = fields.split()[4].encode().decode("unicode_escape") if len(fields.split()) > 4 else ""
        inside = place == point or place.startswith(point.rstrip("/") + "/")
        if point and inside and len(point) >= len(best):
            kind, *more = rest.split() or [""]
            best, found = point, (kind, more[-1] if more else "")
    return found


def events_arrive(path: Path, mounts: str | None = None) -> bool:
    """Whether the file system reports all changes below ``path``, those made on other machines included."""
    kind = file_system_type(path, mounts)
    return bool(kind) and kind not in _SHARED_FILE_SYSTEMS and not kind.startswith("fuse")


def unreadable(folders: Callable[[], Iterable[tuple[Path, bool]]]) -> list[Path]:
    """The folders to look at, and those right below the deep ones, that this user may not read.

    An adapter that cannot name its folders is told by the look itself.
    """
    found = []
    try:
        named = list(folders())
    except Exception:
        return []
    for folder, deep in named:
        below: list[Path] = []
        if deep:
            with suppress(OSError), os.scandir(folder) as entries:
                below = [Path(entry.path) for entry in entries if entry.is_dir()]
        found += [path for path in (folder, *below) if os.path.isdir(path) and not os.access(path, os.R_OK | os.X_OK)]
    return sorted(set(found))
