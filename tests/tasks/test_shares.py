"""Between accounts the shares decide, and a limit of a provider holds over all workers."""

from __future__ import annotations

import asyncio
from collections import Counter

import psycopg
import pytest

from service.definitions.failures import Finished
from service.executions import runtime
from service.executions.runtime import Claim
from service.executions.timing import Timing
from tests.tasks.conftest import AsApp
from tests.tasks.holding import add_worker, claim, hold
from tests.tasks.seed import Shop, open_shop
from tests.tasks.test_claim import claim_and_end_all, watch_while

MANY = """
WITH made AS (
  INSERT INTO conversations (account_id, agent_id) SELECT %(account)s, %(agent)s FROM generate_series(1, %(many)s)
  RETURNING id),
accepted AS (
  INSERT INTO executions (account_id, agent_id, data_set_id, conversation_id, celery_task_id, definition_key,
                          definition_version, input)
  SELECT %(account)s, %(agent)s, %(data_set)s, id, gen_random_uuid(), 'echo', 1, '{}' FROM made RETURNING id)
INSERT INTO execution_runtime (execution_id, account_id, agent_id, definition, priority)
SELECT id, %(account)s, %(agent)s, 'echo@1', 0 FROM accepted
"""


def accept_many(shop: Shop, many: int) -> None:
    values = {"account": shop.account_id, "agent": shop.agent_id, "data_set": shop.data_set_id, "many": many}
    shop.connection.execute(MANY, values)


def end(app: AsApp, held: Claim) -> None:
    assert app.connected(lambda connection: runtime.record_outcome(connection, held, Finished({}))).is_recorded


def owner(shop: Shop, held: Claim) -> int:
    row = shop.connection.execute("SELECT account_id FROM executions WHERE id = %s", (held.execution_id,)).fetchone()
    assert row is not None
    return int(row[0])


def limit_provider(connection: psycopg.Connection, name: str, most: int) -> None:
    connection.execute("INSERT INTO limits (scope, name, max_running) VALUES ('provider', %s, %s)", (name, most))


@pytest.mark.parametrize("slots", [1, 3])
def test_account_that_comes_behind_hundreds_gets_the_next_slot_that_is_free(app: AsApp, shop: Shop, slots: int) -> None:
    accept_many(shop, 300)
    worker = add_worker(app)
    running = [hold(app, worker) for _ in range(slots)]
    mine = open_shop(shop.connection, "newcomer").accept(timing=Timing(priority=-10))
    end(app, running[0])
    assert hold(app, worker).execution_id == mine


def test_accounts_with_one_slot_between_them_take_turns_however_much_each_has_waiting(app: AsApp, shop: Shop) -> None:
    others = [open_shop(shop.connection, name) for name in ("b", "c")]
    for each in (shop, *others):
        accept_many(each, 5)
    worker = add_worker(app)
    turns: list[int] = []
    for _ in range(9):
        held = hold(app, worker)
        turns.append(owner(shop, held))
        end(app, held)
    assert turns == [shop.account_id, *[other.account_id for other in others]] * 3


def test_account_with_a_larger_share_gets_as_many_more_slots(app: AsApp, shop: Shop) -> None:
    other = open_shop(shop.connection, "other")
    accept_many(shop, 20)
    accept_many(other, 20)
    shop.connection.execute(
        "INSERT INTO limits (scope, scope_id, share) VALUES ('account', %s, 3)", (other.account_id,)
    )
    worker = add_worker(app)
    running = [hold(app, worker) for _ in range(8)]
    assert Counter(owner(shop, held) for held in running) == {shop.account_id: 2, other.account_id: 6}
    mine = next(held for held in running if owner(shop, held) == shop.account_id)
    end(app, mine)
    assert owner(shop, hold(app, worker)) == shop.account_id


def test_limit_outranks_share_and_priority(app: AsApp, shop: Shop) -> None:
    other = open_shop(shop.connection, "other")
    other.accept(timing=Timing(priority=10))
    usual = shop.accept()
    shop.connection.execute(
        "INSERT INTO limits (scope, scope_id, share, max_running) VALUES ('account', %s, 9, 0)", (other.account_id,)
    )
    worker = add_worker(app)
    assert hold(app, worker).execution_id == usual
    assert claim(app, worker) is None
    shop.connection.execute("UPDATE limits SET max_running = 1")
    assert owner(shop, hold(app, worker)) == other.account_id


def test_provider_limit_counts_what_runs_on_every_worker_whoever_names_the_model(app: AsApp, shop: Shop) -> None:
    limit_provider(shop.connection, "fast", 2)
    named = shop.another_agent(model="fast")
    first, second = (add_worker(app, name=name, models=["fast"]) for name in ("a", "b"))
    for each in (shop, named, shop, named):
        each.accept()
    elsewhere = shop.another_agent(model="slow").accept()
    running = [hold(app, first), hold(app, second)]
    assert hold(app, first).execution_id == elsewhere
    assert [claim(app, worker) for worker in (first, second)] == [None, None]
    app.connected(lambda connection: runtime.release(connection, running[0], resume_in_seconds=60))
    running = [running[1], hold(app, second)]
    assert claim(app, first) is None
    for held in running:
        end(app, held)
    hold(app, first)


def test_provider_limit_lets_a_worker_with_another_model_run_it(app: AsApp, shop: Shop) -> None:
    limit_provider(shop.connection, "fast", 0)
    mine = shop.accept()
    assert claim(app, add_worker(app, models=["fast"])) is None
    assert hold(app, add_worker(app, models=["slow"])).execution_id == mine


def test_provider_limit_set_while_more_run_holds_as_soon_as_they_have_ended(app: AsApp, shop: Shop) -> None:
    worker = add_worker(app, models=["fast"])
    accept_many(shop, 5)
    running = [hold(app, worker) for _ in range(3)]
    limit_provider(shop.connection, "fast", 1)
    for held in running:
        assert claim(app, worker) is None
        end(app, held)
    hold(app, worker)
    assert claim(app, worker) is None


def test_provider_limit_is_never_exceeded_by_eight_claims_at_once_on_two_workers(app: AsApp, shop: Shop) -> None:
    limit_provider(shop.connection, "fast", 2)
    for name in ("a", "b", "c"):
        accept_many(open_shop(shop.connection, name), 15)
    workers = [add_worker(app, name=name, models=["fast"]).worker_id for name in ("a", "b")]
    most, ended = watch_while(app, shop, lambda: asyncio.run(claim_and_end_all(app, workers)))
    assert most == 2
    assert len(set(ended)) == len(ended) == 45
