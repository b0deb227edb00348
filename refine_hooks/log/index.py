"""One log that is read while it grows. Records stay on disk: of a round only its summary and the place of its line are held."""

import hashlib
import io
import os
import threading
import zlib
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO

from pydantic import ValidationError

from refine_hooks.errors import InputError
from refine_hooks.files.reading import open_plain
from refine_hooks.log import stored
from refine_hooks.log.contents import Contents
from refine_hooks.log.file import Place, records_at
from refine_hooks.log.lines import parsed_line, why_not
from refine_hooks.log.news import after, move_to_end
from refine_hooks.log.records import Failed, LogLine, RoundRecord, Start, Stop
from refine_hooks.log.skim import skimmed
from refine_hooks.log.summary import CurveIdentity, Neighbourhood, Rounds, RoundSummary, summary_of
from refine_hooks.model import Key

LONGEST_LINE = 64 << 20
_FAULTS_SHOWN = 50
_BUFFER = 1 << 20  # lines take 100 kB and more


@dataclass(slots=True)
class LogIndex:
    """A log and what has been read of it; all methods may be called from any thread.

    Attributes:
        path: the log file.
        about: the one round that is asked for: of a long log nothing but it and what it is compared with is read then, and this
            index knows of no other round. None for all.
        seq: rises with every change, also over a log that was replaced; a reader asks for what came after the one it knows.
        start: the newest watch that wrote into this log.
        ended: whether that watch has.
        faults: a sentence for each line that is none of this log's; the newest ones.
        fault_count: how many such lines there are.
        replaced_at: ``seq`` when the log was last found to be another one.
    """

    path: Path
    about: Key | None = None
    seq: int = 0
    start: Start | None = None
    ended: bool = False
    faults: list[str] = field(default_factory=list)
    fault_count: int = 0
    replaced_at: int = 0
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _rounds: Rounds = field(default_factory=Rounds)
    _curves: dict[str, CurveIdentity] = field(default_factory=dict)
    _last_curves: tuple[CurveIdentity, ...] = ()
    _failed: dict[Key, Failed] = field(default_factory=dict)
    _logged: dict[Key, int] = field(default_factory=dict)  # seq of the last line on each round, in their order
    _news: dict[Key, int] = field(default_factory=dict)  # the same, of whatever readers know of it
    _revisions: dict[Key, int] = field(default_factory=dict)
    _superseded: dict[Key, RoundSummary] = field(default_factory=dict)
    _read: int = 0
    _lines: int = 0
    _last: stored.Mark | None = None
    # Lines that are not the last ones on a round, and the rounds that they are about.
    _others: dict[Place, Key | None] = field(default_factory=dict)
    _passed_over: Contents | None = None  # rounds of these are not known
    _kept: int = 0  # up to where the summaries are kept beside the log
    _whole_crc: int = 0  # of the log up to there
    _file: tuple[int, int] | None = None

    @property
    def id(self) -> str:
        """A short name that does not change while the log stays where it is."""
        return hashlib.sha256(os.fsencode(self.path)).hexdigest()[:16]

    @property
    def out(self) -> Path:
        """The folder of the log, to which the paths in its records are relative."""
        return self.path.parent

    def refresh(self) -> bool:
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
        with self._lock, io.BufferedReader(open_plain(self.path), _BUFFER) as stream:
            status = os.fstat(stream.fileno())
            if self._replaced(stream.fileno(), status):
                self._forget()
            self._file = (status.st_dev, status.st_ino)
            before = self._read
            if not self._read and status.st_size > stored.WORTH_KEEPING:
                self._take_kept(stream.fileno())
            known = self.seq
            self._take_lines(stream, status)
            if self._passed_over is not None and self._touched(self._passed_over, known):
                self._forget()
                self.about = None
                return self.read()
            self._keep(stream.fileno(), status)
            return self._read > before

    def _take_lines(self, stream: BinaryIO, status: os.stat_result) -> None:
        """Read on to the end of the last whole line."""
        stream.seek(self._read)
        last = b""
        while (text := stream.readline(LONGEST_LINE)).endswith(b"\n") or len(text) == LONGEST_LINE:
            self._take(text)
            last = text
        if last:
            self._last = stored.Mark(status.st_ino, (self._read - len(last), len(last)), zlib.crc32(last))

    def _touched(self, passed_over: Contents, seq: int) -> bool:
        """Whether a line that came after ``seq`` is about a round that was passed over, or takes one away."""
        fresh = after(self._logged, seq)
        return self.replaced_at > seq or any(passed_over.holds(key) for key in fresh if key != self.about)

    def _replaced(self, handle: int, status: os.stat_result) -> bool:
        """Whether this is another file than the one read, or one that was cut or written anew."""
        if self._file is None:
            return False
        if self._file != (status.st_dev, status.st_ino) or status.st_size < self._read:
            return True
        return self._last is not None and not self._last.fits(handle)

    def _take_kept(self, handle: int) -> None:
        """Begin with what another reader has kept of this log, if it is of this very log."""
        kept = stored.load(self.path, handle, self.about)
        if kept is None:
            return
        self._passed_over = kept.contents
        try:
            for number, place, summary in kept.lines:
                if kept.contents is None and place[0] != self._read:  # lines are lacking
                    self._forget()
                    return
                self._read, self._lines, self.seq = place[0], number, self.seq + number - self._lines
                if summary is None:
                    self._take(os.pread(handle, place[1], place[0]))
                else:
                    self._take_round(summary, place)
        except (OSError, ValueError, TypeError, AttributeError, LookupError):
            self._forget()
            return
        self._last, self._read = kept.mark, sum(kept.mark.place)
        self._kept, self._whole_crc = self._read, self._last.whole_crc

    def _keep(self, handle: int, status: os.stat_result) -> None:
        """Keep what was read beside the log, where that was much and is all."""
        new = self._read - self._kept
        if self._last is None or self._passed_over is not None or not stored.worth_keeping(new, self._read):
            return
        end = sum(self._last.place)
        whole = stored.checksum(handle, self._kept, end, self._whole_crc)
        self._kept, self._whole_crc = end, whole
        entries: dict[Place, RoundSummary | None] = dict.fromkeys(self._others)
        known = self._rounds.by_key.values()
        entries |= {one.place: one if one.supersedes is None else None for one in known}
        touched_ns = status.st_ctime_ns if status.st_size == end else 0
        stored.save(
            self.path,
            replace(self._last, whole_crc=whole, ctime_ns=touched_ns),
            [(place, entries[place]) for place in sorted(entries) if place[0] < end],
            {key for key in self._others.values() if key is not None},
        )

    def _forget(self) -> None:
        self._others, self._passed_over, self._kept, self._whole_crc = {}, None, 0, 0
        self._rounds, self._failed, self._curves, self._last_curves = Rounds(), {}, {}, ()
        self._logged, self._news, self._superseded = {}, {}, {}
        self.start, self.ended, self.faults, self.fault_count = None, False, [], 0
        self._read, self._lines, self._last = 0, 0, None
        self.seq += 1
        self.replaced_at = self.seq

    def _take(self, text: bytes) -> None:
        offset, length = self._read, len(text)
        summary = skimmed(text)
        if summary is not None:
            self._take_round(summary, (offset, length))
            return
        self._read, self._lines = offset + length, self._lines + 1
        if not text.strip():
            self._others[offset, length] = None
            return
        try:
            self._add(parsed_line(text), (offset, length))
        except ValidationError as error:
            self._others[offset, length] = None
            self.seq += 1
            self.fault_count += 1
            said = f"{self.path}:{self._lines}: {why_not(text, error)}"
            self.faults = [*self.faults, said][-_FAULTS_SHOWN:]

    def _take_round(self, summary: RoundSummary, place: Place) -> None:
        self._read, self._lines = place[0] + place[1], self._lines + 1
        self.seq += 1
        self._add_round(summary, place)

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
            self._add(line, (offset, length))

    def _add(self, line: LogLine, place: Place) -> None:
        self.seq += 1
        if not isinstance(line, RoundRecord):
            self._others[place] = line.key if isinstance(line, Failed) else None
        if isinstance(line, Start):
            self.start, self.ended = line, False
        elif isinstance(line, Stop):
            self.ended = True
        elif isinstance(line, Failed):
            self._failed[line.key] = line
            move_to_end(self._logged, line.key, self.seq)
        else:
            self._add_round(summary_of(line), place)

    def _add_round(self, summary: RoundSummary, place: Place) -> None:
        failed = self._failed.pop(summary.key, None)
        before = self._rounds.by_key.get(summary.key)
        if before is not None:
            self._others[before.place] = summary.key
        if summary.supersedes is not None:
            self._supersede(summary.supersedes)
        if summary.identities is not self._last_curves:  # nearly all rounds of a log have the same
            self._last_curves = summary.identities
            self._curves.update((identity.name, identity) for identity in summary.identities)
        self._rounds.add(summary, place)
        if before is None and failed is None:  # as nearly every line
            self._logged[summary.key] = self._news[summary.key] = self.seq
        else:
            move_to_end(self._logged, summary.key, self.seq)
            move_to_end(self._news, summary.key, self.seq)

    def _supersede(self, key: Key) -> None:
        """The round of a key is known by another one now: readers that knew it begin anew."""
        known = self._rounds.remove(key)
        if known is not None:
            self._superseded[key] = known
            self._others[known.place] = key
        for held in (self._failed, self._logged, self._news):
            held.pop(key, None)
        self.replaced_at = self.seq

    def superseded(self) -> list[RoundSummary]:
        """What was known of the rounds that stand under another key now, and under theirs no more."""
        with self._lock:
            return [known for key, known in self._superseded.items() if key not in self._rounds.by_key]

    def tell_news(self, keys: Iterable[Key]) -> None:
        """Note that what readers derive of some rounds has changed, without a new line."""
        with self._lock:
            self.seq += 1
            for key in keys:
                if key in self._rounds.by_key:
                    self._revisions[key] = self._revisions.get(key, 0) + 1
                    move_to_end(self._news, key, self.seq)

    def revision(self, key: Key) -> int:
        """How often `tell_news` was told of a round: what readers derived of it before may be old."""
        return self._revisions.get(key, 0)

    def logged_after(self, seq: int) -> tuple[int, bool, list[Key]]:
        """Measured rounds that a line came for after ``seq``, the oldest line first.

        Returns:
            The present ``seq``; whether the log was replaced since the given one, so that all of it counts; the keys.
        """
        with self._lock:
            replaced = seq < self.replaced_at
            keys = after(self._logged, -1 if replaced else seq)
            return self.seq, replaced, [key for key in keys if key in self._rounds.by_key]

    def news_after(self, seq: int) -> tuple[int, bool, list[Key]]:
        """Like `logged_after`, of all that readers know of a round, in the order of the log."""
        with self._lock:
            replaced = seq < self.replaced_at
            fresh = set(after(self._news, -1 if replaced else seq))
            order = self._rounds.by_key if len(fresh) > 1 else fresh
            return self.seq, replaced, [key for key in order if key in fresh]

    def beside(self, keys: Sequence[Key], held: dict[Place, RoundRecord] | None = None) -> Neighbourhood:
        """Some rounds of one run and class, in the order of their iterations, with those that they are compared with.

        Args:
            keys: of the rounds.
            held: records that need not be read again; afterwards those of this neighbourhood.
        """
        with self._lock:
            wanted = self._rounds.beside(keys) if any(key in self._rounds.by_key for key in keys) else []
        records = self.records(wanted, held, set(keys))
        with self._lock:
            run, since = keys[0].run, min((record.key.iteration for record in records), default=0)
            failed = [line for key, line in self._failed.items() if key.run == run and key.iteration >= since]
            earlier = {key: place.earlier for key in wanted if (place := self._rounds.by_key.get(key)) is not None}
        lines = [line for record in records for line in (*records_at(self.path, earlier.get(record.key, ())), record)]
        asked = set(keys)
        return Neighbourhood({record.key: record for record in records if record.key in asked}, lines, failed)

    def records(
        self,
        keys: Iterable[Key],
        held: dict[Place, RoundRecord] | None = None,
        whole: Container[Key] | None = None,
    ) -> list[RoundRecord]:
        """Measured rounds, read from the file; those that are no longer there are left out.

        Args:
            keys: of the rounds.
            held: records that need not be read again; afterwards those that are given back whole.
            whole: the rounds of which all is needed; others may come `without_errors`. None: of all of them.
        """
        with self._lock:
            places = {key: known.place for key in keys if (known := self._rounds.by_key.get(key)) is not None}
        held = {} if held is None else held
        bare = set() if whole is None else {p for key, p in places.items() if key not in whole and p not in held}
        fresh = (p for p in places.values() if p not in held)
        read = {record.key: record for record in records_at(self.path, fresh, bare)}
        found = {p: record for key, p in places.items() if (record := held.get(p) or read.get(key)) is not None}
        held.clear()
        held.update((p, record) for p, record in found.items() if p not in bare)
        return list(found.values())

    def record(self, key: Key) -> RoundRecord:
        """A measured round, read from the file.

        Raises:
            InputError: the log holds no such round.
        """
        found = self.records([key])
        if not found:
            raise InputError(f"{key}: the log holds no such round")
        return found[0]

    def before(self, key: Key) -> RoundRecord | None:
        """The last round of the same run and class before one; None where there is none, or it cannot be read any more."""
        with self._lock:
            earlier = self._rounds.history(key)[-1:]
        return next(iter(self.records(earlier)), None)

    def history(self, key: Key) -> list[RoundSummary]:
        """The rounds that one is compared with, by iteration."""
        with self._lock:
            return [self._rounds.by_key[one] for one in self._rounds.history(key)]

    def last(self, key: Key) -> RoundSummary | Failed | None:
        """The log's last word on a round."""
        with self._lock:
            return self._failed.get(key) or self._rounds.by_key.get(key)

    def summary(self, key: Key) -> RoundSummary | None:
        """What is known of the last measurement of a round."""
        with self._lock:
            return self._rounds.by_key.get(key)

    def series(self, key: Key) -> list[RoundSummary]:
        """The measured rounds of the run and class of ``key``, in the order of their iterations."""
        with self._lock:
            return [self._rounds.by_key[one] for one in self._rounds.series(key)]

    def summaries(self) -> list[RoundSummary]:
        """All measured rounds in the order of the log."""
        with self._lock:
            return list(self._rounds.by_key.values())

    def curves(self) -> list[CurveIdentity]:
        """All curves of the log in the order in which they came, each as it was in the newest round that has it."""
        with self._lock:
            return list(self._curves.values())

    def failures(self) -> list[Failed]:
        """The rounds that failed and have not been measured since."""
        with self._lock:
            return list(self._failed.values())
