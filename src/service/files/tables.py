"""Uploaded files: bytes in chunks of at most 256 KiB, and the references that conversations hold to them."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
)

from service.schema import identity_column, metadata, timestamp_column

blobs = Table(
    "blobs",
    metadata,
    identity_column(),
    Column("size_bytes", BigInteger, nullable=False),
    Column("sha256", LargeBinary, nullable=False),
    timestamp_column("created_at", default_now=True),
)

blob_chunks = Table(
    "blob_chunks",
    metadata,
    Column("blob_id", BigInteger, ForeignKey("blobs.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False, comment="0, 1, …; all but the last are 256 KiB"),
    Column("data", LargeBinary, nullable=False),
)

files = Table(
    "files",
    metadata,
    identity_column(),
    Column("conversation_id", BigInteger, ForeignKey("conversations.id", ondelete="CASCADE"), nullable=False),
    Column("account_id", BigInteger, ForeignKey("accounts.id"), nullable=False, index=True),
    Column(
        "blob_id",
        BigInteger,
        ForeignKey("blobs.id"),
        nullable=True,
        index=True,
        comment="null when its time was over",
    ),
    Column("filename", Text, nullable=False),
    Column("content_type", Text, nullable=False),
    Column("text", Text, nullable=True, comment="extracted once, in the worker"),
    Column("text_characters", Integer, nullable=True, comment="characters of the whole text, before any cut"),
    Column("text_truncated", Boolean, nullable=True),
    Column("text_problem", Text, nullable=True, comment="why there is no text, for the model and the explanation"),
    timestamp_column("text_at", nullable=True),
    timestamp_column("created_at", default_now=True),
    UniqueConstraint("conversation_id", "filename"),
)
