import io
import stat
from dataclasses import FrozenInstanceError

import numpy as np
import pytest
from PIL import Image

from photoreal.client import InvalidInput, ServerFailed
from photoreal.client.cli.label_picture import PALETTE, color_regions
from photoreal.client.result import parse_outputs, parse_regions

from .conftest import LABELS, PHOTO, REPORT, answer, png


@pytest.fixture
def result():
    return parse_outputs(answer(), "7")


class TestParsing:
    def test_everything_is_there(self, result):
        assert (result.format, result.data, result.png) == ("png", png(PHOTO), png(PHOTO))
        assert np.array_equal(np.asarray(result.image), PHOTO)
        assert np.array_equal(result.content_labels, LABELS)
        assert np.array_equal(result.style_labels, LABELS.T)
        assert result.content_labels.dtype == np.uint8
        assert result.report == REPORT
        assert result.request_id == "7"

    def test_is_decoded_once(self, result):
        assert result.image is result.image
        assert result.content_labels is result.content_labels

    def test_is_frozen_and_short_to_print(self, result):
        with pytest.raises(FrozenInstanceError):
            result.png = b""
        assert "PNG" not in repr(result)

    @pytest.mark.parametrize(
        "changes",
        [
            {"IMAGE": None},
            {"REPORT": None},
            {"REPORT": b"{"},
            {"REPORT": b"\xff"},
            {"REPORT": b"[1]"},
            {"STYLE_LABELS": 3},
        ],
    )
    def test_incomplete_answer(self, changes):
        with pytest.raises(ServerFailed) as caught:
            parse_outputs(answer(**changes), "7")
        assert caught.value.request_id == "7"

    def test_regions_without_a_picture(self):
        regions = parse_regions(answer(IMAGE=None), "7")
        assert np.array_equal(regions.content_labels, LABELS)
        assert np.array_equal(regions.style_labels, LABELS.T)
        assert (regions.report, regions.request_id) == (REPORT, "7")
        with pytest.raises(ServerFailed, match="STYLE_LABELS"):
            parse_regions(answer(STYLE_LABELS=None), None)

    def test_wrong_number_of_elements(self):
        outputs = answer()
        outputs["IMAGE"] = np.array([b"a", b"b"], dtype=object)
        with pytest.raises(ServerFailed, match="IMAGE"):
            parse_outputs(outputs, None)

    def test_broken_picture(self):
        result = parse_outputs(answer(IMAGE=b"no picture"), "7")
        with pytest.raises(ServerFailed, match="cannot be read"):
            result.image  # noqa: B018

    def test_label_map_in_colors(self):
        result = parse_outputs(answer(CONTENT_LABELS=png(PHOTO)), "7")
        with pytest.raises(ServerFailed, match=r"\(4, 6, 3\)"):
            result.content_labels  # noqa: B018

    def test_another_format(self, tmp_path):
        buffer = io.BytesIO()
        Image.fromarray(PHOTO).save(buffer, "JPEG")
        result = parse_outputs(answer(IMAGE=buffer.getvalue()), "7")
        assert (result.format, result.data) == ("jpeg", buffer.getvalue())
        with Image.open(io.BytesIO(result.png)) as image:
            assert image.format == "PNG"
            assert np.array_equal(np.asarray(image), np.asarray(result.image))
        with Image.open(result.save(tmp_path / "out.webp")) as image:
            assert image.format == "WEBP"


class TestSaving:
    def test_png_holds_the_bytes_of_the_server(self, result, tmp_path):
        path = result.save(tmp_path / "out.PNG")
        assert path.read_bytes() == result.png
        assert [file.name for file in tmp_path.iterdir()] == ["out.PNG"]

    @pytest.mark.parametrize(
        ("suffix", "kind"), [(".jpg", "JPEG"), (".webp", "WEBP"), (".tif", "TIFF")]
    )
    def test_other_formats_are_converted(self, result, tmp_path, suffix, kind):
        path = result.save(str(tmp_path / f"out{suffix}"))
        with Image.open(path) as image:
            assert (image.format, image.size) == (kind, (6, 4))

    def test_quality(self, tmp_path):
        noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
        result = parse_outputs(answer(IMAGE=png(noise)), None)
        poor = result.save(tmp_path / "poor.jpg", quality=10).stat().st_size
        assert poor < result.save(tmp_path / "good.jpg").stat().st_size

    @pytest.mark.parametrize("name", ["out", "out.doc", "out.psd"])
    def test_unknown_suffix(self, result, tmp_path, name):
        with pytest.raises(InvalidInput, match=r"expected \.png"):
            result.save(tmp_path / name)
        assert not list(tmp_path.iterdir())

    def test_replaces_a_file_and_follows_a_link(self, result, tmp_path):
        (tmp_path / "real.png").write_bytes(b"old")
        (tmp_path / "link.png").symlink_to(tmp_path / "real.png")
        result.save(tmp_path / "link.png")
        assert (tmp_path / "link.png").is_symlink()
        assert (tmp_path / "real.png").read_bytes() == result.png

    def test_permissions_are_those_of_any_new_file(self, result, tmp_path):
        plain = tmp_path / "plain"
        plain.touch()
        saved = result.save(tmp_path / "out.png")
        assert stat.S_IMODE(saved.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)

    def test_does_not_replace_a_folder(self, result, tmp_path):
        (tmp_path / "out.png").mkdir()
        with pytest.raises(InvalidInput, match="not a file"):
            result.save(tmp_path / "out.png")

    def test_missing_folder(self, result, tmp_path):
        with pytest.raises(FileNotFoundError):
            result.save(tmp_path / "none" / "out.png")


def test_regions_have_colors():
    picture = np.asarray(color_regions(LABELS))
    assert picture.shape == (2, 3, 3)
    assert np.array_equal(picture[0, 1], PALETTE[1])
    assert np.array_equal(picture[1, 0], PALETTE[25 % len(PALETTE)])
    assert len({tuple(color) for color in PALETTE.tolist()}) == len(PALETTE)
