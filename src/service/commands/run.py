"""`agentic run`: start an execution over the API, follow it, print the result."""

from __future__ import annotations

import json
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from service.errors import SetupError
from service.settings import Settings

if TYPE_CHECKING:
    import httpx

POLL_SECONDS = (0.05, 0.1, 0.2, 0.3, 0.5)  # the last one repeats


@click.command("run")
@click.argument("agent_id", type=int)
@click.argument("key")
@click.option("--input", "input_text", default="{}", help="The input, as JSON.")
@click.option("--file", "paths", multiple=True, type=click.Path(exists=True, dir_okay=False), help="A file to attach.")
@click.option("--json", "as_json", is_flag=True, help="Print the whole execution as REST gives it.")
def command(agent_id: int, key: str, input_text: str, paths: tuple[str, ...], as_json: bool) -> None:
    """Start execution KEY of agent AGENT_ID. Exit status 0: finished, 1: failed, 2: it could not be started."""
    import httpx

    from service.commands.target import api_target

    url, token = api_target(Settings.read())
    try:
        with httpx.Client(base_url=url, headers={"Authorization": f"Token {token}"}, timeout=60) as client:
            execution = _follow(client, _start(client, agent_id, key, input_text, paths))
    except httpx.HTTPError as error:
        raise SetupError(f"The API at {url} does not answer: {error}. Is `agentic up` or `serve` running?") from error
    _print(execution, as_json=as_json)
    sys.exit(0 if execution["status"] == "finished" else 1)


def _start(client: httpx.Client, agent_id: int, key: str, input_text: str, paths: tuple[str, ...]) -> dict[str, Any]:
    path = f"/api/agents/{agent_id}/agentic-executions/"
    if not paths:
        try:
            given = json.loads(input_text)
        except ValueError as error:
            raise SetupError(f"--input is not JSON: {error}") from error
        return _body(client.post(path, json={"execution_key": key, "input": given}))
    with ExitStack() as stack:
        files = [("files[]", (Path(name).name, stack.enter_context(Path(name).open("rb")))) for name in paths]
        return _body(client.post(path, data={"execution_key": key, "input": input_text}, files=files))


def _follow(client: httpx.Client, execution: dict[str, Any]) -> dict[str, Any]:
    """Poll until the execution is final, with a progress line where a person is watching."""
    started, looks = time.monotonic(), 0
    while execution["status"] not in ("finished", "failed"):
        _progress(f"execution {execution['id']}: {execution['status']}, {time.monotonic() - started:.0f} s")
        time.sleep(POLL_SECONDS[min(looks, len(POLL_SECONDS) - 1)])
        looks += 1
        execution = _body(client.get(f"/api/agentic-executions/{execution['id']}/"))
    _progress("")
    return execution


def _progress(line: str) -> None:
    if sys.stderr.isatty():
        click.echo(f"\r\033[K{line}", nl=False, err=True)


def _body(response: httpx.Response) -> dict[str, Any]:
    """The answer's JSON object. Raises SetupError with the service's own explanation when it refused."""
    try:
        body: dict[str, Any] = response.json()
    except ValueError as error:
        raise SetupError(f"The API answered {response.status_code} without JSON.") from error
    if response.is_success:
        return body
    errors = "".join(f"\n  {error['field']}: {error['message']}" for error in body.get("errors", []))
    raise SetupError(f"The API refused ({response.status_code}): {errors or body.get('detail', '')}")


def _print(execution: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(execution, ensure_ascii=False))
    elif execution["status"] == "finished":
        click.echo(json.dumps(execution["result"], ensure_ascii=False, indent=2))
    else:
        click.echo(f"failed: {execution['failure_code']}: {execution['failure_explanation']}", err=True)
