"""A refinement program that is as small as one can be, for tests of everything around it."""

import ctypes
import hashlib
import os
import traceback
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from heard import hear

from refine_hooks.files.mrc import Map, read_map, write_map
from refine_hooks.log.file import read_journal
from refine_hooks.log.folder import Store
from refine_hooks.model import Facts, HalfMaps, Key, Round, fingerprint_of
from refine_hooks.programs.adapter import Project
from refine_hooks.settings import Settings, load_settings
from refine_hooks.watch.config import Reconstruct, untold
from refine_hooks.watch.loop import Watch

BOX = 24


def half_maps_of(iteration: int) -> tuple[Map, Map]:
    rng = np.random.default_rng(iteration)
    z, y, x = np.indices((BOX,) * 3) - BOX // 2
    ball = np.exp(-((z / 3) ** 2 + (y / 4) ** 2 + (x / 6) ** 2)).astype(np.float32)
    texture = rng.normal(size=ball.shape).astype(np.float32)
    signal = ball * (1 + texture)
    halves = (Map(signal + 0.05 * rng.normal(size=ball.shape).astype(np.float32), 3.0) for _ in range(2))
    return tuple(halves)  # type: ignore[return-value]


def write_round(project: Path, iteration: int) -> None:
    for number, half in enumerate(half_maps_of(iteration), 1):
        write_map(project / f"it{iteration}_half{number}.mrc", half, "test")


def program(**changes: Callable[..., Any]) -> Any:
    """An adapter whose rounds are it<N>_half1.mrc and it<N>_half2.mrc; its half maps count as merged, so they are written."""

    def rounds(directory: Path, settings: object, store: Store) -> list[Round]:
        found = []
        for one in sorted(directory.glob("it*_half1.mrc")):
            two = one.with_name(one.name.replace("half1", "half2"))
            iteration = int(one.name[2 : one.name.index("_")])
            missing = () if two.exists() else (two.name,)
            key = Key(run="run", iteration=iteration, class_id=1)
            facts = Facts(voxel_size_A=3.0, sphere_radius_A=30.0, molecular_mass_kDa=20.0)
            found.append(
                Round(
                    key,
                    "test",
                    f"it{iteration}",
                    fingerprint_of(directory, [one, two]),
                    facts,
                    missing,
                    inputs=(one, two),
                )
            )
        return found

    def half_maps(directory: Path, round_: Round, store: Store) -> HalfMaps:
        one, two = (read_map(path) for path in round_.inputs)
        return HalfMaps(one, two, "merged", images=(10, 10))

    functions: dict[str, Callable[..., Any]] = {
        "rounds": rounds,
        "half_maps": half_maps,
        "watched_folders": lambda directory: [(directory, False)],
        "capture": lambda directory, spool: [],
        "particles": lambda directory, round_: None,
        "reported": lambda directory, round_: [],
        "masks": lambda directory, round_, halves: {},
        "viewing_directions": lambda directory, round_: None,
        "discard": lambda round_, spool: None,
    } | changes

    def opened(directory: Path, settings: Settings, spool: Path) -> Project:
        return _Small(directory, settings, spool, functions)

    return SimpleNamespace(recognises=lambda directory: True, why=lambda directory: "", open=opened, **functions)


class _Small(Project):
    def __init__(
        self, directory: Path, settings: Settings, spool: Path, functions: dict[str, Callable[..., Any]]
    ) -> None:
        super().__init__(directory, settings, spool)
        self.functions = functions
        self.keeps_particles = True

    def watched_folders(self) -> Any:
        return self.functions["watched_folders"](self.directory)

    def rounds(self) -> Any:
        return self.functions["rounds"](self.directory, self.settings, Store(self.spool.parent))

    def capture(self) -> Any:
        return self.functions["capture"](self.directory, self.spool)

    def half_maps(self, round_: Round) -> Any:
        return self.functions["half_maps"](self.directory, round_, Store(self.spool.parent))

    def reported(self, round_: Round) -> Any:
        return self.functions["reported"](self.directory, round_)

    def masks(self, round_: Round, halves: HalfMaps) -> Any:
        return self.functions["masks"](self.directory, round_, halves)

    def particles(self, round_: Round) -> Any:
        return self.functions["particles"](self.directory, round_)

    def viewing_directions(self, round_: Round) -> Any:
        return self.functions["viewing_directions"](self.directory, round_)

    def discard(self, round_: Round) -> Any:
        return self.functions["discard"](round_, self.spool)


def a_watch(
    project: Path,
    said: list[str] | None = None,
    overrides: dict[str, Any] | None = None,
    *,
    reconstruct: Reconstruct = "never",
    store: Store | None = None,
    inserting: Callable[[int, int], None] = untold,
    **changes: Callable[..., Any],
) -> Watch:
    settings = load_settings(
        overrides={"watch": {"settle_s": 0.0}, "analysis": {"local": "never"}, **(overrides or {})}
    )
    if said is not None:
        hear(said)
    return Watch.of(
        project,
        "test",
        program(**changes),
        settings,
        store or Store(project / "refine_hooks"),
        reconstruct,
        inserting=inserting,
    )


def lines_of(project: Path, kind: type) -> list[Any]:
    return [line for line in read_journal(project / "refine_hooks" / "rounds.jsonl").lines if isinstance(line, kind)]


def fingerprint(project: Path) -> dict[str, tuple[str, int]]:
    files = [p for p in project.rglob("*") if p.is_file() and "refine_hooks" not in p.parts]
    return {str(p): (hashlib.sha256(p.read_bytes()).hexdigest(), p.stat().st_mtime_ns) for p in files}


def without_root_rights(work: Callable[[], str]) -> str:
    """What ``work`` returns in a process that may read and write only what its user may, even where the tests run as root.

    Linux: the capabilities CAP_DAC_OVERRIDE (1) and CAP_DAC_READ_SEARCH (2) are given up in a child.
    """
    receive, send = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            header = (ctypes.c_uint32 * 2)(0x20080522, 0)
            data = (ctypes.c_uint32 * 6)()
            libc = ctypes.CDLL(None, use_errno=True)
            libc.capget(header, data)
            for index in (0, 1, 2):
                data[index] &= ~0b110
            answer = work() if libc.capset(header, data) == 0 else "rights cannot be given up"
        except BaseException:
            answer = traceback.format_exc()
        os.write(send, answer.encode())
        os._exit(0)
    os.close(send)
    with os.fdopen(receive) as stream:
        answer = stream.read()
    os.waitpid(child, 0)
    return answer
