"""Style transfer in the process of the command, for when no server is running."""

from __future__ import annotations

from importlib.util import find_spec

from photoreal.client.client import StyleTransferClient

_NEEDED = ("torch", "scipy", "cv2", "safetensors")


def is_installed() -> bool:
    """Whether the packages of the extra `local` are installed; none is imported."""
    return all(find_spec(name) is not None for name in _NEEDED)


def client_of_this_process(timeout: float) -> StyleTransferClient:
    """Return a client that computes in this process, on every core; `timeout` in seconds.

    Raises:
        InvalidOption: the device that the environment selects cannot be used.
        WeightsError: the weights cannot be read.
    """
    from photoreal.cores import available_cores
    from photoreal.local.pipeline import Pipeline

    pipeline = Pipeline(threads=available_cores())
    return StyleTransferClient(transport=pipeline.transport, timeout=timeout)
