"""The process that opens HDF5 files for `refine_hooks.files.hdf`: libhdf5 crashes, hangs and takes memory on damaged files.

A program of its own, which imports nothing of this package. Each line of its input is a request in JSON (``path``, ``voxels``);
each answer is a line in JSON, then the voxels as 32-bit floats where they were asked for. What a damaged file makes of this
process ends here: its memory and its time of the processor are limited, it leaves no core file, and it follows no link.
"""

import json
import os
import resource
import select
import signal
import stat
import sys
from typing import Any

import numpy as np

try:
    import h5py

    UNUSABLE = ""
except Exception as error:  # one that was built for another NumPy raises what it likes
    UNUSABLE = f"is an HDF5 file, and h5py cannot be imported ({error}); install it anew"

_IDLE_S = 60.0
_HEADER_CPU_S = 10.0
_SLOWEST_BYTES_PER_S = 2e7
_SPARE_BYTES = 1 << 30
_MOST_DEFLATED = 1032  # to one: no stream of deflate holds more
_LONGEST_EDGE_PX = 65536
_FILTERS = {1: "deflate", 2: "shuffle", 3: "fletcher32"}
_GROUP = ("MDF", "images", "0")
_SLAB_VALUES = 1 << 22


class NotReadyError(Exception):
    """The file is torn, or is being written."""


class UnfitError(Exception):
    """The file is whole and cannot be used."""


def limit(cpu_s: float, memory_bytes: int) -> None:
    """End this process when it has used so much more time of the processor; refuse it more memory than this."""
    signal.setitimer(signal.ITIMER_PROF, cpu_s)
    with open("/proc/self/statm", encoding="ascii") as stream:
        used = int(stream.read().split()[0]) * resource.getpagesize()
    most = resource.getrlimit(resource.RLIMIT_AS)[1]
    wanted = used + memory_bytes
    resource.setrlimit(resource.RLIMIT_AS, (wanted if most == resource.RLIM_INFINITY else min(wanted, most), most))


def inside(group: Any, name: str) -> Any:
    """What a group itself holds under a name; links may lead out of the file.

    Raises:
        NotReadyError: nothing.
        UnfitError: a link.
    """
    link = group.get(name, getlink=True)
    if link is None:
        raise NotReadyError("has no /MDF/images/0/image (yet); it is being written, or not EMAN2's")
    if not isinstance(link, h5py.HardLink):
        raise UnfitError(f"{name} is a link to elsewhere, which is not followed")
    return group[name]


def number(group: Any, name: str, absent: float) -> float:
    """The first value of an attribute; ``absent`` where there is none, or no finite number."""
    if name not in group.attrs:
        return absent
    attribute = group.attrs.get_id(name)
    if attribute.dtype.kind not in "iuf" or int(np.prod(attribute.shape, dtype=object)) not in range(1, 17):
        return absent
    value = float(np.asarray(group.attrs[name]).reshape(-1)[0])
    return value if np.isfinite(value) else absent


def dataset_of(file: Any, size: int) -> tuple[Any, Any]:
    """The group of the first image and its voxels, none of them read, which the file itself must be able to hold.

    Raises:
        NotReadyError: not there yet.
        UnfitError: not what EMAN2 writes.
    """
    group = file
    for name in _GROUP:
        group = inside(group, name)
        if not isinstance(group, h5py.Group):
            raise UnfitError(f"{name} is no group")
    image = inside(group, "image")
    if not isinstance(image, h5py.Dataset) or image.dtype.kind not in "iuf" or image.dtype.itemsize > 8:
        raise UnfitError("its image holds no numbers")
    if image.is_virtual or image.external:
        raise UnfitError("its voxels lie in another file, which is not opened")
    creation = image.id.get_create_plist()
    filters = [creation.get_filter(place)[0] for place in range(creation.get_nfilters())]
    if not set(filters) <= set(_FILTERS):
        raise UnfitError(
            f"its voxels are packed by filters ({filters}) of which only {', '.join(_FILTERS.values())} are read"
        )
    if not image.shape or max(image.shape) > _LONGEST_EDGE_PX or min(image.shape) < 1:
        raise UnfitError(f"its image is of shape {image.shape}")
    claimed = int(np.prod(image.shape, dtype=object)) * image.dtype.itemsize
    if claimed > size * (_MOST_DEFLATED if 1 in filters else 1):
        raise NotReadyError(f"claims {claimed} bytes of voxels, which its {size} bytes cannot hold")
    if image.id.get_storage_size() == 0:
        raise NotReadyError("holds no voxels yet")
    return group, image


def rendered(group: Any, stored: Any) -> Any:
    """A function that turns stored values into float32: compressed maps hold whole numbers 0 .. 2^bits - 1."""
    bits = int(number(group, "EMAN.stored_renderbits", 0))
    if not 0 < bits <= 64 or stored.dtype.kind not in "iu":
        return lambda part: part.astype("<f4")
    low, high = (number(group, f"EMAN.stored_render{end}", 0.0) for end in ("min", "max"))
    return lambda part: (part * ((high - low) / (2.0**bits - 1)) + low).astype("<f4")


def answer(path: str, voxels: bool) -> None:
    """Open one file and write the answer."""
    if UNUSABLE:
        raise UnfitError(UNUSABLE)
    limit(_HEADER_CPU_S, _SPARE_BYTES)
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise UnfitError("is no plain file")
        with h5py.File(f"/proc/self/fd/{handle}", "r", locking=False) as file:
            group, image = dataset_of(file, status.st_size)
            said = {"shape": image.shape, "voxel_size_A": number(group, "EMAN.apix_x", 1.0)}
            said["origin_A"] = [number(group, f"EMAN.origin_{axis}", 0.0) for axis in "xyz"]
            if not voxels or len(image.shape) != 3 or len(set(image.shape)) != 1:
                say({**said, "values": 0})
                return
            limit(_HEADER_CPU_S + image.nbytes / _SLOWEST_BYTES_PER_S, _SPARE_BYTES + image.nbytes)
            stored = image[()].reshape(-1)
            render = rendered(group, stored)
            say({**said, "values": stored.size})
            try:
                for start in range(0, stored.size, _SLAB_VALUES):
                    sys.stdout.buffer.write(render(stored[start : start + _SLAB_VALUES]).data)
            except BaseException:
                os._exit(1)  # what is said now would be taken for voxels
    finally:
        os.close(handle)


def say(said: dict[str, Any]) -> None:
    """One line of an answer."""
    sys.stdout.buffer.write(json.dumps(said).encode() + b"\n")


def main() -> None:
    """Answer until nothing more is asked: the input ends, or nobody asks for a minute."""
    for interruption in (signal.SIGINT, signal.SIGTERM):  # whoever asks decides what one means
        signal.signal(interruption, signal.SIG_IGN)
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    np.seterr(all="ignore")
    while select.select([0], [], [], _IDLE_S)[0] and (line := sys.stdin.buffer.readline()):
        asked = json.loads(line)
        try:
            answer(asked["path"], asked["voxels"])
        except UnfitError as error:
            say({"unfit": str(error)})
        except NotReadyError as error:
            say({"not_ready": str(error)})
        except Exception as error:
            said = str(error) or type(error).__name__
            say({"not_ready": f"cannot be read as HDF5 ({said[:300]}); it is being written, or torn"})
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
