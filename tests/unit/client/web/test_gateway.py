"""The gateway over a transport without a network."""

import asyncio
import base64
import json
import re
from pathlib import Path

import httpx2
import pytest
from starlette.exceptions import HTTPException
from starlette.testclient import TestClient

from photoreal.client import AsyncStyleTransferClient, errors
from photoreal.client.web import GatewaySettings, make_app
from photoreal.client.web.app import STATIC
from photoreal.client.web.gallery import GALLERY, picture_file
from photoreal.client.web.gate import UploadGate
from tests.shared import check_sentence

from ..conftest import LABELS, PHOTO, REPORT, AsyncFakeTransport, answer, png

URL = "/upload_images/"
FILES = {"content_image": ("a.png", b"content"), "style_image": ("b.png", b"style")}
FOUND = {
    **REPORT,
    "pairs": [
        {"content": "sky", "style": "water", "share": 0.6},
        {"content": "sign", "style": "whole photo", "share": 0.4},
    ],
    "content_regions": [
        {"label": 1, "name": "sky", "share": 0.6},
        {"label": 9, "name": "sign", "share": 0.4},
    ],
    "style_regions": [{"label": 7, "name": "water", "share": 1.0}],
}
FOUND_ANSWER = answer(REPORT=json.dumps(FOUND).encode())
SMALL = GatewaySettings(max_file_bytes=1000, max_requests=1)
SCOPE = {"type": "http", "method": "POST", "headers": []}


async def drive(app, receive, **scope):
    """What an application sends in answer to the messages of a POST."""
    sent = []

    async def send(message):
        sent.append(message)

    await app(SCOPE | scope, receive, send)
    return sent


@pytest.fixture
def transport():
    return AsyncFakeTransport()


@pytest.fixture
def gateway(transport):
    """Makes a caller of a gateway, with other bounds if wished."""
    open_callers = []

    def make(settings=None, **options):
        app = make_app(AsyncStyleTransferClient(transport=transport), settings)
        caller = TestClient(app, **{"base_url": "http://localhost", **options})
        open_callers.append(caller.__enter__())
        return caller

    yield make
    for caller in open_callers:
        caller.__exit__(None, None, None)


@pytest.fixture
def aside(transport):
    """Makes an asynchronous caller of a gateway."""

    def make(settings):
        app = make_app(AsyncStyleTransferClient(transport=transport), settings)
        there = httpx2.ASGITransport(app)
        return httpx2.AsyncClient(transport=there, base_url="http://localhost")

    return make


@pytest.fixture
def refused():
    """Checks a refusal: its status, and that its detail is a sentence with some words."""

    def check(response, status, words=""):
        assert response.status_code == status, response.text
        assert list(response.json()) == ["detail"]
        assert words in response.json()["detail"]
        check_sentence(response.json()["detail"].replace(" /docs", ""))

    return check


