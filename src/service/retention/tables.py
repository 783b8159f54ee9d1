"""Daily totals of what ended, and up to which day they are closed. Retention keeps both."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, CheckConstraint, Column, Date, Integer, Numeric, Table, Text, text

from service.schema import metadata

daily_totals = Table(
    "daily_totals",
    metadata,
    Column("day", Date, primary_key=True, comment="UTC, of the outcome"),
    Column("account_id", BigInteger, primary_key=True, autoincrement=False),
    Column("data_set_id", BigInteger, primary_key=True, autoincrement=False),
    Column("agent_id", BigInteger, primary_key=True, autoincrement=False),
    Column("definition", Text, primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("status", Text, primary_key=True),
    Column("failure_code", Text, primary_key=True, comment="empty if finished"),
    Column("executions", BigInteger, nullable=False),
    Column("cycles", BigInteger, nullable=False),
    Column("input_tokens", BigInteger, nullable=False),
    Column("cached_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("cost", Numeric, nullable=False, comment="US dollars of those whose price is known"),
    Column("unpriced", BigInteger, nullable=False, comment="executions whose price is not known"),
    Column("calls", BigInteger, nullable=False),
    Column("model_seconds", Numeric, nullable=False),
    Column("waiting_seconds", Numeric, nullable=False),
    Column("running_seconds", Numeric, nullable=False),
)

totals_progress = Table(
    "totals_progress",
    metadata,
    Column(
        "only_row",
        Boolean,
        CheckConstraint("only_row", name="only_row"),
        primary_key=True,
        server_default=text("true"),
    ),
    Column("until_day", Date, nullable=False, comment="days before it are closed"),
)
