from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest

from tasks.llm.local import LocalModel, open_smollm2
from tasks.llm.local_process import LocalProcess
from tasks.llm.protocol import Answer, Message, ModelError, Profile, Request

FRAGILE = Path(__file__).with_name("fragile_server.py")
DONE = '{"final": "done"}'
ENTRY = {"type": "object", "properties": {"colour": {"enum": ["red", "blue"]}}, "required": ["colour"]}
T = TypeVar("T")


def request(*, timeout_seconds: float = 30.0) -> Request:
    said = Message(role="user", text="Which colour is the sky?")
    return Request(messages=(said,), answer_schema=ENTRY, max_output_tokens=40, seed=1, timeout_seconds=timeout_seconds)


def with_fragile(folder: Path, *deeds: str, use: Callable[[LocalModel, LocalProcess], Awaitable[T]]) -> T:
    async def once() -> T:
        process = LocalProcess(sys.executable, str(FRAGILE), str(folder), *deeds)
        model = LocalModel("local:fragile", process=process, profile=Profile(), max_answer_bytes=1 << 20)
        try:
            return await use(model, process)
        finally:
            await model.close()
            assert process.pid is None

    return asyncio.run(once())


async def ask(model: LocalModel, process: LocalProcess) -> Answer:
    return await model.ask(request())


async def error_of(model: LocalModel, process: LocalProcess) -> ModelError:
    with pytest.raises(ModelError) as caught:
        await model.ask(request())
    return caught.value


async def ended(process: LocalProcess) -> None:
    for _ in range(1000):
        if process.pid is None:
            return
        await asyncio.sleep(0.01)
    raise TimeoutError


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def gone_within(pid: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while is_alive(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not is_alive(pid)


def test_ask_when_process_dies_under_the_question_then_another_one_answers(tmp_path: Path) -> None:
    assert with_fragile(tmp_path, "die", DONE, use=ask).text == '"done"'


def test_ask_when_process_dies_between_questions_then_that_is_not_the_questions_fault(tmp_path: Path) -> None:
    async def use(model: LocalModel, process: LocalProcess) -> str:
        await model.ask(request())
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        await ended(process)
        return (await model.ask(request())).text

    assert with_fragile(tmp_path, DONE, "die", DONE, use=use) == '"done"'


def test_ask_when_process_dies_twice_then_an_error_that_is_not_retryable(tmp_path: Path) -> None:
    error = with_fragile(tmp_path, "die", use=error_of)

    assert not error.retryable
    assert "died twice" in error.explanation
    assert len(list(tmp_path.iterdir())) == 2


def test_ask_when_process_hangs_then_it_is_killed_and_the_next_question_is_answered(tmp_path: Path) -> None:
    async def use(model: LocalModel, process: LocalProcess) -> str:
        with pytest.raises(ModelError) as caught:
            await model.ask(request(timeout_seconds=2))
        assert caught.value.retryable
        return (await model.ask(request())).text

    assert with_fragile(tmp_path, "hang_deaf", DONE, use=use) == '"done"'
    assert len({path.name.split("-")[1] for path in tmp_path.iterdir()}) == 2


def test_ask_when_another_question_is_being_answered_then_its_time_does_not_count(tmp_path: Path) -> None:
    async def use(model: LocalModel, process: LocalProcess) -> tuple[object, object]:
        first, second = model.ask(request(timeout_seconds=2)), model.ask(request(timeout_seconds=10))
        return await asyncio.gather(first, second, return_exceptions=True)

    first, second = with_fragile(tmp_path, "hang", DONE, use=use)

    assert isinstance(first, ModelError)
    assert isinstance(second, Answer)


def test_ask_when_cancelled_then_its_process_ends_and_the_next_question_is_answered(tmp_path: Path) -> None:
    async def use(model: LocalModel, process: LocalProcess) -> tuple[int, str]:
        asking = asyncio.ensure_future(model.ask(request()))
        while not list(tmp_path.iterdir()):  # noqa: ASYNC110, ASYNC240 - the server notes its first question
            await asyncio.sleep(0.01)
        assert process.pid is not None
        first = process.pid
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        return first, (await model.ask(request())).text

    first, answer = with_fragile(tmp_path, "hang_deaf", DONE, use=use)

    assert gone_within(first, 10)
    assert answer == '"done"'


def test_ask_when_process_ends_while_starting_then_a_retryable_error(tmp_path: Path) -> None:
    error = with_fragile(tmp_path, "stillborn", use=error_of)

    assert error.retryable
    assert "while starting (status 3)" in error.explanation


def test_ask_when_server_refuses_the_schema_then_the_error_names_the_place(tmp_path: Path) -> None:
    error = with_fragile(tmp_path, "refuse", use=error_of)

    assert not error.retryable
    assert "items: schema must be an object" in error.explanation


def test_ask_when_server_sends_garbage_then_a_retryable_error(tmp_path: Path) -> None:
    assert with_fragile(tmp_path, "garbage", use=error_of).retryable


def test_ask_when_answer_is_too_large_then_an_error(tmp_path: Path) -> None:
    assert "larger" in with_fragile(tmp_path, "endless", use=error_of).explanation


@pytest.mark.slow
def test_smollm2_when_asked_then_it_answers_under_the_schema_and_the_loop_goes_on_ticking() -> None:
    async def once() -> tuple[Answer, float]:
        model = open_smollm2(1 << 20)
        asking = asyncio.ensure_future(model.ask(request()))
        longest, last = 0.0, time.monotonic()
        while not asking.done():
            await asyncio.sleep(0.005)
            longest, last = max(longest, time.monotonic() - last), time.monotonic()
        answer = await asking
        await model.close()
        return answer, longest

    answer, longest_pause = asyncio.run(once())

    assert answer.text in ('{"colour": "red"}', '{"colour": "blue"}')
    assert answer.usage.output_tokens > 0
    assert longest_pause < 1.0


OWNER = """
import asyncio, sys
from tasks.llm.local import open_smollm2

async def main():
    model = open_smollm2(1 << 20)
    await model._process.client()
    print(model._process.pid, flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


@pytest.mark.slow
def test_smollm2_when_worker_is_killed_then_its_process_ends_and_signals_alone_do_not_end_it() -> None:
    with subprocess.Popen([sys.executable, "-c", OWNER], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        child = int(owner.stdout.readline())
        os.kill(child, signal.SIGTERM)
        os.kill(child, signal.SIGINT)
        survived = not gone_within(child, 0.5)
        owner.kill()
        ended = gone_within(child, 10)

    assert (survived, ended) == (True, True)
