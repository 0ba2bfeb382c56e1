"""Health, metrics, and what the server does not let anybody do."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable

import psutil
import pytest
import tritonclient.grpc
import tritonclient.http
from tritonclient.utils import InferenceServerException

from photoreal.serve.launch.launcher import Server

pytestmark = pytest.mark.server

LOADED = {"stylize", "wct2", "cancel", "segmenter"}
MANAGEMENT = [
    "repository/index",
    "repository/models/stylize/load",
    "repository/models/stylize/unload",
    "systemsharedmemory/region/mine/register",
    "systemsharedmemory/unregister",
    "cudasharedmemory/region/mine/register",
    "trace/setting",
    "models/stylize/trace/setting",
    "logging",
]
LOOPBACK = {"127.0.0.1", "::ffff:127.0.0.1"}
GRPC_HEADER = "triton-grpc-protocol-admin-key"


def _http(server: Server, path: str, key: str | None = None) -> tuple[int, bytes]:
    """POST an empty object; the status and the body of the answer."""
    headers = {} if key is None else {"admin-key": key}
    url = f"http://{server.http_url}/v2/{path}"
    request = urllib.request.Request(url, data=b"{}", headers=headers)
    try:
        with urllib.request.urlopen(request) as answer:  # noqa: S310
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def test_health(local: Server) -> None:
    for path in ("health/live", "health/ready", "models/stylize/ready", "models/wct2/ready"):
        with urllib.request.urlopen(f"http://{local.http_url}/v2/{path}") as answer:
            assert answer.status == 200
    with tritonclient.grpc.InferenceServerClient(local.grpc_url) as client:
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready("stylize")


def test_metrics_are_prometheus_text(local: Server, check_alive: Callable[[Server], None]) -> None:
    check_alive(local)
    with urllib.request.urlopen(local.metrics_url) as answer:  # noqa: S310
        assert answer.status == 200
        assert answer.headers.get_content_type() == "text/plain"
        text = answer.read().decode()
    assert "# TYPE nv_inference_request_success counter" in text
    lines = [line for line in text.splitlines() if line.startswith("nv_inference_request_success")]
    counts = {line.split('model="')[1].split('"')[0]: float(line.split()[-1]) for line in lines}
    assert set(counts) == LOADED
    assert counts["stylize"] >= 1


def test_management_over_http_needs_the_key(local: Server) -> None:
    for path in MANAGEMENT:
        for key in (None, "", "wrong"):
            status, body = _http(local, path, key)
            assert status == 403, path
            assert local.settings.admin_key.encode() not in body


@pytest.mark.parametrize("headers", [{}, {GRPC_HEADER: "wrong"}], ids=["none", "wrong"])
def test_management_over_grpc_needs_the_key(
    local: Server, check_alive: Callable[[Server], None], headers: dict[str, str]
) -> None:
    calls: list[tuple[str, tuple[object, ...]]] = [
        ("get_model_repository_index", ()),
        ("load_model", ("stylize",)),
        ("unload_model", ("stylize",)),
        ("register_system_shared_memory", ("mine", "/mine", 8)),
        ("update_trace_settings", (None, {})),
        ("update_log_settings", ({"log_info": True},)),
    ]
    with tritonclient.grpc.InferenceServerClient(local.grpc_url) as client:
        for name, arguments in calls:
            with pytest.raises(InferenceServerException) as caught:
                getattr(client, name)(*arguments, headers=headers)
            assert caught.value.status() == "StatusCode.UNAVAILABLE"
            assert "This protocol is restricted" in caught.value.message()
    check_alive(local)


def test_the_key_opens_the_index(local: Server) -> None:
    key = local.settings.admin_key
    status, body = _http(local, "repository/index", key)
    assert status == 200
    states = {model["name"]: model.get("state") for model in json.loads(body)}
    assert {name for name, state in states.items() if state == "READY"} == LOADED
    with tritonclient.grpc.InferenceServerClient(local.grpc_url) as client:
        index = client.get_model_repository_index(headers={GRPC_HEADER: key}, as_json=True)
    assert {one["name"] for one in index["models"] if one.get("state") == "READY"} == LOADED


def test_ports_are_open_on_this_machine_only(local: Server) -> None:
    ports = set(local.settings.ports().values())
    listening: dict[int, set[str]] = {}
    for one in psutil.net_connections("tcp"):
        if one.status == psutil.CONN_LISTEN and one.laddr.port in ports:
            listening.setdefault(one.laddr.port, set()).add(one.laddr.ip)
    assert set(listening) == ports
    assert set.union(*listening.values()) <= LOOPBACK
