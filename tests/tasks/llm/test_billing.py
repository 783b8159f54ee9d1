"""What a provider billed, by its own books, against what we counted."""

from __future__ import annotations

import itertools
import random
import threading
import time

import pytest

from tasks.llm.bounds import Bounds
from tasks.llm.protocol import ModelError, Request, Usage
from tasks.llm.transport import total
from tests.tasks.llm.provider import Provider, Reply, serving
from tests.tasks.llm.wires import ASKED, EVENTS, FAST, JSON, WIRES, Wire

UNBILLED = (429, 500, 503)


@pytest.mark.parametrize("wire", WIRES)
@pytest.mark.parametrize("seed", range(3))
def test_usage_when_faults_come_in_any_order_then_it_equals_what_was_billed(wire: Wire, seed: int) -> None:
    chance = random.Random(seed)
    billed, untold, replies = Usage(attempts=0), 0, []
    for _ in range(12):
        match chance.choice(["answer", "answer", "refusal", "reset", "garbage"]):
            case "answer":
                tokens = chance.randrange(1, 5000), chance.randrange(1, 900)
                replies.append(wire.said(tokens=tokens))
                billed = total(billed, Usage(input_tokens=tokens[0], output_tokens=tokens[1]))
                continue
            case "refusal":
                replies.append(wire.refused(chance.choice(UNBILLED)))
            case "reset":
                replies.append(Reply(resets=True))
                untold += 1
            case "garbage":
                replies.append(Reply(body=b"?", headers=JSON))
                untold += 1
        billed = total(billed, Usage(attempts=1))
    counted = Usage(attempts=0)
    with serving(*replies, wire.said(tokens=(0, 0))) as provider:
        while len(provider.bodies) < len(replies):
            counted = total(counted, spent(wire, provider))
        extra = len(provider.bodies) - len(replies)

    assert counted.attempts - extra == billed.attempts == len(replies)
    assert (counted.input_tokens, counted.output_tokens) == (billed.input_tokens, billed.output_tokens)
    assert counted.unanswered == untold


def spent(wire: Wire, provider: Provider) -> Usage:
    """What one ask cost, whether it was answered or not."""
    try:
        return wire.ask(provider).usage
    except ModelError as error:
        return error.usage


@pytest.mark.parametrize("wire", WIRES)
def test_usage_when_an_answer_comes_too_late_then_what_was_billed_for_it_is_marked(wire: Wire) -> None:
    late = threading.Event()
    slow = wire.said(tokens=(500, 50))
    slow.waits_for = late
    with serving(slow, wire.said(tokens=(500, 50))) as provider:
        answer = wire.ask(
            provider,
            Request(messages=ASKED.messages, timeout_seconds=20),
            bounds=Bounds(attempt_seconds=0.3, retries=FAST),
        )
        late.set()
        deadline = time.monotonic() + 5
        while len(provider.bodies) < 2:
            assert time.monotonic() < deadline

    billed_by_the_provider = 2
    assert answer.usage.attempts == billed_by_the_provider
    assert answer.usage.unanswered == 1
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (500, 50)


@pytest.mark.parametrize("wire", WIRES)
def test_usage_when_a_stream_is_cut_then_it_is_estimated_from_what_came(wire: Wire) -> None:
    with serving(Reply(pieces=wire.stream(itertools.repeat("four" * 250)), headers=EVENTS)) as provider:
        usage = wire.ask(provider, bounds=Bounds(streams=True, max_answer_bytes=40_000, retries=FAST)).usage

    assert usage.is_estimated
    assert 10_000 <= usage.output_tokens <= 10_500
    assert usage.input_tokens > 0
