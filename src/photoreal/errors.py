"""Exceptions of the package, with messages written for the caller.

    PhotorealError
    ├── InvalidRequest      the request cannot be served as it is; also a ValueError
    │   ├── InvalidImage    a photo cannot be read or exceeds a limit
    │   ├── InvalidMask     a mask cannot be read or does not match its photo
    │   └── InvalidOption   an option has an invalid value
    ├── Stopped             a request was aborted
    │   ├── DeadlineExceeded    the request timed out
    │   └── Canceled            the request was canceled
    ├── QueueFull           the request queue is full
    ├── NumericalError      a computation produced non-finite values
    ├── WeightsError        weights are missing, incompatible or fail verification
    ├── ExportError         an exported model does not match its network
    ├── TrainingError       the segmenter cannot be trained with these data or settings
    └── ServeError          the server cannot start, or stopped unexpectedly
        └── ModelFailed         a model called inside the server failed
            └── ModelUnavailable    it is temporarily unavailable

A message is one sentence: what was wrong and what was expected. It contains no server paths and no
traceback, since it is sent to the client.
"""


class PhotorealError(Exception):
    """Base class of all errors raised by this package."""


class InvalidRequest(PhotorealError, ValueError):
    """The request is invalid and must be changed by the caller."""


class InvalidImage(InvalidRequest):
    """A photo cannot be read or exceeds a limit."""


class InvalidMask(InvalidRequest):
    """A mask cannot be read or does not match its photo."""


class InvalidOption(InvalidRequest):
    """An option (alpha, size, places, rule) has an invalid value."""


class Stopped(PhotorealError):
    """A request was aborted before it was completed."""


class DeadlineExceeded(Stopped):
    """The request timed out."""


class Canceled(Stopped):
    """The request was canceled, or its client has disconnected."""


class QueueFull(PhotorealError):
    """The request queue is full; the request may be retried later."""


class NumericalError(PhotorealError):
    """A computation produced non-finite values; its argument names the place and a remedy."""

    def __str__(self) -> str:
        return f"The picture cannot be computed: {self.args[0]}"


class WeightsError(PhotorealError):
    """A set of weights is missing, incompatible or fails verification."""


class ExportError(PhotorealError):
    """An export failed, or the exported model does not match its network."""


class TrainingError(PhotorealError):
    """The segmenter cannot be trained with these data or settings."""


class ServeError(PhotorealError):
    """The server cannot start, or stopped unexpectedly."""


class ModelFailed(ServeError):
    """A model called inside the server returned no result."""


class ModelUnavailable(ModelFailed):
    """A model called inside the server is temporarily unavailable.

    Its process died and is being restarted, or the server is starting or stopping.
    """
