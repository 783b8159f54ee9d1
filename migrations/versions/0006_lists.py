"""An index for each filter of the list of executions, and one that keeps external ids apart within an account."""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"

INDEXES = {
    "executions_account_key_idx": "INDEX {name} ON executions (account_id, definition_key, id DESC)",
    "executions_account_code_idx": "INDEX {name} ON executions (account_id, failure_code, id DESC)"
    " WHERE failure_code IS NOT NULL",
    "executions_account_external_id_key": "UNIQUE INDEX {name} ON executions (account_id, external_id)"
    " WHERE external_id IS NOT NULL",
    "executions_account_started_at_idx": "INDEX {name} ON executions (account_id, started_at)",
    "executions_metadata_idx": "INDEX {name} ON executions USING gin (metadata jsonb_path_ops)"
    " WHERE metadata <> '{{}}'",
}


def upgrade() -> None:
    for name, index in INDEXES.items():
        op.execute(f"CREATE {index.format(name=name)}")


def downgrade() -> None:
    for name in INDEXES:
        op.execute(f"DROP INDEX {name}")
