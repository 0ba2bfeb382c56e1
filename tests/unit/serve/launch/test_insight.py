"""The log's form and the traces' way, before a server starts; and JSON of the command's own."""

import json

import pytest

from photoreal.cli import main
from photoreal.errors import ServeError
from photoreal.serve.launch.insight import Insight


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("http://localhost:4318", "http://localhost:4318/v1/traces"),
        ("http://localhost:4318/", "http://localhost:4318/v1/traces"),
        ("https://collector.example/there", "https://collector.example/there"),
    ],
)
def test_traces_go_to_the_collector(given, used):
    insight = Insight(trace_otlp=given, trace_rate=7)
    insight.check()
    settings = {argument.removeprefix("--trace-config=") for argument in insight.arguments()}
    wanted = {"mode=opentelemetry", "level=TIMESTAMPS", "rate=7", f"opentelemetry,url={used}"}
    assert wanted <= settings
    Insight().check()
    assert Insight().arguments() == []  # nothing is added unless it is set


@pytest.mark.parametrize(
    "url", ["localhost:4318", "grpc://localhost:4317", "http://", "http://a:b", "http://a b"]
)
def test_an_invalid_address_is_refused(url):
    with pytest.raises(ServeError, match="cannot be read"):
        Insight(trace_otlp=url).check()


@pytest.mark.parametrize("option", ["--trace-otlp", "--repository"])
def test_an_error_is_a_line_of_a_json_log(option, capsys):
    assert main(["serve", "--log-format", "json", "--health-port", "0", option, "nowhere"]) == 1
    captured = capsys.readouterr()
    last = json.loads(captured.err.splitlines()[-1])
    assert last["level"] == "error"
    assert "nowhere" in last["message"]
    assert captured.out == ""
