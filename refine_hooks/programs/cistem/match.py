"""Which dumps belong to which row of the database."""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from refine_hooks.programs.cistem.dumps import PANELS, Attempt, Place
from refine_hooks.programs.cistem.tables import Content, Reconstruction, rerooted

GENERATE = "Generate3D"
OWN_PANELS = tuple(panel for panel in PANELS if panel != GENERATE)


@dataclass(frozen=True, slots=True)
class Match:
    """One reconstruction, or one attempt that the database does not know yet, or both.

    Attributes:
        generated: which Generate3D of its refinement and class this is, from 1; 0 for the refinement's own round.
        superseded: attempts that were given up in favour of this one.
    """

    reconstruction: Reconstruction | None
    attempt: Attempt | None
    generated: int = 0
    superseded: tuple[Attempt, ...] = ()


def volume_path(content: Content, reconstruction: Reconstruction, directory: Path) -> Path | None:
    """Where the map of a reconstruction is today."""
    volume = content.volumes.get(reconstruction.volume_id)
    return rerooted(volume.path, content.folder, directory) if volume and volume.path else None


def matches(content: Content, attempts: dict[Place, list[Attempt]], directory: Path) -> list[Match]:
    """Every reconstruction of a refinement with its dumps, in the order of the database, then what waits for an entry."""
    left = {place: list(each) for place, each in attempts.items()}
    found = []
    for (refinement_id, class_id), own, generated in _grouped(content):
        if own is not None:
            candidates = [a for panel in OWN_PANELS for a in left.pop((panel, refinement_id, class_id), [])]
            # The map's time is asked for where there is something to choose: a history of rounds has one attempt each.
            found.append(_own(own, candidates, _written_ns(content, own, directory) if len(candidates) > 1 else None))
        candidates = left.pop((GENERATE, refinement_id, class_id), [])
        times = [_written_ns(content, each, directory) if candidates else None for each in generated]
        found += _generated(generated, times, candidates)
    found.sort(key=lambda match: (match.reconstruction is None, match.reconstruction.id if match.reconstruction else 0))
    return found + pending(left)


def _grouped(content: Content) -> list[tuple[tuple[int, int], Reconstruction | None, list[Reconstruction]]]:
    """Reconstructions by refinement and class: the round's own, and those that Generate3D made of it."""
    groups: dict[tuple[int, int], list[Reconstruction]] = defaultdict(list)
    for each in content.reconstructions.values():
        if each.refinement_id in content.refinements and each.class_id >= 1:
            groups[each.refinement_id, each.class_id].append(each)
    found = []
    for key, group in groups.items():
        # Curves that are a model's were not refined here: all its maps are Generate3D's.
        first_is_own = not content.refinements[key[0]].generated and not _by_generate(content, group[0])
        found.append((key, group[0] if first_is_own else None, group[1:] if first_is_own else group))
    return found


def _by_generate(content: Content, reconstruction: Reconstruction) -> bool:
    volume = content.volumes.get(reconstruction.volume_id)
    return volume is not None and volume.path.rpartition("/")[2].startswith("generate3d_volume")


def _written_ns(content: Content, reconstruction: Reconstruction, directory: Path) -> int | None:
    """When merge3d wrote the map: after the dumps that it is made of, before those of any later attempt."""
    path = volume_path(content, reconstruction, directory)
    try:
        return path.stat().st_mtime_ns if path else None
    except OSError:
        return None


def _own(reconstruction: Reconstruction, candidates: list[Attempt], written_ns: int | None) -> Match:
    candidates = sorted(candidates, key=lambda attempt: attempt.started_ns)
    before = [attempt for attempt in candidates if written_ns is None or attempt.started_ns <= written_ns]
    chosen = (before or candidates)[-1] if candidates else None
    return Match(reconstruction, chosen, 0, tuple(each for each in candidates if each is not chosen))


def _generated(group: list[Reconstruction], times: list[int | None], candidates: list[Attempt]) -> list[Match]:
    """Attempts begun between two maps belong to the later one; those begun after the last map wait for an entry."""
    found, rest = [], sorted(candidates, key=lambda attempt: attempt.started_ns)
    for number, (reconstruction, written_ns) in enumerate(zip(group, times, strict=True), 1):
        before = [attempt for attempt in rest if written_ns is not None and attempt.started_ns <= written_ns]
        rest = rest[len(before) :]
        found.append(Match(reconstruction, before[-1] if before else None, number, tuple(before[:-1])))
    return found + ([Match(None, rest[-1], len(group) + 1, tuple(rest[:-1]))] if rest else [])


def pending(attempts: dict[Place, list[Attempt]]) -> list[Match]:
    """Attempts without an entry; of several for one round only the last, since an aborted round's number is given again."""
    groups: dict[tuple[bool, int, int], list[Attempt]] = defaultdict(list)
    for (panel, refinement_id, class_id), each in attempts.items():
        groups[panel == GENERATE, refinement_id, class_id] += each
    found = []
    for group in groups.values():
        ordered = sorted(group, key=lambda attempt: attempt.started_ns)
        if ordered:
            found.append(Match(None, ordered[-1], 0, tuple(ordered[:-1])))
    return sorted(found, key=lambda match: match.attempt.newest_ns if match.attempt else 0)
