"""What a gateway may be asked for."""

from __future__ import annotations

from dataclasses import dataclass

from photoreal.preprocess.limits import Limits

_FORM_BYTES = 64 * 1024
"""Room for the words of a form, beside its files."""


@dataclass(frozen=True)
class GatewaySettings:
    """Bounds of the gateway.

    `max_file_bytes`: of one uploaded file. `max_requests`: how many requests may be there at
    once, one of which the server computes while the others wait. `hosts`: names under which the
    gateway is reached, besides IP addresses, localhost and this machine's name. `limits`: the
    server's own.

    A request counts once its body is there. Until then it is an upload: there may be
    `max_uploads` at once, in each of which no more than `idle_s` seconds may pass between two
    pieces, and which has to be as fast as `min_bytes_per_s` after `idle_s`.
    """

    max_file_bytes: int = Limits.max_bytes
    max_requests: int = 8
    hosts: tuple[str, ...] = ()
    idle_s: float = 20.0
    min_bytes_per_s: int = 16 * 1024
    limits: Limits = Limits()  # noqa: RUF009 (frozen)

    @property
    def max_body_bytes(self) -> int:
        """Of a whole request: two photos, and masks that together are no larger than one."""
        return 3 * self.max_file_bytes + _FORM_BYTES

    @property
    def max_uploads(self) -> int:
        """Bodies that may be on their way at once; on slow lines most of them wait for bytes."""
        return 4 * self.max_requests


def in_mebibytes(size: int) -> str:
    """A number of bytes in words."""
    return f"{size / 2**20:.3g} MiB"
