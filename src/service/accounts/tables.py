"""Service accounts, their tokens (hashed, never recoverable) and the data sets they were given."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, LargeBinary, Table, Text, text

from service.schema import identity_column, metadata, timestamp_column

accounts = Table(
    "accounts",
    metadata,
    identity_column(),
    Column("name", Text, nullable=False),
    Column("is_admin", Boolean, nullable=False, server_default=text("false")),
    Column("is_active", Boolean, nullable=False, server_default=text("true")),
    timestamp_column("created_at", default_now=True),
    timestamp_column("deleted_at", nullable=True),
    Index("accounts_name_key", "name", unique=True, postgresql_where=text("deleted_at IS NULL")),
)

tokens = Table(
    "tokens",
    metadata,
    identity_column(),
    Column("account_id", BigInteger, ForeignKey("accounts.id"), nullable=False, index=True),
    Column("digest", LargeBinary, nullable=False, unique=True, comment="sha256 of the whole token"),
    timestamp_column("created_at", default_now=True),
    timestamp_column("expires_at", nullable=True),
)

account_data_sets = Table(
    "account_data_sets",
    metadata,
    Column("account_id", BigInteger, ForeignKey("accounts.id"), primary_key=True),
    Column("data_set_id", BigInteger, ForeignKey("data_sets.id"), primary_key=True, index=True),
)
