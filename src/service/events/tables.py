"""Facts about executions, numbered without gaps; `position` is given to committed events by the numbering loop."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, ForeignKey, Index, Integer, Table, Text, text
from sqlalchemy.dialects.postgresql import JSONB

from service.schema import metadata, timestamp_column

events = Table(
    "events",
    metadata,
    Column("execution_id", BigInteger, ForeignKey("executions.id", ondelete="CASCADE"), primary_key=True),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("account_id", BigInteger, nullable=False),
    Column("position", BigInteger, nullable=True, comment="an integer cursor over an account's events"),
    Column("kind", Text, nullable=False),
    Column("data", JSONB, nullable=False, server_default=text("'{}'::jsonb")),
    timestamp_column("created_at", default_now=True),
    Index("events_account_position_idx", "account_id", "position"),
    Index("events_unnumbered_idx", "execution_id", "seq", postgresql_where=text("position IS NULL")),
)

event_counter = Table(
    "event_counter",
    metadata,
    Column(
        "only_row",
        Boolean,
        CheckConstraint("only_row", name="only_row"),
        primary_key=True,
        server_default=text("true"),
    ),
    Column("last_position", BigInteger, nullable=False, server_default=text("0")),
)
