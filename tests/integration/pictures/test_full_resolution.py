"""Results at the content's own pixels, through the server."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image
from speed.memory import session_processes, watched

from photoreal.serve.launch.launcher import Server
from tests.kinds import Array, PairFiles, Pixels, Stylize

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def style(pair: PairFiles) -> Pixels:
    with Image.open(pair("pagoda-dusk")["style"]) as image:
        return np.asarray(image.resize((96, 64)))


def _reduced(picture: Image.Image, size: tuple[int, int]) -> npt.NDArray[np.float64]:
    return np.asarray(picture.resize(size, Image.Resampling.LANCZOS), dtype=np.float64)


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_example_with_masks(
    local: Server, stylize: Stylize, pair: PairFiles, protocol: str
) -> None:
    """The result is the small one, with the photo's detail in it."""
    files = pair("pagoda-dusk")
    small = stylize(local, protocol, **files, size=96, output_size=96)
    large = stylize(local, protocol, **files, size=96)
    with Image.open(files["content"]) as photo:
        assert large.image.size == photo.size == (640, 427)
        content = np.asarray(photo.convert("L"), dtype=np.float64)
    report = large.report
    assert (report["height"], report["width"]) == (427, 640)
    assert (report["working_height"], report["working_width"]) == small.image.size[::-1]
    assert "upsample" in report["seconds"]
    assert large.content_labels_png == small.content_labels_png
    difference = _reduced(large.image, small.image.size) - np.asarray(small.image)
    assert 10 * np.log10(255**2 / np.mean(difference**2)) > 26
    enlarged = small.image.resize(large.image.size, Image.Resampling.BICUBIC)
    detail = _detail(content)
    kept, lost = (
        np.corrcoef(np.abs(detail).ravel(), np.abs(_detail(np.asarray(one.convert("L")))).ravel())
        for one in (large.image, enlarged)
    )
    assert kept[0, 1] > 0.6
    assert kept[0, 1] > lost[0, 1] + 0.2


def _detail(plane: Array) -> npt.NDArray[np.float64]:
    """What a reduced picture cannot have."""
    image = Image.fromarray(plane.astype(np.uint8))
    small = image.resize((96, 64), Image.Resampling.LANCZOS)
    back = small.resize(image.size, Image.Resampling.BICUBIC)
    detail: npt.NDArray[np.float64] = np.asarray(image, dtype=np.float64) - np.asarray(back)
    return detail


def test_no_photo_is_enlarged_to_be_worked_on(
    local: Server, stylize: Stylize, style: Pixels
) -> None:
    photos = {"content": np.ascontiguousarray(style[:, ::-1]), "style": style, "segment": False}
    direct = stylize(local, **photos, size=64)
    assert direct.image.size == (96, 64)
    assert stylize(local, **photos, size=512).png == direct.png


def test_large_photo_takes_little_memory(local: Server, stylize: Stylize, style: Pixels) -> None:
    """8 megapixels at a small working size: the pixels themselves are nearly all."""
    rows, columns = np.mgrid[:2300, :3480]
    photo = np.stack([rows * 255 // 2300, columns * 255 // 3480, (rows ^ columns) & 255], axis=-1)
    content = photo.astype(np.uint8)
    options = {"content": content, "style": style, "size": 64, "segment": False}
    stylize(
        local, **options | {"content": content[:230, :348]}
    )  # what every request takes is there already
    processes = session_processes(local.pid)
    with watched(processes) as figures:
        result = stylize(local, **options)
    assert result.image.size == (3480, 2300)
    assert 0 < max(figures) - figures[0] < 10 * content.nbytes
    before, after = (
        one.mean(axis=(0, 1)) - style.mean(axis=(0, 1))
        for one in (content, np.asarray(result.image))
    )
    assert np.linalg.norm(after) < np.linalg.norm(before)
