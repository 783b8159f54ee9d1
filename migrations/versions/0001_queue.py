"""The queue's own tables, as the pinned Procrastinate release ships them.

Its insert trigger, which would put a NOTIFY into every transaction that defers a job, is switched off: a commit with
a pending NOTIFY holds a lock of the whole database, so concurrent commits could not share one flush. Processes notify
after the commit instead.
"""

from __future__ import annotations

from alembic import op
from procrastinate.schema import SchemaManager

revision = "0001"
down_revision = None


def upgrade() -> None:
    # The schema contains percent signs, which the parameter syntax of both SQLAlchemy and psycopg would read.
    connection = op.get_bind().connection.driver_connection
    assert connection is not None
    connection.execute(SchemaManager.get_schema())
    connection.execute("ALTER TABLE procrastinate_jobs DISABLE TRIGGER procrastinate_jobs_notify_queue_job_inserted_v1")


def downgrade() -> None:
    raise RuntimeError("The first migration is not taken back: drop the database instead.")
