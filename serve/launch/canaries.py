"""Canaries for a server that runs on this machine."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

from photoreal.client import ClientError, ServiceError, StyleTransferClient
from photoreal.client.canary import send_canary
from photoreal.client.errors import ServerBusy


def canary(http_url: str, timeout_s: float, api_key: str | None = None) -> bool:
    """Whether a small request through every stage is answered with a picture in time."""
    try:
        with StyleTransferClient(
            http_url, timeout=max(timeout_s, 0.1), retries=0, api_key=api_key
        ) as client:
            return client.ready() and send_canary(client) > 0
    except ServiceError:  # not an address that cannot be read: waiting would not help
        return False


@dataclass(frozen=True)
class CanaryResult:
    """How a canary ended: the seconds it took, and None or a sentence on its failure.

    A `busy` one was turned away for a full queue, which tells nothing of the models.
    """

    seconds: float
    failure: str | None = None
    busy: bool = False


class Canary:
    """A canary on its way, in a thread of its own."""

    def __init__(self, http_url: str, timeout_s: float, api_key: str | None = None) -> None:
        self._outcome: CanaryResult | None = None
        threading.Thread(
            target=self._send, args=(http_url, timeout_s, api_key), name="canary", daemon=True
        ).start()

    def poll(self) -> CanaryResult | None:
        """How it ended, None as long as it has not."""
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
