"""Rows for the reporting views, written as the service writes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, LiteralString

import psycopg
from psycopg.types.json import Jsonb

SECRET = "tangerine-7413"
"""Stands in every input, answer, message, explanation and URL that is seeded: no view may show it."""


@dataclass(frozen=True)
class Home:
    """An account with an agent on a data set."""

    account_id: int
    agent_id: int
    data_set_id: int


def home(connection: psycopg.Connection, name: str) -> Home:
    account = _insert(connection, "INSERT INTO accounts (name) VALUES (%s) RETURNING id", f"{name} account")
    data_set = _insert(connection, "INSERT INTO data_sets (name) VALUES (%s) RETURNING id", f"{name} data")
    agent = _insert(
        connection,
        "INSERT INTO agents (name, agent_type, data_set_id) VALUES (%s, 'echo', %s) RETURNING id",
        f"{name} agent",
        data_set,
    )
    return Home(account, agent, data_set)


NEW_CONVERSATION: LiteralString = """
INSERT INTO conversations (account_id, agent_id, summary) VALUES (%s, %s, %s) RETURNING id"""
NEW_EXECUTION: LiteralString = """
INSERT INTO executions (account_id, agent_id, data_set_id, conversation_id, celery_task_id, definition_key,
  definition_version, status, result, failure_code, failure_explanation, retryable, cycles,
  started_at, picked_up_at, finished_at, input, external_id, metadata)
VALUES (%s, %s, %s, %s, gen_random_uuid(), %s, 1, %s, %s, %s, %s, %s, %s,
  now() - make_interval(secs => %s), now() - make_interval(secs => %s), now() - make_interval(secs => %s), %s, %s, %s)
