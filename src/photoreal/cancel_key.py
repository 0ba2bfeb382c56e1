"""Cancellation key of a request: 32 lower-case hexadecimal digits."""

from __future__ import annotations

import re
import uuid

_KEY = re.compile("[0-9a-f]{32}")


def new_key() -> str:
    """Generate an unguessable key."""
    return uuid.uuid4().hex


def is_key(value: object) -> bool:
    """Whether a value has the format of a key."""
    return isinstance(value, str) and _KEY.fullmatch(value) is not None
