"""Whether a pooler answers in the server's place, where nothing may be left on a connection: no prepared statement, no
session's lock, role or setting, and no LISTEN.

A pooler gives each client a process number of its own, because later it must know whose statement to cancel; so the
number of the connection is not that of the server's process. Poolers that lend a connection for a whole session look
the same, and are treated the same.
"""

from __future__ import annotations

from typing import Any

from psycopg import AsyncConnection, Connection
from psycopg.rows import scalar_row

BACKEND = "SELECT pg_backend_pid()"


def is_pooled(connection: Connection[Any]) -> bool:
    """Ask the server once. Raises psycopg.Error where it does not answer."""
    answered = connection.cursor(row_factory=scalar_row).execute(BACKEND).fetchone()
    return bool(answered != connection.info.backend_pid)


async def is_pooled_async(connection: AsyncConnection[Any]) -> bool:
    """The same on a connection of the event loop."""
    cursor = await connection.cursor(row_factory=scalar_row).execute(BACKEND)
    return bool(await cursor.fetchone() != connection.info.backend_pid)
