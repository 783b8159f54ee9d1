"""The rows of worker processes: registration, lease, and what the others of them may clear away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import psycopg
from psycopg.rows import DictRow

from service.database import Connection
from service.queue import QUEUE

SyncConnection = psycopg.Connection[DictRow]

REGISTER = """
WITH queue_worker AS (SELECT worker_id FROM procrastinate_register_worker_v1())
INSERT INTO workers (name, host, pid, queue_worker_id, offers, models, concurrency, lease_until)
SELECT %(name)s, %(host)s, %(pid)s, worker_id, %(offers)s, %(models)s::text[], %(concurrency)s,
       now() + make_interval(secs => %(lease)s)
  FROM queue_worker
RETURNING id, queue_worker_id
"""

RENEW = "UPDATE workers SET lease_until = now() + make_interval(secs => %(lease)s) WHERE id = %(id)s"

UNREGISTER = """
WITH gone AS (DELETE FROM workers WHERE id = %(id)s RETURNING queue_worker_id)
SELECT procrastinate_unregister_worker_v1(queue_worker_id) FROM gone
"""

IS_ALIVE = "SELECT FROM workers WHERE name = %(name)s AND lease_until > now() LIMIT 1"

DELETE_EXPIRED = "DELETE FROM workers WHERE lease_until < now() RETURNING id, name"

# A ticket that a dead process had taken. Its row is deleted, never requeued: the queue does not fence, so a process
# that wakes up would finish the requeued row.
DELETE_ORPHANED_JOBS = """
DELETE FROM procrastinate_jobs j
 WHERE j.status = 'doing' AND j.queue_name = %(queue)s
   AND NOT EXISTS (SELECT FROM workers w WHERE w.queue_worker_id = j.worker_id)
"""

# Much later than the worker itself: a process that was only thought dead may still fetch under this row.
DELETE_OLD_QUEUE_WORKERS = """
DELETE FROM procrastinate_workers q
 WHERE q.last_heartbeat < now() - interval '1 day'
   AND NOT EXISTS (SELECT FROM workers w WHERE w.queue_worker_id = q.id)
"""

JOBS_OF = """
SELECT id FROM procrastinate_jobs WHERE status = 'doing' AND worker_id = %(queue_worker_id)s ORDER BY id LIMIT 1000
"""

DELETE_JOBS_OF = """
DELETE FROM procrastinate_jobs WHERE status = 'doing' AND worker_id = %(queue_worker_id)s AND id = ANY (%(ids)s)
"""


@dataclass(frozen=True, kw_only=True)
class WorkerDescription:
    """What a worker process tells about itself. `offers` are the definitions it has, as key@version; `models`, in the
    same order, what their runs ask where the agent names no model, "" for nothing."""

    name: str
    host: str
    pid: int
    offers: Sequence[str]
    concurrency: int
    models: Sequence[str] = ()


@dataclass(frozen=True)
class Identity:
    """A registered worker: our row's id and the queue's own. A process that was swept registers anew."""

    worker_id: int
    queue_worker_id: int


def register(connection: SyncConnection, description: WorkerDescription, *, lease_seconds: float) -> Identity:
    """Register with the queue and with us in one statement, so that neither row is ever seen without the other."""
    values = {
        "name": description.name,
        "host": description.host,
        "pid": description.pid,
        "offers": list(description.offers),
        "models": list(description.models),
        "concurrency": description.concurrency,
        "lease": lease_seconds,
    }
    row = connection.execute(REGISTER, values).fetchone()
    assert row is not None
    return Identity(row["id"], row["queue_worker_id"])


def renew(connection: SyncConnection, worker_id: int, *, lease_seconds: float) -> bool:
    """Extend the lease from now. False: the row was swept, and every claim under it is lost."""
    return connection.execute(RENEW, {"id": worker_id, "lease": lease_seconds}).rowcount == 1


def unregister(connection: SyncConnection, worker_id: int) -> None:
    """Take the worker off both lists. What it still holds is up for recovery at once."""
    connection.execute(UNREGISTER, {"id": worker_id})


async def is_alive(connection: Connection, name: str) -> bool:
    """Whether a worker of this name has a lease that has not run out."""
    cursor = await connection.execute(IS_ALIVE, {"name": name})
    return await cursor.fetchone() is not None


async def delete_expired(connection: Connection) -> list[str]:
    """Delete workers whose lease ran out; their names. Only for a sweeper that may trust expired leases."""
    cursor = await connection.execute(DELETE_EXPIRED)
    return [row["name"] for row in await cursor.fetchall()]


async def delete_leftovers(connection: Connection) -> None:
    """Delete the tickets that dead workers had taken, and what the queue remembers of long dead ones."""
    await connection.execute(DELETE_ORPHANED_JOBS, {"queue": QUEUE})
    await connection.execute(DELETE_OLD_QUEUE_WORKERS)


async def jobs_of(connection: Connection, queue_worker_id: int) -> set[int]:
    """The tickets that the database believes this worker to hold."""
    cursor = await connection.execute(JOBS_OF, {"queue_worker_id": queue_worker_id})
    return {row["id"] for row in await cursor.fetchall()}


async def delete_jobs_of(connection: Connection, queue_worker_id: int, ids: Sequence[int]) -> None:
    """Delete these tickets of this worker: it does not know of them, because a reply was lost."""
    await connection.execute(DELETE_JOBS_OF, {"queue_worker_id": queue_worker_id, "ids": list(ids)})
