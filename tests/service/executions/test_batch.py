"""Many starts in one request: valid ones start, the others are told why not; or all of them, or none."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from service.idempotency import store
from tests import http
from tests.cut import Cut, wire
from tests.http import Client, row_counts
from tests.service.conftest import World, make_registry
from tests.service.executions.test_read import LIST
from tests.service.executions.test_start import ASKED, starts

WRONG = {"execution_key": "summary", "input": {"count": 99}}


def batches(agent_id: int) -> str:
    return f"{starts(agent_id)}batch/"


def written(connection: psycopg.Connection) -> int:
    return row_counts(connection)["executions"]


def statuses(answer: Any) -> list[int]:
    assert answer.status_code == 202, answer.text
    return [each["status"] for each in answer.json()["results"]]


def test_batch_when_all_are_valid_then_each_starts_in_its_order(
    client: Client, world: World, connection: psycopg.Connection
) -> None:
    items = [{**ASKED, "input": {"text": str(number)}, "external_id": f"x{number}"} for number in range(40)]
    answer = client.post(batches(world.one), json={"items": items})
    assert statuses(answer) == [202] * 40
    started = [each["execution"] for each in answer.json()["results"]]
    assert [each["input"]["text"] for each in started] == [str(number) for number in range(40)]
    assert [each["id"] for each in started] == sorted(each["id"] for each in started)
    assert client.get(f"{LIST}{started[7]['id']}/").json() == started[7]
    assert (answer.json()["accepted"], answer.json()["refused"]) == (40, 0)
    counts = row_counts(connection)
    assert [counts[table] for table in ("executions", "execution_runtime", "events", "conversations")] == [40] * 4


def test_batch_when_some_are_wrong_then_those_report_what_a_start_would_have(
    client: Client, world: World, connection: psycopg.Connection
) -> None:
    items = [ASKED, WRONG, 7, {**ASKED, "limit": {}}, {"execution_key": "none"}, ASKED]
    answer = client.post(batches(world.one), json={"items": items})
    assert statuses(answer) == [202, 400, 400, 400, 400, 202]
    alone = client.post(starts(world.one), json=WRONG).json()
    assert answer.json()["results"][1] == {"index": 1, "status": 400, "execution": None, "error": alone}
    assert (answer.json()["accepted"], answer.json()["refused"], written(connection)) == (2, 4, 2)


def test_batch_when_atomic_and_one_is_wrong_then_400_names_its_fields_and_nothing_is_written(
    client: Client, world: World, connection: psycopg.Connection
) -> None:
    before = row_counts(connection)
    answer = client.post(batches(world.one), json={"items": [ASKED, WRONG, 7], "atomic": True})
    assert answer.status_code == 400
    fields = [error["field"] for error in answer.json()["errors"]]
    assert fields == ["items[1].input.count", "items[1].input.text", "items[2]"]
    assert row_counts(connection) == before


def test_batch_when_an_external_id_is_taken_then_that_item_is_409_and_atomic_all_of_it(
    client: Client, world: World, connection: psycopg.Connection
) -> None:
    named = [{**ASKED, "external_id": name} for name in ("a", "b", "a")]
    assert statuses(client.post(batches(world.one), json={"items": named})) == [202, 202, 409]
    assert statuses(client.post(batches(world.one), json={"items": [named[0], ASKED]})) == [409, 202]
    answer = client.post(batches(world.one), json={"items": [ASKED, named[1]], "atomic": True})
    assert (answer.status_code, "items[1]" in answer.json()["detail"]) == (409, True)
    assert written(connection) == 3


def test_batch_when_two_take_the_same_external_ids_at_once_then_each_id_starts_once(
    client: Client, world: World, connection: psycopg.Connection
) -> None:
    items = [{**ASKED, "external_id": str(number)} for number in range(30)]
    with ThreadPoolExecutor(4) as pool:
        posts = [
            pool.submit(client.post, batches(world.one), json={"items": items[:: (-1) ** number]})
            for number in range(4)
        ]
        answers = [post.result(timeout=60) for post in posts]
    assert {answer.status_code for answer in answers} <= {202, 503}
    assert sum(answer.json()["accepted"] for answer in answers if answer.status_code == 202) == 30
    assert written(connection) == 30


def test_batch_when_repeated_with_its_key_then_the_same_bytes_and_another_body_is_422(
    client: Client, world: World, connection: psycopg.Connection
) -> None:
    key = {"Idempotency-Key": "batch-1"}
    answers = [client.post(batches(world.one), json={"items": [ASKED, WRONG]}, headers=key) for _ in range(2)]
    assert statuses(answers[0]) == [202, 400]
    assert answers[0].content == answers[1].content
    assert client.post(batches(world.one), json={"items": [ASKED]}, headers=key).status_code == 422
    assert written(connection) == 1


def test_batch_when_nothing_of_it_starts_then_its_key_is_used_and_a_wait_is_not_applied(
    client: Client, world: World
) -> None:
    headers = {"Idempotency-Key": "all wrong", "Prefer": "wait=30"}
    answers = [client.post(batches(world.one), json={"items": [WRONG]}, headers=headers) for _ in range(2)]
    assert [statuses(answer) for answer in answers] == [[400], [400]]
    assert [answer.headers.get("idempotent-replayed") for answer in answers] == [None, "true"]
    assert not any("preference-applied" in answer.headers for answer in answers)
    assert client.post(batches(world.one), json={"items": [ASKED]}, headers=headers).status_code == 422


@pytest.mark.parametrize("cuts", [[Cut.REPLY], [Cut.BEFORE]])
def test_batch_when_the_connection_breaks_at_the_commit_then_written_once(
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
        answer = cut_client.post(batches(world.one), json={"items": [ASKED, WRONG, ASKED]})
        assert line.was_cut.is_set()
    assert statuses(answer) == [202, 400, 202]
    assert written(connection) == 2


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"items": []}, "items"),
        ({"items": [ASKED] * 1001}, "items"),
        ({"items": {}}, "items"),
        ({}, "items"),
        ({"items": [ASKED], "atomic": 1}, "atomic"),
        ({"items": [ASKED], "all": True}, "all"),
    ],
)
def test_batch_when_the_body_is_wrong_then_400_names_it_and_nothing_is_written(
    client: Client, world: World, connection: psycopg.Connection, body: object, field: str
) -> None:
    answer = client.post(batches(world.one), json=body)
    assert (answer.status_code, [error["field"] for error in answer.json()["errors"]]) == (400, [field])
    assert written(connection) == 0


def test_batch_when_too_large_then_413(database_url: str, world: World) -> None:
    with http.serving(database_url, make_registry(), AGENTIC_MAX_BATCH_BYTES="1000") as client:
        answer = client.post(batches(world.one), json={"items": [ASKED] * 50}, headers=world.user.headers)
    assert answer.status_code == 413


def test_batch_when_the_agent_is_foreign_then_404(client: Client, world: World) -> None:
    assert client.post(batches(999999), json={"items": [ASKED]}).status_code == 404


def test_batch_when_atomic_and_two_items_share_an_external_id_then_the_first_is_named(
    client: Client, world: World
) -> None:
    items = [ASKED, *({**ASKED, "external_id": "a"} for _ in range(2))]
    answer = client.post(batches(world.one), json={"items": items, "atomic": True})
    assert (answer.status_code, answer.json()["detail"]) == (
        409,
        "items[2]: external_id 'a' is that of items[1] already.",
    )


def test_batch_when_an_item_is_nothing_but_errors_then_the_answer_is_not_many_times_its_size(
    client: Client, world: World
) -> None:
    many = {f"x{number}": 1 for number in range(500)}
    items = [many, {**ASKED, "input": {"text": "a"} | many}]
    answer = client.post(batches(world.one), json={"items": items})
    errors = [result["error"]["errors"] for result in answer.json()["results"]]
    assert [0 < len(each) <= 21 for each in errors] == [True, True]
