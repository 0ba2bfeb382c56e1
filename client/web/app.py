"""The gateway's application: routes that turn forms into client calls, and the page's files."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import asdict
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, TypeVar

from fastapi import Depends, FastAPI, Request, Response
from fastapi.responses import FileResponse, JSONResponse
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

from photoreal import __version__
from photoreal.client.async_client import AsyncStyleTransferClient
from photoreal.client.result import FoundRegions
from photoreal.client.web.errors import RETRY_LATER, install_handlers, sentence_response
from photoreal.client.web.forms import Form, form
from photoreal.client.web.gallery import GALLERY, picture_file
from photoreal.client.web.gate import SecureHeaders, UploadGate
from photoreal.client.web.origin import KnownHosts
from photoreal.client.web.settings import GatewaySettings
from photoreal.contract import DEFAULT_ALPHA, DEFAULT_SIZE
from photoreal.options import FORMATS, MAX_OUTPUT_SIZE
from photoreal.preprocess.limits import Limits

STATIC = Path(__file__).parent / "static"
# Swagger UI sets inline styles on the elements that it creates.
_DOCS_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline';"
    " img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'"
)
_CLIENT_GONE = 499
_Pictures = Annotated[Form, Depends(form("form"))]
_Regions = Annotated[Form, Depends(form("regions"))]

T = TypeVar("T")


def make_app(client: AsyncStyleTransferClient, settings: GatewaySettings | None = None) -> FastAPI:
    """Create the application; it closes the client on shutdown.

    Args:
        client: a client of the Triton server that makes the pictures.
        settings: the gateway's limits; the default ones if None.
    """
    bounds = settings or GatewaySettings()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        await client.close()

    app = FastAPI(
        title="photoreal",
        version=__version__,
        summary="Give a photo the colors, light and mood of another one.",
        docs_url=None,  # the default page loads third-party scripts
        redoc_url=None,
        lifespan=lifespan,
    )
    app.add_middleware(UploadGate, settings=bounds)
    app.add_middleware(KnownHosts, hosts=bounds.hosts)
    app.add_middleware(SecureHeaders)
    install_handlers(app)
    _add_pictures(app, client, bounds)
    _add_page(app, client, bounds)
    return app


def _media_type(kind: str) -> str:
    return "image/x-portable-pixmap" if kind == "raw" else f"image/{kind}"


def _add_pictures(app: FastAPI, client: AsyncStyleTransferClient, bounds: GatewaySettings) -> None:
    errors: dict[int | str, dict[str, Any]] = {
        status: {"description": words, "content": {"application/json": {"schema": _DETAIL}}}
        for status, words in ERRORS.items()
    }

    pictures: dict[str, Any] = {_media_type(kind): {} for kind in FORMATS}

    @app.post(
        "/upload_images/",
        summary="Stylize a photo",
        response_class=Response,
        responses={200: {"description": "The picture.", "content": pictures}, **errors},
    )
    async def upload_images(request: Request, form: _Pictures) -> Response:
        """Return the stylized picture, as PNG by default.

        The Server-Timing header has the milliseconds of each stage.
        """
        call = client.stylize(**_sized(await form.arguments(bounds), bounds.limits))
        result = await _while_present(request, call)
        headers = {
            "Content-Disposition": f'inline; filename="stylized.{result.format}"',
            "X-Request-Id": str(result.request_id),
            **_timing(result),
        }
        return Response(result.data, media_type=_media_type(result.format), headers=headers)

    @app.post("/regions/", summary="Find the regions of two photos", responses=errors)
    async def regions(request: Request, form: _Regions) -> JSONResponse:
        """Return both label maps, the names of the regions and the region pairs.

        The label maps (PNG, base64) and the pairs can be edited and sent with the photos to
        /upload_images/ as content_mask, style_mask and pairs.
        """
        call = client.find_regions(**await form.arguments(bounds))
        found = await _while_present(request, call)
        return JSONResponse(_regions_json(found), headers=_timing(found))


def _add_page(app: FastAPI, client: AsyncStyleTransferClient, bounds: GatewaySettings) -> None:
    @app.get("/health", summary="Readiness of the stylization server")
    async def health() -> JSONResponse:
        if await client.ready():
            return JSONResponse({"ready": True})
        return sentence_response(503, "The stylization server is not ready.", RETRY_LATER)

    @app.get("/settings", summary="Limits, defaults and example photos")
    async def page_settings() -> dict[str, Any]:
        return {
            "version": __version__,
            "max_file_bytes": bounds.max_file_bytes,
            "max_pixels": bounds.limits.max_pixels,
            "min_side": bounds.limits.min_side,
            "min_size": bounds.limits.min_size,
            "max_size": bounds.limits.max_size,
            "max_working_pixels": bounds.limits.max_working_pixels,
            "default_size": DEFAULT_SIZE,
            "max_output_size": MAX_OUTPUT_SIZE,
            "default_alpha": DEFAULT_ALPHA,
            "examples": [asdict(picture) | {"url": picture.url} for picture in GALLERY],
        }

    @app.get("/examples/{name}", include_in_schema=False)
    async def example(name: str) -> FileResponse:
        file = picture_file(name)
        if file is None:
            raise HTTPException(404)
        return FileResponse(file, headers={"Cache-Control": "max-age=3600"})

    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(STATIC / "index.html")

    @app.get("/docs", include_in_schema=False)
    async def docs() -> FileResponse:
        return FileResponse(STATIC / "docs.html", headers={"Content-Security-Policy": _DOCS_POLICY})

    # In an editable install, the files are symbolic links to the sources.
    app.mount("/static", StaticFiles(directory=STATIC, follow_symlink=True))
    swagger = resources.files("fastapi_swagger") / "resources"
    app.mount("/swagger", StaticFiles(directory=str(swagger)))


_DETAIL = {
    "type": "object",
    "properties": {"detail": {"type": "string", "description": "The error message."}},
}
ERRORS = {
    400: "A field or a photo is invalid.",
    403: "A page of another site sent the request.",
    408: "The upload stalled.",
    413: "A file is too large.",
    421: "The gateway does not answer to this host name.",
    502: "The server failed on this request, or denies the gateway access.",
    503: "The server is not ready, or too many requests are waiting.",
    504: "The picture was not ready in time.",
}


def _timing(found: FoundRegions) -> dict[str, str]:
    """The server's stage times as a Server-Timing header, which browsers display."""
    seconds = found.report.get("seconds") or {}
    stages = [f"{stage};dur={1000 * value:.1f}" for stage, value in seconds.items()]
    return {"Server-Timing": ", ".join(stages)} if stages else {}


