"""Results have the content photo's own pixels, or as many as `output_size` says."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest

from photoreal.pipeline.request import Models, StylizeRequest, Transferred
from photoreal.pipeline.stylize import stylize
from photoreal.preprocess import Limits, decode_mask, decode_photo

from .conftest import LIMITS, Encode, FakeModels, Photo, models_of, report_of, rows


def _darker(content: npt.NDArray[np.float32], *_: object, **__: object) -> Transferred:
    return Transferred(content * np.float32(0.5))


def test_result_has_the_photos_pixels_and_the_transfers_colors(
    request_for: Callable[..., StylizeRequest], photo: Photo, encoded: Encode
) -> None:
    big = photo(96, 160)
    request = request_for(
        content=encoded(big), style=encoded(big), size=32, color_strength=0.0, wct2_strength=1.0
    )
    response = stylize(request, Models(_darker, transfer_soft=_darker), LIMITS)
    result = decode_photo(response.image, "result", LIMITS)
    difference = np.abs(result - big / 2)
    assert difference.mean() < 1
    assert difference.max() < 8
    report = report_of(response)
    assert (report["height"], report["width"]) == (96, 160)
    assert (report["working_height"], report["working_width"]) == (32, 53)
    assert list(report["seconds"]) == [
        "decode",
        "segment",
        "colors",
        "transfer",
        "upsample",
        "encode",
        "total",
    ]


def test_transfer_works_at_the_size_that_was_asked_for(
    request_for: Callable[..., StylizeRequest], fake: FakeModels, photo: Photo, encoded: Encode
) -> None:
    mask = rows(96, 160, 1, 2)
    request = request_for(
        content=encoded(photo(96, 160)),
        content_mask=mask,
        style_mask=rows(20, 16, 1, 2),
        size=32,
    )
    response = stylize(request, models_of(fake), LIMITS)
    assert fake.called_soft["content"].shape == (3, 32, 53)
    assert fake.called_soft["styles"][0].image.shape == (3, 40, 32)
    labels = decode_mask(response.content_labels, "labels", LIMITS).labels
    assert labels.shape == (96, 160)
    assert (labels != mask).mean() < 0.02


@pytest.mark.parametrize("method", ["wct2", "color"])
@pytest.mark.parametrize(
    ("output_size", "expected"), [(48, (48, 80)), (96, (96, 160)), (500, (96, 160))]
)
def test_output_size_scales_the_result_down_and_never_up(
    output_size: int,
    expected: tuple[int, int],
    method: str,
    request_for: Callable[..., StylizeRequest],
    fake: FakeModels,
    photo: Photo,
    encoded: Encode,
) -> None:
    big = encoded(photo(96, 160))
    request = request_for(content=big, size=32, output_size=output_size, method=method)
    response = stylize(request, models_of(fake), LIMITS)
    assert decode_photo(response.image, "result", LIMITS).shape == (*expected, 3)
    assert decode_mask(response.content_labels, "labels", LIMITS).labels.shape == (96, 160)
    report = report_of(response)
    assert (report["height"], report["width"]) == expected
    assert (report["working_height"], report["working_width"]) == (32, 53)


@pytest.mark.parametrize(("output_size", "expected"), [(None, (32, 53)), (20, (20, 33))])
def test_published_results_have_the_networks_pixels(
    output_size: int | None,
    expected: tuple[int, int],
    published_for: Callable[..., StylizeRequest],
    fake: FakeModels,
    photo: Photo,
    encoded: Encode,
) -> None:
    request = published_for(content=encoded(photo(96, 160)), size=32, output_size=output_size)
    response = stylize(request, models_of(fake), LIMITS)
    assert decode_photo(response.image, "result", LIMITS).shape == (*expected, 3)
    report = report_of(response)
    assert (report["height"], report["width"]) == expected
    assert (report["working_height"], report["working_width"]) == (32, 53)


@pytest.mark.parametrize(("method", "side"), [("wct2", 320), ("published", 512)])
def test_working_size_unless_given(
    method: str,
    side: int,
    request_for: Callable[..., StylizeRequest],
    fake: FakeModels,
    photo: Photo,
    encoded: Encode,
) -> None:
    big = encoded(photo(600, 640))
    request = request_for(content=big, style=big, size=None, method=method, segment=False)
    report = report_of(stylize(request, models_of(fake), LIMITS))
    assert report["working_height"] == side
    smaller = stylize(request, models_of(fake), Limits(max_size=64))
    assert report_of(smaller)["working_height"] == 64


def test_small_photo_is_not_enlarged_for_the_transfer(
    request_for: Callable[..., StylizeRequest], fake: FakeModels, content: npt.NDArray[np.uint8]
) -> None:
    request = request_for(size=64, color_strength=0.0)
    response = stylize(request, models_of(fake), LIMITS)
    assert fake.called_soft["content"].shape == (3, *content.shape[:2])
    np.testing.assert_array_equal(decode_photo(response.image, "result", LIMITS), content)


def test_photo_below_the_smallest_working_size_keeps_its_own(
    request_for: Callable[..., StylizeRequest], fake: FakeModels, photo: Photo, encoded: Encode
) -> None:
    tiny = photo(8, 9)
    request = request_for(content=encoded(tiny))
    response = stylize(request, models_of(fake), LIMITS)
    assert fake.called_soft["content"].shape == (3, 16, 18)
    assert decode_photo(response.image, "result", LIMITS).shape == tiny.shape
