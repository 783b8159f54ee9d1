"""Executions (wide, rarely written: the truth) and execution_runtime (narrow, gone when final: what a claim reads)."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    Numeric,
    Table,
    Text,
    desc,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, UUID

from service.schema import identity_column, metadata, timestamp_column

executions = Table(
    "executions",
    metadata,
    identity_column(),
    Column("account_id", BigInteger, ForeignKey("accounts.id"), nullable=False),
    Column("agent_id", BigInteger, ForeignKey("agents.id"), nullable=False),
    Column("data_set_id", BigInteger, ForeignKey("data_sets.id"), nullable=False),
    Column("conversation_id", BigInteger, ForeignKey("conversations.id"), nullable=False, unique=True),
    Column("celery_task_id", UUID(as_uuid=True), nullable=False, unique=True, comment="ours, made before the row"),
    Column("definition_key", Text, nullable=False),
    Column("definition_version", Integer, nullable=False),
    Column(
        "status",
        Text,
        CheckConstraint("status IN ('pending', 'in_progress', 'finished', 'failed')", name="status"),
        nullable=False,
        server_default="pending",
    ),
    Column("input", JSONB, nullable=False),
    Column("result", JSONB, nullable=True),
    Column("failure_code", Text, nullable=True),
    Column("failure_explanation", Text, nullable=True),
    Column("retryable", Boolean, nullable=True),
    Column("cycles", Integer, nullable=False, server_default=text("0"), comment="cycles judged; set with the outcome"),
    Column("external_id", Text, nullable=True),
    Column("metadata", JSONB, nullable=False, server_default=text("'{}'::jsonb")),
    Column("priority", Integer, nullable=False, server_default=text("0")),
    timestamp_column("start_after", nullable=True),
    timestamp_column("deadline", nullable=True),
    timestamp_column("started_at", default_now=True),
    timestamp_column("picked_up_at", nullable=True),
    timestamp_column("finished_at", nullable=True),
    Column("limits", JSONB, nullable=False, server_default=text("'{}'::jsonb"), comment="what this run may use"),
    Column("exit_reason", Text, nullable=True),
    # Usage is set with the outcome, by usage_of().
    Column("input_tokens", BigInteger, nullable=True),
    Column("cached_tokens", BigInteger, nullable=True),
    Column("output_tokens", BigInteger, nullable=True),
    Column("cost", Numeric, nullable=True, comment="US dollars; null where a price is not known"),
    Column("model_seconds", Numeric, nullable=True),
    Column("calls", Integer, nullable=True),
    Column("is_estimated", Boolean, nullable=True),
    CheckConstraint("(status IN ('finished', 'failed')) = (finished_at IS NOT NULL)", name="final_has_finished_at"),
    CheckConstraint(
        "(status = 'failed') = (failure_code IS NOT NULL AND failure_explanation <> '')", name="failed_has_code"
    ),
    Index("executions_account_idx", "account_id", desc("id")),
    Index("executions_account_agent_idx", "account_id", "agent_id", desc("id")),
    Index("executions_account_data_set_idx", "account_id", "data_set_id", desc("id")),
    Index("executions_account_status_idx", "account_id", "status", desc("id")),
    Index("executions_started_at_idx", "started_at", postgresql_using="brin", postgresql_with={"autosummarize": "on"}),
)

execution_runtime = Table(
    "execution_runtime",
    metadata,
    Column(
        "execution_id",
        BigInteger,
        ForeignKey("executions.id", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    ),
    Column("account_id", BigInteger, nullable=False),
    Column("agent_id", BigInteger, nullable=False),
    Column("definition", Text, nullable=False, comment="key@version: with account and agent, the lane"),
    Column("priority", Integer, nullable=False),
    Column(
        "phase",
        Text,
        CheckConstraint("phase IN ('ready', 'waiting', 'running')", name="phase"),
        nullable=False,
        server_default="ready",
    ),
    timestamp_column("ready_since", default_now=True),
    timestamp_column("resume_at", nullable=True),
    Column("worker_id", BigInteger, ForeignKey("workers.id", ondelete="SET NULL"), nullable=True),
    Column("epoch", Integer, nullable=False, server_default=text("0")),
    Column("losses", Integer, nullable=False, server_default=text("0")),
    Column("next_event", Integer, nullable=False, server_default=text("2"), comment="event 1 is the acceptance"),
    timestamp_column("cancel_asked_at", nullable=True),
    Index(
        "runtime_ready",
        "account_id",
        "agent_id",
        "definition",
        desc("priority"),
        "execution_id",
        postgresql_where=text("phase = 'ready'"),
    ),
    Index("runtime_running", "account_id", "agent_id", postgresql_where=text("phase = 'running'")),
    Index("runtime_worker", "worker_id", postgresql_where=text("phase = 'running'")),
    Index("runtime_waiting", "resume_at", postgresql_where=text("phase = 'waiting'")),
    postgresql_with={"fillfactor": "50"},
)

running_limits = Table(
    "running_limits",
    metadata,
    Column("scope", Text, CheckConstraint("scope IN ('account', 'agent')", name="scope"), primary_key=True),
    Column("scope_id", BigInteger, primary_key=True, autoincrement=False),
    Column("max_running", Integer, CheckConstraint("max_running >= 0", name="max_running"), nullable=False),
)
