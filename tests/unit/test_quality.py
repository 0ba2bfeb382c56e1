"""The measures of style transfers have known values on pictures made for them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import quality_metrics as metrics
import torch
from contact_sheet import Cell, Row, contact_sheet
from PIL import Image, ImageFilter
from quality import main, make_variants
from quality_pairs import InvalidPair, PhotoPair, read_pairs
from quality_report import Measures, Outcome, Spread, Variant, as_json, as_markdown, summarize
from quality_run import Stylizer, make_request, measure
from torch import nn

from photoreal.contract import DEFAULT_TRANSFER_AT
from photoreal.errors import InvalidOption
from photoreal.preprocess import Limits
from photoreal.regions import Pair
from photoreal.segmenter import Segmenter
from photoreal.transfer import NetworkEngine
from photoreal.weights.manifest import SEGMENTER_FILES

Floats = npt.NDArray[np.floating[Any]]
Encode = Callable[..., bytes]
Photo = Callable[..., npt.NDArray[np.uint8]]
Engine = Callable[[str], NetworkEngine]
CheckSentence = Callable[[object], None]

EXAMPLES = Path(__file__).parents[2] / "examples"
LIMITS = Limits()
ALL = Variant("masks", DEFAULT_TRANSFER_AT)


def _planes(picture: Image.Image) -> Floats:
    return np.asarray(picture, dtype=np.float64).transpose(2, 0, 1) / 255


@pytest.fixture(scope="module")
def image() -> Image.Image:
    with Image.open(EXAMPLES / "photos" / "china.jpg") as opened:
        return opened.convert("RGB").resize((120, 80))


@pytest.fixture(scope="module")
def picture(image: Image.Image) -> Floats:
    return _planes(image)


@pytest.fixture
def halves() -> npt.NDArray[np.uint8]:
    """Left and right, on a map of the picture's size."""
    labels = np.zeros((80, 120), dtype=np.uint8)
    labels[:, 60:] = 1
    return labels


# --- colors


@pytest.mark.parametrize(
    ("rgb", "expected"),
    [
        ((0, 0, 0), (0, 0, 0)),
        ((1, 1, 1), (100, 0, 0)),
        ((1, 0, 0), (53.24, 80.09, 67.20)),
        ((0, 1, 0), (87.73, -86.18, 83.18)),
        ((0, 0, 1), (32.30, 79.19, -107.86)),
        ((0.5, 0.5, 0.5), (53.39, 0, 0)),
    ],
)
def test_lab_of_known_colors(
    rgb: tuple[float, float, float], expected: tuple[float, float, float]
) -> None:
    color = metrics.lab(np.array(rgb, dtype=np.float64).reshape(3, 1, 1)).ravel()
    np.testing.assert_allclose(color, expected, atol=0.02)


def test_lab_takes_values_outside_as_the_nearest_color() -> None:
    outside = metrics.lab(np.array([1.5, -1.0, 0.0]).reshape(3, 1, 1))
    np.testing.assert_array_equal(outside, metrics.lab(np.array([1.0, 0, 0]).reshape(3, 1, 1)))


# --- PSNR


def test_psnr_of_a_constant_error() -> None:
    one = np.full((3, 8, 9), 0.25)
    assert metrics.psnr(one, one + 0.1) == pytest.approx(20)
    assert metrics.psnr(one, one + 0.001) == pytest.approx(60)


def test_psnr_of_equal_pictures_is_the_ceiling(picture: Floats) -> None:
    assert metrics.psnr(picture, picture.copy()) == metrics.PSNR_CEILING
    other = picture.astype(np.float32)
    other[0, 0, 0] += np.float32(1 / 255)
    assert metrics.psnr(picture, other) < metrics.PSNR_CEILING


# --- structure


def test_gradient_of_a_ramp_is_its_slope() -> None:
    rows, columns = np.mgrid[:20, :30]
    slope = metrics.gradient(0.3 * rows + 0.4 * columns)
    np.testing.assert_allclose(slope[1:-1, 1:-1], 0.5)


def test_ssim_of_known_planes(picture: Floats) -> None:
    plane = picture[0]
    assert metrics.ssim(plane, plane) == pytest.approx(1)
    # Two flat planes have no structure to compare: what is left is the luminance term.
    one, other = np.full((16, 16), 0.4), np.full((16, 16), 0.8)
    expected = (2 * 0.4 * 0.8 + 1e-4) / (0.4**2 + 0.8**2 + 1e-4)
    assert metrics.ssim(one, other) == pytest.approx(expected)
    noise = np.random.default_rng(1).normal(size=(64, 64))
    assert metrics.ssim(0.5 + 0.1 * noise, 0.5 - 0.1 * noise) < -0.8