class TestPictures:
    def test_the_original_four_fields(self, gateway, transport):
        response = gateway().post(URL, files=FILES, data={"alpha": "0.5", "size": "400"})
        assert response.status_code == 200, response.text
        assert response.content == png(PHOTO)
        assert response.headers["content-type"] == "image/png"
        assert "transfer;dur=1500.0" in response.headers["server-timing"]
        assert response.headers["x-request-id"] == transport.calls[0][2]
        sent = {"CONTENT": b"content", "STYLE": b"style", "ALPHA": 0.5}
        # Here the size is the picture's, and a picture is a PNG.
        assert transport.inputs == sent | {"OUTPUT_SIZE": 400, "FORMAT": b"png"}

    @pytest.mark.parametrize(
        ("data", "sizes"),
        [
            ({"size": "400", "output_size": "900"}, (400, 900)),
            ({"output_size": "900"}, (None, 900)),
            ({"size": "400", "method": "published"}, (400, None)),
            ({"size": "3"}, (3, None)),  # the refusal names what was sent
            ({"size": "4000"}, (4000, None)),
            ({"size": "", "alpha": "", "match": "", "pairs": ""}, (None, None)),
        ],
    )
    def test_a_size_alone_is_the_output_size(self, gateway, transport, data, sizes):
        assert gateway().post(URL, files=FILES, data=data).status_code == 200
        assert (transport.inputs.get("SIZE"), transport.inputs.get("OUTPUT_SIZE")) == sizes
        assert not {"ALPHA", "MATCH", "PAIRS"} & set(transport.inputs)

    def test_every_other_field(self, gateway, transport):
        masks = {"content_mask": ("m.png", b"m"), "style_mask": ("n.png", b"n")}
        data = {"transfer_at": "encoder", "segment": "false", "match": "nearest", "blend": "2"}
        data["pairs"] = "[[1, 2], [3, null]]"
        assert gateway().post(URL, files=FILES | masks, data=data).status_code == 200
        sent = transport.inputs
        assert (sent["CONTENT_MASK"], sent["STYLE_MASK"]) == (b"m", b"n")
        assert (sent["TRANSFER_AT"], sent["MATCH"]) == (b"encoder", b"nearest")
        assert (sent["SEGMENT"], sent["BLEND"]) == (False, 2)
        assert transport.calls[0][0]["PAIRS"].tolist() == [[1, 2], [3, -1]]

    def test_regions(self, gateway, transport):
        transport.outputs = FOUND_ANSWER
        response = gateway().post("/regions/", files=FILES, data={"size": "64"})
        assert response.status_code == 200, response.text
        assert sorted(transport.inputs) == ["CONTENT", "SIZE", "STYLE"]
        assert "IMAGE" not in transport.calls[0][1]
        found = response.json()
        assert base64.b64decode(found["content"]["labels"]) == png(LABELS)
        assert base64.b64decode(found["style"]["labels"]) == png(LABELS.T.copy())
        assert found["content"]["regions"] == FOUND["content_regions"]
        assert found["pairs"] == [[1, 7], [9, None]]

    def test_the_client_is_closed_in_the_end(self, transport):
        with TestClient(make_app(AsyncStyleTransferClient(transport=transport))):
            assert not transport.closed
        assert transport.closed == 1


class TestRefused:
    @pytest.mark.parametrize(
        ("files", "data", "words"),
        [
            ({"content_image": FILES["content_image"]}, {}, "style_image is missing"),
            (None, {}, "content_image is missing"),
            (None, {"content_image": "text", "style_image": "text"}, "content_image is not a file"),
            (FILES, {"alpha": "much"}, "alpha is 'much'; expected a number."),
            (FILES, {"size": "4.5"}, "size is '4.5'; expected a whole number."),
            (FILES, {"segment": "perhaps"}, "segment is 'perhaps'; expected true or false."),
            (FILES, {"match": "closest"}, "match is 'closest'; expected published or nearest."),
            (FILES, {"pairs": "sky to sky"}, "pairs cannot be read"),
            (FILES, {"pairs": "[1, 2]"}, "pairs cannot be read"),
            (FILES, {"pairs": '[["a", 1]]'}, "expected pairs of labels"),
            (FILES | {"style_image": ("b.png", b"")}, {}, "style image is an empty file"),
            (FILES, {"size": "x" * 1000}, "x..."),
        ],
    )
    def test_forms(self, gateway, transport, files, data, words, refused):
        refused(gateway().post(URL, files=files, data=data), 400, words)
        assert not transport.calls

    def test_a_body_that_is_not_a_form(self, gateway, refused):
        headers = {"content-type": "multipart/form-data; boundary=x"}
        refused(gateway().post(URL, content=b"nonsense", headers=headers), 400)

    @pytest.mark.parametrize("path", [URL, "/regions/"])
    @pytest.mark.parametrize(
        ("error", "status", "words"),
        [
            (errors.RequestRejected("alpha is 2; expected less."), 400, "alpha is 2"),
            (errors.ServerUnavailable("Nobody at 10.0.0.1."), 503, "not ready"),
            (errors.ServerBusy("16 wait at 10.0.0.1."), 503, "request"),
            (errors.AccessDenied("10.0.0.1 wants an API key."), 502, "denies access"),
            (errors.RequestTimeout("Too slow."), 504, "in time"),
            (errors.ServerFailed("It broke.", request_id="abc"), 502, "It broke (request abc)."),
        ],
    )
    def test_what_the_server_says(self, gateway, transport, path, error, status, words, refused):
        transport.error = error
        response = gateway().post(path, files=FILES)
        refused(response, status, words)
        assert ("retry-after" in response.headers) == (status == 503)
        assert "10.0.0.1" not in response.text

    def test_an_unexpected_error(self, gateway, transport, refused):
        transport.error = RuntimeError("the secret of /srv")
        response = gateway(raise_server_exceptions=False).post(URL, files=FILES)
        refused(response, 500, "log")

    @pytest.mark.parametrize(
        ("path", "status", "words"),
        [
            ("/nowhere", 404, "nothing at this address"),
            ("/examples/..%2Fapp.py", 404, "nothing"),
            ("/static/../app.py", 404, "nothing"),
            (URL, 405, "method"),
        ],
    )
    def test_other_addresses_and_methods(self, gateway, path, status, words, refused):
        refused(gateway().get(path), status, words)


