"""The settings of the limits: from options and the environment to the models, and the table."""

from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner

from photoreal.cli import main
from photoreal.errors import InvalidImage, InvalidMask, ServeError
from photoreal.pipeline import memory
from photoreal.preprocess import Limits, decode_mask, decode_photo, photo_size
from photoreal.serve.backend import limits
from photoreal.serve.backend.limits import (
    MEMORY,
    SETTINGS,
    max_seconds,
    request_limits,
    resolve_limits,
)
from photoreal.serve.cli.limit_options import limit_options
from tests.shared import encoded, photo

DOCUMENT = Path(__file__).parents[4] / "docs" / "limits.md"
NO_MEMORY_LIMIT = {MEMORY.variable: "0"}


@pytest.fixture(autouse=True)
def _nothing_from_outside(monkeypatch):
    for one in SETTINGS:
        monkeypatch.delenv(one.variable, raising=False)


@pytest.mark.parametrize("environment", [{}, {one.variable: "" for one in SETTINGS}])
def test_without_settings_the_defaults_hold(environment):
    assert request_limits(environment | NO_MEMORY_LIMIT) == Limits()
    assert max_seconds(environment) == 600


def test_every_setting_is_read():
    environment = {
        "PHOTOREAL_MAX_IMAGE_BYTES": "1000",
        "PHOTOREAL_MAX_PIXELS": "2000",
        "PHOTOREAL_FORMATS": "png, jpeg",
        "PHOTOREAL_MAX_SIZE": "300",
        "PHOTOREAL_MAX_WORKING_PIXELS": "4000",
        "PHOTOREAL_MAX_SIDE": "4500",
        "PHOTOREAL_MAX_REGIONS": "5",
        "PHOTOREAL_MAX_MEMORY": "6000",
        "PHOTOREAL_MAX_SECONDS": "7",
        "PHOTOREAL_MAX_QUEUE": "8",
    }
    assert set(environment) == {one.variable for one in SETTINGS}
    assert request_limits(environment) == Limits(
        max_bytes=1000,
        max_pixels=2000,
        formats=("JPEG", "PNG"),
        max_size=300,
        max_working_pixels=4000,
        max_side=4500,
        max_regions=5,
        max_memory=6000,
    )
    assert max_seconds(environment) == 7
    assert limits.QUEUE.number(environment) == 8
    assert resolve_limits(environment) == environment


@pytest.mark.parametrize(
    ("given", "engines", "expected"),
    [("0", None, "0"), ("0", 1536, "1536"), ("2000", 1536, "1536"), ("900", 1536, "900")],
)
def test_what_engines_serve_is_a_limit_of_its_own(given, engines, expected):
    found = resolve_limits({**NO_MEMORY_LIMIT, limits.SIDE.variable: given}, engines)
    assert found[limits.SIDE.variable] == expected
    assert request_limits(found).max_side == (int(expected) or None)


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("PHOTOREAL_MAX_SIZE", "15", "16 or more"),
        ("PHOTOREAL_MAX_SIZE", "-1", "16 or more"),
        ("PHOTOREAL_MAX_PIXELS", "1e6", "1 to 178000000"),
        ("PHOTOREAL_MAX_PIXELS", "178000001", "1 to 178000000"),
        ("PHOTOREAL_MAX_REGIONS", "65", "1 to 64"),
        ("PHOTOREAL_MAX_QUEUE", "0", "1 or more"),
        ("PHOTOREAL_MAX_SECONDS", "½", "1 or more"),
        ("PHOTOREAL_MAX_MEMORY", "much", "auto or 0 or more"),
        ("PHOTOREAL_MAX_IMAGE_BYTES", "9" * 5000, "1 or more"),
        ("PHOTOREAL_FORMATS", "JPEG,GIF", "some of JPEG,PNG,WEBP,TIFF,BMP"),
        ("PHOTOREAL_FORMATS", ",", "some of"),
    ],
)
def test_invalid_settings_are_refused(variable, value, expected):
    with pytest.raises(ServeError, match=f"{variable}.*expected {expected}"):
        resolve_limits({**NO_MEMORY_LIMIT, variable: value})


