"""The catalogue of a data set as tools see it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

import pytest

from service.database import Database
from service.definitions.context import Product, ProductChange
from service.executions.runtime import Claim
from tasks.data_set import CatalogueDataSet
from tasks.journal import LostClaim
from tests.tasks.conftest import AsApp
from tests.tasks.seed import Shop, add_product, open_shop
from tests.tasks.test_shop import held

T = TypeVar("T")

NO_CLAIM = Claim(execution_id=0, worker_id=0, epoch=0)


def using(app: AsApp, shop: Shop, use: Callable[[CatalogueDataSet], Awaitable[T]], claim: Claim = NO_CLAIM) -> T:
    async def run(database: Database) -> T:
        return await use(CatalogueDataSet(database, shop.data_set_id, "shop", claim))

    return app.pooled(run)


@pytest.fixture
def catalogue(shop: Shop) -> Shop:
    for sku, name, description in (
        ("CH-1", "Oak chair", "A chair of solid oak."),
        ("CH-2", "Pine chair", "Light."),
        ("TB-1", "Table", "Goes with the oak chair."),
        ("X_1", "Odd", "100% odd"),
        ("XY1", "Plain", "100 odd"),
    ):
        add_product(shop.connection, shop.data_set_id, sku, name, description)
    stranger = open_shop(shop.connection, "stranger")
    add_product(shop.connection, stranger.data_set_id, "CH-1", "Not ours", "oak chair")
    return shop


def test_products_by_sku_leave_out_unknown_ones_and_other_data_sets(app: AsApp, catalogue: Shop) -> None:
    found = using(app, catalogue, lambda data_set: data_set.products(["CH-1", "none", "TB-1", "a\0b"]))
    assert [(product.sku, product.name) for product in found] == [("CH-1", "Oak chair"), ("TB-1", "Table")]


@pytest.mark.parametrize(
    ("query", "skus"),
    [
        ("oak chair", ["CH-1", "TB-1", "CH-2"]),  # both words in the name, both in the description, one
        ("ch-2", ["CH-2"]),
        ("OAK", ["CH-1", "TB-1"]),
        ("X_1", ["X_1"]),  # LIKE's signs are words like any
        ("100%", ["X_1"]),
        ("nothing", []),
        ("  ", []),
    ],
)
def test_search_finds_words_anywhere_best_first(app: AsApp, catalogue: Shop, query: str, skus: list[str]) -> None:
    found = using(app, catalogue, lambda data_set: data_set.search(query))
    assert [product.sku for product in found] == skus


def test_search_stops_at_its_limit(app: AsApp, catalogue: Shop) -> None:
    assert len(using(app, catalogue, lambda data_set: data_set.search("chair", limit=2))) == 2
    assert using(app, catalogue, lambda data_set: data_set.search("chair", limit=-5)) == []


def test_undescribed_are_those_without_a_description_up_to_the_limit(app: AsApp, catalogue: Shop) -> None:
    for sku in ("ZZ-2", "ZZ-1"):
        add_product(catalogue.connection, catalogue.data_set_id, sku, "Bare", "")

    found = using(app, catalogue, lambda data_set: data_set.undescribed())
    first = using(app, catalogue, lambda data_set: data_set.undescribed(limit=1))

    assert [product.sku for product in found] == ["ZZ-1", "ZZ-2"]
    assert [product.sku for product in first] == ["ZZ-1"]


def test_upsert_writes_what_is_given_and_keeps_the_rest(app: AsApp, catalogue: Shop) -> None:
    changes = [
        ProductChange(sku="CH-1", details={"colour": "brown", "legs": 4}),
        ProductChange(sku="NEW", name="New", details={"a\0": "b\0"}),
        ProductChange(sku="CH-1", name="Oak armchair", details={"colour": "dark"}),
    ]
    claim = held(catalogue)
    for _ in range(2):  # safe to repeat
        written = using(app, catalogue, lambda data_set: data_set.upsert(changes), claim)
        assert written == [
            Product(
                sku="CH-1",
                name="Oak armchair",
                description="A chair of solid oak.",
                details={"colour": "dark", "legs": 4},
            ),
            Product(sku="NEW", name="New", details={"a\ufffd": "b\ufffd"}),
        ]


def test_upsert_of_nothing_writes_nothing(app: AsApp, catalogue: Shop) -> None:
    assert using(app, catalogue, lambda data_set: data_set.upsert([]), held(catalogue)) == []


def test_upsert_when_the_claim_was_lost_then_nothing_is_written(app: AsApp, catalogue: Shop) -> None:
    late = replace(held(catalogue), epoch=0)
    with pytest.raises(LostClaim):
        using(app, catalogue, lambda data_set: data_set.upsert([ProductChange(sku="CH-1", name="Late")]), late)
    assert using(app, catalogue, lambda data_set: data_set.products(["CH-1"]))[0].name == "Oak chair"


def test_undescribed_are_the_products_without_a_description_by_sku(app: AsApp, catalogue: Shop) -> None:
    for sku in ("ZZ-9", "AA-1"):
        add_product(catalogue.connection, catalogue.data_set_id, sku, "Bare", "")
    found = using(app, catalogue, lambda data_set: data_set.undescribed())
    assert [product.sku for product in found] == ["AA-1", "ZZ-9"]
    assert len(using(app, catalogue, lambda data_set: data_set.undescribed(limit=1))) == 1


def test_upserts_that_wait_for_a_product_leave_the_runs_of_others_a_connection(app: AsApp, catalogue: Shop) -> None:
    claim, connection = held(catalogue), catalogue.connection
    change = ProductChange(sku="CH-1", name="Wide chair")
    waiting = "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted"

    async def run(database: Database) -> None:
        data_set = CatalogueDataSet(database, catalogue.data_set_id, "shop", claim)
        with connection.transaction():
            connection.execute("SELECT FROM products FOR UPDATE")
            upserts = [asyncio.ensure_future(data_set.upsert([change])) for _ in range(app.settings.pool_size)]
            async with asyncio.timeout(5):
                while connection.execute(waiting).fetchone() != (True,):  # noqa: ASYNC110 - the server tells nobody
                    await asyncio.sleep(0.02)
                async with database.connection() as other:
                    await other.execute("SELECT 1")
        await asyncio.gather(*upserts)

    app.pooled(run)
    names = connection.execute("SELECT name FROM products WHERE sku = 'CH-1' ORDER BY id").fetchall()
    assert names == [("Wide chair",), ("Not ours",)]
