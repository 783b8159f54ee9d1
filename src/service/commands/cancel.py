"""`agentic cancel`: ask over the API that an execution ends, and see that it does."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import click

from service.commands.arguments import Whole

if TYPE_CHECKING:
    from agentic_client import Execution

STOPS_WITHIN_SECONDS = 10
"""A worker stops within two seconds, another process ends within three what it does not stop."""


@click.command("cancel")
@click.argument("execution_id", metavar="ID", type=Whole(1))
@click.option("--json", "as_json", is_flag=True, help="Print the whole execution as REST gives it.")
def command(execution_id: int, as_json: bool) -> None:
    """Cancel execution ID and wait until it has stopped; one that had ended stays as it is.

    Exit status 0: it has ended, 1: it was asked to and has not within ten seconds, 2: it could not be asked.
    """
    from agentic_client import WaitTimedOut
    from service.commands.api import api

    with api() as client:
        execution = client.cancel(execution_id)
        try:
            if not execution.is_final:
                execution = client.wait(execution, timeout_seconds=STOPS_WITHIN_SECONDS)
        except WaitTimedOut as slow:
            execution = slow.execution
    click.echo(json.dumps(execution.raw, ensure_ascii=False) if as_json else _said(execution))
    sys.exit(0 if execution.is_final else 1)


def _said(execution: Execution) -> str:
    from service.commands.api import outcome

    if not execution.is_final:
        return f"execution {execution.id}: asked to stop, still {execution.status}"
    if execution.failure_code == "cancelled":
        return f"execution {execution.id}: cancelled"
    return f"execution {execution.id} had ended before: {outcome(execution)}"