def test_ssim_is_symmetric(picture: Floats) -> None:
    there = metrics.ssim(picture[0], picture[2])
    assert there == pytest.approx(metrics.ssim(picture[2], picture[0]))
    assert there < 1


def test_structure_of_equal_pictures_is_one(picture: Floats) -> None:
    assert metrics.structure_kept(picture, picture.copy()) == pytest.approx(1)
    flat = np.full((3, 20, 20), 0.5)
    assert metrics.structure_kept(flat, flat + 0.2) == pytest.approx(1)


def test_structure_does_not_mind_the_contrast_of_the_whole(picture: Floats) -> None:
    assert metrics.structure_kept(picture, 0.3 + 0.5 * picture) == pytest.approx(1)
    assert metrics.structure_kept(picture, 1 - picture) == pytest.approx(1)


def test_blur_and_noise_cost_structure(image: Image.Image, picture: Floats) -> None:
    kept = [
        metrics.structure_kept(picture, _planes(image.filter(ImageFilter.GaussianBlur(radius))))
        for radius in (0.5, 1, 2, 4)
    ]
    assert kept == sorted(kept, reverse=True)
    assert 1 > kept[0] > kept[-1] + 0.2
    noise = np.random.default_rng(0).normal(0, 0.1, picture.shape)
    assert metrics.structure_kept(picture, picture + noise) < 0.8


def test_another_picture_has_little_of_the_structure(picture: Floats) -> None:
    assert metrics.structure_kept(picture, picture[:, :, ::-1]) < 0.5


# --- style


@pytest.fixture
def cloud() -> Floats:
    """Colors around the middle of CIELAB."""
    return np.random.default_rng(3).normal([[50], [0], [0]], [[10], [5], [20]], (3, 4000))


@pytest.mark.parametrize(
    "way", [(1, 0, 0), (0, -1, 0), (0, 0, 1), (0.6, 0, -0.8), (0.48, 0.6, 0.64)]
)
@pytest.mark.parametrize("length", [2.0, 30.0])
def test_a_shifted_distribution_is_as_far_as_it_was_moved(
    cloud: Floats, way: tuple[float, float, float], length: float
) -> None:
    moved = cloud + length * np.array(way)[:, None]
    assert metrics.color_distance(cloud, moved) == pytest.approx(length, rel=0.015)


def test_a_stretched_gray_distribution_has_its_known_distance() -> None:
    """Along lightness alone: uniform on 0..50 against uniform on 0..100 is 25 on the line."""
    steps = np.linspace(0, 1, 20_001)
    zeros = np.zeros_like(steps)
    narrow, wide = np.stack([50 * steps, zeros, zeros]), np.stack([100 * steps, zeros, zeros])
    assert metrics.color_distance(narrow, wide) == pytest.approx(25, rel=0.015)


def test_distance_does_not_depend_on_order_count_or_side(cloud: Floats) -> None:
    other = cloud[::-1] + 3
    far = metrics.color_distance(cloud, other)
    shuffled = np.random.default_rng(0).permutation(cloud, axis=1)
    assert metrics.color_distance(cloud, shuffled) == 0
    assert metrics.color_distance(shuffled, other) == pytest.approx(far)
    assert metrics.color_distance(other, cloud) == pytest.approx(far)
    twice = np.concatenate([cloud, cloud], axis=1)
    assert metrics.color_distance(twice, other) == pytest.approx(far)
    assert metrics.color_distance(cloud, twice) == pytest.approx(0, abs=1e-9)


def test_equal_means_do_not_make_equal_colors(cloud: Floats) -> None:
    middle = cloud.mean(axis=1, keepdims=True)
    assert metrics.color_distance(cloud, middle + 0.2 * (cloud - middle)) > 5


def test_a_distribution_without_points_is_refused(cloud: Floats) -> None:
    with pytest.raises(ValueError, match="no points"):
        metrics.color_distance(cloud, cloud[:, :0])


