"""Mixed styles and films through the real server."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from photoreal.serve.launch.launcher import Server
from tests.integration.conftest import PROGRAM, photoreal
from tests.kinds import Array, Call, Pixels, Refused, Stylize
from tests.shared import wait_until
from tests.unit.client.video.video import film

pytestmark = pytest.mark.server

EXAMPLES = Path(__file__).parents[3] / "examples"
SIZE = 48
STYLES = [EXAMPLES / "rendered" / "dusk.jpg", EXAMPLES / "rendered" / "noon.jpg"]
PHOTO = EXAMPLES / "photos" / "china.jpg"


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_one_style_is_the_same_alone_listed_and_with_all_the_weight(
    local: Server, stylize: Stylize, protocol: str
) -> None:
    def run(style: Any, **options: Any) -> bytes:
        return stylize(local, protocol, content=PHOTO, style=style, size=SIZE, **options).png

    alone = run(STYLES[0])
    assert run([STYLES[0]]) == alone
    assert run(STYLES, weights=[2, 0]) == alone
    assert run(STYLES) != alone


def test_a_mix_lies_between_its_styles(local: Server, stylize: Stylize) -> None:
    masks = [path.with_name(f"{path.stem}_mask.png") for path in STYLES]
    content_mask = PHOTO.with_name("china_mask.png")

    def mean(weights: list[float]) -> Array:
        masked = {"content_mask": content_mask, "style_mask": masks, "weights": weights}
        result = stylize(local, content=PHOTO, style=STYLES, size=SIZE, **masked)
        assert len(result.more_style_labels) == 1
        assert all(len(pair["style"]) == 2 for pair in result.report["pairs"])
        return np.asarray(np.asarray(result.image).mean(axis=(0, 1)))

    dusk, half, noon = (mean([one, 1 - one]) for one in (1.0, 0.5, 0.0))
    assert np.abs(dusk - noon).max() > 20
    np.testing.assert_allclose(half, (dusk + noon) / 2, atol=8)


def test_both_styles_are_cached(local: Server, stylize: Stylize) -> None:
    # The size is this test's own, so no other test has had the styles measured.
    results = [
        stylize(local, content=PHOTO, style=style, size=SIZE + 5)
        for style in (STYLES[0], STYLES, STYLES)
    ]
    assert [one.report["style"] for one in results] == ["measured", "measured", "cached"]


def test_too_many_styles_are_refused(local: Server, refused: Refused, tensors: Call) -> None:
    data = PHOTO.read_bytes()
    styles = {"STYLE": np.array([data] * 5, dtype=object)}
    assert "5 styles" in refused(local, "stylize", tensors(content=data, size=SIZE) | styles)


def test_frames_of_a_sequence_are_steadied_and_others_are_unchanged(
    local: Server, stylize: Stylize
) -> None:
    photo = np.asarray(Image.open(PHOTO).resize((96, 64)))
    frames = [photo, np.ascontiguousarray(photo[::-1])]
    options: dict[str, Any] = {"style": STYLES[0], "size": SIZE, "segment": False}
    alone = [stylize(local, content=frame, **options).png for frame in frames]
    shot = [stylize(local, content=frame, sequence="a", **options).png for frame in frames]
    assert shot[0] == alone[0]
    assert shot[1] != alone[1]
    assert stylize(local, content=frames[1], sequence="b", **options).png == alone[1]
    assert stylize(local, content=frames[1], **options).png == alone[1]


def _film(path: Path, frames: int = 10) -> Path:
    """A pan to and fro over the photo and, after a cut, over its negative, with a tone."""
    photo = np.asarray(Image.open(PHOTO).resize((192, 128)))

    def picture(step: int) -> Pixels:
        left = 4 * (23 - abs(23 - step % 46))
        crop = photo[30:94, left : left + 96]
        return np.ascontiguousarray(crop if step < 6 else 255 - crop)

    film(path, frames, picture=picture, sound="aac", lasts=lambda step: 83)
    return path


def _frames(path: Path) -> Pixels:
    """Frames (N, H, W, 3) of a film, up to where it breaks off."""
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in _decoded(container)])


def _decoded(container: Any) -> Iterator[Any]:
    with suppress(av.FFmpegError):
        yield from container.decode(video=0)


def test_a_film_through_the_server(local: Server, tmp_path: Path) -> None:
    source = _film(tmp_path / "in.mp4")
    styles = ["--style", STYLES[0], "--style", STYLES[1], "--weights", "0.7", "0.3"]
    where = ["-o", "out.mp4", "--size", "48", "--url", local.http_url]
    done = photoreal(tmp_path, "video", source, *styles, *where)
    assert (done.returncode, done.stderr) == (0, "")
    assert "out.mp4: 10 frames of 72 x 48 pixels, 2 shots, original sound." in done.stdout
    before, after = _frames(source), _frames(tmp_path / "out.mp4")
    assert after.shape == (10, 48, 72, 3)
    for one, two in zip(before, after, strict=True):
        small = np.asarray(Image.fromarray(one).resize((72, 48)))
        assert np.abs(small.astype(int) - two).mean() > 5


def test_a_run_that_was_killed_goes_on_where_its_file_ends(local: Server, tmp_path: Path) -> None:
    _film(tmp_path / "in.mp4", 108)
    how = ["--crf", "2", "--method", "color", "--size", "48", "--url", local.http_url]
    call = ["video", "in.mp4", str(STYLES[0]), *how]
    assert photoreal(tmp_path, *call, "-o", "whole.mp4").returncode == 0
    growing, cut = tmp_path / ".out.growing.mp4", tmp_path / "cut.mp4"
    with subprocess.Popen([str(PROGRAM), *call, "-o", "out.mp4"], cwd=tmp_path) as killed:
        wait_until(lambda: growing.exists() and growing.read_bytes().count(b"moof") >= 3, 300)
        assert killed.poll() is None
        killed.kill()
    shutil.copy(growing, cut)
    resumed = photoreal(tmp_path, *call, "-o", "out.mp4", "--resume")
    assert (resumed.returncode, resumed.stderr) == (0, "")
    assert "out.mp4: 108 frames of 72 x 48 pixels, 2 shots, original sound." in resumed.stdout
    assert not list(tmp_path.glob("*out.*[gl].*"))  # neither growing nor partial

    before, after, as_one = (
        _frames(path).astype(int) for path in (cut, tmp_path / "out.mp4", tmp_path / "whole.mp4")
    )
    same = (after[: len(before)] == before).all(axis=(1, 2, 3))
    seam = int(np.argmin(same)) if not same.all() else len(before)
    assert 20 <= seam < 108
    assert len(before) - seam <= 4  # a group of B-frames
    # Behind the seam the steadied statistics are as if nothing had happened.
    assert np.abs(after - as_one).mean(axis=(1, 2, 3)).max() < 1
    steps, usual = (np.abs(np.diff(film, axis=0)).mean(axis=(1, 2, 3)) for film in (after, as_one))
    assert steps[seam - 1] < usual[seam - 1] + 1
