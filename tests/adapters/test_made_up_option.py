"""An option that is declared, and nothing else, arrives everywhere.

The module that declares the options is loaded with one line more, and all that is built on it is
imported again from the same sources.
"""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Iterator, Sequence
from importlib.abc import MetaPathFinder, SourceLoader
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import click
import pytest
from click.testing import CliRunner
from google.protobuf import text_format
from PIL import Image
from starlette.testclient import TestClient
from tritonclient.grpc import model_config_pb2

from tests.kinds import Patch
from tests.shared import encoded
from tests.unit.client.conftest import AsyncFakeTransport, FakeTransport

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
DECLARING = "photoreal.options.stylize"
SOURCE = ROOT / "src" / "photoreal" / "options" / "stylize.py"
BEFORE = "    blend: int | None = whole("


class Kind(NamedTuple):
    """A line that declares an option of one kind, and a value in Python, as text and as tensor."""

    line: str
    value: Any
    text: str
    tensor: list[Any]
    switch: str = "--grain"


KINDS = {
    "number": Kind("grain: float = number(0.25, 'Kept', low=0, high=1)", 0.75, "0.75", [0.75]),
    "whole number": Kind("grain: int | None = whole(None, 'Kept', low=1, high=9)", 7, "7", [7]),
    "choice": Kind(
        "grain: Literal['off', 'fine'] = choice('off', ('off', 'fine'), 'Kept')",
        *("fine", "fine", [b"fine"]),
    ),
    "flag": Kind("grain: bool = flag(False, 'Kept')", True, "true", [True]),
    "flag that is on": Kind(
        "grain: bool = flag(True, 'Kept')", False, "false", [False], "--no-grain"
    ),
}
REGIONS = Kind(
    "grain: int | None = whole(None, 'Kept', low=1, high=9, offered=('regions',), transfer=True)",
    *(7, "7", [7]),
)


class _Changed(SourceLoader, MetaPathFinder):  # type: ignore[misc]
    """Finds and loads the declaring module with one line more."""

    def __init__(self, line: str) -> None:
        self._line = line

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return importlib.util.spec_from_loader(name, self) if name == DECLARING else None

    def get_filename(self, fullname: str) -> str:
        return str(SOURCE)

    def get_data(self, path: str) -> bytes:
        text = SOURCE.read_text()
        assert text.count(BEFORE) == 1
        return text.replace(BEFORE, f"    {self._line}\n{BEFORE}").encode()


def _modules() -> dict[str, ModuleType]:
    return {name: one for name, one in sys.modules.items() if name.split(".")[0] == "photoreal"}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest, monkeypatch: Patch) -> Iterator[Kind]:
    """An option that has been declared: what is imported from now on knows it."""
    kind = REGIONS if request.param == "regions" else KINDS[request.param]
    before = _modules()
    for name in before:
        del sys.modules[name]
    monkeypatch.setattr(sys, "meta_path", [_Changed(kind.line), *sys.meta_path])
    yield kind
    for name in _modules():
        del sys.modules[name]
    sys.modules.update(before)


def _module(name: str) -> Any:
    return importlib.import_module(f"photoreal.{name}")


PNG = encoded(Image.new("RGB", (16, 16)))


@pytest.fixture
def photo(tmp_path: Path) -> str:
    path = tmp_path / "photos" / "photo.png"
    path.parent.mkdir()
    path.write_bytes(PNG)
    return str(path)


def test_contract_and_config_have_its_tensor(kind: Kind) -> None:
    contract = _module("contract")
    (spec,) = (one for one in contract.STYLIZE.inputs if one.name == "GRAIN")
    assert spec.optional
    text = _module("export.configs").model_configs()["stylize"]
    config = text_format.Parse(text, model_config_pb2.ModelConfig())
    (tensor,) = (one for one in config.input if one.name == "GRAIN")
    assert (tensor.optional, tuple(tensor.dims)) == (True, spec.dims)


def test_adapter_reads_it(kind: Kind, stylize: Any, triton: Any, monkeypatch: Patch) -> None:
    seen = []
    module = type(stylize).execute.__globals__
    work = module["stylize"]

    def spy(request: Any, *rest: Any) -> Any:
        seen.append(request.grain)
        return work(request, *rest)

    monkeypatch.setitem(module, "stylize", spy)
    build = _module("client._transport.inputs").build_inputs
    tensors = build(content=PNG, style=PNG, size=16, grain=kind.value)
    (response,) = stylize.execute([triton.Request(tensors)])
    assert not response.has_error(), response.error().message()
    del tensors["GRAIN"]
    stylize.execute([triton.Request(tensors)])
    assert seen == [kind.value, _module("options").StylizeOptions().grain]


