import inspect
from io import BytesIO
from pathlib import Path

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

ALL = {
    "content": b"content",
    "style": b"style",
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


def decoded(data):
    return Image.open(BytesIO(data))


class TestContract:
    @pytest.mark.parametrize("client", [StyleTransferClient, AsyncStyleTransferClient])
    def test_every_input_is_an_argument(self, client):
        arguments = set(inspect.signature(client.stylize).parameters)
        arguments -= {"self", "timeout", "request_id"}
        tensors = {option.name: option.tensor for option in STYLIZE_OPTIONS}
        names = {tensors.get(name, name.upper()) for name in arguments}
        assert names == set(STYLIZE.input_names())

    @pytest.mark.parametrize("client", [StyleTransferClient, AsyncStyleTransferClient])
    def test_regions_take_the_options_that_decide_them(self, client):
        arguments = inspect.signature(client.find_regions).parameters
        options = {option.name for option in STYLIZE_OPTIONS}
        assert options & set(arguments) == {"method", "size", "segment", "match"}
        assert all(arguments[option.name].default is None for option in offered("regions"))

    def test_both_clients_take_the_same_arguments(self):
        sync, twin = (
            inspect.signature(client.stylize).parameters
            for client in (StyleTransferClient, AsyncStyleTransferClient)
        )
        assert sync == twin

    def test_types_and_shapes(self):
        tensors = build_inputs(**ALL)
        assert list(tensors) == STYLIZE.input_names()
        for spec in STYLIZE.inputs:
            assert fits(tensors[spec.name].shape, spec.dims)

    @pytest.mark.parametrize("binding", [tritonclient.http, tritonclient.grpc])
    def test_tritonclient_takes_them(self, binding):
        arguments = infer_arguments(binding, build_inputs(**ALL), ["IMAGE"], "7", 2.5)
        assert arguments["timeout"] == 2_500_000
        assert arguments["model_name"] == STYLIZE.name
        for tensor, spec in zip(arguments["inputs"], STYLIZE.inputs, strict=True):
            assert (tensor.name(), tensor.datatype()) == (spec.name, spec.dtype)
            assert fits(tensor.shape(), spec.dims)
        assert [output.name() for output in arguments["outputs"]] == ["IMAGE"]


class TestOptions:
    def test_what_is_none_is_not_sent(self):
        tensors = build_inputs(content=b"c", style=b"s", alpha=None, segment=None)
        assert sorted(tensors) == ["CONTENT", "STYLE"]

    def test_values_are_sent_as_given(self):
        tensors = build_inputs(**{**ALL, "alpha": np.float32(7), "size": np.int64(-1)})
        assert tensors["ALPHA"].tolist() == [7.0]
        assert tensors["SIZE"].tolist() == [-1]
        assert tensors["SEGMENT"].tolist() == [False]
        assert tensors["MATCH"].tolist() == [b"nearest"]
        assert tensors["BLEND"].tolist() == [3]
        assert tensors["PAIRS"].tolist() == [[0, 1], [2, -1]]

    def test_no_pairs_are_pairs_too(self):
        tensors = build_inputs(content=b"c", style=b"s", pairs=[])
        assert tensors["PAIRS"].shape == (0, 2)

    @pytest.mark.parametrize(
        "pairs",
        [
            3,
            [1, 2],
            [(1, 2, 3)],
            [("a", 1)],
            [(1.5, 1)],
            [(True, 1)],
            [(0, 256)],
            [(-1, 1)],
            [(1, -2)],
        ],
    )
    def test_what_cannot_be_pairs(self, pairs):
        with pytest.raises(InvalidInput, match=r"expected pairs of labels"):
            build_inputs(content=b"c", style=b"s", pairs=pairs)

    @pytest.mark.parametrize("places", [("encoder", "skip"), ["encoder", "skip"], "encoder,skip"])
    def test_places(self, places):
        tensors = build_inputs(**{**ALL, "transfer_at": places})
        assert tensors["TRANSFER_AT"].tolist() == [b"encoder,skip"]

    def test_places_may_come_one_by_one(self):
        tensors = build_inputs(**{**ALL, "transfer_at": (p for p in ("skip", "decoder"))})
        assert tensors["TRANSFER_AT"].tolist() == [b"skip,decoder"]

    def test_too_large_an_alpha_is_for_the_server_to_refuse(self):
        assert np.isinf(build_inputs(**{**ALL, "alpha": 1e300})["ALPHA"]).all()

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("alpha", "1"),
            ("alpha", True),
            ("size", 512.0),
            ("size", True),
            ("size", 2**31),
            ("segment", 1),
            ("segment", "no"),
            ("match", 1),
            ("match", b"nearest"),
            ("blend", 0.5),
            ("blend", False),
            ("blend", "soft"),
            ("blend", -(2**31) - 1),
            ("transfer_at", 3),
            ("transfer_at", [1, 2]),
            ("sequence", 7),
        ],
    )
    def test_wrong_type(self, name, value):
        with pytest.raises(InvalidInput, match=name) as caught:
            build_inputs(**{**ALL, name: value})
        assert isinstance(caught.value, InvalidRequest)


