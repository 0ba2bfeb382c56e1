"""What becomes of the model's answer, and how results are saved."""

import stat
from dataclasses import FrozenInstanceError
from io import BytesIO

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
        assert (result.report, result.request_id) == (REPORT, "7")
        assert np.array_equal(np.asarray(result.image), PHOTO)
        assert np.array_equal(result.content_labels, LABELS)
        assert np.array_equal(result.style_labels, LABELS.T)
        assert result.content_labels.dtype == np.uint8
        assert result.image is result.image  # it is decoded once
        assert result.content_labels is result.content_labels
        assert "PNG" not in repr(result)
        with pytest.raises(FrozenInstanceError):
            result.png = b""

    def test_regions_without_a_picture(self):
        regions = parse_regions(answer(IMAGE=None), "7")
        assert np.array_equal(regions.content_labels, LABELS)
        assert np.array_equal(regions.style_labels, LABELS.T)
        assert (regions.report, regions.request_id) == (REPORT, "7")
        with pytest.raises(ServerFailed, match="STYLE_LABELS"):
            parse_regions(answer(STYLE_LABELS=None), None)

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            *(("IMAGE", None), ("STYLE_LABELS", 3)),
            *(("REPORT", value) for value in (None, b"{", b"\xff", b"[1]")),
        ],
    )
    def test_incomplete_answer(self, name, value):
        with pytest.raises(ServerFailed) as caught:
            parse_outputs(answer(**{name: value}), "7")
        assert caught.value.request_id == "7"

    def test_wrong_number_of_elements(self):
        outputs = answer() | {"IMAGE": np.array([b"a", b"b"], dtype=object)}
        with pytest.raises(ServerFailed, match="IMAGE"):
            parse_outputs(outputs, None)

    def test_pictures_that_cannot_be_decoded(self):
        result = parse_outputs(answer(IMAGE=b"no picture", CONTENT_LABELS=png(PHOTO)), "7")
        with pytest.raises(ServerFailed, match="cannot be read"):
            result.image  # noqa: B018
        with pytest.raises(ServerFailed, match=r"\(4, 6, 3\)"):
            result.content_labels  # noqa: B018


class TestSaving:
    def test_png_holds_the_bytes_of_the_server(self, result, tmp_path):
        path = result.save(tmp_path / "out.PNG")
        assert path.read_bytes() == result.png
        assert [file.name for file in tmp_path.iterdir()] == ["out.PNG"]
        (plain := tmp_path / "plain").touch()  # the permissions are those of any new file
        assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)

    @pytest.mark.parametrize(
        ("suffix", "kind"), [(".jpg", "JPEG"), (".webp", "WEBP"), (".tif", "TIFF")]
    )
    def test_other_formats_are_converted(self, result, tmp_path, suffix, kind):
        with Image.open(result.save(str(tmp_path / f"out{suffix}"))) as image:
            assert (image.format, image.size) == (kind, (6, 4))

    def test_another_format_of_the_server_is_converted(self, tmp_path):
        Image.fromarray(PHOTO).save(buffer := BytesIO(), "JPEG")
        result = parse_outputs(answer(IMAGE=buffer.getvalue()), "7")
        assert (result.format, result.data) == ("jpeg", buffer.getvalue())
        with Image.open(BytesIO(result.png)) as image:
            assert image.format == "PNG"
            assert np.array_equal(np.asarray(image), np.asarray(result.image))
        with Image.open(result.save(tmp_path / "out.webp")) as image:
            assert image.format == "WEBP"
        plain = parse_outputs(answer(), "7")
        poor = plain.save(tmp_path / "poor.jpg", quality=10).stat().st_size
        assert poor < plain.save(tmp_path / "good.jpg").stat().st_size

    def test_follows_a_link(self, result, tmp_path):
        (tmp_path / "real.png").write_bytes(b"old")
        (tmp_path / "link.png").symlink_to(tmp_path / "real.png")
        result.save(tmp_path / "link.png")
        assert (tmp_path / "link.png").is_symlink()
        assert (tmp_path / "real.png").read_bytes() == result.png

    @pytest.mark.parametrize(
        ("name", "error", "words"),
        [
            *((name, InvalidInput, r"expected \.png") for name in ("out", "out.doc", "out.psd")),
            ("folder.png", InvalidInput, "not a file"),
            ("none/out.png", FileNotFoundError, "none"),
        ],
    )
    def test_where_nothing_can_be_saved(self, result, tmp_path, name, error, words):
        (tmp_path / "folder.png").mkdir()
        with pytest.raises(error, match=words):
            result.save(tmp_path / name)
        assert [path.name for path in tmp_path.rglob("*")] == ["folder.png"]


def test_regions_have_colors():
    picture = np.asarray(color_regions(LABELS))
    assert picture.shape == (2, 3, 3)
    assert np.array_equal(picture[0, 1], PALETTE[1])
    assert np.array_equal(picture[1, 0], PALETTE[25 % len(PALETTE)])
    assert len({tuple(color) for color in PALETTE.tolist()}) == len(PALETTE)
