"""Agents: configured rows whose type selects the definitions they offer."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Table, Text, text
from sqlalchemy.dialects.postgresql import JSONB

from service.schema import identity_column, metadata, timestamp_column

agents = Table(
    "agents",
    metadata,
    identity_column(),
    Column("name", Text, nullable=False),
    Column("agent_type", Text, nullable=False),
    Column("data_set_id", BigInteger, ForeignKey("data_sets.id"), nullable=False, index=True),
    Column("file_upload", Boolean, nullable=False, server_default=text("false")),
    Column("model", Text, nullable=True, comment="a model name such as local:smollm2; null takes the setting"),
    timestamp_column("created_at", default_now=True),
    Column(
        "field_schema",
        JSONB,
        nullable=True,
        comment="JSON Schema of the details that its products get; null lets them be any text",
    ),
    timestamp_column("deleted_at", nullable=True),
)
