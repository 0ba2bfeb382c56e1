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

from photoreal.client import (
    AccessDenied,
    AsyncStyleTransferClient,
    RequestRejected,
    RequestTimeout,
    ServerBusy,
    ServerFailed,
    ServerUnavailable,
)
from photoreal.client.web import GatewaySettings, make_app
from photoreal.client.web.app import STATIC
from photoreal.client.web.gallery import GALLERY, picture_file
from photoreal.client.web.gate import UploadGate

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
        caller.__enter__()
        open_callers.append(caller)
        return caller

    yield make
    for caller in open_callers:
        caller.__exit__(None, None, None)


def refused(response, status, words, check_sentence):
    assert response.status_code == status, response.text
    assert list(response.json()) == ["detail"]
    assert words in response.json()["detail"]
    check_sentence(response.json()["detail"].replace(" /docs", ""))


class TestPictures:
    def test_the_four_fields_of_old(self, gateway, transport):
        response = gateway().post(URL, files=FILES, data={"alpha": "0.5", "size": "400"})
        assert response.status_code == 200, response.text
        assert response.headers["content-type"] == "image/png"
        assert response.content == png(PHOTO)
        assert transport.inputs == {
            "CONTENT": b"content",
            "STYLE": b"style",
            "ALPHA": 0.5,
            "OUTPUT_SIZE": 400,  # here the size is that of the picture
        }

    @pytest.mark.parametrize(
        ("data", "sizes"),
        [
            ({"size": "400"}, (None, 400)),
            ({"size": "400", "output_size": "900"}, (400, 900)),
            ({"output_size": "900"}, (None, 900)),
            ({"size": "400", "method": "published"}, (400, None)),
            ({"size": "3"}, (3, None)),  # the refusal names what was sent
            ({"size": "4000"}, (4000, None)),
        ],
    )
    def test_a_size_alone_is_the_picture_s(self, gateway, transport, data, sizes):
        assert gateway().post(URL, files=FILES, data=data).status_code == 200
        assert (transport.inputs.get("SIZE"), transport.inputs.get("OUTPUT_SIZE")) == sizes

    def test_stages_are_in_the_standard_header(self, gateway, transport):
        headers = gateway().post(URL, files=FILES).headers
        assert "transfer;dur=1500.0" in headers["server-timing"]
        assert headers["x-request-id"] == transport.calls[0][2]

    def test_every_other_field(self, gateway, transport):
        masks = {"content_mask": ("m.png", b"m"), "style_mask": ("n.png", b"n")}
        data = {
            "transfer_at": "encoder",
            "segment": "false",
            "match": "nearest",
            "blend": "2",
            "pairs": "[[1, 2], [3, null]]",
        }
        assert gateway().post(URL, files=FILES | masks, data=data).status_code == 200
        sent = transport.inputs
        assert (sent["CONTENT_MASK"], sent["STYLE_MASK"]) == (b"m", b"n")
        assert (sent["TRANSFER_AT"], sent["MATCH"]) == (b"encoder", b"nearest")
        assert (sent["SEGMENT"], sent["BLEND"]) == (False, 2)
        assert transport.calls[0][0]["PAIRS"].tolist() == [[1, 2], [3, -1]]

    def test_fields_left_empty_are_not_sent(self, gateway, transport):
        data = {"alpha": "", "size": "", "match": "", "pairs": ""}
        assert gateway().post(URL, files=FILES, data=data).status_code == 200
        assert sorted(transport.inputs) == ["CONTENT", "STYLE"]

    def test_regions(self, gateway, transport):
        transport.outputs = answer(IMAGE=None, REPORT=json.dumps(FOUND).encode())
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
            (None, {"content_image": "text", "style_image": "text"}, "content_image is not a file"),
            (FILES, {"alpha": "much"}, "alpha is 'much'; expected a number."),
            (FILES, {"size": "4.5"}, "size is '4.5'; expected a whole number."),
            (FILES, {"segment": "perhaps"}, "segment is 'perhaps'; expected true or false."),
            (FILES, {"match": "closest"}, "match is 'closest'; expected published or nearest."),
            (FILES, {"pairs": "sky to sky"}, "pairs cannot be read"),
            (FILES, {"pairs": "[1, 2]"}, "pairs cannot be read"),
            (FILES, {"pairs": '[["a", 1]]'}, "expected pairs of labels"),
            (FILES | {"style_image": ("b.png", b"")}, {}, "The style image is an empty file"),
            (FILES, {"size": "x" * 1000}, "x..."),
        ],
    )
    def test_forms(self, gateway, transport, files, data, words, check_sentence):
        refused(gateway().post(URL, files=files, data=data), 400, words, check_sentence)
        assert not transport.calls

    def test_a_body_that_is_no_form(self, gateway, check_sentence):
        headers = {"content-type": "multipart/form-data; boundary=x"}
        response = gateway().post(URL, content=b"nonsense", headers=headers)
        assert response.status_code == 400
        check_sentence(response.json()["detail"])
        refused(gateway().post(URL), 400, "content_image is missing", check_sentence)

    @pytest.mark.parametrize(
        ("error", "status", "words"),
        [
            (RequestRejected("alpha is 2; expected less."), 400, "alpha is 2"),
            (ServerUnavailable("Nobody at 10.0.0.1."), 503, "is not ready"),
            (ServerBusy("16 wait at 10.0.0.1."), 503, "As many requests wait"),
            (AccessDenied("10.0.0.1 wants an API key."), 502, "denies access"),
            (RequestTimeout("Too slow."), 504, "not ready in time"),
            (ServerFailed("It broke.", request_id="abc"), 502, "It broke (request abc)."),
        ],
    )
    def test_what_the_server_says(self, gateway, transport, error, status, words, check_sentence):
        transport.error = error
        for path in (URL, "/regions/"):
            response = gateway().post(path, files=FILES)
            refused(response, status, words, check_sentence)
            assert ("retry-after" in response.headers) == (status == 503)
            assert "10.0.0.1" not in response.text

    def test_what_nobody_thought_of(self, gateway, transport, check_sentence):
        transport.error = RuntimeError("the secret of /srv")
        response = gateway(raise_server_exceptions=False).post(URL, files=FILES)
        refused(response, 500, "log tells why", check_sentence)

    def test_other_addresses_and_methods(self, gateway, check_sentence):
        refused(gateway().get("/nowhere"), 404, "nothing at this address", check_sentence)
        refused(gateway().get("/examples/..%2Fapp.py"), 404, "nothing", check_sentence)
        refused(gateway().get("/static/../app.py"), 404, "nothing", check_sentence)
        refused(gateway().get(URL), 405, "does not take that method", check_sentence)


