"""SQL that tells whether the database is there and as this code expects it."""

from __future__ import annotations

from psycopg.errors import InsufficientPrivilege, UndefinedTable

from service.database import Connection

REVISION = "SELECT version_num FROM alembic_version"


async def revision(connection: Connection) -> str | None:
    """The migration that the database is at; None if `agentic migrate` has yet to make or grant the tables."""
    try:
        row = await (await connection.execute(REVISION)).fetchone()
    except (UndefinedTable, InsufficientPrivilege):
        return None
    return None if row is None else str(row["version_num"])
