"""Which failures are tried again, how often, and within what time."""

import asyncio
import time

import pytest
from tritonclient.utils import InferenceServerException

from photoreal.client import (
    DEFAULT_RETRIES,
    AsyncStyleTransferClient,
    InvalidInput,
    RequestRejected,
    RequestTimeout,
    ServerFailed,
    ServerUnavailable,
    StyleTransferClient,
)
from photoreal.client._transport import retry
from photoreal.client._transport.base import Exchange
from photoreal.client.address import Address

from ..conftest import PHOTO, AsyncFakeTransport, FakeTransport, answer, png
from .test_transport import WAYS, http_answer, http_error

GONE = "No server is ready at host:1 (connection refused)."


class Flaky(FakeTransport):
    """Raises its errors one after the other, then answers."""

    def __init__(self, *errors):
        super().__init__()
        self.errors = list(errors)

    def infer(self, *arguments):
        self.error = self.errors.pop(0) if self.errors else None
        return super().infer(*arguments)


class AsyncFlaky(Flaky, AsyncFakeTransport):
    async def infer(self, *arguments):
        return await Flaky.infer(self, *arguments)


def gone():
    return ServerUnavailable(GONE, request_id="7", transient=True)


@pytest.fixture(params=["sync", "async"])
def call(request):
    """Stylizes over a transport that fails with some errors first."""

    def run(*errors, **options):
        if request.param == "sync":
            run.transport = Flaky(*errors)
            client = StyleTransferClient(transport=run.transport, **options)
            return client.stylize(PHOTO, PHOTO, request_id="7")
        run.transport = AsyncFlaky(*errors)
        other = AsyncStyleTransferClient(transport=run.transport, **options)
        return asyncio.run(other.stylize(PHOTO, PHOTO, request_id="7"))

    return run


@pytest.fixture
def quick(monkeypatch):
    """Waits of almost nothing."""
    monkeypatch.setattr(retry, "FIRST_WAIT_S", 0.001)
    monkeypatch.setattr(retry, "JITTER_S", 0.001)


@pytest.mark.usefixtures("quick")
class TestTries:
    def test_until_there_is_an_answer(self, call):
        assert call(gone(), gone()).png == png(PHOTO)
        inputs = [one[0] for one in call.transport.calls]
        assert inputs[0] is inputs[1] is inputs[2]  # the very same request, nothing made anew
        assert {one[2] for one in call.transport.calls} == {"7"}

    def test_no_more_than_allowed(self, call):
        with pytest.raises(ServerUnavailable) as caught:
            call(*(gone() for _ in range(9)))
        assert len(call.transport.calls) == DEFAULT_RETRIES + 1
        assert caught.value.tries == DEFAULT_RETRIES + 1
        assert str(caught.value) == f"{GONE} Tried {DEFAULT_RETRIES + 1} times."
        assert caught.value.request_id == "7"

    def test_none_when_told_so(self, call):
        with pytest.raises(ServerUnavailable) as caught:
            call(gone(), retries=0)
        assert len(call.transport.calls) == caught.value.tries == 1
        assert str(caught.value) == GONE

    @pytest.mark.parametrize(
        "error",
        [
            RequestRejected("size is 0; expected 16 to 2048 pixels."),
            RequestTimeout("The server did not answer within 5 seconds."),
            ServerFailed("It broke."),
            ServerUnavailable("No server is ready at nowhere:1 (unknown host)."),
        ],
        ids=lambda error: type(error).__name__,
    )
    def test_not_for_a_failure_that_stays(self, call, error):
        sentence = str(error)
        with pytest.raises(type(error)) as caught:
            call(error)
        assert caught.value is error
        assert str(caught.value) == sentence
        assert len(call.transport.calls) == 1

    def test_a_later_failure_of_another_kind_ends_them(self, call):
        with pytest.raises(ServerFailed, match=r"^It broke\. Tried 2 times\.$"):
            call(gone(), ServerFailed("It broke."))
        with pytest.raises(RequestRejected, match=r"^No\.$"):
            call(gone(), RequestRejected("No."))

    def test_time_left_shrinks(self, call):
        call(gone(), gone(), timeout=9.0)
        seconds = [one[3] for one in call.transport.calls]
        assert seconds[0] == 9.0
        assert 8.0 < seconds[2] < seconds[1] < 9.0


