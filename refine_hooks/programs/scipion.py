"""Scipion: a project's protocols run other programs, each in ``Runs/NNNNNN_Protocol/extra``; that folder is the program's own.

Which program it is says the protocol's name; its adapter does the rest, below a run that carries the protocol's name. What an
adapter saves of a protocol lies in a part of the spool of its own.
"""

import os
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from refine_hooks.files.names import told
from refine_hooks.log.checks import Duplicates
from refine_hooks.log.folder import component
from refine_hooks.model import Fingerprint, FscCurve, HalfMaps, Origin, ProgramMask, Round
from refine_hooks.particles import ParticlesJob
from refine_hooks.programs._saving import make_folder
from refine_hooks.programs.adapter import Adapter, Program, Project
from refine_hooks.settings import Settings

_PROTOCOL = re.compile(r"\d{6}_(?P<name>\w+)")
_PROGRAMS = {
    "relion": "relion",
    "cryosparc": "cryosparc",
    "eman": "eman2",
    "sphire": "sphire",
    "sparx": "sphire",
    "cryodrgn": "cryodrgn",
    "dynamo": "dynamo",
    "emclarity": "emclarity",
    "stopgap": "stopgap",
}
"""What a protocol's name must hold -> the adapter of the program that it runs."""
_NO_MAPS = re.compile(r"2d|import|extract|pick|boxing|ctf|motion|movie|mask|export", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Protocol:
    """One protocol whose program is known: its folder in ``Runs``, and the folder that is the program's."""

    name: str
    program: str
    folder: Path


@dataclass(frozen=True, slots=True)
class Inputs:
    """A round of the program inside a protocol; ``origin`` is repeated for those who only look at it."""

    protocol: Protocol
    inner: Round
    origin: Origin | None

    @property
    def starting(self) -> bool:
        """As of the program's round."""
        return self.inner.starting


def recognises(directory: Path) -> bool:
    """Whether a directory is a Scipion project: ``project.sqlite`` beside ``Runs``."""
    return (directory / "project.sqlite").is_file() and (directory / "Runs").is_dir()


def why(directory: Path) -> str:
    """Which protocols would be looked into."""
    if not recognises(directory):
        return "no project.sqlite beside a folder Runs"
    found = [protocol.name for protocol in protocols(directory)]
    return f"project.sqlite, and protocols of known programs: {', '.join(found) or 'none yet'}"


def protocols(directory: Path) -> list[Protocol]:
    """The protocols that run a program that makes maps and is known here, by their numbers; those with nothing yet left out."""
    try:
        with os.scandir(directory / "Runs") as entries:
            names = sorted(entry.name for entry in entries if _PROTOCOL.fullmatch(entry.name))
    except OSError:
        return []
    found = (_protocol(directory / "Runs" / name) for name in names)
    return [protocol for protocol in found if protocol is not None and _of(protocol).recognises(protocol.folder)]


def _protocol(folder: Path) -> Protocol | None:
    match = _PROTOCOL.fullmatch(folder.name)
    kind = match["name"].lower() if match else ""
    program = next((adapter for word, adapter in _PROGRAMS.items() if word in kind), None)
    if program is None or _NO_MAPS.search(kind) or not (folder / "extra").is_dir():
        return None
    return Protocol(folder.name, program, folder / "extra")


def _of(protocol: Protocol) -> Adapter:
    from refine_hooks.programs import adapter_called

    return adapter_called(protocol.program)


class ScipionProject(Project):
    """A Scipion project: one opened project for each protocol."""

    captures = True
    keeps_particles = True

    def __init__(self, directory: Path, settings: Settings, spool: Path) -> None:
        super().__init__(directory, settings, spool)
        self._lock = threading.Lock()
        self._inside: dict[str, Project] = {}
        self._outer: dict[int, Round] = {}

    def _opened(self, protocol: Protocol) -> Project:
        """The project inside a protocol, opened once; what it saves lies in a part of the spool of its own."""
        with self._lock:
            if protocol.name not in self._inside:
                spool = self.spool / "scipion" / component(protocol.name) / "spool"
                self._inside[protocol.name] = _of(protocol).open(protocol.folder, self.settings, spool)
            return self._inside[protocol.name]

    def _inner(self, round_: Round) -> tuple[Project, Round]:
        inputs: Inputs = round_.inputs
        return self._opened(inputs.protocol), inputs.inner

    def watched_folders(self) -> Iterator[tuple[Path, bool]]:
        """``Runs`` for new protocols, and what the programs inside the present ones want to be looked at."""
        yield self.directory / "Runs", False
        for protocol in protocols(self.directory):
            yield from self._opened(protocol).watched_folders()

    def folders_with_maps(self) -> Iterator[Path]:
        """Those of the programs inside the protocols."""
        for protocol in protocols(self.directory):
            yield from self._opened(protocol).folders_with_maps()

    def why_unused(self, path: Path) -> str | None:
        """As the adapter of the program says whose protocol it lies in."""
        inside = [each for each in protocols(self.directory) if path.is_relative_to(each.folder)]
        return self._opened(inside[0]).why_unused(path) if inside else super().why_unused(path)

    def capture(self) -> list[Path]:
        """Save what the programs inside the protocols are about to delete.

        Raises:
            StorageError: the spool cannot be written to.
        """
        saved = []
        for protocol in protocols(self.directory):
            opened = self._opened(protocol)
            if opened.captures:
                make_folder(opened.spool.parent, self.spool)
                saved += opened.capture()
        return saved

    def rounds(self) -> Iterator[Round]:
        """The rounds of every protocol, in the order of the protocols."""
        before, now = self._outer, {}
        for protocol in protocols(self.directory):
            for inner in self._opened(protocol).rounds():
                known = before.get(inner.serial) or _outer(self.directory, protocol, inner)
                now[inner.serial] = known
                yield known
        self._outer = now

    def half_maps(self, round_: Round) -> HalfMaps | None:
        """As the program's adapter has them.

        Raises:
            RefineHooksError: they cannot be had; says why.
        """
        project, inner = self._inner(round_)
        return project.half_maps(inner)

    def names_particles(self, round_: Round) -> bool:
        """As the program's adapter says."""
        project, inner = self._inner(round_)
        return project.names_particles(inner)

    def particles(self, round_: Round) -> ParticlesJob | None:
        """As the program's adapter has them.

        Raises:
            ParticlesError: they cannot be had; says why.
        """
        project, inner = self._inner(round_)
        return project.particles(inner)

    def reported(self, round_: Round) -> list[FscCurve]:
        """As the program's adapter has them."""
        project, inner = self._inner(round_)
        return project.reported(inner)

    def masks(self, round_: Round, halves: HalfMaps) -> dict[str, ProgramMask]:
        """As the program's adapter has them."""
        project, inner = self._inner(round_)
        return project.masks(inner, halves)

    def duplicates(self, round_: Round) -> Duplicates | None:
        """As the program's adapter has them."""
        project, inner = self._inner(round_)
        return project.duplicates(inner)

    def viewing_directions(self, round_: Round) -> NDArray[np.float64] | None:
        """As the program's adapter has it."""
        project, inner = self._inner(round_)
        return project.viewing_directions(inner)

    def discard(self, round_: Round) -> None:
        """Remove what the program's adapter saved of this round."""
        project, inner = self._inner(round_)
        project.discard(inner)


ADAPTER = Program(recognises, why, ScipionProject)


def _outer(directory: Path, protocol: Protocol, inner: Round) -> Round:
    # RELION's files are called relion_it000... there, and a run is named after its files where they are not called run_...
    within = inner.key.run.removeprefix(protocol.folder.name).strip("/").removeprefix(protocol.program).strip("/")
    run = f"{protocol.name}/{within}" if within else protocol.name
    return replace(
        inner,
        key=inner.key.model_copy(update={"run": run}),
        fingerprint=_outer_fingerprint(directory, protocol, inner.fingerprint),
        inputs=Inputs(protocol, inner, None if inner.origin == "unknown" else inner.origin),
    )


def _outer_fingerprint(directory: Path, protocol: Protocol, fingerprint: Fingerprint) -> Fingerprint:
    """Names relative to the protocol's folder made relative to the project."""
    below = protocol.folder.relative_to(directory)
    inputs = tuple(file.model_copy(update={"name": told(str(below / file.path))}) for file in fingerprint.inputs)
    return fingerprint.model_copy(update={"inputs": inputs})
