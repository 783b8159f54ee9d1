"""Events become signed messages; whatever a receiver does, each attempt is a row and nothing is lost."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import Any

import pytest
from standardwebhooks.webhooks import WebhookVerificationError

from service.webhooks import delivery_store, store
from service.webhooks.delivery_store import Attempted
from tests.tasks.conftest import AsApp
from tests.tasks.hooks import KEY, OK, OTHER_KEY, Hooks, delivering
from tests.tasks.seed import Shop, open_shop
from tests.tasks.web_server import answer

ALL = ["execution.accepted", "execution.started", "execution.finished"]


def test_execution_when_it_ends_then_its_account_is_told_in_a_message_that_the_reference_library_verifies(
    app: AsApp, shop: Shop
) -> None:
    async def use(hooks: Hooks) -> None:
        made = await hooks.make()
        execution_id = hooks.finished()
        assert await hooks.look() == 1
        message = hooks.verified(made.secret)
        assert list(message) == ["type", "timestamp", "data"]
        assert message["type"] == "execution.finished"
        assert message["data"] == {
            "id": execution_id,
            "status": "finished",
            "external_id": None,
            "failure_code": None,
            "sequence": 2,
            "url": f"https://agents.example.com/api/agentic-executions/{execution_id}/",
        }
        [(told_at,)] = hooks.rows(
            "SELECT to_char(created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') FROM events"
            " WHERE kind = 'finished'"
        )
        assert message["timestamp"] == told_at
        assert hooks.headers()["content-type"] == "application/json"
        assert (hooks.attempts(), hooks.states()) == ([(200, None)], ["delivered"])
        hooks.make_due()
        assert await hooks.look() == 0

    delivering(app, shop, use)


def test_message_when_one_byte_is_changed_then_the_reference_library_refuses_it(app: AsApp, shop: Shop) -> None:
    async def use(hooks: Hooks) -> None:
        made = await hooks.make()
        hooks.finished()
        await hooks.look()
        hooks.web.bodies[-1] = hooks.web.bodies[-1].replace(b"finished", b"Finished")
        with pytest.raises(WebhookVerificationError):
            hooks.verified(made.secret)

    delivering(app, shop, use)


def test_message_when_a_full_body_is_asked_for_then_it_is_the_execution_as_get_gives_it(app: AsApp, shop: Shop) -> None:
    async def use(hooks: Hooks) -> None:
        made = await hooks.make(body="full")
        execution_id = hooks.finished()
        await hooks.look()
        data = hooks.verified(made.secret)["data"]
        assert list(data)[:3] == ["id", "agent", "execution_key"]
        assert (data["id"], data["status"], data["result"]) == (execution_id, "finished", {"a": 1})
        assert list(data)[-2:] == ["sequence", "url"]

    delivering(app, shop, use)


def test_subscription_when_it_names_other_events_then_those_come_in_order(app: AsApp, shop: Shop) -> None:
    async def use(hooks: Hooks) -> None:
        made = await hooks.make(event_types=ALL)
        execution_id = hooks.shop.accept()
        for kind in ("started", "judged"):
            hooks.tell(execution_id, kind)
        hooks.number()
        for _ in range(3):
            await hooks.look()
        hooks.finished()
        for _ in range(3):
            await hooks.look()
        types = [hooks.verified(made.secret, number)["type"] for number in range(len(hooks.web.asked))]
        assert types == [*ALL[:2], "execution.accepted", "execution.finished"]

    delivering(app, shop, use)


def test_events_when_they_came_before_the_webhook_or_are_another_accounts_then_they_are_not_told(
    app: AsApp, shop: Shop
) -> None:
    async def use(hooks: Hooks) -> None:
        hooks.finished()
        await hooks.make()
        other = replace(hooks, shop=open_shop(hooks.shop.connection, "other"))
        other.finished()
        assert await hooks.look() == 0
        hooks.finished()
        assert await hooks.look() == 1

    delivering(app, shop, use)


def test_execution_when_it_names_a_url_then_that_is_told_signed_by_the_webhook_without_one(
    app: AsApp, shop: Shop
) -> None:
    async def use(hooks: Hooks) -> None:
        signing, hooks.answers["/own"] = await hooks.make(None), OK
        execution_id = hooks.finished(webhook_url=hooks.url("/own"))
        hooks.finished()
        assert [await hooks.look(), await hooks.look()] == [1, 0]
        assert hooks.web.paths == ["/own"]
        assert hooks.verified(signing.secret)["data"]["id"] == execution_id

    delivering(app, shop, use)


def test_first_attempts_when_many_wait_then_each_waits_for_the_one_before(app: AsApp, shop: Shop) -> None:
    async def use(hooks: Hooks) -> None:
        made = await hooks.make()
        ids = [hooks.finished() for _ in range(3)]
        assert await hooks.deliverer.look() == 1
        assert await hooks.deliverer.look() == 0  # the first is under way
        await hooks.deliverer.settle()
        assert [await hooks.look() for _ in range(3)] == [1, 1, 0]
        assert [hooks.verified(made.secret, number)["data"]["id"] for number in range(3)] == ids

    delivering(app, shop, use)


def test_retry_when_it_waits_then_later_events_are_told(app: AsApp, shop: Shop) -> None:
    async def use(hooks: Hooks) -> None:
        made = await hooks.make()
        hooks.answers["/hook"] = answer(status=500)
        first = hooks.finished()
        await hooks.look()
        hooks.answers["/hook"] = OK
        second = hooks.finished()
        await hooks.look()
        assert (hooks.states(), hooks.attempts()) == (["pending", "delivered"], [(500, "server_error"), (200, None)])
        hooks.make_due()
        await hooks.look()
        assert [hooks.verified(made.secret, number)["data"]["id"] for number in range(3)] == [first, second, first]
        assert hooks.headers(0)["webhook-id"] == hooks.headers(2)["webhook-id"] != hooks.headers(1)["webhook-id"]
        assert hooks.states() == ["delivered", "delivered"]

    delivering(app, shop, use)


def test_secrets_when_they_rotate_then_both_sign_until_the_old_one_ends(app: AsApp, shop: Shop) -> None:
    from service.accounts.access import Principal
    from service.webhooks import actions
    from service.webhooks.models import SecretRotation

    async def use(hooks: Hooks) -> None:
        old = await hooks.make()
        async with hooks.database.transaction() as connection:
            principal = Principal(account_id=hooks.shop.account_id, is_admin=False)
            new = await actions.rotate_secret(connection, hooks.settings, principal, old.id, SecretRotation())
        assert new.old_secret_until is not None
        hooks.finished()
        await hooks.look()
        assert len(hooks.headers()["webhook-signature"].split(" ")) == 2
        assert hooks.verified(old.secret) == hooks.verified(new.secret)
        hooks.run("UPDATE webhook_secrets SET expires_at = now() WHERE expires_at IS NOT NULL")
        hooks.finished()
        await hooks.look()
        hooks.verified(new.secret)
        with pytest.raises(WebhookVerificationError):
            hooks.verified(old.secret)

    delivering(app, shop, use)


def test_attempt_when_its_worker_is_gone_then_another_makes_it_with_the_same_id_and_the_late_record_changes_nothing(
    app: AsApp, shop: Shop
) -> None:
    async def use(hooks: Hooks) -> None:
        await hooks.make()
        hooks.finished()
        async with hooks.database.transaction() as connection:
            await delivery_store.fan_out(connection)
            [lost] = await delivery_store.claim(connection, limit=1, share=1, lease_seconds=60)
        assert await hooks.look() == 0  # its lease holds
        hooks.make_due()
        assert await hooks.look() == 1
        assert hooks.headers()["webhook-id"] == f"msg_{lost.message.hex}"
        assert hooks.states() == ["delivered"]
        async with hooks.database.transaction() as connection:
            late = Attempted(status="pending", error="broken", retry_in=5)
            assert not await delivery_store.record(connection, lost, late)
        assert hooks.states() == ["delivered"]

    delivering(app, shop, use)


def test_claims_when_two_workers_make_them_at_once_then_no_attempt_is_made_twice(app: AsApp, shop: Shop) -> None:
    async def use(hooks: Hooks) -> None:
        await hooks.make()
        await hooks.make("/other")
        hooks.finished()
        async with hooks.database.transaction() as connection:
            await delivery_store.fan_out(connection)
        async with hooks.database.transaction() as one, hooks.database.transaction() as other:
            [first] = await delivery_store.claim(one, limit=1, share=2, lease_seconds=60)
            [second] = await delivery_store.claim(other, limit=2, share=2, lease_seconds=60)
        assert first.id != second.id

    delivering(app, shop, use)


def test_attempt_when_its_record_is_lost_then_it_is_shown_as_interrupted(app: AsApp, shop: Shop) -> None:
    async def use(hooks: Hooks) -> None:
        made = await hooks.make()
        hooks.finished()
        async with hooks.database.transaction() as connection:
            await delivery_store.fan_out(connection)
            [lost] = await delivery_store.claim(connection, limit=1, share=1, lease_seconds=60)
        hooks.make_due()
        await hooks.look()
        async with hooks.database.connection() as connection:
            row = await store.delivery(connection, made.id, lost.id)
        assert row is not None
        assert [(each["number"], each["error"]) for each in row["attempts"]] == [(1, "interrupted"), (2, None)]

    delivering(app, shop, use)


def test_ping_when_the_endpoint_is_behind_then_it_does_not_wait(app: AsApp, shop: Shop) -> None:
    async def use(hooks: Hooks) -> None:
        made = await hooks.make()
        for _ in range(3):
            hooks.finished()
        async with hooks.database.connection() as connection:
            await store.ping(connection, made.id)
        assert await hooks.look() == 2
        messages = [hooks.verified(made.secret, number) for number in range(2)]
        [ping] = [message for message in messages if message["type"] == "webhook.ping"]
        assert ping["data"] == {"webhook": made.id}

    delivering(app, shop, use)


def test_redelivery_when_asked_for_then_the_same_message_comes_again(app: AsApp, shop: Shop) -> None:
    async def use(hooks: Hooks) -> None:
        made = await hooks.make()
        hooks.finished()
        await hooks.look()
        [(delivery_id,)] = hooks.rows("SELECT id FROM webhook_deliveries")
        async with hooks.database.connection() as connection:
            assert await store.redeliver(connection, made.id, delivery_id)
            assert await store.redeliver(connection, made.id, delivery_id)  # due already, and not under way
        assert [await hooks.look(), await hooks.look()] == [1, 0]
        assert hooks.web.bodies[0] == hooks.web.bodies[1]
        assert hooks.headers(0)["webhook-id"] == hooks.headers(1)["webhook-id"]
        assert hooks.attempts() == [(200, None), (200, None)]

    delivering(app, shop, use)


def test_worker_when_it_has_another_key_then_it_says_so_and_sends_nothing(
    app: AsApp, shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    async def use(hooks: Hooks) -> None:
        await hooks.make()
        hooks.finished()
        await hooks.another(AGENTIC_SECRET_KEY=OTHER_KEY).look()
        assert (hooks.attempts(), hooks.web.asked) == ([(None, "unsignable")], [])
        hooks.make_due()
        await hooks.another(AGENTIC_SECRET_KEY=f"{OTHER_KEY},{KEY}").look()
        assert hooks.states() == ["delivered"]

    delivering(app, shop, use)
    assert "AGENTIC_SECRET_KEY does not open a webhook's secret" in caplog.text


def test_worker_when_it_has_no_key_then_it_says_so_once_and_leaves_deliveries_to_others(
    app: AsApp, shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    async def use(hooks: Hooks) -> None:
        await hooks.another(AGENTIC_SECRET_KEY="").deliverer.run()

    caplog.set_level(logging.INFO)
    delivering(app, shop, use)
    assert "this worker delivers no webhooks" in caplog.text


def test_loop_when_events_are_numbered_then_they_are_told_without_asking(app: AsApp, shop: Shop) -> None:
    async def use(hooks: Hooks) -> None:
        made = await hooks.make()
        loop = asyncio.ensure_future(hooks.deliverer.run())
        for _ in range(3):
            hooks.finished()
        hooks.deliverer.events_numbered()
        await hooks.until(lambda: hooks.states() == ["delivered"] * 3)
        loop.cancel()
        await asyncio.gather(loop, return_exceptions=True)
        assert [hooks.verified(made.secret, number)["type"] for number in range(3)] == ["execution.finished"] * 3

    delivering(app, shop, use)


def test_fan_out_when_another_worker_is_at_it_or_it_takes_pages_then_nothing_is_lost_or_told_twice(
    app: AsApp, shop: Shop
) -> None:
    async def use(hooks: Hooks) -> None:
        await hooks.make(event_types=["execution.accepted", "execution.finished"])
        for _ in range(4):
            hooks.finished()
        async with hooks.database.transaction() as one, hooks.database.transaction() as other:
            assert (await delivery_store.fan_out(one, limit=3)).added == 3
            assert await delivery_store.fan_out(other, limit=3) == delivery_store.FannedOut()
        async with hooks.database.transaction() as connection:
            found = [await delivery_store.fan_out(connection, limit=3) for _ in range(3)]
        assert [(each.added, each.has_more) for each in found] == [(3, True), (2, False), (0, False)]
        async with hooks.database.connection() as connection:
            assert not await delivery_store.is_behind(connection)

    delivering(app, shop, use)


def test_deliveries_when_they_are_old_then_they_are_forgotten_in_batches(app: AsApp, shop: Shop) -> None:
    async def use(hooks: Hooks) -> None:
        await hooks.make()
        for _ in range(3):
            hooks.finished()
            await hooks.look()
        hooks.run("UPDATE webhook_deliveries SET finished_at = now() - interval '2 days'")
        hooks.finished()
        async with hooks.database.connection() as connection:
            forgotten = [await delivery_store.forget(connection, age_seconds=86400, limit=2) for _ in range(3)]
        assert forgotten == [2, 1, 0]

    delivering(app, shop, use)


def test_secret_when_everything_is_looked_at_then_it_is_nowhere(
    app: AsApp, shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    secrets: list[str] = []

    async def use(hooks: Hooks) -> None:
        made = await hooks.make()
        secrets.append(made.secret.removeprefix("whsec_"))
        hooks.finished()
        hooks.answers["/hook"] = answer("an answer to keep to oneself", 500)
        await hooks.look()
        for table in ("webhooks", "webhook_secrets", "webhook_deliveries", "webhook_attempts"):
            stored = str(hooks.rows(f"SELECT row_to_json(t)::text FROM {table} t"))
            assert secrets[0] not in stored
            assert "to oneself" not in stored

    with caplog.at_level(logging.DEBUG):
        delivering(app, shop, use)
    logged = caplog.text + "".join(str(vars(record)) for record in caplog.records)
    assert secrets[0] not in logged
    assert "to oneself" not in logged


def test_statements_when_planned_then_they_use_the_indexes_of_the_ledger(shop: Shop) -> None:
    connection = shop.connection
    connection.execute("SET enable_seqscan = off")
    values: dict[str, Any] = {"limit": 10, "share": 5, "lease_seconds": 60, "busy_lanes": [], "busy_accounts": []}
    plan = "\n".join(line for (line,) in connection.execute(f"EXPLAIN {delivery_store.CLAIM}".encode(), values))
    assert plan.count("webhook_deliveries_first_idx") == 3
    assert plan.count("webhook_deliveries_retry_idx") == 3
    forget = "\n".join(
        line
        for (line,) in connection.execute(f"EXPLAIN {delivery_store.FORGET}".encode(), {"age_seconds": 1, "limit": 10})
    )
    assert "webhook_deliveries_finished_at_idx" in forget
