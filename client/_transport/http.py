"""Triton over HTTP, synchronous (gevent) and asynchronous (aiohttp)."""

from __future__ import annotations

import asyncio
import ssl
import struct
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from io import BytesIO
from typing import Any

import aiohttp
import gevent
import gevent.ssl
import tritonclient.http
import tritonclient.http.aio
from gevent._hub_local import get_hub_if_exists
from geventhttpclient.response import HTTPConnectionClosed, HTTPParseError
from tritonclient.utils import InferenceServerException

from photoreal.cancel_key import new_key
from photoreal.client._transport.base import (
    CANCEL_TIMEOUT,
    Exchange,
    cancel_arguments,
    infer_arguments,
    output_arrays,
)
from photoreal.client._transport.credentials import Credentials
from photoreal.client._transport.inputs import Tensors
from photoreal.client.address import Address
from photoreal.client.errors import ClientError, RequestTimeout
from photoreal.contract import STYLIZE

# Exceptions of tritonclient's parser for a response that is not Triton's.
_GARBLED = (ValueError, KeyError, TypeError, struct.error)
# Messages of geventhttpclient's parser for a truncated response.
_CUT_SHORT = ("Incomplete response.", "Invalid EOF state")
_TRUNCATED = "the response was truncated"


class HttpTransport:
    """Synchronous HTTP."""

    def __init__(self, address: Address, credentials: Credentials = Credentials()) -> None:  # noqa: B008
        self._address, self._credentials = address, credentials

    def infer(
        self, inputs: Tensors, outputs: Sequence[str], request_id: str, timeout: float
    ) -> Tensors:
        """See :class:`photoreal.client._transport.base.Transport`."""
        key = new_key()
        arguments = infer_arguments(tritonclient.http, inputs, outputs, request_id, timeout, key)
        arguments["headers"] = self._credentials.headers("http")
        try:
            with self._connection(Exchange(self._address, timeout, request_id)) as connection:
                return output_arrays(connection.infer(**arguments), outputs)
        except (RequestTimeout, gevent.Timeout, KeyboardInterrupt):
            self._cancel(key)
            raise

    def ready(self, timeout: float) -> bool:
        """See :class:`photoreal.client._transport.base.Transport`."""
        with self._connection(Exchange(self._address, timeout)) as connection:
            return bool(connection.is_server_ready() and connection.is_model_ready(STYLIZE.name))

    def close(self) -> None:
        """Do nothing: no resources are held between calls."""

    def _cancel(self, key: str) -> None:
        """Cancel a request, if the server can be reached."""
        arguments = cancel_arguments(tritonclient.http, key)
        arguments["headers"] = self._credentials.headers("http")
        exchange = Exchange(self._address, CANCEL_TIMEOUT)
        with suppress(ClientError), self._connection(exchange) as connection:
            connection.infer(**arguments)

    @contextmanager
    def _connection(self, exchange: Exchange) -> Iterator[Any]:
        # The first use of gevent in a thread creates a hub with its own threads and descriptors,
        # which leak when the thread ends. (No public function tells whether a hub exists.)
        hub_is_ours = get_hub_if_exists() is None
        if hub_is_ours:
            hub = gevent.get_hub()
            hub.NOT_ERROR = (*hub.NOT_ERROR, KeyboardInterrupt)  # still raised, but not printed
        # tritonclient's timeouts apply to each read, this one to the whole call.
        deadline = gevent.Timeout(exchange.timeout)
        try:
            with deadline, self._connect(exchange.timeout) as connection:
                yield connection
        except gevent.Timeout as expired:
            if expired is not deadline:  # a timeout of the caller's
                raise
            raise exchange.timed_out() from None
        except InferenceServerException as error:
            raise exchange.answered(error) from None
        except TimeoutError:
            raise exchange.timed_out() from None
        except OSError as error:
            raise exchange.unreachable(error) from None
        except HTTPConnectionClosed:
            closed = "connection closed without a response"
            raise exchange.unreachable(closed, transient=True) from None
        except HTTPParseError as error:
            if error.args[0] in _CUT_SHORT:
                raise exchange.unreachable(_TRUNCATED, transient=True) from None
            raise exchange.garbled() from None
        except _GARBLED:
            raise exchange.garbled() from None
        finally:
            if hub_is_ours:
                hub.destroy()

    def _connect(self, timeout: float) -> Any:
        return tritonclient.http.InferenceServerClient(
            self._address.target,
            connection_timeout=timeout,
            network_timeout=timeout,
            ssl=self._address.tls,
            ssl_context_factory=partial(
                self._credentials.tls_context, gevent.ssl.create_default_context
            ),
        )