def test_style_distance_goes_by_regions_and_their_shares() -> None:
    labels = np.zeros((10, 20), dtype=np.uint8)
    labels[:, 15:] = 1
    picture = np.zeros((3, 10, 20))
    style = np.zeros((3, 6, 8))
    style_labels = np.full((6, 8), 7, dtype=np.uint8)
    style_labels[3:] = 9
    style[0, :3], style[0, 3:] = 8, 40  # lightness of the two style regions
    near, far = (
        metrics.style_distance(picture, style, labels, style_labels, [Pair(0, goal)])
        for goal in (7, 9)
    )
    assert near == pytest.approx(8, rel=0.02)
    assert near is not None
    assert far == pytest.approx(40, rel=0.02)
    assert far is not None
    both = metrics.style_distance(picture, style, labels, style_labels, [Pair(0, 7), Pair(1, 9)])
    assert both == pytest.approx(0.75 * near + 0.25 * far)
    whole = metrics.style_distance(picture, style, labels, style_labels, [Pair(0, None)])
    assert whole == pytest.approx(24, rel=0.02)


def test_style_distance_of_nothing_is_none() -> None:
    picture, labels = np.zeros((3, 4, 4)), np.zeros((4, 4), dtype=np.uint8)
    for pairs in ([], [Pair(5, 0)], [Pair(0, 5)]):
        assert metrics.style_distance(picture, picture, labels, labels, pairs) is None
    assert metrics.style_distance(picture, picture, labels, labels, [Pair(0, 0)]) == 0


# --- seams


def test_borders_are_two_pixels_wide() -> None:
    labels = np.zeros((5, 8), dtype=np.uint8)
    labels[:, 4:] = 3
    expected = np.zeros((5, 8), dtype=bool)
    expected[:, 3:5] = True
    np.testing.assert_array_equal(metrics.borders(labels), expected)
    np.testing.assert_array_equal(metrics.borders(labels.T), expected.T)


def test_equal_pictures_have_no_seams(picture: Floats, halves: npt.NDArray[np.uint8]) -> None:
    assert metrics.seam_ratio(picture, picture.copy(), halves) == 1


def test_a_seam_is_found_and_grows(picture: Floats, halves: npt.NDArray[np.uint8]) -> None:
    ratios = [
        metrics.seam_ratio(picture, np.clip(picture + step * halves, 0, 1), halves) or 0.0
        for step in (0.05, 0.1, 0.2)
    ]
    assert 1.1 < ratios[0] < ratios[1] < ratios[2]


def test_only_a_step_at_the_border_is_a_seam(halves: npt.NDArray[np.uint8]) -> None:
    texture = 0.4 + 0.05 * np.random.default_rng(2).random((3, 80, 120))
    elsewhere = np.zeros_like(halves)
    elsewhere[:, 90:] = 1
    here, there = (
        metrics.seam_ratio(texture, texture + 0.2 * step, halves) for step in (halves, elsewhere)
    )
    assert here is not None
    assert there is not None
    assert here > 2
    assert there < 1


def test_the_contrast_of_the_whole_makes_no_seam(halves: npt.NDArray[np.uint8]) -> None:
    noise = np.random.default_rng(5).random((1, 80, 120)).repeat(3, axis=0)
    found = metrics.seam_ratio(0.4 + 0.1 * noise, 0.3 + 0.3 * noise, halves)
    assert found == pytest.approx(1, abs=0.1)


def test_seams_of_one_region_or_of_borders_everywhere_are_none(picture: Floats) -> None:
    one = np.zeros((80, 120), dtype=np.uint8)
    stripes = one.copy()
    stripes[:, ::2] = 1
    assert metrics.seam_ratio(picture, picture, one) is None
    assert metrics.seam_ratio(picture, picture, stripes) is None


def test_pictures_that_do_not_belong_together_are_refused(
    picture: Floats, halves: npt.NDArray[np.uint8]
) -> None:
    smaller = picture[:, :-1]
    with pytest.raises(ValueError, match="different shapes"):
        metrics.psnr(picture, smaller)
    with pytest.raises(ValueError, match="different shapes"):
        metrics.structure_kept(picture, smaller)
    with pytest.raises(ValueError, match="different shapes"):
        metrics.seam_ratio(picture, smaller, halves)
    with pytest.raises(ValueError, match="Labels are"):
        metrics.seam_ratio(smaller, smaller, halves)
    with pytest.raises(ValueError, match="11 pixels a side"):
        metrics.ssim(picture[0, :10], picture[0, :10])


# --- pairs


