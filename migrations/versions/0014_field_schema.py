"""Which details the products of an agent get, and what held when an execution began."""

from __future__ import annotations

from alembic import op

revision = "0014"
down_revision = "0013"

TABLES = {
    "agents": "JSON Schema of the details that its products get; null lets them be any text",
    "executions": "the agent''s at the start",
}


def upgrade() -> None:
    for table, comment in TABLES.items():
        op.execute(f"ALTER TABLE {table} ADD COLUMN field_schema jsonb")
        op.execute(f"COMMENT ON COLUMN {table}.field_schema IS '{comment}'")


def downgrade() -> None:
    for table in TABLES:
        op.drop_column(table, "field_schema")