class TestBounds:
    SMALL = GatewaySettings(max_file_bytes=1000, max_requests=1)

    def test_a_file(self, gateway, transport, check_sentence):
        files = FILES | {"style_image": ("b.png", bytes(1001))}
        words = "The style image has 0.000955 MiB; expected at most"
        refused(gateway(self.SMALL).post(URL, files=files), 413, words, check_sentence)
        assert not transport.calls

    async def _send(self, messages, headers=()):
        """What a gate answers to a body in pieces, and how many of them it read."""
        read = 0

        async def app(scope, receive, send):
            while (await receive()).get("more_body"):
                pass

        async def receive():
            nonlocal read
            read += 1
            return messages[read - 1]

        sent = []

        async def send(message):
            sent.append(message)

        scope = {"type": "http", "method": "POST", "headers": list(headers)}
        await UploadGate(app, self.SMALL)(scope, receive, send)
        return sent, read

    async def test_a_declared_length_is_refused_unread(self):
        headers = [(b"content-length", b"70000")]
        sent, read = await self._send([], headers)
        assert (sent[0]["status"], read) == (413, 0)
        assert b"MiB" in sent[1]["body"]

    async def test_bytes_are_counted_whatever_was_declared(self):
        piece = {"type": "http.request", "body": bytes(30_000), "more_body": True}
        with pytest.raises(HTTPException) as caught:
            await self._send([piece] * 9, [(b"content-length", b"5")])
        assert caught.value.status_code == 413
        sent, read = await self._send([piece, {"type": "http.request", "body": b"end"}])
        assert (sent, read) == ([], 2)

    @pytest.mark.parametrize("pause", [60, 0.05], ids=["silent", "slow"])
    async def test_bodies_that_do_not_come_keep_nobody_out(self, transport, pause):
        """Eight callers that trickle, or say nothing, held the gateway for ever."""
        settings = GatewaySettings(max_requests=2, idle_s=0.3, min_bytes_per_s=1000)
        app = make_app(AsyncStyleTransferClient(transport=transport), settings)
        async with httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app), base_url="http://localhost"
        ) as caller:
            whole = httpx2.Request("POST", "http://localhost" + URL, files=FILES)
            body = whole.read()

            async def slowly():
                for byte in body:
                    yield bytes([byte])
                    await asyncio.sleep(pause)

            headers = {"content-type": whole.headers["content-type"]}
            stalled = [
                asyncio.create_task(caller.post(URL, content=slowly(), headers=headers))
                for _ in range(3)
            ]
            await asyncio.sleep(0.05)
            assert (await caller.post(URL, files=FILES)).status_code == 200
            for response in await asyncio.wait_for(asyncio.gather(*stalled), 10):
                assert response.status_code == 408
                assert "slower than" in response.json()["detail"]
            assert (await caller.post(URL, files=FILES)).status_code == 200

    def test_large_files_lie_on_disk_without_a_name(
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

        sent = []

        async def send(message):
            sent.append(message)

        gate = UploadGate(app, self.SMALL)
        scope = {"type": "http", "method": "POST", "headers": []}
        uploads = [
            asyncio.create_task(gate(scope, receive, send)) for _ in range(self.SMALL.max_uploads)
        ]
        await asyncio.sleep(0)
        assert not sent
        await gate(scope, receive, send)
        assert sent[0]["status"] == 503
        stall.set()
        await asyncio.gather(*uploads)
        await gate(scope, receive, send)
        assert len(sent) == 2  # the two messages of the one refusal

    async def test_one_request_too_many(self, transport):
        """The second is refused while the first is computed, the third is not."""
        begun, done = asyncio.Event(), asyncio.Event()
        infer = transport.infer

        async def slow(*arguments):
            begun.set()
            await done.wait()
            return await infer(*arguments)

        transport.infer = slow
        app = make_app(AsyncStyleTransferClient(transport=transport), self.SMALL)
        async with httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app), base_url="http://localhost"
        ) as caller:
            first = asyncio.create_task(caller.post(URL, files=FILES))
            await begun.wait()
            second = await caller.post(URL, files=FILES)
            assert second.status_code == 503
            assert second.json()["detail"] == (
                "The gateway is at its limit of 1 concurrent request; try again later."
            )
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
        app = make_app(AsyncStyleTransferClient(transport=transport))
        request = httpx2.Request("POST", "http://localhost" + URL, files=FILES)
        messages = [{"type": "http.request", "body": request.read(), "more_body": False}]

        async def receive():
            if messages:
                return messages.pop()
            await begun.wait()
            return {"type": "http.disconnect"}

        async def send(message):
            pass

        headers = [(name.lower(), value) for name, value in request.headers.raw]
        scope = {
            "type": "http", "method": "POST", "path": URL, "raw_path": URL.encode(),
            "query_string": b"", "headers": headers, "http_version": "1.1", "scheme": "http",
            "server": ("localhost", 80), "client": None, "root_path": "",
        }  # fmt: skip
        await asyncio.wait_for(app(scope, receive, send), 10)
        assert ended.is_set()


