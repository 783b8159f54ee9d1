"""Answers to keys that are not given yet: their first requests wait for the execution's end."""

from __future__ import annotations

from alembic import op

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    op.execute("ALTER TABLE idempotency_keys ADD COLUMN settled boolean NOT NULL DEFAULT true")
    op.execute("COMMENT ON COLUMN idempotency_keys.settled IS 'whether the answer was given: then it stays as it is'")


def downgrade() -> None:
    op.drop_column("idempotency_keys", "settled")
