"""A round in other programs' forms, and as EMDB wants it."""

import csv
import io
import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import cli
from gemmi import cif
from rounds_data import FREQUENCY, SHELLS, a_round, falling, healthy
from scipy.ndimage import gaussian_filter

from refine_hooks.errors import InputError
from refine_hooks.files.mrc import Map, read_map, write_map
from refine_hooks.log.checks import Checks, Share
from refine_hooks.log.file import append, read_journal
from refine_hooks.log.masks import MaskRecord
from refine_hooks.log.records import HalfMapsRecord, RoundRecord
from refine_hooks.model import Independence
from refine_hooks.report import deposit
from refine_hooks.report.deposit import constant_share, method_of, prepared
from refine_hooks.report.export import emdb_xml, export, relion_star

REGULARISED = HalfMapsRecord(origin="regularised", paths=("a", "b"), valid_shells=40)


def rows_as_emdb_s_checker_reads_them(text: str) -> tuple[list[float], list[float]]:
    """Row i is shell i; every child of the root must hold an x and a y, and anything else is an error."""
    children = list(ET.fromstring(text))
    assert {child.tag for child in children} == {"coordinate"}
    assert {tuple(part.tag for part in child) for child in children} == {("x", "y")}
    return [float(child.find("x").text) for child in children], [float(child.find("y").text) for child in children]  # type: ignore[union-attr,arg-type]


def test_the_emdb_xml_has_one_row_per_shell_from_shell_0_and_nothing_else() -> None:
    text = emdb_xml(healthy())
    x, y = rows_as_emdb_s_checker_reads_them(text)
    root = ET.fromstring(text)
    assert root.tag == "fsc"
    assert root.attrib == {
        "title": "refine_hooks automask_corrected",
        "xaxis": "Resolution (A-1)",
        "yaxis": "Correlation Coefficient",
    }
    assert np.allclose(x, FREQUENCY, atol=1e-6)
    assert np.allclose(y, falling(30), atol=1e-6)


def test_a_shell_without_a_value_keeps_its_row_and_the_unmeasured_end_has_none() -> None:
    curve = falling(30).copy()
    curve[0], curve[7], curve[45:] = np.nan, np.nan, np.nan
    x, y = rows_as_emdb_s_checker_reads_them(emdb_xml(a_round({"automask": curve, "automask_corrected": curve})))
    assert len(x) == 45
    assert (y[0], y[7]) == (1.0, 0.0)
    assert y[44] == pytest.approx(curve[44], abs=1e-6)


def test_no_xml_is_written_of_filtered_half_maps() -> None:
    with pytest.raises(InputError, match="no FSC of unfiltered, unmasked half maps"):
        emdb_xml(healthy(half_maps=REGULARISED))


def test_the_star_file_has_relion_s_columns_and_numbers() -> None:
    masks = (MaskRecord(name="automask", role="automask", path="masks/a mask.mrc", volume_A3=1.0, volume_fraction=0.1),)
    record = healthy(masks=masks)
    document = cif.read_string(relion_star(record))
    general = document.find_block("general")
    assert float(general.find_value("_rlnFinalResolution")) == pytest.approx(
        record.headline_curve().resolution_A, abs=1e-5
    )  # type: ignore[union-attr]
    assert cif.as_string(general.find_value("_rlnMaskName")) == "masks/a mask.mrc"
    assert float(general.find_value("_rlnRandomiseFrom")) == pytest.approx(1 / FREQUENCY[12], abs=1e-5)
    table = document.find_block("fsc").find("_rln", [*NAMES])
    assert len(table) == SHELLS
    numbers = np.array([[float(cell) for cell in row] for row in table])
    assert (numbers[0, 1], numbers[0, 2]) == (0.001001, 999.0)
    assert np.allclose(numbers[1:, 1], FREQUENCY[1:], atol=1e-6)
    assert np.allclose(numbers[:, 4], falling(26), atol=1e-6)
    assert np.allclose(numbers[:, 3], falling(30), atol=1e-6)
    assert np.allclose(numbers[:12, 6], falling(30)[:12], atol=1e-6), "below the onset RELION repeats the masked curve"
    assert np.allclose(numbers[12:, 6], 0)


