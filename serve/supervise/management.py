"""Calls of the supervisor to a server: liveness, metrics, model reload and test requests."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import MappingProxyType
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from photoreal import contract
from photoreal.contract import CANARY_ID, ModelSpec, TensorSpec
from photoreal.errors import ServeError
from photoreal.serve.backend.metrics import WAITING, WORKING

_ASK_S = 1.0
_LOAD_S = 120.0
_SIDE = 16
# Ignores proxies from the environment: the server is on this machine.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class Management:
    """Client of a server on this machine.

    `key` is for the management endpoints, `api_key` for inference if the server requires one.
    """

    def __init__(
        self, http_url: str, metrics_url: str, key: str, api_key: str | None = None
    ) -> None:
        self._url = f"http://{http_url}/v2"
        self._metrics_url = metrics_url
        self._headers = {"Content-Type": "application/json", "admin-key": key}
        if api_key is not None:
            self._headers[contract.API_KEY_HEADERS["http"]] = api_key

    def is_alive(self) -> bool:
        """Whether tritonserver itself responds."""
        try:
            self._get(f"{self._url}/health/live")
        except OSError:
            return False
        return True

    def completed(self) -> float | None:
        """Number of `stylize` requests that were served, None if unknown."""
        stylized = {"model": contract.STYLIZE.name, "outcome": "ok"}
        return self._metric("photoreal_requests_total", stylized)

    def has_pending_requests(self) -> bool:
        """Whether `stylize` has pending requests; True if unknown."""
        counts = [self._metric(name) for name in (WAITING, WORKING)]
        return any(count is None or count > 0 for count in counts)

    def _metric(self, name: str, labels: Mapping[str, str] = MappingProxyType({})) -> float | None:
        """Read a value of the server's metrics, None if it is not available."""
        try:
            text = self._get(self._metrics_url).decode()
        except OSError:
            return None
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.name == name and labels.items() <= sample.labels.items():
                    return float(sample.value)
        return None

    def reload(self, model: str) -> None:
        """Reload a model and wait until it is ready; raises ServeError.

        Triton skips the load if nothing has changed in the model's folder, even if the model is
        dead. So the request carries the model's config with a timestamp. The old instance stays
        until the new one is ready: if it were unloaded first, callers would be told that the model
        does not exist.
        """
        try:
            config = json.loads(self._get(f"{self._url}/models/{model}/config"))
            config.setdefault("parameters", {})["loaded_at"] = {"string_value": str(time.time())}
            body = {"parameters": {"config": json.dumps(config)}}
            self._post(f"repository/models/{model}/load", body, _LOAD_S)
        except (OSError, ValueError) as error:
            raise ServeError(f"{model} could not be reloaded ({_reason(error)}).") from error

    def failing(self, models: Sequence[str], timeout_s: float) -> dict[str, str]:
        """Send each model a small request, and return those that failed, each with its reason.

        `stylize` is skipped, since it depends on the other models.
        """
        specs = [spec for spec in contract.models() if spec.name in models]
        leaves = [spec for spec in specs if spec is not contract.STYLIZE]
        with ThreadPoolExecutor(max(len(leaves), 1)) as pool:
            reasons = pool.map(lambda spec: self._try(spec, timeout_s), leaves)
        return {spec.name: reason for spec, reason in zip(leaves, reasons, strict=True) if reason}

    def _try(self, spec: ModelSpec, timeout_s: float) -> str | None:
        inputs = [_zeros(one, spec.max_batch_size > 0) for one in spec.inputs if not one.optional]
        if spec is contract.WCT2:  # no region pairs: the networks run, no style is measured
            inputs.append({"name": "PAIRS", "datatype": "INT32", "shape": [0, 2], "data": []})
        try:
            body = {"id": CANARY_ID, "inputs": inputs}
            self._post(f"models/{spec.name}/infer", body, timeout_s)
        except urllib.error.HTTPError as error:
            return _reason(error)
        except OSError:
            return TIMED_OUT
        return None

    def _get(self, url: str) -> bytes:
        with _OPENER.open(url, timeout=_ASK_S) as answer:
            return bytes(answer.read())

    def _post(self, path: str, body: dict[str, Any], timeout_s: float) -> None:
        request = urllib.request.Request(  # noqa: S310 (the address is the server's own)
            f"{self._url}/{path}", json.dumps(body).encode(), self._headers
        )
        with _OPENER.open(request, timeout=timeout_s) as answer:
            answer.read()


TIMED_OUT = "no answer"
"""Reason given for a model that did not answer in time."""


def _zeros(spec: TensorSpec, batched: bool) -> dict[str, Any]:
    """A small input of zeros, as JSON."""
    shape = [_SIDE // spec.stride if size < 0 else size for size in spec.dims]
    count = 1
    for size in shape:
        count *= size
    return {
        "name": spec.name,
        "datatype": spec.dtype,
        "shape": [1, *shape] if batched else shape,
        "data": [0] * count,
    }


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        try:
            return str(json.loads(error.read())["error"]).partition("\n")[0]
        except (OSError, ValueError, KeyError, TypeError):
            return f"HTTP status {error.code}"
    return str(getattr(error, "reason", error))
