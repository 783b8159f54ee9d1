"""Keys that clients gave, each with the answer that its first request got. Written in that request's transaction."""

from __future__ import annotations

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Integer, LargeBinary, Table, Text, text
from sqlalchemy.dialects.postgresql import ARRAY

from service.schema import metadata, timestamp_column

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("account_id", BigInteger, ForeignKey("accounts.id"), primary_key=True, autoincrement=False),
    Column("key", Text, primary_key=True),
    Column("digest", LargeBinary, nullable=False, comment="SHA-256 of what was asked for"),
    Column("status", Integer, nullable=True),
    Column("location", Text, nullable=True),
    Column("body", LargeBinary, nullable=True, comment="the answer, byte for byte"),
    Column(
        "execution_ids",
        ARRAY(BigInteger),
        nullable=False,
        server_default=text("'{}'"),
        comment="what the request started",
    ),
    Column(
        "settled",
        Boolean,
        nullable=False,
        server_default=text("true"),
        comment="whether the answer was given: then it stays as it is",
    ),
    timestamp_column("created_at", default_now=True),
    Index("idempotency_keys_created_at_idx", "created_at"),
)
