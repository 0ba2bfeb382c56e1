"""The measures of style transfers have known values on pictures made for them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import quality
from judging import metrics, peers
from judging.judge import Judge, Measures
from judging.methods import VARIANTS, Variant, folder_peer
from judging.pairs import InvalidPair, PhotoPair, read_pairs
from judging.report import Outcome, summarize
from pictures import LIMITS
from PIL import Image, ImageFilter

from photoreal import Pipeline
from photoreal.errors import InvalidOption
from photoreal.pipeline.request import StylizeRequest
from photoreal.preprocess import decode_photo
from photoreal.regions import Pair
from tests.kinds import Capture, Patch
from tests.shared import check_sentence, encoded, photo, refused

pytestmark = pytest.mark.slow

Floats = npt.NDArray[np.floating[Any]]

EXAMPLES = Path(__file__).parents[3] / "examples"


def _planes(picture: Image.Image) -> Floats:
    return np.asarray(picture, dtype=np.float64).transpose(2, 0, 1) / 255


@pytest.fixture(scope="module")
def image() -> Image.Image:
    with Image.open(EXAMPLES / "photos" / "china.jpg") as opened:
        return opened.convert("RGB").resize((120, 80))


@pytest.fixture(scope="module")
def picture(image: Image.Image) -> Floats:
    return _planes(image)


# --- PSNR and structure


def test_psnr(picture: Floats) -> None:
    one = np.full((3, 8, 9), 0.25)
    assert metrics.psnr(one, one + 0.1) == pytest.approx(20)
    assert metrics.psnr(picture, picture.copy()) == metrics.PSNR_CEILING
    other = picture.copy()
    other[0, 0, 0] += 1 / 255
    assert metrics.psnr(picture, other) < metrics.PSNR_CEILING


def test_gradient_of_a_ramp_is_its_slope() -> None:
    rows, columns = np.mgrid[:20, :30]
    slope = metrics.gradient(0.3 * rows + 0.4 * columns)
    np.testing.assert_allclose(slope[1:-1, 1:-1], 0.5)


def test_ssim_of_known_planes(picture: Floats) -> None:
    assert metrics.ssim(picture[0], picture[0]) == pytest.approx(1)
    assert metrics.ssim(picture[0], picture[2]) < 1
    # Two flat planes have no structure to compare: what is left is the luminance term.
    one, other = np.full((16, 16), 0.4), np.full((16, 16), 0.8)
    expected = (2 * 0.4 * 0.8 + 1e-4) / (0.4**2 + 0.8**2 + 1e-4)
    assert metrics.ssim(one, other) == metrics.ssim(other, one) == pytest.approx(expected)
    noise = np.random.default_rng(1).normal(size=(64, 64))
    assert metrics.ssim(0.5 + 0.1 * noise, 0.5 - 0.1 * noise) < -0.8


def test_structure_kept(image: Image.Image, picture: Floats) -> None:
    for same in (picture.copy(), 0.3 + 0.5 * picture, 1 - picture):  # contrast does not count
        assert metrics.structure_kept(picture, same) == pytest.approx(1)
    blurred = [image.filter(ImageFilter.GaussianBlur(radius)) for radius in (0.5, 1, 2, 4)]
    kept = [metrics.structure_kept(picture, _planes(one)) for one in blurred]
    assert kept == sorted(kept, reverse=True)
    assert 1 > kept[0] > kept[-1] + 0.2
    noise = np.random.default_rng(0).normal(0, 0.1, picture.shape)
    assert metrics.structure_kept(picture, picture + noise) < 0.8
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
def test_distance_of_a_shifted_distribution(
    cloud: Floats, way: tuple[float, float, float], length: float
) -> None:
    moved = cloud + length * np.array(way)[:, None]
    assert _distance(cloud, moved) == pytest.approx(length, rel=0.015)


def test_distance_of_other_distributions(cloud: Floats) -> None:
    # Along lightness alone, uniform on 0..50 against uniform on 0..100 is 25 on the line.
    steps = np.linspace(0, 1, 20_001)
    zeros = np.zeros_like(steps)
    narrow, wide = np.stack([50 * steps, zeros, zeros]), np.stack([100 * steps, zeros, zeros])
    assert _distance(narrow, wide) == pytest.approx(25, rel=0.015)
    # Order, count and side do not matter; equal means do not make equal colors.
    other = cloud[::-1] + 3
    assert _distance(cloud, np.random.default_rng(0).permutation(cloud, axis=1)) == 0
    assert _distance(other, cloud) == _distance(cloud, other)
    twice = np.concatenate([cloud, cloud], axis=1)
    assert _distance(twice, other) == pytest.approx(_distance(cloud, other))
    middle = cloud.mean(axis=1, keepdims=True)
    assert _distance(cloud, middle + 0.2 * (cloud - middle)) > 5
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
    assert (near, far) == pytest.approx((8, 40), rel=0.02)
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
    equations, goals = np.concatenate([x, ridge]), np.concatenate([y, 0 * ridge])
    slopes = np.linalg.lstsq(equations, goals, rcond=None)[0]
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


def test_residual_of_affine_changes_and_of_a_tear() -> None:
    content = np.random.default_rng(8).random((3, 40, 60))
    matrix = np.array([[0.5, 0.3, 0.0], [-0.2, 0.7, 0.1], [0.1, 0.1, 0.4]])
    changed = np.tensordot(matrix, content, axes=1) + 0.1
    assert metrics.residual(content, changed).max() < 0.01
    changed[:, :, 30:] += 0.3
    found = metrics.residual(content, changed)
    columns = np.arange(found.shape[1])
    across = (columns + 16 >= 30) & (columns < 30)
    assert found[:, across].min() > 5
    assert found[:, ~across].max() < 0.01


def test_pictures_that_do_not_belong_together_are_refused(picture: Floats) -> None:
    for measure in (metrics.psnr, metrics.structure_kept, metrics.residual):
        with pytest.raises(ValueError, match="different shapes"):
            measure(picture, picture[:, :-1])
    with pytest.raises(ValueError, match="11 pixels a side"):
        metrics.ssim(picture[0, :10], picture[0, :10])
    with pytest.raises(ValueError, match="17 pixels a side"):
        metrics.residual(picture[:, :16], picture[:, :16])


# --- pairs


@pytest.fixture
def folder(tmp_path: Path) -> Path:
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


def test_pairs_of_a_folder(folder: Path) -> None:
    (folder / ".hidden").mkdir()
    (folder / "notes.txt").write_text("no pair")
    pairs, skipped = read_pairs(folder)
    assert [(pair.name, pair.has_masks) for pair in pairs] == [("a", True), ("b", False)]
    assert skipped == ["c"]
    assert pairs[0].style == (folder / "a" / "style.JPG").read_bytes()
    assert len(read_pairs(folder, count=1)[0]) == 1


@pytest.mark.parametrize(
    ("file", "data", "words"),
    [
        ("a/style.JPG", None, "Pair 'a' has no style photo"),
        ("a/content.png", None, "Pair 'a' has no content photo"),
        ("a/style_mask.png", None, "Pair 'a' has only one mask"),
        ("b/style.JPG", b"no picture", "Pair 'b': The style photo"),
        ("a/style_mask.png", b"", "Pair 'a': The style mask"),
    ],
)
def test_broken_pair_is_named(
    file: str, data: bytes | None, words: str, folder: Path, capsys: Capture
) -> None:
    if data is None:
        (folder / file).unlink()
    else:
        (folder / file).write_bytes(data)
    with pytest.raises(InvalidPair) as no:
        read_pairs(folder)
    assert words in str(no.value)
    check_sentence(no.value)
    assert quality.main([str(folder), "-o", str(folder / "out")]) == 2
    assert words in capsys.readouterr().err
    assert not (folder / "out").exists()


@pytest.fixture
def pair(folder: Path) -> PhotoPair:
    return read_pairs(folder)[0][0]


@pytest.fixture
def bare(pair: PhotoPair) -> PhotoPair:
    """The pair without its masks."""
    return PhotoPair("bare", pair.content, pair.style)


def _picture(data: bytes) -> Image.Image:
    return Image.fromarray(decode_photo(data, "photo", LIMITS))


# --- the judge


def test_a_copy_keeps_everything_and_reaches_nothing(pair: PhotoPair) -> None:
    found = Judge(pair).measure(_picture(pair.content))
    assert found.structure == pytest.approx(1)
    assert found.residual < found.p99 < 0.5
    assert found.style > 5


def test_regions_are_the_drawn_ones(pair: PhotoPair, bare: PhotoPair) -> None:
    """Each half of the content takes the colors of one half of the style, or of all of it."""
    result = np.zeros((24, 32, 3), dtype=np.uint8)
    result[:, :16], result[:, 16:] = (200, 30, 30), (30, 30, 200)
    style = encoded(result[:, ::-1])  # the same colors, the other way round
    apart = [encoded(np.full((24, 32), label, dtype=np.uint8)) for label in (1, 2)]
    crossed, whole, unpaired = (
        Judge(PhotoPair("x", pair.content, style, *masks))
        for masks in ([pair.content_mask, pair.style_mask], [], apart)
    )
    same, turned = Image.fromarray(result), Image.fromarray(result[:, ::-1].copy())
    assert crossed.measure(same).style > 50
    assert crossed.measure(turned).style == 0
    assert whole.measure(same).style == unpaired.measure(same).style == 0


def test_everything_is_brought_to_the_size_of_the_content(pair: PhotoPair) -> None:
    judge = Judge(pair)
    content = _picture(pair.content)
    smaller = content.resize((16, 12), Image.Resampling.LANCZOS)
    again = smaller.resize(content.size, Image.Resampling.LANCZOS)
    assert judge.measure(smaller) == judge.measure(again)
    mask = np.zeros((48, 64), dtype=np.uint8)
    mask[:, 32:] = 1
    larger = PhotoPair("x", pair.content, pair.style, encoded(mask), encoded(mask))
    assert Judge(larger).measure(content) == judge.measure(content)
    small = encoded(photo(16, 40))
    with pytest.raises(InvalidPair, match=r"^Pair 'tiny': .* below 17 pixels"):
        Judge(PhotoPair("tiny", small, small))


# --- peers


def test_results_of_a_peer_are_read_from_a_folder(pair: PhotoPair, tmp_path: Path) -> None:
    name, read = folder_peer(f"the others={tmp_path}/{{pair}}/theirs.png")
    assert name == "the others"
    assert read(pair) is None
    file = tmp_path / pair.name / "theirs.png"
    Image.new("RGB", (9, 8), "red").save(file)
    result = read(pair)
    assert result is not None
    assert result.size == (9, 8)
    file.write_bytes(b"no picture")
    with pytest.raises(InvalidPair, match=r"^Pair 'a': The result of the others"):
        read(pair)


@pytest.mark.parametrize("given", ["{pair}.png", "name=dpst.png", "={pair}.png"])
def test_a_peer_of_another_form_is_refused(given: str) -> None:
    with refused(InvalidOption, "expected NAME=PATTERN"):
        folder_peer(given)


def _colors(picture: Image.Image) -> Floats:
    return np.asarray(picture, dtype=np.float64).reshape(-1, 3)


def test_monge_kantorovich() -> None:
    rng = np.random.default_rng(6)
    content = rng.normal((90, 120, 140), (20, 12, 25), (60, 80, 3))
    mixing = [[1, 1, 0], [0, 1, 0], [0, 1, 1]]
    style = 128 + np.tensordot(rng.normal(0, 15, (50, 70, 3)), mixing, 1)
    flat = np.full((20, 30, 3), 77)
    files = [encoded(np.rint(one).astype(np.uint8)) for one in (content, style, flat)]
    x, goal, result = map(
        _colors,
        (
            _picture(files[0]),
            _picture(files[1]),
            peers.monge_kantorovich(PhotoPair("x", *files[:2])),
        ),
    )
    np.testing.assert_allclose(result.mean(axis=0), goal.mean(axis=0), atol=2)
    np.testing.assert_allclose(np.cov(result.T), np.cov(goal.T), atol=2)
    # Of the maps that do, it is the one without a rotation: a symmetric, positive matrix.
    matrix = np.linalg.lstsq(x - x.mean(axis=0), result - result.mean(axis=0), rcond=None)[0]
    np.testing.assert_allclose(matrix, matrix.T, atol=0.02)
    assert np.linalg.eigvalsh(matrix).min() > 0
    to_flat = _colors(peers.monge_kantorovich(PhotoPair("x", files[0], files[2])))
    np.testing.assert_allclose(to_flat, 77, atol=2)
    from_flat = _colors(peers.monge_kantorovich(PhotoPair("x", files[2], files[1])))
    np.testing.assert_allclose(from_flat, np.broadcast_to(goal.mean(axis=0), (600, 3)), atol=1)


_PYTHON = sys.executable


def _program(folder: Path, *lines: str) -> str:
    """A program in place of color-matcher, which is not installed for the tests."""
    file = folder / "color-matcher"
    file.write_text("\n".join([f"#!{_PYTHON}", "import sys", *lines]))
    file.chmod(0o755)
    return str(file)


def test_color_matcher_runs_as_a_program(
    pair: PhotoPair, tmp_path: Path, monkeypatch: Patch
) -> None:
    program = _program(
        tmp_path,
        "from PIL import Image",
        "source, style = sys.argv[sys.argv.index('-s') + 1], sys.argv[sys.argv.index('-r') + 1]",
        "method = sys.argv[sys.argv.index('-m') + 1]",
        "result = Image.blend(Image.open(source), Image.open(style), 0.5)",
        "result.save(source.replace('.png', f'_{method}.png'))",
        "sys.exit(1)",  # as the real one does when all went well
    )
    monkeypatch.setattr(sys, "executable", str(tmp_path / "bin" / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    matcher = peers.color_matcher()
    assert matcher is not None
    result = matcher(pair)
    assert result == Image.blend(_picture(pair.content), _picture(pair.style), 0.5)
    _program(tmp_path, "sys.exit('no module named imageio')")
    with pytest.raises(InvalidPair, match=r"^Pair 'a': color-matcher failed \(no module named i"):
        matcher(pair)
    Path(program).unlink()
    assert peers.color_matcher() is None


# --- runs


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    return Pipeline(device="cpu", limits=LIMITS)


def test_pairs_are_stylized_as_the_server_does_it(
    pipeline: Pipeline, pair: PhotoPair, bare: PhotoPair
) -> None:
    found, whole, drawn = (
        Variant("", {"size": 24, **options}, masks).method(pipeline)
        for options, masks in (({}, False), ({"segment": False}, False), ({}, True))
    )
    results = [method(pair) for method in (found, whole, drawn)]
    for result in results:
        assert result is not None
        assert result.size == (32, 24)
    assert len({one.tobytes() for one in results if one is not None}) == 3
    assert drawn(bare) is None
    assert whole(bare) == results[1]
    expected = pipeline.stylize(pair.content, pair.style, size=24).image
    assert found(pair) == expected
    other = PhotoPair("odd", encoded(photo(20, 20)), pair.style, pair.content_mask, pair.style_mask)
    with pytest.raises(InvalidPair, match=r"^Pair 'odd': The content mask is 32x24"):
        drawn(other)


def test_every_variant_is_a_request(pair: PhotoPair) -> None:
    assert len({variant.name for variant in VARIANTS}) == len(VARIANTS)
    for variant in VARIANTS:
        StylizeRequest(pair.content, pair.style, **variant.options)


def test_summary_is_median_and_percentiles_of_each_row() -> None:
    numbers = [9, 0, 4, 2, 10, 1, 3, 5, 8, 7, 6]
    outcomes = [Outcome(str(k), "one", Measures(k / 10, 10.0, 4.04, 21.4)) for k in numbers]
    outcomes.append(Outcome("0", "other", Measures(0.5, 1.0, 1.0, 1.0)))
    medians, pairs = summarize(outcomes)
    assert [row["what"] for row in medians.rows] == ["one", "other (1 of the pairs)"]
    assert medians.rows[0]["structure"] == pytest.approx((0.5, 0.1, 0.9, 11))
    assert "| one | 0.50 (0.10..0.90) | 10.0 (10.0..10.0) | 4.0 (4.0..4.0) | 21 (21..21) |" in (
        medians.as_markdown()
    )
    assert pairs.rows[-1] == {"pair": "0", "what": "other", "structure": 0.5} | dict.fromkeys(
        ("style", "residual", "p99"), 1.0
    )


def test_command_writes_numbers_and_pictures(
    folder: Path, tmp_path: Path, capsys: Capture, monkeypatch: Patch
) -> None:
    small = (Variant("drawn", {"size": 24}, masks=True), Variant("default", {"size": 24}))
    monkeypatch.setattr(quality, "VARIANTS", small)
    monkeypatch.setattr(peers, "color_matcher", lambda: None)
    Image.new("RGB", (32, 24), "red").save(folder / "b" / "theirs.png")
    out = tmp_path / "new" / "out"
    peer = f"theirs={folder}/{{pair}}/theirs.png"
    assert quality.main([str(folder), "-o", str(out), "--peer", peer]) == 0
    said = " ".join(capsys.readouterr().err.split())
    assert "Skipped c" in said
    assert "Without color-matcher" in said
    report = json.loads((out / "quality.json").read_text())
    mkl = "linear Monge-Kantorovich map, whole photo"
    assert [(one["pair"], one["what"]) for one in report["parts"]["Pairs"]["rows"]] == [
        *(("a", what) for what in ("content itself", mkl, "drawn", "default")),
        *(("b", what) for what in ("content itself", "theirs", mkl, "default")),
    ]
    assert str(tmp_path) not in (out / "quality.json").read_text()
    assert "| drawn (1 of the pairs) |" in (out / "quality.md").read_text()
    assert "weights builtin" in (out / "quality.md").read_text()
    with Image.open(out / "b" / "theirs.jpg") as shown:
        assert shown.size == (32, 24)


@pytest.mark.parametrize(
    ("given", "code", "words"),
    [
        (["--limit", "0"], 2, "--limit"),
        (["--peer", "dpst.png"], 2, "expected NAME=PATTERN"),
        (["--weights", "nowhere"], 1, "nowhere"),
        (["--segmenter", "nowhere"], 1, "nowhere"),
    ],
)
def test_wrong_calls(
    given: list[str], code: int, words: str, folder: Path, capsys: Capture
) -> None:
    assert quality.main([str(folder), "-o", str(folder / "out"), *given]) == code
    assert words in " ".join(capsys.readouterr().err.split())
    assert not (folder / "out").exists()
