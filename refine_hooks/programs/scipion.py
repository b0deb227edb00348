"""Scipion: a project's protocols run other programs, each in ``Runs/NNNNNN_Protocol/extra``; that folder is the program's own.

Which program it is says the protocol's name; its adapter does the rest, below a run that carries the protocol's name. What an
adapter saves of a protocol lies in a part of the spool of its own.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from refine_hooks.log.folder import Store, slug
from refine_hooks.model import FscCurve, HalfMaps, Origin, ProgramMask, Round, Stamp
from refine_hooks.particles import ParticlesJob
from refine_hooks.programs.adapter import Adapter
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


def _store(spool: Path, protocol: Protocol) -> Store:
    """A store whose spool is a part of ours; nothing else of it is used."""
    return Store(spool / "scipion" / slug(protocol.name))


def bells(directory: Path) -> Iterator[tuple[Path, bool]]:
    """``Runs`` for new protocols, and what the programs inside the present ones want to be looked at."""
    yield directory / "Runs", False
    for protocol in protocols(directory):
        yield from _of(protocol).bells(protocol.folder)


def capture(directory: Path, spool: Path) -> list[Path]:
    """Save what the programs inside the protocols are about to delete.

    Raises:
        StorageError: the spool cannot be written to.
    """
    saved: list[Path] = []
    for protocol in protocols(directory):
        saved += _of(protocol).capture(protocol.folder, _store(spool, protocol).spool)
    return saved


def rounds(directory: Path, settings: Settings, store: Store) -> Iterator[Round]:
    """The rounds of every protocol, in the order of the protocols."""
    for protocol in protocols(directory):
        inner_store = _store(store.spool, protocol)
        for inner in _of(protocol).rounds(protocol.folder, settings, inner_store):
            yield _outer(directory, protocol, inner)


def _outer(directory: Path, protocol: Protocol, inner: Round) -> Round:
    # RELION's files are called relion_it000... there, and a run is named after its files where they are not called run_...
    within = inner.key.run.removeprefix(protocol.folder.name).strip("/").removeprefix(protocol.program).strip("/")
    run = f"{protocol.name}/{within}" if within else protocol.name
    return replace(
        inner,
        key=inner.key.model_copy(update={"run": run}),
        stamp=_outer_stamp(directory, protocol, inner.stamp),
        inputs=Inputs(protocol, inner, getattr(inner.inputs, "origin", None)),
    )


def _outer_stamp(directory: Path, protocol: Protocol, stamp: Stamp) -> Stamp:
    """Names relative to the protocol's folder made relative to the project."""
    below = protocol.folder.relative_to(directory)
    inputs = tuple(file.model_copy(update={"name": str(below / file.name)}) for file in stamp.inputs)
    return stamp.model_copy(update={"inputs": inputs})


def half_maps(directory: Path, round_: Round, store: Store) -> HalfMaps | None:
    """As the program's adapter has them.

    Raises:
        RefineHooksError: they cannot be had; says why.
    """
    inputs: Inputs = round_.inputs
    inner_store = _store(store.spool, inputs.protocol)
    return _of(inputs.protocol).half_maps(inputs.protocol.folder, inputs.inner, inner_store)


def particles(directory: Path, round_: Round) -> ParticlesJob | None:
    """As the program's adapter has them.

    Raises:
        ParticlesError: they cannot be had; says why.
    """
    inputs: Inputs = round_.inputs
    return _of(inputs.protocol).particles(inputs.protocol.folder, inputs.inner)


def reported(directory: Path, round_: Round) -> list[FscCurve]:
    """As the program's adapter has them."""
    inputs: Inputs = round_.inputs
    return _of(inputs.protocol).reported(inputs.protocol.folder, inputs.inner)


def refinement_mask(directory: Path, round_: Round, halves: HalfMaps) -> ProgramMask | None:
    """As the program's adapter has it."""
    inputs: Inputs = round_.inputs
    return _of(inputs.protocol).refinement_mask(inputs.protocol.folder, inputs.inner, halves)


def further_masks(directory: Path, round_: Round, halves: HalfMaps) -> dict[str, ProgramMask]:
    """As the program's adapter has them."""
    inputs: Inputs = round_.inputs
    return _of(inputs.protocol).further_masks(inputs.protocol.folder, inputs.inner, halves)


def angular_distribution(directory: Path, round_: Round) -> NDArray[np.float64] | None:
    """As the program's adapter has it."""
    inputs: Inputs = round_.inputs
    return _of(inputs.protocol).angular_distribution(inputs.protocol.folder, inputs.inner)


def discard(round_: Round, spool: Path) -> None:
    """Remove what the program's adapter saved of this round."""
    inputs: Inputs = round_.inputs
    _of(inputs.protocol).discard(inputs.inner, _store(spool, inputs.protocol).spool)
