"""A worker without Ray, over a pipeline that gives every photo back."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from photoreal.client.batch.files import locate, read
from photoreal.client.batch.ledger import TRIES, Ledger, Outcome
from photoreal.client.batch.plan import Photo
from photoreal.client.batch.worker import Stylist, Work
from photoreal.errors import InvalidImage, InvalidOption, PhotorealError, WeightsError
from photoreal.local import pipeline


class FakePipeline:
    """Gives the content back; raises what `errors` has for one, or for the style."""

    made: list[FakePipeline]
    errors: dict[bytes, Exception]

    def __init__(self, **settings: Any) -> None:
        self.settings = settings
        self.styles: list[tuple[bytes, dict[str, Any]]] = []
        self.calls: list[tuple[bytes, list[Any], dict[str, Any]]] = []
        self.made.append(self)

    def style(self, photo: bytes, **options: Any) -> tuple[str, bytes]:
        if photo in self.errors:
            raise self.errors[photo]
        self.styles.append((photo, options))
        return ("measured", photo)

    def stylize(self, content: bytes, styles: list[Any], **options: Any) -> Any:
        self.calls.append((content, styles, options))
        if content in self.errors:
            raise self.errors[content]

        def encoded(image_format: str) -> bytes:
            return b" ".join([image_format.encode(), content])

        return SimpleNamespace(encoded=encoded)


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> type[FakePipeline]:
    FakePipeline.made, FakePipeline.errors = [], {}
    monkeypatch.setattr(pipeline, "Pipeline", FakePipeline)
    return FakePipeline


@pytest.fixture
def photo(tmp_path: Path) -> Photo:
    (tmp_path / "a.png").write_bytes(b"one")
    return Photo("more/a.jpg", locate(str(tmp_path / "a.png")), f"memory://{tmp_path.name}/a.jpg")


WORK = Work([b"dusk", b"noon"], {"size": 64, "alpha": 0.5, "weights": [1.0, 2.0]}, "fp16")


def _stylist(work: Work = WORK, ledger: Ledger | None = None) -> Stylist:
    return Stylist(work, "cpu", 3, ledger or Ledger())


def test_styles_are_measured_once_for_all_photos(fake: type[FakePipeline], photo: Photo) -> None:
    stylist = _stylist()
    row = stylist(asdict(photo))
    assert (row["name"], row["kind"], row["reason"]) == ("more/a.jpg", "done", "")
    assert row["seconds"] > 0
    (made,) = fake.made
    assert made.settings == {"device": "cpu", "precision": "fp16", "threads": 3}
    assert made.styles == [(b"dusk", {"size": 64}), (b"noon", {"size": 64})]
    measured = [("measured", b"dusk"), ("measured", b"noon")]
    assert made.calls == [(b"one", measured, {**WORK.options, "format": "jpeg"})]
    assert read(photo.output, "picture") == b"JPEG one"


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_picture_that_an_ended_worker_wrote_is_left_alone(
    fake: type[FakePipeline], photo: Photo, overwrite: bool
) -> None:
    work, ledger = Work(WORK.styles, {}, overwrite=overwrite), Ledger()
    assert _stylist(work, ledger).make(photo).kind == "done"
    assert _stylist(work, ledger).make(photo).kind == "done"  # by the ledger
    assert _stylist(work, Ledger()).make(photo).kind == "done"  # by the file, or again
    assert [len(made.calls) for made in fake.made] == [1, 0, int(overwrite)]


@pytest.mark.parametrize(
    ("error", "kind", "reason"),
    [
        (InvalidImage("It is damaged."), "failed", "It is damaged."),
        (MemoryError("no room"), "failed", "MemoryError: no room"),
    ],
)
def test_a_photo_that_fails_does_not_end_the_run(
    fake: type[FakePipeline], photo: Photo, error: Exception, kind: str, reason: str
) -> None:
    fake.errors[b"one"] = error
    outcome = _stylist().make(photo)
    assert (outcome.kind, outcome.reason) == (kind, reason)
    missing = _stylist().make(Photo("b.png", photo.content + "x", photo.output))
    assert missing.kind == "failed"
    assert missing.reason.endswith("does not exist.")


def test_a_full_disk_ends_the_run(fake: type[FakePipeline], photo: Photo) -> None:
    outcome = _stylist().make(Photo("a.png", photo.content, f"{photo.content}/a.png"))
    assert outcome.kind == "stopped"
    assert "cannot be written" in outcome.reason


@pytest.mark.parametrize(
    ("error", "kind"), [(InvalidOption("Wrong."), "refused"), (WeightsError("Gone."), "stopped")]
)
def test_errors_of_the_start_come_with_the_first_photo(
    fake: type[FakePipeline], photo: Photo, error: PhotorealError, kind: str
) -> None:
    fake.errors[b"noon"] = error
    outcome = _stylist().make(photo)
    assert (outcome.kind, outcome.reason) == (kind, str(error))


def test_workers_that_die_while_loading_end_the_run(fake: type[FakePipeline], photo: Photo) -> None:
    ledger = Ledger(2)
    for _ in range(2 * TRIES - 1):
        ledger.start()
    assert _stylist(ledger=ledger).make(photo).kind == "done"  # and the count begins again
    for _ in range(2 * TRIES):
        assert ledger.start()
    outcome = _stylist(ledger=ledger).make(photo)
    assert outcome.kind == "stopped"
    assert "end while they load the models" in outcome.reason
    assert len(fake.made) == 1


def test_a_photo_that_ends_every_worker_is_given_up() -> None:
    ledger = Ledger()
    assert [ledger.begin("a") for _ in range(TRIES)] == [None] * TRIES
    given_up = ledger.begin("a")
    assert given_up is not None
    assert given_up.kind == "failed"
    assert f"{TRIES} workers ended" in given_up.reason
    assert ledger.begin("b") is None
    ledger.finish(Outcome("b", "failed", "Broken."))
    assert [ledger.begin("b") for _ in range(TRIES)] == [Outcome("b", "failed", "Broken.")] * TRIES
