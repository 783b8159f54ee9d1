#!/bin/sh
# Creates the three roles when the database container is made; passwords come from the mounted secrets.
set -eu
SECRETS=${SECRETS:-/run/secrets}
export SECRETS
psql -q -v ON_ERROR_STOP=1 --no-psqlrc --username "${POSTGRES_USER:-postgres}" --dbname "$POSTGRES_DB" <<'SQL'
\set owner_password `cat "$SECRETS/owner_password"`
\set app_password `cat "$SECRETS/app_password"`
\set reporting_password `cat "$SECRETS/reporting_password"`
CREATE ROLE agentic_owner LOGIN PASSWORD :'owner_password';
CREATE ROLE agentic_app LOGIN PASSWORD :'app_password';
CREATE ROLE reporting_reader LOGIN PASSWORD :'reporting_password';
ALTER ROLE reporting_reader SET timezone = 'UTC';
ALTER ROLE reporting_reader SET statement_timeout = '5min';
ALTER ROLE reporting_reader SET idle_in_transaction_session_timeout = '1min';
ALTER DATABASE :"DBNAME" OWNER TO agentic_owner;
SQL
