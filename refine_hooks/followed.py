"""One log that is followed while it grows. Records stay on disk: what is kept of a round is its row and its place in the file."""

import hashlib
import io
import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from pydantic import ValidationError

from refine_hooks.audit import audit
from refine_hooks.audit.reading import Finding
from refine_hooks.errors import InputError
from refine_hooks.files.reading import open_plain
from refine_hooks.log.file import Journal, why_not
from refine_hooks.log.records import LOG_LINE, Failed, LogLine, RoundRecord, Start, Stop
from refine_hooks.logged import Logged, LogState, Rounds, grouped
from refine_hooks.model import Key
from refine_hooks.report import data, page
from refine_hooks.settings import Settings

LONGEST_LINE = 64 << 20
_FAULTS_SHOWN = 50


@dataclass(slots=True)
class Followed:
    """A log and what has been read of it; all methods may be called from any thread.

    Attributes:
        path: the log file.
        settings: limits of the audit's rules.
        seq: rises with every change, also over a log that was replaced; a reader asks for what came after the one it knows.
        start: the newest watch that wrote into this log.
        ended: whether that watch has.
        faults: a sentence for each line that is none of this log's; the newest ones.
    """

    path: Path
    settings: Settings = field(default_factory=Settings)
    seq: int = 0
    start: Start | None = None
    ended: bool = False
    faults: list[str] = field(default_factory=list)
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _rounds: Rounds = field(default_factory=Rounds)
    _styles: dict[str, dict[str, str]] = field(default_factory=dict)
    _failed: dict[Key, Failed] = field(default_factory=dict)
    _unjudged: dict[Key, None] = field(default_factory=dict)
    _just_found: dict[Key, list[Finding]] = field(default_factory=dict)
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
        return page.title(self.out, self.start)

    def look(self) -> bool:
        """Read what has been appended; True when there was news. A log that is gone keeps what was read of it."""
        try:
            return self.read()
        except OSError:
            return False

    def read(self) -> bool:
        """Read what has been appended; True when there was news. A last line without its newline was torn, and is no line.

        Raises:
            OSError: the log cannot be read.
        """
        with self._lock, io.BufferedReader(open_plain(self.path)) as stream:
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
        self._rounds, self._failed, self._styles = Rounds(), {}, {}
        self._unjudged, self._just_found = {}, {}
        self.start, self.ended, self.faults = None, False, []
        self._read, self._lines, self._last = 0, 0, None
        self.seq += 1
        self._since = self.seq

    def _take(self, text: bytes) -> None:
        offset, length = self._read, len(text)
        self._read, self._lines = offset + length, self._lines + 1
        if not text.strip():
            return
        try:
            self._add(LOG_LINE.validate_json(text), offset, length)
        except ValidationError as error:
            self.seq += 1
            said = f"{self.path}:{self._lines}: {why_not(text, error)}"
            self.faults = [*self.faults, said][-_FAULTS_SHOWN:]

    def add(self, line: LogLine, offset: int, length: int) -> None:
        """Take a line into account that has just been appended.

        Args:
            line: it.
            offset: of its first byte in the file.
            length: in bytes, its newline included.
        """
        with self._lock:
            if offset == self._read:
                self._read, self._lines = offset + length, self._lines + 1
            self._add(line, offset, length)

    def _add(self, line: LogLine, offset: int, length: int) -> None:
        self.seq += 1
        if isinstance(line, Start):
            self.start, self.ended = line, False
        elif isinstance(line, Stop):
            self.ended = True
        elif isinstance(line, Failed):
            self._failed[line.key] = line
            if line.key in self._rounds.by_key:
                self._await_judgement(line.key)
        else:
            self._failed.pop(line.key, None)
            self._styles.update((curve.name, data.style(curve.name)) for curve in line.curves)
            self._rounds.add(line, offset, length, self.seq)
            self._await_judgement(line.key)

    def _await_judgement(self, key: Key) -> None:
        self._rounds.by_key[key].judged = False
        self._unjudged.pop(key, None)
        self._unjudged[key] = None

    def judge(self, most: int = 8) -> bool:
        """Audit up to ``most`` rounds that have not been, the newest first; True when there were any."""
        with self._lock:
            waiting = list(islice(reversed(self._unjudged), most))
        try:
            for _ in self._judged(waiting):
                pass
        finally:
            with self._lock:
                for key in waiting:  # one that no rule can read is not tried for ever
                    self._unjudged.pop(key, None)
        return bool(waiting)

    def findings_of(self, line: RoundRecord | Failed) -> list[Finding]:
        """What the audit has to say of the round that a line is about, beside the rounds before it.

        What is only true of a log's newest round, such as that the last ones swing, is said of the round that was it.
        """
        if isinstance(line, Failed) and line.key not in self._rounds.by_key:
            return audit([line], self.settings)
        if line.key not in self._just_found or line.key in self._unjudged:
            for _ in self._judged([line.key]):
                pass
        return self._just_found.get(line.key, [])

    def _judged(self, keys: Iterable[Key]) -> Iterator[tuple[Key, RoundRecord, list[Finding]]]:
        """Some rounds with their records and findings, audited in groups of one run and class, beside the rounds before them."""
        for group in grouped(keys):
            known = all(key in self._just_found and key not in self._unjudged for key in group)
            with self._lock:
                wanted = group if known else self._rounds.beside(group)
            records = self._read_records(wanted)
            if not known:
                self._note(group, page.grouped(self._audited(group, records)))
            by_key, found = {record.key: record for record in records}, self._just_found
            yield from ((key, by_key[key], found.get(key, [])) for key in group if key in by_key)

    def _note(self, keys: Iterable[Key], found: dict[str, list[Finding]]) -> None:
        with self._lock:
            self.seq += 1
            self._just_found = {key: found[str(key)] for key in keys}
            for key, findings in self._just_found.items():
                self._unjudged.pop(key, None)
                place = self._rounds.by_key.get(key)
                if place is not None and not place.judged:
                    place.judged, place.seq = True, self.seq
                    place.row = {**place.row, "found": data.counted(findings)}

    def _audited(self, keys: Sequence[Key], records: Sequence[RoundRecord]) -> list[Finding]:
        with self._lock:
            run, since = keys[0].run, min((record.key.iteration for record in records), default=0)
            failed = [line for key, line in self._failed.items() if key.run == run and key.iteration >= since]
            earlier = {key: self._rounds.by_key[key].earlier for key in keys if key in self._rounds.by_key}
        lines = [line for record in records for line in (*self._records(earlier.get(record.key, ())), record)]
        return audit(Journal((*lines, *failed)), self.settings, only=set(keys))

    def _read_records(self, keys: Iterable[Key]) -> list[RoundRecord]:
        with self._lock:
            places = {key: place for key in keys if (place := self._rounds.by_key.get(key)) is not None}
        records = self._records((place.offset, place.length) for place in places.values())
        return [record for record in records if record.key in places]

    def _records(self, places: Iterable[tuple[int, int]]) -> list[RoundRecord]:
        """Records read anew from the file; what is no longer there is left out."""
        found: list[RoundRecord] = []
        try:
            with open_plain(self.path) as stream:
                found += (record for place in places if (record := _record_at(stream, *place)) is not None)
        except OSError:
            pass
        return found

    def record(self, key: Key) -> RoundRecord:
        """A measured round, read from the file.

        Raises:
            InputError: the log holds no such round.
        """
        found = self._read_records([key])
        if not found:
            raise InputError(f"{key}: the log holds no such round")
        return found[0]

    def before(self, key: Key) -> RoundRecord | None:
        """The last round of the same run and class before one; None where there is none, or it cannot be read any more."""
        with self._lock:
            earlier = self._rounds.history(key)[-1:]
        try:
            return self.record(earlier[0]) if earlier else None
        except InputError:
            return None

    def details(self, keys: Iterable[Key]) -> Iterator[tuple[Key, dict[str, Any]]]:
        """What the page shows of some rounds, but their pictures and files; one that cannot be read any more is left out."""
        for key, record, found in self._judged(keys):
            with self._lock:
                earlier = [self._rounds.by_key[one].row for one in self._rounds.history(key)]
            yield key, data.detail(record, data.standing_before(earlier), found)

    def detail(self, key: Key) -> dict[str, Any]:
        """What the page shows of one round, but its pictures and files.

        Raises:
            InputError: the log holds no such round.
        """
        for _, told in self.details([key]):
            return told
        raise InputError(f"{key}: the log holds no such round")

    def last(self, key: Key) -> Logged | Failed | None:
        """The log's last word on a round."""
        failed = self._failed.get(key) if self._failed else None
        return failed or self._rounds.by_key.get(key)

    def place(self, key: Key) -> Logged | None:
        """What is known of the last measurement of a round."""
        return self._rounds.by_key.get(key)

    def series(self, key: Key) -> Sequence[Key]:
        """The measured rounds of the run and class of ``key``, in the order of their iterations."""
        return self._rounds.series(key)

    def head(self) -> dict[str, Any]:
        """What the page shows of the log besides its rounds."""
        with self._lock:
            return page.head(self.out, self._styles, self._failed.values(), self.faults, self.start)

    def since(self, seq: int) -> dict[str, Any]:
        """What has changed after ``seq``, or everything where the log was replaced meanwhile."""
        with self._lock:
            restarted = seq < self._since
            rows = [place.row for place in self._rounds.by_key.values() if restarted or place.seq > seq]
            return {"id": self.id, "seq": self.seq, "restarted": restarted, **self.head(), "rows": rows}

    def rows(self) -> Sequence[dict[str, Any]]:
        """The rows of all rounds in the order of the log."""
        with self._lock:
            return [place.row for place in self._rounds.by_key.values()]

    def state(self, name: str = "", running: bool | None = None) -> LogState:
        """What the metrics need of the log, under a name that tells it from others."""
        return LogState(self.rows(), [str(line.key) for line in self.failures()], name, running)

    def failures(self) -> list[Failed]:
        """The rounds that failed and have not been measured since."""
        with self._lock:
            return list(self._failed.values())


def _record_at(stream: BinaryIO | io.FileIO, offset: int, length: int) -> RoundRecord | None:
    try:
        line = LOG_LINE.validate_json(os.pread(stream.fileno(), length, offset))
    except ValidationError:
        return None
    return line if isinstance(line, RoundRecord) else None
