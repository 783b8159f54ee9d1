"""Reporting on control and on webhooks: when executions may and must run, what labels them, what was delivered.

The SQL stands beside this file.
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    connection = op.get_bind().connection.driver_connection
    assert connection is not None
    connection.execute(Path(__file__).with_suffix(".sql").read_text())


def downgrade() -> None:
    raise RuntimeError("Columns of the reporting views are a promise: they are not taken back.")
