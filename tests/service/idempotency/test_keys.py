"""Idempotency-Key: the request is carried out once, and every repeat gets the first answer byte for byte."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio
import psycopg
import pytest
from psycopg import AsyncConnection
from psycopg.rows import dict_row

from service.idempotency import store
from service.idempotency.actions import digest_of, read_key
from tests import http
from tests.cut import Cut, wire
from tests.http import Client, row_counts
from tests.service.conftest import World, make_registry
from tests.service.executions.test_start import ASKED, PNG, starts

KEY = {"Idempotency-Key": "import-31"}


def counted(connection: psycopg.Connection) -> list[int]:
    counts = row_counts(connection)
    return [counts[table] for table in ("executions", "idempotency_keys", "procrastinate_jobs", "files")]


def test_start_when_repeated_with_its_key_then_one_execution_and_the_same_bytes(
    client: Client, world: World, connection: psycopg.Connection
) -> None:
    answers = [client.post(starts(world.one), json=ASKED, headers=KEY) for _ in range(3)]
    assert {(each.status_code, each.content, each.headers["location"]) for each in answers} == {
        (202, answers[0].content, answers[0].headers["location"])
    }
    assert [each.headers.get("idempotent-replayed") for each in answers] == [None, "true", "true"]
    assert counted(connection) == [1, 1, 1, 0]


def test_start_when_repeated_after_its_end_then_still_the_first_answer(
    client: Client, world: World, connection: psycopg.Connection
) -> None:
    first = client.post(starts(world.one), json=ASKED, headers=KEY)
    http.finish(connection, first.json()["id"], {})
    assert client.post(starts(world.one), json=ASKED, headers=KEY).content == first.content


def test_start_when_the_same_json_is_written_otherwise_then_it_is_a_repeat(client: Client, world: World) -> None:
    first = client.post(starts(world.one), json=ASKED, headers=KEY)
    encoded = {"input": '{"text":  "a"}', "execution_key": "summary"}
    assert client.post(starts(world.one), json=encoded, headers=KEY).content == first.content
    quoted = {"Idempotency-Key": '"import-31"'}
    assert client.post(starts(world.one), json=ASKED, headers=quoted).content == first.content


@pytest.mark.parametrize(
    "changed", [{"input": {"text": "b"}}, {"limits": {"corrections": 1}}, {"metadata": {"a": "b"}}]
)
def test_start_when_the_key_is_that_of_another_body_then_422_and_nothing_is_written(
    client: Client, world: World, connection: psycopg.Connection, changed: dict[str, object]
) -> None:
    client.post(starts(world.one), json=ASKED, headers=KEY)
    before = counted(connection)
    answer = client.post(starts(world.one), json={**ASKED, **changed}, headers=KEY)
    assert (answer.status_code, answer.json()["type"]) == (422, "/api/docs/errors/idempotency_key_reused")
    assert counted(connection) == before


def test_start_when_the_key_is_that_of_another_agent_then_422(client: Client, world: World) -> None:
    client.post(starts(world.one), json=ASKED, headers=KEY)
    assert client.post(starts(world.uploads), json=ASKED, headers=KEY).status_code == 422


def test_start_when_another_account_has_the_key_then_they_do_not_meet(client: Client, world: World) -> None:
    mine = client.post(starts(world.one), json=ASKED, headers=KEY)
    other = client.post(starts(world.one), json=ASKED, headers={**KEY, **world.admin.headers})
    assert other.status_code == 202
    assert other.json()["id"] != mine.json()["id"]


def test_start_when_refused_then_the_key_stays_free(
    client: Client, world: World, connection: psycopg.Connection
) -> None:
    assert client.post(starts(world.one), json={**ASKED, "input": {}}, headers=KEY).status_code == 400
    assert counted(connection) == [0, 0, 0, 0]
    assert client.post(starts(world.one), json=ASKED, headers=KEY).status_code == 202


def test_start_when_files_are_sent_again_then_kept_once_and_other_bytes_are_422(
    client: Client, world: World, connection: psycopg.Connection
) -> None:
    form = {"execution_key": "summary", "input": '{"text": "a"}'}
    answers = [
        client.post(starts(world.uploads), data=form, files={"files": ("a.png", data)}, headers=KEY)
        for data in (PNG, PNG, PNG + b"\0")
    ]
    assert [each.status_code for each in answers] == [202, 202, 422]
    assert answers[0].content == answers[1].content
    assert counted(connection) == [1, 1, 1, 1]
    assert row_counts(connection)["blobs"] == 1


@pytest.mark.parametrize("key", ["", " ", "a" * 256, "a\tb", "caf\u00e9"])
def test_start_when_the_key_is_none_then_400_names_the_header(client: Client, world: World, key: str) -> None:
    answer = client.post(starts(world.one), json=ASKED, headers=[(b"Idempotency-Key", key.encode())])
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "Idempotency-Key")


def test_start_when_the_first_is_under_way_then_the_repeat_waits_and_answers_the_same(
    client: Client, world: World, connection: psycopg.Connection, database_url: str
) -> None:
    with ThreadPoolExecutor(2) as pool, psycopg.connect(database_url) as blocker:
        blocker.execute("LOCK TABLE procrastinate_jobs IN SHARE MODE")  # the ticket waits for it, and the rows with it
        answering = [pool.submit(client.post, starts(world.one), json=ASKED, headers=KEY) for _ in range(2)]
        wait_for_waiters(connection, 2)
        blocker.commit()
        answers = [each.result(timeout=30) for each in answering]
    assert [each.status_code for each in answers] == [202, 202]
    assert answers[0].content == answers[1].content
    assert counted(connection) == [1, 1, 1, 0]


def test_start_when_the_first_does_not_end_in_time_then_409_says_when_to_try_again(
    client: Client, world: World, connection: psycopg.Connection, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "WAIT_MILLISECONDS", 50)
    with psycopg.connect(database_url) as blocker:
        blocker.execute(
            "INSERT INTO idempotency_keys (account_id, key, digest) VALUES (%s, 'import-31', '')", (world.user.id,)
        )
        answer = client.post(starts(world.one), json=ASKED, headers=KEY)
        blocker.rollback()
    assert (answer.status_code, answer.headers["retry-after"]) == (409, "1")
    assert counted(connection) == [0, 0, 0, 0]


@pytest.mark.parametrize("cuts", [[Cut.REPLY], [Cut.BEFORE], [Cut.BEFORE, Cut.REPLY]])
def test_start_when_the_connection_breaks_at_the_commit_then_once(
    database_url: str,
    world: World,
    connection: psycopg.Connection,
    cuts: list[Cut],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(store, "IDLE_MILLISECONDS", 100)
    with wire(database_url, b"COMMIT") as (way, line), http.serving(way, make_registry()) as cut_client:
        cut_client.headers.update(world.user.headers)
        line.cuts.extend(cuts)
        answer = cut_client.post(starts(world.one), json=ASKED, headers=KEY)
        assert line.was_cut.is_set()
        assert answer.status_code == 202, answer.text
        assert cut_client.post(starts(world.one), json=ASKED, headers=KEY).content == answer.content
    assert counted(connection) == [1, 1, 1, 0]


@pytest.fixture
def crowd(database_url: str, world: World) -> Iterator[Client]:
    with http.serving(database_url, make_registry(), AGENTIC_POOL_SIZE="8") as client:
        client.headers.update(world.user.headers)
        yield client


def test_start_when_200_identical_come_at_once_then_one_execution_and_200_equal_answers(
    crowd: Client, world: World, connection: psycopg.Connection
) -> None:
    with ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(lambda _: crowd.post(starts(world.one), json=ASKED, headers=KEY), range(200)))
    assert {each.status_code for each in answers} == {202}
    assert len({each.content for each in answers}) == 1
    assert counted(connection) == [1, 1, 1, 0]


def test_forget_when_keys_are_old_then_they_are_deleted_oldest_first_and_young_ones_kept(
    world: World, connection: psycopg.Connection, database_url: str
) -> None:
    for key, age in (("old", "2 days"), ("older", "3 days"), ("young", "1 hour")):
        connection.execute(
            "INSERT INTO idempotency_keys (account_id, key, digest, created_at)"
            " VALUES (%s, %s, '', now() - %s::interval)",
            (world.user.id, key, age),
        )

    async def forget(limit: int) -> int:
        async with await AsyncConnection.connect(database_url, autocommit=True, row_factory=dict_row) as opened:
            return await store.forget(opened, age_seconds=86400, limit=limit)

    assert anyio.run(forget, 1) == 1
    assert kept(connection) == ["old", "young"]
    assert anyio.run(forget, 10) == 1
    assert kept(connection) == ["young"]


def kept(connection: psycopg.Connection) -> list[str]:
    return [key for (key,) in connection.execute("SELECT key FROM idempotency_keys ORDER BY key").fetchall()]


def test_digest_when_members_change_places_then_equal_and_values_count() -> None:
    assert digest_of({"a": 1, "b": [1, "\ud800"]}) == digest_of({"b": [1, "\ud800"], "a": 1})
    assert len({digest_of(1), digest_of("1"), digest_of(1.5), digest_of([1]), digest_of(1, 1), digest_of(None)}) == 6


def test_key_when_quoted_then_without_its_quotes() -> None:
    assert [read_key(text) for text in (None, "a", '"a b"', '"', "a:/=")] == [None, "a", "a b", '"', "a:/="]


def wait_for_waiters(connection: psycopg.Connection, count: int) -> None:
    """Until so many statements of the API wait for a lock."""
    waiting = (
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'agentic-api' AND wait_event_type = 'Lock'"
    )
    for _ in range(3000):
        if connection.execute(waiting).fetchone() == (count,):
            return
        connection.execute("SELECT pg_sleep(0.01)")
    raise AssertionError(f"no {count} statements wait")


@pytest.mark.parametrize(("first", "second"), [("1e1", "10.0"), ("null", None), ('"a"', "a")])
def test_start_when_an_external_id_reads_as_the_json_of_another_then_it_is_no_repeat(
    client: Client, world: World, first: str, second: str | None
) -> None:
    answers = [
        client.post(starts(world.one), json={**ASKED, "external_id": each}, headers=KEY) for each in (first, second)
    ]
    assert [answer.status_code for answer in answers] == [202, 422]


def test_start_when_a_text_beside_a_key_is_half_a_surrogate_pair_then_400(client: Client, world: World) -> None:
    body = b'{"execution_key": "summary", "input": {"text": "a"}, "external_id": "\\ud800"}'
    answer = client.post(starts(world.one), content=body, headers={**KEY, "Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "external_id")


FORM: dict[str, Any] = {"data": {"input": '{"text": "a"}'}, "files": {"files": ("a.png", PNG)}}


@pytest.mark.parametrize(
    "change",
    ["UPDATE agents SET deleted_at = now()", "DELETE FROM account_data_sets", "UPDATE agents SET file_upload = false"],
)
def test_repeat_when_its_agent_is_there_no_more_or_takes_no_files_then_the_first_answer(
    client: Client, world: World, connection: psycopg.Connection, change: str
) -> None:
    asked: list[tuple[str, dict[str, Any]]] = [
        (starts(world.one), {"json": ASKED}),
        (starts(world.uploads), FORM),
        (f"{starts(world.one)}batch/", {"json": {"items": [ASKED]}}),
    ]
    first = [client.post(path, headers={"Idempotency-Key": path}, **body) for path, body in asked]
    connection.execute(change.encode())
    before = counted(connection)
    again = [client.post(path, headers={"Idempotency-Key": path}, **body) for path, body in asked]
    assert {answer.status_code for answer in first} == {202}
    assert [answer.content for answer in again] == [answer.content for answer in first]
    assert counted(connection) == before


def test_rerun_when_repeated_after_its_source_was_deleted_then_the_first_answer(
    client: Client, world: World, connection: psycopg.Connection
) -> None:
    source = client.post(starts(world.one), json=ASKED).json()["id"]
    path = f"/api/agentic-executions/{source}/"
    first = client.post(f"{path}rerun/", headers=KEY)
    connection.execute("DELETE FROM execution_runtime WHERE execution_id = %s", (source,))
    http.finish(connection, source, {})
    assert client.delete(path).status_code == 204
    again = client.post(f"{path}rerun/", headers=KEY)
    assert (again.status_code, again.content) == (202, first.content)
    assert client.post(f"{path}rerun/", json={"priority": 1}, headers=KEY).status_code == 404
    assert client.post(f"{path}rerun/").status_code == 404


@pytest.mark.parametrize("key", [KEY, {"Idempotency-Key": "another"}, {}])
def test_start_when_the_agent_is_absent_and_it_is_no_repeat_then_404_whatever_is_wrong_with_it(
    client: Client, world: World, key: dict[str, str]
) -> None:
    client.post(starts(world.one), json=ASKED, headers=KEY)
    absent = {starts(world.foreign), starts(99)}
    bodies: list[Any] = [ASKED, [], {"no": "field"}]
    answers = [client.post(path, json=body, headers=key) for path in absent for body in bodies]
    answers += [client.post(f"{path}batch/", json=body, headers=key) for path in absent for body in bodies]
    answers += [client.post(path, content=b"x", headers={**key, "Content-Type": "text/plain"}) for path in absent]
    answers.append(client.post("/api/agentic-executions/99/rerun/", json=[], headers=key))
    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.content for answer in answers}) == 1
