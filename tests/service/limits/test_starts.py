"""What a start is answered where a limit of its account leaves no room; and that limits hold for starts at once."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from tests import http
from tests.http import Client, row_counts
from tests.service.conftest import Shop, World
from tests.service.executions.test_batch import batches, statuses
from tests.service.executions.test_start import ASKED, starts

KEY = {"Idempotency-Key": "import-31"}


@pytest.fixture
def connection(shop: Shop) -> psycopg.Connection:
    """Into the database of all tests here, without what the test before has left."""
    shop.connection.execute("TRUNCATE conversations, executions, limits, account_usage, idempotency_keys CASCADE")
    return shop.connection


@pytest.fixture
def world(shop: Shop) -> World:
    return shop.world


@pytest.fixture
def client(shop: Shop) -> Client:
    return shop.client


@pytest.fixture
def minute(connection: psycopg.Connection) -> None:
    """A minute that does not end under the test: of one that is nearly over, the end is waited for."""
    connection.execute("SELECT pg_sleep(60 - s) FROM date_part('second', now()) s WHERE s > 56")


def hold(connection: psycopg.Connection, account_id: int, **limits: object) -> None:
    """Hold the account to these limits alone."""
    connection.execute("DELETE FROM limits WHERE scope = 'account' AND scope_id = %s", (account_id,))
    row = {"scope": "account", "scope_id": account_id, "name": "", **limits}
    connection.execute("INSERT INTO limits SELECT * FROM jsonb_populate_record(NULL::limits, %s)", (Jsonb(row),))


def refused(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["type"].rpartition("/")[2]


@pytest.mark.usefixtures("minute")
def test_start_when_the_minute_is_used_up_then_429_and_nothing_is_written(
    client: Client, world: World, connection: psycopg.Connection
) -> None:
    hold(connection, world.user.id, starts_per_minute=2)
    answers = [client.post(starts(world.one), json=ASKED) for _ in range(2)]
    before = row_counts(connection)
    over = client.post(starts(world.one), json=ASKED)
    assert [answer.status_code for answer in answers] == [202, 202]
    assert [answer.headers["ratelimit"].partition(";t=")[0] for answer in answers] == ['"starts";r=1', '"starts";r=0']
    assert refused(over) == (429, "rate_limited")
    assert over.headers["ratelimit-policy"] == '"starts";q=2;w=60'
    assert re.fullmatch(r'"starts";r=0;t=\d+', over.headers["ratelimit"])
    assert 1 <= int(over.headers["retry-after"]) <= 60
    assert row_counts(connection) == before
    connection.execute("UPDATE account_usage SET begins_at = begins_at - interval '1 minute'")
    assert client.post(starts(world.one), json=ASKED).status_code == 202


def test_start_when_the_queue_is_full_then_429_and_a_claim_makes_room(
    client: Client, world: World, connection: psycopg.Connection
) -> None:
    hold(connection, world.user.id, max_queued=2)
    client.post(starts(world.one), json=ASKED)
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    assert client.post(starts(world.one), json={**ASKED, "start_after": later}).headers["ratelimit"] == '"queue";r=0'
    before = row_counts(connection)
    over = client.post(starts(world.one), json=ASKED)
    assert refused(over) == (429, "queue_full")
    assert (over.headers["ratelimit-policy"], over.headers["ratelimit"]) == ('"queue";q=2', '"queue";r=0')
    assert over.headers["retry-after"] == "10"
    assert row_counts(connection) == before
    connection.execute("UPDATE execution_runtime SET phase = 'running' WHERE phase = 'ready'")
    assert client.post(starts(world.one), json=ASKED).status_code == 202


@pytest.mark.parametrize("limit", [{"tokens_per_day": 100}, {"cost_per_day": 0.5}])
def test_start_when_the_day_is_spent_then_429_until_midnight_and_what_was_accepted_goes_on(
    client: Client, world: World, connection: psycopg.Connection, limit: dict[str, float]
) -> None:
    hold(connection, world.user.id, **limit)
    first, second = (client.post(starts(world.one), json=ASKED) for _ in range(2))
    assert "ratelimit" not in second.headers
    spend(connection, first.json()["id"], tokens=(90, 10), cost=0.5)
    before = row_counts(connection)
    over = client.post(starts(world.one), json=ASKED)
    assert refused(over) == (429, "daily_limit")
    assert 1 <= int(over.headers["retry-after"]) <= 86400
    assert row_counts(connection) == before
    assert client.get(second.headers["location"]).json()["status"] == "pending"
    connection.execute("UPDATE account_usage SET begins_at = begins_at - interval '1 day'")
    assert client.post(starts(world.one), json=ASKED).status_code == 202


def spend(connection: psycopg.Connection, execution_id: int, *, tokens: tuple[int, int], cost: float | None) -> None:
    """End an execution that has cost so much."""
    connection.execute(
        "UPDATE executions SET status = 'finished', result = '{}', finished_at = now(), input_tokens = %s,"
        " output_tokens = %s, cost = %s WHERE id = %s",
        (*tokens, cost, execution_id),
    )


def test_spend_is_summed_per_account_and_day_and_counted_once(
    client: Client, world: World, connection: psycopg.Connection
) -> None:
    ids = [client.post(starts(world.one), json=ASKED).json()["id"] for _ in range(3)]
    spend(connection, ids[0], tokens=(90, 10), cost=0.25)
    spend(connection, ids[1], tokens=(1, 0), cost=None)
    spend(connection, ids[2], tokens=(0, 0), cost=0)
    connection.execute("UPDATE executions SET finished_at = now(), input_tokens = 7 WHERE id = %s", (ids[0],))
    rows = connection.execute("SELECT account_id, period, starts, tokens, cost::float8 FROM account_usage").fetchall()
    assert rows == [(world.user.id, "day", 0, 101, 0.25)]


def test_start_when_another_account_is_limited_then_not_held_back(
    client: Client, world: World, connection: psycopg.Connection
) -> None:
    hold(connection, world.stranger.id, starts_per_minute=0, max_queued=0)
    answer = client.post(starts(world.one), json=ASKED)
    assert answer.status_code == 202
    assert "ratelimit" not in answer.headers
    assert row_counts(connection)["account_usage"] == 0


def test_start_when_limits_change_then_the_next_one_is_held_to_them(
    client: Client, world: World, connection: psycopg.Connection
) -> None:
    hold(connection, world.user.id, max_queued=0)
    assert client.post(starts(world.one), json=ASKED).status_code == 429
    hold(connection, world.user.id, max_queued=1)
    assert client.post(starts(world.one), json=ASKED).status_code == 202
    connection.execute("DELETE FROM limits")
    assert client.post(starts(world.one), json=ASKED).status_code == 202


def test_start_when_its_files_find_no_room_then_no_byte_is_kept(
    client: Client, world: World, connection: psycopg.Connection
) -> None:
    hold(connection, world.user.id, max_queued=0)
    before = row_counts(connection)
    form = {"execution_key": "summary", "input": '{"text": "a"}'}
    answer = client.post(starts(world.uploads), data=form, files={"files[]": ("note.txt", b"words", "text/plain")})
    assert refused(answer) == (429, "queue_full")
    assert row_counts(connection) == before


@pytest.mark.usefixtures("minute")
def test_start_when_repeated_under_its_key_then_answered_before_limits_are_looked_at(
    client: Client, world: World, connection: psycopg.Connection
) -> None:
    hold(connection, world.user.id, starts_per_minute=1)
    first = client.post(starts(world.one), json=ASKED, headers=KEY)
    assert client.post(starts(world.one), json=ASKED, headers=KEY).content == first.content
    assert client.post(starts(world.one), json=ASKED).status_code == 429


def test_start_when_refused_under_a_key_then_the_key_stays_free(
    client: Client, world: World, connection: psycopg.Connection
) -> None:
    hold(connection, world.user.id, max_queued=0)
    before = row_counts(connection)
    assert client.post(starts(world.one), json=ASKED, headers=KEY).status_code == 429
    assert row_counts(connection) == before
    connection.execute("DELETE FROM limits")
    assert client.post(starts(world.one), json=ASKED, headers=KEY).status_code == 202


@pytest.mark.usefixtures("minute")
@pytest.mark.parametrize("limit", ["starts_per_minute", "max_queued"])
def test_starts_at_once_when_five_places_are_left_then_five_are_accepted(
    client: Client, world: World, connection: psycopg.Connection, limit: str
) -> None:
    hold(connection, world.user.id, **{limit: 5})
    with ThreadPoolExecutor(8) as pool:
        posts = [
            pool.submit(
                client.post, starts(world.one), json=ASKED, headers={"Idempotency-Key": str(n)} if n % 2 else {}
            )
            for n in range(16)
        ]
        answered = sorted(post.result(timeout=60).status_code for post in posts)
    assert answered == [202] * 5 + [429] * 11
    assert row_counts(connection)["executions"] == 5


@pytest.mark.usefixtures("minute")
def test_batch_when_it_does_not_fit_then_the_items_beyond_are_429(
    client: Client, world: World, connection: psycopg.Connection
) -> None:
    hold(connection, world.user.id, starts_per_minute=3, max_queued=2)
    answer = client.post(batches(world.one), json={"items": [ASKED, {"execution_key": "none"}, ASKED, ASKED]})
    assert statuses(answer) == [202, 400, 202, 429]
    assert answer.json()["results"][3]["error"]["type"] == "/api/docs/errors/queue_full"
    assert answer.headers["ratelimit"].endswith('"queue";r=0')
    assert answer.headers["ratelimit"].startswith('"starts";r=1;t=')
    assert row_counts(connection)["executions"] == 2


@pytest.mark.usefixtures("minute")
@pytest.mark.parametrize(("atomic", "room"), [(True, 1), (True, 0), (False, 0)])
def test_batch_when_atomic_or_none_of_it_fits_then_429_as_a_whole(
    client: Client, world: World, connection: psycopg.Connection, atomic: bool, room: int
) -> None:
    hold(connection, world.user.id, starts_per_minute=room)
    before = row_counts(connection)
    body = {"items": [ASKED, ASKED], "atomic": atomic}
    answer = client.post(batches(world.one), json=body, headers=KEY)
    assert refused(answer) == (429, "rate_limited")
    assert row_counts(connection) == before
    hold(connection, world.user.id, starts_per_minute=2)
    assert statuses(client.post(batches(world.one), json=body, headers=KEY)) == [202, 202]


@pytest.mark.usefixtures("minute")
def test_rerun_counts_as_a_start(client: Client, world: World, connection: psycopg.Connection) -> None:
    started = client.post(starts(world.one), json=ASKED).json()
    http.finish(connection, started["id"], {})
    hold(connection, world.user.id, starts_per_minute=1)
    path = f"/api/agentic-executions/{started['id']}/rerun/"
    assert [client.post(path).status_code for _ in range(2)] == [202, 429]
