"""Options of every kind: a request is served just when each of them is in its range."""

from __future__ import annotations

import math
from typing import Any

import hypothesis
from hypothesis import strategies as st

from hardening import seeds
from hardening.cases import SIZES, Case
from hardening.fuzz import Outcome, judge
from hardening.wire import PICTURE, Wires, tensors
from photoreal.options import MATCH_RULES, MAX_BLEND, METHODS, PLACES
from photoreal.serve.launch.launcher import Server

_INT32 = st.integers(-(2**31), 2**31 - 1)
_FLOAT32 = st.floats(width=32)
_WORDS = st.text(max_size=60) | st.binary(max_size=60)
# Between the small sizes and those that are refused lie sizes that take seconds.
_SIZE = st.sampled_from(SIZES) | _INT32.filter(lambda size: not 16 <= size <= 2048)
_PLACES = st.lists(st.sampled_from((*PLACES, " encoder ", "")), max_size=4).map(",".join)

OPTIONS = st.fixed_dictionaries(
    {"size": _SIZE, "transfer_at": st.just("encoder") | _PLACES | _WORDS},
    optional={
        "alpha": st.floats(0, 1, width=32) | _FLOAT32,
        "method": st.sampled_from((*METHODS, "wct")),
        "color_strength": st.floats(0, 1, width=32) | st.just(math.nan),
        "wct2_strength": st.floats(0, 1, width=32),
        "blend": st.integers(0, MAX_BLEND) | _INT32,
        "match": st.sampled_from(MATCH_RULES) | _WORDS,
        "segment": st.just(False),
    },
)


def in_range(options: dict[str, Any]) -> bool:
    """Whether the table of inputs in docs/api.md allows these options."""
    blend = options.get("blend", 0)
    strengths = [options.get(name, 1.0) for name in ("alpha", "color_strength", "wct2_strength")]
    places, match, method = (
        _text(options["transfer_at"]),
        _text(options.get("match", "nearest")),
        _text(options.get("method", METHODS[0])),
    )
    return (
        16 <= options["size"] <= 2048
        and all(math.isfinite(one) and 0 <= one <= 1 for one in strengths)
        and 0 <= blend <= MAX_BLEND
        and match in MATCH_RULES
        and method in METHODS
        and places is not None
        and all(one.strip() in PLACES for one in places.split(","))
    )


def try_options(server: Server, seed: int, count: int) -> Outcome:
    """Send `count` requests with options of every kind; the first that fails is made smaller."""
    outcome = Outcome()
    photos = {"content": seeds.photos()["png"], "style": seeds.photos()["jpeg"]}
    with Wires(server) as wires:

        @hypothesis.seed(seed)
        @hypothesis.settings(
            max_examples=count,
            deadline=None,
            database=None,
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        @hypothesis.given(OPTIONS, st.booleans())
        def check(options: dict[str, Any], over_grpc: bool) -> None:
            wire = wires.grpc if over_grpc else wires.http
            answer = wire.send(tensors(**photos, **options))
            complaint = judge(Case("options", (), options["size"]), answer)
            if not complaint and (answer.status == PICTURE) != in_range(options):
                complaint = f"{answer.status} {answer.message}"
            if complaint:
                raise AssertionError(f"{options}: {complaint}")
            if answer.status == PICTURE:
                outcome.pictures += 1
            else:
                outcome.refused += 1

        try:
            check()
        except (AssertionError, OSError) as error:
            outcome.complaints.append(f"options of seed {seed}: {error}")
    return outcome


def _text(value: str | bytes) -> str | None:
    try:
        return value.decode() if isinstance(value, bytes) else value
    except UnicodeDecodeError:
        return None
