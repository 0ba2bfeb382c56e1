"""Memory that a process keeps: counted in page faults, which are what it saves."""

from __future__ import annotations

import subprocess
import sys

import pytest

_SCRIPT = """
import resource, sys
import numpy as np
from photoreal.serve.heap import keep_freed_memory

if sys.argv[1] == "keep" and not keep_freed_memory():
    print(-1)
    raise SystemExit
np.ones(1 << 23)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    np.ones(1 << 23)  # 64 MiB, 16384 pages of the smallest size
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def _faults(way: str) -> int:
    # Without huge pages, which a machine may or may not have.
    environment = {"NUMPY_MADVISE_HUGEPAGE": "0", "GLIBC_TUNABLES": ""}
    command = [sys.executable, "-c", _SCRIPT, way]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return int(result.stdout)


def test_memory_that_is_kept_is_not_mapped_anew() -> None:
    kept = _faults("keep")
    if kept < 0:
        pytest.skip("this C library has no mallopt")
    assert kept < 100
    assert _faults("give back") > 50 * max(kept, 1)
