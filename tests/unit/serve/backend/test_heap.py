"""Memory that a process keeps: counted in page faults, which are what it saves."""

import sys

import pytest

from photoreal.contract import DEFAULT_KEEP_MEMORY_S, KEEP_MEMORY_VARIABLE
from photoreal.errors import ServeError
from photoreal.serve.backend.heap import idle_seconds
from tests.shared import output_of

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
_THREADS = """
import resource
from concurrent.futures import ThreadPoolExecutor
import numpy as np
from photoreal.serve.backend.heap import keep_freed_memory

if not keep_freed_memory():
    print(-1)
    raise SystemExit

def faults(_=None):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    [np.ones(1 << 16) for _ in range(64)]  # 32 MiB in 64 pieces, all held until the end
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as other:
    print(*(pool.submit(faults).result() for pool in (one, other)))
"""
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


def _run(script, *arguments):
    # Without huge pages, which a machine may or may not have.
    environment = {"NUMPY_MADVISE_HUGEPAGE": "0", "GLIBC_TUNABLES": ""}
    printed = output_of(sys.executable, "-c", script, *arguments, env=environment)
    found = list(map(int, printed.split()))
    if found == [-1]:
        pytest.skip("this C library has no mallopt")
    return found


@pytest.mark.slow
def test_memory_that_is_kept_is_not_mapped_again():
    (kept,) = _run(_SCRIPT, "keep")
    assert kept < 100
    for way in ("give back", "large"):
        assert _run(_SCRIPT, way)[0] > 50 * max(kept, 1)


@pytest.mark.slow
def test_memory_that_one_thread_freed_is_used_by_another():
    one, other = _run(_THREADS)
    assert one > 8000
    assert other < 100


@pytest.mark.slow
@pytest.mark.parametrize(
    ("most_mb", "idle_s", "wait_s", "is_kept"),
    [(100, 60.0, 0.0, False), (1000, 60.0, 0.5, True), (1000, 0.1, 2.0, False)],
    ids=["too much goes back at once", "the rest is kept", "until nothing has come for a time"],
)
def test_how_long_memory_is_kept(most_mb, idle_s, wait_s, is_kept):
    before, after = _run(_PANORAMA, most_mb, idle_s, wait_s)
    assert before > 200
    assert after > 200 if is_kept else after < 20


def test_the_time_comes_from_the_environment(monkeypatch):
    for text in ("-1", "soon", "1.5", ""):
        monkeypatch.setenv(KEEP_MEMORY_VARIABLE, text)
        with pytest.raises(ServeError, match="seconds"):
            idle_seconds()
    monkeypatch.setenv(KEEP_MEMORY_VARIABLE, "0")
    assert idle_seconds() == 0
    monkeypatch.delenv(KEEP_MEMORY_VARIABLE)
    assert idle_seconds() == DEFAULT_KEEP_MEMORY_S
