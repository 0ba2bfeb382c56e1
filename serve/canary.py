"""Canaries for a server that runs on this machine."""

from __future__ import annotations

import threading
import time

from photoreal.client import ClientError, ServiceError, StyleTransferClient
from photoreal.client.canary import send_canary
from photoreal.client.errors import ServerBusy
from photoreal.serve.vital_signs import Outcome


def canary(http_url: str, timeout_s: float, api_key: str | None = None) -> bool:
    """Whether a small request through every stage is answered with a picture in time."""
    try:
        with StyleTransferClient(
            http_url, timeout=max(timeout_s, 0.1), retries=0, api_key=api_key
        ) as client:
            return client.ready() and send_canary(client) > 0
    except ServiceError:  # not an address that cannot be read: waiting would not help
        return False


class Canary:
    """A canary on its way, in a thread of its own."""

    def __init__(self, http_url: str, timeout_s: float, api_key: str | None = None) -> None:
        self._outcome: Outcome | None = None
        threading.Thread(
            target=self._send, args=(http_url, timeout_s, api_key), name="canary", daemon=True
        ).start()

    def poll(self) -> Outcome | None:
        """How it ended, None as long as it has not."""
        return self._outcome

    def _send(self, http_url: str, timeout_s: float, api_key: str | None) -> None:
        start = time.monotonic()
        try:
            with StyleTransferClient(
                http_url, timeout=timeout_s, retries=0, api_key=api_key
            ) as client:
                self._outcome = Outcome(send_canary(client))
        except ClientError as error:
            busy = isinstance(error, ServerBusy)
            self._outcome = Outcome(time.monotonic() - start, str(error), busy)
