"""The rounds of a cisTEM project: the database's reconstructions joined with the dumps that were saved for them.

A reconstruction made by the refinement itself is ``package_<p>/<refinement>/<class>``; what Generate3D made later of the same
parameters is ``package_<p>/generate3d_<reconstruction>/<refinement>/<class>``. Dumps that the database does not know (yet) wait
for it, and are then measured with what their headers tell as ``package_unknown/<panel>``.
"""

import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from refine_hooks.errors import NotReadyError
from refine_hooks.model import Facts, Fingerprint, Former, Key, Origin, Reported, Round, fingerprint_of
from refine_hooks.programs._reading import Memory
from refine_hooks.programs._still import folder_state
from refine_hooks.programs.adapter import Project
from refine_hooks.programs.cistem import database, dumps, startup
from refine_hooks.programs.cistem.dumps import Attempt, header_of
from refine_hooks.programs.cistem.evidence import images_in_parameters
from refine_hooks.programs.cistem.match import GENERATE, OWN_PANELS, Match, matches, pending, volume_path
from refine_hooks.programs.cistem.tables import Content, Reconstruction, Refinement, Version
from refine_hooks.programs.names import written_ns
from refine_hooks.settings import WatchSettings

PROGRAM = "cistem"
RULE = "mean of the two shells around the first fall of Part_FSC below 0.143"
_THRESHOLD = 0.143
_ROUND_NUMBER = re.compile(r"\bround\s+(\d+)", re.I)
_LONGEST_WAIT_S = 0.5  # a commit of cisTEM takes less
_ALL_PERCENT = 99.99

ONE_REFERENCE = (
    "both halves were aligned to one reference: up to the alignment limit they agree beyond what the data say"
)
CUT = "the reconstruction ended at {:.2f} A: curves of the program that fall there are cut, not resolved"


@dataclass(frozen=True, slots=True)
class Sources:
    """Where everything of a round is; ``half_maps`` are those that Generate3D saved."""

    refinement_id: int
    class_id: int
    database: Path | None = None
    reconstruction_id: int | None = None
    attempt: Attempt | None = None
    superseded: tuple[Attempt, ...] = ()
    half_maps: tuple[Path, Path] | None = None

    @property
    def origin(self) -> Origin | None:
        """Where half maps will come from."""
        if self.attempt is not None and self.attempt.dumps:
            return "merged"
        return "found" if self.half_maps else None


@dataclass(slots=True)
class Finished:
    """The rounds that followed, at the last look, from one state of the database and from what was discarded alone."""

    version: Version | None = None
    rounds: dict[int, tuple[Match, Round]] = field(default_factory=dict)


def rounds(project: Project, finished: Finished) -> Iterator[Round]:
    """Every round and class, oldest first; see `refine_hooks.programs.adapter.Project.rounds`.

    Raises:
        NotReadyError: the database cannot be read now, and nothing is known without it.
        ProjectError: there is no database any more.
    """
    directory, settings, spool, memory = project.directory, project.settings, project.spool, project.memory
    path = database.find_database(directory)
    timeout_s = settings.watch.database_lock_timeout_s
    try:
        content = database.content(path, memory, min(_LONGEST_WAIT_S, timeout_s), timeout_s)
    except NotReadyError:
        waiting = [match for match in pending(dumps.attempts(directory, spool, memory)) if match.attempt]
        if not waiting or database.left_behind(path, timeout_s):
            raise
        for match in waiting:
            yield replace(
                _unknown(project, match, settings.watch, None),
                missing=(f"{path.name}, which is being written",),
                fault=None,
            )
        return
    # After the database: dumps that come meanwhile only wait, while rows without their dumps would be measured without.
    attempts = dumps.attempts(directory, spool, memory)
    arrivals = startup.arrivals(spool, memory)

    def make() -> Iterator[Round]:
        every = matches(content, attempts, directory)
        known = [match for match in every if match.reconstruction is not None]
        yield from _entered(project, path, content, known, finished)
        for match in every:
            if match.reconstruction is None and match.attempt is not None:
                yield _unknown(project, match, settings.watch, content)
        for attempt in arrivals:
            yield _ab_initio(attempt, content)

    def seen() -> tuple[object, ...]:
        return content.version, attempts, arrivals, folder_state(directory / "Assets" / "Volumes")

    yield from project.still.rounds("all", seen, make, lambda round_: round_.inputs.half_maps or ())