NAMES = (
    "SpectralIndex",
    "Resolution",
    "AngstromResolution",
    "FourierShellCorrelationCorrected",
    "FourierShellCorrelationUnmaskedMaps",
    "FourierShellCorrelationMaskedMaps",
    "CorrectedFourierShellCorrelationPhaseRandomizedMaskedMaps",
)


def test_a_round_without_curves_of_its_own_has_no_star_file() -> None:
    with pytest.raises(InputError, match="no curves of its own half maps"):
        relion_star(a_round({"reported_fsc": falling(20)}, half_maps=None))


def test_csv_and_json_hold_every_curve() -> None:
    record = healthy()
    rows = list(csv.DictReader(io.StringIO(export(record, "csv"))))
    assert len(rows) == SHELLS
    assert {curve.name for curve in record.curves} <= set(rows[0])
    assert float(rows[20]["automask_corrected"]) == pytest.approx(falling(30)[20], abs=1e-6)
    assert RoundRecord.model_validate_json(export(record, "json")) == record
    with pytest.raises(InputError, match="emdb-xml, star, csv, json"):
        export(record, "pdf")


def halves(folder: Path, box_px: int = 32, voxel_size_A: float = 3.0) -> None:
    """Two half maps whose signal fades towards Nyquist below white noise."""
    rng = np.random.default_rng(5)
    z, y, x = np.indices((box_px,) * 3) - box_px // 2
    ball = np.exp(-((z / 4) ** 2 + (y / 5) ** 2 + (x / 8) ** 2))
    signal = gaussian_filter(ball * (1 + rng.normal(size=ball.shape)), 1.0)
    for name in ("one.mrc", "two.mrc"):
        noisy = signal + 0.02 * rng.normal(size=ball.shape)
        write_map(folder / name, Map(noisy.astype(np.float32), voxel_size_A), "test")


def measured_round(folder: Path, **more: Any) -> RoundRecord:
    """Two half maps measured from the command line; their record, with fields replaced in the log as well."""
    halves(folder)
    done = cli("measure", folder / "one.mrc", folder / "two.mrc", "--out", folder / "out")
    assert done.returncode == 0, done.stderr
    log = folder / "out" / "rounds.jsonl"
    record = read_journal(log).rounds[-1].model_copy(update=more)
    append(log, [record])
    return record


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("measured")
    measured_round(folder)
    return folder


def test_a_deposit_holds_half_maps_mask_fsc_and_the_numbers(measured: Path, tmp_path: Path) -> None:
    done = cli("deposit", "measure/0/1", "--log", measured / "out", "--out", tmp_path / "emdb")
    assert done.returncode == 0, done.stderr
    files = {path.name.split("class1_")[1]: path for path in (tmp_path / "emdb").iterdir()}
    assert set(files) == {"half_map_1.mrc", "half_map_2.mrc", "mask.mrc", "fsc.xml", "deposition.txt"}
    assert done.stdout.split() == [str(path) for path in map(Path, done.stdout.split()) if path.is_file()]
    assert files["half_map_1.mrc"].read_bytes() == (measured / "one.mrc").read_bytes()
    record = read_journal(measured / "out" / "rounds.jsonl").rounds[0]
    text = files["deposition.txt"].read_text()
    curve, mask = record.headline_curve(), record.mask("automask")
    assert curve is not None
    assert mask is not None
    for fact in (
        "FSC 0.143 CUT-OFF",
        curve.name,
        f"{curve.resolution_A:.2f} A",
        str(mask.sha256),
        "as given",
        "not tested",
    ):
        assert fact in text
    rows_as_emdb_s_checker_reads_them(files["fsc.xml"].read_text())
    again = cli("deposit", "measure/0/1", "--log", measured / "out", "--out", tmp_path / "emdb")
    assert (again.returncode, again.stderr.count("is there already")) == (1, 5)
    assert (
        cli("deposit", "measure/0/1", "--log", measured / "out", "--out", tmp_path / "emdb", "--overwrite").returncode
        == 0
    )


