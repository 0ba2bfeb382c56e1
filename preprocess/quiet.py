"""Warnings left out while photos are decoded, in several threads at a time."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

_lock = threading.Lock()
_inside = 0
_filters = ExitStack()


@contextmanager
def without_warnings() -> Iterator[None]:
    """Ignore warnings of the process until the last thread leaves such a context.

    `warnings.catch_warnings` alone restores the filters in the wrong order when the contexts of
    two threads overlap.
    """
    global _inside
    with _lock:
        if _inside == 0:
            _filters.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore")
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                _filters.close()