class TestOrigin:
    """Pages of other sites, which a browser lets send forms to this machine."""

    @pytest.mark.parametrize(
        "host",
        ["localhost", "LOCALHOST:8080", "127.0.0.1:8080", "[::1]:8080", "192.0.2.7", "photos.test"],
    )
    def test_known_hosts(self, gateway, host):
        caller = gateway(GatewaySettings(hosts=("photos.test",)))
        assert caller.get("/settings", headers={"host": host}).status_code == 200
        assert caller.post(URL, files=FILES, headers={"host": host}).status_code == 200

    @pytest.mark.parametrize(
        "host", ["evil.test", "evil.test:8080", "localhost.evil.test", "", "a b", "x@localhost"]
    )
    def test_a_name_that_was_made_to_mean_this_machine(
        self, gateway, transport, host, check_sentence
    ):
        headers = {"host": host}
        for path in ("/settings", "/", "/health"):
            refused(gateway().get(path, headers=headers), 421, "--allow-host", check_sentence)
        response = gateway().post(URL, files=FILES, headers=headers)
        refused(response, 421, "does not answer to the name", check_sentence)
        assert not transport.calls

    @pytest.mark.parametrize(
        "origin",
        [
            "http://evil.test",
            "https://evil.test",
            "http://localhost:3000",
            "http://127.0.0.1:8080",
            "http://localhost:8080.evil.test",
            "null",
            "chrome-extension://abc",
            "",
        ],
    )
    def test_a_foreign_page(self, gateway, transport, origin, check_sentence):
        headers = {"host": "localhost:8080", "origin": origin}
        for path in (URL, "/regions/"):
            response = gateway().post(path, files=FILES, headers=headers)
            refused(response, 403, "A page of another site", check_sentence)
        assert not transport.calls

    @pytest.mark.parametrize("origin", ["http://localhost:3000", "http://127.0.0.1:3000"])
    def test_another_port_of_this_machine_is_another_site(self, gateway, origin, check_sentence):
        caller = gateway(GatewaySettings(hosts=("localhost", "127.0.0.1")))  # as of --host
        headers = {"host": "localhost:8080", "origin": origin}
        response = caller.post(URL, files=FILES, headers=headers)
        refused(response, 403, "A page of another site", check_sentence)

    @pytest.mark.parametrize(
        ("host", "origin"),
        [
            ("localhost:8080", "http://localhost:8080"),
            ("[::1]:8080", "http://[::1]:8080"),
            ("photos.test", "https://photos.test"),  # TLS ends at a proxy
            ("127.0.0.1:8080", "https://photos.test"),  # which may put its own host there
        ],
    )
    def test_its_own_page(self, gateway, host, origin):
        caller = gateway(GatewaySettings(hosts=("photos.test",)))
        headers = {"host": host, "origin": origin}
        assert caller.post(URL, files=FILES, headers=headers).status_code == 200

    @pytest.mark.parametrize(
        ("site", "status"),
        [("same-origin", 200), ("same-site", 403), ("cross-site", 403), ("none", 403)],
    )
    def test_a_browser_s_word_on_where_a_page_is_from(self, gateway, site, status):
        """Pages without a referrer, as the gateway's own are, may have the origin null."""
        headers = {"origin": "null", "sec-fetch-site": site}
        assert gateway().post(URL, files=FILES, headers=headers).status_code == status
        headers["host"] = "evil.test"  # a name that was made to mean this machine
        assert gateway().post(URL, files=FILES, headers=headers).status_code == 421