def _entered(
    project: Project, path: Path, content: Content, entered: list[Match], finished: Finished
) -> Iterator[Round]:
    """The rounds that the database knows. Those that follow from it and from what was discarded alone come from memory.

    So a round that is awaited costs what it costs itself, however many lie behind it.
    """
    known = finished.rounds if finished.version == content.version else {}
    finished.version, finished.rounds = content.version, {}
    for match in entered:
        assert match.reconstruction is not None
        number, attempt = match.reconstruction.id, match.attempt
        of_files = match.generated or (attempt is not None and (attempt.dumps or not attempt.discarded))
        if of_files:
            yield _known(project, path, content, match)
            continue
        remembered = known.get(number)
        if remembered is None or remembered[0] != match:
            remembered = match, _known(project, path, content, match)
        finished.rounds[number] = remembered
        yield remembered[1]


def _known(project: Project, path: Path, content: Content, match: Match) -> Round:
    """A reconstruction that the database knows."""
    directory, memory = project.directory, project.memory
    reconstruction, attempt = match.reconstruction, match.attempt
    assert reconstruction is not None
    refinement = content.refinements[reconstruction.refinement_id]
    run, label = f"package_{refinement.package_id}", refinement.name
    if match.generated:
        run, label = f"{run}/generate3d_{reconstruction.id}", f"Generate3D {match.generated} of {refinement.name}"
    found = _saved_half_maps(volume_path(content, reconstruction, directory)) if match.generated else None
    expected = _expected_images(directory, path, memory, refinement, attempt) if attempt else None
    faults = known_faults(attempt, expected, refinement) if attempt and not attempt.discarded else []
    notes = _notes(refinement, reconstruction, attempt)
    if faults and found:
        # Whole half maps under a sphere are better than dumps of which some were missed.
        notes, attempt, faults = (*notes, f"its dumps cannot be used: {'; '.join(faults)}"), None, []
    facts = _facts(content, refinement, reconstruction, attempt, notes, own=not match.generated)
    if facts.particles == refinement.particles and len(refinement.details) > 1:
        used = database.images_used(path, memory, refinement.id, reconstruction.class_id, refinement.run_at)
        facts = replace(facts, particles=sum(used) if used else None)
    given_A = project.settings.program.voxel_size_A
    facts = replace(facts, voxel_size_A=given_A or facts.voxel_size_A)
    revision = f"reconstruction {reconstruction.id}" + (f", voxel size {given_A:g} A" if given_A else "")
    return Round(
        key=Key(run=run, iteration=refinement.id, class_id=reconstruction.class_id),
        program=PROGRAM,
        label=label,
        fingerprint=_fingerprint(directory, attempt, found, revision),
        facts=facts,
        fault="; ".join(faults) or None,
        complete=attempt is None or bool(attempt.discarded) or attempt.sealed or dumps.images(attempt) == expected,
        inputs=Sources(
            refinement.id, reconstruction.class_id, path, reconstruction.id, attempt, match.superseded, found
        ),
        formerly=_unnamed(attempt, refinement) if attempt else _unnamed_and_gone(directory, match, refinement),
    )


def _unknown(project: Project, match: Match, watch: WatchSettings, content: Content | None) -> Round:
    """Dumps that the database does not know, or not yet."""
    directory = project.directory
    attempt = match.attempt
    assert attempt is not None
    entry = "Generate3D of refinement" if attempt.panel == GENERATE else "refinement"
    refinement = content.refinements.get(attempt.refinement_id) if content else None
    run = (
        f"package_{refinement.package_id}/generate3d"
        if refinement and attempt.panel == GENERATE
        else f"package_unknown/{attempt.panel}"
    )
    faults = [] if attempt.discarded else _unproven(directory, project.memory, attempt)
    missing: tuple[str, ...] = ()
    # Times far in the future are those of a clock that has been put back, and nothing to wait for.
    if abs(time.time() - attempt.newest_ns / 1e9) < watch.metadata_wait_s:
        missing = (*faults, f"the database entry of {entry} {attempt.refinement_id}")
    elif faults and dumps.still_in_scratch(directory, attempt):
        missing = tuple(faults)  # a slow job may still be at work
    note = "the database has no entry of this round: mask radius, limits and the program's own curves are not known"
    return Round(
        key=Key(run=run, iteration=attempt.refinement_id, class_id=attempt.class_id),
        program=PROGRAM,
        label=f"{attempt.panel} #{attempt.refinement_id}",
        fingerprint=Fingerprint(inputs=attempt.inputs()),
        facts=_facts_of_headers(attempt, content, (ONE_REFERENCE, note)),
        missing=missing,
        fault=None if missing else "; ".join(faults) or None,
        complete=not missing and not faults,
        inputs=Sources(attempt.refinement_id, attempt.class_id, attempt=attempt, superseded=match.superseded),
    )


