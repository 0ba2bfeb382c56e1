"""Keeping freed memory for the next request instead of giving it back at once."""

from __future__ import annotations

import ctypes

KEPT_BYTES = 512 << 20
"""Freed memory at the heap's end beyond this goes back to the system."""
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # of glibc's malloc.h


def keep_freed_memory() -> bool:
    """Let this process's large tensors come from the heap; returns whether that took effect.

    By itself glibc maps every large tensor anew and unmaps it when it is freed, so that the
    system clears hundreds of thousands of pages in every request. Other C libraries have no such
    setting and stay as they are.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    return bool(mallopt(_M_MMAP_MAX, 0)) and bool(mallopt(_M_TRIM_THRESHOLD, KEPT_BYTES))
