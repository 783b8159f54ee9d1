"""Limits (rows that operators write), what accounts have spent per period, and when each last got a slot."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    Numeric,
    Table,
    Text,
    text,
)

from service.schema import metadata, timestamp_column

limits = Table(
    "limits",
    metadata,
    Column("scope", Text, primary_key=True),
    Column("scope_id", BigInteger, primary_key=True, autoincrement=False, server_default=text("0")),
    Column("max_running", Integer, CheckConstraint("max_running >= 0", name="max_running"), nullable=True),
    Column(
        "name",
        Text,
        primary_key=True,
        server_default=text("''"),
        comment="of a provider: the model as agents name it",
    ),
    Column(
        "share",
        Numeric,
        CheckConstraint("share > 0", name="share"),
        nullable=True,
        comment="of the slots, against other accounts; null is 1",
    ),
    Column("max_queued", Integer, CheckConstraint("max_queued >= 0", name="max_queued"), nullable=True),
    Column(
        "starts_per_minute",
        Integer,
        CheckConstraint("starts_per_minute >= 0", name="starts_per_minute"),
        nullable=True,
    ),
    Column("tokens_per_day", BigInteger, CheckConstraint("tokens_per_day >= 0", name="tokens_per_day"), nullable=True),
    Column(
        "cost_per_day",
        Numeric,
        CheckConstraint("cost_per_day >= 0", name="cost_per_day"),
        nullable=True,
        comment="US dollars",
    ),
    CheckConstraint(
        "CASE scope WHEN 'provider' THEN scope_id = 0 AND name <> '' ELSE scope_id > 0 AND name = '' END"
        " AND scope IN ('account', 'agent', 'provider')",
        name="scope",
    ),
    CheckConstraint(
        "scope = 'account' OR num_nonnulls(share, max_queued, starts_per_minute, tokens_per_day, cost_per_day) = 0",
        name="of_accounts",
    ),
)

account_usage = Table(
    "account_usage",
    metadata,
    Column("account_id", BigInteger, ForeignKey("accounts.id"), primary_key=True, autoincrement=False),
    Column("period", Text, CheckConstraint("period IN ('minute', 'day')", name="period"), primary_key=True),
    Column("begins_at", DateTime(timezone=True), primary_key=True),
    Column(
        "starts",
        Integer,
        nullable=False,
        server_default=text("0"),
        comment="only of accounts that have a limit on starts",
    ),
    Column("tokens", BigInteger, nullable=False, server_default=text("0")),
    Column("cost", Numeric, nullable=False, server_default=text("0"), comment="US dollars, as far as prices are known"),
    Index("account_usage_begins_at_idx", "period", "begins_at"),
)

account_claims = Table(
    "account_claims",
    metadata,
    Column("account_id", BigInteger, primary_key=True, autoincrement=False),
    timestamp_column("claimed_at"),
    postgresql_with={"fillfactor": "50"},
)
