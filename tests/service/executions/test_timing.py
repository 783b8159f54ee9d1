"""Deadline, start-after and priority of a start: kept, refused with their paths, and what becomes of the run's row."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from service.errors import InvalidInput
from service.executions.timing import Timing, read_timing
from tests.http import Client, row_counts
from tests.service.conftest import Shop, World
from tests.service.executions.test_start import ASKED, starts

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FUTURE = datetime.now(UTC) + timedelta(days=1)


def iso(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


WHEN = {"deadline": iso(FUTURE + timedelta(hours=1)), "start_after": iso(FUTURE), "priority": -3}


@pytest.mark.parametrize("form", [False, True])
def test_start_with_times_when_accepted_then_shows_it_and_waits_without_a_ticket(
    client: Client, world: World, connection: psycopg.Connection, form: bool
) -> None:
    if form:
        fields = {"execution_key": "summary", "input": '{"text": "a"}', **WHEN, "priority": "-3"}
        started = client.post(starts(world.one), files={name: (None, str(text)) for name, text in fields.items()})
    else:
        started = client.post(starts(world.one), json={**ASKED, **WHEN})
    assert started.status_code == 202, started.text
    assert {name: started.json()[name] for name in ("status", *WHEN)} == {"status": "pending", **WHEN}
    assert client.get(started.headers["location"]).json() == started.json()
    row = connection.execute(
        "SELECT phase, resume_at = start_after, r.deadline = e.deadline, r.priority"
        " FROM execution_runtime r JOIN executions e ON e.id = r.execution_id"
    ).fetchone()
    assert row == ("waiting", True, True, -3)
    assert connection.execute("SELECT count(*) FROM procrastinate_jobs").fetchone() == (0,)


def test_start_when_start_after_has_passed_then_ready_at_once(
    client: Client, world: World, connection: psycopg.Connection
) -> None:
    started = client.post(starts(world.one), json={**ASKED, "start_after": iso(FUTURE - timedelta(days=2))})
    assert started.status_code == 202
    assert connection.execute("SELECT phase FROM execution_runtime").fetchone() == ("ready",)
    assert connection.execute("SELECT count(*) FROM procrastinate_jobs").fetchone() == (1,)


def test_start_without_times_then_shows_none(client: Client, world: World) -> None:
    started = client.post(starts(world.one), json={**ASKED, "deadline": None, "start_after": None, "priority": None})
    assert {name: started.json()[name] for name in WHEN} == {"deadline": None, "start_after": None, "priority": 0}


REFUSED: dict[str, tuple[dict[str, Any], list[str]]] = {
    "deadline passed": ({"deadline": iso(NOW)}, ["deadline"]),
    "deadline now": ({"deadline": iso(datetime.now(UTC))}, ["deadline"]),
    "deadline before the start": ({"deadline": iso(FUTURE), "start_after": iso(FUTURE)}, ["deadline"]),
    "too far": ({"deadline": "9999-12-31T23:59:59Z", "start_after": "0001-01-01T00:00:00+14:00"}, [*WHEN][:2]),
    "no offset": ({"deadline": "2030-01-01T00:00:00", "start_after": "2030-01-01"}, [*WHEN][:2]),
    "no times": ({"deadline": 1, "start_after": "tomorrow", "priority": "high"}, [*WHEN]),
    "no such day": ({"deadline": "2026-02-30T00:00:00Z"}, ["deadline"]),
    "other digits": ({"deadline": "٢٠٣٠-01-01T00:00:00Z"}, ["deadline"]),
    "priority too high": ({"priority": 11}, ["priority"]),
    "priority too low": ({"priority": -11}, ["priority"]),
    "priority a truth": ({"priority": True}, ["priority"]),
    "priority a fraction": ({"priority": 1.5}, ["priority"]),
}


@pytest.mark.parametrize("name", REFUSED)
def test_start_when_the_timing_is_wrong_then_400_names_each_field_and_nothing_is_written(shop: Shop, name: str) -> None:
    given, fields = REFUSED[name]
    before = row_counts(shop.connection)
    refused = shop.client.post(starts(shop.world.one), json={**ASKED, **given})
    assert refused.status_code == 400, refused.text
    assert sorted(error["field"] for error in refused.json()["errors"]) == sorted(fields)
    assert row_counts(shop.connection) == before


def test_start_by_form_when_the_priority_is_no_number_then_400_names_it(shop: Shop) -> None:
    fields = {"execution_key": "summary", "input": json.dumps(ASKED["input"]), "priority": "1e1"}
    refused = shop.client.post(starts(shop.world.one), files={name: (None, text) for name, text in fields.items()})
    assert (refused.status_code, refused.json()["errors"][0]["field"]) == (400, "priority")


def test_start_when_input_and_timing_are_wrong_then_both_are_named(shop: Shop) -> None:
    refused = shop.client.post(starts(shop.world.one), json={**ASKED, "input": {}, "limits": 1, "priority": 99})
    assert [error["field"] for error in refused.json()["errors"]] == ["input.text", "limits", "priority"]


def test_timing_when_times_have_offsets_then_they_are_moments() -> None:
    given = {"deadline": "2026-01-02T02:00:00.5+02:00", "start_after": "2026-01-01 23:00:00-00:30"}
    deadline = datetime(2026, 1, 2, microsecond=500_000, tzinfo=UTC)
    start_after = datetime(2026, 1, 1, 23, 30, tzinfo=UTC)
    assert read_timing(given, now=NOW) == Timing(deadline=deadline, start_after=start_after)


def test_timing_when_the_furthest_moment_is_named_then_taken_and_one_beyond_refused() -> None:
    last = NOW + timedelta(days=366)
    assert read_timing({"deadline": iso(last)}, now=NOW).deadline == last
    with pytest.raises(InvalidInput, match="within 366 days"):
        read_timing({"deadline": iso(last + timedelta(microseconds=1))}, now=NOW)