class TestImages:
    def test_files_and_bytes_are_sent_as_they_are(self, photo_file):
        data = photo_file.read_bytes()
        for image in (photo_file, str(photo_file), data, bytearray(data), memoryview(data)):
            assert encode_image(image, "content") == data

    def test_array_becomes_png_without_loss(self):
        image = decoded(encode_image(PHOTO, "content"))
        assert image.format == "PNG"
        assert np.array_equal(np.asarray(image), PHOTO)

    def test_array_need_not_be_contiguous(self):
        image = decoded(encode_image(PHOTO[:, ::-1], "content"))
        assert np.array_equal(np.asarray(image), PHOTO[:, ::-1])

    def test_label_map_becomes_png_without_loss(self):
        image = decoded(encode_image(LABELS, "content mask", mask=True))
        assert np.array_equal(np.asarray(image), LABELS)

    @pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
    def test_pillow_image_keeps_its_mode(self, mode):
        image = Image.fromarray(PHOTO).convert(mode)
        sent = decoded(encode_image(image, "content"))
        assert (sent.mode, sent.tobytes()) == (mode, image.tobytes())

    def test_pillow_image_in_other_colors_becomes_rgb(self):
        image = Image.fromarray(PHOTO).convert("CMYK")
        assert decoded(encode_image(image, "content")).mode == "RGB"

    def test_pillow_image_is_turned_upright(self):
        image = Image.fromarray(PHOTO)
        image.getexif()[0x0112] = 6  # the top of the photo is at the right
        sent = np.asarray(decoded(encode_image(image, "content")))
        assert np.array_equal(sent, np.rot90(PHOTO, -1))

    @pytest.mark.parametrize(
        "image",
        [
            PHOTO.astype(np.float32),
            PHOTO[..., :2],
            PHOTO[..., 0],
            PHOTO[:0],
            Image.new("F", (3, 3)),
            Image.new("RGB", (0, 3)),
            3,
            None,
        ],
    )
    def test_what_is_no_photo(self, image):
        with pytest.raises(InvalidInput, match="The style is a"):
            encode_image(image, "style")

    def test_wrong_shape_names_what_was_expected(self):
        with pytest.raises(InvalidInput, match=r"float32 array of shape \(4, 6\).*\(H, W\)"):
            encode_image(np.zeros((4, 6), np.float32), "style mask", mask=True)

    def test_missing_file(self, tmp_path):
        with pytest.raises(InvalidInput, match=r"content file .* does not exist"):
            encode_image(tmp_path / "none.png", "content")

    def test_folder(self, tmp_path):
        with pytest.raises(InvalidInput, match="is a folder"):
            encode_image(tmp_path, "content")

    def test_impossible_name(self):
        with pytest.raises(InvalidInput, match="cannot be read"):
            encode_image("a\0b", "content")

    def test_broken_file_opened_by_pillow(self, tmp_path):
        path = Path(tmp_path / "half.png")
        noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
        data = png(noise)
        path.write_bytes(data[: len(data) // 2])
        with Image.open(path) as image, pytest.raises(InvalidInput, match="content"):
            encode_image(image, "content")