def _regions_json(found: FoundRegions) -> dict[str, Any]:
    report = found.report
    labels = {region["name"]: region["label"] for region in report["style_regions"]}
    ours = {region["name"]: region["label"] for region in report["content_regions"]}
    return {
        "source": report["regions"],
        "content": {
            "labels": base64.b64encode(found.content_labels_png).decode(),
            "regions": report["content_regions"],
        },
        "style": {
            "labels": base64.b64encode(found.style_labels_png).decode(),
            "regions": report["style_regions"],
        },
        # A partner that is not a region of the style means the whole photo.
        "pairs": [
            [ours[str(pair["content"])], labels.get(str(pair["style"]))] for pair in report["pairs"]
        ],
        "width": report["width"],
        "height": report["height"],
        "seconds": report["seconds"],
    }


def _sized(arguments: dict[str, Any], limits: Limits) -> dict[str, Any]:
    """Use a lone `size` as the output size, with the server's default working size.

    A size out of range stays the working size, since the server's error names that. Results of
    the method "published" have the working size.
    """
    size = arguments.get("size")
    if (
        size is None
        or arguments.get("output_size") is not None
        or arguments.get("method") == "published"
        or not limits.min_size <= size <= limits.max_size
    ):
        return arguments
    return {**arguments, "size": None, "output_size": size}


async def _while_present(request: Request, call: Coroutine[Any, Any, T]) -> T:
    """Await a server call, and cancel it when the caller disconnects."""
    work = asyncio.ensure_future(call)
    gone = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            raise HTTPException(_CLIENT_GONE, "The caller disconnected.")
        return work.result()
    finally:
        for task in (work, gone):
            task.cancel()
        await asyncio.gather(work, gone, return_exceptions=True)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
