"""Errors keep their class between models of the real server, which loses Triton's codes."""

from __future__ import annotations

from typing import Any

import pytest

from photoreal.error_codes import CODES
from photoreal.errors import ModelFailed, PhotorealError

pytestmark = pytest.mark.server

TEXT = "[photoreal:canceled] é is not an option; expected\none."


@pytest.mark.parametrize("kind", CODES.values(), ids=list(CODES))
def test_the_class_and_the_message_of_an_error_arrive(
    kind: type[PhotorealError], triton: Any
) -> None:
    status, error = triton.infer("caller", kind.__name__, TEXT)
    assert status == 200
    if kind is ModelFailed:
        assert error.startswith("ModelFailed: called: called failed with an internal error")
    else:
        assert error == f"{kind.__name__}: {kind(TEXT)}"


def test_a_client_sees_no_code(triton: Any) -> None:
    assert triton.infer("called", "InvalidOption", "size is 0.") == (400, "size is 0.")