class _AsyncConnection(tritonclient.http.aio.InferenceServerClient):  # type: ignore[misc]
    async def _post(self, request_uri: str, request_body: Any, *rest: Any, **options: Any) -> Any:
        # aiohttp writes bytes in one go, which blocks the loop and warns; files are sent in chunks.
        if isinstance(request_body, bytes):
            request_body = BytesIO(request_body)
        return await super()._post(request_uri, request_body, *rest, **options)


class AsyncHttpTransport:
    """Asynchronous HTTP."""

    def __init__(self, address: Address, credentials: Credentials = Credentials()) -> None:  # noqa: B008
        self._address, self._credentials = address, credentials

    async def infer(
        self, inputs: Tensors, outputs: Sequence[str], request_id: str, timeout: float
    ) -> Tensors:
        """See :class:`photoreal.client._transport.base.AsyncTransport`."""
        key = new_key()
        arguments = infer_arguments(tritonclient.http, inputs, outputs, request_id, timeout, key)
        arguments["headers"] = self._credentials.headers("http")
        exchange = Exchange(self._address, timeout, request_id)
        try:
            async with self._connection(exchange) as connection:
                return output_arrays(await connection.infer(**arguments), outputs)
        except (RequestTimeout, asyncio.CancelledError):
            await self._cancel(key)
            raise

    async def ready(self, timeout: float) -> bool:
        """See :class:`photoreal.client._transport.base.AsyncTransport`."""
        async with self._connection(Exchange(self._address, timeout)) as connection:
            return bool(
                await connection.is_server_ready() and await connection.is_model_ready(STYLIZE.name)
            )

    async def close(self) -> None:
        """Do nothing: no resources are held between calls."""

    async def _cancel(self, key: str) -> None:
        """Cancel a request, if the server can be reached."""
        arguments = cancel_arguments(tritonclient.http, key)
        arguments["headers"] = self._credentials.headers("http")
        with suppress(ClientError):
            async with self._connection(Exchange(self._address, CANCEL_TIMEOUT)) as connection:
                await connection.infer(**arguments)

    @asynccontextmanager
    async def _connection(self, exchange: Exchange) -> AsyncIterator[Any]:
        tls = self._address.tls
        try:
            async with _AsyncConnection(
                self._address.target,
                conn_timeout=exchange.timeout,
                ssl=tls,
                ssl_context=self._credentials.tls_context(ssl.create_default_context)
                if tls
                else None,
            ) as connection:
                yield connection
        except InferenceServerException as error:
            raise exchange.answered(error) from None
        except TimeoutError:
            raise exchange.timed_out() from None
        except aiohttp.ClientResponseError:
            raise exchange.garbled() from None
        except aiohttp.ClientPayloadError:
            raise exchange.unreachable(_TRUNCATED, transient=True) from None
        except aiohttp.ServerDisconnectedError as error:
            raise exchange.unreachable(str(error), transient=True) from None
        except OSError as error:  # before ClientError: aiohttp's connection errors are both
            raise exchange.unreachable(error) from None
        except aiohttp.ClientError as error:
            raise exchange.unreachable(str(error)) from None
        except _GARBLED:
            raise exchange.garbled() from None
