import pytest

from photoreal.client import InvalidInput
from photoreal.client.address import parse_address


@pytest.mark.parametrize(
    ("url", "protocol", "target", "tls"),
    [
        (None, "http", "localhost:8000", False),
        (None, "grpc", "localhost:8001", False),
        ("10.0.0.1", "http", "10.0.0.1:8000", False),
        ("localhost:9000/", "http", "localhost:9000", False),
        ("http://localhost:9000", "http", "localhost:9000", False),
        ("HTTPS://photos.example", "http", "photos.example:443", True),
        ("https://photos.example:8443/triton/", "http", "photos.example:8443/triton", True),
        ("grpc://localhost:9001/", "grpc", "localhost:9001", False),
        ("http://localhost:9001", "grpc", "localhost:9001", False),
        ("grpcs://photos.example", "grpc", "photos.example:443", True),
        ("[::1]:8000", "http", "[::1]:8000", False),
    ],
)
def test_reads_an_address(url, protocol, target, tls):
    address = parse_address(url, protocol)
    assert (address.target, address.tls) == (target, tls)
    assert address.protocol == protocol


@pytest.mark.parametrize(
    ("url", "protocol"),
    [
        ("", "http"),
        ("ftp://localhost", "http"),
        ("://localhost", "http"),
        ("grpc://localhost:8001", "http"),
        ("localhost:port", "http"),
        ("localhost:99999", "http"),
        ("a b:8000", "http"),
        ("user@localhost", "http"),
        ("localhost:8000?x=1", "http"),
        ("localhost:8001/base", "grpc"),
        ("localhost", "smoke"),
        (8000, "http"),
    ],
)
def test_refuses_what_is_no_address(url, protocol):
    with pytest.raises(InvalidInput):
        parse_address(url, protocol)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (None, True),
        ("localhost", True),
        ("LOCALHOST:9", True),
        ("127.0.0.2:8001", True),
        ("[::1]:8001", True),
        ("photos.example:8001", False),
        ("10.0.0.1", False),
        ("[2001:db8::1]:8001", False),
        ("localhost.example", False),
    ],
)
def test_loopback_is_this_machine(url, expected):
    assert parse_address(url, "grpc").is_loopback is expected
