"""SQL of agents. What an account may see follows from the data sets it was given."""

from __future__ import annotations

from typing import Any

from psycopg.types.json import Jsonb

from service.accounts.access import Principal
from service.database import Connection, Row

VISIBLE = """
SELECT g.id, g.name, g.agent_type, g.data_set_id, g.file_upload, g.model, g.created_at, g.field_schema
FROM agents g JOIN data_sets d ON d.id = g.data_set_id AND d.deleted_at IS NULL
WHERE g.deleted_at IS NULL AND (%(is_admin)s OR EXISTS (
    SELECT FROM account_data_sets a WHERE a.account_id = %(account_id)s AND a.data_set_id = g.data_set_id))
"""

BY_ID = VISIBLE + "AND g.id = %(id)s"
PAGE = VISIBLE + "ORDER BY g.id DESC LIMIT %(limit)s OFFSET %(offset)s"
COUNT = f"SELECT count(*) AS count FROM ({VISIBLE}) visible"  # noqa: S608 - our own text

INSERT = """
INSERT INTO agents (name, agent_type, data_set_id, file_upload, model, field_schema)
VALUES (%(name)s, %(agent_type)s, %(data_set_id)s, %(file_upload)s, %(model)s, %(field_schema)s) RETURNING id
"""
UPDATE = """
UPDATE agents SET name = %(name)s, agent_type = %(agent_type)s, file_upload = %(file_upload)s, model = %(model)s,
                  field_schema = %(field_schema)s
WHERE id = %(id)s AND deleted_at IS NULL RETURNING id
"""
DELETE = "UPDATE agents SET deleted_at = now() WHERE id = %(id)s AND deleted_at IS NULL RETURNING id"


async def visible_agent(connection: Connection, principal: Principal, agent_id: int) -> Row | None:
    """The agent (id, name, agent_type, data_set_id, file_upload, model, created_at, field_schema).

    None if it is absent, deleted, or of a data set that the account was not given. Admins see all.
    """
    return await _one(connection, BY_ID, id=agent_id, **_asking(principal))


async def visible_page(connection: Connection, principal: Principal, *, limit: int, offset: int) -> list[Row]:
    """Agents that the account may use, newest first."""
    arguments = {"limit": limit, "offset": offset, **_asking(principal)}
    return await (await connection.execute(PAGE, arguments)).fetchall()


async def count_visible(connection: Connection, principal: Principal) -> int:
    """How many agents the account may use."""
    row = await _one(connection, COUNT, **_asking(principal))
    return int(row["count"]) if row else 0


async def insert(
    connection: Connection,
    *,
    name: str,
    agent_type: str,
    data_set_id: int,
    file_upload: bool,
    model: str | None,
    field_schema: dict[str, Any] | None,
) -> int:
    """Raises psycopg.errors.ForeignKeyViolation for an unknown data set."""
    row = await _one(
        connection,
        INSERT,
        name=name,
        agent_type=agent_type,
        data_set_id=data_set_id,
        file_upload=file_upload,
        model=model,
        field_schema=_json(field_schema),
    )
    assert row is not None
    return int(row["id"])


async def update(
    connection: Connection,
    agent_id: int,
    *,
    name: str,
    agent_type: str,
    file_upload: bool,
    model: str | None,
    field_schema: dict[str, Any] | None,
) -> bool:
    """False if the agent is absent."""
    row = await _one(
        connection,
        UPDATE,
        id=agent_id,
        name=name,
        agent_type=agent_type,
        file_upload=file_upload,
        model=model,
        field_schema=_json(field_schema),
    )
    return row is not None


async def delete(connection: Connection, agent_id: int) -> bool:
    """Soft: executions keep their agent. False if the agent is absent."""
    return await _one(connection, DELETE, id=agent_id) is not None


def _json(schema: dict[str, Any] | None) -> Jsonb | None:
    return None if schema is None else Jsonb(schema)


def _asking(principal: Principal) -> dict[str, object]:
    return {"account_id": principal.account_id, "is_admin": principal.is_admin}


async def _one(connection: Connection, statement: str, **arguments: object) -> Row | None:
    return await (await connection.execute(statement, arguments)).fetchone()
