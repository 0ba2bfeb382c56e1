"""Presets outlive the process that keeps what was measured of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from photoreal.client import StyleTransferClient

pytestmark = pytest.mark.server


@pytest.mark.long
def test_presets_are_measured_again_after_wct2_died(
    serving: Callable[..., Any], wait: Callable[..., float], tmp_path: Path
) -> None:
    style = tmp_path / "style.png"
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).resize((64, 64)).save(style)

    def measured() -> int:
        return int(service.log.count("style.png: measured"))

    with serving("--presets", str(tmp_path), "--canary-interval=2") as service:
        wait("the preset is measured", lambda: measured() == 1)
        service.model("wct2").kill()
        wait("the preset is measured again", lambda: measured() == 2)
        with StyleTransferClient(service.url("http")) as client:
            assert client.stylize(style, style).report["style"] == "cached"
