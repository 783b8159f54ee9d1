"""What a data set has in stock, what was received and what was ordered; the SQL stands beside this file."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    connection = op.get_bind().connection.driver_connection
    assert connection is not None
    connection.execute(Path(__file__).with_suffix(".sql").read_text())


def downgrade() -> None:
    for table in ("order_lines", "orders", "stock_movements", "receipts"):
        op.drop_table(table)
    op.drop_column("products", "stock")
