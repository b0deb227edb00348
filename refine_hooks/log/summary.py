"""What is known of a measured round while its record stays on disk, and which earlier rounds it is compared with."""

import json
from base64 import b64decode, b64encode
from bisect import bisect_left
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, field, replace
from datetime import datetime
from functools import lru_cache
from math import inf, isnan, nan
from struct import Struct
from sys import intern
from typing import Any, TypeVar

from pydantic import ValidationError

from refine_hooks.log.curves import Curve, CurveKind, OfWhichKind
from refine_hooks.log.file import Place
from refine_hooks.log.records import Failed, RoundRecord
from refine_hooks.model import Fingerprint, Independence, Key, MaskRole, Origin, ProgramCurve

HISTORY = 12  # earlier rounds of its run and class that a round is compared with, and the best ones before them
_OF_ANOTHER_CLASS = 6  # rounds of the run's first class before a round that is audited
_LISTED = 10
_AT_ONCE = 8  # records that are read and audited together

_READING = Struct("<3d")
_FIELDS_OF_KEY = set(Key.model_fields)

Track = tuple[str, int]
T = TypeVar("T", bound=Hashable)


@dataclass(frozen=True, slots=True)
class CurveIdentity(OfWhichKind):
    """What a curve is: numbers of curves of one identity can be compared over the rounds.

    Attributes:
        made: of the program's own curves, which one it is.
        mask: name of its mask.
        role: what that mask is there for.
        threshold: the level that its resolution is read at.
        program: whose round it belongs to.
    """

    name: str
    kind: CurveKind
    made: ProgramCurve | None
    mask: str | None
    role: MaskRole | None
    threshold: float
    program: str


_identity = lru_cache(4096)(CurveIdentity)  # of many rounds; each identity is held once


def identity_of(record: RoundRecord, curve: Curve) -> CurveIdentity:
    """What a curve of a record is."""
    role = record.role(curve)
    return _identity(curve.name, curve.kind, curve.made, curve.mask, role, curve.threshold, record.program)


@dataclass(frozen=True, slots=True)
class CurveSummary:
    """The number that was read off one curve; None where it has none."""

    identity: CurveIdentity
    resolution_A: float | None
    interval_A: tuple[float, float] | None

    @property
    def name(self) -> str:
        """The curve's name."""
        return self.identity.name

    @property
    def threshold(self) -> float:
        """The level that its resolution is read at."""
        return self.identity.threshold


@dataclass(frozen=True, slots=True)
class RoundSummary:
    """A measured round without its curves. Thousands are held at once, so what is seldom asked for is packed.

    Attributes:
        headline: name of the curve that its resolution is read from.
        masks: names of its masks.
        shell_per_A: width of a shell.
        inputs: its fingerprint as JSON.
        identities: what its curves are.
        numbers: resolution and interval of each, three float64; NaN for none.
        place: where its line stands in the log.
        number: how many rounds of its run and class were measured before it.
        earlier: lines of the same round that were measured from other inputs.
        supersedes: the key that the same inputs stood under before.
    """

    key: Key
    label: str
    program: str
    measured_at: datetime
    inputs: bytes
    origin: Origin | None
    independence: Independence | None
    particles: int | None
    headline: str | None
    identities: tuple[CurveIdentity, ...]
    numbers: bytes
    masks: tuple[str, ...]
    shell_per_A: float
    place: Place = (0, 0)
    number: int = 0
    earlier: tuple[Place, ...] = ()
    supersedes: Key | None = None

    @property
    def fingerprint(self) -> Fingerprint:
        """The inputs that it was measured from; none where a kept summary was tampered with."""
        try:
            return Fingerprint.model_validate_json(self.inputs)
        except ValidationError:
            return Fingerprint()

    @property
    def curves(self) -> tuple[CurveSummary, ...]:
        """Its curves in the order of the log."""
        return tuple(self._curve(number) for number in range(len(self.identities)))

    @property
    def headline_curve(self) -> CurveSummary | None:
        """The curve that its resolution is read from, where it has one."""
        curve = self.curve(self.headline)
        return curve if curve is not None and curve.resolution_A is not None else None

    def curve(self, name: str | None) -> CurveSummary | None:
        """The curve of that name, if there is one."""
        number = next((number for number, one in enumerate(self.identities) if one.name == name), None)
        return None if number is None else self._curve(number)

    def _curve(self, number: int) -> CurveSummary:
        resolution_A, coarse_A, fine_A = _READING.unpack_from(self.numbers, number * _READING.size)
        interval_A = None if isnan(coarse_A) else (coarse_A, fine_A)
        return CurveSummary(self.identities[number], None if isnan(resolution_A) else resolution_A, interval_A)

    def packed(self, curves: dict[str, int]) -> list[Any]:
        """It as what JSON can hold, without its place.

        Args:
            curves: what the curves of rounds are, each with its number; what is new is added.
        """
        told = curves.setdefault(_text_of(self.identities), len(curves))
        return [
            *(self.key.run, self.key.iteration, self.key.class_id, self.label, self.program),
            *(self.measured_at.isoformat(), self.inputs.decode(), self.origin, self.independence, self.particles),
            *(self.headline, told, b64encode(self.numbers).decode(), self.masks, self.shell_per_A, self.number),
        ]

    @classmethod
    def unpacked(cls, told: Sequence[Any], curves: Sequence[str], place: Place) -> "RoundSummary":
        """The inverse of `packed`.

        Args:
            told: what `packed` gave.
            curves: what the curves of rounds are, in the order of their numbers.
            place: where its line stands in the log.

        Raises:
            ValueError: it is none; TypeError, AttributeError and IndexError, too.
        """
        run, iteration, class_id, label, program, at, inputs, origin, independence, particles, *rest = told
        headline, which, packed, masks, shell, number = rest
        identities, numbers = _identities_in(curves[which]), b64decode(packed)
        wrong = not (isinstance(iteration, int) and isinstance(class_id, int) and isinstance(number, int))
        wrong = wrong or not isinstance(shell, float)
        if wrong or len(numbers) != len(identities) * _READING.size:
            raise ValueError("it is no summary of a round")
        return cls(
            key=_small_key(run, iteration, class_id),
            label=label,
            program=intern(program),
            measured_at=datetime.fromisoformat(at),
            inputs=inputs.encode(),
            origin=intern(origin) if origin else None,  # type: ignore[arg-type]
            independence=intern(independence) if independence else None,  # type: ignore[arg-type]
            particles=particles,
            headline=intern(headline) if headline else None,
            identities=identities,
            numbers=numbers,
            masks=_held_once(tuple(masks)),
            shell_per_A=shell,
            place=place,
            number=number,
        )


