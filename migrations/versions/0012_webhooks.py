"""Webhooks, their secrets, and the ledger of what was delivered where; the SQL stands beside this file."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0012"
down_revision = "0011"

TABLES = ("webhook_attempts", "webhook_deliveries", "webhook_secrets", "webhook_cursor", "webhooks")


def upgrade() -> None:
    connection = op.get_bind().connection.driver_connection
    assert connection is not None
    connection.execute(Path(__file__).with_suffix(".sql").read_text())


def downgrade() -> None:
    for table in TABLES:
        op.execute(f"DROP TABLE {table}")
    op.drop_column("executions", "webhook_url")
