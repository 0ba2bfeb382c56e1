"""Both clients over a transport without a network."""

import sys

import pytest

from photoreal.client import DEFAULT_TIMEOUT, AsyncStyleTransferClient, StyleTransferClient
from photoreal.client.errors import InvalidInput, RequestRejected, ServerFailed, ServerUnavailable
from photoreal.contract import STYLIZE
from tests.shared import output_of

from .conftest import LABELS, PHOTO, AsyncFakeTransport, answer, png

REGIONS = ["CONTENT_LABELS", "STYLE_LABELS", "REPORT"]


@pytest.fixture
def client(transport):
    return StyleTransferClient(transport=transport)


class TestStyleTransferClient:
    def test_a_call(self, transport, photo_file):
        with StyleTransferClient(transport=transport) as client:
            result = client.stylize(photo_file, PHOTO, alpha=0.5)
            whole = client.stylize(photo_file, PHOTO, labels=True)
        inputs, outputs, request_id, timeout = transport.calls[0]
        assert sorted(inputs) == ["ALPHA", "CONTENT", "STYLE"]
        assert outputs == ["IMAGE", "REPORT"]
        assert sorted(transport.calls[1][1]) == sorted({*STYLIZE.output_names()} - {"PRESET"})
        assert (timeout, request_id) == (DEFAULT_TIMEOUT, result.request_id)
        assert transport.inputs["CONTENT"] == photo_file.read_bytes()
        assert result.png == whole.png == png(PHOTO)
        assert whole.content_labels_png == png(LABELS)
        for name in ("content_labels", "style_labels", "more_style_labels"):
            with pytest.raises(InvalidInput, match=r"expected labels=True\."):
                getattr(result, name)

    def test_regions_are_found_without_asking_for_a_picture(self, client, transport, photo_file):
        transport.outputs = answer(IMAGE=None)
        regions = client.find_regions(photo_file, PHOTO, size=64, timeout=3)
        inputs, outputs, request_id, timeout = transport.calls[0]
        assert (sorted(inputs), outputs) == (["CONTENT", "SIZE", "STYLE"], REGIONS)
        assert (request_id, timeout) == (regions.request_id, 3.0)
        assert regions.content_labels_png == png(LABELS)

    def test_request_ids_are_made_up(self, client):
        assert len({client.stylize(PHOTO, PHOTO).request_id for _ in range(3)}) == 3
        assert client.stylize(PHOTO, PHOTO, request_id="mine").request_id == "mine"

    def test_timeout_of_one_call(self, transport):
        StyleTransferClient(transport=transport, timeout=9).stylize(PHOTO, PHOTO, timeout=2)
        assert transport.calls[0][3] == 2.0

    @pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf"), "5", True, None])
    def test_invalid_timeout(self, timeout, transport):
        with pytest.raises(InvalidInput, match="timeout"):
            StyleTransferClient(transport=transport, timeout=timeout)

    def test_nothing_is_sent_when_an_argument_is_wrong(self, client, transport):
        with pytest.raises(InvalidInput, match="request_id"):
            client.stylize(PHOTO, PHOTO, request_id=7)
        with pytest.raises(InvalidInput):
            client.stylize("none.jpg", PHOTO)
        with pytest.raises(TypeError, match=r"stylize\(\) got an unexpected .* 'aplha'"):
            client.stylize(PHOTO, PHOTO, aplha=1.0)
        with pytest.raises(TypeError, match=r"find_regions\(\) got an unexpected .* 'alpha'"):
            client.find_regions(PHOTO, PHOTO, alpha=1.0)
        assert not transport.calls

    def test_errors_come_through(self, client, transport):
        assert client.ready()
        transport.error = RequestRejected("No.")
        with pytest.raises(RequestRejected, match=r"No\."):
            client.stylize(PHOTO, PHOTO)
        transport.error = ServerUnavailable("gone")
        assert not client.ready()
        transport.error, transport.outputs = None, answer(IMAGE=None)
        with pytest.raises(ServerFailed, match="IMAGE"):
            client.stylize(PHOTO, PHOTO)

    def test_close(self, client, transport):
        client.close()
        client.close()
        assert transport.closed == 1
        for method in (lambda: client.stylize(PHOTO, PHOTO), client.ready):
            with pytest.raises(InvalidInput, match="closed"):
                method()


class TestAsyncStyleTransferClient:
    async def test_a_call(self, photo_file):
        transport = AsyncFakeTransport()
        async with AsyncStyleTransferClient(transport=transport) as client:
            assert await client.ready()
            result = await client.stylize(photo_file, PHOTO, size=64, timeout=3)
            assert sorted(transport.inputs) == ["CONTENT", "SIZE", "STYLE"]
            assert transport.calls[0][1] == ["IMAGE", "REPORT"]
            assert transport.calls[0][2:] == (result.request_id, 3.0)
            assert result.report["regions"] == "segmenter"
            transport.outputs = answer(IMAGE=None)
            regions = await client.find_regions(PHOTO, PHOTO, segment=False)
            assert (transport.calls[1][1], transport.inputs["SEGMENT"]) == (REGIONS, False)
            assert regions.report["regions"] == "segmenter"
        assert transport.closed == 1

    async def test_errors_come_through(self):
        transport = AsyncFakeTransport(error=ServerUnavailable("gone"))
        client = AsyncStyleTransferClient(transport=transport)
        assert not await client.ready()
        with pytest.raises(ServerUnavailable):
            await client.stylize(PHOTO, PHOTO)
        with pytest.raises(InvalidInput):
            await client.stylize(PHOTO, 3)
        await client.close()
        with pytest.raises(InvalidInput, match="closed"):
            await client.stylize(PHOTO, PHOTO)

    @pytest.mark.parametrize("protocol", ["http", "grpc"])
    def test_is_made_outside_a_loop(self, protocol):
        AsyncStyleTransferClient(protocol=protocol)


def test_needs_no_networks_and_no_transport_it_does_not_use():
    program = (
        "import sys, photoreal.client, photoreal.client.cli.stylize\n"
        "print(*{'torch', 'onnxruntime', 'grpc', 'gevent', 'aiohttp'} & set(sys.modules))"
    )
    assert output_of(sys.executable, "-c", program, timeout=60).strip() == ""
