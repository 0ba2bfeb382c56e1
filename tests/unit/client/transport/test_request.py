"""What the arguments of a call become: the tensors of the contract, and photos as files."""

import inspect
from io import BytesIO

import numpy as np
import pytest
import tritonclient.grpc
import tritonclient.http
from PIL import Image

from photoreal.client import AsyncStyleTransferClient, InvalidInput, StyleTransferClient
from photoreal.client._images import encode_image
from photoreal.client._transport.base import infer_arguments
from photoreal.client._transport.inputs import build_inputs
from photoreal.contract import STYLIZE
from photoreal.errors import InvalidRequest
from photoreal.options import STYLIZE_OPTIONS, offered

from ..conftest import LABELS, PHOTO, png

CLIENTS = [StyleTransferClient, AsyncStyleTransferClient]
PLAIN = {"content": b"content", "style": b"style"}
ALL = PLAIN | {
    "content_mask": b"mask",
    "style_mask": b"mask",
    "weights": [1.0],
    "alpha": 0.5,
    "method": "color",
    "color_strength": 0.5,
    "wct2_strength": 0.5,
    "size": 256,
    "output_size": 512,
    "format": "jpeg",
    "bit_depth": 8,
    "metadata": True,
    "transfer_at": "encoder,skip",
    "segment": False,
    "match": "nearest",
    "blend": 3,
    "mask_edges": True,
    "sequence": "shot",
    "steady": 0.5,
    "pairs": [(0, 1), (2, None)],
}


def fits(shape, dims):
    """Whether a shape is one of a spec's, where -1 is a free size."""
    return len(shape) == len(dims) and all(d in (-1, n) for d, n in zip(dims, shape, strict=True))


def sent(image, **options):
    return Image.open(BytesIO(encode_image(image, "content", **options)))


class TestContract:
    def test_both_clients_take_every_input_as_an_argument(self):
        sync, twin = (inspect.signature(client.stylize).parameters for client in CLIENTS)
        assert sync == twin
        tensors = {option.name: option.tensor for option in STYLIZE_OPTIONS}
        names = set(sync) - {"self", "labels", "timeout", "request_id"}
        assert {tensors.get(name, name.upper()) for name in names} == set(STYLIZE.input_names())

    @pytest.mark.parametrize("client", CLIENTS)
    def test_regions_take_the_options_that_decide_them(self, client):
        arguments = inspect.signature(client.find_regions).parameters
        options = {option.name for option in STYLIZE_OPTIONS}
        assert options & set(arguments) == {"method", "size", "segment", "match"}
        assert all(arguments[option.name].default is None for option in offered("regions"))

    @pytest.mark.parametrize("binding", [tritonclient.http, tritonclient.grpc])
    def test_types_and_shapes_for_tritonclient(self, binding):
        tensors = build_inputs(**ALL)
        assert list(tensors) == STYLIZE.input_names()
        arguments = infer_arguments(binding, tensors, ["IMAGE"], "7", 2.5)
        assert arguments["timeout"] == 2_500_000
        assert arguments["model_name"] == STYLIZE.name
        for tensor, spec in zip(arguments["inputs"], STYLIZE.inputs, strict=True):
            assert (tensor.name(), tensor.datatype()) == (spec.name, spec.dtype)
            assert fits(tensor.shape(), spec.dims)
        assert [output.name() for output in arguments["outputs"]] == ["IMAGE"]


