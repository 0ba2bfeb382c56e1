"""What a call through the client can end in, other than a picture.

    ClientError
    ├── CallerError             the call has to be changed; also an InvalidRequest
    │   ├── InvalidInput        found before sending: a missing file, a wrong type
    │   ├── RequestRejected     the server refused the request (HTTP 400, INVALID_ARGUMENT)
    │   └── AccessDenied        the API key is missing or wrong (HTTP 401, 403)
    └── ServiceError            the call may be right; the server or the network failed
        ├── ServerUnavailable   nothing answers at the address, or it is not ready
        │   └── ServerBusy      as many requests wait as it allows
        ├── RequestTimeout      no answer within the time allowed
        └── ServerFailed        the server answered with an error, or with nonsense

Every message is a sentence for the user, without a traceback.
"""

from __future__ import annotations

from photoreal.errors import InvalidRequest, PhotorealError


class ClientError(PhotorealError):
    """Base of every error that the client raises on purpose.

    ``request_id`` is the id under which the server has logged the request, or None when
    nothing was sent.
    """

    def __init__(self, message: str, *, request_id: str | None = None) -> None:
        super().__init__(message)
        self.request_id = request_id


class CallerError(ClientError, InvalidRequest):
    """The call cannot succeed as it is; sending it again changes nothing."""


class InvalidInput(CallerError):
    """An argument is wrong in itself; raised before anything is sent."""


class RequestRejected(CallerError):
    """The server looked at the request and refused it; the message is the server's."""


class AccessDenied(CallerError):
    """The server wants an API key that the call does not show."""


class ServiceError(ClientError):
    """The server or the network failed; the same call may succeed later.

    ``tries`` is how often the call was made before this error was raised.
    """

    tries = 1


class ServerUnavailable(ServiceError):
    """No connection, a connection that was dropped, or a server that is not ready.

    ``transient`` says whether a moment's waiting may help, as it does not for a host that
    does not exist.
    """

    def __init__(
        self, message: str, *, request_id: str | None = None, transient: bool = False
    ) -> None:
        super().__init__(message, request_id=request_id)
        self.transient = transient


class ServerBusy(ServerUnavailable):
    """The server is there, but as many requests wait as it allows; always transient."""


class RequestTimeout(ServiceError):
    """The server did not answer within the time allowed."""


class ServerFailed(ServiceError):
    """The server answered with an error of its own, or with something unintelligible."""
