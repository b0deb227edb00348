"""The report: one closed file of bounded size, right about what it shows, and plain in what it says."""

import base64
import hashlib
import json
import re
import zlib
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any

import live_logs
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

from refine_hooks.analysis.views import Views, with_mates
from refine_hooks.audit import all_texts, audit, texts_of
from refine_hooks.audit.reading import Finding
from refine_hooks.log.file import Journal, read_journal
from refine_hooks.log.folder import Store
from refine_hooks.log.headline import with_headline
from refine_hooks.log.records import HalfMapsRecord, RoundRecord
from refine_hooks.report import data, directions, file, pictures
from refine_hooks.report.meaning import in_words
from refine_hooks.report.window import window
from refine_hooks.report.words import Standing, round_name, standing, verdict

FINDINGS = (Path(__file__).resolve().parent.parent / "refine_hooks/guide/explanation/curves.md").read_text(
    encoding="utf-8"
)


@pytest.fixture(scope="module")
def log(three_rounds: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return live_logs.copied(three_rounds, tmp_path_factory.mktemp("reported") / "project")


@pytest.fixture(scope="module")
def last(log: Path) -> RoundRecord:
    return live_logs.rounds_of(log)[-1]


def html_of(log: Path) -> str:
    journal = read_journal(log)
    return file.report_html(Store(log.parent), journal, audit(journal))


def content_of(html: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', html, re.S)
    assert found is not None
    (told,) = json.loads(found[1])["logs"]
    told["rows"] = unpacked(told["rows"])
    rounds = re.findall(r'<script type="application/json" data-round="(.*?)">(.*?)</script>', html, re.S)
    held = {unescape(key): json.loads(element) for key, element in rounds}
    return {**told, "details": {key: {**unpacked(one["detail"]), **one.get("seen", {})} for key, one in held.items()}}


def unpacked(held: dict[str, Any]) -> Any:
    text = zlib.decompress(base64.b64decode(held["deflated"]), -zlib.MAX_WBITS)
    assert len(text) == held["size"]
    return json.loads(text)


# --- the file ---------------------------------------------------------------------------------------------------------


def test_the_page_needs_nothing_but_itself(log: Path) -> None:
    html = html_of(log)
    markup = re.sub(r"<(script|style)\b.*?</\1>", "", html, flags=re.S)
    assert re.findall(r'(?:src|href)="(?!data:|#)', markup) == []
    assert "@import" not in html


def test_the_policy_lets_run_what_the_page_holds_and_nothing_else(log: Path) -> None:
    html = html_of(log)
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html)
    assert policy is not None
    assert policy[1].startswith("default-src 'none'")
    assert "unsafe" not in policy[1]
    for element, kind in (("script", r"<script>(.*?)</script>"), ("style", r"<style>(.*?)</style>")):
        (text,) = re.findall(kind, html, re.S)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{element}-src 'sha256-{digest}'" in policy[1]


def test_every_round_is_listed_but_curves_and_pictures_are_those_of_the_newest_and_the_warned(
    log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = live_logs.copied(log, tmp_path / "many")
    live_logs.many_rounds(many, 20)
    for name, most in (
        ("ROUNDS_WITH_CURVES", 5),
        ("WARNED_WITH_CURVES", 2),
        ("ROUNDS_WITH_PICTURES", 3),
        ("WARNED_WITH_PICTURES", 1),
    ):
        monkeypatch.setattr(file, name, most)
    journal = read_journal(many)
    warned = [str(record.key) for record in journal.rounds[:4]]
    findings = [Finding(rule="spike", severity="warning", round=key, message="a spike") for key in warned]
    told = content_of(file.report_html(Store(many.parent), journal, findings))
    assert len(told["rows"]) == 23
    newest = [str(record.key) for record in journal.rounds[-5:]]
    assert set(told["details"]) == {*newest, *warned[-2:]}
    assert {key for key, one in told["details"].items() if "pictures" in one} == {*newest[-3:], warned[-1]}


def test_pictures_of_a_report_stop_at_their_bound(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file, "PICTURE_BYTES", 1)
    told = content_of(html_of(log))
    assert sum("pictures" in one for one in told["details"].values()) == 1


def test_a_torn_picture_is_left_out(log: Path, tmp_path: Path) -> None:
    torn = live_logs.copied(log, tmp_path / "torn")
    record = live_logs.rounds_of(torn)[-1]
    path = Store(torn.parent).picture_path(record.key, record.label, "slices.png")
    path.write_bytes(path.read_bytes()[:200])
    told = content_of(html_of(torn))
    assert len(told["details"][str(record.key)]["pictures"]) == 1


def test_correlations_survive_their_packing_to_four_digits_and_what_is_undefined_stays_so(last: RoundRecord) -> None:
    values = [1.0, -0.51234, None, 0.00004, float("nan"), 9.0]
    packed = np.frombuffer(base64.b64decode(data.packed(values) or ""), "<i2")
    assert packed.tolist() == [10000, -5123, data.UNDEFINED, 0, data.UNDEFINED, 32767]
    assert data.packed(None) is None
    json.dumps(data.detail(last, None, []), allow_nan=False)


# --- what it says -----------------------------------------------------------------------------------------------------


def a_finding(rule: str, curve: str | None, severity: str = "warning") -> Finding:
    return Finding(rule=rule, severity=severity, round="run/3/1", curve=curve, message=f"{curve} at 5.00 A is odd")


def a_standing(record: RoundRecord, resolution_A: float, interval: tuple[float, float] | None = None) -> Standing:
    """A round like this one, with another number."""
    here = standing(record)
    assert here is not None
    return replace(here, label="Round 2", resolution_A=resolution_A, interval_A=interval)


def number_of(record: RoundRecord) -> float:
    curve = record.headline_curve()
    assert curve is not None
    assert curve.resolution_A is not None
    return curve.resolution_A


@pytest.mark.parametrize(
    ("before_A", "interval", "tone"),
    [(20.0, (21.0, 19.0), "better"), (5.0, (5.1, 4.9), "worse"), (None, (20.0, 5.0), "same")],
)
def test_a_round_is_better_or_worse_only_where_the_intervals_are_apart(
    last: RoundRecord, before_A: float | None, interval: tuple[float, float], tone: str
) -> None:
    previous = a_standing(last, before_A or number_of(last) + 0.3, interval)
    told = verdict(last, previous, [])
    assert told.tone == tone
    assert f"{number_of(last):.2f} Å" in told.headline
    assert f"was {previous.resolution_A:.2f} Å" in told.headline
    assert (told.suspicious, told.doubt) == (None, "")


@pytest.mark.parametrize(("apart_shells", "tone"), [(0.01, "same"), (1.5, "worse")])
def test_rounds_without_intervals_differ_only_when_they_are_a_shell_apart(
    last: RoundRecord, apart_shells: float, tone: str
) -> None:
    before_A = 1 / (1 / number_of(last) + apart_shells * last.frequency_per_A[1])
    told = verdict(last, a_standing(last, before_A), [])
    assert told.tone == tone


def test_a_first_round_one_of_another_curve_and_one_without_a_number_are_not_compared(last: RoundRecord) -> None:
    assert verdict(last, None, []).tone == "first"
    other = verdict(last, replace(a_standing(last, 20.0), curve="sphere", title="spherical mask"), [])
    assert (other.tone, "not comparable" in other.headline) == ("changed", True)
    filtered = with_headline(last.model_copy(update={"half_maps": HalfMapsRecord(origin="regularised")}))
    assert verdict(filtered, None, []).tone == "unknown"
    assert "filtered" in verdict(filtered, None, []).basis


def curves_shown(record: RoundRecord, findings: list[Finding]) -> list[dict[str, Any]]:
    told = data.detail(record, None, findings)
    return [{**curve, **shown} for curve, shown in zip(told["curves"], told["shown"]["curves"], strict=True)]


def test_the_scaled_curve_is_named_first_and_its_number_is_set_against_ours(last: RoundRecord) -> None:
    findings = [
        a_finding("halves_altered", None),
        a_finding("alignment_limit", "automask_corrected"),
        a_finding("scaled_curve", "sphere_scaled"),
    ]
    told = verdict(last, None, findings)
    scaled = last.curve("sphere_scaled")
    assert scaled is not None
    assert told.suspicious == "sphere_scaled"
    assert told.doubt == f"spherical mask, volume-scaled shows {scaled.resolution_A:.2f} Å"
    assert told.why == all_texts()["scaled_curve"].why
    assert f"Our estimate: {number_of(last):.2f} Å (automask, corrected)." in told.do
    at_first = {curve["name"]: curve["visible"] for curve in curves_shown(last, findings)}
    assert at_first["sphere_scaled"], "what the verdict names is drawn"
    assert not any(on for name, on in at_first.items() if name.endswith("_scaled") and name != "sphere_scaled")
    assert not {c["name"]: c["visible"] for c in curves_shown(last, [])}["sphere_scaled"]
    own = verdict(last, None, findings[:2])
    assert (own.suspicious, own.doubt) == ("automask_corrected", all_texts()["alignment_limit"].title)
    assert verdict(last, None, findings[:1]).doubt == all_texts()["halves_altered"].title
    assert "2 notes" in verdict(last, None, [a_finding("spike", "sphere", "note")] * 2).why


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("sphere_scaled ends at 5.00 A", "“sphere, scaled as cisTEM does” ends at 5.00 Å."),
        ("the mask 'user' at 5 A; read user_corrected.", "The mask 'user' at 5 Å; read “your mask, corrected”."),
        ("see masks/user_corrected.mrc", "See masks/user_corrected.mrc."),
        ("A mask holds 3 A3", "A mask holds 3 A3."),
    ],
)
def test_messages_are_told_with_titles_instead_of_names(message: str, told: str) -> None:
    titles = [
        ("sphere_scaled", "sphere, scaled as cisTEM does"),
        ("user_corrected", "your mask, corrected"),
        ("user", "X"),
    ]
    assert in_words(message, titles) == told


