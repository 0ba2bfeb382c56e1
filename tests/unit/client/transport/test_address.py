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
    assert (address.target, address.tls, address.protocol) == (target, tls, protocol)


HTTP = ["", "ftp://localhost", "://localhost", "grpc://localhost:8001", "localhost:port", 8000]
HTTP += ["localhost:99999", "a b:8000", "user@localhost", "localhost:8000?x=1"]


@pytest.mark.parametrize(
    ("url", "protocol"),
    [*((url, "http") for url in HTTP), ("localhost:8001/base", "grpc"), ("localhost", "smoke")],
)
def test_invalid_addresses_are_refused(url, protocol):
    with pytest.raises(InvalidInput):
        parse_address(url, protocol)


HERE = ("localhost", "LOCALHOST:9", "127.0.0.2:8001", "[::1]:8001", "grpcs://[::1]:8001", None)
ELSEWHERE = ("photos.example:8001", "10.0.0.1", "[2001:db8::1]:8001", "localhost.example")


@pytest.mark.parametrize("url", HERE + ELSEWHERE)
def test_loopback_is_this_machine(url):
    assert parse_address(url, "grpc").is_loopback is (url in HERE)
