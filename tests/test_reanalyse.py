"""Rounds that were logged without the further measurements get them from the half maps that are still on disk."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from heard import hear
from scipy.ndimage import gaussian_filter

from refine_hooks.audit import audit
from refine_hooks.cli._measure import measure_files
from refine_hooks.files.mrc import Map, read_map, write_map
from refine_hooks.log.file import Journal, append, read_journal
from refine_hooks.log.folder import Store
from refine_hooks.log.index import LogIndex
from refine_hooks.log.records import RoundRecord
from refine_hooks.reanalyse import Analyses
from refine_hooks.settings import Settings, load_settings

BOX, VOXEL_A = 40, 3.0


def a_log(folder: Path, full: bool = False, noise: float = 0.3) -> Store:
    """A log of one measured pair, with everything that measuring leaves on disk."""
    rng = np.random.default_rng(5)
    z, y, x = np.indices((BOX,) * 3) - BOX // 2
    ball = np.exp(-(((z / 5) ** 2 + (y / 6) ** 2 + (x / 9) ** 2) ** 2))
    signal = ball * (2 + 8 * gaussian_filter(rng.normal(size=ball.shape), 1.2))
    paths = folder / "one.mrc", folder / "two.mrc"
    for path in paths:
        half = signal + noise * rng.normal(size=ball.shape)
        write_map(path, Map(half.astype(np.float32), VOXEL_A), "test")
    measure_files(*paths, [], 0.0, 0.0, folder / "out", None, full, True)
    return Store(folder / "out")


def visited(store: Store, settings: Settings | None = None) -> tuple[Journal, list[str]]:
    said = hear()
    index = LogIndex(store.log)
    index.read()
    analyses = Analyses(store)
    analyses.analyse(index, settings or Settings())
    records = index.records(summary.key for summary in index.summaries())
    return Journal(tuple(analyses.completed(record) for record in records)), said


def the_round(journal: Journal) -> RoundRecord:
    (record,) = journal.rounds
    return record


def test_a_full_measurement_is_in_the_record_and_its_sharpened_map_on_disk(tmp_path: Path) -> None:
    store = a_log(tmp_path, full=True)
    record = the_round(read_journal(store.log))
    analysis = record.analysis
    assert analysis.mask == "automask"
    assert 0 < analysis.cfar <= 1
    assert analysis.half_bit_A < 40
    assert len(analysis.fdr_q) == len(record.frequency_per_A) == len(analysis.conical_mean)
    made = read_map(store.out / analysis.sharpened_path)
    assert made.voxels.shape == (BOX,) * 3
    assert float(made.voxels.std()) > 0


def numbers_in(told: Any, name: str = "") -> dict[str, Any]:
    """All numbers of what a model holds, each with where it stands."""
    if isinstance(told, dict | list | tuple):
        parts = told.items() if isinstance(told, dict) else enumerate(told)
        return {at: number for key, one in parts for at, number in numbers_in(one, f"{name}.{key}").items()}
    return {name: np.array(told, np.float64) if isinstance(told, int | float | None) else told}


def test_a_log_without_it_is_analysed_as_if_it_had_been_asked_for_and_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    asked = the_round(read_journal(a_log(tmp_path / "full", full=True).log)).analysis
    store = a_log(tmp_path)
    before = store.log.read_bytes()
    journal, said = visited(store)
    assert len(said) == 1
    found = the_round(journal).analysis
    exclude = {"sharpened_path", "mask"}
    told, made = (numbers_in(each.model_dump(exclude=exclude)) for each in (found, asked))
    assert list(told) == list(made)
    for name, value in made.items():
        if isinstance(value, str):
            assert told[name] == value
        else:
            np.testing.assert_allclose(told[name], value, rtol=1e-5, atol=1e-6, err_msg=name)
    assert store.log.read_bytes() == before


def test_it_is_made_once_and_made_again_when_a_half_map_has_changed(tmp_path: Path) -> None:
    store = a_log(tmp_path)
    first, _ = visited(store)
    second, said = visited(store)
    assert said == []
    assert the_round(second).analysis == the_round(first).analysis
    half = tmp_path / "one.mrc"
    write_map(half, Map(read_map(half).voxels[::-1].copy(), VOXEL_A), "turned")
    third, said = visited(store)
    assert len(said) == 1
    assert the_round(third).analysis != the_round(first).analysis


def test_a_torn_file_beside_the_log_is_made_again(tmp_path: Path) -> None:
    store = a_log(tmp_path)
    visited(store)
    record = the_round(read_journal(store.log))
    path = store.analysis_path(record.key, record.label)
    path.write_text(path.read_text()[:100])
    journal, said = visited(store)
    assert len(said) == 1
    assert the_round(journal).analysis is not None
    assert json.loads(path.read_text())["analysis"]["cfar"] == the_round(journal).analysis.cfar


def test_without_its_half_maps_or_with_another_mask_a_round_stays_as_it_was_logged(tmp_path: Path) -> None:
    store = a_log(tmp_path)
    record = the_round(read_journal(store.log))
    mask = store.out / record.mask("automask").path
    write_map(mask, Map(np.ones((BOX,) * 3, np.float32), VOXEL_A), "another")
    journal, said = visited(store)
    assert the_round(journal).analysis is None
    assert "it has changed" in said[-1]
    (tmp_path / "two.mrc").unlink()
    journal, said = visited(store)
    assert (the_round(journal).analysis, said) == (None, [])


def test_no_more_rounds_than_allowed_are_analysed_and_the_rest_is_said(tmp_path: Path) -> None:
    store = a_log(tmp_path)
    record = the_round(read_journal(store.log))
    lines = tuple(
        record.model_copy(update={"key": record.key.model_copy(update={"iteration": n}), "label": f"round {n}"})
        for n in (2, 3)
    )
    append(store.log, lines)
    none = load_settings(overrides={"audit": {"analyse_at_most": 0}})
    assert all(record.analysis is None for record in visited(store, none)[0].rounds)
    journal, said = visited(store, load_settings(overrides={"audit": {"analyse_at_most": 1}}))
    assert [r.key.iteration for r in journal.rounds if r.analysis is not None] == [3]
    assert "older rounds are not analysed yet" in said[-1]


def test_the_audit_warns_of_a_ratio_below_its_limit_only_where_chance_would_not_do_it(tmp_path: Path) -> None:
    record = the_round(read_journal(a_log(tmp_path, full=True).log))
    for by_chance, words in ((0.6, 1), (0.2, 0)):
        analysis = record.analysis.model_copy(update={"cfar": 0.3, "cfar_by_chance": by_chance})
        older = record.model_copy(update={"analysis": analysis, "checks": None})
        findings = audit([older])
        assert sum(finding.rule == "anisotropy" for finding in findings) == words
