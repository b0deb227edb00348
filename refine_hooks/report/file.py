"""The report of a log as one file, which may be written again and again: what the page shows of a round is made once.

All rounds are listed. The newest `ROUNDS_WITH_CURVES` have their curves and `ROUNDS_WITH_PICTURES` their pictures; so have the
newest of the older rounds that the audit warns of.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Any, Protocol

from refine_hooks.audit.reading import Finding, counted
from refine_hooks.log.file import Journal, Place
from refine_hooks.log.folder import Store
from refine_hooks.log.records import RoundRecord, Start, now
from refine_hooks.log.summary import RoundSummary, summary_of
from refine_hooks.model import Key
from refine_hooks.report import data, page
from refine_hooks.report.kept import Kept

ROUNDS_WITH_CURVES, WARNED_WITH_CURVES = 250, 50
ROUNDS_WITH_PICTURES, WARNED_WITH_PICTURES = 50, 10
PICTURE_BYTES = 3_500_000  # of all pictures in one report, in base64
_DETAIL, _PICTURES = 4, 6  # pieces of a round's element (`refine_hooks.report.page.of_round`)

Row = dict[str, Any]


class Source(Protocol):
    """What a report is made from; a whole log in memory, or one that is followed."""

    def head(self) -> dict[str, Any]:
        """See `refine_hooks.report.page.head`."""

    def rows(self) -> Sequence[Row]:
        """One row a round (`refine_hooks.report.data.row`) in the order of the log; the same object while nothing changes."""

    def details(self, keys: Iterable[Key]) -> Iterable[tuple[Key, dict[str, Any]]]:
        """The details of rounds (`refine_hooks.report.data.detail`); afterwards their rows count what was found."""


@dataclass(slots=True)
class _Part:
    """What a report holds of one round, as JSON, or where that stands in the report that was written last."""

    row: Row
    row_json: bytes
    detail: bytes | Place | None = None
    pictures: bytes | Place | None = None


@dataclass(slots=True)
class Report:
    """A report and its parts, kept from one writing to the next: the large ones in the report itself.

    Attributes:
        store: where the pictures are, and where it is written.
    """

    store: Store
    _parts: dict[str, _Part] = field(default_factory=dict)
    _places: dict[str, tuple[Place, Place | None]] = field(
        default_factory=dict
    )  # of details and pictures, as written now
    _kept: Kept = field(init=False)

    def __post_init__(self) -> None:
        self._kept = Kept(self.store.report)

    def write(self, source: Source) -> Path:
        """Write ``report.html`` whole or not at all.

        Raises:
            StorageError: the disk is full, read-only or gone.
        """
        self.store.write_parts(self.store.report, self.parts(source))
        if self._kept.written():
            for key, (detail, pictures) in self._places.items():
                self._parts[key].detail, self._parts[key].pictures = detail, pictures
        return self.store.report

    def parts(self, source: Source) -> Iterator[bytes]:
        """The report as one self-contained HTML document, in pieces of UTF-8."""
        with self._kept.opened() as as_written:
            if not as_written:
                self._forget_kept()
            self._make_details(source)
            rows, head = source.rows(), source.head()
            self._take(rows)
            document = page.document(head["title"], "file")
            written_at = now().isoformat(timespec="seconds")
            begin = (
                document.before.encode(),
                page.json_in_html({**head, "id": "0", "written_at": written_at})[:-1] + b',"rows":',
                page.packed_json(_listed(self._parts[row["key"]].row_json for row in rows), level=1),
                b"}" + document.between.encode(),
            )
            yield from begin
            yield from self._details(rows, sum(map(len, begin)))
            yield document.after.encode()

    def _forget_kept(self) -> None:
        """The report is not there any more as it was written: what stood in it is made anew."""
        for part in self._parts.values():
            part.detail = part.detail if isinstance(part.detail, bytes) else None
            part.pictures = part.pictures if isinstance(part.pictures, bytes) else None

    def _make_details(self, source: Source) -> None:
        """Make what is lacking; which rounds are warned of is only known once they have been audited, so look twice."""
        for _ in range(2):
            rows = source.rows()
            self._take(rows)
            lacking = {row["key"]: row for row in _with_curves(rows) if self._parts[row["key"]].detail is None}
            if not lacking:
                return
            details = source.details([Key.parse(key) for key in lacking])
            made = {str(key): page.packed_json([page.json_in_html(detail)]) for key, detail in details}
            self._take(source.rows())
            for key, detail in made.items():
                self._parts[key].detail = detail

    def _take(self, rows: Iterable[Row]) -> None:
        """Keep the parts of rounds that are as they were, and forget those of rounds that were measured or judged anew."""
        before, self._parts = self._parts, {}
        for row in rows:
            part = before.get(row["key"])
            if part is None or part.row is not row:
                part = _Part(row, page.json_in_html(row))
            self._parts[row["key"]] = part

    def _details(self, rows: Sequence[Row], offset: int) -> Iterator[bytes]:
        """The details of all rounds that have any, each an element, with pictures as long as there is room for them.

        Args:
            rows: of all rounds.
            offset: where the first one stands in the report.
        """
        room, shown, illustrated = PICTURE_BYTES, _with_curves(rows), _illustrated(rows)
        for key in self._parts.keys() - {row["key"] for row in shown}:
            self._parts[key].detail = self._parts[key].pictures = None
        self._places = {}
        for row in shown:
            part = self._parts[row["key"]]
            if part.detail is None:
                continue
            if row["key"] not in illustrated or room <= 0:
                part.pictures = None
            elif part.pictures is None:
                part.pictures = self._pictures(row)
            pictures = None if part.pictures is None else self._bytes_of(part.pictures)
            room -= len(pictures or b"")
            seen = (b',"seen":', pictures) if pictures else ()
            element = page.of_round(row["key"], b'{"detail":', self._bytes_of(part.detail), *seen, b"}")
            *starts, offset = accumulate(map(len, element), initial=offset)
            places = list(zip(starts, map(len, element), strict=True))
            self._places[row["key"]] = places[_DETAIL], places[_PICTURES] if seen else None
            yield from element

    def _bytes_of(self, part: bytes | Place) -> bytes:
        return part if isinstance(part, bytes) else self._kept.piece(part)

    def _pictures(self, row: Row) -> bytes:
        """The pictures, but for those that the page draws from the volume."""
        shown = page.pictures(self.store, Key.parse(row["key"]), row["label"], page.embedded)
        if shown["volume"]:
            shown["pictures"] = [one for one in shown["pictures"] if one["kind"] != "slices"]
        return page.json_in_html(shown)


def _listed(members: Iterable[bytes]) -> Iterator[bytes]:
    """A JSON list in pieces."""
    yield b"["
    for number, member in enumerate(members):
        yield b"," + member if number else member
    yield b"]"


def _with_curves(rows: Sequence[Row]) -> list[Row]:
    """The newest rounds, then the newest of the older ones that the audit warns of."""
    return [*reversed(rows[-ROUNDS_WITH_CURVES:]), *reversed(_warned(rows[:-ROUNDS_WITH_CURVES], WARNED_WITH_CURVES))]


def _illustrated(rows: Sequence[Row]) -> set[str]:
    warned = _warned(rows[:-ROUNDS_WITH_PICTURES], WARNED_WITH_PICTURES)
    return {row["key"] for row in (*rows[-ROUNDS_WITH_PICTURES:], *warned)}


def _warned(rows: Sequence[Row], most: int) -> list[Row]:
    """The newest rounds that the audit is known to warn of."""
    return [row for row in rows if row["found"] and row["found"][0]][-most:]


@dataclass(frozen=True, slots=True)
class _WholeLog:
    """A log in memory, with the findings of all its rounds."""

    out: Path
    log: Journal
    rounds: Mapping[Key, RoundRecord]
    found: Mapping[str, Sequence[Finding]]
    all_rows: Sequence[Row]
    summaries: Sequence[RoundSummary]

    def head(self) -> dict[str, Any]:
        starts = [line for line in self.log.lines if isinstance(line, Start)]
        curves = {curve.name: curve.identity for summary in self.summaries for curve in summary.curves}
        start, measured = starts[-1] if starts else None, {str(key) for key in self.rounds}
        found = {name: findings for name, findings in self.found.items() if name not in measured}
        return page.head(self.out, curves.values(), self.log.failures, self.log.faults, start, found)

    def rows(self) -> Sequence[Row]:
        return self.all_rows

    def details(self, keys: Iterable[Key]) -> Iterable[tuple[Key, dict[str, Any]]]:
        before = data.standings(self.summaries)
        return ((key, data.detail(self.rounds[key], before[key], self.found[str(key)])) for key in keys)


def report_html(store: Store, journal: Journal, findings: Sequence[Finding]) -> str:
    """The report of a whole log that was read into memory."""
    found = page.grouped(findings)
    rounds = {record.key: record for record in journal.rounds}
    summaries = [summary_of(record) for record in rounds.values()]
    rows = [data.row(summary, counted(found[str(summary.key)])) for summary in summaries]
    log = _WholeLog(store.out, journal, rounds, found, rows, summaries)
    return b"".join(Report(store).parts(log)).decode()
