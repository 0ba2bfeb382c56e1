"""Transport interface, and the conversions and errors shared by all transports.

A transport opens a connection for every call and closes it afterwards. That costs milliseconds,
against seconds for a transfer. In return, a client can be used from any number of threads
(tritonclient's objects cannot) or event loops, and no idle connection delays a server's shutdown.
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
    QUEUE_IS_FULL,
    STYLIZE,
    TIMED_OUT,
    TIMED_OUT_IN_QUEUE,
)
from photoreal.triton_messages import Condition, reports

CANCEL_TIMEOUT = 1.0
"""Timeout in seconds of the request that cancels an abandoned call."""


class Transport(Protocol):
    """One way to reach the model ``stylize``; must be thread-safe."""

    def infer(
        self, inputs: Tensors, outputs: Sequence[str], request_id: str, timeout: float
    ) -> Tensors:
        """Send ``inputs``; return the tensors named in ``outputs``. ``timeout`` in seconds."""

    def ready(self, timeout: float) -> bool:
        """Whether the server and the model ``stylize`` are ready; ``timeout`` in seconds."""

    def close(self) -> None:
        """Release the transport's resources."""


class AsyncTransport(Protocol):
    """Asynchronous version of :class:`Transport`."""

    async def infer(
        self, inputs: Tensors, outputs: Sequence[str], request_id: str, timeout: float
    ) -> Tensors:
        """Send ``inputs``; return the tensors named in ``outputs``. ``timeout`` in seconds."""

    async def ready(self, timeout: float) -> bool:
        """Whether the server and the model ``stylize`` are ready; ``timeout`` in seconds."""

    async def close(self) -> None:
        """Release the transport's resources."""


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
        outputs: names of the requested outputs.
        request_id: the id under which the server logs the request.
        timeout: seconds after which the client stops waiting for the response.
        key: key by which `cancel_arguments` can cancel the request.
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
    """Build the arguments of tritonclient's ``infer`` that cancel a request.

    HTTP needs this: Triton does not notice when the connection of a request is closed.
    """
    tensor = binding.InferInput(CANCEL.inputs[0].name, [1], "BYTES")
    tensor.set_data_from_numpy(np.array([key.encode()], dtype=object))
    return {"model_name": CANCEL.name, "inputs": [tensor]}


def output_arrays(result: Any, outputs: Sequence[str]) -> Tensors:
    """Extract the arrays from tritonclient's ``InferResult``; absent outputs are left out."""
    arrays = {name: result.as_numpy(name) for name in outputs}
    return {name: array for name, array in arrays.items() if array is not None}


_REJECTED = {"400", "StatusCode.INVALID_ARGUMENT"}
_DENIED = {"401", "403", "StatusCode.UNAUTHENTICATED", "StatusCode.PERMISSION_DENIED"}
_CANCELLED = "StatusCode.CANCELLED"  # from a stopping server; the client's own never get here
_TRANSIENT = {"503", "StatusCode.UNAVAILABLE", _CANCELLED}
_UNAVAILABLE = {"404", "StatusCode.NOT_FOUND"} | _TRANSIENT
_TIMED_OUT = {"408", "504", "StatusCode.DEADLINE_EXCEEDED"}

_REFUSED = "connection refused"
_NOT_GRPC = "the server there does not speak gRPC"
# The server is starting, stopping or temporarily down.
_DROPPED = {errno.ECONNREFUSED, errno.ECONNRESET, errno.ECONNABORTED, errno.EPIPE}


@dataclass(frozen=True)
class Exchange:
    """One call to a server, with the details that its error messages name."""

    address: Address
    timeout: float
    request_id: str | None = None

    def answered(self, error: InferenceServerException) -> ClientError:
        """Convert tritonclient's exception for a response or a gRPC status."""
        status, message = error.status() or "", (error.message() or "").strip()
        if status in _DENIED:
            return self.denied()
        if status in _UNAVAILABLE and reports(message, Condition.KEY_REQUIRED):
            return self.denied()
        if status.isdigit() and error.debug_details() is not None:
            # Not Triton's JSON: the response is from a proxy or another kind of server.
            return self.garbled(f" (HTTP status {status})")
        if status in _REJECTED:
            return RequestRejected(message, request_id=self.request_id)
        if status in _TIMED_OUT:
            return self.timed_out()
        if status in _UNAVAILABLE:
            if status == _CANCELLED:
                message = "the server canceled the call"
            unloaded = reports(message, Condition.MODEL_UNLOADED)
            transient = status in _TRANSIENT or unloaded
            return self._refused(message, transient=transient)
        if reports(message, Condition.PROCESS_DIED):
            return self.unreachable("a model has died and is being restarted", transient=True)
        return ServerFailed(_first_line(message), request_id=self.request_id)

    def _refused(self, message: str, *, transient: bool) -> ServiceError:
        """Make the error for a server that does not accept the request, or no longer does."""
        if TIMED_OUT_IN_QUEUE in message:
            return RequestTimeout(
                f"The request timed out in the queue of the server at {self.address}.",
                request_id=self.request_id,
            )
        if TIMED_OUT in message:
            return RequestTimeout(_first_line(message), request_id=self.request_id)
        if QUEUE_IS_FULL in message:
            return ServerBusy(
                f"The request queue of the server at {self.address} is full; retry later.",
                request_id=self.request_id,
                transient=True,
            )
        return self.unreachable(message, transient=transient)

    def denied(self) -> AccessDenied:
        """Make the error for a server, or a proxy in front of it, that requires authentication."""
        return AccessDenied(
            f"The server at {self.address} requires an API key; the key is missing or wrong.",
            request_id=self.request_id,
        )

    def timed_out(self) -> RequestTimeout:
        """Make the error for a timeout."""
        return RequestTimeout(
            f"The server at {self.address} did not answer within {round(self.timeout, 2):g}"
            " seconds.",
            request_id=self.request_id,
        )

    def unreachable(self, reason: str | OSError, *, transient: bool = False) -> ServerUnavailable:
        """Make the error for a failed connection, or for a server that is not ready.

        Refused and dropped connections are always transient.
        """
        if isinstance(reason, OSError):
            transient = transient or reason.errno in _DROPPED
            reason = reason.strerror or str(reason)
        detail = _plain(reason).rstrip(".")
        transient = transient or detail == _REFUSED
        return ServerUnavailable(
            f"No server is ready at {self.address}" + (f" ({detail})." if detail else "."),
            request_id=self.request_id,
            transient=transient and detail != _NOT_GRPC,
        )

    def garbled(self, detail: str = "") -> ServerFailed:
        """Make the error for a response that is not Triton's."""
        return ServerFailed(
            f"The response from {self.address} is not from Triton over"
            f" {self.address.protocol}{detail}.",
            request_id=self.request_id,
        )


def _plain(reason: str) -> str:
    """Extract the reason of a failed connection from a message of gRPC or asyncio."""
    if "Connection refused" in reason or "Connect call failed" in reason:
        return _REFUSED
    if "certificate verify failed" in reason.lower().replace("_", " "):
        return "certificate verification failed: wrong host name or untrusted issuer"
    if "Failed parsing HTTP/2" in reason:
        return _NOT_GRPC
    return _first_line(reason.rpartition("last error: ")[2]) if reason else ""


def _first_line(text: str) -> str:
    # The remaining lines of a server's error message are a traceback.
    return text.strip().partition("\n")[0].rstrip() or "The server failed without an error message."