@pytest.fixture
def folder(tmp_path: Path, photo: Photo, encoded: Encode) -> Path:
    """Three subfolders: a pair with masks, a pair without, and a content photo alone."""
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "content.png").write_bytes(encoded(photo(24, 32, seed=1)))
    mask = np.zeros((24, 32), dtype=np.uint8)
    mask[:, 16:] = 1
    for name in ("a", "b"):
        (tmp_path / name / "style.JPG").write_bytes(encoded(photo(24, 32, seed=2), "JPEG"))
    for role in ("content", "style"):
        (tmp_path / "a" / f"{role}_mask.png").write_bytes(encoded(mask))
    return tmp_path


def test_subfolders_are_pairs_and_a_lone_photo_is_none(folder: Path) -> None:
    (folder / ".hidden").mkdir()
    (folder / "notes.txt").write_text("no pair")
    found = read_pairs(folder, LIMITS)
    assert [(pair.name, pair.has_masks) for pair in found.pairs] == [("a", True), ("b", False)]
    assert found.skipped == ("c",)
    assert found.pairs[0].style == (folder / "a" / "style.JPG").read_bytes()
    assert len(read_pairs(folder, LIMITS, count=1).pairs) == 1


def test_the_examples_are_pairs() -> None:
    names = [entry["name"] for entry in json.loads((EXAMPLES / "pairs.json").read_text())]
    for path in (EXAMPLES, EXAMPLES / "pairs.json"):
        found = read_pairs(path, LIMITS)
        assert [pair.name for pair in found.pairs] == names
        assert all(pair.has_masks for pair in found.pairs)


def _remove(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def _write(name: str, data: bytes) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / name).write_bytes(data)

    return write


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_remove("a/style.JPG"), "Pair 'a' has no style photo"),
        (_remove("a/content.png"), "Pair 'a' has no content photo"),
        (_remove("a/style_mask.png"), "Pair 'a' has only one mask"),
        (_write("a/content.bmp", b""), "Pair 'a' has both content.bmp and content.png"),
        (_write("b/style.JPG", b"no picture"), "Pair 'b': The style photo is no image"),
        (_write("a/style_mask.png", b""), "Pair 'a': The style mask is empty"),
        (_write("pairs.json", b"{"), "pairs.json is no JSON file"),
        (_write("pairs.json", b"{}"), "pairs.json holds no list"),
        (_write("pairs.json", b"[3]"), "Entry 1 of pairs.json"),
        (_write("pairs.json", b"[]"), "no pair"),
        (_write("pairs.json", b'[{"name": "x", "content": "a/content.png"}]'), "Pair 'x' has no"),
        (
            _write(
                "pairs.json", b'[{"name": "x", "content": "a/content.png", "style": "lost.png"}]'
            ),
            "Pair 'x': lost.png cannot be read",
        ),
    ],
)
def test_a_broken_pair_is_named_and_the_call_is_to_change(
    spoil: Callable[[Path], None],
    words: str,
    folder: Path,
    check_sentence: CheckSentence,
    capsys: pytest.CaptureFixture[str],
) -> None:
    spoil(folder)
    with pytest.raises(InvalidPair) as no:
        read_pairs(folder, LIMITS)
    assert words in str(no.value)
    check_sentence(no.value)
    assert main([str(folder), "-o", str(folder / "out")]) == 2
    assert words in capsys.readouterr().err
    assert not (folder / "out").exists()


# --- runs


@pytest.fixture
def pair(folder: Path) -> PhotoPair:
    return read_pairs(folder, LIMITS).pairs[0]


def test_variants_are_every_source_with_every_place_set() -> None:
    assert make_variants(None, ["encoder"], has_segmenter=False) == [
        ("masks", "encoder"),
        ("none", "encoder"),
    ]
    found = make_variants("none, automatic", ["skip,encoder", "decoder"], has_segmenter=True)
    assert found == [
        ("automatic", "encoder,skip"),
        ("none", "encoder,skip"),
        ("automatic", "decoder"),
        ("none", "decoder"),
    ]
    with pytest.raises(InvalidOption, match="need a segmenter"):
        make_variants("automatic", ["encoder"], has_segmenter=False)
    with pytest.raises(InvalidOption, match="regions is 'drawn'"):
        make_variants("drawn", ["encoder"], has_segmenter=True)
    with pytest.raises(InvalidOption, match="transfer_at is"):
        make_variants(None, ["top"], has_segmenter=False)


def test_requests_follow_the_source_of_regions(pair: PhotoPair) -> None:
    masks, automatic, none = (
        make_request(pair, Variant(source, "skip"), 64) for source in ("masks", "automatic", "none")
    )
    assert (masks.content_mask, masks.style_mask) == (pair.content_mask, pair.style_mask)
    assert (masks.match, masks.size, masks.transfer_at) == ("published", 64, "skip")
    assert (automatic.content_mask, automatic.style_mask) == (None, None)
    assert (automatic.segment, automatic.match) == (True, "nearest")
    assert (none.content_mask, none.segment) == (None, False)


