"""The sample execution of the first start, shown cycle by cycle as it happens: nothing of it is scripted."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import click
import httpx

from service.supervision.access_file import Access
from service.supervision.first_start import SAMPLE_INPUT, SHEET, sheet_bytes

LONGEST_SECONDS = 300.0


def show_sample_run(client: httpx.Client, access: Access, pause: Callable[[], None]) -> None:
    """Start it as a client would and print each cycle's turns and verdicts; `pause` waits between looks."""
    response = client.post(
        f"/api/agents/{access.agent}/agentic-executions/",
        data={"execution_key": "catalog-enrichment", "input": json.dumps(SAMPLE_INPUT)},
        files=[("files[]", (SHEET, sheet_bytes()))],
    )
    response.raise_for_status()
    started = execution = response.json()
    click.echo(f"Sample execution {started['id']}: enrich {', '.join(SAMPLE_INPUT['skus'])} from {SHEET}")
    shown = _Shown()
    for execution, conversation in _looks(client, started, pause):
        shown.catch_up(conversation["cycles"], is_final=execution["status"] in ("finished", "failed"))
    _print_end(execution)


def _looks(
    client: httpx.Client, execution: dict[str, Any], pause: Callable[[], None]
) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """The execution and its record, again and again until it is final."""
    deadline = time.monotonic() + LONGEST_SECONDS
    while time.monotonic() < deadline:
        execution = client.get(f"/api/agentic-executions/{execution['id']}/").raise_for_status().json()
        conversation = client.get(f"/api/conversations/{execution['conversation']}/").raise_for_status().json()
        yield execution, conversation
        if execution["status"] in ("finished", "failed"):
            return
        pause()


class _Shown:
    """How much of the record is on the screen already."""

    def __init__(self) -> None:
        self._turns = 0
        self._judged = 0

    def catch_up(self, cycles: list[dict[str, Any]], *, is_final: bool) -> None:
        """Print the turns that have been answered and the verdicts that have been given since the last look."""
        for cycle in cycles:
            for turn in cycle["turns"]:
                if turn["number"] > self._turns and (turn["finish_reason"] is not None or is_final):
                    click.echo(_turn_line(cycle["number"], turn))
                    self._turns = turn["number"]
            if cycle["verdicts"] and cycle["number"] > self._judged:
                self._judged = cycle["number"]
                for line in _verdict_lines(cycle["verdicts"]):
                    click.echo(line)


def _turn_line(cycle: int, turn: dict[str, Any]) -> str:
    tools = ", ".join(request["name"] for request in turn["tool_requests"])
    said = f"calls {tools}" if tools else f"answers {_short(turn['answer'] or '')}"
    item = f" {turn['item']}" if turn["item"] else ""
    return f"  cycle {cycle}  turn {turn['number']:<2}{item}  {turn['model']} {said}"


def _verdict_lines(verdicts: list[dict[str, Any]]) -> list[str]:
    """What each validator found, and where; those that accept in one line."""
    lines = []
    for verdict in verdicts:
        for issue in verdict["issues"]:
            wrong = _short(f"{issue['path']} {issue['message']}", 120)
            lines.append(click.style(f"           ✗ {verdict['validator']}: {wrong}", fg="yellow"))
        if verdict["kind"] == "reject":
            lines.append(click.style(f"           ✗ {verdict['validator']}: {verdict['explanation']}", fg="red"))
    accepted = [verdict["validator"] for verdict in verdicts if verdict["kind"] == "accept"]
    if accepted:
        lines.append(click.style(f"           ✓ {len(accepted)} of {len(verdicts)} validators accept", fg="green"))
    return lines


def _print_end(execution: dict[str, Any]) -> None:
    seconds = execution["duration_seconds"]
    if execution["status"] == "finished":
        click.echo(f"Finished after {execution['cycles']} cycles and {seconds:.1f} s; every validator accepted:")
        click.echo(json.dumps(execution["result"], indent=2, ensure_ascii=False))
    elif execution["status"] == "failed":
        click.echo(f"Failed after {seconds:.1f} s: {execution['failure_code']}: {execution['failure_explanation']}")
    else:
        click.echo(f"Still {execution['status']}; follow it under /api/agentic-executions/{execution['id']}/.")


def _short(text: str, length: int = 72) -> str:
    line = " ".join(text.split())
    return line if len(line) <= length else line[: length - 1] + "…"
