"""Schedules: starts that repeat. A slot is claimed by the execution that it starts: one row of executions each."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, ForeignKey, Index, Integer, Table, Text, desc, text
from sqlalchemy.dialects.postgresql import JSONB

from service.schema import identity_column, metadata, timestamp_column

schedules = Table(
    "schedules",
    metadata,
    identity_column(),
    Column("account_id", BigInteger, ForeignKey("accounts.id"), nullable=False),
    Column("agent_id", BigInteger, ForeignKey("agents.id"), nullable=False),
    Column("execution_key", Text, nullable=False),
    Column("cron", Text, nullable=False),
    Column("time_zone", Text, nullable=False),
    Column("input", JSONB, nullable=False, comment="as it was given: each slot's version decodes it"),
    Column("limits", JSONB, nullable=False),
    Column("metadata", JSONB, nullable=False),
    Column("priority", Integer, nullable=False),
    Column("webhook_url", Text, nullable=True),
    Column("is_active", Boolean, nullable=False),
    Column("missed", Text, CheckConstraint("missed IN ('latest', 'all', 'none')", name="missed"), nullable=False),
    Column("overlap", Text, CheckConstraint("overlap IN ('skip', 'queue', 'allow')", name="overlap"), nullable=False),
    Column("revision", Integer, nullable=False, server_default=text("1"), comment="raised by each change of it"),
    timestamp_column("next_slot", nullable=True),
    timestamp_column("last_slot", nullable=True),
    Column(
        "last_outcome",
        Text,
        CheckConstraint("last_outcome IN ('started', 'skipped', 'missed', 'refused')", name="last_outcome"),
        nullable=True,
    ),
    Column("last_refusal", JSONB, nullable=True, comment="why the last slot was refused"),
    Column("last_execution_id", BigInteger, nullable=True, comment="the last that it started; may be erased"),
    timestamp_column("created_at", default_now=True),
    CheckConstraint("is_active OR next_slot IS NULL", name="only_active_is_due"),
    Index("schedules_account_idx", "account_id", "agent_id", desc("id")),
    Index("schedules_agent_idx", "agent_id", desc("id")),
    Index("schedules_due_idx", "next_slot", postgresql_where=text("next_slot IS NOT NULL")),
)
