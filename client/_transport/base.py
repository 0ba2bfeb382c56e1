"""What the client needs of the network, and the conversions that all transports share.

A transport opens a connection for every call and closes it afterwards. That costs
milliseconds beside the seconds of a transfer, and in return a client may be used from any
number of threads (tritonclient's objects may not) or event loops, and leaves no idle
connection behind that would hold up a server's shutdown.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from tritonclient.utils import InferenceServerException

from photoreal.client._transport.inputs import Tensors
from photoreal.client.address import Address
from photoreal.client.errors import (
    AccessDenied,
    ClientError,
    RequestRejected,
    RequestTimeout,
    ServerBusy,
    ServerFailed,
    ServerUnavailable,
    ServiceError,
)
from photoreal.contract import (
    CANCEL,
    CANCEL_PARAMETER,
    MODEL_IS_GONE,
    QUEUE_IS_FULL,
    STYLIZE,
    TIME_IS_UP,
)

CANCEL_TIMEOUT = 1.0
"""Seconds that telling a server of a call that was given up may take."""


class Transport(Protocol):
    """One way to reach the model ``stylize``; may be called from several threads."""

    def infer(
        self, inputs: Tensors, outputs: Sequence[str], request_id: str, timeout: float
    ) -> Tensors:
        """Send ``inputs``; return the tensors named in ``outputs``. ``timeout`` in seconds."""

    def ready(self, timeout: float) -> bool:
        """Whether the server and the model ``stylize`` are ready; ``timeout`` in seconds."""

    def close(self) -> None:
        """Give back what the transport holds."""


class AsyncTransport(Protocol):
    """The asynchronous twin of :class:`Transport`."""

    async def infer(
        self, inputs: Tensors, outputs: Sequence[str], request_id: str, timeout: float
    ) -> Tensors:
        """Send ``inputs``; return the tensors named in ``outputs``. ``timeout`` in seconds."""

    async def ready(self, timeout: float) -> bool:
        """Whether the server and the model ``stylize`` are ready; ``timeout`` in seconds."""

    async def close(self) -> None:
        """Give back what the transport holds."""


def infer_arguments(
    binding: Any,
    inputs: Tensors,
    outputs: Sequence[str],
    request_id: str,
    timeout: float,
    key: str = "",
) -> dict[str, Any]:
    """Build the arguments of tritonclient's ``infer``.

    Args:
        binding: the module ``tritonclient.http`` or ``tritonclient.grpc``.
        inputs: tensors of the contract's types and shapes.
        outputs: names of the wanted outputs.
        request_id: the id under which the server logs the request.
        timeout: seconds after which nobody waits for the answer.
        key: what `cancel_arguments` may name to have the request given up.
    """
    tensors = []
    for spec in STYLIZE.inputs:
        if spec.name in inputs:
            array = inputs[spec.name]
            tensor = binding.InferInput(spec.name, list(array.shape), spec.dtype)
            tensor.set_data_from_numpy(array)
            tensors.append(tensor)
    return {
        "model_name": STYLIZE.name,
        "inputs": tensors,
        "outputs": [binding.InferRequestedOutput(name) for name in outputs],
        "request_id": request_id,
        "timeout": max(int(timeout * 1e6), 1),  # Triton counts microseconds
        "parameters": {CANCEL_PARAMETER: key} if key else None,
    }


def cancel_arguments(binding: Any, key: str) -> dict[str, Any]:
    """Build the arguments of tritonclient's ``infer`` that have a request given up.

    HTTP needs it: Triton does not notice when the connection of a request is closed.
    """
    tensor = binding.InferInput(CANCEL.inputs[0].name, [1], "BYTES")
    tensor.set_data_from_numpy(np.array([key.encode()], dtype=object))
    return {"model_name": CANCEL.name, "inputs": [tensor]}


def output_arrays(result: Any, outputs: Sequence[str]) -> Tensors:
    """Take the arrays out of tritonclient's ``InferResult``; absent outputs are left out."""
    arrays = {name: result.as_numpy(name) for name in outputs}
    return {name: array for name, array in arrays.items() if array is not None}


_REJECTED = {"400", "StatusCode.INVALID_ARGUMENT"}
_DENIED = {"401", "403", "StatusCode.UNAUTHENTICATED", "StatusCode.PERMISSION_DENIED"}
_RESTRICTED = "This protocol is restricted"
"""Triton's words over gRPC, under the status UNAVAILABLE, where a key is missing."""
_CANCELLED = "StatusCode.CANCELLED"  # what a server does that stops; clients' own never end here
_TRANSIENT = {"503", "StatusCode.UNAVAILABLE", _CANCELLED}
_UNAVAILABLE = {"404", "StatusCode.NOT_FOUND"} | _TRANSIENT
_TIMED_OUT = {"408", "504", "StatusCode.DEADLINE_EXCEEDED"}

