"""The journal of a run: turns, tool calls and verdicts, each written before the next step.

What models and tools said is bytes: kept as it came, with jsonb beside it only where it decodes clean.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Integer,
    LargeBinary,
    Numeric,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from service.schema import identity_column, metadata, timestamp_column

conversations = Table(
    "conversations",
    metadata,
    identity_column(),
    Column("account_id", BigInteger, ForeignKey("accounts.id"), nullable=False, index=True),
    Column("agent_id", BigInteger, ForeignKey("agents.id"), nullable=False),
    timestamp_column("started_at", default_now=True),
    Column("summary", Text, nullable=True),
)

turns = Table(
    "turns",
    metadata,
    Column("execution_id", BigInteger, ForeignKey("executions.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False, comment="1, 2, … over the whole execution"),
    Column("cycle", Integer, nullable=False),
    Column("item", Text, nullable=True, comment="the part of the work that was asked for; null is all of it"),
    Column("model", Text, nullable=False),
    Column("request_digest", LargeBinary, nullable=False, comment="sha256 of the request"),
    Column("request", LargeBinary, nullable=False, comment="what this turn added to the prompt, JSON, capped"),
    Column("answer", LargeBinary, nullable=True, comment="what the model answered, as it came, capped"),
    Column("finish_reason", Text, nullable=True),
    Column("attempts", Integer, nullable=False, server_default=text("1"), comment="1 + calls repeated after a crash"),
    Column("input_tokens", BigInteger, nullable=True),
    Column("cached_tokens", BigInteger, nullable=True),
    Column("output_tokens", BigInteger, nullable=True),
    timestamp_column("started_at", default_now=True),
    timestamp_column("finished_at", nullable=True),
    Column("strategy", Text, nullable=False, server_default="propose", comment="the rung of the correction"),
    Column("cost", Numeric, nullable=True, comment="US dollars of the answer; null where the price is not known"),
    Column("calls", Integer, nullable=False, server_default=text("0"), comment="requests sent, but for one in flight"),
    Column("is_estimated", Boolean, nullable=False, server_default=text("false")),
    # The most that the request in flight can cost, and what requests cost that brought no answer.
    Column("reserved_input_tokens", BigInteger, nullable=False, server_default=text("0")),
    Column("reserved_output_tokens", BigInteger, nullable=False, server_default=text("0")),
    Column("reserved_cost", Numeric, nullable=True, server_default=text("0")),
    Column("lost_input_tokens", BigInteger, nullable=False, server_default=text("0")),
    Column("lost_cached_tokens", BigInteger, nullable=False, server_default=text("0")),
    Column("lost_output_tokens", BigInteger, nullable=False, server_default=text("0")),
    Column("lost_cost", Numeric, nullable=True, server_default=text("0")),
)

tool_calls = Table(
    "tool_calls",
    metadata,
    Column("execution_id", BigInteger, primary_key=True),
    Column("turn", Integer, primary_key=True, autoincrement=False),
    Column("number", Integer, primary_key=True, autoincrement=False, comment="1, 2, … within the turn"),
    Column("call_id", Text, nullable=False, comment="the model's own id of the call"),
    Column("name", Text, nullable=False),
    Column("arguments", LargeBinary, nullable=False),
    Column("result", LargeBinary, nullable=True),
    Column("succeeded", Boolean, nullable=True, comment="null while the call runs or ran when its worker died"),
    Column("idempotency_key", Text, nullable=False),
    Column("attempts", Integer, nullable=False, server_default=text("1")),
    timestamp_column("started_at", default_now=True),
    timestamp_column("finished_at", nullable=True),
    ForeignKeyConstraint(["execution_id", "turn"], ["turns.execution_id", "turns.number"], ondelete="CASCADE"),
)

verdicts = Table(
    "verdicts",
    metadata,
    Column("execution_id", BigInteger, ForeignKey("executions.id", ondelete="CASCADE"), primary_key=True),
    Column("cycle", Integer, primary_key=True, autoincrement=False),
    Column("number", Integer, primary_key=True, autoincrement=False, comment="order of speaking within the cycle"),
    Column("validator", Text, nullable=False),
    Column("kind", Text, CheckConstraint("kind IN ('accept', 'retry', 'reject')", name="kind"), nullable=False),
    Column("code", Text, nullable=True),
    Column("explanation", Text, nullable=True),
    Column("issues", JSONB, nullable=False, server_default=text("'[]'::jsonb"), comment="[{path, message, hint}]"),
    timestamp_column("created_at", default_now=True),
)
