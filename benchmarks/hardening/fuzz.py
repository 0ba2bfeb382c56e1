"""Fuzzing of a server: every response is a picture of the right size or a one-sentence error."""

from __future__ import annotations

import io
import json
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from PIL import Image
from speed.memory import session_processes

from hardening.cases import Case, make_case
from hardening.wire import PICTURE, REFUSED, Answer, over_grpc, over_http
from photoreal.preprocess import working_size
from photoreal.serve.launch.launcher import Server
from photoreal.triton_messages import Condition, reports

LONGEST_SENTENCE = 400

_LEAKS = ("Traceback", ".py", "site-packages", "object at 0x", sys.prefix)


@dataclass
class Outcome:
    """Outcome of a run of inputs; complaints are the responses that are not allowed."""

    pictures: int = 0
    refused: int = 0
    complaints: list[str] = field(default_factory=list)
    slowest_s: float = 0.0

    @property
    def tried(self) -> int:
        """Number of inputs sent."""
        return self.pictures + self.refused + len(self.complaints)

    def __str__(self) -> str:
        return (
            f"{self.tried} inputs: {self.pictures} pictures, {self.refused} refused,"
            f" {len(self.complaints)} complaints; the slowest took {self.slowest_s:.1f} s"
        )


def try_inputs(
    server: Server, seed: int, numbers: Iterable[int], until: float = float("inf")
) -> Outcome:
    """Send the inputs of these numbers, alternating between HTTP and gRPC.

    Args:
        server: the server; its processes must stay the same.
        seed: seed of the inputs.
        numbers: which of the seed's inputs.
        until: when to stop even before the last of them, as `time.monotonic` counts.
    """
    outcome = Outcome()
    processes = session_processes(server.pid)
    for number in numbers:
        case = make_case(seed, number)
        send = over_grpc if number % 2 else over_http
        started = time.monotonic()
        if started > until:
            break
        try:
            answer = send(server, case.tensors)
            complaint = judge(case, answer)
        except (OSError, ValueError) as error:
            answer, complaint = Answer("none"), str(error)
        outcome.slowest_s = max(outcome.slowest_s, time.monotonic() - started)
        if complaint:
            outcome.complaints.append(f"input {number} of seed {seed} ({case.name}): {complaint}")
        elif answer.status == PICTURE:
            outcome.pictures += 1
        else:
            outcome.refused += 1
    if session_processes(server.pid) != processes:
        outcome.complaints.append(f"a process died among the inputs of seed {seed}")
    return outcome


def judge(case: Case, answer: Answer) -> str:
    """What is wrong with a response; empty for a picture or a valid error."""
    if answer.status == PICTURE:
        return _judge_picture(case.size, answer)
    if answer.status == REFUSED:
        return judge_sentence(answer.message, ours=case.ours)
    if not case.ours and reports(answer.message, Condition.INVALID_FIELD):
        return judge_sentence(answer.message, ours=False)
    return f"{answer.status}: {answer.message[:LONGEST_SENTENCE]}"


def judge_sentence(message: str, *, ours: bool) -> str:
    """What is wrong with the sentence of an error; empty if nothing."""
    if not message or len(message) > LONGEST_SENTENCE or "\n" in message:
        return f"not one sentence: {message[:LONGEST_SENTENCE]!r}"
    if any(leak in message for leak in _LEAKS):
        return f"reveals internals of the server: {message!r}"
    if ours and not message.endswith("."):
        return f"not in our words: {message!r}"
    return ""


def _judge_picture(size: int, answer: Answer) -> str:
    with Image.open(io.BytesIO(answer.outputs["CONTENT_LABELS"])) as labels:
        wide, tall = labels.size  # those of the photo
    report = json.loads(answer.outputs["REPORT"])
    if report["method"] == "published":
        tall, wide = working_size(tall, wide, size)
    with Image.open(io.BytesIO(answer.outputs["IMAGE"])) as image:
        image.load()
        fits = image.format in ("PNG", "JPEG") and image.mode == "RGB"
        if not fits or image.size != (wide, tall):
            return f"a {image.format} {image.mode} of {image.size}; expected {(wide, tall)}"
    if (report["height"], report["width"]) != (tall, wide):
        return f"the report says {report['width']}x{report['height']}"
    return ""