def test_a_label_that_says_round_is_not_told_twice() -> None:
    assert round_name("Auto #5 - Round 4") == "Auto #5 - Round 4"
    assert round_name("it005") == "round it005"


def test_a_rule_that_nothing_is_known_of_still_has_a_title() -> None:
    assert texts_of("some_new_rule").title == "Some new rule"


def test_every_rule_of_the_audit_has_words_of_its_own() -> None:
    sources = (Path(__file__).resolve().parent.parent / "refine_hooks" / "audit").glob("*.py")
    rules: set[str] = set()
    for source in sources:
        text = source.read_text(encoding="utf-8")
        rules |= set(re.findall(r'\bfound\(\s*\w+(?:\[\S+\])?,\s*"(\w+)"', text)) | set(
            re.findall(r'\brule="(\w+)"', text)
        )
    assert len(rules) > 20
    assert rules - set(all_texts()) == set(), "say beside the rule what these mean"


@pytest.mark.parametrize("rule", re.findall(r"\.readme/([\w-]+)\.png\" width=\"420\"", FINDINGS))
def test_the_guide_explains_each_finding_in_the_page_s_words_beside_a_small_picture(rule: str) -> None:
    _, title, why, do, _ = all_texts()[rule]
    assert f'alt="{title}"> | **{title}.** {why} | {do} |' in FINDINGS
    picture = Path(__file__).resolve().parent.parent / ".readme" / f"{rule}.png"
    assert picture.stat().st_size < 150_000


