"""Limits as rows: running, queued, starts a minute, tokens and money a day, shares; the SQL stands beside this file."""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0013"
down_revision = "0012"

DOWN = """
DROP TRIGGER executions_add_usage ON executions;
DROP FUNCTION add_usage(), admit_starts(bigint, integer, boolean), standing_of(bigint);
DROP TABLE account_usage, account_claims;
DROP INDEX runtime_waiting_account;
ALTER TABLE execution_runtime DROP COLUMN provider;
ALTER TABLE workers DROP COLUMN models;
DELETE FROM running_limits WHERE scope = 'provider' OR max_running IS NULL;
ALTER TABLE running_limits
  DROP CONSTRAINT limits_pkey, DROP CONSTRAINT limits_scope_check, DROP CONSTRAINT limits_of_accounts_check,
  DROP COLUMN name, DROP COLUMN share, DROP COLUMN max_queued, DROP COLUMN starts_per_minute,
  DROP COLUMN tokens_per_day, DROP COLUMN cost_per_day,
  ALTER COLUMN scope_id DROP DEFAULT, ALTER COLUMN max_running SET NOT NULL,
  ADD CONSTRAINT running_limits_pkey PRIMARY KEY (scope, scope_id),
  ADD CONSTRAINT running_limits_scope_check CHECK (scope IN ('account', 'agent'));
ALTER TABLE running_limits RENAME CONSTRAINT limits_max_running_check TO running_limits_max_running_check;
"""


def upgrade() -> None:
    _run(Path(__file__).with_suffix(".sql").read_text())


def downgrade() -> None:
    _run("DROP VIEW reporting.limits; ALTER TABLE limits RENAME TO running_limits")
    view = _statement("0004_reporting.sql", "CREATE VIEW reporting.stuck")
    _run(view.replace("CREATE VIEW", "CREATE OR REPLACE VIEW"))
    _run(_statement("0009_control.sql", "CREATE OR REPLACE FUNCTION claim_execution"))
    _run(DOWN)


def _statement(script: str, beginning: str) -> str:
    """The statement of an earlier script that begins so, with whatever follows it there up to an empty line."""
    text = Path(__file__).with_name(script).read_text()
    return text[text.index(beginning) :].partition("\n\n")[0]


def _run(script: str) -> None:
    connection = op.get_bind().connection.driver_connection
    assert connection is not None
    connection.execute(script)
