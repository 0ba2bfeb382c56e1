"""What the supervisor reads from a server's metrics."""

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
# HELP photoreal_requests_working Requests that are worked on, 0 or 1.
# TYPE photoreal_requests_working gauge
photoreal_requests_working WORKING
"""


@pytest.mark.parametrize(
    ("waiting", "working", "owes"),
    [
        *((0, 0, False), (1, 0, True), (0, 1, True), (16, 1, True)),
        *((None, None, True), (OSError(), None, True)),  # it does not say
    ],
)
def test_requests_that_were_answered_and_are_owed(waiting, working, owes, monkeypatch):
    text = METRICS.replace("WAITING", str(waiting)).replace("WORKING", str(working))

    def get(self, url):
        assert url == "metrics"
        if isinstance(waiting, OSError):
            raise waiting
        return b"" if waiting is None else text.encode()

    monkeypatch.setattr(Management, "_get", get)
    management = Management("server", "metrics", "key")
    assert management.has_pending_requests() is owes
    assert management.completed() == (7 if isinstance(waiting, int) else None)
