"""Reuse freed memory between requests; return it when it is too much or no request comes."""

from __future__ import annotations

import ctypes
import os
import threading
from pathlib import Path

from photoreal.contract import DEFAULT_KEEP_MEMORY_S, KEEP_MEMORY_VARIABLE
from photoreal.serve.backend.variables import whole_number

KEPT_BYTES = 1 << 30
"""Freed memory in bytes kept between requests; a photo of half a megapixel needs less."""
MOST_PIXELS = 1 << 20
"""Largest photo, in pixels at the working size, for which tensors are allocated on the heap."""

_DEFAULT_MAPPINGS = 1 << 16  # glibc's default
_TRIM_THRESHOLD = 512 << 20  # free bytes at the top of the heap that are returned at once
_M_TRIM_THRESHOLD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -4, -8  # from glibc's malloc.h
_STATM = Path("/proc/self/statm")


def keep_freed_memory(pixels: int = 0) -> bool:
    """Allocate this process's large tensors on the heap; returns whether that took effect.

    By default, glibc maps memory for every large tensor and unmaps it when it is freed, so the
    kernel clears hundreds of thousands of pages in every request. Requests of more than
    `MOST_PIXELS` keep this default: on the heap, their tensors would leave gaps and raise peak
    memory by a quarter. Other C libraries lack this setting and are not changed.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    mappings = 0 if pixels <= MOST_PIXELS else _DEFAULT_MAPPINGS
    settings = {
        _M_MMAP_MAX: mappings,
        _M_TRIM_THRESHOLD: _TRIM_THRESHOLD,
        _M_ARENA_MAX: 1,  # what one thread frees, the others can use
    }
    return all(mallopt(*setting) for setting in settings.items())


class FreedMemory:
    """Reuses freed memory between requests; returns it when it is too much or no request comes.

    An allocation made after a large request keeps the freed memory below it in the heap: after a
    single panorama, the process would hold gigabytes for as long as it runs.
    """

    def __init__(self, idle_s: float, kept_bytes: int = KEPT_BYTES) -> None:
        self._kept_bytes, self._idle_s = kept_bytes, idle_s
        self._in_use = resident_bytes()
        self._timer: threading.Timer | None = None

    def before_request(self, pixels: int) -> None:
        """Choose the allocation of a request's tensors by the `pixels` of its larger photo."""
        keep_freed_memory(pixels)

    def after_request(self) -> None:
        """Return memory now if too much is kept, otherwise after `idle_s` without a request."""
        if self._timer is not None:
            self._timer.cancel()
        if resident_bytes() - self._in_use > self._kept_bytes:
            self.give_back()
            return
        self._timer = threading.Timer(self._idle_s, self.give_back)
        self._timer.daemon = True
        self._timer.start()

    def give_back(self) -> None:
        """Return every free page to the system, if the C library can."""
        try:
            ctypes.CDLL(None).malloc_trim(0)
        except (AttributeError, OSError):
            return
        self._in_use = resident_bytes()


def idle_seconds() -> int:
    """Seconds without a request until memory is returned; raises ServeError for a bad value."""
    return whole_number(KEEP_MEMORY_VARIABLE, DEFAULT_KEEP_MEMORY_S, "seconds")


def resident_bytes() -> int:
    """Resident memory of this process in bytes; 0 if the system does not report it."""
    try:
        return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0