def test_a_transfer_is_measured(pair: PhotoPair, builtin_engine: Engine) -> None:
    measures, run = measure(Stylizer(builtin_engine("cat5")), pair, ALL, 24)
    assert run.result.shape == run.inputs.content.shape == (3, 24, 32)
    assert list(run.inputs.pairs) == [Pair(0, 0), Pair(1, 1)]
    assert measures.style_before == measures.drawn_before
    assert measures.style_after == measures.drawn_after
    assert measures.style_after is not None
    assert measures.style_before is not None
    assert measures.style_after < measures.style_before
    assert measures.structure < 1
    assert measures.styled_share == 1
    assert measures.reconstruction_db is not None
    assert measures.reconstruction_db > 40
    assert measures.seconds > 0


def test_without_regions_the_drawn_masks_still_judge(
    pair: PhotoPair, builtin_engine: Engine
) -> None:
    variant = Variant("none", "encoder")
    stylizer = Stylizer(builtin_engine("cat5"))
    measures, _ = measure(stylizer, pair, variant, 24, reconstruct=False)
    assert measures.drawn_before != measures.style_before
    assert measures.seams is None
    assert measures.drawn_seams is not None
    assert measures.reconstruction_db is None
    bare = PhotoPair("bare", pair.content, pair.style)
    measures, _ = measure(stylizer, bare, variant, 24, reconstruct=False)
    assert measures.drawn_before is measures.drawn_after is measures.drawn_seams is None
    assert measures.style_after is not None


def test_automatic_regions_come_from_the_segmenter(
    pair: PhotoPair,
    builtin_engine: Engine,
    seeded_module: Callable[[nn.Module], nn.Module],
) -> None:
    segmenter = Segmenter(8, 2)
    seeded_module(segmenter)
    stylizer = Stylizer(builtin_engine("cat5"), segmenter, ("sky", "vegetation"))
    variant = Variant("automatic", "encoder")
    measures, run = measure(stylizer, pair, variant, 24, reconstruct=False)
    assert set(np.unique(run.inputs.content_labels)) <= {1, 2}  # positions in classes.GROUPS
    assert measures.styled_share == 1  # the nearest rule leaves nothing out


def test_a_pair_that_cannot_be_stylized_is_named(
    pair: PhotoPair, builtin_engine: Engine, encoded: Encode, photo: Photo
) -> None:
    other = PhotoPair("odd", encoded(photo(20, 20)), pair.style, pair.content_mask, pair.style_mask)
    with pytest.raises(InvalidPair, match=r"^Pair 'odd': The content mask is 32x24 pixels"):
        measure(Stylizer(builtin_engine("cat5")), other, ALL, 24)


# --- reports


def _outcome(pair: str, source: Any, structure: float, seams: float | None) -> Outcome:
    measures = Measures(structure, 30.0, 10.0, None, None, seams, None, None, 1.0, 2.5)
    return Outcome(pair, Variant(source, "encoder"), measures)


def test_summary_is_median_and_range_of_what_is_there() -> None:
    outcomes = [_outcome(str(k), "masks", s, None) for k, s in enumerate((0.9, 0.2, 0.6))]
    outcomes.append(_outcome("0", "none", 0.5, None))
    outcomes[1] = _outcome("1", "masks", 0.2, 1.5)
    found = summarize(outcomes)
    masks = found[Variant("masks", "encoder")]
    assert masks["structure"] == Spread(0.6, 0.2, 0.9, 3)
    assert masks["seams"] == Spread(1.5, 1.5, 1.5, 1)
    assert "drawn_after" not in masks
    assert "seams" not in found[Variant("none", "encoder")]


