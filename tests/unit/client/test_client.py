import subprocess
import sys

import pytest

from photoreal.client import (
    DEFAULT_TIMEOUT,
    AsyncStyleTransferClient,
    InvalidInput,
    RequestRejected,
    ServerUnavailable,
    StyleTransferClient,
)
from photoreal.contract import STYLIZE

from .conftest import LABELS, PHOTO, AsyncFakeTransport, FakeTransport, answer, png


class TestStyleTransferClient:
    def test_a_call(self, transport, photo_file):
        with StyleTransferClient(transport=transport) as client:
            result = client.stylize(photo_file, PHOTO, alpha=0.5)
        (inputs, outputs, request_id, timeout) = transport.calls[0]
        assert sorted(inputs) == ["ALPHA", "CONTENT", "STYLE"]
        assert outputs == [name for name in STYLIZE.output_names() if name != "PRESET"]
        assert timeout == DEFAULT_TIMEOUT
        assert request_id == result.request_id
        assert transport.inputs["CONTENT"] == photo_file.read_bytes()
        assert result.png == png(PHOTO)

    def test_regions_are_found_without_asking_for_a_picture(self, transport, photo_file):
        transport.outputs = answer(IMAGE=None)
        with StyleTransferClient(transport=transport) as client:
            regions = client.find_regions(photo_file, PHOTO, size=64, timeout=3)
        (inputs, outputs, request_id, timeout) = transport.calls[0]
        assert sorted(inputs) == ["CONTENT", "SIZE", "STYLE"]
        assert list(outputs) == ["CONTENT_LABELS", "STYLE_LABELS", "REPORT"]
        assert (request_id, timeout) == (regions.request_id, 3.0)
        assert regions.content_labels_png == png(LABELS)

    def test_request_ids_are_made_up(self, transport):
        client = StyleTransferClient(transport=transport)
        ids = {client.stylize(PHOTO, PHOTO).request_id for _ in range(3)}
        assert len(ids) == 3
        assert client.stylize(PHOTO, PHOTO, request_id="mine").request_id == "mine"

    def test_timeout_of_one_call(self, transport):
        StyleTransferClient(transport=transport, timeout=9).stylize(PHOTO, PHOTO, timeout=2)
        assert transport.calls[0][3] == 2.0

    @pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf"), "5", True, None])
    def test_senseless_timeout(self, timeout, transport):
        with pytest.raises(InvalidInput, match="timeout"):
            StyleTransferClient(transport=transport, timeout=timeout)

    def test_senseless_request_id(self, transport):
        with pytest.raises(InvalidInput, match="request_id"):
            StyleTransferClient(transport=transport).stylize(PHOTO, PHOTO, request_id=7)

    def test_nothing_is_sent_when_an_argument_is_wrong(self, transport):
        with pytest.raises(InvalidInput):
            StyleTransferClient(transport=transport).stylize("none.jpg", PHOTO)
        assert not transport.calls

    def test_what_is_no_option_is_no_argument(self, transport):
        client = StyleTransferClient(transport=transport)
        with pytest.raises(TypeError, match=r"stylize\(\) got an unexpected .* 'aplha'"):
            client.stylize(PHOTO, PHOTO, aplha=1.0)  # type: ignore[call-arg]
        with pytest.raises(TypeError, match=r"find_regions\(\) got an unexpected .* 'alpha'"):
            client.find_regions(PHOTO, PHOTO, alpha=1.0)  # type: ignore[call-arg]
        assert not transport.calls

    def test_errors_come_through(self):
        client = StyleTransferClient(transport=FakeTransport(error=RequestRejected("No.")))
        with pytest.raises(RequestRejected, match=r"No\."):
            client.stylize(PHOTO, PHOTO)

    def test_ready(self, transport):
        assert StyleTransferClient(transport=transport).ready()
        gone = FakeTransport(error=ServerUnavailable("gone"))
        assert not StyleTransferClient(transport=gone).ready()

    def test_close(self, transport):
        client = StyleTransferClient(transport=transport)
        client.close()
        client.close()
        assert transport.closed == 1
        with pytest.raises(InvalidInput, match="closed"):
            client.stylize(PHOTO, PHOTO)
        with pytest.raises(InvalidInput, match="closed"):
            client.ready()


class TestAsyncStyleTransferClient:
    async def test_a_call(self, photo_file):
        transport = AsyncFakeTransport()
        async with AsyncStyleTransferClient(transport=transport) as client:
            assert await client.ready()
            result = await client.stylize(photo_file, PHOTO, size=64, timeout=3)
        assert sorted(transport.inputs) == ["CONTENT", "SIZE", "STYLE"]
        assert transport.calls[0][2:] == (result.request_id, 3.0)
        assert result.report["regions"] == "segmenter"
        assert transport.closed == 1

    async def test_regions_are_found_without_asking_for_a_picture(self):
        transport = AsyncFakeTransport(outputs=answer(IMAGE=None))
        async with AsyncStyleTransferClient(transport=transport) as client:
            regions = await client.find_regions(PHOTO, PHOTO, segment=False)
        assert list(transport.calls[0][1]) == ["CONTENT_LABELS", "STYLE_LABELS", "REPORT"]
        assert transport.inputs["SEGMENT"] is False
        assert regions.report["regions"] == "segmenter"

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


def test_answer_without_outputs():
    client = StyleTransferClient(transport=FakeTransport(outputs=answer(IMAGE=None)))
    with pytest.raises(Exception, match="lacks IMAGE"):
        client.stylize(PHOTO, PHOTO)


def test_needs_no_networks_and_no_transport_it_does_not_use():
    program = (
        "import sys, photoreal.client, photoreal.client.cli.stylize\n"
        "print(*{'torch', 'onnxruntime', 'grpc', 'gevent', 'aiohttp'} & set(sys.modules))"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert run.stdout.strip() == ""
