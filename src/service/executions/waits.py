"""How often a run has given up its slot to wait for a provider: its events say it, so no worker has to remember."""

from __future__ import annotations

from service.database import Connection

COUNT_WAITS = """
SELECT count(*) AS waits FROM events
 WHERE execution_id = %(execution_id)s AND kind IN ('waiting', 'released') AND data ->> 'resume_at' IS NOT NULL
"""


async def count_waits(connection: Connection, execution_id: int) -> int:
    """Releases of the execution that named a time to go on at."""
    row = await (await connection.execute(COUNT_WAITS, {"execution_id": execution_id})).fetchone()
    return 0 if row is None else int(row["waits"])
