"""Which failures are retried, how often, and within what time."""

import time
from types import SimpleNamespace

import pytest

from photoreal.client import DEFAULT_RETRIES, AsyncStyleTransferClient, StyleTransferClient
from photoreal.client._transport import retry
from photoreal.client.errors import (
    InvalidInput,
    RequestRejected,
    RequestTimeout,
    ServerFailed,
    ServerUnavailable,
)

from ..conftest import KINDS, PHOTO, AsyncFakeTransport, FakeTransport, call, png

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


def gone(count):
    return [ServerUnavailable(GONE, request_id="7", transient=True) for _ in range(count)]


@pytest.fixture(params=KINDS)
def stylize(request):
    """Calls over a transport that fails with some errors first; `seconds` is what each had."""

    def run(*errors, **options):
        transport = (Flaky if request.param == "sync" else AsyncFlaky)(*errors)
        run.calls = transport.calls
        return call(request.param, transport=transport, **options)

    return run


@pytest.mark.usefixtures("quick")
class TestAttempts:
    def test_until_there_is_an_answer_within_the_time_left(self, stylize):
        assert stylize(*gone(2), timeout=9.0).png == png(PHOTO)
        inputs, _, ids, seconds = zip(*stylize.calls, strict=True)
        assert inputs[0] is inputs[1] is inputs[2]  # the same request, nothing is made again
        assert set(ids) == {"7"}
        assert seconds[0] == 9.0
        assert 8.0 < seconds[2] < seconds[1] < 9.0

    def test_no_more_than_allowed(self, stylize):
        with pytest.raises(ServerUnavailable) as caught:
            stylize(*gone(9))
        assert len(stylize.calls) == caught.value.tries == DEFAULT_RETRIES + 1
        assert str(caught.value) == f"{GONE} Tried {DEFAULT_RETRIES + 1} times."
        assert caught.value.request_id == "7"

    def test_none_with_0(self, stylize):
        with pytest.raises(ServerUnavailable) as caught:
            stylize(*gone(1), retries=0)
        assert len(stylize.calls) == caught.value.tries == 1
        assert str(caught.value) == GONE

    @pytest.mark.parametrize(
        "error", [RequestRejected, RequestTimeout, ServerFailed, ServerUnavailable]
    )
    def test_not_for_a_failure_that_stays(self, stylize, error):
        with pytest.raises(error, match=r"^It stays\.$"):
            stylize(error("It stays."))
        assert len(stylize.calls) == 1

    def test_a_later_failure_of_another_kind_ends_them(self, stylize):
        with pytest.raises(ServerFailed, match=r"^It broke\. Tried 2 times\.$"):
            stylize(*gone(1), ServerFailed("It broke."))
        with pytest.raises(RequestRejected, match=r"^No\.$"):
            stylize(*gone(1), RequestRejected("No."))


def test_waits_grow_and_differ():
    waits = []
    for _ in range(20):
        wait = retry.RetryPolicy(5)._rules(60.0)["wait"]
        waits.append([wait(SimpleNamespace(attempt_number=number)) for number in range(1, 9)])
    for number, column in enumerate(zip(*waits, strict=True)):
        least = min(retry.FIRST_WAIT_S * 2**number, retry.LONGEST_WAIT_S)
        assert least <= min(column) <= max(column) <= least + retry.JITTER_S
    assert len({one[0] for one in waits}) > 10


def test_no_wait_beyond_the_timeout(stylize):
    started = time.monotonic()
    with pytest.raises(ServerUnavailable) as caught:
        stylize(*gone(99), retries=99, timeout=1.0)
    assert time.monotonic() - started < 1.1  # and a moment until the loop runs again
    assert 1 < caught.value.tries < 5


@pytest.mark.parametrize("retries", [-1, 1.5, "2", True, None])
@pytest.mark.parametrize("client", [StyleTransferClient, AsyncStyleTransferClient])
def test_invalid_retries(client, retries):
    with pytest.raises(InvalidInput, match="retries"):
        client(retries=retries)
