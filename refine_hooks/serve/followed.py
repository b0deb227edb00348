"""One log that is followed while it grows. Records stay on disk: what is kept of a round is its row and its place in the file."""

import hashlib
import os
import threading
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from refine_hooks.audit import audit
from refine_hooks.audit.reading import Finding
from refine_hooks.errors import InputError
from refine_hooks.journal import Journal
from refine_hooks.records import LOG_LINE, Failed, Key, LogLine, RoundRecord, Start
from refine_hooks.report import data, page

LONGEST_LINE = 64 << 20
HISTORY = 12  # earlier rounds of its run and class that a round is judged beside, and the best one before them
_FAULTS_SHOWN = 50


@dataclass(slots=True)
class _Place:
    """A measured round: where its line stands, and what the page's list shows of it."""

    offset: int
    length: int
    row: dict[str, Any]
    seq: int
    judged: bool = False


@dataclass(slots=True)
class Followed:
    """A log and what has been read of it; all methods may be called from any thread.

    Attributes:
        path: the log file.
        seq: rises with every change, also over a log that was replaced; a reader asks for what came after the one it knows.
    """

    path: Path
    seq: int = 0
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _places: dict[Key, _Place] = field(default_factory=dict)
    _styles: dict[str, dict[str, str]] = field(default_factory=dict)
    _failed: dict[Key, Failed] = field(default_factory=dict)
    _faults: list[str] = field(default_factory=list)
    _start: Start | None = None
    _read: int = 0
    _lines: int = 0
    _last: tuple[int, int, str] | None = None
    _file: tuple[int, int] | None = None
    _since: int = 0

    @property
    def id(self) -> str:
        """A short name that does not change while the log stays where it is."""
        return hashlib.sha256(os.fsencode(self.path)).hexdigest()[:16]

    @property
    def out(self) -> Path:
        """The folder of the log, to which the paths in its records are relative."""
        return self.path.parent

    @property
    def title(self) -> str:
        """What the list of logs calls it."""
        return page.title(self.out, self._start)

    @property
    def start(self) -> Start | None:
        """The newest watch that wrote into this log."""
        return self._start

    def look(self) -> bool:
        """Read what has been appended; True when there was news. A log that is gone keeps what was read of it."""
        with self._lock:
            try:
                with self.path.open("rb") as stream:
                    status = os.fstat(stream.fileno())
                    if self._replaced(stream.fileno(), status):
                        self._forget()
                    self._file = (status.st_dev, status.st_ino)
                    before = self._read
                    stream.seek(self._read)
                    last = b""
                    while (text := stream.readline(LONGEST_LINE)).endswith(b"\n") or len(text) == LONGEST_LINE:
                        self._take(text)
                        last = text
                    if last:
                        self._last = (self._read - len(last), len(last), hashlib.sha256(last).hexdigest())
                    return self._read > before
            except OSError:
                return False

    def _replaced(self, handle: int, status: os.stat_result) -> bool:
        """Whether this is another file than the one read, or one that was cut or written anew."""
        if self._file is None:
            return False
        if self._file != (status.st_dev, status.st_ino) or status.st_size < self._read:
            return True
        if self._last is None:
            return False
        offset, length, digest = self._last
        return hashlib.sha256(os.pread(handle, length, offset)).hexdigest() != digest

    def _forget(self) -> None:
        self._places, self._failed, self._faults, self._styles, self._start = {}, {}, [], {}, None
        self._read, self._lines, self._last = 0, 0, None
        self.seq += 1
        self._since = self.seq

    def _take(self, text: bytes) -> None:
        offset, length = self._read, len(text)
        self._read, self._lines = offset + length, self._lines + 1
        self.seq += 1
        if not text.strip():
            return
        try:
            line: LogLine = LOG_LINE.validate_json(text)
        except ValidationError:
            self._faults = [*self._faults, f"line {self._lines} of {self.path} is not a line of this log"][
                -_FAULTS_SHOWN:
            ]
            return
        if isinstance(line, Start):
            self._start = line
        elif isinstance(line, Failed):
            self._failed[line.key] = line
        elif isinstance(line, RoundRecord):
            self._failed.pop(line.key, None)
            self._styles.update((curve.name, data.style(curve.name)) for curve in line.curves)
            self._places[line.key] = _Place(offset, length, data.row(line), self.seq)

    def judge(self, most: int = 8) -> bool:
        """Audit up to ``most`` rounds that have not been, the newest first; True when there were any."""
        with self._lock:
            waiting = [(key, place) for key, place in self._places.items() if not place.judged][-most:]
        tracks: dict[tuple[str, int], dict[Key, _Place]] = {}
        for key, place in waiting:
            tracks.setdefault(_track(key), {})[key] = place
        for places in tracks.values():
            found = page.grouped(self._audited(places))
            with self._lock:
                self.seq += 1
                for key, place in places.items():
                    place.judged, place.seq = True, self.seq
                    place.row = {**place.row, "found": data.counted(found[str(key)])}
        return bool(waiting)

    def _audited(self, keys: Collection[Key]) -> list[Finding]:
        """The findings of some rounds of one run and class, judged beside the rounds before them."""
        with self._lock:
            beside = dict.fromkeys([*self._history(min(keys, key=lambda key: key.iteration)), *keys])
            places = [self._places[key] for key in sorted(beside, key=lambda key: key.iteration) if key in self._places]
            failed = list(self._failed.values())
        return audit(Journal((*self._records(places), *failed)), only=set(keys))

    def _history(self, first: Key) -> list[Key]:
        earlier = sorted(
            (key for key in self._places if _track(key) == _track(first) and key.iteration < first.iteration),
            key=lambda key: key.iteration,
        )
        best = min(earlier, key=lambda key: _number(self._places[key].row), default=None)
        return [*([best] if best is not None else []), *earlier[-HISTORY:]]

    def _records(self, places: Iterable[_Place]) -> list[RoundRecord]:
        """Records read anew from the file; one whose line is no longer there is left out."""
        found = []
        try:
            with self.path.open("rb") as stream:
                for place in places:
                    stream.seek(place.offset)
                    try:
                        line = LOG_LINE.validate_json(stream.read(place.length))
                    except ValidationError:
                        continue
                    if isinstance(line, RoundRecord) and str(line.key) == place.row["key"]:
                        found.append(line)
        except OSError:
            return found
        return found

    def record(self, key: Key) -> RoundRecord:
        """A measured round, read from the file.

        Raises:
            InputError: the log holds no such round.
        """
        with self._lock:
            place = self._places.get(key)
        found = self._records([place]) if place else []
        if not found:
            raise InputError(f"{key}: the log holds no such round")
        return found[0]

    def detail(self, key: Key) -> dict[str, Any]:
        """What the page shows of one round, but its pictures and files.

        Raises:
            InputError: the log holds no such round.
        """
        record = self.record(key)
        with self._lock:
            earlier = [self._places[k].row for k in self._history(key)]
        return data.detail(record, data.standing_before(earlier), page.grouped(self._audited([key]))[str(key)])

    def since(self, seq: int) -> dict[str, Any]:
        """What has changed after ``seq``, or everything where the log was replaced meanwhile."""
        with self._lock:
            restarted = seq < self._since
            rows = [place.row for place in self._places.values() if restarted or place.seq > seq]
            return {
                "id": self.id,
                "seq": self.seq,
                "restarted": restarted,
                **page.head(self.out, self._styles, self._failed.values(), self._faults, self._start),
                "rows": rows,
            }

    def rows(self) -> Sequence[dict[str, Any]]:
        """The rows of all rounds in the order of the log."""
        with self._lock:
            return [place.row for place in self._places.values()]

    def failures(self) -> int:
        """How many rounds failed and have not been measured since."""
        return len(self._failed)


def _track(key: Key) -> tuple[str, int]:
    return key.run, key.class_id


def _number(row: dict[str, Any]) -> float:
    """The resolution that a round is quoted with; infinite where there is none."""
    quoted = row["res"].get(row["headline"])
    return float(quoted[0]) if quoted else float("inf")