class TestOptions:
    def test_none_is_not_sent(self):
        assert sorted(build_inputs(**PLAIN, alpha=None, segment=None)) == ["CONTENT", "STYLE"]

    @pytest.mark.parametrize(
        ("name", "value", "expected"),
        [
            ("alpha", np.float32(7), [7.0]),
            ("alpha", 1e300, [np.inf]),  # too large an alpha is for the server to refuse
            ("size", np.int64(-1), [-1]),
            ("segment", False, [False]),
            ("match", "nearest", [b"nearest"]),
            ("blend", 3, [3]),
            ("pairs", [(0, 1), (2, None)], [[0, 1], [2, -1]]),
            ("pairs", [], []),
            ("transfer_at", ("encoder", "skip"), [b"encoder,skip"]),
            ("transfer_at", ["encoder", "skip"], [b"encoder,skip"]),
            ("transfer_at", "encoder,skip", [b"encoder,skip"]),
            ("transfer_at", (place for place in ("skip", "decoder")), [b"skip,decoder"]),
        ],
    )
    def test_values_are_sent_as_given(self, name, value, expected):
        tensor = build_inputs(**PLAIN, **{name: value})[name.upper()]
        assert tensor.tolist() == expected
        assert name != "pairs" or tensor.shape[1] == 2

    @pytest.mark.parametrize(
        ("name", "values"),
        [
            ("alpha", ["1", True]),
            ("size", [512.0, True, 2**31]),
            ("segment", [1, "no"]),
            ("match", [1, b"nearest"]),
            ("blend", [0.5, False, "soft", -(2**31) - 1]),
            ("transfer_at", [3, [1, 2]]),
            ("sequence", [7]),
            ("pairs", [3, [1, 2], [(1, 2, 3)], [("a", 1)], [(1.5, 1)], [(True, 1)], [(0, 256)]]),
            ("pairs", [[(-1, 1)], [(1, -2)]]),
        ],
    )
    def test_wrong_type(self, name, values):
        for value in values:
            with pytest.raises(InvalidInput, match=name) as caught:
                build_inputs(**PLAIN, **{name: value})
            assert isinstance(caught.value, InvalidRequest)


class TestImages:
    def test_files_and_bytes_are_sent_as_they_are(self, photo_file):
        data = photo_file.read_bytes()
        for image in (photo_file, str(photo_file), data, bytearray(data), memoryview(data)):
            assert encode_image(image, "content") == data

    @pytest.mark.parametrize("array", [PHOTO, PHOTO[:, ::-1], LABELS])
    def test_array_becomes_png_without_loss(self, array):
        image = sent(array, mask=array is LABELS)
        assert image.format == "PNG"
        assert np.array_equal(np.asarray(image), array)

    @pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
    def test_pillow_image_keeps_its_mode(self, mode):
        image = Image.fromarray(PHOTO).convert(mode)
        assert (sent(image).mode, sent(image).tobytes()) == (mode, image.tobytes())

    def test_pillow_image_becomes_rgb_and_upright(self):
        image = Image.fromarray(PHOTO)
        assert sent(image.convert("CMYK")).mode == "RGB"
        image.getexif()[0x0112] = 6  # the top of the photo is at the right
        assert np.array_equal(np.asarray(sent(image)), np.rot90(PHOTO, -1))

    @pytest.mark.parametrize(
        "image",
        [
            *(PHOTO.astype(np.float32), PHOTO[..., :2], PHOTO[..., 0], PHOTO[:0], 3, None),
            *(Image.new("F", (3, 3)), Image.new("RGB", (0, 3))),
        ],
    )
    def test_invalid_photos(self, image):
        with pytest.raises(InvalidInput, match="style is a"):
            encode_image(image, "style")

    def test_wrong_shape_names_what_was_expected(self):
        with pytest.raises(InvalidInput, match=r"float32 .*\(4, 6\).*\(H, W\)"):
            encode_image(np.zeros((4, 6), np.float32), "style mask", mask=True)

    @pytest.mark.parametrize(
        ("name", "words"),
        [("none.png", "content .*does not exist"), ("", "is a folder"), ("a\0b", "cannot be read")],
    )
    def test_file_that_cannot_be_read(self, tmp_path, name, words):
        with pytest.raises(InvalidInput, match=words):
            encode_image(f"{tmp_path}/{name}", "content")

    def test_broken_file_opened_by_pillow(self, tmp_path):
        data = png(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
        (tmp_path / "half.png").write_bytes(data[: len(data) // 2])
        with Image.open(tmp_path / "half.png") as image, pytest.raises(InvalidInput, match="conte"):
            encode_image(image, "content")
