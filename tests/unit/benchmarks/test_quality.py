"""The measures of style transfers have known values on pictures made for them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import quality
from judging import metrics, peers
from judging.contact_sheet import Cell, Row, contact_sheet
from judging.judge import Judge, Measures
from judging.pairs import InvalidPair, PhotoPair, read_pairs
from judging.report import Outcome, Spread, as_json, as_markdown, summarize
from judging.variants import VARIANTS, Stylizer, Variant
from PIL import Image, ImageFilter
from quality import main
from torch import nn

from photoreal.color.spaces import lab
from photoreal.errors import InvalidOption
from photoreal.networks.segmenter import Segmenter
from photoreal.pipeline.request import StylizeRequest
from photoreal.preprocess import Limits, decode_photo
from photoreal.regions import Pair
from photoreal.transfer.progressive import NetworkEngine

pytestmark = pytest.mark.slow

Floats = npt.NDArray[np.floating[Any]]
Encode = Callable[..., bytes]
Photo = Callable[..., npt.NDArray[np.uint8]]
Engine = Callable[[str], NetworkEngine]
CheckSentence = Callable[[object], None]

EXAMPLES = Path(__file__).parents[3] / "examples"
LIMITS = Limits()


def _planes(picture: Image.Image) -> Floats:
    return np.asarray(picture, dtype=np.float64).transpose(2, 0, 1) / 255


@pytest.fixture(scope="module")
def image() -> Image.Image:
    with Image.open(EXAMPLES / "photos" / "china.jpg") as opened:
        return opened.convert("RGB").resize((120, 80))


@pytest.fixture(scope="module")
def picture(image: Image.Image) -> Floats:
    return _planes(image)


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
    color = lab(np.array(rgb, dtype=np.float64).reshape(3, 1, 1)).ravel()
    np.testing.assert_allclose(color, expected, atol=0.02)


def test_lab_takes_values_outside_as_the_nearest_color() -> None:
    outside = lab(np.array([1.5, -1.0, 0.0]).reshape(3, 1, 1))
    np.testing.assert_array_equal(outside, lab(np.array([1.0, 0, 0]).reshape(3, 1, 1)))


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


def _distance(one: Floats, other: Floats) -> float:
    return metrics.color_distance(metrics.color_profile(one), metrics.color_profile(other))


@pytest.mark.parametrize(
    "way", [(1, 0, 0), (0, -1, 0), (0, 0, 1), (0.6, 0, -0.8), (0.48, 0.6, 0.64)]
)
@pytest.mark.parametrize("length", [2.0, 30.0])
def test_a_shifted_distribution_is_as_far_as_it_was_moved(
    cloud: Floats, way: tuple[float, float, float], length: float
) -> None:
    moved = cloud + length * np.array(way)[:, None]
    assert _distance(cloud, moved) == pytest.approx(length, rel=0.015)


def test_a_stretched_gray_distribution_has_its_known_distance() -> None:
    """Along lightness alone: uniform on 0..50 against uniform on 0..100 is 25 on the line."""
    steps = np.linspace(0, 1, 20_001)
    zeros = np.zeros_like(steps)
    narrow, wide = np.stack([50 * steps, zeros, zeros]), np.stack([100 * steps, zeros, zeros])
    assert _distance(narrow, wide) == pytest.approx(25, rel=0.015)


def test_distance_does_not_depend_on_order_count_or_side(cloud: Floats) -> None:
    other = cloud[::-1] + 3
    far = _distance(cloud, other)
    shuffled = np.random.default_rng(0).permutation(cloud, axis=1)
    assert _distance(cloud, shuffled) == 0
    assert _distance(other, cloud) == far
    twice = np.concatenate([cloud, cloud], axis=1)
    assert _distance(twice, other) == pytest.approx(far)


def test_equal_means_do_not_make_equal_colors(cloud: Floats) -> None:
    middle = cloud.mean(axis=1, keepdims=True)
    assert _distance(cloud, middle + 0.2 * (cloud - middle)) > 5


def test_every_color_of_srgb_has_a_bin() -> None:
    corners = np.array(np.meshgrid([0, 1], [0, 1], [0, 1]), dtype=np.float64).reshape(3, 1, 8)
    colors = lab(corners)[:, 0]
    profile = metrics.color_profile(colors)
    assert profile.shape == (64, 6000)
    assert (profile[:, 0] == 0).all()
    assert (profile[:, -2] == 1).all()  # nothing was cut off at either end


def test_a_distribution_without_points_is_refused(cloud: Floats) -> None:
    with pytest.raises(ValueError, match="no points"):
        metrics.color_profile(cloud[:, :0])


def test_style_distance_goes_by_regions_and_their_shares() -> None:
    labels = np.zeros((10, 20), dtype=np.uint8)
    labels[:, 15:] = 1
    picture = np.zeros((3, 10, 20))
    style = np.zeros((3, 6, 8))
    style_labels = np.full((6, 8), 7, dtype=np.uint8)
    style_labels[3:] = 9
    style[0, :3], style[0, 3:] = 8, 40  # lightness of the two style regions

    def distance(*pairs: Pair) -> float:
        goals = metrics.style_goals(style, style_labels, pairs)
        return metrics.style_distance(picture, labels, goals)

    near, far = distance(Pair(0, 7)), distance(Pair(0, 9))
    assert near == pytest.approx(8, rel=0.02)
    assert far == pytest.approx(40, rel=0.02)
    assert distance(Pair(0, 7), Pair(1, 9)) == pytest.approx(0.75 * near + 0.25 * far)
    assert distance(Pair(0, None)) == pytest.approx(24, rel=0.02)
    assert distance(Pair(0, 7), Pair(1, 5)) == near
    for pairs in ([], [Pair(5, 7)], [Pair(0, 5)]):
        with pytest.raises(ValueError, match="No pixel"):
            distance(*pairs)


# --- residual


def _fitted_residual(content: Floats, result: Floats) -> float:
    """The residual of one window, by least squares over its pixels; the ridge as more rows."""
    x, y = (picture.reshape(3, -1).T for picture in (content, result))
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    ridge = np.sqrt(1e-5 * len(x)) * np.eye(3)
    slopes = np.linalg.lstsq(
        np.concatenate([x, ridge]), np.concatenate([y, 0 * ridge]), rcond=None
    )[0]
    return float(255 * np.sqrt(np.mean((y - x @ slopes) ** 2)))


def test_residual_is_what_a_fit_of_each_window_leaves(picture: Floats) -> None:
    other = np.clip(0.2 + 0.9 * picture[::-1] ** 2, 0, 1)
    found = metrics.residual(picture, other)
    assert found.shape == (64, 104)
    for top, left in ((0, 0), (63, 103), (30, 7), (12, 80)):
        window = np.s_[:, top : top + 17, left : left + 17]
        expected = _fitted_residual(picture[window], other[window])
        assert found[top, left] == pytest.approx(expected, rel=1e-6)


def test_residual_stays_exact_where_a_bright_picture_is_nearly_flat() -> None:
    noise = np.random.default_rng(4).normal(0, 1e-4, (2, 3, 30, 300))
    content, result = 0.98 + noise
    content[:, :, :150] -= 0.9  # the mean of the whole picture is far from either half
    window = np.s_[:, :17, 250:267]
    expected = _fitted_residual(content[window], result[window])
    assert metrics.residual(content, result)[0, 250] == pytest.approx(expected, rel=1e-5)


def test_an_affine_change_of_color_leaves_no_residual() -> None:
    content = np.random.default_rng(8).random((3, 40, 50))
    matrix = np.array([[0.5, 0.3, 0.0], [-0.2, 0.7, 0.1], [0.1, 0.1, 0.4]])
    changed = np.tensordot(matrix, content, axes=1) + 0.1
    assert metrics.residual(content, changed).max() < 0.01
    assert metrics.residual(content, content).max() < 0.01


def test_residual_takes_the_channels_together() -> None:
    board = (np.indices((20, 20)).sum(axis=0) % 2 - 0.5) * 2 * 10 / 255
    flat = np.full((3, 20, 20), 0.5)
    one, all_three = flat.copy(), flat + board
    one[1] += board
    assert metrics.residual(flat, all_three) == pytest.approx(10, rel=1e-4)
    assert metrics.residual(flat, one) == pytest.approx(10 / np.sqrt(3), rel=1e-4)


def test_a_tear_shows_in_the_windows_that_hold_it() -> None:
    content = np.random.default_rng(9).random((3, 40, 60))
    torn = 0.5 * content
    torn[:, :, 30:] += 0.3
    found = metrics.residual(content, torn)
    columns = np.arange(found.shape[1])
    across = (columns + 16 >= 30) & (columns < 30)
    assert found[:, across].min() > 5
    assert found[:, ~across].max() < 0.01


def test_pictures_that_do_not_belong_together_are_refused(picture: Floats) -> None:
    smaller = picture[:, :-1]
    for measure in (metrics.psnr, metrics.structure_kept, metrics.residual):
        with pytest.raises(ValueError, match="different shapes"):
            measure(picture, smaller)
    with pytest.raises(ValueError, match="11 pixels a side"):
        metrics.ssim(picture[0, :10], picture[0, :10])
    with pytest.raises(ValueError, match="17 pixels a side"):
        metrics.residual(picture[:, :16], picture[:, :16])


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


@pytest.fixture
def pair(folder: Path) -> PhotoPair:
    return read_pairs(folder, LIMITS).pairs[0]


@pytest.fixture
def bare(pair: PhotoPair) -> PhotoPair:
    """The pair without its masks."""
    return PhotoPair("bare", pair.content, pair.style)


def _picture(data: bytes) -> Image.Image:
    return Image.fromarray(decode_photo(data, "photo", LIMITS))


# --- what is measured


def test_a_copy_keeps_everything_and_reaches_nothing(pair: PhotoPair) -> None:
    found = Judge(pair).measure(_picture(pair.content))
    assert found.structure == pytest.approx(1)
    assert found.residual < found.p99 < 0.5
    assert found.style > 5


def test_regions_are_the_drawn_ones(pair: PhotoPair, bare: PhotoPair, encoded: Encode) -> None:
    """Each half of the content takes the colors of one half of the style, or of all of it."""
    result = np.zeros((24, 32, 3), dtype=np.uint8)
    result[:, :16], result[:, 16:] = (200, 30, 30), (30, 30, 200)
    style = encoded(result[:, ::-1])  # the same colors, the other way round
    crossed, whole = (
        Judge(PhotoPair("x", pair.content, style, one.content_mask, one.style_mask))
        for one in (pair, bare)
    )
    assert crossed.measure(Image.fromarray(result)).style > 50
    assert crossed.measure(Image.fromarray(result[:, ::-1].copy())).style == 0
    assert whole.measure(Image.fromarray(result)).style == 0


def test_everything_is_brought_to_the_content_s_size(pair: PhotoPair, encoded: Encode) -> None:
    judge = Judge(pair)
    content = _picture(pair.content)
    smaller = content.resize((16, 12), Image.Resampling.LANCZOS)
    again = smaller.resize(content.size, Image.Resampling.LANCZOS)
    assert judge.measure(smaller) == judge.measure(again)
    mask = np.zeros((48, 64), dtype=np.uint8)
    mask[:, 32:] = 1
    larger = PhotoPair("x", pair.content, pair.style, encoded(mask), encoded(mask))
    assert Judge(larger).measure(content) == judge.measure(content)


def test_masks_without_a_common_region_are_no_regions(
    pair: PhotoPair, bare: PhotoPair, encoded: Encode
) -> None:
    masks = [encoded(np.full((24, 32), label, dtype=np.uint8)) for label in (1, 2)]
    result = _picture(pair.style)
    found = Judge(PhotoPair("x", pair.content, pair.style, *masks)).measure(result)
    assert found == Judge(bare).measure(result)


def test_a_content_too_small_to_measure_is_named(encoded: Encode, photo: Photo) -> None:
    small = encoded(photo(16, 40))
    with pytest.raises(InvalidPair, match=r"^Pair 'tiny': .* below 17 pixels"):
        Judge(PhotoPair("tiny", small, small))


# --- peers


def test_a_peer_s_results_are_read_from_a_folder(pair: PhotoPair, tmp_path: Path) -> None:
    name, read = peers.folder_peer(f"the others={tmp_path}/{{pair}}/theirs.png")
    assert name == "the others"
    assert read(pair) is None
    file = tmp_path / pair.name / "theirs.png"
    Image.new("RGB", (9, 8), "red").save(file)
    result = read(pair)
    assert result is not None
    assert result.size == (9, 8)
    file.write_bytes(b"no picture")
    with pytest.raises(InvalidPair, match=r"^Pair 'a': The result of the others is no image"):
        read(pair)


@pytest.mark.parametrize("given", ["{pair}.png", "name=dpst.png", "={pair}.png"])
def test_a_peer_of_another_form_is_refused(given: str, check_sentence: CheckSentence) -> None:
    with pytest.raises(InvalidOption, match="expected NAME=PATTERN") as no:
        peers.folder_peer(given)
    check_sentence(no.value)


def _moments(picture: Image.Image) -> list[Floats]:
    colors = np.asarray(picture, dtype=np.float64).reshape(-1, 3)
    return [colors.mean(axis=0), np.cov(colors, rowvar=False)]


def test_monge_kantorovich_reaches_mean_and_covariance(encoded: Encode) -> None:
    rng = np.random.default_rng(6)
    content = rng.normal((90, 120, 140), (20, 12, 25), (60, 80, 3))
    style = np.tensordot(
        rng.normal(128, 15, (50, 70, 3)) - 128, [[1, 1, 0], [0, 1, 0], [0, 1, 1]], 1
    )
    files = [encoded(np.rint(one).astype(np.uint8)) for one in (content, style + 128)]
    result = peers.monge_kantorovich(PhotoPair("x", *files))
    for ours, theirs in zip(_moments(result), _moments(_picture(files[1])), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=2)
    # Of the maps that do, it is the one without a rotation: a symmetric, positive matrix.
    x, y = (
        np.asarray(one, dtype=np.float64).reshape(-1, 3) for one in (_picture(files[0]), result)
    )
    matrix = np.linalg.lstsq(x - x.mean(axis=0), y - y.mean(axis=0), rcond=None)[0]
    np.testing.assert_allclose(matrix, matrix.T, atol=0.02)
    assert np.linalg.eigvalsh(matrix).min() > 0


def test_monge_kantorovich_takes_photos_of_one_color(pair: PhotoPair, encoded: Encode) -> None:
    flat = encoded(np.full((20, 30, 3), 77, dtype=np.uint8))
    result = np.asarray(peers.monge_kantorovich(PhotoPair("x", flat, pair.style)))
    mean = np.asarray(_picture(pair.style)).reshape(-1, 3).mean(axis=0)
    np.testing.assert_allclose(result, np.broadcast_to(mean, result.shape), atol=1)
    result = np.asarray(peers.monge_kantorovich(PhotoPair("x", pair.content, flat)))
    np.testing.assert_allclose(result, 77, atol=2)


def _program(folder: Path, *lines: str) -> str:
    """A program in place of color-matcher, which is not installed for the tests."""
    file = folder / "color-matcher"
    file.write_text("\n".join([f"#!{sys.executable}", "import sys", *lines]))
    file.chmod(0o755)
    return str(file)


def test_color_matcher_runs_as_a_program(pair: PhotoPair, tmp_path: Path) -> None:
    program = _program(
        tmp_path,
        "from PIL import Image",
        "source, style = sys.argv[sys.argv.index('-s') + 1], sys.argv[sys.argv.index('-r') + 1]",
        "method = sys.argv[sys.argv.index('-m') + 1]",
        "result = Image.blend(Image.open(source), Image.open(style), 0.5)",
        "result.save(source.replace('.png', f'_{method}.png'))",
        "sys.exit(1)",  # as the real one does when all went well
    )
    result = peers.color_matcher(program)(pair)
    expected = Image.blend(_picture(pair.content), _picture(pair.style), 0.5)
    np.testing.assert_array_equal(np.asarray(result), np.asarray(expected))


def test_a_color_matcher_that_fails_says_why(pair: PhotoPair, tmp_path: Path) -> None:
    program = _program(tmp_path, "sys.exit('no module named imageio')")
    with pytest.raises(InvalidPair, match=r"^Pair 'a': color-matcher failed \(no module named i"):
        peers.color_matcher(program)(pair)


def test_color_matcher_is_found_on_the_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin" / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert peers.find_color_matcher() is None
    program = _program(tmp_path)
    assert peers.find_color_matcher() == program


# --- runs


@pytest.fixture
def stylizer(builtin_engine: Engine) -> Stylizer:
    return Stylizer(builtin_engine("cat5"))


def test_a_pair_is_stylized_as_the_server_does_it(
    stylizer: Stylizer, pair: PhotoPair, bare: PhotoPair
) -> None:
    whole, drawn = Variant("whole", {"size": 24}), Variant("drawn", {"size": 24}, masks=True)
    results = [stylizer.stylize(pair, variant) for variant in (whole, drawn)]
    for result in results:
        assert result is not None
        assert result.size == (32, 24)
        assert Judge(pair).measure(result).structure < 1
    assert results[0] != results[1]
    assert stylizer.stylize(bare, drawn) is None
    assert stylizer.stylize(bare, whole) == results[0]


def test_automatic_regions_come_from_the_segmenter(
    stylizer: Stylizer, pair: PhotoPair, seeded_module: Callable[[nn.Module], nn.Module]
) -> None:
    segmenter = Segmenter(8, 2)
    seeded_module(segmenter)
    automatic = Stylizer(stylizer.engine, segmenter, ("sky", "vegetation"))
    results = [
        automatic.stylize(pair, Variant("", {"size": 24, "segment": segment}))
        for segment in (True, False)
    ]
    assert results[0] != results[1]
    assert results[1] == stylizer.stylize(pair, Variant("", {"size": 24}))


def test_a_pair_that_cannot_be_stylized_is_named(
    stylizer: Stylizer, pair: PhotoPair, encoded: Encode, photo: Photo
) -> None:
    other = PhotoPair("odd", encoded(photo(20, 20)), pair.style, pair.content_mask, pair.style_mask)
    with pytest.raises(InvalidPair, match=r"^Pair 'odd': The content mask is 32x24 pixels"):
        stylizer.stylize(other, Variant("", {"size": 24}, masks=True))


# --- reports


def _outcome(pair: str, what: str, structure: float) -> Outcome:
    return Outcome(pair, what, Measures(structure, 10.0, 4.04, 21.4))


def test_summary_is_median_and_percentiles_of_each_row() -> None:
    outcomes = [_outcome(str(k), "one", k / 10) for k in (9, 0, 4, 2, 10, 1, 3, 5, 8, 7, 6)]
    outcomes.append(_outcome("0", "other", 0.5))
    found = summarize(outcomes)
    assert list(found) == ["one", "other"]
    assert found["one"]["structure"] == pytest.approx((0.5, 0.1, 0.9))
    assert found["other"]["structure"] == Spread(0.5, 0.5, 0.5)


def test_reports_hold_every_outcome() -> None:
    outcomes = [_outcome("x", "one", 0.91234), _outcome("y", "one", 0.5), _outcome("y", "two", 0.1)]
    report = json.loads(json.dumps(as_json({"folder": "f"}, outcomes), allow_nan=False))
    assert report["settings"] == {"folder": "f"}
    assert {"torch", "cpus", "python"} <= set(report["machine"])
    assert [(one["pair"], one["what"]) for one in report["outcomes"]] == [
        ("x", "one"),
        ("y", "one"),
        ("y", "two"),
    ]
    assert report["outcomes"][0]["structure"] == 0.9123
    assert report["summary"]["one"]["structure"] == {
        "median": 0.7062,
        "low": 0.5412,
        "high": 0.8711,
    }
    table = [line for line in as_markdown({}, outcomes).splitlines() if line.startswith("|")]
    assert table[0] == "| what | structure kept | distance from style | residual | p99 |"
    assert table[2].startswith(
        "| one | 0.71 (0.54..0.87) | 10.0 (10.0..10.0) | 4.0 (4.0..4.0) | 21"
    )
    assert table[3].startswith("| two (1 of the pairs) | 0.10")


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


def test_every_variant_is_a_request(pair: PhotoPair) -> None:
    names = [variant.name for variant in VARIANTS]
    assert len(set(names)) == len(names)
    for variant in VARIANTS:
        StylizeRequest(pair.content, pair.style, **variant.options)


def test_command_writes_numbers_and_sheet(
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    small = (Variant("drawn", {"size": 24}, masks=True), Variant("default", {"size": 24}))
    monkeypatch.setattr(quality, "VARIANTS", small)
    monkeypatch.setattr(peers, "find_color_matcher", lambda: None)
    Image.new("RGB", (32, 24), "red").save(folder / "b" / "theirs.png")
    out = tmp_path / "new" / "out"
    peer = f"theirs={folder}/{{pair}}/theirs.png"
    assert main([str(folder), "-o", str(out), "--peer", peer]) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert "Skipped c" in said
    assert "Without color-matcher" in said
    report = json.loads((out / "quality.json").read_text())
    mkl = "linear Monge-Kantorovich map, whole photo"
    assert [(one["pair"], one["what"]) for one in report["outcomes"]] == [
        ("a", "content itself"),
        ("a", mkl),
        ("a", "drawn"),
        ("a", "default"),
        ("b", "content itself"),
        ("b", "theirs"),
        ("b", mkl),
        ("b", "default"),
    ]
    assert str(tmp_path) not in (out / "quality.json").read_text()
    assert "| drawn (1 of the pairs) |" in (out / "quality.md").read_text()
    with Image.open(out / "sheet.png") as sheet:
        assert 6 * 480 < sheet.width < 7 * 480  # the style and five methods
    assert sorted(path.name for path in out.iterdir()) == [
        "quality.json",
        "quality.md",
        "sheet.png",
    ]


@pytest.mark.parametrize(
    ("given", "code", "words"),
    [
        (["--limit", "0"], 2, "--limit"),
        (["--peer", "dpst.png"], 2, "expected NAME=PATTERN"),
        (["--weights", "nowhere"], 1, "no weight set or folder"),
        (["--segmenter", "nowhere"], 1, "nowhere"),
    ],
)
def test_wrong_calls(
    given: list[str], code: int, words: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(folder), "-o", str(folder / "out"), *given]) == code
    assert words in " ".join(capsys.readouterr().err.split())
    assert not (folder / "out").exists()
