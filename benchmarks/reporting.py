"""How long the questions of docs/reporting.md take: each a few times, on a history that SQL makes.

    .venv/bin/python benchmarks/reporting.py [--executions 200000] [--days 90] [--repeats 5]

On a throwaway PostgreSQL, as the reporting role. Each execution has one to three cycles, six events and one message to
a webhook. Prints the median in milliseconds of each question, and of the whole views that are read most.
"""

from __future__ import annotations

import re
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import click
import psycopg

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests import postgres  # noqa: E402 - the checkout is no package

QUESTION = re.compile(r"^### (\d+\. .+?)\n.*?```sql\n(.+?)```", re.MULTILINE | re.DOTALL)
MORE = {
    "the last 50 executions": "SELECT * FROM reporting.executions ORDER BY id DESC LIMIT 50",
    "a week of cycles, every column": (
        "SELECT count(c::text) FROM reporting.cycles c JOIN reporting.executions e ON e.id = c.execution_id"
        " WHERE e.started_at > now() - interval '7 days'"
    ),
    "90 days of totals": "SELECT day, sum(executions), sum(cost) FROM reporting.daily GROUP BY day ORDER BY day",
    "what is stuck": "SELECT count(*) FROM reporting.stuck",
    "all cycles, every column": "SELECT count(c::text) FROM reporting.cycles c",
}

PLACES = """
INSERT INTO accounts (name) SELECT 'account ' || n FROM generate_series(1, 20) n;
INSERT INTO data_sets (name) SELECT 'data ' || n FROM generate_series(1, 10) n;
INSERT INTO agents (name, agent_type, data_set_id)
SELECT 'agent ' || n, 'echo', 1 + n % 10 FROM generate_series(1, 60) n;
INSERT INTO webhooks (account_id, url, event_types, body, after_position)
SELECT n, 'https://hooks-' || n || '.example.com/a', '{execution.finished}', 'thin', 0 FROM generate_series(1, 20) n;
UPDATE totals_progress SET until_day = (now() AT TIME ZONE 'UTC')::date - 100
"""
CONVERSATIONS = """
INSERT INTO conversations (account_id, agent_id) SELECT 1 + n %% 20, 1 + n %% 60 FROM generate_series(1, %(count)s) n
"""
EXECUTIONS = """
INSERT INTO executions (account_id, agent_id, data_set_id, conversation_id, celery_task_id, definition_key,
  definition_version, status, input, result, failure_code, failure_explanation, retryable, cycles, external_id,
  metadata, priority, start_after, deadline, started_at, picked_up_at, finished_at, cancel_requested_at, rerun_of,
  exit_reason, input_tokens, cached_tokens, output_tokens, cost, model_seconds, calls, is_estimated)
SELECT 1 + n %% 20, 1 + n %% 60, 1 + n %% 10, n, gen_random_uuid(), 'definition-' || n %% 6,
  1, CASE WHEN n %% 8 = 0 THEN 'failed' ELSE 'finished' END, jsonb_build_object('skus', repeat(md5(n::text), 10)),
  CASE WHEN n %% 8 > 0 THEN jsonb_build_object('SKU', repeat(md5(n::text), 20)) END,
  CASE WHEN n %% 8 = 0 THEN (ARRAY['max_retries_exceeded', 'cancelled', 'runtime_error'])[1 + n %% 3] END,
  CASE WHEN n %% 8 = 0 THEN 'because' END, CASE WHEN n %% 8 = 0 THEN n %% 3 = 0 END, 1 + n %% 3,
  CASE WHEN n %% 2 = 0 THEN 'import-' || n END,
  CASE WHEN n %% 2 = 0 THEN jsonb_build_object('shop', (n %% 40)::text) ELSE '{}' END,
  n %% 3 - 1, CASE WHEN n %% 10 = 0 THEN at + later END, CASE WHEN n %% 7 = 0 THEN at + interval '2 hours' END,
  at, at + later + interval '3 s', at + later + interval '20 s',
  CASE WHEN n %% 24 = 16 THEN at + later + interval '18 s' END, CASE WHEN n %% 50 = 1 THEN nullif(n - 1, 0) END,
  'finished', 1000 + n %% 500, 300, 90, 0.002, 12.5, 2, false
 FROM (SELECT n, now() - make_interval(days => %(days)s) * (%(count)s - n) / %(count)s AS at,
              CASE WHEN n %% 10 = 0 THEN interval '1 hour' ELSE interval '0' END AS later
         FROM generate_series(1, %(count)s) n) numbered
"""
RECORDS = """
INSERT INTO turns (execution_id, number, cycle, model, request_digest, request, answer, input_tokens, cached_tokens,
  output_tokens, started_at, finished_at, cost, calls)
SELECT e.id, c, c, 'openai:gpt-5-mini', sha256('a'), convert_to(repeat(md5(e.id::text), 30), 'UTF8'),
  convert_to(repeat(md5(e.id::text), 10), 'UTF8'), 500, 150, 45, e.picked_up_at + c * interval '5 s',
  e.picked_up_at + c * interval '5 s' + interval '4 s', 0.001, 1
 FROM executions e CROSS JOIN LATERAL generate_series(1, e.cycles) c;
INSERT INTO tool_calls (execution_id, turn, number, call_id, name, arguments, result, succeeded, idempotency_key)
SELECT id, 1, 1, 'a', 'search', '{}', 'found', id % 20 > 0, 'k' FROM executions;
INSERT INTO verdicts (execution_id, cycle, number, validator, kind, explanation, issues, created_at)
SELECT e.id, c, v, (ARRAY['output', 'length', 'price'])[v],
  CASE WHEN c < e.cycles AND v > 1 THEN 'retry' ELSE 'accept' END, 'x',
  CASE WHEN c < e.cycles AND v > 1 THEN '[{"path": "/a", "message": "too long"}]'::jsonb ELSE '[]' END, e.finished_at
 FROM executions e CROSS JOIN LATERAL generate_series(1, e.cycles) c CROSS JOIN generate_series(1, 3) v;
INSERT INTO events (execution_id, seq, account_id, position, kind, data, created_at)
SELECT e.id, s, e.account_id, e.id * 6 + s,
  (ARRAY['accepted', 'started', CASE WHEN e.id % 30 = 0 THEN 'waiting' ELSE 'turn_started' END,
         CASE WHEN e.id % 30 = 0 THEN 'resumed' ELSE 'turn_answered' END, 'judged', 'finished'])[s],
  CASE WHEN s = 2 THEN jsonb_build_object('worker', e.id % 5, 'epoch', 1) ELSE '{}' END,
  e.started_at + s * interval '2 s'
 FROM executions e CROSS JOIN generate_series(1, 6) s;
INSERT INTO webhook_deliveries (account_id, webhook_id, execution_id, seq, type, occurred_at, lane, status, attempts,
  claims, failures, due_at, created_at, finished_at)
SELECT account_id, account_id, id, 6, 'execution.finished', finished_at, account_id::text,
  CASE WHEN id % 50 = 0 THEN 'failed' ELSE 'delivered' END, 1 + (id % 10 = 0)::int, 1 + (id % 10 = 0)::int,
  (id % 10 = 0)::int, finished_at, finished_at, finished_at + interval '200 ms'
 FROM executions;
INSERT INTO webhook_attempts (delivery_id, number, started_at, status_code, milliseconds, error)
SELECT d.id, a, created_at + a * interval '50 ms', CASE WHEN is_last THEN 204 ELSE 500 END, 80,
  CASE WHEN NOT is_last THEN 'server_error' END
 FROM webhook_deliveries d CROSS JOIN LATERAL generate_series(1, d.attempts) a
 CROSS JOIN LATERAL (SELECT a = d.attempts AND d.status = 'delivered' AS is_last) last
"""


