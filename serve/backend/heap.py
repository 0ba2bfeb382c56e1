"""Keeping freed memory for the next request, and giving it back when there is none or too much."""

from __future__ import annotations

import ctypes
import os
import threading
from pathlib import Path

from photoreal.contract import DEFAULT_KEEP_MEMORY_S, KEEP_MEMORY_VARIABLE
from photoreal.serve.backend.variables import whole_number

KEPT_BYTES = 1 << 30
"""Freed memory that is kept while requests come; a photo of half a megapixel needs less."""
MOST_PIXELS = 1 << 20
"""Of the larger photo at working size, up to which a request's tensors come from the heap."""

_DEFAULT_MAPPINGS = 1 << 16  # of glibc
_TRIM_THRESHOLD = 512 << 20  # of free memory at the heap's end, which goes back at once
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4  # of glibc's malloc.h
_STATM = Path("/proc/self/statm")


def keep_freed_memory(pixels: int = 0) -> bool:
    """Let this process's large tensors come from the heap; returns whether that took effect.

    By itself glibc maps every large tensor anew and unmaps it when it is freed, so that the
    system clears hundreds of thousands of pages in every request. Where requests are large, of
    more than `MOST_PIXELS`, it goes on to do so: in the heap their tensors would leave gaps, and
    their peak would be a quarter higher. Other C libraries have no such setting and stay as they
    are.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    mappings = 0 if pixels <= MOST_PIXELS else _DEFAULT_MAPPINGS
    return bool(mallopt(_M_MMAP_MAX, mappings)) and bool(
        mallopt(_M_TRIM_THRESHOLD, _TRIM_THRESHOLD)
    )


class FreedMemory:
    """Lets requests share memory, and gives back what the heap keeps too much or too long of it.

    Whatever was allocated after a large request holds the freed memory before it in the heap: a
    single panorama would leave gigabytes with the process for as long as it runs.
    """

    def __init__(self, idle_s: float, kept_bytes: int = KEPT_BYTES) -> None:
        self._kept_bytes, self._idle_s = kept_bytes, idle_s
        self._in_use = resident_bytes()
        self._timer: threading.Timer | None = None

    def before_request(self, pixels: int) -> None:
        """Choose where a request's tensors come from, whose larger photo has so many pixels."""
        keep_freed_memory(pixels)

    def after_request(self) -> None:
        """Give back now what is too much to keep, or else everything once nothing comes."""
        if self._timer is not None:
            self._timer.cancel()
        if resident_bytes() - self._in_use > self._kept_bytes:
            self.give_back()
            return
        self._timer = threading.Timer(self._idle_s, self.give_back)
        self._timer.daemon = True
        self._timer.start()

    def give_back(self) -> None:
        """Give every free page back to the system, where the C library can."""
        try:
            ctypes.CDLL(None).malloc_trim(0)
        except (AttributeError, OSError):
            return
        self._in_use = resident_bytes()


def idle_seconds() -> int:
    """Seconds without a request after which nothing is kept; raises ServeError for nonsense."""
    return whole_number(KEEP_MEMORY_VARIABLE, DEFAULT_KEEP_MEMORY_S, "seconds")


def resident_bytes() -> int:
    """Bytes of this process that are in memory; 0 where the system does not tell."""
    try:
        return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0