RETURNING id"""


def execution(
    connection: psycopg.Connection,
    place: Home,
    *,
    definition: str = "echo",
    status: str = "pending",
    started: float = 60,
    picked_up: float | None = None,
    finished: float | None = None,
    code: str | None = None,
    retryable: bool | None = None,
    cycles: int = 0,
) -> int:
    """The id of an execution; `started`, `picked_up` and `finished` are seconds ago."""
    conversation = _insert(connection, NEW_CONVERSATION, place.account_id, place.agent_id, SECRET)
    secret = Jsonb({"text": SECRET})
    outcome = (secret if status == "finished" else None, code, code and SECRET, retryable, cycles)
    where = (place.account_id, place.agent_id, place.data_set_id, conversation)
    times = (started, picked_up, finished)
    labels = (f"import-{conversation}", Jsonb({"shop": "7"}))
    values = (*where, definition, status, *outcome, *times, secret, *labels)
    return _insert(connection, NEW_EXECUTION, *values)


def waiting_row(
    connection: psycopg.Connection,
    place: Home,
    execution_id: int,
    *,
    definition: str = "echo@1",
    phase: str = "ready",
    ready: float = 60,
    resume: float | None = None,
    worker_id: int | None = None,
) -> None:
    """The runtime row of an execution without outcome; `ready` and `resume` are seconds ago."""
    connection.execute(
        """INSERT INTO execution_runtime (execution_id, account_id, agent_id, definition, priority, phase,
             ready_since, resume_at, worker_id)
           VALUES (%s, %s, %s, %s, 0, %s, now() - make_interval(secs => %s), now() - make_interval(secs => %s), %s)""",
        (execution_id, place.account_id, place.agent_id, definition, phase, ready, resume, worker_id),
    )


def worker(
    connection: psycopg.Connection,
    name: str = "one",
    *,
    offers: Sequence[str] = ("echo@1",),
    concurrency: int = 2,
    lease_left: float = 60,
) -> int:
    return _insert(
        connection,
        """INSERT INTO workers (name, host, pid, offers, concurrency, lease_until)
           VALUES (%s, 'ops-1', 4711, %s, %s, now() + make_interval(secs => %s)) RETURNING id""",
        name,
        list(offers),
        concurrency,
        lease_left,
    )


def schedule(connection: psycopg.Connection, place: Home, execution_id: int) -> int:
    """The id of a schedule that is an hour late; a day ago it started this execution."""
    secret = Jsonb({"text": SECRET})
    return _insert(
        connection,
        """INSERT INTO schedules (account_id, agent_id, execution_key, cron, time_zone, input, limits, metadata,
             priority, webhook_url, is_active, missed, overlap, next_slot, last_slot, last_outcome, last_refusal,
             last_execution_id)
           VALUES (%s, %s, 'echo', '0 6 * * *', 'UTC', %s, '{}', '{}',
             0, %s, true, 'latest', 'skip', now() - interval '1 hour', now() - interval '1 day', 'started', %s,
             %s) RETURNING id""",
        *(place.account_id, place.agent_id, secret, f"https://shop.example.com/{SECRET}", secret, execution_id),
    )


def turn(
    connection: psycopg.Connection, execution_id: int, number: int, cycle: int, *, tokens: tuple[int, int, int]
) -> None:
    """A finished turn of two seconds; `tokens` are input, cached, output."""
    connection.execute(
        """INSERT INTO turns (execution_id, number, cycle, model, request_digest, request, answer, input_tokens,
             cached_tokens, output_tokens, started_at, finished_at)
           VALUES (%s, %s, %s, 'scripted', '', %s, %s, %s, %s, %s,
             now() - make_interval(secs => %s), now() - make_interval(secs => %s))""",
        (execution_id, number, cycle, SECRET.encode(), SECRET.encode(), *tokens, 50 - 3 * number, 48 - 3 * number),
    )


def tool_call(
    connection: psycopg.Connection, execution_id: int, turn_number: int, number: int, *, succeeded: bool
) -> None:
    connection.execute(
        """INSERT INTO tool_calls (execution_id, turn, number, call_id, name, arguments, result, succeeded,
             idempotency_key) VALUES (%s, %s, %s, 'a', 'search', %s, %s, %s, 'k')""",
        (execution_id, turn_number, number, SECRET.encode(), SECRET.encode(), succeeded),
    )


def verdict(
    connection: psycopg.Connection,
    execution_id: int,
    cycle: int,
    number: int,
    validator: str,
    kind: str,
    *,
    issues: int = 0,
) -> None:
    issue = {"path": f"/{SECRET}", "message": SECRET, "hint": SECRET}
    connection.execute(
        """INSERT INTO verdicts (execution_id, cycle, number, validator, kind, code, explanation, issues)
           VALUES (%s, %s, %s, %s, %s, %s, %s, %s)""",
        (
            execution_id,
            cycle,
            number,
            validator,
            kind,
            "no_product_data" if kind == "reject" else None,
            SECRET,
            Jsonb([issue] * issues),
        ),
    )


def webhook(
    connection: psycopg.Connection,
    place: Home,
    url: str | None = f"https://{SECRET}:pw@hooks.example.com:8443/{SECRET}?token={SECRET}",
) -> int:
    """A webhook that is told of the end; None as its URL: for those that executions name."""
    made = _insert(
        connection,
        """INSERT INTO webhooks (account_id, url, event_types, body, after_position)
           VALUES (%s, %s, '{execution.finished}', 'thin', 0) RETURNING id""",
        place.account_id,
        url,
    )
    connection.execute("INSERT INTO webhook_secrets (webhook_id, sealed) VALUES (%s, %s)", (made, SECRET.encode()))
    return made


def delivery(
    connection: psycopg.Connection,
    place: Home,
    webhook_id: int,
    execution_id: int | None,
    *,
    status: str = "delivered",
    occurred: float = 60,
    finished: float | None = None,
    attempts: Sequence[tuple[int | None, str | None, int | None]] = ((204, None, 80),),
    claims: int | None = None,
) -> int:
    """A message; `occurred` and `finished` are seconds ago. Attempts are status code, error and milliseconds; `claims`
    are those begun, if that is more than those whose end is known."""
    made = _insert(
        connection,
        """INSERT INTO webhook_deliveries (account_id, webhook_id, execution_id, seq, type, lane, status, attempts,
             claims, occurred_at, finished_at)
           VALUES (%s, %s, %s, 3, 'execution.finished', 'a', %s, %s, %s, now() - make_interval(secs => %s),
             now() - make_interval(secs => %s)) RETURNING id""",
        *(place.account_id, webhook_id, execution_id, status, len(attempts), claims or len(attempts)),
        *(occurred, finished),
    )
    for number, (code, error, milliseconds) in enumerate(attempts, 1):
        connection.execute(
            "INSERT INTO webhook_attempts (delivery_id, number, status_code, error, milliseconds)"
            " VALUES (%s, %s, %s, %s, %s)",
            (made, number, code, error, milliseconds),
        )
    return made


def event(connection: psycopg.Connection, execution_id: int, seq: int, kind: str, *, ago: float = 60) -> None:
    """An event of so many seconds ago; a worker took part in it."""
    connection.execute(
        """INSERT INTO events (execution_id, seq, account_id, kind, data, created_at)
           SELECT id, %s, account_id, %s, '{"worker": 7, "epoch": 1}', now() - make_interval(secs => %s)
             FROM executions WHERE id = %s""",
        (seq, kind, ago, execution_id),
    )


def _insert(connection: psycopg.Connection, statement: LiteralString, *values: Any) -> int:
    row = connection.execute(statement, values).fetchone()
    assert row is not None
    return int(row[0])
