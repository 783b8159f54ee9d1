"""Data sets and the catalogue that their agents read and write."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Table, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB

from service.schema import identity_column, metadata, timestamp_column

data_sets = Table(
    "data_sets",
    metadata,
    identity_column(),
    Column("name", Text, nullable=False),
    timestamp_column("created_at", default_now=True),
    timestamp_column("deleted_at", nullable=True),
)

products = Table(
    "products",
    metadata,
    identity_column(),
    Column("data_set_id", BigInteger, ForeignKey("data_sets.id"), nullable=False),
    Column("sku", Text, nullable=False),
    Column("name", Text, nullable=False, server_default=""),
    Column("description", Text, nullable=False, server_default=""),
    Column("details", JSONB, nullable=False, server_default=text("'{}'::jsonb")),
    timestamp_column("updated_at", default_now=True),
    UniqueConstraint("data_set_id", "sku"),
)
