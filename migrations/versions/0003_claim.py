"""The claim, the ticket top-up and the numbering of events, as functions: each needs several statements in one trip."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    connection = op.get_bind().connection.driver_connection
    assert connection is not None
    connection.execute(Path(__file__).with_suffix(".sql").read_text())


def downgrade() -> None:
    op.execute("DROP FUNCTION number_events(integer)")
    op.execute("DROP FUNCTION claim_execution(bigint, text[])")
    op.execute("DROP FUNCTION top_up_ticket()")
