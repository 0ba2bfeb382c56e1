"""`photoreal health`, and the endpoint that it asks with --quick."""

import json
import urllib.error
import urllib.request

import pytest

from photoreal.cli import main
from photoreal.client.cli import health
from photoreal.client.errors import ServerFailed, ServerUnavailable
from photoreal.serve.launch.environment import free_ports
from photoreal.serve.supervise.health import HealthServer, Status


@pytest.fixture
def status():
    return Status()


@pytest.fixture
def url(status):
    """Address of a supervisor's endpoint."""
    (port,) = free_ports("127.0.0.1", 1)
    with HealthServer("127.0.0.1", port, status):
        yield f"127.0.0.1:{port}"


def get(url, path):
    try:
        with urllib.request.urlopen(f"http://{url}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_a_server_is_live_while_it_starts_and_ready_until_there_is_a_problem(url, status):
    assert get(url, "/live") == (200, json.dumps({"live": True}))
    code, body = get(url, "/ready")
    assert code == 503
    assert json.loads(body) == {"ready": False, "problem": "The server is starting."}
    status.problem = None
    assert get(url, "/ready")[0] == 200
    status.stopping()
    code, body = get(url, "/ready?from=probe")
    assert (code, json.loads(body)["problem"]) == (503, "The server is stopping.")
    code, body = get(url, "/../etc/passwd")
    assert code == 404
    assert "/live" in body


def test_metrics_are_prometheus_text(url, status):
    assert "photoreal_ready 0.0\n" in get(url, "/metrics")[1]
    status.problem = None
    status.model_restarts.labels("wct2", "died").inc()
    status.canary_seconds.observe(0.3)
    text = get(url, "/metrics")[1]
    assert "photoreal_ready 1.0\n" in text
    assert 'photoreal_model_restarts_total{model="wct2",reason="died"} 1.0\n' in text
    assert "photoreal_canary_seconds_sum 0.3\n" in text
    assert 'photoreal_canaries_total{result="failed"} 0.0\n' in text


def test_quick_asks_the_supervisor(url, status, closed_url, capsys):
    quick = ["health", "--quick", "--supervisor"]
    assert main([*quick, url]) == 1
    assert capsys.readouterr().err == "Error: The server is starting.\n"
    status.problem = None
    assert main([*quick, url]) == 0
    assert capsys.readouterr().out.startswith("Ready")
    assert main([*quick, closed_url]) == 1
    assert f"{closed_url} (Connection refused)" in capsys.readouterr().err
    assert main([*quick, "ftp://x"]) == 2


@pytest.mark.parametrize(
    ("outcome", "code", "words"),
    [
        (0.25, 0, "0.25 s"),
        (ServerUnavailable("Nobody is there."), 1, "Error: Nobody is there.\n"),
        (ServerFailed("It died."), 1, "Error: It died.\n"),
    ],
)
def test_a_real_request_is_timed(outcome, code, words, monkeypatch, capsys):
    def send(client):
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    monkeypatch.setattr(health, "send_canary", send)
    assert main(["health", "--url", "localhost:1"]) == code
    printed = capsys.readouterr()
    assert words in (printed.err or printed.out)
    assert (printed.err + printed.out).count("\n") == 1