_REFUSED = "connection refused"
_NOT_GRPC = "what answers there does not speak gRPC"
_UNLOADED = "has no available versions"  # of a model that was there, or will be
# A server that is starting, stopping or gone for the moment.
_DROPPED = {errno.ECONNREFUSED, errno.ECONNRESET, errno.ECONNABORTED, errno.EPIPE}


@dataclass(frozen=True)
class Exchange:
    """One call to a server, as the errors it may end in have to name it."""

    address: Address
    timeout: float
    request_id: str | None = None

    def answered(self, error: InferenceServerException) -> ClientError:
        """Make the error for one that tritonclient made of an answer or of gRPC's status."""
        status, message = error.status() or "", (error.message() or "").strip()
        if status in _DENIED or message.startswith(_RESTRICTED):
            return self.denied()
        if status.isdigit() and error.debug_details() is not None:
            # tritonclient found no JSON of Triton's: a proxy, or another server altogether.
            return self.garbled(f" (HTTP status {status})")
        if status in _REJECTED:
            return RequestRejected(message, request_id=self.request_id)
        if status in _TIMED_OUT:
            return self.timed_out()
        if status in _UNAVAILABLE:
            if status == _CANCELLED:
                message = "the server cancelled the call"
            transient = status in _TRANSIENT or _UNLOADED in message
            return self._refused(message, transient=transient)
        if any(mark in message for mark in MODEL_IS_GONE):
            return self.unreachable("a model has died and is brought back", transient=True)
        return ServerFailed(_first_line(message), request_id=self.request_id)

    def _refused(self, message: str, *, transient: bool) -> ServiceError:
        """Make the error for a server that will not serve the request, or not any longer."""
        stopped, waited = TIME_IS_UP
        if waited in message:
            return RequestTimeout(
                f"The request waited at {self.address} until its time was up; nobody began to"
                " work on it.",
                request_id=self.request_id,
            )
        if stopped in message:
            return RequestTimeout(_first_line(message), request_id=self.request_id)
        if QUEUE_IS_FULL in message:
            return ServerBusy(
                f"The server at {self.address} has as many requests waiting as it allows; try"
                " again later.",
                request_id=self.request_id,
                transient=True,
            )
        return self.unreachable(message, transient=transient)

    def denied(self) -> AccessDenied:
        """Make the error for a server, or a proxy before it, that wants to know the caller."""
        return AccessDenied(
            f"The server at {self.address} wants an API key, and none or a wrong one was shown.",
            request_id=self.request_id,
        )

    def timed_out(self) -> RequestTimeout:
        """Make the error for no answer in time."""
        return RequestTimeout(
            f"The server at {self.address} did not answer within {round(self.timeout, 2):g}"
            " seconds.",
            request_id=self.request_id,
        )

    def unreachable(self, reason: str | OSError, *, transient: bool = False) -> ServerUnavailable:
        """Make the error for a failed connection, or a server that says it is not ready.

        Connections that were refused or dropped are transient without being called so.
        """
        if isinstance(reason, OSError):
            transient = transient or reason.errno in _DROPPED
            reason = reason.strerror or str(reason)
        detail = _plain(reason).rstrip(".")
        transient = transient or detail == _REFUSED
        lasting = detail == _NOT_GRPC or _RESTRICTED in detail
        return ServerUnavailable(
            f"No server is ready at {self.address}" + (f" ({detail})." if detail else "."),
            request_id=self.request_id,
            transient=transient and not lasting,
        )

    def garbled(self, detail: str = "") -> ServerFailed:
        """Make the error for an answer that is not one of Triton's."""
        return ServerFailed(
            f"What answers at {self.address} is not Triton over {self.address.protocol}{detail}.",
            request_id=self.request_id,
        )


def _plain(reason: str) -> str:
    """Pick the reason of a failed connection out of the many words of gRPC and asyncio."""
    if "Connection refused" in reason or "Connect call failed" in reason:
        return _REFUSED
    if "certificate verify failed" in reason.lower().replace("_", " "):
        return "its certificate is for another name or signed by nobody who is trusted here"
    if "Failed parsing HTTP/2" in reason:
        return _NOT_GRPC
    return _first_line(reason.rpartition("last error: ")[2]) if reason else ""


def _first_line(text: str) -> str:
    # The rest of what a server says about its own failures is a traceback.
    return text.strip().partition("\n")[0].rstrip() or "The server failed without saying why."