class TestPage:
    def test_every_file_is_served_and_none_is_asked_for_elsewhere(self, gateway):
        caller = gateway()
        pages = {"/": caller.get("/").text, "/docs": caller.get("/docs").text}
        for path, text in pages.items():
            assert caller.get(path).headers["content-type"].startswith("text/html")
            for link in re.findall(r'(?:src|href)="([^"#]+)"', text):
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
        for path in ("/", "/static/main.js", "/settings", "/nowhere"):
            headers = gateway().get(path).headers
            policy = headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert headers["x-content-type-options"] == "nosniff"
        assert "script-src 'self';" in gateway().get("/docs").headers["content-security-policy"]

    def test_no_script_or_style_is_inline(self):
        """The policy would keep them from running."""
        for page in STATIC.glob("*.html"):
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

    def test_health(self, gateway, transport, check_sentence):
        assert gateway().get("/health").json() == {"ready": True}
        transport.error = ServerUnavailable("Nobody.")
        refused(gateway().get("/health"), 503, "is not ready", check_sentence)

    def test_the_description_names_every_field(self, gateway):
        paths = gateway().get("/openapi.json").json()["paths"]
        assert set(paths) == {"/upload_images/", "/regions/", "/health", "/settings"}
        responses = paths["/upload_images/"]["post"]["responses"]
        kinds = [f"image/{kind}" for kind in ("png", "jpeg", "webp", "tiff")]
        assert list(responses["200"]["content"]) == kinds
        assert {"400", "413", "502", "503", "504"} <= set(responses)