def _unnamed(attempt: Attempt, refinement: Refinement) -> tuple[Former, ...]:
    """The keys that dumps may have been measured under while the database had no entry of them."""
    runs = [f"package_unknown/{attempt.panel}"]
    if attempt.panel == GENERATE:
        runs.append(f"package_{refinement.package_id}/generate3d")
    return tuple(Former(Key(run=run, iteration=attempt.refinement_id, class_id=attempt.class_id)) for run in runs)


def _unnamed_and_gone(directory: Path, match: Match, refinement: Refinement) -> tuple[Former, ...]:
    """The keys of a round whose dumps are gone: they were younger than the parameter file that they were made from.

    An aborted attempt at it had an older file of that name. A Generate3D cannot be told from another one without its dumps.
    """
    if match.generated or match.reconstruction is None:
        return ()
    found = []
    for panel in OWN_PANELS:
        attempt = Attempt(panel, refinement.id, match.reconstruction.class_id, 0, directory)
        since_ns = written_ns(dumps.parameter_file(directory, attempt))
        if since_ns is not None:
            found += [Former(former.key, since_ns) for former in _unnamed(attempt, refinement)]
    return tuple(found)


def _unproven(directory: Path, memory: Memory, attempt: Attempt) -> list[str]:
    """Why these dumps may not be all; only the parameter file, or merge3d's start, tells that none is missing at the end."""
    faults = dumps.faults(attempt)
    if faults or attempt.sealed:
        return faults
    expected = _counted(dumps.parameter_file(directory, attempt), memory)
    if dumps.images(attempt) == expected:
        return []
    if expected is None:
        return [
            "the database has no entry of it and there is no parameter file, so nothing tells whether chunks are missing"
        ]
    return [_short(dumps.images(attempt), expected)]


def _ab_initio(attempt: Attempt, content: Content) -> Round:
    """One arrival of ab-initio's dumps."""
    faults = [] if attempt.discarded else dumps.faults(attempt)
    return Round(
        key=Key(run="startup", iteration=attempt.refinement_id, class_id=attempt.class_id),
        program=PROGRAM,
        label=f"Ab-initio round {attempt.refinement_id}",
        fingerprint=Fingerprint(inputs=attempt.inputs()),
        facts=_facts_of_headers(attempt, content, (ONE_REFERENCE, "ab-initio rounds are numbered by their arrival")),
        fault="; ".join(faults) or None,
        complete=not faults,
        inputs=Sources(attempt.refinement_id, attempt.class_id, attempt=attempt),
    )


def known_faults(attempt: Attempt, expected: tuple[int, int] | None, refinement: Refinement) -> list[str]:
    """Why half maps cannot be made from these dumps of a finished round.

    Args:
        attempt: the dumps.
        expected: images of the odd and the even half that the round used, where that is known.
        refinement: says whether all particles were used at all.
    """
    faults = dumps.faults(attempt)
    counted = dumps.images(attempt)
    if faults or expected is None or counted == expected:
        return faults
    fewer = sum(counted) < sum(expected)
    chosen = refinement.percent_used < _ALL_PERCENT or (attempt.panel == GENERATE and attempt.sealed)
    return [] if fewer and chosen else [_short(counted, expected)]


def _short(counted: tuple[int, int], expected: tuple[int, int]) -> str:
    there, used = f"{counted[0]} + {counted[1]}", f"{expected[0]} + {expected[1]}"
    if sum(counted) >= sum(expected):
        return f"the dumps hold {there} images, where this round used {used}: they are another round's"
    return (
        f"the dumps hold {there} of the {used} images that the round used: chunks were missed, because the watch began "
        "too late or saw them too late"
    )