def test_waits_grow_and_differ():
    waits = []
    for _ in range(20):
        policy = retry.RetryPolicy(5)._rules(60.0)["wait"]
        state = type("State", (), {})()
        one = []
        for state.attempt_number in range(1, 9):
            one.append(policy(state))
        waits.append(one)
    for number, column in enumerate(zip(*waits, strict=True)):
        least = min(retry.FIRST_WAIT_S * 2**number, retry.LONGEST_WAIT_S)
        assert least <= min(column) <= max(column) <= least + retry.JITTER_S
    assert len({one[0] for one in waits}) > 10


def test_no_wait_beyond_the_timeout(call):
    started = time.monotonic()
    with pytest.raises(ServerUnavailable) as caught:
        call(*(gone() for _ in range(99)), retries=99, timeout=1.0)
    assert time.monotonic() - started < 1.1  # and a moment until the loop runs again
    assert 1 < caught.value.tries < 5


@pytest.mark.parametrize("retries", [-1, 1.5, "2", True, None])
def test_senseless_retries(retries):
    for client in (StyleTransferClient, AsyncStyleTransferClient):
        with pytest.raises(InvalidInput, match="retries"):
            client(retries=retries)


@pytest.mark.parametrize(
    ("status", "message", "transient"),
    [
        ("503", "The server is stopping.", True),
        ("StatusCode.UNAVAILABLE", "Socket closed", True),
        ("StatusCode.UNAVAILABLE", "last error: Failed parsing HTTP/2 (frame)", False),
        ("StatusCode.CANCELLED", "CANCELLED", True),
        ("StatusCode.NOT_FOUND", "Request for unknown model: 'x' is not found", False),
        ("StatusCode.NOT_FOUND", "unknown model: 'x' has no available versions", True),
        ("404", "unknown model: 'x' has no available versions", True),
    ],
)
def test_what_passes(status, message, transient):
    exchange = Exchange(Address("host:1"), timeout=9.0)
    error = exchange.answered(InferenceServerException(message, status))
    assert isinstance(error, ServerUnavailable)
    assert error.transient is transient


def over(kind, protocol, url):
    if kind == "sync":
        with StyleTransferClient(url, protocol=protocol) as client:
            return client.stylize(b"content", b"style")

    async def run():
        async with AsyncStyleTransferClient(url, protocol=protocol) as client:
            return await client.stylize(b"content", b"style")

    return asyncio.run(run())


@pytest.mark.usefixtures("quick")
class TestOverSockets:
    @pytest.mark.parametrize(("kind", "protocol"), WAYS)
    def test_refused(self, kind, protocol, closed_url):
        with pytest.raises(ServerUnavailable, match=r"refused\)\. Tried 3 times\."):
            over(kind, protocol, closed_url)

    @pytest.mark.parametrize("kind", ["sync", "async"])
    @pytest.mark.parametrize(
        ("first", "tries"),
        [
            (http_error(503, "The server is stopping."), 2),
            (b"", 2),  # dropped without a word
            (http_answer(answer())[:200], 2),  # dropped within the answer
            (http_error(400, "size is 0."), 1),
            (http_error(404, "unknown model"), 1),
            (http_error(500, "It broke."), 1),
        ],
        ids=["503", "dropped", "broken off", "400", "404", "500"],
    )
    def test_answers(self, kind, first, tries, serve_bytes):
        url = serve_bytes(first, http_answer(answer()))
        if tries > 1:
            assert over(kind, "http", url).png == png(PHOTO)
        else:
            with pytest.raises((RequestRejected, ServerFailed, ServerUnavailable)):
                over(kind, "http", url)
        assert len(serve_bytes.requests) == tries
