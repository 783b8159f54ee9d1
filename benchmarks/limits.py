"""What limits and shares cost: a claim with much waiting, and a start with and without limits of its account.

    .venv/bin/python benchmarks/limits.py [--waiting 10000] [--accounts 50] [--starts 300]

On a throwaway PostgreSQL without fsync, so that the statements' own work shows. Everything runs on this machine: only
ratios within one run mean anything.
"""

from __future__ import annotations

import statistics
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import psycopg

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests import postgres
from tests.tasks.seed import Shop, open_shop
from tests.tasks.test_shares import accept_many

from service.executions.store import ACCEPT, NewExecution, accepting

CLAIM = "SELECT execution_id FROM claim_execution(%s, ARRAY['echo@1'])"
GIVE_BACK = "UPDATE execution_runtime SET phase = 'ready', worker_id = NULL WHERE execution_id = %s"
LIMIT = "INSERT INTO limits (scope, scope_id, starts_per_minute, max_queued, tokens_per_day)"
SLOTS = 20


def compare(arms: dict[str, Callable[[], Any]], times: int) -> None:
    """Print the 10th percentile and the median of each arm in milliseconds. They take turns, so that what else the
    machine does meets all of them alike."""
    took: dict[str, list[float]] = {name: [] for name in arms}
    for _ in range(times):
        for name, work in arms.items():
            began = time.perf_counter()
            work()
            took[name].append((time.perf_counter() - began) * 1000)
    for name, each in took.items():
        click.echo(f"{name:<48} {statistics.quantiles(each, n=10)[0]:8.2f} {statistics.median(each):8.2f}")


def claiming(connection: psycopg.Connection[Any], worker: int) -> Callable[[], None]:
    """One claim, given back."""

    def claim_and_give_back() -> None:
        row = connection.execute(CLAIM, (worker,)).fetchone()
        assert row is not None
        connection.execute(GIVE_BACK, row)

    return claim_and_give_back


def starting(connection: psycopg.Connection[Any], shop: Shop, *, is_admitted: bool = False) -> Callable[[], None]:
    """One start."""

    def start() -> None:
        new = NewExecution(
            account_id=shop.account_id,
            agent_id=shop.agent_id,
            data_set_id=shop.data_set_id,
            celery_task_id=uuid.uuid4(),
            definition_key="echo",
            definition_version=1,
            input="{}",
        )
        row = connection.execute(ACCEPT, accepting(new, is_admitted=is_admitted)).fetchone()
        assert row is not None
        assert row[0] is not None

    return start


def place_of_the_newcomer(connection: psycopg.Connection[Any], worker: int) -> int:
    """How many claims pass until the one execution of an account that comes last has its slot."""
    mine = open_shop(connection, "newcomer").accept()
    for number in range(1, 10_000):
        row = connection.execute(CLAIM, (worker,)).fetchone()
        assert row is not None
        if row[0] == mine:
            return number
    raise SystemExit("it never had its turn")


@click.command()
@click.option("--waiting", default=10_000, help="Executions of the first account.")
@click.option("--accounts", default=50, help="Accounts that have something waiting.")
@click.option("--starts", "many", default=300, help="Starts and claims of each kind.")
def main(waiting: int, accounts: int, many: int) -> None:
    """Print medians and 90th percentiles in milliseconds."""
    with (
        postgres.throwaway_cluster() as server,
        postgres.empty_database(server) as url,
        psycopg.connect(url, autocommit=True) as connection,
    ):
        postgres.migrate(url)
        shops = [open_shop(connection, f"account {number}") for number in range(accounts)]
        worker = connection.execute(
            "INSERT INTO workers (name, host, pid, offers, models, concurrency, lease_until) VALUES"
            " ('w', 'h', 1, ARRAY['echo@1'], ARRAY['fast'], 1000, now() + interval '1 hour') RETURNING id"
        ).fetchone()
        assert worker is not None
        click.echo(f"{'milliseconds':<48} {'p10':>8} {'p50':>8}")
        connection.execute(f"{LIMIT} VALUES ('account', %s, 1000000, 1000000, 1000000)", (shops[1].account_id,))
        arms = {
            "start, not counted": starting(connection, shops[0], is_admitted=True),
            "start, account without limits": starting(connection, shops[0]),
            "start, account with limits": starting(connection, shops[1]),
        }
        compare(arms, many)
        connection.execute("DELETE FROM limits")
        connection.execute("DELETE FROM execution_runtime")
        accept_many(shops[0], waiting)
        connection.execute("ANALYZE execution_runtime")
        compare({f"claim, {waiting} waiting, 1 account": claiming(connection, worker[0])}, many)
        for shop in shops[1:]:
            shop.accept()
        compare({f"claim, the same and {accounts - 1} more accounts": claiming(connection, worker[0])}, many)
        connection.execute("INSERT INTO limits (scope, name, max_running) VALUES ('provider', 'fast', 1000)")
        connection.execute("INSERT INTO limits (scope, scope_id, max_running) SELECT 'account', id, 1000 FROM accounts")
        compare({"claim, the same with a limit of each": claiming(connection, worker[0])}, many)
        connection.execute("DELETE FROM execution_runtime WHERE account_id <> %s", (shops[0].account_id,))
        for _ in range(SLOTS):
            connection.execute(CLAIM, (worker[0],))
        passed = place_of_the_newcomer(connection, worker[0])
        click.echo(f"claims until a newcomer behind {waiting} has its slot: {passed}")


if __name__ == "__main__":
    main()
