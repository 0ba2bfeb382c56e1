"""Triton over gRPC, synchronous and asynchronous."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import tritonclient.grpc
import tritonclient.grpc.aio
from tritonclient.utils import InferenceServerException

from photoreal.client._transport.base import Exchange, infer_arguments, output_arrays
from photoreal.client._transport.credentials import Credentials
from photoreal.client._transport.inputs import Tensors
from photoreal.client.address import Address
from photoreal.contract import STYLIZE


class GrpcTransport:
    """Synchronous gRPC."""

    def __init__(self, address: Address, credentials: Credentials = Credentials()) -> None:  # noqa: B008
        self._address, self._credentials = address, credentials

    def infer(
        self, inputs: Tensors, outputs: Sequence[str], request_id: str, timeout: float
    ) -> Tensors:
        """See :class:`photoreal.client._transport.base.Transport`."""
        arguments = infer_arguments(tritonclient.grpc, inputs, outputs, request_id, timeout)
        arguments["headers"] = self._credentials.headers("grpc")
        with (
            _errors(Exchange(self._address, timeout, request_id)),
            _connect(tritonclient.grpc, self._address, self._credentials) as connection,
        ):
            return output_arrays(connection.infer(**arguments, client_timeout=timeout), outputs)

    def ready(self, timeout: float) -> bool:
        """See :class:`photoreal.client._transport.base.Transport`."""
        with (
            _errors(Exchange(self._address, timeout)),
            _connect(tritonclient.grpc, self._address, self._credentials) as connection,
        ):
            return bool(
                connection.is_server_ready(client_timeout=timeout)
                and connection.is_model_ready(STYLIZE.name, client_timeout=timeout)
            )

    def close(self) -> None:
        """Do nothing: no resources are held between calls."""


class AsyncGrpcTransport:
    """Asynchronous gRPC."""

    def __init__(self, address: Address, credentials: Credentials = Credentials()) -> None:  # noqa: B008
        self._address, self._credentials = address, credentials

    async def infer(
        self, inputs: Tensors, outputs: Sequence[str], request_id: str, timeout: float
    ) -> Tensors:
        """See :class:`photoreal.client._transport.base.AsyncTransport`."""
        arguments = infer_arguments(tritonclient.grpc, inputs, outputs, request_id, timeout)
        arguments["headers"] = self._credentials.headers("grpc")
        with _errors(Exchange(self._address, timeout, request_id)):
            async with _connect(
                tritonclient.grpc.aio, self._address, self._credentials
            ) as connection:
                result = await connection.infer(**arguments, client_timeout=timeout)
                return output_arrays(result, outputs)

    async def ready(self, timeout: float) -> bool:
        """See :class:`photoreal.client._transport.base.AsyncTransport`."""
        with _errors(Exchange(self._address, timeout)):
            async with _connect(
                tritonclient.grpc.aio, self._address, self._credentials
            ) as connection:
                return bool(
                    await connection.is_server_ready(client_timeout=timeout)
                    and await connection.is_model_ready(STYLIZE.name, client_timeout=timeout)
                )

    async def close(self) -> None:
        """Do nothing: no resources are held between calls."""


_UNLIMITED = -1
_CHANNEL = [
    ("grpc.max_send_message_length", _UNLIMITED),
    ("grpc.max_receive_message_length", _UNLIMITED),
]


def _connect(binding: Any, address: Address, credentials: Credentials) -> Any:
    # gRPC uses the environment's proxy even for localhost, which the proxy cannot reach.
    direct = [("grpc.enable_http_proxy", 0)] if address.is_loopback else []
    return binding.InferenceServerClient(
        address.target,
        channel_args=_CHANNEL + direct,  # replaces tritonclient's defaults
        ssl=address.tls,
        root_certificates=credentials.ca_certificate,
        certificate_chain=credentials.client_certificate,
        private_key=credentials.client_key,
    )


@contextmanager
def _errors(exchange: Exchange) -> Iterator[None]:
    # tritonclient converts every grpc.RpcError, even a failed connection, to its own exception.
    try:
        yield
    except InferenceServerException as error:
        raise exchange.answered(error) from None
    except (ValueError, KeyError, TypeError, struct.error):  # tensors that cannot be decoded
        raise exchange.garbled() from None
