"""What runs may spend and what they spent; the SQL stands beside this file."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0005"
down_revision = "0004"


TURNS = """strategy cost calls is_estimated reserved_input_tokens reserved_output_tokens reserved_cost
    lost_input_tokens lost_cached_tokens lost_output_tokens lost_cost"""
EXECUTIONS = "limits exit_reason input_tokens cached_tokens output_tokens cost model_seconds calls is_estimated"


def upgrade() -> None:
    _run(Path(__file__).with_suffix(".sql"))


def downgrade() -> None:
    """A view loses no column: the reporting schema is made again as it was."""
    op.execute("DROP SCHEMA reporting CASCADE")
    op.execute("DROP INDEX executions_started_at_idx")
    op.execute("DROP FUNCTION usage_of(bigint)")
    for table, columns in (("turns", TURNS), ("executions", EXECUTIONS)):
        for column in columns.split():
            op.drop_column(table, column)
    _run(Path(__file__).with_name("0004_reporting.sql"))


def _run(script: Path) -> None:
    connection = op.get_bind().connection.driver_connection
    assert connection is not None
    connection.execute(script.read_text())
