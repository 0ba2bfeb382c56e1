"""Canaries: small test requests to a server on this machine."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

from photoreal.client import ClientError, ServiceError, StyleTransferClient
from photoreal.client.canary import send_canary
from photoreal.client.errors import ServerBusy


def canary(http_url: str, timeout_s: float, api_key: str | None = None) -> bool:
    """Whether a small request through every stage is answered with an image within `timeout_s`."""
    try:
        with StyleTransferClient(
            http_url, timeout=max(timeout_s, 0.1), retries=0, api_key=api_key
        ) as client:
            return client.ready() and send_canary(client) > 0
    except ServiceError:  # other errors, such as a malformed address, propagate
        return False


@dataclass(frozen=True)
class CanaryResult:
    """Result of a canary: its duration in seconds, and the error message if it failed.

    `busy` means that it was rejected because the queue is full, which is no sign of a fault.
    """

    seconds: float
    failure: str | None = None
    busy: bool = False


class Canary:
    """A canary that is sent from a background thread."""

    def __init__(self, http_url: str, timeout_s: float, api_key: str | None = None) -> None:
        self._outcome: CanaryResult | None = None
        threading.Thread(
            target=self._send, args=(http_url, timeout_s, api_key), name="canary", daemon=True
        ).start()

    def poll(self) -> CanaryResult | None:
        """Return the result, None while the canary is running."""
        return self._outcome

    def _send(self, http_url: str, timeout_s: float, api_key: str | None) -> None:
        start = time.monotonic()
        try:
            with StyleTransferClient(
                http_url, timeout=timeout_s, retries=0, api_key=api_key
            ) as client:
                self._outcome = CanaryResult(send_canary(client))
        except ClientError as error:
            busy = isinstance(error, ServerBusy)
            self._outcome = CanaryResult(time.monotonic() - start, str(error), busy)
