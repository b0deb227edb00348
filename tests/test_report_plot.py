"""Figures for a paper: what stands in them, and what is said when they cannot be made."""

import re
import sys
from pathlib import Path

import live_logs
import pytest
from rounds_data import healthy
from typer.testing import CliRunner

from refine_hooks.cli._commands import application
from refine_hooks.errors import InputError
from refine_hooks.log.particles import MoreParticles, SubsetPoint, Substitution
from refine_hooks.log.records import HalfMapsRecord, RoundRecord
from refine_hooks.report.plot import _alike, plot_curves, plot_resolutions
from refine_hooks.report.what_helps import Beyond, words_of
from refine_hooks.report.words import title_of


@pytest.fixture(scope="module")
def log(three_rounds: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return live_logs.copied(three_rounds, tmp_path_factory.mktemp("plotted") / "project")


@pytest.fixture(scope="module")
def last(log: Path) -> RoundRecord:
    return live_logs.rounds_of(log)[-1]


def text_of(svg: Path) -> str:
    return " ".join(re.findall(r"<text[^>]*>([^<]*)</text>", svg.read_text(encoding="utf-8")))


def test_the_text_of_a_vector_figure_is_text_with_both_units_and_the_numbers(tmp_path: Path, last: RoundRecord) -> None:
    plot_curves(last, tmp_path / "fsc.svg")
    text = text_of(tmp_path / "fsc.svg")
    for words in ("spatial frequency (Å⁻¹)", "resolution (Å)", "0.143", "phase-randomised FSC"):
        assert words in text
    for name in ("sphere", "automask_corrected"):
        curve = last.curve(name)
        assert curve is not None
        assert f"{title_of(last, curve)} ({curve.resolution_A:.2f} Å)" in text
    assert "unmasked" not in text
    assert "<image" not in (tmp_path / "fsc.svg").read_text()


def test_a_figure_is_the_same_every_time(tmp_path: Path, last: RoundRecord) -> None:
    for kind in ("svg", "pdf", "png"):
        for name in ("a", "b"):
            plot_curves(last, tmp_path / f"{name}.{kind}")
        assert (tmp_path / f"a.{kind}").read_bytes() == (tmp_path / f"b.{kind}").read_bytes()
    assert (tmp_path / "a.pdf").read_bytes().startswith(b"%PDF")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    assert b"/Type3" not in (tmp_path / "a.pdf").read_bytes().replace(b" ", b"")


def test_a_round_is_compared_with_another_and_curves_are_chosen(tmp_path: Path, log: Path) -> None:
    first, _, third = live_logs.rounds_of(log)
    plot_curves(third, tmp_path / "c.svg", ["automask_corrected"], first, logarithmic=True)
    text = text_of(tmp_path / "c.svg")
    assert "automask, corrected, it1" in text
    assert "sphere" not in text


def test_resolution_by_round_names_every_round_and_both_units(tmp_path: Path, log: Path) -> None:
    plot_resolutions(live_logs.rounds_of(log), tmp_path / "r.svg")
    text = text_of(tmp_path / "r.svg")
    for words in ("it1", "it2", "it3", "resolution (Å)", "spatial frequency (Å⁻¹)", "automask, corrected"):
        assert words in text


def test_what_cannot_be_drawn_is_said_and_leaves_no_file(tmp_path: Path, log: Path, last: RoundRecord) -> None:
    with pytest.raises(InputError, match="svg"):
        plot_curves(last, tmp_path / "fsc.jpeg")
    with pytest.raises(InputError, match="automask_corrected"):
        plot_curves(last, tmp_path / "fsc.png", ["no_such"])
    with pytest.raises(InputError, match="no_such"):
        plot_resolutions(live_logs.rounds_of(log), tmp_path / "r.png", ["no_such"])
    assert list(tmp_path.iterdir()) == []


def test_missing_matplotlib_is_a_clear_error(
    tmp_path: Path, last: RoundRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(InputError, match=r"refine_hooks\[plot\]"):
        plot_curves(last, tmp_path / "fsc.png")


def test_the_command_draws_what_it_is_asked_for(tmp_path: Path, log: Path) -> None:
    run = CliRunner()
    done = run.invoke(
        application(),
        ["plot", str(log), "--round", "run/3/1", "--compare", "run/1/1", "--out", f"{tmp_path / 'f.pdf'}"],
    )
    assert (done.exit_code, done.output.strip()) == (0, str(tmp_path / "f.pdf"))
    assert run.invoke(application(), ["plot", str(log), "--out", f"{tmp_path / 'r.svg'}"]).exit_code == 0
    for wrong, words in (
        (["--compare", "run/1/1"], "LOG ROUND"),
        (["--round", "run/9/1"], "run/3/1"),
        (["--round", "run/3/1", "--local", "--directions"], "one at a time"),
        (["--track", "run/2"], "run/1"),
    ):
        failed = run.invoke(application(), ["plot", str(log), *wrong])
        assert failed.exit_code
        assert words in f"{failed.exception}{failed.output}"


def test_the_command_draws_what_lies_beyond_one_number_and_says_what_it_means(
    tmp_path: Path, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    moved = live_logs.copied(log, tmp_path / "project")
    last = live_logs.rounds_of(moved)[-1]
    shells = tuple(0.5 for _ in last.frequency_per_A)
    known = {
        "more_particles": MoreParticles(
            mask="automask", threshold=0.143, resolution_A=8, b_factor_A2=200, b_factor_sd_A2=20, fit_A=(10, 8),
            points=(SubsetPoint(particles=100, resolution_A=12),), targets=(), doubled_A=7.5, doubled_interval_A=(7.6, 7.4),
        ),
        "substitution": Substitution(
            from_A=8, to_A=7, fsc=0.2, substituted_fsc=0, coherent=0.2, coherent_sd=0.01, fitted_noise=0, fitted_noise_sd=0.01,
            correlation=shells, substituted_correlation=shells, coherent_share=shells,
        ),
    }  # fmt: skip
    bare = live_logs.another_round(moved, 8)
    full = live_logs.another_round(moved, 9, **known)
    asked: tuple[Beyond, ...] = ("substitution", "particles")
    for what in asked:
        done = CliRunner().invoke(application(), ["plot", "project", str(full.key), f"--{what}", "--width", "6"])
        name, *said = done.output.splitlines()
        assert (tmp_path / name).stat().st_size > 1000
        assert said == words_of(full, what) != []
    for what in asked:
        failed = CliRunner().invoke(application(), ["plot", "project", str(bare.key), f"--{what}"])
        assert str(bare.key) in str(failed.exception)


def test_the_threshold_that_is_drawn_is_the_one_that_the_curves_were_read_at(tmp_path: Path) -> None:
    record = healthy(1, 30)
    curves = tuple(curve.model_copy(update={"threshold": 0.37}) for curve in record.curves)
    plot_curves(record.model_copy(update={"curves": curves}), tmp_path / "fsc.svg")
    drawn = (tmp_path / "fsc.svg").read_text()
    assert ">0.37<" in drawn
    assert ">0.143<" not in drawn


def test_a_line_joins_only_rounds_that_were_read_alike() -> None:
    merged, found = (HalfMapsRecord(origin=origin, paths=("a", "b")) for origin in ("merged", "found"))
    rounds = [healthy(1, half_maps=merged), healthy(2, half_maps=found), healthy(3, half_maps=merged)]
    groups = _alike(list(enumerate(rounds)), "automask_corrected")
    assert [[at for at, _ in group] for group in groups] == [[0, 2], [1]]