class TestBounds:
    def test_a_file(self, gateway, transport, refused):
        files = FILES | {"style_image": ("b.png", bytes(1001))}
        refused(gateway(SMALL).post(URL, files=files), 413, "style image has 0.000955 MiB")
        assert not transport.calls

    async def _send(self, messages, **scope):
        """What a gate answers to a body in pieces, and how many of them it read."""
        left = list(messages)

        async def app(scope, receive, send):
            while (await receive()).get("more_body"):
                pass

        async def receive():
            return left.pop(0)

        sent = await drive(UploadGate(app, SMALL), receive, **scope)
        return sent, len(messages) - len(left)

    async def test_a_declared_length_is_refused_unread(self):
        sent, read = await self._send([], headers=[(b"content-length", b"70000")])
        assert (sent[0]["status"], read) == (413, 0)
        assert b"MiB" in sent[1]["body"]

    async def test_bytes_are_counted_beyond_the_declared_length(self):
        piece = {"type": "http.request", "body": bytes(30_000), "more_body": True}
        with pytest.raises(HTTPException) as caught:
            await self._send([piece] * 9, headers=[(b"content-length", b"5")])
        assert caught.value.status_code == 413
        sent, read = await self._send([piece, {"type": "http.request", "body": b"end"}])
        assert (sent, read) == ([], 2)

    @pytest.mark.parametrize("pause", [60, 0.05], ids=["silent", "slow"])
    async def test_stalled_uploads_do_not_block_others(self, aside, pause):
        whole = httpx2.Request("POST", "http://localhost" + URL, files=FILES)
        body, headers = whole.read(), {"content-type": whole.headers["content-type"]}

        async def slowly():
            for byte in body:
                yield bytes([byte])
                await asyncio.sleep(pause)

        async with aside(GatewaySettings(max_requests=2, idle_s=0.3, min_bytes_per_s=1000)) as one:
            stalled = [
                asyncio.create_task(one.post(URL, content=slowly(), headers=headers))
                for _ in range(3)
            ]
            await asyncio.sleep(0.05)
            assert (await one.post(URL, files=FILES)).status_code == 200
            for response in await asyncio.wait_for(asyncio.gather(*stalled), 10):
                assert response.status_code == 408
                assert "slower than" in response.json()["detail"]
            assert (await one.post(URL, files=FILES)).status_code == 200

    def test_large_files_are_stored_on_disk_without_a_name(
        self, gateway, transport, tmp_path, monkeypatch
    ):
        """As docs/web.md and SECURITY.md say."""
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        opened, named, infer = [], [], transport.infer

        async def look(*arguments):
            descriptors = Path("/proc/self/fd").iterdir()
            opened.extend(str(one.readlink()) for one in descriptors if one.exists())
            named.extend(tmp_path.iterdir())
            return await infer(*arguments)

        transport.infer = look
        files = FILES | {"content_image": ("a.png", bytes(2 << 20))}
        assert gateway().post(URL, files=files).status_code == 200
        assert len([one for one in opened if one.startswith(str(tmp_path))]) == 1
        assert not named

    async def test_uploads_are_bounded_too(self):
        stall = asyncio.Event()

        async def app(scope, receive, send):
            await receive()

        async def receive():
            await stall.wait()
            return {"type": "http.request", "body": b""}

        gate = UploadGate(app, SMALL)
        uploads = [asyncio.create_task(drive(gate, receive)) for _ in range(SMALL.max_uploads)]
        await asyncio.sleep(0)
        assert (await drive(gate, receive))[0]["status"] == 503
        stall.set()
        assert await asyncio.gather(*uploads) == [[]] * SMALL.max_uploads
        assert await drive(gate, receive) == []

    async def test_one_request_too_many(self, aside, transport):
        """The second is refused while the first is computed, the third is not."""
        begun, done, infer = asyncio.Event(), asyncio.Event(), transport.infer

        async def slow(*arguments):
            begun.set()
            await done.wait()
            return await infer(*arguments)

        transport.infer = slow
        async with aside(SMALL) as caller:
            first = asyncio.create_task(caller.post(URL, files=FILES))
            await begun.wait()
            second = await caller.post(URL, files=FILES)
            assert second.status_code == 503
            assert "limit of 1 concurrent request;" in second.json()["detail"]
            assert "retry-after" in second.headers
            assert (await caller.get("/settings")).status_code == 200
            done.set()
            assert (await first).status_code == 200
            assert (await caller.post(URL, files=FILES)).status_code == 200

    async def test_a_caller_who_leaves_ends_the_call(self, transport):
        begun, ended = asyncio.Event(), asyncio.Event()

        async def endless(*arguments):
            begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()

        transport.infer = endless
        request = httpx2.Request("POST", "http://localhost" + URL, files=FILES)
        messages = [{"type": "http.request", "body": request.read(), "more_body": False}]

        async def receive():
            if messages:
                return messages.pop()
            await begun.wait()
            return {"type": "http.disconnect"}

        headers = [(name.lower(), value) for name, value in request.headers.raw]
        scope = {"path": URL, "headers": headers, "query_string": b"", "root_path": ""}
        app = make_app(AsyncStyleTransferClient(transport=transport))
        await asyncio.wait_for(drive(app, receive, **scope), 10)
        assert ended.is_set()


