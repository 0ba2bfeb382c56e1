"""`photoreal upload`: send two photos to a gateway, and write the picture to a file."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import click

from photoreal.client._images import encode_image
from photoreal.client._transport.call import DEFAULT_TIMEOUT
from photoreal.client.cli.terminal import check_output, progress
from photoreal.client.errors import (
    ClientError,
    InvalidInput,
    RequestRejected,
    RequestTimeout,
    ServerFailed,
    ServerUnavailable,
)
from photoreal.client.result import output_format, write_aside

_PATH = click.Path(path_type=Path)
_URL = "http://127.0.0.1:8080/upload_images/"
_PNG = b"\x89PNG"


@click.command()
@click.option("--api-url", "--api_url", default=_URL, show_default=True, metavar="URL")
@click.option("--content-image", "--content_image", type=_PATH, required=True, metavar="PHOTO")
@click.option("--style-image", "--style_image", type=_PATH, required=True, metavar="PHOTO")
@click.option("--content-mask", "--content_mask", type=_PATH, metavar="MASK")
@click.option("--style-mask", "--style_mask", type=_PATH, metavar="MASK")
@click.option("--alpha", help="Strength of the transfer, from 0 to 1.")
@click.option("--size", metavar="PIXELS", help="Shorter side of the picture.")
@click.option(
    "-o",
    "--output",
    type=_PATH,
    default=Path("result.png"),
    show_default=True,
    metavar="OUT",
    help="Output file, a PNG.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=DEFAULT_TIMEOUT,
    show_default=True,
    metavar="SECONDS",
)
@click.option("-q", "--quiet", is_flag=True, help="Print only errors.")
def upload(
    api_url: str,
    output: Path,
    timeout: float,
    quiet: bool,
    alpha: str | None,
    size: str | None,
    **files: Path | None,
) -> None:
    """Send two photos to a gateway and write the picture that comes back.

    The gateway is `photoreal web`, or anything with the same endpoint.
    """
    check_output(output)
    if output_format(output) != "PNG":
        raise InvalidInput(
            f"The output {str(output)!r} is not a .png file; the gateway returns PNG."
        )
    fields: dict[str, str | bytes | None] = {"alpha": alpha, "size": size}
    for name, path in files.items():
        fields[name] = None if path is None else encode_image(path, name.replace("_", " "))
    with progress(quiet) as say:
        say("Waiting for the picture")
        try:
            picture = asyncio.run(_post(api_url, fields, timeout))
        except TimeoutError:
            raise RequestTimeout(f"{api_url} did not answer within {timeout:g} seconds.") from None
    try:
        write_aside(output, picture)
    except OSError as error:
        raise click.ClickException(
            f"{str(output)!r} cannot be written: {error.strerror or error}."
        ) from None
    if not quiet:
        click.echo(f"{output}: {len(picture)} bytes.")


async def _post(url: str, fields: dict[str, str | bytes | None], timeout: float) -> bytes:
    import aiohttp  # a dependency of tritonclient that is slow to import

    form = aiohttp.FormData()
    for name, value in fields.items():
        if value is not None:
            form.add_field(name, value, filename=name if isinstance(value, bytes) else None)
    try:
        limit = aiohttp.ClientTimeout(total=timeout)
        async with (
            aiohttp.ClientSession(timeout=limit) as session,
            session.post(url, data=form) as answer,
        ):
            body = await answer.read()
            if answer.status == 200 and body.startswith(_PNG):
                return body
            raise _failure(url, answer.status, _detail(body))
    except aiohttp.InvalidURL:
        raise InvalidInput(f"The address {url!r} cannot be read; expected {_URL}.") from None
    except aiohttp.ClientError as error:
        raise ServerUnavailable(f"No response from {url} ({error}).") from None


def _detail(body: bytes) -> str | None:
    """The sentence in a gateway's error response, or None if there is none."""
    try:
        detail = json.loads(body)["detail"]
    except (ValueError, LookupError, TypeError):
        return None
    return detail if isinstance(detail, str) else None


def _failure(url: str, status: int, detail: str | None) -> ClientError:
    if detail is None:
        return ServerFailed(f"The server at {url} is not a gateway (HTTP status {status}).")
    kinds: dict[int, type[ClientError]] = {503: ServerUnavailable, 504: RequestTimeout}
    if 400 <= status < 500:
        return RequestRejected(detail)
    return kinds.get(status, ServerFailed)(detail)
