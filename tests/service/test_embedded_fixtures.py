"""The database fixtures: what every other test stands on."""

import psycopg

from tests import postgres


def test_database_url_when_used_is_a_private_database_owned_by_a_plain_role(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        row = connection.execute("SELECT current_user, rolsuper FROM pg_roles WHERE rolname = current_user").fetchone()
    assert row == (postgres.OWNER, False)


def test_connection_when_used_is_in_the_test_database(connection: psycopg.Connection, database_url: str) -> None:
    row = connection.execute("SELECT current_database()").fetchone()
    assert row is not None
    assert database_url.partition("?")[0].endswith(f"/{row[0]}")


def test_as_role_when_given_the_app_role_enters_without_owning(database_url: str) -> None:
    with psycopg.connect(postgres.as_role(database_url, postgres.APP)) as connection:
        assert connection.execute("SELECT current_user").fetchone() == (postgres.APP,)


def test_pg15_server_when_present_is_version_15(pg15_server: str) -> None:
    with psycopg.connect(pg15_server) as connection:
        assert connection.info.server_version // 10000 == 15
