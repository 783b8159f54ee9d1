"""Agents as REST takes and gives them; the CLI prints the same records."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from service.database import Row
from service.definitions.problems import NOT_BLANK
from service.times import ts

Name = Annotated[str, Meta(max_length=200, pattern=NOT_BLANK)]
RowId = Annotated[int, Meta(ge=1, le=2**63 - 1)]


class NewAgent(Struct, kw_only=True, forbid_unknown_fields=True):
    """An agent to create. A type that no definition names is allowed: such an agent offers nothing yet.

    `model` is a name such as openai:gpt-5-mini or local:smollm2; null takes the definition's or the setting.
    `field_schema` is a JSON Schema of the details that catalog-enrichment gives products; null lets them be any text.
    """

    name: Name
    agent_type: Name
    data_set: RowId
    file_upload: bool = False
    model: Name | None = None
    field_schema: dict[str, Any] | None = None


class AgentChange(Struct, kw_only=True, forbid_unknown_fields=True):
    """What to change of an agent; fields that are left out stay. An agent stays with its data set."""

    name: Name | UnsetType = UNSET
    agent_type: Name | UnsetType = UNSET
    file_upload: bool | UnsetType = UNSET
    model: Name | UnsetType | None = UNSET
    field_schema: dict[str, Any] | UnsetType | None = UNSET


class AgentRecord(Struct, kw_only=True):
    """An agent: its type selects the definitions that it offers."""

    id: int
    name: str
    agent_type: str
    data_set: int
    file_upload: bool
    model: str | None
    created_at: str
    field_schema: dict[str, Any] | None


def agent(row: Row) -> AgentRecord:
    """The record of a row of `store.visible_agent`."""
    return AgentRecord(
        id=row["id"],
        name=row["name"],
        agent_type=row["agent_type"],
        data_set=row["data_set_id"],
        file_upload=row["file_upload"],
        model=row["model"],
        created_at=ts(row["created_at"]),
        field_schema=row["field_schema"],
    )
