"""Webhooks, their secrets (encrypted), and what was delivered where: a row per message and one per attempt."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    desc,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, UUID

from service.schema import identity_column, metadata, timestamp_column

webhooks = Table(
    "webhooks",
    metadata,
    identity_column(),
    Column("account_id", BigInteger, ForeignKey("accounts.id"), nullable=False),
    Column("url", Text, nullable=True, comment="null: it signs for the URLs that executions name themselves"),
    Column("event_types", ARRAY(Text), nullable=False),
    Column("body", Text, CheckConstraint("body IN ('thin', 'full')", name="body"), nullable=False),
    Column("is_active", Boolean, nullable=False, server_default=text("true")),
    Column("disabled_reason", Text, nullable=True),
    Column("after_position", BigInteger, nullable=False, comment="only events after this position are delivered"),
    timestamp_column("created_at", default_now=True),
    timestamp_column("deleted_at", nullable=True),
    Index("webhooks_account_idx", "account_id", desc("id")),
    Index(
        "webhooks_account_without_url_key",
        "account_id",
        unique=True,
        postgresql_where=text("url IS NULL AND deleted_at IS NULL"),
    ),
)

webhook_secrets = Table(
    "webhook_secrets",
    metadata,
    identity_column(),
    Column("webhook_id", BigInteger, ForeignKey("webhooks.id"), nullable=False, index=True),
    Column("sealed", LargeBinary, nullable=False, comment="encrypted under AGENTIC_SECRET_KEY"),
    timestamp_column("created_at", default_now=True),
    timestamp_column("expires_at", nullable=True),
)

webhook_cursor = Table(
    "webhook_cursor",
    metadata,
    Column(
        "only_row",
        Boolean,
        CheckConstraint("only_row", name="only_row"),
        primary_key=True,
        server_default=text("true"),
    ),
    Column("position", BigInteger, nullable=False, server_default=text("0")),
)

# Without a foreign key: it is written while somebody has the webhook locked.
webhook_arrears = Table(
    "webhook_arrears",
    metadata,
    Column("webhook_id", BigInteger, primary_key=True, autoincrement=False),
    Column("position", BigInteger, nullable=False, comment="where it stands, while it is behind the cursor"),
)

webhook_deliveries = Table(
    "webhook_deliveries",
    metadata,
    identity_column(),
    Column("account_id", BigInteger, nullable=False),
    Column("webhook_id", BigInteger, ForeignKey("webhooks.id"), nullable=False),
    Column("execution_id", BigInteger, ForeignKey("executions.id", ondelete="CASCADE"), nullable=True),
    Column("seq", Integer, nullable=True),
    Column(
        "message",
        UUID(as_uuid=True),
        nullable=False,
        server_default=text("gen_random_uuid()"),
        comment="the webhook-id: the same in every attempt",
    ),
    Column("type", Text, nullable=False),
    timestamp_column("occurred_at"),
    Column("lane", Text, nullable=False, comment="first attempts of one lane follow each other"),
    Column(
        "status",
        Text,
        CheckConstraint("status IN ('pending', 'delivered', 'failed', 'dropped')", name="status"),
        nullable=False,
        server_default="pending",
    ),
    Column(
        "attempts", Integer, nullable=False, server_default=text("0"), comment="the last attempt whose end is known"
    ),
    Column(
        "claims",
        Integer,
        nullable=False,
        server_default=text("0"),
        comment="attempts begun; the fence of what records one",
    ),
    Column(
        "failures", Integer, nullable=False, server_default=text("0"), comment="attempts failed since it was asked for"
    ),
    timestamp_column("due_at", default_now=True),  # of the next attempt; under way, when it is taken for lost
    timestamp_column("created_at", default_now=True),
    timestamp_column("finished_at", nullable=True),
    Index("webhook_deliveries_event_key", "execution_id", "seq", "webhook_id", unique=True),
    Index("webhook_deliveries_webhook_idx", "webhook_id", desc("id")),
    Index("webhook_deliveries_finished_at_idx", "finished_at", postgresql_where=text("finished_at IS NOT NULL")),
    Index("webhook_deliveries_first_idx", "lane", "id", postgresql_where=text("status = 'pending' AND attempts = 0")),
    Index(
        "webhook_deliveries_retry_idx", "lane", "due_at", postgresql_where=text("status = 'pending' AND attempts > 0")
    ),
    postgresql_with={"fillfactor": "80"},
)

webhook_attempts = Table(
    "webhook_attempts",
    metadata,
    Column(
        "delivery_id",
        BigInteger,
        ForeignKey("webhook_deliveries.id", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    ),
    Column("number", Integer, primary_key=True, autoincrement=False),
    timestamp_column("started_at", default_now=True),
    Column("status_code", Integer, nullable=True),
    Column("milliseconds", Integer, nullable=True),
    Column("error", Text, nullable=True),
)