HERE = {"host": "localhost:8080"}
HOSTS = ("localhost", "LOCALHOST:8080", "127.0.0.1:8080", "[::1]:8080", "192.0.2.7", "photos.test")
REBOUND = ("evil.test", "evil.test:8080", "localhost.evil.test", "", "a b", "x@localhost")
OWN = (
    ("localhost:8080", "http://localhost:8080"),
    ("[::1]:8080", "http://[::1]:8080"),
    ("photos.test", "https://photos.test"),  # TLS ends at a proxy
    ("127.0.0.1:8080", "https://photos.test"),  # which may put its own host there
)
FOREIGN = (
    *("http://evil.test", "https://evil.test", "http://localhost:8080.evil.test"),
    *("http://localhost:3000", "http://127.0.0.1:3000"),  # another port is another site
    *("null", "chrome-extension://abc", ""),
)
NULL = {"origin": "null"}  # of pages without a referrer, as the gateway's own are


class TestOrigin:
    """Pages of other sites, which a browser lets send forms to this machine."""

    @pytest.mark.parametrize(
        ("headers", "status"),
        [
            *(({"host": host}, 200) for host in HOSTS),
            *(({"host": host}, 421) for host in REBOUND),  # a name made to mean this machine
            *(({"host": host, "origin": origin}, 200) for host, origin in OWN),
            *((HERE | {"origin": origin}, 403) for origin in FOREIGN),
            *((NULL | {"sec-fetch-site": site}, 403) for site in ("same-site", "cross-site")),
            (NULL | {"sec-fetch-site": "none"}, 403),
            (NULL | {"sec-fetch-site": "same-origin"}, 200),
            (NULL | {"sec-fetch-site": "same-origin", "host": "evil.test"}, 421),
        ],
    )
    def test_which_requests_are_taken(self, gateway, transport, headers, status, refused):
        caller = gateway(GatewaySettings(hosts=("photos.test",)))
        transport.outputs = FOUND_ANSWER
        answers = [caller.post(path, files=FILES, headers=headers) for path in (URL, "/regions/")]
        if status != 403:
            answers += [caller.get(path, headers=headers) for path in ("/settings", "/", "/health")]
        for response in answers:
            assert response.status_code == status
            if status != 200:
                refused(response, status, {403: " page", 421: "--allow-host"}[status])
        assert bool(transport.calls) == (status == 200)

    @pytest.mark.parametrize("port", [8080, 3000])
    def test_a_host_is_not_an_origin(self, gateway, port, refused):
        headers = HERE | {"origin": f"http://127.0.0.1:{port}"}
        caller = gateway(GatewaySettings(hosts=("localhost", "127.0.0.1") if port == 3000 else ()))
        refused(caller.post(URL, files=FILES, headers=headers), 403, " page")


