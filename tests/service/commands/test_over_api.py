"""`agentic run` and `cancel`: what a person is told, whatever comes of it."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.client.scripted import EXECUTION, Answer, Script, scripted
from tests.service.commands.running import Done, agentic
from tests.service.conftest import World
from tests.service.events.conftest import Teller, live

CANCELLED = {**EXECUTION, "status": "failed", "failure_code": "cancelled", "failure_explanation": "It was cancelled."}
FINISHED = {**EXECUTION, "status": "finished", "result": {"a": 1}}
SLOW = {"Retry-After": "25"}
"""Longer than these tests take, shorter than what the client gives up at."""


def over(script: Script, *arguments: str) -> Done:
    return agentic(*arguments, environment=api_at(script.url))


def api_at(url: str, token: str = "agt_token") -> Mapping[str, str]:
    return {"AGENTIC_URL": url, "AGENTIC_TOKEN": token}


@contextmanager
def interrupted_once(holds: Callable[[], bool]) -> Iterator[None]:
    """Ctrl-C for the main thread, as soon as something holds."""

    def interrupt() -> None:
        deadline = time.monotonic() + 20
        while not holds() and time.monotonic() < deadline:
            time.sleep(0.01)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    thread = threading.Thread(target=interrupt)
    try:
        thread.start()
        yield
    finally:
        thread.join()
        signal.signal(signal.SIGINT, before)


def test_run_when_interrupted_names_the_execution_and_how_to_cancel_it() -> None:
    with (
        scripted(Answer(202, EXECUTION), Answer(200, EXECUTION, SLOW)) as script,
        interrupted_once(lambda: len(script.asked) == 2),
    ):
        done = over(script, "run", "7", "echo")
    assert done.returncode == 130
    assert "Execution 42 goes on. `agentic cancel 42` ends it." in done.stderr
    assert f"--idempotency-key {script.asked[0].headers['idempotency-key']}`" in done.stderr
    assert "Aborted" not in done.stderr


def test_run_when_interrupted_before_it_has_an_id_says_how_to_find_out() -> None:
    with scripted(Answer(503, {}, SLOW)) as script, interrupted_once(lambda: len(script.asked) == 1):
        done = over(script, "run", "7", "echo", "--idempotency-key", "order-31")
    assert done.returncode == 130
    assert "may or may not have started" in done.stderr
    assert "`--idempotency-key order-31` follows it if it has" in done.stderr
    assert script.asked[0].headers["idempotency-key"] == "order-31"


def test_run_when_the_token_ends_meanwhile_names_what_goes_on() -> None:
    refused = {"type": "/api/docs/errors/unauthorized", "detail": "The token is not valid."}
    with scripted(Answer(202, EXECUTION), Answer(401, refused)) as script:
        done = over(script, "run", "7", "echo")
    assert done.returncode == 2
    assert "refused the token: The token is not valid." in done.stderr
    assert "Execution 42 goes on." in done.stderr


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ([Answer(202, EXECUTION), Answer(200, CANCELLED)], "execution 42: cancelled\n"),
        ([Answer(200, FINISHED)], "execution 42 had ended before: finished\n"),
    ],
    ids=["stopping", "ended before"],
)
def test_cancel_says_what_became_of_the_execution(answers: list[Answer], said: str) -> None:
    with scripted(*answers) as script:
        done = over(script, "cancel", "42")
    assert (done.returncode, done.stdout) == (0, said)
    assert (script.asked[0].method, script.asked[0].path) == ("POST", "/api/agentic-executions/42/cancel/")


def test_cancel_when_it_does_not_stop_in_time_exits_1(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.commands.cancel.STOPS_WITHIN_SECONDS", 0.01)
    with scripted(Answer(202, EXECUTION), *[Answer(200, EXECUTION)] * 9) as script:
        done = over(script, "cancel", "42")
    assert (done.returncode, done.stdout) == (1, "execution 42: asked to stop, still pending\n")


def test_cancel_of_a_real_execution_ends_it(
    connection: psycopg.Connection[Any], database_url: str, world: World
) -> None:
    execution = Teller(connection, world).accept()
    with live(database_url) as served:
        environment = api_at(served.url, world.user.token)
        done = agentic("cancel", str(execution), "--json", environment=environment)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["failure_code"] == "cancelled"
        foreign = agentic("cancel", str(execution), environment=api_at(served.url, world.stranger.token))
    assert foreign.returncode == 2
    assert "The API refused (404)" in foreign.stderr


@pytest.mark.parametrize("command", [["cancel", "42"], ["run", "7", "echo"]])
def test_command_before_something_else_says_that_it_is_not_the_api(command: list[str]) -> None:
    with scripted(Answer(404, b"<html>")) as script:
        done = over(script, *command)
    assert done.returncode == 2
    assert f"What answers at {script.url} is not the API" in done.stderr


def test_command_with_a_wrong_token_says_which() -> None:
    refused = {"type": "/api/docs/errors/unauthorized", "detail": "Invalid token."}
    with scripted(Answer(401, refused)) as script:
        done = over(script, "cancel", "42")
    assert done.returncode == 2
    assert f"The API at {script.url} refused the token: Invalid token. Is AGENTIC_TOKEN" in done.stderr


def test_cancel_without_an_api_exits_2_and_says_what_to_set(tmp_path: Path) -> None:
    done = agentic("cancel", "42", environment={"AGENTIC_DATA_ROOT": str(tmp_path)})
    assert done.returncode == 2
    assert "AGENTIC_URL" in done.stderr
