"""Requests for a result at the content's own pixels."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from photoreal.preprocess import decode_mask, decode_photo
from photoreal.serve.request import Models, StylizeRequest, Transferred
from photoreal.serve.stylize import stylize

from .conftest import LIMITS, Encode, FakeModels, Photo, models_of, report_of, rows


def _darker(content: npt.NDArray[np.float32], *_: object, **__: object) -> Transferred:
    return Transferred(content * np.float32(0.5))


def test_result_has_the_photos_pixels_and_the_transfers_colors(
    request_for: Callable[..., StylizeRequest], photo: Photo, encoded: Encode
) -> None:
    big = photo(96, 160)
    request = request_for(content=encoded(big), size=32, full_resolution=True)
    response = stylize(request, Models(_darker), LIMITS)
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
        full_resolution=True,
    )
    response = stylize(request, models_of(fake), LIMITS)
    assert fake.called["content"].shape == (3, 32, 53)
    assert fake.called["style"].shape == (3, 40, 32)
    labels = decode_mask(response.content_labels, "labels", LIMITS).labels
    assert labels.shape == (96, 160)
    assert (labels != mask).mean() < 0.02


def test_small_photo_is_not_enlarged_for_the_transfer(
    request_for: Callable[..., StylizeRequest], fake: FakeModels, content: npt.NDArray[np.uint8]
) -> None:
    response = stylize(request_for(size=64, full_resolution=True), models_of(fake), LIMITS)
    assert fake.called["content"].shape == (3, *content.shape[:2])
    np.testing.assert_array_equal(decode_photo(response.image, "result", LIMITS), content)


def test_photo_below_the_smallest_working_size_keeps_its_own(
    request_for: Callable[..., StylizeRequest], fake: FakeModels, photo: Photo, encoded: Encode
) -> None:
    tiny = photo(8, 9)
    request = request_for(content=encoded(tiny), full_resolution=True)
    response = stylize(request, models_of(fake), LIMITS)
    assert fake.called["content"].shape == (3, 16, 18)
    assert decode_photo(response.image, "result", LIMITS).shape == tiny.shape
