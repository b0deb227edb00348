"""A log of schema 1 is read for ever; a reader passes over fields that it does not know, and a writer writes none."""

import gzip
import json
from pathlib import Path

import pytest
from pydantic import ValidationError
from rounds_data import healthy

from refine_hooks.audit import audit
from refine_hooks.log.file import Journal, read_journal
from refine_hooks.log.lines import parsed_line
from refine_hooks.log.records import Failed, RoundRecord

DATA = Path(__file__).parent / "data"


def lines_of(name: str) -> list[bytes]:
    return gzip.decompress((DATA / name).read_bytes()).splitlines()


@pytest.fixture
def old(tmp_path: Path) -> Journal:
    path = tmp_path / "rounds.jsonl"
    path.write_bytes(gzip.decompress((DATA / "log_schema1.jsonl.gz").read_bytes()))
    return read_journal(path)


def test_every_line_of_a_log_of_schema_1_is_read_as_it_always_was(old: Journal) -> None:
    assert old.faults == ()
    expected = lines_of("log_schema1_read.jsonl.gz")
    assert [json.loads(line.model_dump_json(exclude_none=True)) for line in old.lines] == [
        json.loads(text) for text in expected
    ]


def test_what_stood_in_names_and_sentences_is_in_fields(old: Journal) -> None:
    first, _, start, filtered, final = old.rounds
    scaled, stated = first.curve("sphere_scaled"), filtered.curve("reported_gold_standard")
    assert scaled is not None
    assert stated is not None
    assert (scaled.kind, scaled.mask, scaled.volume_fraction) == ("scaled", "sphere", 0.01895)
    assert (stated.kind, stated.made, stated.threshold, stated.resolution_A) == ("reported", "fsc", 0.5, 24.0)
    assert (first.headline, first.headline_withheld) == ("automask_corrected", ())
    assert (filtered.headline, filtered.headline_withheld) == ("reported_gold_standard", ("filtered",))
    assert [warning.code for warning in filtered.program_warnings] == ["fsc_rises_again"]
    assert [record.half_maps.masked for record in (first, filtered, final) if record.half_maps] == [
        "none",
        "sphere",
        "inscribed_sphere",
    ]
    assert (first.number, start.number) == (1, 0)
    assert isinstance(old.lines[-1], Failed)


def test_a_log_of_schema_1_is_audited_like_one_of_today(old: Journal) -> None:
    rules = {finding.rule for finding in audit(old)}
    assert {"scaled_curve", "program_warning", "failed_round"} <= rules


def test_a_field_of_a_later_version_is_passed_over_when_read_and_refused_when_written() -> None:
    table = json.loads(healthy().model_dump_json())
    table["tomorrow"] = table["curves"][0]["tomorrow"] = 1
    assert parsed_line(json.dumps(table).encode()) == healthy().model_copy(
        update={"measured_at": RoundRecord.model_validate(table, extra="ignore").measured_at}
    )
    with pytest.raises(ValidationError, match="tomorrow"):
        RoundRecord.model_validate(table)
