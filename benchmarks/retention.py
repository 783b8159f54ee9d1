"""Table sizes under retention: as much comes as goes, day after day, and the tables stop growing.

    .venv/bin/python benchmarks/retention.py [--days 30] [--executions 300] [--kept 5]

Each simulated day adds executions with a turn, an event and a file, moves everything one day into the past, and lets
retention do what is due. Prints the bytes of all tables with their indexes and TOAST at the end of each fifth of the
days. Runs on a database of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

import psycopg

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests import postgres

from service.database import Database
from service.settings import Settings
from tasks import retaining

ADD = """
WITH account AS (SELECT id FROM accounts LIMIT 1), agent AS (SELECT id, data_set_id FROM agents LIMIT 1),
conversation AS (
  INSERT INTO conversations (account_id, agent_id)
  SELECT account.id, agent.id FROM account, agent, generate_series(1, %(count)s) RETURNING id, account_id, agent_id),
execution AS (
  INSERT INTO executions (account_id, agent_id, data_set_id, conversation_id, celery_task_id, definition_key,
                          definition_version, input, status, result, started_at, picked_up_at, finished_at)
  SELECT account_id, agent_id, (SELECT data_set_id FROM agent), id, gen_random_uuid(), 'echo', 1, '{"a": 1}',
         'finished', '{}', now(), now(), now() FROM conversation RETURNING id, conversation_id, account_id),
turn AS (
  INSERT INTO turns (execution_id, number, cycle, model, request_digest, request, answer, finished_at)
  SELECT id, 1, 1, 'm', '', convert_to(repeat(md5(id::text), 100), 'UTF8'), '{}', now() FROM execution),
event AS (
  INSERT INTO events (execution_id, seq, account_id, kind) SELECT id, 1, account_id, 'accepted' FROM execution),
blob AS (
  INSERT INTO blobs (size_bytes, sha256) SELECT 3200, '' FROM execution RETURNING id),
numbered AS (
  SELECT e.*, b.id AS blob_id FROM (SELECT *, row_number() OVER () AS n FROM execution) e
    JOIN (SELECT id, row_number() OVER () AS n FROM blob) b USING (n)),
chunk AS (
  INSERT INTO blob_chunks (blob_id, number, data)
  SELECT blob_id, 0, convert_to(repeat(md5(id::text), 100), 'UTF8') FROM numbered)
INSERT INTO files (conversation_id, account_id, blob_id, filename, content_type)
SELECT conversation_id, account_id, blob_id, 'a.txt', 'text/plain' FROM numbered
"""
AGE = "UPDATE executions SET finished_at = finished_at - interval '1 day', started_at = started_at - interval '1 day'"
SIZE = """
SELECT sum(pg_total_relation_size(oid))::bigint FROM pg_class
 WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND relname <> 'daily_totals'
"""


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--days", type=int, default=30)
    arguments.add_argument("--executions", type=int, default=300)
    arguments.add_argument("--kept", type=int, default=5)
    given = arguments.parse_args()
    with (
        postgres.throwaway_cluster() as server,
        postgres.migrated_template(server) as template,
        postgres.clone(template) as url,
    ):
        asyncio.run(simulate(url, given.days, given.executions, given.kept))


async def simulate(url: str, days: int, executions: int, kept: int) -> None:
    retaining.PAUSE_SECONDS = 0
    database = Database(Settings.read({"DATABASE_URL": url}), application_name="benchmark")
    await database.open()
    with psycopg.connect(url, autocommit=True) as connection:
        prepare(connection, kept)
        for day in range(1, days + 1):
            connection.execute(ADD, {"count": executions})
            connection.execute(AGE)
            await retaining.retain_once(database)
            connection.execute("VACUUM")
            if day % max(1, days // 5) == 0:
                rows = value(connection, "SELECT count(*) FROM executions")
                print(f"day {day:3}: {rows:6} executions, {value(connection, SIZE) / 2**20:7.1f} MiB")  # noqa: T201
    await database.close()


def prepare(connection: psycopg.Connection, kept: int) -> None:
    connection.execute("INSERT INTO accounts (name) VALUES ('a')")
    connection.execute("INSERT INTO data_sets (name, content_days, execution_days) VALUES ('d', 2, %s)", (kept,))
    connection.execute("INSERT INTO agents (name, agent_type, data_set_id) SELECT 'a', 'echo', id FROM data_sets")


def value(connection: psycopg.Connection, query: str) -> int:
    row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return int(row[0])


if __name__ == "__main__":
    main()
