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
    once, one of which the server computes while the others wait. `limits`: the server's own.
    """

    max_file_bytes: int = Limits.max_bytes
    max_requests: int = 8
    limits: Limits = Limits()  # noqa: RUF009 (frozen)

    @property
    def max_body_bytes(self) -> int:
        """Of a whole request: two photos, and masks that together are no larger than one."""
        return 3 * self.max_file_bytes + _FORM_BYTES


def in_mebibytes(size: int) -> str:
    """A number of bytes in words."""
    return f"{size / 2**20:.3g} MiB"
