"""Keys under which a request is carried out once, with the answer that it got."""

from __future__ import annotations

from alembic import op

revision = "0008"
down_revision = "0007"

CREATE = """
CREATE TABLE idempotency_keys (
  account_id bigint NOT NULL REFERENCES accounts,
  key text NOT NULL,
  digest bytea NOT NULL,
  status integer,
  location text,
  body bytea,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (account_id, key)
)
"""


def upgrade() -> None:
    op.execute(CREATE)
    op.execute("COMMENT ON COLUMN idempotency_keys.digest IS 'SHA-256 of what was asked for'")
    op.execute("COMMENT ON COLUMN idempotency_keys.body IS 'the answer, byte for byte'")
    op.execute("CREATE INDEX idempotency_keys_created_at_idx ON idempotency_keys (created_at)")


def downgrade() -> None:
    op.execute("DROP TABLE idempotency_keys")
