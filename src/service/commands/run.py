"""`agentic run`: start an execution over the API, follow it, print the result."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import click

from service.errors import SetupError

if TYPE_CHECKING:
    from agentic_client import Client, Execution

INTERRUPTED = 130
"""What shells make of Ctrl-C."""


@click.command("run")
@click.argument("agent_id", type=int)
@click.argument("key")
@click.option("--input", "input_text", default="{}", help="The input, as JSON.")
@click.option("--file", "paths", multiple=True, type=click.Path(exists=True, dir_okay=False), help="A file to attach.")
@click.option("--idempotency-key", help="Start once: for a day the same command with the same key follows the same.")
@click.option("--json", "as_json", is_flag=True, help="Print the whole execution as REST gives it.")
def command(
    agent_id: int, key: str, input_text: str, paths: tuple[str, ...], idempotency_key: str | None, as_json: bool
) -> None:
    """Start execution KEY of agent AGENT_ID. Ctrl-C leaves it running and says how to cancel it.

    Exit status 0: finished, 1: failed, 2: it could not be started or followed, 130: Ctrl-C.
    """
    from service.commands.api import PATIENTLY, api

    given = _input(input_text)
    once = idempotency_key or str(uuid4())
    started: Execution | None = None
    try:
        with api() as client:
            started = client.start(agent_id, key, given, files=paths, idempotency_key=once)
        with api(PATIENTLY) as client:
            execution = _follow(client, started)
    except KeyboardInterrupt:
        click.echo(f"\n{_left(started, once)}", err=True)
        sys.exit(INTERRUPTED)
    except SetupError as error:
        if started is None and not getattr(error.__cause__, "may_have_happened", False):
            raise
        raise SetupError(f"{error.detail}\n{_left(started, once)}") from error
    _print(execution, as_json=as_json)
    sys.exit(0 if execution.is_finished else 1)


def _input(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise SetupError(f"--input is not JSON: {error}") from error


def _left(started: Execution | None, once: str) -> str:
    """What is to be known of an execution that nobody follows any more, or whose start was not answered."""
    same = f"The same command with `--idempotency-key {once}` follows it"
    if started is None:
        return f"It may or may not have started. {same} if it has, and starts it if it has not."
    return f"Execution {started.id} goes on. `agentic cancel {started.id}` ends it. {same} again."


def _follow(client: Client, execution: Execution) -> Execution:
    """Wait until the execution is final, with a line of what happens where a person is watching."""
    if sys.stderr.isatty():
        started = time.monotonic()
        for event in client.stream(execution):
            _progress(f"execution {execution.id}: {event.kind}, {time.monotonic() - started:.0f} s")
        _progress("")
    return client.wait(execution)


def _progress(line: str) -> None:
    click.echo(f"\r\033[K{line}", nl=False, err=True)


def _print(execution: Execution, *, as_json: bool) -> None:
    from service.commands.api import outcome

    if as_json:
        click.echo(json.dumps(execution.raw, ensure_ascii=False))
    elif execution.is_finished:
        click.echo(json.dumps(execution.result, ensure_ascii=False, indent=2))
    else:
        click.echo(outcome(execution), err=True)
