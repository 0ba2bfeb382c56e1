"""The gateway: a web page and an HTTP endpoint for multipart forms, in front of Triton."""

from photoreal.client.web.app import make_app
from photoreal.client.web.settings import GatewaySettings

__all__ = ["GatewaySettings", "make_app"]
