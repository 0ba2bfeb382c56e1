"""The benchmark of full resolution: ways to carry a result over, and their measures."""

from __future__ import annotations

import json
from pathlib import Path

import full_resolution
import numpy as np
import pytest
from full_resolution import AGREEMENT, DIRECT, Transfers, as_markdown, measure
from upsampling import SERVER, WAYS

from photoreal.local_linear import FloatArray
from photoreal.preprocess import resize_photo


@pytest.fixture(scope="module")
def found() -> Transfers:
    """A textured photo, and a change of color that is the same at both sizes."""
    rows, columns = np.mgrid[:96, :144]
    texture = np.random.default_rng(0).normal(0, 0.04, (96, 144))
    planes = [0.3 + rows / 300, 0.7 - columns / 400, 0.4 + 0.2 * np.sin(columns / 20)]
    pixels = np.rint((np.stack(planes, axis=-1) + texture[..., None]).clip(0, 1) * 255)
    photo = resize_photo(pixels.astype(np.uint8), 96, 144)
    small = resize_photo(pixels.astype(np.uint8), 48, 72)

    def change(picture: FloatArray) -> FloatArray:
        return picture[::-1] * np.float32(0.6) + np.float32(0.1)

    return Transfers(small, change(small), photo, change(photo))


@pytest.mark.parametrize("name", [*WAYS])
def test_ways_follow_one_change_of_color(found: Transfers, name: str) -> None:
    rows = measure(found)
    assert rows[name]["psnr_db"] > 20
    if name in (SERVER, "bilateral grid"):
        assert rows[name]["psnr_db"] > 45
        assert rows[name]["structure"] > 0.98
    assert rows["enlarged"]["structure"] < 0.7


def test_two_equal_runs_agree_and_keep_the_same_structure(found: Transfers) -> None:
    rows = measure(found)
    assert rows[AGREEMENT]["psnr_db"] > 35
    assert rows[DIRECT]["structure"] > 0.98


def test_table_has_medians_and_the_worst(found: Transfers) -> None:
    rows = measure(found)
    worse = {name: {key: value - 0.1 for key, value in row.items()} for name, row in rows.items()}
    worse[DIRECT] = rows[DIRECT]
    pairs = {
        str(number): {"megapixels": 2.0, "ways": ways}
        for number, ways in enumerate((rows, rows, worse))
    }
    text = "\n".join(as_markdown("photos", pairs))
    psnr_db, structure = rows[SERVER]["psnr_db"], rows[SERVER]["structure"]
    gain = structure - 0.1 - rows[DIRECT]["structure"]
    cells = f"{psnr_db:.1f} ({psnr_db - 0.1:.1f}) | {structure:.3f} ({structure - 0.1:.3f})"
    assert f"| {SERVER} | {cells} | {gain:+.3f} |" in text
    assert "3 pairs, 2.0 to 2.0 megapixels." in text


def test_kept_transfers_are_used_again(
    found: Transfers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run whose transfers are kept writes its report without any network."""
    examples = Path(__file__).parents[2] / "examples"
    pairs = [one["name"] for one in json.loads((examples / "pairs.json").read_text())]
    for name in pairs:
        np.savez(tmp_path / f"examples-{name}.npz", **found._asdict())
    monkeypatch.setattr(full_resolution, "transfers", pytest.fail)
    code = full_resolution.main([str(examples), "-o", str(tmp_path), "--keep", str(tmp_path)])
    assert code == 0
    report = json.loads((tmp_path / "full_resolution.json").read_text())
    assert list(report["examples"]) == pairs
    assert report["examples"][pairs[0]]["working_size"] == 48
    assert "## examples" in (tmp_path / "full_resolution.md").read_text()
