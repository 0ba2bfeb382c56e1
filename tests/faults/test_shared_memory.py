"""A server whose /dev/shm is full: a small separate one, so that the machine's does not fill up."""

from __future__ import annotations

import collections
import functools
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from photoreal.client import ClientError, RequestTimeout

pytestmark = pytest.mark.server

SIZE = "40m"
ROOM = ("unshare", "--mount") if os.geteuid() == 0 else ("unshare", "--user", "-r", "--mount")
MOUNT = (*ROOM, "sh", "-c", f'mount -t tmpfs -o size={SIZE} tmpfs /dev/shm && exec "$@"', "sh")


@pytest.fixture(scope="module")
def room() -> tuple[str, ...]:
    """The prefix of a command that gives it a separate /dev/shm."""
    try:
        subprocess.run([*MOUNT, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this machine lets nobody but an administrator mount a file system")
    return MOUNT


def test_full_shared_memory(
    serving: Callable[..., Any], room: tuple[str, ...], shown: Callable[[str], None]
) -> None:
    with serving(before=room) as service:
        expected = service.picture(64)
        family = {one.pid for one in service.family()}
        with pytest.raises(ClientError) as caught:
            service.picture(1200)
        words = str(caught.value)
        assert not isinstance(caught.value, RequestTimeout)
        assert "Traceback" not in words
        assert ".py" not in words
        shown(f"request too large for /dev/shm of {SIZE}: {words}")
        assert np.array_equal(service.picture(64), expected)

        # When another program fills it, the running server goes on answering.
        memory = Path(f"/proc/{service.server()}/root/dev/shm/filler")
        with memory.open("wb", buffering=0) as filler:
            fill = functools.partial(filler.write, bytes(2**16))
            with pytest.raises(OSError, match="No space left"):
                collections.deque(iter(fill, 0), maxlen=0)
        try:
            assert np.array_equal(service.picture(64), expected)
        finally:
            memory.unlink()
        assert {one.pid for one in service.family()} == family
        assert service.is_ready()
        assert " failed (" not in service.log
