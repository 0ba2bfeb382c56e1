"""`photoreal health`, and the endpoint that it asks with --quick."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from photoreal.cli import main
from photoreal.client.cli import health
from photoreal.client.errors import ServerFailed, ServerUnavailable
from photoreal.serve.launch.environment import free_ports
from photoreal.serve.supervise.health import HealthServer, Status


@pytest.fixture
def status() -> Status:
    return Status()


@pytest.fixture
def url(status: Status) -> Iterator[str]:
    """Address of a supervisor's endpoint."""
    (port,) = free_ports("127.0.0.1", 1)
    with HealthServer("127.0.0.1", port, status):
        yield f"127.0.0.1:{port}"


def _get(url: str, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://{url}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_a_starting_server_lives_and_is_not_ready(url: str) -> None:
    assert _get(url, "/live") == (200, json.dumps({"live": True}))
    code, body = _get(url, "/ready")
    assert code == 503
    assert json.loads(body) == {"ready": False, "problem": "The server is starting."}


def test_ready_until_there_is_a_problem(url: str, status: Status) -> None:
    status.problem = None
    assert _get(url, "/ready")[0] == 200
    status.stopping()
    code, body = _get(url, "/ready?from=probe")
    assert code == 503
    assert json.loads(body)["problem"] == "The server is stopping."


def test_metrics_are_prometheus_text(url: str, status: Status) -> None:
    assert "photoreal_ready 0.0\n" in _get(url, "/metrics")[1]
    status.problem = None
    status.model_restarts.labels("wct2", "died").inc()
    status.canary_seconds.observe(0.3)
    text = _get(url, "/metrics")[1]
    assert "photoreal_ready 1.0\n" in text
    assert 'photoreal_model_restarts_total{model="wct2",reason="died"} 1.0\n' in text
    assert "photoreal_canary_seconds_sum 0.3\n" in text
    assert 'photoreal_canaries_total{result="failed"} 0.0\n' in text


def test_other_paths_are_not_found(url: str) -> None:
    code, body = _get(url, "/../etc/passwd")
    assert code == 404
    assert "expected /live" in body


def test_quick_asks_the_supervisor(
    url: str, status: Status, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["health", "--quick", "--supervisor", f"http://{url}"]
    assert main(arguments) == 1
    assert capsys.readouterr().err == "Error: The server is starting.\n"
    status.problem = None
    assert main(arguments) == 0
    assert capsys.readouterr().out == "Ready, according to the supervisor.\n"


def test_quick_without_a_supervisor(capsys: pytest.CaptureFixture[str]) -> None:
    (port,) = free_ports("127.0.0.1", 1)
    assert main(["health", "--quick", "--supervisor", f"127.0.0.1:{port}"]) == 1
    expected = f"Error: No response from a supervisor at 127.0.0.1:{port} (Connection refused).\n"
    assert capsys.readouterr().err == expected


def test_a_real_request_is_timed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(health, "send_canary", lambda client: 0.25)
    assert main(["health", "--url", "localhost:1"]) == 0
    assert capsys.readouterr().out == "Ready: a test request took 0.25 s.\n"


@pytest.mark.parametrize("error", [ServerUnavailable("Nobody is there."), ServerFailed("It died.")])
def test_a_failure_is_one_line_and_exit_code_1(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(client: object) -> float:
        raise error

    monkeypatch.setattr(health, "send_canary", fail)
    assert main(["health"]) == 1
    assert capsys.readouterr().err == f"Error: {error}\n"


def test_an_address_that_makes_no_sense_is_the_caller_s_mistake() -> None:
    assert main(["health", "--quick", "--supervisor", "ftp://x"]) == 2
