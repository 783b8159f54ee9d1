"""Cancel, deadlines and reruns; and a claim in which priority orders one account's executions only."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    _run(Path(__file__).with_suffix(".sql"))


def downgrade() -> None:
    op.execute("DROP FUNCTION number_events(integer), claim_execution(bigint, text[]), top_up_ticket()")
    _run(Path(__file__).with_name("0003_claim.sql"))
    op.drop_column("execution_runtime", "deadline")
    op.drop_index("runtime_cancel")
    op.drop_column("executions", "rerun_of")
    op.drop_column("executions", "cancel_requested_at")


def _run(script: Path) -> None:
    connection = op.get_bind().connection.driver_connection
    assert connection is not None
    connection.execute(script.read_text())
