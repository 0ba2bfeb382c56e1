"""Settings and limits of the gateway."""

from __future__ import annotations

from dataclasses import dataclass

from photoreal.preprocess.limits import Limits

_FORM_BYTES = 64 * 1024
"""Allowance for the fields of a form that are not files."""


@dataclass(frozen=True)
class GatewaySettings:
    """Limits of the gateway.

    `max_file_bytes`: size of one uploaded file. `max_requests`: concurrent requests, of which the
    server computes one while the others wait. `hosts`: host names of the gateway, besides IP
    addresses, localhost and this machine's name. `limits`: those of the server.

    A request counts once its body is complete. Until then it is an upload: at most `max_uploads`
    may be in progress. An upload may pause for at most `idle_s` seconds, and must sustain
    `min_bytes_per_s` after the first `idle_s`.
    """

    max_file_bytes: int = Limits.max_bytes
    max_requests: int = 8
    hosts: tuple[str, ...] = ()
    idle_s: float = 20.0
    min_bytes_per_s: int = 16 * 1024
    limits: Limits = Limits()  # noqa: RUF009 (frozen)

    @property
    def max_body_bytes(self) -> int:
        """Maximum size of a request: two photos, and masks that together are no larger than one."""
        return 3 * self.max_file_bytes + _FORM_BYTES

    @property
    def max_uploads(self) -> int:
        """Maximum number of uploads in progress; on slow connections most of them wait for data."""
        return 4 * self.max_requests


def in_mebibytes(size: int) -> str:
    """Format a number of bytes in MiB."""
    return f"{size / 2**20:.3g} MiB"