@lru_cache(512)
def _text_of(identities: tuple[CurveIdentity, ...]) -> str:
    return json.dumps([astuple(identity) for identity in identities], separators=(",", ":"))


@lru_cache(512)
def _identities_in(text: str) -> tuple[CurveIdentity, ...]:
    return tuple(_identity(*parts) for parts in json.loads(text))


@lru_cache(1024)
def _held_once(of_many_rounds: T) -> T:
    return of_many_rounds


def _small_key(run: str, iteration: int, class_id: int) -> Key:
    """A key in half the memory that a validated one takes."""
    key = _first_key(run, class_id).__copy__()
    key.__dict__["iteration"] = iteration
    return key


@lru_cache(512)
def _first_key(run: str, class_id: int) -> Key:
    return Key.model_construct(_FIELDS_OF_KEY, run=intern(run), iteration=0, class_id=class_id)


def summary_of(line: RoundRecord) -> RoundSummary:
    """The summary of a record that stands nowhere in particular; what repeats in every line is held once."""
    readings = ((curve.resolution_A, *(curve.interval_A or (None, None))) for curve in line.curves)
    edge_A = line.box_px * line.voxel_size_A
    return RoundSummary(
        key=_small_key(line.key.run, line.key.iteration, line.key.class_id),
        label=line.label,
        program=intern(line.program),
        measured_at=line.measured_at,
        inputs=line.fingerprint.model_dump_json().encode(),
        origin=line.half_maps.origin if line.half_maps else None,
        independence=line.half_maps.independence if line.half_maps else None,
        particles=line.particles,
        headline=intern(line.headline) if line.headline else None,
        identities=_held_once(tuple(identity_of(line, curve) for curve in line.curves)),
        numbers=b"".join(_READING.pack(*(nan if number is None else number for number in one)) for one in readings),
        masks=_held_once(tuple(intern(mask.name) for mask in line.masks)),
        shell_per_A=1 / edge_A if edge_A else 0.0,  # a round without maps and curves has no box
        supersedes=line.supersedes,
    )


@dataclass(frozen=True, slots=True)
class Neighbourhood:
    """Some rounds and what they are audited beside, as lines of the log.

    Attributes:
        rounds: the records that were asked for, as far as they can still be read.
        lines: these, and before them the rounds that they are compared with, without the errors of their curves.
        failed: rounds of the same run that failed and have not been measured since.
    """

    rounds: Mapping[Key, RoundRecord]
    lines: Sequence[RoundRecord]
    failed: Sequence[Failed]