def refused(record: RoundRecord, folder: Path) -> str:
    with pytest.raises(InputError) as error:
        prepared(record, folder)
    return str(error.value)


MASKED = HalfMapsRecord(origin="found", paths=("a", "b"), masked="mask")


@pytest.mark.parametrize(
    ("half_maps", "why"),
    [
        (None, "has no half maps"),
        (REGULARISED, "are filtered"),
        (HalfMapsRecord(origin="merged", paths=None), "were removed"),
        (
            HalfMapsRecord(origin="merged", paths=("a", "b"), joined_below_A=40.0),
            "one map up to 40 A",
        ),
        (HalfMapsRecord(origin="merged", paths=("a", "b")), "a: cannot be read"),
        (MASKED, "were multiplied by a mask before, as is stated of them"),
        (MASKED.model_copy(update={"masked_by": "M's sphere"}), "before, as test states (M's sphere), and EMDB"),
        (HalfMapsRecord(origin="found", paths=("a", "b"), independence="one_set_of_poses"), "one set of poses"),
        (HalfMapsRecord(origin="merged", paths=("a", "b"), independence="shared_reference"), "consistency only"),
    ],
)
def test_half_maps_that_the_record_finds_fault_with_are_refused(
    half_maps: HalfMapsRecord | None, why: str, tmp_path: Path
) -> None:
    assert why in refused(healthy(half_maps=half_maps, masks=()), tmp_path)


@pytest.mark.parametrize(
    ("masked_by", "says"), [(None, "as their noise shows"), ("M's sphere", "states (M's sphere) and their noise shows")]
)
def test_it_is_said_whose_word_a_mask_is(masked_by: str | None, says: str, tmp_path: Path) -> None:
    halves = MASKED.model_copy(update={"masked_by": masked_by})
    assert says in refused(healthy(half_maps=halves, masks=(), checks=Checks(noise_outside=1e-9)), tmp_path)


def test_halves_of_one_reference_are_refused_unless_they_end_beyond_its_limit(tmp_path: Path) -> None:
    halves = HalfMapsRecord(origin="merged", paths=("a", "b"), independence="shared_reference")
    for limit_A, why in ((5.0, "aligned to one reference up to 5.00 A"), (20.0, "a: cannot be read")):
        assert why in refused(healthy(half_maps=halves, masks=(), alignment_limit_A=limit_A), tmp_path)


def test_halves_of_a_classification_are_refused_beyond_the_limit_of_its_reference_too(tmp_path: Path) -> None:
    halves = HalfMapsRecord(origin="reconstructed", paths=("a", "b"), independence="shared_reference")
    record = healthy(half_maps=halves, masks=(), alignment_limit_A=20.0, program="relion")
    assert "aligned to one reference up to 20.00 A" in refused(record, tmp_path)


@pytest.mark.parametrize(("independence", "said"), [("unknown", True), ("shared_reference", False)])
def test_what_is_known_of_the_halves_is_not_said_to_be_unknown(independence: Independence, said: bool) -> None:
    halves = HalfMapsRecord(origin="merged", paths=("a", "b"), independence=independence)
    assert ("not known" in " ".join(deposit._halves(halves, "cistem"))) is said


def test_halves_whose_corners_are_masked_are_not_called_unmasked() -> None:
    said = " ".join(
        deposit._halves(HalfMapsRecord(origin="found", paths=("a", "b"), masked="inscribed_sphere"), "files")
    )
    assert "masked by the sphere inscribed in the box" in said
    assert "not masked" not in said


