"""Two hundred bad inputs; thousands more are in `make soak`."""

from __future__ import annotations

import pytest
from hardening import fuzz, growth
from hardening.cases import make_case
from hardening.wire import Answer

from photoreal.serve.launch.launcher import Server

pytestmark = pytest.mark.server

SEED = 20
WARM_UP, INPUTS = 50, 200


def test_inputs_depend_on_seed_and_number_alone() -> None:
    first = [make_case(SEED, number) for number in range(40)]
    assert [make_case(SEED, number) for number in reversed(range(40))] == first[::-1]
    assert make_case(SEED + 1, 0) != first[0]
    assert len({case.name for case in first}) > 20


def test_every_input_gives_a_picture_or_a_sentence_and_memory_stays(server: Server) -> None:
    outcome = fuzz.try_inputs(server, SEED, range(WARM_UP))
    before = growth.measure(server)
    later = fuzz.try_inputs(server, SEED, range(WARM_UP, INPUTS))
    after = growth.measure(server)
    print(f"seed {SEED}", outcome, later, growth.compare(before, after), sep="\n")
    assert outcome.complaints + later.complaints == []
    assert outcome.tried + later.tried == INPUTS
    assert min(later.pictures, later.refused) > 20
    assert growth.complaints(before, after) == []


@pytest.mark.parametrize(
    ("message", "ours", "complaint"),
    [
        ("alpha is 2; expected a number from 0 to 1.", True, ""),
        ("alpha is 2", True, "not in our words"),
        ("unexpected shape for input 'SIZE'", False, ""),
        ("It broke.\nAt: here", False, "not one sentence"),
        ("", True, "not one sentence"),
        ("x" * 500 + ".", True, "not one sentence"),
        ("Traceback of something.", True, "inside"),
        ("model.py failed.", True, "inside"),
    ],
)
def test_what_counts_as_a_sentence(message: str, ours: bool, complaint: str) -> None:
    found = fuzz.judge_sentence(message, ours=ours)
    assert (complaint in found) if complaint else not found


def test_a_failure_is_a_complaint() -> None:
    case = make_case(SEED, 0)
    assert "500" in fuzz.judge(case, Answer("500", "stylize failed."))
    assert "INTERNAL" in fuzz.judge(case, Answer("INTERNAL", "stylize failed."))
