"""Long jobs wait for a server that restarts or has a full queue; nothing else is waited for."""

import pytest

from photoreal.client.errors import (
    RequestRejected,
    RequestTimeout,
    ServerBusy,
    ServerFailed,
    ServerUnavailable,
)
from photoreal.client.patience import MAX_FAILURES, Patience

FIRST, PICTURE = object(), object()
GONE = ServerUnavailable("No server is ready.", transient=True)
BUSY = ServerBusy("The queue is full.", transient=True)

pytestmark = pytest.mark.usefixtures("quick")


class Client:
    """Answers or raises what it is given, in turn; ready or not in turn as well."""

    def __init__(self, *outcomes, ready=(True,)):
        self.outcomes, self.states = list(outcomes), list(ready)
        self.sent = self.asked = 0

    def stylize(self):
        self.sent += 1
        outcome = self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def ready(self):
        self.asked += 1
        return self.states.pop(0) if len(self.states) > 1 else self.states[0]


def raises(patience, error):
    """Whether a call after one that was answered raises this very error."""
    assert patience.stylize() is PICTURE
    with pytest.raises(type(error)) as caught:
        patience.stylize()
    return caught.value is error


def test_a_restart_is_waited_for_until_the_server_is_ready():
    client = Client(FIRST, GONE, GONE, PICTURE, ready=(False, False, True))
    said = []
    patience = Patience(client, 60.0, said.append)
    assert patience.stylize() is FIRST
    assert patience.stylize() is PICTURE
    assert (client.sent, client.asked) == (4, 4)
    assert said[0].startswith("No server is ready. ")


def test_a_full_queue_is_waited_for_however_often():
    client = Client(*[BUSY] * (3 * MAX_FAILURES), PICTURE)
    assert Patience(client, 60.0).stylize() is PICTURE
    assert client.asked == 0  # a busy server is ready
    with pytest.raises(ServerUnavailable):  # but one that never answered is not waited for
        Patience(client := Client(GONE), 60.0).stylize()
    assert client.sent == 1


@pytest.mark.parametrize(
    "error", [RequestRejected, RequestTimeout, ServerFailed, ServerUnavailable]
)
def test_other_failures_are_raised_at_once(error):
    failure = error("It stays.")
    client = Client(PICTURE, failure)
    assert raises(Patience(client, 60.0), failure)
    assert client.sent == 2


def test_a_request_that_ends_the_server_each_time_is_given_up():
    client = Client(PICTURE, GONE)
    patience = Patience(client, 60.0)
    patience.stylize()
    with pytest.raises(ServerFailed, match=f"{MAX_FAILURES} times"):
        patience.stylize()
    assert client.sent == 1 + MAX_FAILURES


@pytest.mark.parametrize("seconds", [0.05, 0.0])
@pytest.mark.parametrize(("error", "ready"), [(GONE, False), (BUSY, True)])
def test_patience_ends(error, ready, seconds):
    assert raises(Patience(Client(PICTURE, error, ready=(ready,)), seconds), error)


def test_an_interruption_ends_the_wait():
    client = Client(PICTURE, GONE, ready=(False,))
    patience = Patience(client, 10.0, lambda words: patience.give_up())
    assert raises(patience, GONE)
    assert client.asked == 0
