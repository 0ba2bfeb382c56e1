"""What a caller can do wrong, as exceptions whose messages are written for the caller.

    PhotorealError
    ├── InvalidRequest      the request cannot be served as it is; also a ValueError
    │   ├── InvalidImage    a photo cannot be read or is beyond a limit
    │   ├── InvalidMask     a mask cannot be read or does not belong to its photo
    │   └── InvalidOption   a number or a word is outside what is allowed
    ├── Stopped             work on a request was given up
    │   ├── DeadlineExceeded    its time is up
    │   └── Canceled            nobody waits for it any more
    ├── QueueFull           as many requests wait as the server allows
    ├── NumericalError      the numbers of a picture left their range
    ├── WeightsError        a checkpoint is missing, misshapen or not what was recorded
    ├── ExportError         an exported model does not agree with its network
    ├── TrainingError       the segmenter cannot be trained with these data or settings
    └── ServeError          the server cannot start, or stopped by itself

A message is one sentence: what was wrong, what was expected. It holds no path of the server
and no traceback, since it travels to the client.
"""


class PhotorealError(Exception):
    """Base of every error that this package raises on purpose."""


class InvalidRequest(PhotorealError, ValueError):
    """The request cannot be served as it is; the caller has to change it."""


class InvalidImage(InvalidRequest):
    """A photo cannot be read or is beyond a limit."""


class InvalidMask(InvalidRequest):
    """A mask cannot be read or does not belong to its photo."""


class InvalidOption(InvalidRequest):
    """An option (alpha, size, places, rule) is outside what is allowed."""


class Stopped(PhotorealError):
    """Work on a request was given up before it was done."""


class DeadlineExceeded(Stopped):
    """The request's time is up."""


class Canceled(Stopped):
    """Nobody waits for the request's answer any more."""


class QueueFull(PhotorealError):
    """As many requests wait as the server allows; the same one may be served later."""


NOT_COMPUTED = "The picture cannot be computed:"
"""How a `NumericalError` begins; from one model to another only its words arrive."""


class NumericalError(PhotorealError):
    """A computation left the range of its numbers; `reason` says where, and what helps."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"{NOT_COMPUTED} {reason}")


NO_ROOM_ON_GPU = "The GPU has too little memory for"
"""How the refusal begins that says so; between models only its words arrive."""


class WeightsError(PhotorealError):
    """A set of weights is missing, misshapen or not what was recorded."""


class ExportError(PhotorealError):
    """An export cannot be made, or does not agree with the network it came from."""


class TrainingError(PhotorealError):
    """The segmenter cannot be trained with these data or settings."""


class ServeError(PhotorealError):
    """The server cannot start, or stopped by itself."""


class ModelFailed(ServeError):
    """A model that was called inside the server did not answer with a result."""
