"""What the supervisor reads from a server's metrics."""

from __future__ import annotations

import pytest

from photoreal.serve.supervise.management import Management

METRICS = """
# HELP photoreal_requests_total Requests answered, by model and outcome.
# TYPE photoreal_requests_total counter
photoreal_requests_total{model="stylize",outcome="busy"} 9
photoreal_requests_total{model="wct2",outcome="ok"} 8
photoreal_requests_total{model="stylize",outcome="ok"} 7
# HELP photoreal_requests_waiting Requests that wait.
# TYPE photoreal_requests_waiting gauge
photoreal_requests_waiting WAITING
# HELP photoreal_requests_working Requests being processed, 0 or 1.
# TYPE photoreal_requests_working gauge
photoreal_requests_working WORKING
"""


def _management(monkeypatch: pytest.MonkeyPatch, answer: str | OSError) -> Management:
    def get(self: Management, url: str) -> bytes:
        assert url == "metrics"
        if isinstance(answer, OSError):
            raise answer
        return answer.encode()

    monkeypatch.setattr(Management, "_get", get)
    return Management("server", "metrics", "key")


def test_requests_that_were_answered_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _management(monkeypatch, METRICS).completed() == 7
    assert _management(monkeypatch, "").completed() is None
    assert _management(monkeypatch, ConnectionRefusedError()).completed() is None


@pytest.mark.parametrize(
    ("waiting", "working", "owes"), [(0, 0, False), (1, 0, True), (0, 1, True), (16, 1, True)]
)
def test_whether_answers_are_owed(
    waiting: int, working: int, owes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = METRICS.replace("WAITING", str(waiting)).replace("WORKING", str(working))
    assert _management(monkeypatch, text).has_pending_requests() is owes


def test_a_server_that_does_not_say_may_owe_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _management(monkeypatch, ConnectionRefusedError()).has_pending_requests()
    assert _management(monkeypatch, "").has_pending_requests()
