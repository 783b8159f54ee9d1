"""Streamed answers on both wires: heard to the end, or cut where they have none."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator

import pytest

from tasks.llm.bounds import Bounds
from tasks.llm.protocol import Request, Usage
from tests.tasks.llm.provider import Reply, serving
from tests.tasks.llm.wires import ASKED, EVENTS, FAST, WIRES, Wire

STREAMS = Bounds(streams=True, retries=FAST)


def dripping(stop: threading.Event) -> Iterator[str]:
    return ("word " for _ in itertools.takewhile(lambda _: not stop.wait(0.02), itertools.count()))


@pytest.mark.parametrize("wire", WIRES)
def test_stream_when_it_ends_then_text_and_the_providers_figures_come_back(wire: Wire) -> None:
    with serving(Reply(pieces=wire.stream(["one ", "two"], tokens=(40, 2)), headers=EVENTS)) as provider:
        answer = wire.ask(provider, bounds=STREAMS)

    assert (answer.text, answer.finish_reason) == ("one two", "stop")
    assert answer.usage == Usage(input_tokens=40, output_tokens=2)
    assert provider.bodies[0]["stream"] is True


@pytest.mark.parametrize("wire", WIRES)
def test_stream_when_text_never_ends_then_it_is_cut_at_the_bytes_and_counts_as_length(wire: Wire) -> None:
    with serving(Reply(pieces=wire.stream(itertools.repeat("w" * 1000)), headers=EVENTS)) as provider:
        answer = wire.ask(provider, bounds=Bounds(streams=True, max_answer_bytes=20_000, retries=FAST))

    assert (answer.finish_reason, answer.usage.is_estimated, len(provider.bodies)) == ("length", True, 1)
    assert 20_000 < len(answer.text) <= 22_000
    assert answer.usage.output_tokens >= 5000


@pytest.mark.parametrize("wire", WIRES)
def test_stream_when_text_drips_for_ever_then_it_is_cut_at_the_seconds(wire: Wire) -> None:
    stop = threading.Event()
    with serving(Reply(pieces=wire.stream(dripping(stop)), headers=EVENTS)) as provider:
        answer = wire.ask(provider, Request(messages=ASKED.messages, timeout_seconds=1), bounds=STREAMS)
        stop.set()

    assert (answer.finish_reason, answer.usage.is_estimated) == ("length", True)
    assert answer.text.startswith("word word ")


@pytest.mark.parametrize("wire", WIRES)
def test_stream_when_events_without_text_never_end_then_an_error_says_too_large(wire: Wire) -> None:
    with serving(Reply(pieces=itertools.repeat(b": nothing\n\n" * 1000), headers=EVENTS)) as provider:
        error = wire.error(provider, bounds=Bounds(streams=True, max_answer_bytes=5000, retries=FAST))

    assert (error.retryable, error.usage.unanswered) == (False, 1)
    assert "larger" in error.explanation


@pytest.mark.parametrize("wire", WIRES)
def test_stream_when_it_falls_silent_then_it_is_asked_for_again(wire: Wire) -> None:
    stop = threading.Event()

    def falls_silent() -> Iterator[bytes]:
        yield from itertools.islice(wire.stream(["one "]), 3 if wire.name == "anthropic" else 1)
        stop.wait(20)

    whole = Reply(pieces=wire.stream(["whole"]), headers=EVENTS)
    with serving(Reply(pieces=falls_silent(), headers=EVENTS), whole) as provider:
        answer = wire.ask(provider, bounds=Bounds(streams=True, silence_seconds=0.4, retries=FAST))
        stop.set()

    assert (answer.text, answer.usage.attempts, answer.usage.unanswered) == ("whole", 2, 1)


@pytest.mark.parametrize("wire", WIRES)
def test_stream_when_it_breaks_off_then_it_is_asked_for_again(wire: Wire) -> None:
    broken = itertools.islice(wire.stream(["one "]), 3 if wire.name == "anthropic" else 1)
    whole = Reply(pieces=wire.stream(["whole"]), headers=EVENTS)
    with serving(Reply(pieces=broken, headers={**EVENTS, "Content-Length": "100000"}), whole) as provider:
        answer = wire.ask(provider, bounds=STREAMS)

    assert (answer.text, answer.usage.attempts, answer.usage.unanswered) == ("whole", 2, 1)


@pytest.mark.parametrize("wire", WIRES)
def test_stream_when_provider_is_overloaded_first_then_it_is_asked_again(wire: Wire) -> None:
    whole = Reply(pieces=wire.stream(["whole"]), headers=EVENTS)
    with serving(wire.refused(529), whole) as provider:
        assert wire.ask(provider, bounds=STREAMS).usage == Usage(input_tokens=7, output_tokens=3, attempts=2)
