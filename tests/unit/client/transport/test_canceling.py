"""A call over HTTP that is given up is canceled by its key, as Triton does not notice."""

import asyncio
import re
import signal
import threading

import pytest

from photoreal.client import AsyncStyleTransferClient, RequestTimeout
from tests.shared import wait_until

from ..conftest import KINDS, call, serving

KEY_INPUT = re.compile(rb"\x20\x00\x00\x00[0-9a-f]{32}$")
KEY = re.compile(rb'"cancel":"([0-9a-f]{32})"')


class Unanswered:
    """Never answers `stylize`; `requests` holds what came."""

    def __init__(self):
        self.requests = []

    def read(self, connection):
        connection.settimeout(5)
        number = len(self.requests)
        self.requests.append(b"")
        while data := connection.recv(65536):
            self.requests[number] += data
            if KEY_INPUT.search(self.requests[number]):
                connection.sendall(b"HTTP/1.1 404 -\r\nContent-Length: 2\r\n\r\n{}")

    def wait_for_request(self):
        wait_until(lambda: self.requests and b"\x00style" in self.requests[0], 5)

    def check(self):
        request, cancel = self.requests
        assert request.startswith(b"POST /v2/models/stylize/infer ")
        assert cancel.startswith(b"POST /v2/models/cancel/infer ")
        (key,) = KEY.findall(request)
        assert key in cancel


@pytest.fixture
def unanswered():
    server = Unanswered()
    with serving(server.read) as server.url:
        yield server


@pytest.mark.parametrize("kind", KINDS)
def test_timeout(kind, unanswered):
    with pytest.raises(RequestTimeout):
        call(kind, unanswered.url, timeout=0.3)
    unanswered.check()
    assert b'"timeout":300000' in unanswered.requests[0]


async def test_canceled_task(unanswered):
    async with AsyncStyleTransferClient(unanswered.url) as client:
        task = asyncio.create_task(client.stylize(b"content", b"style"))
        await asyncio.to_thread(unanswered.wait_for_request)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    unanswered.check()


def test_interrupt(unanswered):
    def interrupt():
        unanswered.wait_for_request()
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    signal.signal(signal.SIGINT, signal.default_int_handler)
    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        call("sync", unanswered.url, timeout=10)
    thread.join()
    unanswered.check()
