"""How long things are kept, and daily totals that outlive them; the SQL stands beside this file."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    connection = op.get_bind().connection.driver_connection
    assert connection is not None
    connection.execute(Path(__file__).with_suffix(".sql").read_text())


def downgrade() -> None:
    """Files whose bytes have gone cannot come back: their rows go as well."""
    for statement in (
        "DROP VIEW reporting.daily",
        "DROP TABLE daily_totals, totals_progress",
        "DROP INDEX executions_contents_idx, executions_erased_idx, executions_finished_at_idx",
        "ALTER TABLE idempotency_keys DROP COLUMN execution_ids",
        "DELETE FROM files WHERE blob_id IS NULL",
        "ALTER TABLE files ALTER COLUMN blob_id SET NOT NULL",
        "ALTER TABLE executions DROP COLUMN content_erased_at",
        "ALTER TABLE data_sets DROP COLUMN content_days, DROP COLUMN execution_days",
    ):
        op.execute(statement)
