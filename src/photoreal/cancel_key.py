"""The key under which a request can be canceled: 32 hexadecimal digits in lower case."""

from __future__ import annotations

import re
import uuid

_KEY = re.compile("[0-9a-f]{32}")


def new_key() -> str:
    """Make a key that nobody can guess."""
    return uuid.uuid4().hex


def is_key(value: object) -> bool:
    """Whether something may be a key."""
    return isinstance(value, str) and _KEY.fullmatch(value) is not None