# --- pictures ---------------------------------------------------------------------------------------------------------

BOX = 48


def a_blob(centre: tuple[int, int, int], radius_px: float = 5.0) -> NDArray[np.float32]:
    z, y, x = np.indices((BOX,) * 3)
    distance = sum((axis - at) ** 2 for axis, at in zip((z, y, x), centre, strict=True))
    return np.exp(-distance / (2 * radius_px**2)).astype(np.float32)


def test_slices_go_through_the_densest_part_wherever_it_is() -> None:
    at = (14, 30, 22)
    noise = np.random.default_rng(1).normal(size=(BOX,) * 3)
    average = (a_blob(at) + 0.3 * noise).astype(np.float32)
    found = pictures.densest_voxel(average, None)
    assert np.abs(np.subtract(found, at)).max() <= 2
    brighter = (average + 5 * a_blob((40, 8, 40))).astype(np.float32)
    inside = (a_blob(at) > 0.3).astype(np.float32)
    assert np.abs(np.subtract(pictures.densest_voxel(brighter, inside), at)).max() <= 2


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_smoothed_slice_is_the_slice_of_the_smoothed_volume(axis: int) -> None:
    volume = np.random.default_rng(3).normal(size=(BOX,) * 3).astype(np.float32)
    sigma_px = 1.6
    whole = np.take(gaussian_filter(volume, sigma_px, truncate=2.5), 20, axis)
    one = pictures._smooth_plane(volume, axis, 20, sigma_px)
    assert np.corrcoef(whole.ravel(), one.ravel())[0, 1] > 0.999
    assert np.array_equal(pictures._smooth_plane(volume, axis, 20, 0.0), np.take(volume, 20, axis))