def test_reports_hold_every_outcome() -> None:
    outcomes = [_outcome("x", "masks", 0.91234, 1.5), _outcome("y", "masks", 0.5, None)]
    report = json.loads(json.dumps(as_json({"size": 64}, outcomes), allow_nan=False))
    assert report["settings"] == {"size": 64}
    assert {"torch", "cpus", "python"} <= set(report["machine"])
    assert [one["pair"] for one in report["outcomes"]] == ["x", "y"]
    assert report["outcomes"][0]["structure"] == 0.9123
    assert report["outcomes"][1]["seams"] is None
    assert report["summary"][0]["structure"] == {
        "median": 0.7062,
        "min": 0.5,
        "max": 0.9123,
        "pairs": 2,
    }
    lines = as_markdown({"size": 64}, outcomes).splitlines()
    tables = [line for line in lines if line.startswith("|")]
    summary, runs = tables[:3], tables[3:]
    assert len({line.count("|") for line in summary}) == 1
    assert len({line.count("|") for line in runs}) == 1
    assert "0.706 (0.500..0.912)" in summary[2]
    assert runs[-2].startswith("| x | masks | encoder | 0.912 |")


def test_sheet_has_a_cell_for_everything() -> None:
    red, tall = Image.new("RGB", (40, 20), "red"), Image.new("L", (10, 60), 128)
    rows = [Row("first", [Cell(red, "words " * 50), Cell(None, "none")]), Row("", [Cell(tall)] * 2)]
    sheet = contact_sheet(["content", "style"], rows, width=80, height=60)
    pixels = np.asarray(sheet)
    assert ((pixels == (255, 0, 0)).all(axis=2)).sum() == pytest.approx(80 * 40, abs=200)
    assert ((pixels == 128).all(axis=2)).sum() >= 2 * 10 * 60
    wider = contact_sheet(["content", "style"], rows, width=100, height=60)
    assert wider.width == sheet.width + 40
    with pytest.raises(ValueError, match="needs 1 cells"):
        contact_sheet(["content"], rows)


# --- the command


def test_command_writes_numbers_and_sheet(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "out"
    call = [str(folder), "-o", str(out), "--size", "24", "--places", "encoder"]
    assert main([*call, "--places", "skip", "--no-reconstruction"]) == 0
    assert "Skipped c" in capsys.readouterr().err
    report = json.loads((out / "quality.json").read_text())
    runs = [(one["pair"], one["regions"], one["places"]) for one in report["outcomes"]]
    assert runs == [
        ("a", "masks", "encoder"),
        ("a", "none", "encoder"),
        ("a", "masks", "skip"),
        ("a", "none", "skip"),
        ("b", "none", "encoder"),
        ("b", "none", "skip"),
    ]
    assert [one["structure"]["pairs"] for one in report["summary"]] == [1, 2, 1, 2]
    assert str(tmp_path) not in (out / "quality.json").read_text()
    assert "| b | none | skip |" in (out / "quality.md").read_text()
    with Image.open(out / "sheet.png") as sheet:
        assert sheet.width > 6 * 300  # content, style and four results
    assert sorted(path.name for path in out.iterdir()) == [
        "quality.json",
        "quality.md",
        "sheet.png",
    ]


@pytest.mark.parametrize(
    ("given", "code", "words"),
    [
        (["--regions", "automatic"], 2, "need a segmenter"),
        (["--size", "3"], 2, "size is 3"),
        (["--limit", "0"], 2, "--limit"),
        (["--weights", "nowhere"], 1, "no weight set or folder"),
    ],
)
def test_wrong_calls(
    given: list[str], code: int, words: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(folder), "-o", str(folder / "out"), *given]) == code
    assert words in capsys.readouterr().err
    assert not (folder / "out").exists()


def test_command_takes_a_segmenter_s_folder(
    folder: Path, tmp_path: Path, seeded_module: Callable[[nn.Module], nn.Module]
) -> None:
    segmenter = Segmenter(8, 2)
    seeded_module(segmenter)
    weights = tmp_path / "segmenter" / "tiny"
    weights.mkdir(parents=True)
    networks = (segmenter.encoder, segmenter.decoder)
    for file, network in zip(SEGMENTER_FILES, networks, strict=True):
        torch.save(network.state_dict(), weights / file)
    (weights / "classes.txt").write_text("sky\nvegetation\n")
    out = tmp_path / "out"
    call = [str(folder), "-o", str(out), "--size", "24", "--segmenter", str(weights)]
    assert main([*call, "--limit", "1", "--places", "encoder"]) == 0
    report = json.loads((out / "quality.json").read_text())
    assert [one["regions"] for one in report["outcomes"]] == ["masks", "automatic", "none"]
    assert report["settings"]["segmenter"] == "tiny"


def test_masks_alone_need_a_pair_with_masks(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for role in ("content", "style"):
        (folder / "a" / f"{role}_mask.png").unlink()
    assert main([str(folder), "-o", str(folder / "out"), "--regions", "masks"]) == 2
    assert "No pair has masks" in capsys.readouterr().err
