"""The synchronous client, over HTTP or gRPC."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from photoreal.client._images import ImageInput
from photoreal.client._keywords import check_names, spell_out
from photoreal.client._transport.base import Transport
from photoreal.client._transport.call import (
    DEFAULT_TIMEOUT,
    READY_TIMEOUT,
    begin_call,
    check_open,
    check_seconds,
)
from photoreal.client._transport.credentials import Credentials, FilePath
from photoreal.client._transport.inputs import Tensors, build_inputs
from photoreal.client._transport.retry import DEFAULT_RETRIES, RetryPolicy
from photoreal.client.address import Protocol, parse_address
from photoreal.client.errors import ServiceError
from photoreal.client.result import (
    REGION_OUTPUTS,
    FoundRegions,
    StylizeResult,
    parse_outputs,
    parse_regions,
)
from photoreal.contract import STYLIZE
from photoreal.options import STYLIZE_OPTIONS, RegionArguments, StylizeArguments, offered

if TYPE_CHECKING:  # Python 3.10 lacks it
    from typing import Unpack

Answer = TypeVar("Answer", bound=FoundRegions)


class StyleTransferClient:
    """Calls the model ``stylize`` of a Triton server. Usable from several threads at once.

    ::

        with StyleTransferClient("localhost:8000") as client:
            client.stylize("street.jpg", "sunset.jpg").save("street_at_sunset.png")

    Args:
        url: "host:port", if wished with http://, https:// or grpc:// before it; https means
            TLS. Unless given, Triton's own port for the protocol on this machine:
            localhost:8000 for HTTP, localhost:8001 for gRPC.
        protocol: "http" or "grpc".
        timeout: seconds that a call may take from its start to the last byte of its answer.
        retries: how often a call is made again, with growing waits, when the connection was
            refused or dropped or the server said that it is not available for the moment.
            ``timeout`` holds for all tries together.
        transport: what carries the calls instead of the network, for tests.
        api_key: the key that the server asks for, if it was started with one.
        ca_certificate: PEM file with the authority that signed the server's certificate, if
            the system does not trust it anyway.
        client_certificate: PEM file with a certificate of one's own, for mutual TLS.
        client_key: PEM file with that certificate's key.

    Raises:
        InvalidInput: the address, the protocol, the timeout or the retries make no sense, or a
            certificate cannot be used.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        protocol: Protocol = "http",
        timeout: float = DEFAULT_TIMEOUT,
        retries: int = DEFAULT_RETRIES,
        transport: Transport | None = None,
        api_key: str | None = None,
        ca_certificate: FilePath | None = None,
        client_certificate: FilePath | None = None,
        client_key: FilePath | None = None,
    ) -> None:
        self._timeout = check_seconds(timeout)
        self._retry = RetryPolicy(retries)
        self._closed = False
        credentials = Credentials(api_key, ca_certificate, client_certificate, client_key)
        self._transport = transport or _transport(url, protocol, credentials)

    @spell_out(STYLIZE_OPTIONS)
    def stylize(
        self,
        content: ImageInput,
        style: ImageInput | Sequence[ImageInput],
        *,
        content_mask: ImageInput | None = None,
        style_mask: ImageInput | Sequence[ImageInput] | None = None,
        timeout: float | None = None,
        request_id: str | None = None,
        **options: Unpack[StylizeArguments],
    ) -> StylizeResult:
        """Give the content photo the colors, light and mood of the style photo.

        An image is a path, the bytes of a file, a Pillow image or a uint8 array (H, W, 3) in
        RGB; a mask may also be an array (H, W) of labels. Files and bytes are sent as they
        are, the others as PNG.

        Args:
            content: the photo to change.
            style: the photo to take the look from; may have another size. A list of up to four
                is mixed.
            content_mask: regions of the content photo, of its size: a label map or a picture
                with one color a region. Needs ``style_mask``, and replaces segmentation.
            style_mask: regions of the style photo, in the same labels or colors; a list of one
                for each of several styles.
            timeout: seconds that this call may take, in place of the client's.
            request_id: the id under which the server logs the request; made up unless given.
            **options: how to stylize, ``alpha=0.7`` say: see :class:`StylizeArguments`. An option
                that is left out, or None, is not sent, and the server's default holds. The
                server checks the values.

        Raises:
            InvalidInput: a file is missing or an argument has the wrong type.
            RequestRejected: the server found something wrong with a photo or an option.
            AccessDenied: the server wants an API key, and none or a wrong one was shown.
            ServerUnavailable: nothing answers at the address, or it is not ready; ServerBusy when
                as many requests wait as it allows.
            RequestTimeout: no answer in time.
            ServerFailed: the server failed, or its answer makes no sense.
        """
        check_names("stylize", options, STYLIZE_OPTIONS)
        return self._call(
            STYLIZE.output_names(),
            parse_outputs,
            timeout,
            request_id,
            content=content,
            style=style,
            content_mask=content_mask,
            style_mask=style_mask,
            **options,
        )

    @spell_out(offered("regions"))
    def find_regions(
        self,
        content: ImageInput,
        style: ImageInput,
        *,
        content_mask: ImageInput | None = None,
        style_mask: ImageInput | None = None,
        timeout: float | None = None,
        request_id: str | None = None,
        **options: Unpack[RegionArguments],
    ) -> FoundRegions:
        """Find the regions that ``stylize`` would use, and their pairs, without a transfer.

        The label maps and the pairs can be changed and given to ``stylize`` as masks and
        ``pairs``. Arguments and errors are those of :meth:`stylize`, the options those of
        :class:`RegionArguments`.
        """
        check_names("find_regions", options, offered("regions"))
        return self._call(
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

    def _call(
        self,
        wanted: Sequence[str],
        parse: Callable[[Tensors, str], Answer],
        timeout: float | None,
        request_id: str | None,
        **arguments: Any,
    ) -> Answer:
        """Send the arguments as tensors, and parse the wanted outputs."""
        call = begin_call(self._closed, timeout, self._timeout, request_id)
        inputs = build_inputs(**arguments)
        outputs = self._retry.run(
            lambda left: self._transport.infer(inputs, wanted, call.request_id, left), call.seconds
        )
        return parse(outputs, call.request_id)

    def ready(self, timeout: float = READY_TIMEOUT) -> bool:
        """Whether the server can stylize now; False as well when nothing answers.

        Args:
            timeout: seconds to wait for the answer.
        """
        check_open(self._closed)
        try:
            return self._transport.ready(check_seconds(timeout))
        except ServiceError:
            return False

    def close(self) -> None:
        """Give back what the client holds. Closing twice is harmless."""
        if not self._closed:
            self._closed = True
            self._transport.close()

    def __enter__(self) -> StyleTransferClient:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _transport(url: str | None, protocol: Protocol, credentials: Credentials) -> Transport:
    address = parse_address(url, protocol)
    credentials.check(address)
    # Imported only now: gevent, aiohttp and gRPC take a while, and nobody needs them all.
    if protocol == "grpc":
        from photoreal.client._transport.grpc import GrpcTransport

        return GrpcTransport(address, credentials)
    from photoreal.client._transport.http import HttpTransport

    return HttpTransport(address, credentials)
