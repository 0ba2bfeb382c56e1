"""Error responses of the gateway: JSON, `{"detail": "a sentence"}`, with the matching status."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from photoreal.client.errors import (
    AccessDenied,
    CallerError,
    ClientError,
    RequestTimeout,
    ServerBusy,
    ServerUnavailable,
)
from photoreal.contract import API_KEY_VARIABLE

RETRY_LATER = {"Retry-After": "10"}
"""Header of responses to requests that may be retried later, in seconds."""

_EXPECTED = {
    "float_parsing": "a number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "bool_parsing": "true or false",
    "value_error": "an image file",  # text in a file field
}
_STATUS_SENTENCES = {
    404: "There is nothing at this address; the API is described at /docs.",
    405: "This address does not support that method; the API is described at /docs.",
}
_log = logging.getLogger("photoreal.web")


def sentence_response(
    status: int, sentence: str, headers: Mapping[str, str] | None = None
) -> JSONResponse:
    """Return a response that states the error in one sentence."""
    return JSONResponse({"detail": sentence}, status, dict(headers or {}))


def install_handlers(app: FastAPI) -> None:
    """Install handlers that turn every exception of a request into a sentence."""
    # Starlette's types require handlers of any exception; each is called with its own type only.
    handlers: dict[type[Exception], Any] = {
        ClientError: _client_error,
        RequestValidationError: _wrong_form,
        HTTPException: _http_error,
        Exception: _unexpected,
    }
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)


async def _client_error(request: Request, error: ClientError) -> JSONResponse:
    sentence = str(error)
    if isinstance(error, AccessDenied):  # the key belongs to the gateway, not to its caller
        _log.error("%s Set it in the environment variable %s.", sentence, API_KEY_VARIABLE)
        return sentence_response(502, "The stylization server denies access.")
    if isinstance(error, CallerError):
        return sentence_response(400, sentence)
    if isinstance(error, ServerBusy):
        _log.warning("%s", sentence)
        return sentence_response(
            503, "The request queue of the server is full; retry later.", RETRY_LATER
        )
    if isinstance(error, ServerUnavailable):
        _log.warning("%s", sentence)
        return sentence_response(503, "The stylization server is not ready.", RETRY_LATER)
    if isinstance(error, RequestTimeout):
        _log.warning("%s", sentence)
        return sentence_response(
            504, "The picture was not ready in time; a smaller size is faster."
        )
    _log.error("%s Request %s.", sentence, error.request_id)
    return sentence_response(502, f"{sentence.rstrip('.')} (request {error.request_id}).")


async def _wrong_form(request: Request, error: RequestValidationError) -> JSONResponse:
    return sentence_response(400, " ".join(_sentence(one) for one in error.errors()))


def _sentence(error: Mapping[str, Any]) -> str:
    field = str(error["loc"][-1])
    if error["type"] == "missing":
        return f"{field} is missing; expected it in a multipart form."
    expected = _EXPECTED.get(error["type"])
    if expected == "an image file":
        return f"{field} is not a file; expected an image file."
    if error["type"] == "literal_error":
        expected = str(error["ctx"]["expected"]).replace("'", "")
    value = str(error.get("input"))
    shown = repr(value if len(value) <= 40 else f"{value[:40]}...")
    return f"{field} is {shown}; expected {expected or 'another value'}."


async def _http_error(request: Request, error: HTTPException) -> JSONResponse:
    sentence = _STATUS_SENTENCES.get(error.status_code, str(error.detail))
    if not sentence.endswith("."):
        sentence += "."
    return sentence_response(error.status_code, sentence, error.headers)


async def _unexpected(request: Request, error: Exception) -> JSONResponse:
    return sentence_response(500, "The gateway failed with an internal error; see its log.")