@pytest.mark.parametrize("kind", ["number"], indirect=True)
def test_values_out_of_range_are_refused(kind: Kind, stylize: Any, triton: Any) -> None:
    build = _module("client._transport.inputs").build_inputs
    tensors = build(content=b"no photo", style=b"no photo", grain=2)
    (response,) = stylize.execute([triton.Request(tensors)])
    assert response.error().message().startswith("grain is 2; expected")


def test_both_clients_send_it(kind: Kind) -> None:
    client = _module("client")
    transport, twin = FakeTransport(), AsyncFakeTransport()
    for method in (client.StyleTransferClient.stylize, client.AsyncStyleTransferClient.stylize):
        assert inspect.signature(method).parameters["grain"].default is None
    client.StyleTransferClient(transport=transport).stylize(b"c", b"s", grain=kind.value)
    call = client.AsyncStyleTransferClient(transport=twin).stylize(b"c", b"s", grain=kind.value)
    asyncio.run(call)
    assert [[one.inputs["GRAIN"]] for one in (transport, twin)] == [kind.tensor] * 2


def test_commands_send_it(kind: Kind, photo: str, tmp_path: Path, monkeypatch: Patch) -> None:
    given = [kind.switch] if "flag" in kind.line else [kind.switch, kind.text]
    transport = FakeTransport()

    def connect(url: str, **options: Any) -> Any:
        return _module("client").StyleTransferClient(transport=transport)

    def run(command: click.Command, *call: str) -> None:
        outcome = CliRunner().invoke(command, call, obj=connect)
        assert outcome.exit_code == 0, outcome.output

    stylize = _module("client.cli.stylize").stylize
    run(stylize, photo, photo, "-o", str(tmp_path / "out.png"), *given)
    folder = ("--content-dir", str(Path(photo).parent), "--style", photo)
    run(stylize, *folder, "-o", str(tmp_path / "out"), *given)
    assert [inputs["GRAIN"].tolist() for inputs, *_ in transport.calls] == [kind.tensor] * 2
    run(stylize, photo, photo, "-o", str(tmp_path / "out.png"))
    assert "GRAIN" not in transport.inputs

    video = _module("client.video.command")
    seen: dict[str, Any] = {}

    def stylize_video(*call: Any, **options: Any) -> Any:
        seen.update(options)
        return _module("client.video.run").VideoReport(16, 16)

    monkeypatch.setattr(video, "stylize_video", stylize_video)
    run(video.video, "film.mp4", photo, "-o", str(tmp_path / "out.mp4"), *given)
    assert seen["grain"] == kind.value


def test_form_has_it(kind: Kind) -> None:
    transport = AsyncFakeTransport()
    client = _module("client").AsyncStyleTransferClient(transport=transport)
    files = {"content_image": ("a.png", b"c"), "style_image": ("b.png", b"s")}
    with TestClient(_module("client.web").make_app(client), base_url="http://localhost") as caller:
        answer = caller.post("/upload_images/", files=files, data={"grain": kind.text})
        assert answer.status_code == 200, answer.text
        described = caller.get("/openapi.json").json()["components"]["schemas"]
    assert [transport.inputs["GRAIN"]] == kind.tensor
    (fields,) = (one["properties"] for name, one in described.items() if "upload" in name)
    assert fields["grain"]["description"].startswith("Kept")


@pytest.mark.parametrize("kind", ["regions"], indirect=True)
def test_where_it_is_offered_and_read_can_be_said(kind: Kind) -> None:
    contract, client = _module("contract"), _module("client")
    assert "GRAIN" in contract.WCT2.input_names()
    transport = FakeTransport()
    client.StyleTransferClient(transport=transport).find_regions(b"c", b"s", grain=7)
    assert [transport.inputs["GRAIN"]] == kind.tensor
    twin = AsyncFakeTransport()
    files = {"content_image": ("a.png", b"c"), "style_image": ("b.png", b"s")}
    gateway = _module("client.web").make_app(client.AsyncStyleTransferClient(transport=twin))
    with TestClient(gateway, base_url="http://localhost") as caller:
        described = caller.get("/openapi.json").json()["components"]["schemas"]
        caller.post("/upload_images/", files=files, data={"grain": kind.text})
    assert "GRAIN" not in twin.inputs
    fields = {name: one["properties"] for name, one in described.items() if "Body" in name}
    assert ["grain" in one for name, one in sorted(fields.items())] == [True, False], fields.keys()
    for command in (_module("client.cli.stylize").stylize, _module("client.video.command").video):
        assert all("--grain" not in one.opts for one in command.params)


def test_reference_and_argument_types_have_it(kind: Kind) -> None:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    options = _module("options").STYLIZE_OPTIONS
    (row,) = (one for one in generate.options_table(options).splitlines() if "GRAIN" in one)
    assert "Kept" in row
    assert f"| `grain` | `{kind.switch}` | yes |" in row
    text = generate.arguments_module(options)
    compile(text, "arguments.py", "exec")
    assert "    grain: " in text
