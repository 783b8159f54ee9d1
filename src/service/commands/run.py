"""`agentic run`: start an execution over the API, follow it, print the result."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Any

import click

from service.errors import SetupError
from service.settings import Settings

if TYPE_CHECKING:
    from agentic_client import ApiError, Client, Execution


@click.command("run")
@click.argument("agent_id", type=int)
@click.argument("key")
@click.option("--input", "input_text", default="{}", help="The input, as JSON.")
@click.option("--file", "paths", multiple=True, type=click.Path(exists=True, dir_okay=False), help="A file to attach.")
@click.option("--json", "as_json", is_flag=True, help="Print the whole execution as REST gives it.")
def command(agent_id: int, key: str, input_text: str, paths: tuple[str, ...], as_json: bool) -> None:
    """Start execution KEY of agent AGENT_ID. Exit status 0: finished, 1: failed, 2: it could not be started."""
    from agentic_client import ApiError, Client, UnexpectedAnswer, Unreachable
    from service.commands.target import api_target

    url, token = api_target(Settings.read())
    given = _input(input_text)
    try:
        with Client(url, token) as client:
            execution = _follow(client, client.start(agent_id, key, given, files=paths))
    except Unreachable as error:
        raise SetupError(f"The API at {url} does not answer: {error}. Is `agentic up` or `serve` running?") from error
    except UnexpectedAnswer as error:
        raise SetupError(f"What answers at {url} is not the API: {error}") from error
    except ApiError as error:
        raise SetupError(_refusal(error)) from error
    _print(execution, as_json=as_json)
    sys.exit(0 if execution.is_finished else 1)


def _input(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise SetupError(f"--input is not JSON: {error}") from error


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


def _refusal(error: ApiError) -> str:
    """The service's own explanation."""
    errors = "".join(f"\n  {each.field}: {each.message}" for each in error.errors)
    return f"The API refused ({error.status}): {errors or error.detail}"


def _print(execution: Execution, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(execution.raw, ensure_ascii=False))
    elif execution.is_finished:
        click.echo(json.dumps(execution.result, ensure_ascii=False, indent=2))
    else:
        click.echo(f"failed: {execution.failure_code}: {execution.failure_explanation}", err=True)