def test_halves_that_share_noise_or_do_not_superimpose_are_refused(tmp_path: Path) -> None:
    shared = Checks(shift_px=(1.0, 0.0, 0.0), shift_sd_px=0.1, common_noise_share=Share(value=0.03, sd=0.002))
    why = refused(healthy(masks=(), checks=shared), tmp_path)
    assert "is shifted by 1.00 voxels" in why
    assert "share 3.0 % of their noise" in why


def test_files_that_are_not_what_was_measured_are_refused(measured: Path, tmp_path: Path) -> None:
    log = measured / "out" / "rounds.jsonl"
    record = read_journal(log).rounds[-1]
    one, two = (read_map(measured / name) for name in ("one.mrc", "two.mrc"))
    rng = np.random.default_rng(3)
    z, y, x = np.indices(one.voxels.shape) - 16
    ball = (z**2 + y**2 + x**2 < 100).astype(np.float32)

    def with_files(first: Map, second: Map) -> str:
        for name, volume in (("1.mrc", first), ("2.mrc", second)):
            write_map(tmp_path / name, volume, "test")
        paths = (str(tmp_path / "1.mrc"), str(tmp_path / "2.mrc"))
        return refused(record.model_copy(update={"half_maps": HalfMapsRecord(origin="found", paths=paths)}), log.parent)

    assert "are the same map" in with_files(one, one)
    noisy = Map(two.voxels + rng.normal(size=two.voxels.shape).astype(np.float32), 3.0)
    assert "were changed after they were measured" in with_files(one, noisy)
    assert "one constant: it is masked" in with_files(Map(one.voxels * ball, 3.0), Map(two.voxels * ball, 3.0))
    assert "states voxels of 2 x 2 x 2 A, the record 3 A" in with_files(Map(one.voxels, 2.0), Map(two.voxels, 2.0))


def test_a_mask_that_changed_since_is_refused(tmp_path: Path) -> None:
    record = measured_round(tmp_path)
    mask = tmp_path / "out" / str(record.mask("automask").path)  # type: ignore[union-attr]
    write_map(mask, Map(np.ones((32,) * 3, np.float32), 3.0), "another")
    assert "another SHA-256" in refused(record, tmp_path / "out")
    mask.unlink()
    assert "is gone" in refused(record, tmp_path / "out")


def test_a_sphere_that_touches_the_box_is_no_mask() -> None:
    z, y, x = np.indices((48,) * 3) - 24
    noise = np.random.default_rng(1).normal(size=(48,) * 3).astype(np.float32)
    inside = (z**2 + y**2 + x**2) < 24**2
    assert constant_share(Map(noise, 1.0)) < 1e-4
    assert 0.4 < constant_share(Map(np.where(inside, noise, 0), 1.0)) < 0.55
    tight = (z**2 + y**2 + x**2) < 20**2
    assert constant_share(Map(np.where(tight, noise, 0), 1.0)) > 0.55


@pytest.mark.parametrize(
    ("threshold", "method"),
    [(0.143, "FSC 0.143 CUT-OFF"), (0.5, "FSC 0.5 CUT-OFF"), (0.333, "FSC 0.33 CUT-OFF"), (0.2, "OTHER")],
)
def test_the_method_is_emdb_s_word_for_the_threshold(threshold: float, method: str) -> None:
    from refine_hooks import curves

    assert method_of(curves.curve("sphere", "sphere", falling(30), FREQUENCY, threshold=threshold)) == method


def test_the_log_of_an_export_may_be_the_project_s_folder(tmp_path: Path) -> None:
    (tmp_path / "refine_hooks").mkdir(exist_ok=True)
    append(tmp_path / "refine_hooks" / "rounds.jsonl", [healthy()])
    done = cli("export", tmp_path, "--round", "run/1/1", "--as", "json")
    assert json.loads(done.stdout)["label"] == "Round 1"
    wrong = cli("export", tmp_path, "--round", "run/9/1", "--as", "csv")
    assert (wrong.returncode, "it holds: run/1/1" in wrong.stderr) == (1, True)
