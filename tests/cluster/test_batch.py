"""`photoreal batch` on a Ray of two workers, some of which are killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import psutil
import pytest
from click.testing import CliRunner
from PIL import Image

from photoreal import Pipeline
from photoreal.client.batch import run
from photoreal.client.batch.cluster import Layout
from photoreal.client.batch.command import batch
from photoreal.client.batch.ledger import TRIES
from photoreal.client.batch.plan import FAILURES, Photo
from photoreal.client.batch.worker import Stylist, Work
from tests.shared import wait_until

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="the extra dev has Ray for Linux alone"),
    pytest.mark.filterwarnings("ignore:`use_:DeprecationWarning"),  # of Ray's own settings
]

EXAMPLES = Path(__file__).parents[2] / "examples"
OPTIONS = ("--size", "32", "--cores-per-worker", "1", "--workers", "2")
COUNT = 16


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of small photos, one of which is broken, and a style."""
    photos = tmp_path / "in"
    photos.mkdir()
    with Image.open(EXAMPLES / "photos" / "china.jpg") as china:
        for number in range(COUNT):
            box = (4 * number, 2 * number, 4 * number + 360, 2 * number + 240)
            china.crop(box).resize((48, 32)).save(photos / f"{number:02}.jpg")
    (photos / "broken.jpg").write_bytes(b"This is no photo.")
    with Image.open(EXAMPLES / "rendered" / "dusk.jpg") as dusk:
        dusk.resize((64, 48)).save(tmp_path / "dusk.png")
    return tmp_path


def _pictures(folder: Path) -> dict[str, int]:
    """The pictures and the inode of each: a file that is replaced gets another one."""
    return {path.name: path.stat().st_ino for path in folder.glob("*.jpg")}


def _workers() -> list[psutil.Process]:
    """Processes of the Ray that was started here which make pictures."""
    return [
        process
        for process in psutil.Process().children(recursive=True)
        if any("MapWorker" in word for word in process.cmdline())
    ]


def _kill_one_in_the_middle(output: Path, before: dict[str, int]) -> None:
    """Wait for the first pictures, kill a worker, and note what was there."""
    wait_until(lambda: len(_pictures(output)) >= 2, 120)
    victim = _workers()[0]
    victim.send_signal(signal.SIGKILL)
    victim.wait(30)
    before |= _pictures(output)


def test_a_killed_worker_costs_no_picture(folder: Path, ray_address: str) -> None:
    output, before = folder / "out", dict[str, int]()
    killer = threading.Thread(target=_kill_one_in_the_middle, args=(output, before))
    killer.start()
    arguments = [str(folder / "in"), str(output), "--style", str(folder / "dusk.png"), *OPTIONS]
    outcome = CliRunner().invoke(batch, arguments)
    assert outcome.exit_code == 1, outcome.output
    assert outcome.exception is None or isinstance(outcome.exception, SystemExit), outcome
    killer.join()
    assert 2 <= len(before) < COUNT, "no worker was killed in the middle"
    assert f"{COUNT + 1} photos, {COUNT} done, 1 failed." in outcome.stdout

    # Nothing is lost, nothing was written twice, and nothing lies about.
    pictures = _pictures(output)
    assert {path.name for path in output.iterdir()} == {*pictures, FAILURES}
    assert set(pictures) == {path.name for path in (folder / "in").iterdir()} - {"broken.jpg"}
    assert before.items() <= pictures.items()
    (failure,) = map(json.loads, (output / FAILURES).read_text().splitlines())
    assert failure["photo"] == "broken.jpg"
    assert "is not an image" in failure["reason"]

    # The pictures are those of the library.
    pipeline = Pipeline(device="cpu", threads=1)
    for number in (0, COUNT - 1):
        photo = folder / "in" / f"{number:02}.jpg"
        result = pipeline.stylize(photo, folder / "dusk.png", size=32, format="jpeg")
        result.save(folder / "by_library.jpg")
        assert (folder / "by_library.jpg").read_bytes() == (output / photo.name).read_bytes()

    # The same call from another process makes what is missing, and nothing else.
    lost, lost_bytes = output / "03.jpg", (output / "03.jpg").read_bytes()
    lost.unlink()
    (folder / "in" / "00.jpg").rename(folder / "in" / "broken.jpg")
    (output / "00.jpg").rename(folder / "00.jpg")
    call = [sys.executable, "-m", "photoreal.cli", "batch"]
    again = subprocess.run(
        [*call, *arguments, "--workers", "1", "--address", ray_address],
        capture_output=True,
        text=True,
    )
    assert again.returncode == 0, again.stderr
    assert again.stderr == ""
    assert f"{COUNT} photos, 2 done, {COUNT - 2} already finished." in again.stdout
    assert lost.read_bytes() == lost_bytes
    assert (output / "broken.jpg").read_bytes() == (folder / "00.jpg").read_bytes()
    kept = pictures.keys() - {"03.jpg", "00.jpg"}
    assert {name: _pictures(output)[name] for name in kept} == {n: pictures[n] for n in kept}
    assert not (output / FAILURES).exists()


def test_a_photo_that_ends_every_worker_fails_alone(
    tmp_path: Path, ray_address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ray import cloudpickle

    begun = tmp_path / "begun"

    class Fragile(Stylist):
        """Needs no models; dies before one picture each time, and once after another one."""

        def __init__(self, work: Work, device: Any, threads: int, record: Any) -> None:
            self._work, self._record, self._problem = work, record, None

        def _stylize(self, photo: Photo) -> None:
            with begun.open("a") as file:
                file.write(f"{photo.name}\n")
            if photo.name == "fatal.png":
                os.kill(os.getpid(), signal.SIGKILL)
            Path(photo.output).write_bytes(b"made")
            if photo.name == "07.png" and not (tmp_path / "died").exists():
                (tmp_path / "died").touch()
                os.kill(os.getpid(), signal.SIGKILL)

    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    monkeypatch.setattr(run, "Stylist", Fragile)
    names = [f"{number:02}.png" for number in range(96)] + ["fatal.png"]
    photos = [Photo(name, "", str(tmp_path / name)) for name in names]
    found = list(run.outcomes(photos, Work([], {}), Layout(2, 1, "cpu")))
    assert Counter(outcome.name for outcome in found) == Counter(names)
    (failed,) = (outcome for outcome in found if outcome.kind != "done")
    assert failed.name == "fatal.png"
    assert f"{TRIES} workers ended while they worked on it" in failed.reason
    assert len(list(tmp_path.glob("*.png"))) == 96
    assert Counter(begun.read_text().split()) == Counter(names) + Counter({"fatal.png": TRIES - 1})