def fill(connection: psycopg.Connection[Any], executions: int, days: int) -> None:
    """A history that ends now."""
    given = {"count": executions, "days": days}
    connection.execute(PLACES)
    connection.execute(CONVERSATIONS, given)
    connection.execute(EXECUTIONS, given)
    connection.execute(RECORDS)
    connection.execute("SET client_min_messages = error")
    connection.execute("VACUUM ANALYZE")


def median_milliseconds(connection: psycopg.Connection[Any], query: str, repeats: int) -> float:
    """Of so many times that it is asked, after one that warms up."""
    took = []
    for _ in range(repeats + 1):
        began = time.perf_counter()
        connection.execute(query.encode()).fetchall()
        took.append((time.perf_counter() - began) * 1000)
    return statistics.median(took[1:])


@click.command(help=__doc__)
@click.option("--executions", default=200_000, type=click.IntRange(1000, 2_000_000))
@click.option("--days", default=90, type=click.IntRange(1, 95))
@click.option("--repeats", default=5, type=click.IntRange(1))
def main(executions: int, days: int, repeats: int) -> None:
    questions = {**dict(QUESTION.findall((ROOT / "docs" / "reporting.md").read_text())), **MORE}
    with (
        postgres.throwaway_cluster() as server,
        postgres.migrated_template(server) as template,
        postgres.clone(template) as url,
    ):
        with psycopg.connect(url, autocommit=True) as owner:
            fill(owner, executions, days)
        with psycopg.connect(postgres.as_role(url, postgres.REPORTING), autocommit=True) as reader:
            for name, query in questions.items():
                click.echo(f"{median_milliseconds(reader, query, repeats):8.0f} ms  {name}")


if __name__ == "__main__":
    main()
