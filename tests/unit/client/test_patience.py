"""Long jobs wait for a server that restarts or has a full queue; nothing else is waited for."""

import threading

import pytest

from photoreal.client import (
    RequestRejected,
    RequestTimeout,
    ServerFailed,
    ServerUnavailable,
)
from photoreal.client import patience as module
from photoreal.client.errors import ServerBusy
from photoreal.client.patience import MAX_FAILURES, Patience

GONE = ServerUnavailable("No server is ready.", transient=True)
BUSY = ServerBusy("The queue is full.", transient=True)


class Client:
    """Answers or raises what it is given, in turn; ready or not in turn as well."""

    def __init__(self, *outcomes, ready=(True,)):
        self.outcomes, self.states = list(outcomes), list(ready)
        self.sent = self.asked = 0

    def stylize(self, *args, **kwargs):
        self.sent += 1
        outcome = self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def ready(self):
        self.asked += 1
        return self.states.pop(0) if len(self.states) > 1 else self.states[0]


def ask(patience):
    return patience.stylize()


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch):
    monkeypatch.setattr(module, "_SHORTEST_S", 0.001)
    monkeypatch.setattr(module, "_LONGEST_S", 0.002)


def test_a_restart_is_sat_out_until_the_server_is_ready():
    client = Client("first", GONE, GONE, "second", ready=(False, False, True))
    told = []
    patience = Patience(client, 60.0, told.append)
    assert [ask(patience), ask(patience)] == ["first", "second"]
    assert (client.sent, client.asked) == (4, 4)
    assert told[0].startswith("No server is ready. Waiting for it, at most ")
    assert told[0].endswith(" s.")


def test_a_full_queue_is_waited_for_however_often():
    client = Client(*[BUSY] * (3 * MAX_FAILURES), "picture")
    assert ask(Patience(client, 60.0)) == "picture"
    assert client.asked == 0  # a busy server is ready


def test_a_server_that_never_answered_is_not_waited_for():
    client = Client(GONE)
    with pytest.raises(ServerUnavailable):
        Patience(client, 60.0).stylize()
    assert client.sent == 1


@pytest.mark.parametrize(
    "error",
    [
        RequestRejected("The photo is damaged."),
        RequestTimeout("No answer."),
        ServerFailed("It failed."),
        ServerUnavailable("There is no such host."),
    ],
)
def test_other_failures_are_raised_at_once(error):
    client = Client("picture", error)
    patience = Patience(client, 60.0)
    patience.stylize()
    with pytest.raises(type(error)) as caught:
        patience.stylize()
    assert caught.value is error
    assert client.sent == 2


def test_a_request_that_ends_the_server_each_time_is_given_up():
    client = Client("picture", GONE)
    patience = Patience(client, 60.0)
    patience.stylize()
    with pytest.raises(ServerFailed, match=f"happened {MAX_FAILURES} times"):
        patience.stylize()
    assert client.sent == 1 + MAX_FAILURES


@pytest.mark.parametrize(("error", "ready"), [(GONE, False), (BUSY, True)])
def test_patience_ends(error, ready):
    client = Client("picture", error, ready=(ready,))
    patience = Patience(client, 0.05)
    patience.stylize()
    with pytest.raises(type(error)) as caught:
        patience.stylize()
    assert caught.value is error
    impatient = Patience(Client(BUSY), 0.0)
    with pytest.raises(ServerBusy):
        impatient.stylize()


def test_an_interruption_ends_the_wait():
    client = Client("picture", GONE, ready=(False,))
    patience = Patience(client, 600.0, lambda words: waiting.set())
    waiting, errors = threading.Event(), []
    patience.stylize()

    def work():
        try:
            patience.stylize()
        except ServerUnavailable as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    assert waiting.wait(10)
    patience.give_up()
    thread.join(10)
    assert errors == [GONE]
