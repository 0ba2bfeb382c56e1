"""Exceptions raised by the client.

    ClientError
    ├── CallerError             the call must be changed; also an InvalidRequest
    │   ├── InvalidInput        found before sending: a missing file, a wrong type
    │   ├── RequestRejected     the server rejected the request (HTTP 400, INVALID_ARGUMENT)
    │   └── AccessDenied        the API key is missing or wrong (HTTP 401, 403)
    └── ServiceError            the call may be valid; the server or the network failed
        ├── ServerUnavailable   the server cannot be reached or is not ready
        │   └── ServerBusy      the request queue of the server is full
        ├── RequestTimeout      no response within the timeout
        └── ServerFailed        the server returned an error or an invalid response

Every message is a sentence for the user, without a traceback.
"""

from __future__ import annotations

from photoreal.errors import InvalidRequest, PhotorealError


class ClientError(PhotorealError):
    """Base class of every error that the client raises deliberately.

    ``request_id`` is the id under which the server logged the request, or None when nothing was
    sent.
    """

    def __init__(self, message: str, *, request_id: str | None = None) -> None:
        super().__init__(message)
        self.request_id = request_id


class CallerError(ClientError, InvalidRequest):
    """The call cannot succeed unchanged; a retry does not help."""


class InvalidInput(CallerError):
    """An argument is invalid; raised before anything is sent."""


class RequestRejected(CallerError):
    """The server rejected the request; the message is the server's."""


class AccessDenied(CallerError):
    """The server requires an API key, and the key of the call is missing or wrong."""


class ServiceError(ClientError):
    """The server or the network failed; the same call may succeed later.

    ``tries`` is the number of attempts made before this error was raised.
    """

    tries = 1


class ServerUnavailable(ServiceError):
    """The connection failed or was dropped, or the server is not ready.

    ``transient`` says whether waiting briefly may help; it does not for an unknown host name.
    """

    def __init__(
        self, message: str, *, request_id: str | None = None, transient: bool = False
    ) -> None:
        super().__init__(message, request_id=request_id)
        self.transient = transient


class ServerBusy(ServerUnavailable):
    """The server is running, but its request queue is full; always transient."""


class RequestTimeout(ServiceError):
    """The server did not respond within the timeout."""


class ServerFailed(ServiceError):
    """The server returned an error of its own, or an invalid response."""