class TestPage:
    def test_every_file_is_served_and_none_is_asked_for_elsewhere(self, gateway):
        caller = gateway()
        for path in ("/", "/docs"):
            page = caller.get(path)
            assert page.headers["content-type"].startswith("text/html")
            for link in re.findall(r'(?:src|href)="([^"#]+)"', page.text):
                assert link.startswith("/"), link
                assert caller.get(link).status_code == 200, link
        for file in STATIC.iterdir():
            assert caller.get(f"/static/{file.name}").status_code == 200
            for module in re.findall(r'from "\./(.+?)"', file.read_text()):
                assert (STATIC / module).is_file()
            addresses = re.findall(r"(?:https?:)?//[a-z]+\.[a-z]\S+", file.read_text())
            namespace = 'http://www.w3.org/2000/svg"'  # the name of a language, never asked for
            assert set(addresses) <= {namespace}, file.name

    def test_headers_keep_the_browser_here(self, gateway):
        caller = gateway()
        for path in ("/", "/static/main.js", "/settings", "/nowhere"):
            headers = caller.get(path).headers
            policy = headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert headers["x-content-type-options"] == "nosniff"
        assert "script-src 'self';" in caller.get("/docs").headers["content-security-policy"]
        for page in STATIC.glob("*.html"):  # the policy would keep inline ones from running
            text = page.read_text()
            assert not re.search(r"<style|\sstyle=|\son[a-z]+=", text)
            assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", text))

    def test_examples(self, gateway):
        caller = gateway()
        listed = caller.get("/settings").json()["examples"]
        assert [example["file"] for example in listed] == [picture.file for picture in GALLERY]
        for example in listed:
            assert caller.get(example["url"]).headers["content-type"] == "image/jpeg"
            assert example["alt"]
            assert example["credit"]
        assert picture_file("china_mask.png") is None

    def test_health(self, gateway, transport, refused):
        assert gateway().get("/health").json() == {"ready": True}
        transport.error = errors.ServerUnavailable("Nobody.")
        refused(gateway().get("/health"), 503, "not ready")

    def test_the_description_names_every_field(self, gateway):
        paths = gateway().get("/openapi.json").json()["paths"]
        assert set(paths) == {"/upload_images/", "/regions/", "/health", "/settings"}
        responses = paths["/upload_images/"]["post"]["responses"]
        kinds = [f"image/{kind}" for kind in ("png", "jpeg", "webp", "tiff", "x-portable-pixmap")]
        assert list(responses["200"]["content"]) == kinds
        assert {"400", "413", "502", "503", "504"} <= set(responses)
