"""A client's own words on an execution: external_id and metadata."""

from __future__ import annotations

import json

import psycopg
import pytest

from tests.http import Client, row_counts
from tests.service.conftest import World
from tests.service.executions.test_read import LIST
from tests.service.executions.test_start import ASKED, starts

LABELS = {"external_id": "order 7", "metadata": {"shop": "7", "naïve": ""}}


def test_start_when_labelled_then_shown_listed_and_found(client: Client, world: World) -> None:
    started = client.post(starts(world.one), json={**ASKED, **LABELS})
    assert started.status_code == 202, started.text
    for shown in (
        started.json(),
        client.get(started.headers["location"]).json(),
        client.get(f"{LIST}?external_id=order%207&metadata[shop]=7").json()["results"][0],
    ):
        assert {name: shown[name] for name in LABELS} == LABELS


def test_start_when_labelled_in_a_form_then_the_same(client: Client, world: World) -> None:
    form = {"execution_key": "summary", "input": json.dumps(ASKED["input"]), **LABELS}
    form["metadata"] = json.dumps(LABELS["metadata"])
    started = client.post(starts(world.one), files={name: (None, str(text)) for name, text in form.items()})
    assert started.status_code == 202, started.text
    assert {name: started.json()[name] for name in LABELS} == LABELS


def test_start_when_the_external_id_is_taken_then_409_and_nothing_is_written(
    client: Client, world: World, connection: psycopg.Connection
) -> None:
    client.post(starts(world.one), json={**ASKED, **LABELS})
    before = row_counts(connection)
    for key in ({}, {"Idempotency-Key": "another"}):
        answer = client.post(starts(world.two), json={**ASKED, "execution_key": "first", **LABELS}, headers=key)
        assert (answer.status_code, "order 7" in answer.json()["detail"]) == (409, True)
    assert row_counts(connection) == before


def test_start_when_another_account_has_the_external_id_then_accepted(client: Client, world: World) -> None:
    client.post(starts(world.one), json={**ASKED, **LABELS}, headers=world.admin.headers)
    assert client.post(starts(world.one), json={**ASKED, **LABELS}).status_code == 202


@pytest.mark.parametrize(
    ("labels", "fields"),
    [
        ({"external_id": 7, "metadata": {"a": 1, "b": None}}, ["external_id", "metadata.a", "metadata.b"]),
        ({"external_id": "", "metadata": []}, ["metadata"]),
        ({"external_id": ""}, ["external_id"]),
        ({"external_id": "a" * 256}, ["external_id"]),
        ({"external_id": "a\0"}, ["external_id"]),
        ({"metadata": {"a": "a" * 501}}, ["metadata.a"]),
        ({"metadata": {str(number): "" for number in range(21)}}, ["metadata"]),
        ({"input": {}, "metadata": {"a": 1}}, ["input.text", "metadata.a"]),
    ],
)
def test_start_when_labels_are_wrong_then_400_names_them_all(
    client: Client, world: World, labels: dict[str, object], fields: list[str]
) -> None:
    answer = client.post(starts(world.one), json={**ASKED, **labels})
    assert (answer.status_code, [error["field"] for error in answer.json()["errors"]]) == (400, fields)
