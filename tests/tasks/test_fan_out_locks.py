"""A row that somebody has locked keeps nobody's messages but those that need it."""

from __future__ import annotations

from dataclasses import replace

import psycopg
import pytest

from service.webhooks import delivery_store
from tests.tasks.conftest import AsApp
from tests.tasks.hooks import OK, Hooks, delivering
from tests.tasks.seed import Shop, open_shop


@pytest.mark.parametrize("locked", ["webhooks WHERE id = {webhook}", "executions WHERE id = {execution}"])
def test_events_when_somebody_has_locked_a_row_of_one_account_then_others_are_told_and_it_is_told_in_order_afterwards(
    app: AsApp, shop: Shop, locked: str
) -> None:
    async def use(hooks: Hooks) -> None:
        made = await hooks.make()
        other = replace(hooks, shop=open_shop(hooks.shop.connection, "other"))
        theirs = await other.make("/other")
        hooks.answers["/other"] = OK
        held = [hooks.finished()]
        rows = locked.format(webhook=made.id, execution=held[0])
        with psycopg.connect(hooks.shop.connection.info.dsn) as operator:
            operator.execute(f"SELECT FROM {rows} FOR UPDATE".encode())
            for _ in range(2):
                held.append(hooks.finished())
                other.finished()
                assert await hooks.look() == 1
            assert await hooks.look() == 0
        assert [other.verified(theirs.secret, number)["type"] for number in range(2)] == ["execution.finished"] * 2
        held.append(hooks.finished())
        assert [await hooks.look() for _ in range(5)] == [1, 1, 1, 1, 0]
        assert [hooks.verified(made.secret, number)["data"]["id"] for number in range(2, 6)] == held

    delivering(app, shop, use)


def test_webhook_when_it_catches_up_then_it_takes_pages_and_others_are_told_nothing_twice(
    app: AsApp, shop: Shop
) -> None:
    async def fan_out(hooks: Hooks) -> tuple[int, bool]:
        async with hooks.database.transaction() as connection:
            found = await delivery_store.fan_out(connection, limit=4)
        return found.added, found.has_more

    async def use(hooks: Hooks) -> None:
        behind, other = [await hooks.make(path) for path in ("/hook", "/other")]
        with psycopg.connect(hooks.shop.connection.info.dsn) as operator:
            operator.execute("SELECT FROM webhooks WHERE id = %s FOR UPDATE", (behind.id,))
            for _ in range(3):
                hooks.finished()
            assert [await fan_out(hooks) for _ in range(3)] == [(2, True), (1, False), (0, False)]
        assert [await fan_out(hooks) for _ in range(2)] == [(2, True), (1, False)]
        told = hooks.rows("SELECT webhook_id, execution_id FROM webhook_deliveries ORDER BY id")
        ids = [execution_id for webhook_id, execution_id in told if webhook_id == other.id]
        assert told == [(webhook.id, execution_id) for webhook in (other, behind) for execution_id in ids]
        assert hooks.rows("SELECT FROM webhook_arrears") == []

    delivering(app, shop, use)
