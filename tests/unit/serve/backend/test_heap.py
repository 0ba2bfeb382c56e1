"""Memory that a process keeps: counted in page faults, which are what it saves."""

from __future__ import annotations

import subprocess
import sys

import pytest

from photoreal.contract import DEFAULT_KEEP_MEMORY_S, KEEP_MEMORY_VARIABLE
from photoreal.errors import ServeError
from photoreal.serve.backend.heap import idle_seconds

pytestmark = pytest.mark.slow

_SCRIPT = """
import resource, sys
import numpy as np
from photoreal.serve.backend.heap import MOST_PIXELS, keep_freed_memory

for pixels in {"keep": [0], "large": [0, MOST_PIXELS + 1], "give back": []}[sys.argv[1]]:
    if not keep_freed_memory(pixels):
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
    assert _faults("large") > 50 * max(kept, 1)


_PANORAMA = """
import sys, time
import numpy as np
from photoreal.serve.backend.heap import FreedMemory, keep_freed_memory, resident_bytes

if not keep_freed_memory():
    print(-1)
    raise SystemExit
freed = FreedMemory(float(sys.argv[2]), int(sys.argv[1]) << 20)
before = resident_bytes()
large = np.ones(1 << 25)  # 256 MiB
small = np.ones(1 << 17)  # 1 MiB behind them, which stays
del large
kept = resident_bytes() - before
freed.after_request()
time.sleep(float(sys.argv[3]))
print(kept >> 20, resident_bytes() - before >> 20)
"""


def _kept(most_mb: int, idle_s: float, wait_s: float) -> list[int]:
    """MiB that are kept of 256, before and after a request's end and a wait."""
    command = [sys.executable, "-c", _PANORAMA, *map(str, (most_mb, idle_s, wait_s))]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    found = list(map(int, result.stdout.split()))
    if found == [-1]:
        pytest.skip("this C library has no mallopt")
    return found


def test_what_is_too_much_to_keep_goes_back_at_once() -> None:
    before, after = _kept(100, 60.0, 0.0)
    assert before > 200
    assert after < 20


def test_what_may_be_kept_goes_back_when_nothing_comes() -> None:
    assert min(_kept(1000, 60.0, 0.5)) > 200
    before, after = _kept(1000, 0.1, 2.0)
    assert before > 200
    assert after < 20


@pytest.mark.parametrize("text", ["-1", "soon", "1.5", ""])
def test_a_time_that_is_no_number_of_seconds_is_refused(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KEEP_MEMORY_VARIABLE, text)
    with pytest.raises(ServeError, match="expected a number of seconds"):
        idle_seconds()


def test_the_time_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEEP_MEMORY_VARIABLE, "0")
    assert idle_seconds() == 0
    monkeypatch.delenv(KEEP_MEMORY_VARIABLE)
    assert idle_seconds() == DEFAULT_KEEP_MEMORY_S