def _expected_images(
    directory: Path, path: Path, memory: Memory, refinement: Refinement, attempt: Attempt
) -> tuple[int, int] | None:
    if attempt.discarded:
        return None
    counted = _counted(dumps.parameter_file(directory, attempt), memory)
    return counted or database.images_used(path, memory, refinement.id, attempt.class_id, refinement.run_at)


def _counted(path: Path, memory: Memory) -> tuple[int, int] | None:
    try:
        return memory.file(images_in_parameters, path)
    except NotReadyError:
        return None


def _saved_half_maps(volume: Path | None) -> tuple[Path, Path] | None:
    if volume is None:
        return None
    one, two = (volume.with_name(f"{volume.stem}_map{half}.mrc") for half in (1, 2))
    return (one, two) if one.is_file() and two.is_file() else None


def _fingerprint(directory: Path, attempt: Attempt | None, found: Iterable[Path] | None, revision: str) -> Fingerprint:
    if attempt is not None:
        return Fingerprint(inputs=attempt.inputs(), revision=revision)
    return fingerprint_of(directory, found or (), revision)


def _facts(
    content: Content,
    refinement: Refinement,
    reconstruction: Reconstruction,
    attempt: Attempt | None,
    notes: tuple[str, ...],
    own: bool,
) -> Facts:
    package = content.packages.get(refinement.package_id)
    volume = content.volumes.get(reconstruction.volume_id)
    details = refinement.details.get(reconstruction.class_id)
    resolution_A = details.estimated_resolution_A if details and own else 0.0
    used = _images(attempt)
    return Facts(
        voxel_size_A=(volume and volume.voxel_size_A) or refinement.voxel_size_A or None,
        molecular_mass_kDa=(package and package.molecular_mass_kDa) or None,
        sphere_radius_A=reconstruction.outer_radius_A or (details and details.mask_radius_A) or None,
        alignment_limit_A=(details and details.alignment_limit_A) or None,
        reconstruction_limit_A=reconstruction.resolution_limit_A or None,
        symmetry=(package and package.symmetry) or None,
        particles=sum(used) if used else refinement.particles or None,
        own_numbers=True,
        number=_number(refinement.name),
        reported=Reported(resolution_A=resolution_A, level=_THRESHOLD, rule=RULE) if resolution_A else None,
        notes=notes,
    )


def _number(name: str) -> int | None:
    """What counts the rounds of a run: ids are shared with other runs, but the panels put a number into the name."""
    found = _ROUND_NUMBER.search(name)
    return int(found[1]) if found else None


def _images(attempt: Attempt | None) -> tuple[int, int] | None:
    if attempt is None:
        return None
    odd, even = attempt.images if attempt.discarded else dumps.images(attempt)
    return None if odd is None or even is None else (odd, even)


def _notes(refinement: Refinement, reconstruction: Reconstruction, attempt: Attempt | None) -> tuple[str, ...]:
    notes = [ONE_REFERENCE]
    if reconstruction.resolution_limit_A:
        notes.append(CUT.format(reconstruction.resolution_limit_A))
    if refinement.percent_used < _ALL_PERCENT:
        notes.append(f"{refinement.percent_used:g} % of the particles were used")
    if reconstruction.likelihood_blur:
        notes.append("images were blurred over their likely shifts and rotations")
    if attempt is not None and attempt.sealed and attempt.panel == GENERATE and not attempt.discarded:
        notes.append("all dumps were saved just before merge3d read them")
    return tuple(notes)


def _facts_of_headers(attempt: Attempt, content: Content | None, notes: tuple[str, ...]) -> Facts:
    """What dumps tell by themselves; the mass is taken where only one package can be meant."""
    headers = [header for header in map(header_of, attempt.dumps) if not isinstance(header, str)]
    if not headers:
        return Facts(notes=notes)
    first, used = headers[0], _images(attempt)
    packages = list(content.packages.values()) if content else []
    mass_kDa = (
        packages[0].molecular_mass_kDa if len(packages) == 1 and packages[0].box_px == first.original_box_px else 0.0
    )
    return Facts(
        voxel_size_A=first.original_voxel_size_A,
        molecular_mass_kDa=mass_kDa or None,
        symmetry=first.symmetry,
        particles=sum(used) if used else None,
        own_numbers=True,
        notes=notes,
    )