@dataclass(slots=True)
class Rounds:
    """The measured rounds of a log, each run and class in the order of its iterations.

    Attributes:
        by_key: in the order of the log; a round measured again keeps its place.
    """

    by_key: dict[Key, RoundSummary] = field(default_factory=dict)
    _tracks: dict[Track, list[Key]] = field(default_factory=dict)
    _best: dict[Key, tuple[Key, ...]] = field(default_factory=dict)  # the rounds up to it that nothing is better than

    def add(self, summary: RoundSummary, place: Place) -> None:
        """Take a round into account whose line stands at a place of the file."""
        key = summary.key
        track = self._tracks.setdefault(_track(key), [])
        before = self.by_key.get(key)
        number, earlier = (len(track), ()) if before is None else (before.number, before.earlier)
        if before is not None and before.fingerprint != summary.fingerprint:
            earlier = (*earlier, before.place)
        as_it_is = (summary.place, summary.number, summary.earlier) == (place, number, earlier)
        self.by_key[key] = summary if as_it_is else replace(summary, place=place, number=number, earlier=earlier)
        at = _place_of(track, key.iteration)
        if before is None:
            track.insert(at, key)
        self._compare_from(track, at)

    def remove(self, key: Key) -> RoundSummary | None:
        """Forget a round, as if its line had never come; gives what was known of it."""
        known = self.by_key.pop(key, None)
        if known is None:
            return None
        track = self._tracks[_track(key)]
        at = track.index(key)
        del track[at], self._best[key]
        for other in track:
            summary = self.by_key[other]
            if summary.number > known.number:
                self.by_key[other] = replace(summary, number=summary.number - 1)
        if not track:
            del self._tracks[_track(key)]
        self._compare_from(track, at)
        return known

    def _compare_from(self, track: Sequence[Key], at: int) -> None:
        for number in range(at, len(track)):
            key = track[number]
            best = self._bettered(self._best[track[number - 1]] if number else (), key)
            if number > at and best == self._best.get(key):
                break
            self._best[key] = best

    def _bettered(self, best: tuple[Key, ...], key: Key) -> tuple[Key, ...]:
        """The best rounds of each measure when one more is known; of equal ones the first."""
        here = self.by_key[key]
        for one in best:
            other = self.by_key[one]
            if (other.headline, other.origin) == (here.headline, here.origin):
                return best if quoted_A(other) <= quoted_A(here) else tuple(key if k == one else k for k in best)
        return (*best, key)

    def series(self, key: Key) -> Sequence[Key]:
        """The rounds of the run and class of ``key``."""
        return self._tracks.get(_track(key), [])

    def history(self, first: Key) -> list[Key]:
        """The last rounds of the same run and class before one, and the best of each measure."""
        track = self.series(first)
        at = _place_of(track, first.iteration)
        best = self._best[track[at - 1]] if at else ()
        return sorted({*best, *track[max(0, at - HISTORY) : at]}, key=lambda key: key.iteration)

    def beside(self, keys: Sequence[Key]) -> list[Key]:
        """Some rounds of one run and class, the last of them last, and before them those that they are compared with."""
        return list(dict.fromkeys([*self._of_another_class(keys[0], keys[-1]), *self.history(keys[0]), *keys]))

    def _of_another_class(self, first: Key, last: Key) -> Sequence[Key]:
        """Rounds of the run's first class up to ``last``, where what is said once of a run has been said."""
        track = next((track for (run, _), track in self._tracks.items() if run == first.run), [])
        if not track or track[0].class_id == first.class_id:
            return ()
        start, end = (_place_of(track, key.iteration + 1) for key in (first, last))
        return track[max(0, start - _OF_ANOTHER_CLASS) : end]


def listed(keys: Sequence[Key]) -> str:
    """Rounds in words: all where they are few, else the newest."""
    if len(keys) <= _LISTED:
        return ", ".join(map(str, keys)) or "none"
    return f"{len(keys)} rounds, the last ones {', '.join(map(str, keys[-_LISTED:]))}; refine-hooks show lists all"


def grouped(keys: Iterable[Key]) -> list[list[Key]]:
    """Keys in groups of one run and class, in the order of their iterations, as many as are read at once."""
    tracks: dict[Track, list[Key]] = {}
    for key in sorted(keys, key=lambda key: key.iteration):
        tracks.setdefault(_track(key), []).append(key)
    return [keys[at : at + _AT_ONCE] for keys in tracks.values() for at in range(0, len(keys), _AT_ONCE)]


def newest_number(summaries: Iterable[RoundSummary]) -> tuple[RoundSummary, CurveSummary] | None:
    """The newest round that has a number, one that was measured here where there is any, and the curve that it is read from."""
    read = [(one, curve) for one in summaries if (curve := one.headline_curve) is not None and curve.resolution_A]
    ours = [(one, curve) for one, curve in read if not curve.identity.of_program]
    return max(ours or read, key=lambda pair: pair[0].measured_at, default=None)


def _place_of(track: Sequence[Key], iteration: int) -> int:
    if not track or track[-1].iteration < iteration:  # as nearly every round comes
        return len(track)
    return bisect_left(track, iteration, key=lambda key: key.iteration)


def _track(key: Key) -> Track:
    return key.run, key.class_id


def quoted_A(summary: RoundSummary) -> float:
    """The resolution that a round is quoted with; infinite where there is none."""
    for number, identity in enumerate(summary.identities):
        if identity.name == summary.headline:
            resolution_A = float(_READING.unpack_from(summary.numbers, number * _READING.size)[0])
            return inf if isnan(resolution_A) else resolution_A
    return inf