def test_the_outline_lies_on_the_mask_s_edge_and_the_frame_holds_the_mask() -> None:
    mask = (a_blob((14, 30, 22), 6.0) > 0.5).astype(np.float32)
    start, edge = window(mask)
    z, y, x = start
    assert mask[z : z + edge, y : y + edge, x : x + edge].sum() == mask.sum()
    assert edge < BOX / 2
    picture, caption = pictures.slices_picture(a_blob((14, 30, 22)), mask, 2.0, 8.0)
    panel = picture[:, : pictures.PANEL_PX]
    rows, columns = np.nonzero((panel == pictures._OUTLINE_RGB).all(axis=2))
    centre = (30 - y) / edge * pictures.PANEL_PX, (22 - x) / edge * pictures.PANEL_PX
    distance = np.hypot(pictures.PANEL_PX - rows - centre[0], columns - centre[1]) * edge / pictures.PANEL_PX
    radius_px = 6.0 * np.sqrt(2 * np.log(2))
    assert np.abs(distance - radius_px).max() < 1.6
    assert "low-pass filtered to 8 Å" in caption
    assert "bar is" in caption


def test_slices_show_what_lies_higher_in_y_and_z_higher_up_in_the_picture() -> None:
    picture, _ = pictures.slices_picture(a_blob((14, 40, 24), 3.0), None, 2.0)
    across_z = picture[:, : pictures.PANEL_PX].mean(axis=(1, 2))
    assert np.argmax(across_z) == pytest.approx((1 - 40 / BOX) * pictures.PANEL_PX, abs=8)
    across_x = picture[:, -pictures.PANEL_PX :].mean(axis=(1, 2))
    assert np.argmax(across_x) == pytest.approx((1 - 14 / BOX) * pictures.PANEL_PX, abs=8)


def test_the_mask_s_surface_is_seen_from_three_sides() -> None:
    z, y, x = np.abs(np.indices((BOX,) * 3) - BOX // 2)
    mask = ((z <= 4) & (y <= 8) & (x <= 16)).astype(np.float32)
    picture, _ = pictures.surface_picture(mask)
    step = pictures.PANEL_PX + pictures.GAP_PX
    seen = [float((picture[:, i * step : i * step + pictures.PANEL_PX, 3] > 127).mean()) for i in range(3)]
    edge = window(mask)[1]
    expected = [17 * 33 / edge**2, 9 * 33 / edge**2, 9 * 17 / edge**2]
    assert seen == pytest.approx(expected, rel=0.12)


def test_an_even_spread_of_views_is_even_all_over_the_sphere() -> None:
    area = np.cos(np.linspace(0, np.pi, 19))
    views = np.repeat(((area[:-1] - area[1:]) * 1e6)[:, None], 36, axis=1)
    assert directions.relative_density(views) == pytest.approx(1.0)
    _, caption = directions.views_picture(Views(views))
    assert "none in 0 %" in caption
    assert "by chance" not in caption
    _, caption = directions.views_picture(
        Views(np.random.default_rng(1).poisson(views * 600 / views.sum()).astype(float))
    )
    assert re.search(r"none in 3\d % of the sphere, where so few particles leave 3\d % empty by chance", caption), (
        caption
    )


@pytest.mark.parametrize(("symmetry", "mates"), [("C1", 1), ("C4", 4), ("D7", 14), ("O", 24), ("", 1), ("XX", 1)])
def test_a_particle_is_a_view_along_all_its_symmetry_mates(symmetry: str, mates: int) -> None:
    counts = np.zeros((36, 72))
    counts[8, 3] = 24.0
    spread, found = with_mates(Views(counts, symmetry))
    assert found == mates
    assert spread.sum() == pytest.approx(24)
    assert len({round(float(x), 3) for x in spread[8, 3::18]}) <= 1 + (mates not in (4, 24)), "the turns about z"
    assert (spread > 0).sum() >= mates
    _, caption = directions.views_picture(Views(counts, symmetry))
    assert ("symmetry mates" in caption) == (symmetry not in ("", "C1"))


def test_a_picture_carries_its_caption_and_few_colours(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (32, 32, 3)).astype(np.uint8)
    (tmp_path / "p.png").write_bytes(pictures.png(pixels, "what is seen: 5 Å"))
    with Image.open(tmp_path / "p.png") as image:
        image.load()
        assert image.info["Description"] == "what is seen: 5 Å"
        assert image.mode == "P"


def test_an_empty_log_makes_a_page_too(tmp_path: Path) -> None:
    html = file.report_html(Store(tmp_path), Journal(()), [])
    assert content_of(html)["rows"] == []
