"""Stylize the example photos with a real Triton server, over HTTP and over gRPC.

Writes each result, and content, style and result side by side, to the folder `demo`.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from PIL import Image

from panels import side_by_side
from photoreal.client import StyleTransferClient, StylizeResult
from photoreal.client.address import Protocol
from photoreal.errors import PhotorealError
from photoreal.serve.launch.embedded import embedded_server
from photoreal.serve.launch.launcher import Server

EXAMPLES = Path(__file__).parent
OUTPUT = Path("demo")
PAIRS = ("pagoda-dusk", "lake-dusk")


def main() -> int:
    """Run the demo; the exit code is 1 if the server fails or the protocols disagree."""
    OUTPUT.mkdir(exist_ok=True)
    pairs = {pair["name"]: pair for pair in json.loads((EXAMPLES / "pairs.json").read_text())}
    started = time.perf_counter()
    try:
        with embedded_server() as server:
            print(f"Triton answers after {time.perf_counter() - started:.1f} s")
            same = [_stylize(server, pairs[name]) for name in PAIRS]
        print("Triton stopped")
    except PhotorealError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    return 0 if all(same) else 1


def _stylize(server: Server, pair: dict[str, str]) -> bool:
    """Stylize one pair over both protocols; return whether both gave the same picture."""
    print(f"\n{pair['name']}: {pair['content']} in the light of {pair['style']}")
    results = {}
    addresses: tuple[tuple[Protocol, str], ...] = (
        ("http", server.http_url),
        ("grpc", server.grpc_url),
    )
    for protocol, url in addresses:
        with StyleTransferClient(url, protocol=protocol) as client:
            started = time.perf_counter()
            results[protocol] = client.stylize(
                EXAMPLES / pair["content"],
                EXAMPLES / pair["style"],
            )
            elapsed = time.perf_counter() - started
        stages = "  ".join(
            f"{stage} {seconds:.2f}"
            for stage, seconds in results[protocol].report["seconds"].items()
        )
        print(f"  {protocol}  {elapsed:6.2f} s   in the server: {stages}")
    result = results["http"]
    result.save(OUTPUT / f"{pair['name']}.jpg")
    _side_by_side(pair, result).save(OUTPUT / f"{pair['name']}-side-by-side.jpg", quality=90)
    print(
        f"  picture       {OUTPUT / pair['name']}.jpg ({result.image.width}x{result.image.height})"
    )
    print(f"  side by side  {OUTPUT / pair['name']}-side-by-side.jpg")
    same = result.data == results["grpc"].data
    print(f"  HTTP and gRPC gave {'the same bytes' if same else 'different pictures'}")
    return same


def _side_by_side(pair: dict[str, str], result: StylizeResult) -> Image.Image:
    """Content, style and result side by side, at the result's height."""
    photos = [Image.open(EXAMPLES / pair[role]) for role in ("content", "style")]
    return side_by_side([*photos, result.image], result.image.height)


if __name__ == "__main__":
    sys.exit(main())
