"""The work of a command in this process, for where no server runs."""

from __future__ import annotations

from importlib.util import find_spec

from photoreal.client.client import StyleTransferClient

_NEEDED = ("torch", "scipy", "safetensors")


def is_installed() -> bool:
    """Whether the packages of the extra `local` are there; none is imported."""
    return all(find_spec(name) is not None for name in _NEEDED)


def client_of_this_process(timeout: float) -> StyleTransferClient:
    """A client whose calls are worked on here, with every core; `timeout` in seconds.

    Raises:
        InvalidOption: the environment asks for a device that cannot be used.
        WeightsError: the weights cannot be read.
    """
    from photoreal.cores import available_cores
    from photoreal.local.pipeline import Pipeline

    pipeline = Pipeline(threads=available_cores())
    return StyleTransferClient(transport=pipeline.transport, timeout=timeout)
