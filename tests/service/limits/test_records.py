"""/api/limits/ and `agentic limits`: rows that an operator reads, sets and deletes."""

from __future__ import annotations

import json
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner

from service.cli import agentic
from tests.http import Client
from tests.service.conftest import Shop, World
from tests.service.executions.test_start import ASKED, starts
from tests.service.limits.test_starts import spend

LIMITS = "/api/limits/"
ALL = {
    "max_running": 5,
    "share": 2.5,
    "max_queued": 100,
    "starts_per_minute": 60,
    "tokens_per_day": 3_000_000_000,
    "cost_per_day": 12.5,
}
NOTHING = dict.fromkeys(ALL)
UNUSED = {"running": 0, "queued": 0, "starts": 0, "tokens": 0, "cost": 0.0}


@pytest.fixture
def admin(anonymous: Client, world: World) -> Client:
    anonymous.headers.update(world.admin.headers)
    return anonymous


def account(world: World) -> str:
    return f"{LIMITS}account/{world.user.id}/"


def test_limits_when_set_are_read_replaced_listed_and_deleted(admin: Client, world: World) -> None:
    path = account(world)
    made = admin.put(path, json=ALL)
    shown = {"scope": "account", "name": str(world.user.id), **ALL, "now": UNUSED}
    assert (made.status_code, made.json()) == (200, shown)
    assert admin.get(path).json() == shown
    assert admin.put(path, json={"max_running": 0}).json() == {**shown, **NOTHING, "max_running": 0}
    admin.put(f"{LIMITS}provider/openai:gpt-5-mini/", json={"max_running": 8})
    admin.put(f"{LIMITS}agent/{world.one}/", json={"max_running": 1})
    listed = admin.get(LIMITS).json()["results"]
    assert [(each["scope"], each["name"], each["max_running"]) for each in listed] == [
        ("account", str(world.user.id), 0),
        ("agent", str(world.one), 1),
        ("provider", "openai:gpt-5-mini", 8),
    ]
    assert [admin.delete(path).status_code, admin.delete(path).status_code, admin.get(path).status_code] == [
        204,
        404,
        404,
    ]


def test_limits_when_read_show_what_is_held_and_spent_now(
    admin: Client, world: World, connection: psycopg.Connection
) -> None:
    admin.put(account(world), json={**ALL, "starts_per_minute": 1000})
    made = [admin.post(starts(world.one), json=ASKED, headers=world.user.headers).json()["id"] for _ in range(3)]
    connection.execute("UPDATE execution_runtime SET phase = 'running' WHERE execution_id = %s", (made[0],))
    spend(connection, made[0], tokens=(5, 2), cost=0.5)
    now = admin.get(account(world)).json()["now"]
    assert {**now, "starts": 3} == {"running": 1, "queued": 2, "starts": 3, "tokens": 7, "cost": 0.5}
    assert now["starts"] <= 3  # those of this minute


@pytest.mark.parametrize(
    ("path", "body", "status", "fields"),
    [
        ("account/{user}/", {"max_running": -1}, 400, ["max_running"]),
        ("account/{user}/", {"share": 0, "max_queued": 1.5}, 400, ["share", "max_queued"]),
        ("account/{user}/", {"cost_per_day": "1", "other": 1}, 400, ["cost_per_day", "other"]),
        ("account/{user}/", {"tokens_per_day": 2**63}, 400, ["tokens_per_day"]),
        ("agent/{one}/", {"max_queued": 1, "share": 1}, 400, ["share", "max_queued"]),
        ("provider/fast/", {"cost_per_day": 1}, 400, ["cost_per_day"]),
        ("account/999999/", {}, 404, []),
        ("agent/0/", {}, 404, []),
        ("agent/12345678901234567890/", {}, 404, []),
        ("data-set/1/", {}, 404, []),
    ],
)
def test_limits_when_they_cannot_be_then_refused_and_nothing_is_written(
    shop: Shop, path: str, body: dict[str, Any], status: int, fields: list[str]
) -> None:
    url = LIMITS + path.format(user=shop.world.user.id, one=shop.world.one)
    answer = shop.client.put(url, json=body, headers=shop.world.admin.headers)
    assert answer.status_code == status
    assert sorted(error["field"] for error in answer.json().get("errors", [])) == sorted(fields)
    assert shop.connection.execute("SELECT FROM limits").fetchall() == []


def test_limits_when_no_admin_asks_then_403_and_404(client: Client, world: World) -> None:
    assert client.get(LIMITS).status_code == 403
    for method in ("GET", "PUT", "DELETE"):
        assert client.request(method, account(world), json={"max_running": 1}).status_code == 404


def test_limits_from_the_command_line_are_those_of_rest(admin: Client, world: World, database_url: str) -> None:
    def run(*arguments: str) -> str:
        done = CliRunner().invoke(agentic, ["limits", *arguments], env={"DATABASE_URL": database_url})
        assert done.exit_code == 0, done.output
        return done.output

    assert json.loads(run("set", "account", "user", "--max-queued", "5", "--json")) == admin.get(account(world)).json()
    changed = json.loads(run("set", "account", "user", "--share", "2", "--json"))
    assert {name: changed[name] for name in ALL} == {**NOTHING, "max_queued": 5, "share": 2}
    assert run("list") == f"account {world.user.id}: share 2, max-queued 5 (0 now)\n"
    run("clear", "account", str(world.user.id))
    assert admin.get(account(world)).status_code == 404
