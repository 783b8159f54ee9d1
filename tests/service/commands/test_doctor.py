"""`agentic doctor`: what it finds, and what it says mends it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import psycopg

from service.sealing import new_key, read_keys
from tests import http, postgres
from tests.service.commands.running import agentic, agentic_process


def findings(database_url: str, **environment: str) -> dict[str, dict[str, Any]]:
    done = agentic("doctor", "--json", environment={"DATABASE_URL": database_url, **environment})
    assert done.stderr == ""
    return {finding["subject"]: finding for finding in json.loads(done.stdout)}


def register(connection: psycopg.Connection, name: str, *, seconds: int) -> None:
    connection.execute(
        "INSERT INTO workers (name, host, pid, offers, concurrency, lease_until)"
        " VALUES (%s, 'host', 1, '{}', 1, now() + make_interval(secs => %s))",
        (name, seconds),
    )


def test_doctor_on_a_migrated_database_finds_it_good(database_url: str) -> None:
    found = findings(database_url)
    for subject in ("DATABASE_URL", "migrations", "queue", "definitions", f"role {postgres.REPORTING}"):
        assert found[subject]["state"] == "good", found[subject]


def test_doctor_before_the_first_migration_names_the_command(pg_server: str) -> None:
    with postgres.empty_database(pg_server) as url:
        assert findings(url)["migrations"]["mend"] == ["agentic migrate"]


def test_doctor_of_a_role_that_may_not_migrate_says_who_is_to_connect(pg_server: str) -> None:
    with postgres.empty_database(pg_server) as url:
        mend = findings(postgres.as_role(url, postgres.APP))["migrations"]["mend"]
    assert mend == [f"agentic migrate (connected as {postgres.OWNER})"]


def test_doctor_without_a_worker_says_that_executions_wait(database_url: str) -> None:
    finding = findings(database_url)["workers"]
    assert finding["state"] == "bad"
    assert finding["mend"] == ["PROCRASTINATE_APP=tasks.app.app procrastinate worker"]


def test_doctor_where_a_role_is_missing_prints_the_lines_for_an_administrator(database_url: str) -> None:
    finding = findings(database_url, AGENTIC_REPORTING_ROLE="nobody_reads")["role nobody_reads"]
    assert finding["state"] == "note"
    assert any('CREATE ROLE "nobody_reads" LOGIN' in line for line in finding["mend"])


def test_doctor_lines_when_typed_by_an_administrator_make_migration_grant(pg_server: str) -> None:
    with postgres.empty_database(pg_server) as url:
        postgres.migrate(url)
        mend = findings(url, AGENTIC_REPORTING_ROLE="reads_for_real")["role reads_for_real"]["mend"]
        lines = [line.partition("administrator: ")[2] for line in mend if line.startswith("as a database")]
        with psycopg.connect(pg_server, autocommit=True) as administrator:
            for line in lines:
                administrator.execute(line)
            try:
                done = agentic("migrate", environment={"DATABASE_URL": url, "AGENTIC_REPORTING_ROLE": "reads_for_real"})
                assert done.returncode == 0, done.stderr
                with psycopg.connect(postgres.as_role(url, "reads_for_real")) as reader:
                    assert reader.execute("SELECT count(*) FROM reporting.executions").fetchone() == (0,)
            finally:
                with psycopg.connect(postgres.as_role(url, postgres.OWNER), autocommit=True) as owner:
                    owner.execute("REVOKE ALL ON ALL TABLES IN SCHEMA reporting FROM reads_for_real")
                    owner.execute("REVOKE ALL ON SCHEMA reporting FROM reads_for_real")
                administrator.execute("DROP ROLE reads_for_real")


def test_doctor_with_an_unreachable_database_says_so_and_exits_1() -> None:
    done = agentic("doctor", environment={"DATABASE_URL": "postgresql://a:secret@127.0.0.1:1/none"})
    assert done.returncode == 1
    assert "cannot connect" in done.stdout
    assert "secret" not in done.stdout + done.stderr


def test_doctor_with_a_provider_key_mentions_it_without_showing_it(database_url: str) -> None:
    finding = findings(database_url, OPENAI_API_KEY="sk-very-secret")["OPENAI_API_KEY"]
    assert finding["state"] == "note"
    assert "sk-very-secret" not in json.dumps(finding)


def test_doctor_with_profiles_says_what_each_is_and_which_key_is_missing(database_url: str) -> None:
    profiles = {
        "fast": {"model": "openai:m", "base_url": "https://user:pass@models.test/v1?key=hidden", "fallback": ["deep"]},
        "deep": {"model": "anthropic:m", "api_key_variable": "TEAM_KEY"},
        "paid": {"model": "openai:m", "api_key_variable": "PAID_KEY"},
    }
    found = findings(database_url, AGENTIC_PROFILES=json.dumps(profiles), PAID_KEY="sk-very-secret")
    assert found["profile fast"]["state"] == "good"
    assert found["profile fast"]["text"] == "openai:m at models.test, falls back to deep, without a key"
    assert (found["profile deep"]["state"], found["profile deep"]["mend"]) == ("bad", ["export TEAM_KEY=…"])
    assert found["profile paid"]["text"] == "openai:m, key from PAID_KEY"
    assert [secret for secret in ("sk-very-secret", "pass@", "hidden") if secret in json.dumps(found)] == []


def test_doctor_of_a_worker_with_a_live_lease_exits_0(database_url: str, connection: psycopg.Connection) -> None:
    register(connection, "one", seconds=30)
    done = agentic_process("doctor", "--worker", "one", environment={"DATABASE_URL": database_url})
    assert done.returncode == 0


def test_doctor_of_a_worker_whose_lease_ended_exits_1(database_url: str, connection: psycopg.Connection) -> None:
    register(connection, "one", seconds=-1)
    done = agentic("doctor", "--worker", "one", environment={"DATABASE_URL": database_url})
    assert done.returncode == 1
    assert "ended" in done.stdout


def test_doctor_of_an_unknown_worker_exits_1(database_url: str) -> None:
    done = agentic("doctor", "--worker", "nobody", environment={"DATABASE_URL": database_url})
    assert done.returncode == 1
    assert "no such worker" in done.stdout


def test_psql_for_reporting_when_asked_reads_and_cannot_write(pg_server: str, database_url: str) -> None:
    environment = {"DATABASE_URL": postgres.as_role(database_url, postgres.REPORTING)}
    done = agentic_process("psql", "--reporting", "-Atc", "SELECT count(*) FROM executions", environment=environment)
    assert (done.stdout.strip(), done.returncode) == ("0", 0), done.stderr
    for statement in ("DELETE FROM public.executions", "SELECT input FROM public.executions"):
        refused = agentic_process("psql", "--reporting", "-c", statement, environment=environment)
        assert "read-only transaction" in refused.stderr or "permission denied" in refused.stderr


def test_psql_when_the_url_has_a_password_keeps_it_out_of_its_arguments(tmp_path: Path, database_url: str) -> None:
    recorder = tmp_path / "psql"
    recorder.write_text('#!/bin/sh\nprintf "%s\\n" "$*" "$PGPASSWORD"\n')
    recorder.chmod(0o755)
    url = database_url.replace("agentic_owner@", "agentic_owner:se%20cret@")
    environment = {"DATABASE_URL": url, "PATH": f"{tmp_path}:/usr/bin:/bin"}
    done = agentic_process("psql", "-c", "SELECT 1", environment=environment)
    arguments, password = done.stdout.splitlines()
    assert "cret" not in arguments
    assert "user=agentic_owner" in arguments
    assert password == "se cret"


def test_doctor_tells_whether_secrets_of_webhooks_can_be_kept_and_opened(
    database_url: str, connection: psycopg.Connection
) -> None:
    keys = [new_key(), new_key()]
    assert findings(database_url)["AGENTIC_SECRET_KEY"]["state"] == "note"
    account = http.create_account(connection, "a")
    connection.execute(
        "INSERT INTO webhook_secrets (webhook_id, sealed) VALUES (%s, %s)",
        (http.create_webhook(connection, account.id), read_keys(keys[0]).seal(b"x")),
    )
    found = [findings(database_url, AGENTIC_SECRET_KEY=key)["AGENTIC_SECRET_KEY"] for key in keys]
    assert [each["state"] for each in found] == ["good", "bad"]
    assert not [key for key in keys if key in str(found)]


def test_doctor_while_a_secret_needs_an_older_key_says_to_keep_it(
    database_url: str, connection: psycopg.Connection
) -> None:
    old, new = new_key(), new_key()
    webhook_id = http.create_webhook(connection, http.create_account(connection, "a").id)
    for key in (old, new):
        connection.execute(
            "INSERT INTO webhook_secrets (webhook_id, sealed, expires_at) VALUES (%s, %s, now() + interval '1 hour')",
            (webhook_id, read_keys(key).seal(b"x")),
        )

    def told(keys: str) -> tuple[str, str]:
        finding = findings(database_url, AGENTIC_SECRET_KEY=keys)["AGENTIC_SECRET_KEY"]
        return finding["state"], finding["text"]

    assert told(f"{new},{old}") == ("note", "1 of 2 secrets of webhooks still need an older key: keep it")
    assert told(new) == ("bad", "does not open 1 of 2 secrets of webhooks: another key sealed them")
    connection.execute("UPDATE webhook_secrets SET expires_at = now() WHERE id = (SELECT min(id) FROM webhook_secrets)")
    assert told(new) == ("good", "is set, and opens what was sealed")
