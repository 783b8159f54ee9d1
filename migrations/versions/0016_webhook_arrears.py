"""Where a webhook stands that could not be told what all others were told."""

from __future__ import annotations

from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    op.execute("CREATE TABLE webhook_arrears (webhook_id bigint PRIMARY KEY, position bigint NOT NULL)")
    op.execute(
        "COMMENT ON COLUMN webhook_arrears.position IS 'where it stands, while it is behind the cursor'",
    )


def downgrade() -> None:
    op.drop_table("webhook_arrears")
