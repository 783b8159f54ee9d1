"""SQL that tells whether the database is there and as this code expects it."""

from __future__ import annotations

from psycopg.errors import UndefinedTable

from service.database import Connection

REVISION = "SELECT version_num FROM alembic_version"


async def revision(connection: Connection) -> str | None:
    """The migration that the database is at; None if it was never migrated."""
    try:
        row = await (await connection.execute(REVISION)).fetchone()
    except UndefinedTable:
        return None
    return None if row is None else str(row["version_num"])
