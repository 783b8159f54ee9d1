"""Data sets, the catalogue that their agents read and write, and the shop behind it."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Date,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    Numeric,
    Table,
    Text,
    UniqueConstraint,
    desc,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from service.schema import identity_column, metadata, timestamp_column

data_sets = Table(
    "data_sets",
    metadata,
    identity_column(),
    Column("name", Text, nullable=False),
    timestamp_column("created_at", default_now=True),
    timestamp_column("deleted_at", nullable=True),
    Column(
        "content_days",
        Integer,
        CheckConstraint("content_days > 0", name="content_days"),
        nullable=True,
        server_default=text("90"),
        comment="days that prompts, results of tools and files are kept after the outcome; null: for good",
    ),
    Column(
        "execution_days",
        Integer,
        CheckConstraint("execution_days > 0", name="execution_days"),
        nullable=True,
        comment="days that executions are kept after their outcome; null: for good",
    ),
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
    Column(
        "stock",
        BigInteger,
        CheckConstraint("stock >= 0", name="stock"),
        nullable=False,
        server_default=text("0"),
        comment="the sum of its stock_movements",
    ),
    UniqueConstraint("data_set_id", "sku"),
)

# A receipt and an order are there once: for a key, for the execution, and for what the paper says it is. The …_key
# columns are made by definitions.shop.identity.
receipts = Table(
    "receipts",
    metadata,
    identity_column(),
    Column("data_set_id", BigInteger, ForeignKey("data_sets.id"), nullable=False),
    Column("execution_id", BigInteger, ForeignKey("executions.id", ondelete="SET NULL"), nullable=True, unique=True),
    Column("idempotency_key", Text, nullable=False),
    Column("supplier", Text, nullable=False),
    Column("supplier_key", Text, nullable=False),
    Column("number", Text, nullable=False),
    Column("number_key", Text, nullable=False),
    Column("issued_on", Date, nullable=False),
    Column("currency", Text, nullable=False),
    Column("total", Numeric, nullable=False),
    Column("details", JSONB, nullable=False, server_default=text("'{}'::jsonb")),
    timestamp_column("created_at", default_now=True),
    UniqueConstraint("data_set_id", "idempotency_key"),
    UniqueConstraint("data_set_id", "supplier_key", "number_key", name="receipts_invoice_key"),
    UniqueConstraint("data_set_id", "number_key", "issued_on", "currency", "total", name="receipts_paper_key"),
    Index("receipts_data_set_id_idx", "data_set_id", desc("id")),
)

stock_movements = Table(
    "stock_movements",
    metadata,
    identity_column(),
    Column("data_set_id", BigInteger, nullable=False),
    Column("sku", Text, nullable=False),
    Column("delta", BigInteger, CheckConstraint("delta <> 0", name="delta"), nullable=False),
    Column("reason", Text, CheckConstraint("reason IN ('receipt')", name="reason"), nullable=False),
    Column("receipt_id", BigInteger, ForeignKey("receipts.id"), nullable=False),
    Column("line", Integer, nullable=False, comment="1, 2, … within the receipt"),
    Column("description", Text, nullable=False, server_default=""),
    Column("unit_price", Numeric, nullable=False),
    Column("amount", Numeric, nullable=False),
    timestamp_column("created_at", default_now=True),
    UniqueConstraint("receipt_id", "line"),
    ForeignKeyConstraint(
        ["data_set_id", "sku"], ["products.data_set_id", "products.sku"], name="stock_movements_data_set_id_sku_fkey"
    ),
    Index("stock_movements_data_set_id_sku_idx", "data_set_id", "sku"),
)

orders = Table(
    "orders",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True, comment="the order's number"),
    Column("data_set_id", BigInteger, ForeignKey("data_sets.id"), nullable=False),
    Column("execution_id", BigInteger, ForeignKey("executions.id", ondelete="SET NULL"), nullable=True, unique=True),
    Column("idempotency_key", Text, nullable=False),
    Column("buyer", Text, nullable=False),
    Column("buyer_key", Text, nullable=False),
    Column("reference", Text, nullable=False, server_default="", comment="the buyer's own number of it"),
    Column("reference_key", Text, nullable=False, server_default=""),
    Column("currency", Text, nullable=True),
    Column("requested_on", Date, nullable=True),
    Column("details", JSONB, nullable=False, server_default=text("'{}'::jsonb")),
    timestamp_column("created_at", default_now=True),
    UniqueConstraint("data_set_id", "idempotency_key"),
    Index(
        "orders_reference_key",
        "data_set_id",
        "buyer_key",
        "reference_key",
        unique=True,
        postgresql_where=text("reference_key <> ''"),
    ),
    Index("orders_data_set_id_idx", "data_set_id", desc("id")),
)

order_lines = Table(
    "order_lines",
    metadata,
    Column("order_id", BigInteger, ForeignKey("orders.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("line", Integer, primary_key=True, autoincrement=False, comment="1, 2, … within the order"),
    Column("data_set_id", BigInteger, nullable=False),
    Column("sku", Text, nullable=False),
    Column("description", Text, nullable=False, server_default=""),
    Column("quantity", BigInteger, CheckConstraint("quantity > 0", name="quantity"), nullable=False),
    Column("unit_price", Numeric, nullable=True),
    ForeignKeyConstraint(
        ["data_set_id", "sku"], ["products.data_set_id", "products.sku"], name="order_lines_data_set_id_sku_fkey"
    ),
    Index("order_lines_data_set_id_sku_idx", "data_set_id", "sku"),
)
