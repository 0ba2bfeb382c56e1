"""Faults from outside, with figures in the output (-rP shows them)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hardening import faults, load

from photoreal.serve.launch.launcher import Server

pytestmark = pytest.mark.server


def _check(fault: faults.Fault) -> None:
    print(fault)
    assert fault.complaints == []


@pytest.mark.long
@pytest.mark.parametrize("abruptly", [False, True], ids=["told to stop", "killed"])
def test_a_restart_under_load_loses_nothing(
    server: Server, jobs: Sequence[load.Job], expected: list[bytes], abruptly: bool
) -> None:
    _check(faults.restart(server, jobs[:4], expected[:4], abruptly=abruptly))


def test_every_call_ends_well_or_clearly_when_the_server_is_told_to_stop(
    repository: Path, jobs: Sequence[load.Job], expected: list[bytes]
) -> None:
    _check(faults.stop_under_load(repository, jobs[:6], expected[:6]))


def test_an_idle_connection_holds_up_the_end_as_long_as_it_may(repository: Path) -> None:
    _check(faults.stop_with_idle_connection(repository))