@pytest.mark.parametrize("given", [{}, {MEMORY.variable: "auto"}, {MEMORY.variable: "AUTO"}])
def test_the_memory_limit_is_resolved_when_the_server_starts(given, monkeypatch):
    monkeypatch.setattr(memory, "available_bytes", lambda: 5 * 10**9)
    found = resolve_limits(given)
    assert found[MEMORY.variable] == str(5 * 10**9 - memory.RESERVE_BYTES)
    assert request_limits(found).max_memory == 5 * 10**9 - memory.RESERVE_BYTES
    assert resolve_limits(NO_MEMORY_LIMIT)[MEMORY.variable] == "0"


@pytest.mark.docs
def test_document_holds_the_table_and_the_estimate():
    assert limits.table() in DOCUMENT.read_text()
    text = " ".join(DOCUMENT.read_text().split())
    for words in (
        f"{memory.REQUEST_BYTES // 10**6} MB, {memory.LARGER_BYTES_PER_PIXEL} bytes a pixel",
        f"{memory.SMALLER_BYTES_PER_PIXEL} of the smaller one",
        f"{memory.ORIGINAL_BYTES_PER_PIXEL} bytes a pixel of both",
        f"less {memory.RESERVE_BYTES // 10**6} MB",
        f"at least {memory.LEAST_BUDGET_BYTES // 10**6} MB",
    ):
        assert words in text


@pytest.fixture
def given():
    """What a command with the options is given for a command line and an environment."""

    def run(*arguments, **environment):
        @click.command()
        @click.option("--other", default=1)
        @limit_options
        def command(other, limits):
            """Do nothing."""
            found.update(limits)

        found: dict[str, str] = {}
        done = CliRunner().invoke(command, [*arguments, "--other", "2"], env=environment)
        assert done.exit_code == 0, done.output
        return found

    return run


def test_every_setting_is_an_option_that_wins_over_the_environment(given):
    assert given() == {}
    environment = {"PHOTOREAL_MAX_QUEUE": "4", "PHOTOREAL_FORMATS": "JPEG"}
    for one in SETTINGS:
        value = "PNG" if one is limits.FORMATS else str(max(one.lowest, 17))
        assert given(one.option, value) == {one.variable: value}
        assert given(one.option, value, **environment) == environment | {one.variable: value}


def test_an_invalid_option_is_an_error_of_usage(capsys):
    assert main(["serve", "--max-size", "3"]) == 2
    captured = capsys.readouterr()
    assert "--max-size (PHOTOREAL_MAX_SIZE) is '3'; expected 16 or more." in captured.err
    assert "Starting" not in captured.err


def test_other_formats_are_not_tried():
    allowed = Limits(formats=("JPEG", "PNG"))
    decode_photo(encoded(photo(9, 9), "JPEG"), "photo", allowed)
    for kind in ("WEBP", "TIFF", "BMP"):
        data = encoded(photo(9, 9), kind)
        decode_photo(data, "photo", Limits())
        with pytest.raises(InvalidImage, match="JPEG or PNG"):
            decode_photo(data, "photo", allowed)


def test_regions_of_a_mask_are_limited():
    mask = encoded(np.arange(100, dtype=np.uint8).reshape(10, 10) // 25)
    assert decode_mask(mask, "mask", Limits(max_regions=4)).labels.max() == 3
    with pytest.raises(InvalidMask, match=r"4 different labels.* 3 "):
        decode_mask(mask, "mask", Limits(max_regions=3))


def test_size_comes_from_the_header_alone():
    data = encoded(photo(90, 120))[:200]  # the rest of the picture is missing
    assert photo_size(data, "photo", Limits()) == (90, 120)
    with pytest.raises(InvalidImage, match=r"120x90 pixels.* 10000"):
        photo_size(data, "photo", Limits(max_pixels=10_000))


def test_formats_of_phones_are_for_those_who_ask(monkeypatch):
    assert "HEIF" not in request_limits({}).formats
    asked = {"PHOTOREAL_FORMATS": "JPEG,heif,avif"}
    assert request_limits(asked).formats == ("JPEG", "AVIF", "HEIF")
    monkeypatch.setattr(limits, "has_heif", lambda: False)
    with pytest.raises(ServeError, match=r"photoreal\[heic\]"):
        request_limits(asked)
