"""Transport that runs the model `stylize` in this process instead of on a server."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

from photoreal.client._transport.inputs import Tensors
from photoreal.client.errors import RequestTimeout
from photoreal.pipeline.regions.known import KnownRegions
from photoreal.pipeline.request import Models
from photoreal.pipeline.sequences import SteadyRegions
from photoreal.pipeline.stylize import stylize
from photoreal.pipeline.tensors import read_request, response_tensors
from photoreal.preprocess import Limits


class LocalTransport:
    """Serves requests with in-process models, one at a time; thread-safe.

    An invalid request raises InvalidRequest (InvalidImage, InvalidMask, InvalidOption) with the
    same message as from a server.
    """

    def __init__(self, models: Models, limits: Limits) -> None:
        self._models, self._limits = models, limits
        self._memories = SteadyRegions(), KnownRegions()
        self._lock = threading.Lock()

    def infer(
        self,
        inputs: Tensors,
        outputs: Sequence[str],
        request_id: str = "",
        timeout: float | None = None,
    ) -> Tensors:
        """Run `stylize` on its inputs and return the outputs.

        Raises RequestTimeout, between two stages, when the request takes more than `timeout`
        seconds; time spent waiting for other requests does not count.
        """

        def check() -> None:
            if timeout is not None and time.monotonic() > begin + timeout:
                raise RequestTimeout(f"The picture was not finished within {timeout:g} seconds.")

        request = read_request(inputs, outputs)
        with self._lock:
            begin = time.monotonic()
            response = stylize(request, self._models, self._limits, *self._memories, check)
        return response_tensors(response, outputs)

    def ready(self, timeout: float = 0.0) -> bool:
        """Return True: the models are already loaded."""
        return True

    def close(self) -> None:
        """Do nothing: there are no resources to release explicitly."""
