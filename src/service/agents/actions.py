"""What can be done to agents. Callers open the transaction."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET

from service.accounts.access import Principal
from service.agents import store
from service.agents.models import AgentChange, AgentRecord, NewAgent, agent
from service.database import Connection, Row
from service.datasets import store as data_sets
from service.definitions.field_schema import problems_of
from service.errors import FieldError, Forbidden, InvalidInput, NotFound


async def get(connection: Connection, principal: Principal, agent_id: int) -> AgentRecord:
    """Raises NotFound for an agent of a data set that the account was not given, as if it were absent."""
    return agent(await _visible(connection, principal, agent_id))


async def create(connection: Connection, principal: Principal, new: NewAgent) -> AgentRecord:
    """Raises InvalidInput for a data set that does not exist."""
    if not await data_sets.is_present(connection, new.data_set):
        raise InvalidInput([FieldError("data_set", f"There is no data set {new.data_set}.")])
    _check_fields(new.field_schema)
    agent_id = await store.insert(
        connection,
        name=new.name,
        agent_type=new.agent_type,
        data_set_id=new.data_set,
        file_upload=new.file_upload,
        model=new.model,
        field_schema=new.field_schema,
    )
    return agent(await _visible(connection, principal, agent_id))


async def change(connection: Connection, principal: Principal, agent_id: int, change: AgentChange) -> AgentRecord:
    """Raises NotFound, and Forbidden for who may only use the agent."""
    row = await require_admin(connection, principal, agent_id)
    field_schema = row["field_schema"] if change.field_schema is UNSET else change.field_schema
    _check_fields(field_schema)
    await store.update(
        connection,
        agent_id,
        name=row["name"] if change.name is UNSET else change.name,
        agent_type=row["agent_type"] if change.agent_type is UNSET else change.agent_type,
        file_upload=row["file_upload"] if change.file_upload is UNSET else change.file_upload,
        model=row["model"] if change.model is UNSET else change.model,
        field_schema=field_schema,
    )
    return agent(await _visible(connection, principal, agent_id))


async def delete(connection: Connection, principal: Principal, agent_id: int) -> None:
    """Nothing new starts; what runs goes on. Raises NotFound, and Forbidden for who may only use the agent."""
    await require_admin(connection, principal, agent_id)
    await store.delete(connection, agent_id)


async def require_admin(connection: Connection, principal: Principal, agent_id: int) -> Row:
    """The agent. Raises NotFound for who may not see it, Forbidden for who may only use it."""
    row = await _visible(connection, principal, agent_id)
    if not principal.is_admin:
        raise Forbidden("Only an admin account may do this.")
    return row


def _check_fields(schema: dict[str, Any] | None) -> None:
    """Raises InvalidInput naming what is wrong with a field schema, where."""
    problems = [] if schema is None else problems_of(schema)
    if problems:
        raise InvalidInput([FieldError(problem.field("field_schema"), problem.message) for problem in problems])


async def _visible(connection: Connection, principal: Principal, agent_id: int) -> Row:
    row = await store.visible_agent(connection, principal, agent_id)
    if row is None:
        raise NotFound
    return row
