"""The asynchronous client, over HTTP or gRPC."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from types import TracebackType
from typing import Any, TypeVar, Unpack

from photoreal.client._images import ImageInput
from photoreal.client._keywords import check_names, spell_out
from photoreal.client._outputs import PRESET_OUTPUTS, REGION_OUTPUTS, picture_outputs
from photoreal.client._transport.base import AsyncTransport
from photoreal.client._transport.call import (
    DEFAULT_TIMEOUT,
    READY_TIMEOUT,
    begin_call,
    check_open,
    check_seconds,
)
from photoreal.client._transport.credentials import Credentials, FilePath
from photoreal.client._transport.inputs import NOTHING, StyleInput, Tensors, build_inputs
from photoreal.client._transport.retry import DEFAULT_RETRIES, RetryPolicy
from photoreal.client.address import Protocol, parse_address
from photoreal.client.errors import ServiceError
from photoreal.client.result import (
    FoundRegions,
    StylizeResult,
    parse_outputs,
    parse_regions,
)
from photoreal.client.style import Style, parse_style
from photoreal.options import STYLIZE_OPTIONS, RegionArguments, StylizeArguments, offered

Answer = TypeVar("Answer", bound=FoundRegions | Style)


class AsyncStyleTransferClient:
    """Asynchronous version of :class:`StyleTransferClient`: same arguments, same errors.

    ::

        async with AsyncStyleTransferClient("localhost:8000") as client:
            result = await client.stylize("street.jpg", "sunset.jpg")

    The client may be created outside an event loop. File I/O and encoding run in a thread.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        protocol: Protocol = "http",
        timeout: float = DEFAULT_TIMEOUT,
        retries: int = DEFAULT_RETRIES,
        transport: AsyncTransport | None = None,
        api_key: str | None = None,
        ca_certificate: FilePath | None = None,
        client_certificate: FilePath | None = None,
        client_key: FilePath | None = None,
    ) -> None:
        self._timeout = check_seconds(timeout)
        self._retry = RetryPolicy(retries)
        self._closed = False
        credentials = Credentials(api_key, ca_certificate, client_certificate, client_key)
        self._transport = transport or _async_transport(url, protocol, credentials)

    @spell_out(STYLIZE_OPTIONS)
    async def stylize(
        self,
        content: ImageInput,
        style: StyleInput | Sequence[StyleInput],
        *,
        content_mask: ImageInput | None = None,
        style_mask: ImageInput | Sequence[ImageInput] | None = None,
        labels: bool = False,
        timeout: float | None = None,
        request_id: str | None = None,
        **options: Unpack[StylizeArguments],
    ) -> StylizeResult:
        """See :meth:`StyleTransferClient.stylize`."""
        check_names("stylize", options, STYLIZE_OPTIONS)
        return await self._call(
            picture_outputs(labels=labels),
            partial(parse_outputs, labels=labels),
            timeout,
            request_id,
            content=content,
            style=style,
            content_mask=content_mask,
            style_mask=style_mask,
            **options,
        )

    @spell_out(offered("regions"))
    async def find_regions(
        self,
        content: ImageInput,
        style: StyleInput,
        *,
        content_mask: ImageInput | None = None,
        style_mask: ImageInput | None = None,
        timeout: float | None = None,
        request_id: str | None = None,
        **options: Unpack[RegionArguments],
    ) -> FoundRegions:
        """See :meth:`StyleTransferClient.find_regions`."""
        check_names("find_regions", options, offered("regions"))
        return await self._call(
            REGION_OUTPUTS,
            parse_regions,
            timeout,
            request_id,
            content=content,
            style=style,
            content_mask=content_mask,
            style_mask=style_mask,
            **options,
        )

    @spell_out(offered("regions"))
    async def style(
        self,
        photo: ImageInput,
        mask: ImageInput | None = None,
        *,
        timeout: float | None = None,
        request_id: str | None = None,
        **options: Unpack[RegionArguments],
    ) -> Style:
        """See :meth:`StyleTransferClient.style`."""
        check_names("style", options, offered("regions"))
        return await self._call(
            PRESET_OUTPUTS,
            parse_style,
            timeout,
            request_id,
            content=NOTHING,
            style=photo,
            style_mask=mask,
            **options,
        )

    async def _call(
        self,
        wanted: Sequence[str],
        parse: Callable[[Tensors, str], Answer],
        timeout: float | None,
        request_id: str | None,
        **arguments: Any,
    ) -> Answer:
        """Send the arguments as tensors, and parse the requested outputs."""
        call = begin_call(self._closed, timeout, self._timeout, request_id)
        inputs = await asyncio.to_thread(build_inputs, **arguments)
        outputs = await self._retry.run_async(
            lambda left: self._transport.infer(inputs, wanted, call.request_id, left), call.seconds
        )
        return parse(outputs, call.request_id)

    async def ready(self, timeout: float = READY_TIMEOUT) -> bool:
        """See :meth:`StyleTransferClient.ready`."""
        check_open(self._closed)
        try:
            return await self._transport.ready(check_seconds(timeout))
        except ServiceError:
            return False

    async def close(self) -> None:
        """See :meth:`StyleTransferClient.close`."""
        if not self._closed:
            self._closed = True
            await self._transport.close()

    async def __aenter__(self) -> AsyncStyleTransferClient:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()


def _async_transport(
    url: str | None, protocol: Protocol, credentials: Credentials
) -> AsyncTransport:
    address = parse_address(url, protocol)
    credentials.check(address)
    # Imported on demand: gevent, aiohttp and gRPC are slow to import and rarely all needed.
    if protocol == "grpc":
        from photoreal.client._transport.grpc import AsyncGrpcTransport

        return AsyncGrpcTransport(address, credentials)
    from photoreal.client._transport.http import AsyncHttpTransport

    return AsyncHttpTransport(address, credentials)
