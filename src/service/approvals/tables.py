"""Calls of tools that wait for somebody's decision, or had one."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    desc,
    text,
)

from service.schema import identity_column, metadata, timestamp_column

approvals = Table(
    "approvals",
    metadata,
    identity_column(),
    Column("execution_id", BigInteger, ForeignKey("executions.id", ondelete="CASCADE"), nullable=False),
    Column("account_id", BigInteger, ForeignKey("accounts.id"), nullable=False, comment="whose execution it is"),
    Column("turn", Integer, nullable=False),
    Column("call", Integer, nullable=False),
    Column("tool", Text, nullable=False),
    Column("arguments", LargeBinary, nullable=False, comment="JSON as the model wrote it"),
    timestamp_column("requested_at", default_now=True),
    timestamp_column("expires_at", nullable=True),
    Column(
        "decision",
        Text,
        CheckConstraint("decision IN ('approved', 'declined', 'expired')", name="decision"),
        nullable=True,
        comment="null while nobody has decided",
    ),
    timestamp_column("decided_at", nullable=True),
    Column("decided_by", BigInteger, ForeignKey("accounts.id"), nullable=True, comment="null where time did"),
    Column("reason", Text, nullable=True),
    UniqueConstraint("execution_id", "turn", "call"),
    CheckConstraint("(decision IS NULL) = (decided_at IS NULL)", name="decided"),
    Index("approvals_open_idx", "account_id", desc("id"), postgresql_where=text("decision IS NULL")),
)
