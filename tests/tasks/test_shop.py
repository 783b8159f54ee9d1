"""The built-in shop over its rows: what is written once, and by whom."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import date
from typing import Any, TypeVar

import msgspec
import psycopg
import pytest
from psycopg.types.json import Jsonb

from agentic import AlreadyRecorded, NewOrder, NewReceipt, OrderLine, ReceiptLine, UnknownProduct
from service.database import Database
from service.executions.runtime import Claim
from tasks.journal import LostClaim
from tasks.shop import DataSetShop
from tests.tasks.conftest import AsApp
from tests.tasks.seed import Shop, add_product, open_shop

T = TypeVar("T")

RECEIPT = NewReceipt(
    supplier="Acme GmbH",
    number="R-2026/17",
    issued_on=date(2026, 3, 12),
    currency="EUR",
    total="25.5000",
    lines=[
        ReceiptLine(sku="CUP", description="Cups, blue", quantity=3, unit_price="2.50", amount="7.50"),
        ReceiptLine(sku="POT", quantity=1, unit_price="18", amount="18.00"),
        ReceiptLine(sku="CUP", quantity=2, unit_price="0", amount="0"),
    ],
    details={"tax": "0.00"},
)
ORDER = NewOrder(
    buyer="Café Nord",
    reference="PO 17",
    currency="EUR",
    requested_on=date(2026, 4, 1),
    lines=[OrderLine(sku="CUP", quantity=100, unit_price="4.90"), OrderLine(sku="POT", quantity=1)],
)


@pytest.fixture
def goods(shop: Shop) -> Shop:
    for sku in ("CUP", "POT"):
        add_product(shop.connection, shop.data_set_id, sku, sku.title(), "")
    return shop


def held(shop: Shop) -> Claim:
    """A claim on a new execution, as a worker has it."""
    execution_id = shop.accept()
    row = shop.connection.execute(
        "INSERT INTO workers (name, host, pid, offers, concurrency, lease_until)"
        " VALUES ('w', 'h', 1, '{}', 1, now() + interval '1 hour') RETURNING id"
    ).fetchone()
    assert row is not None
    shop.connection.execute(
        "UPDATE execution_runtime SET phase = 'running', worker_id = %s, epoch = 1 WHERE execution_id = %s",
        (row[0], execution_id),
    )
    return Claim(execution_id=execution_id, worker_id=row[0], epoch=1)


def using(app: AsApp, shop: Shop, claim: Claim, use: Callable[[DataSetShop], Awaitable[T]]) -> T:
    async def run(database: Database) -> T:
        return await use(DataSetShop(database, shop.data_set_id, claim))

    return app.pooled(run)


def rows(connection: psycopg.Connection[Any], statement: str) -> list[Any]:
    return connection.execute(statement.encode()).fetchall()


def stock(shop: Shop) -> dict[str, int]:
    """Each product's stock, which is what its movements say."""
    found = rows(
        shop.connection,
        "SELECT p.sku, p.stock, coalesce(sum(m.delta), 0) FROM products p"
        " LEFT JOIN stock_movements m USING (data_set_id, sku) GROUP BY p.id ORDER BY p.sku",
    )
    assert all(quantity == moved for _, quantity, moved in found)
    return {sku: quantity for sku, quantity, _ in found}


def test_receive_stock_when_done_then_stock_and_record_have_every_line(app: AsApp, goods: Shop) -> None:
    claim = held(goods)
    received = using(app, goods, claim, lambda shop: shop.receive_stock(RECEIPT, key="k"))
    assert received.is_own
    assert msgspec.structs.asdict(received) | {"id": "", "is_own": True} == {
        **msgspec.structs.asdict(RECEIPT), "id": "", "is_own": True
    }  # fmt: skip
    assert stock(goods) == {"CUP": 5, "POT": 1}
    assert using(app, goods, claim, lambda shop: shop.own_receipt()) == received


@pytest.mark.parametrize("key", ["k", "another"])
def test_receive_stock_when_repeated_then_the_first_stands_whatever_it_says_now(
    app: AsApp, goods: Shop, key: str
) -> None:
    claim = held(goods)
    changed = msgspec.structs.replace(RECEIPT, number="R-99", lines=RECEIPT.lines[:1])
    first = using(app, goods, claim, lambda shop: shop.receive_stock(RECEIPT, key="k"))
    assert using(app, goods, claim, lambda shop: shop.receive_stock(changed, key=key)) == first
    assert stock(goods) == {"CUP": 5, "POT": 1}


SAME_INVOICE = [
    {"supplier": "ACME gmbh."},
    {"number": "r 2026 17", "total": "1.00", "issued_on": date(2026, 1, 1)},
    {"supplier": "Acme Trading", "total": "25.50"},
]


@pytest.mark.parametrize("change", SAME_INVOICE)
def test_receive_stock_when_another_execution_has_the_invoice_then_refused_and_nothing_written(
    app: AsApp, goods: Shop, change: dict[str, Any]
) -> None:
    same = msgspec.structs.replace(RECEIPT, **change)
    using(app, goods, held(goods), lambda shop: shop.receive_stock(RECEIPT, key="k"))
    second = held(goods)
    with pytest.raises(AlreadyRecorded, match="R-2026/17"):
        using(app, goods, second, lambda shop: shop.receive_stock(same, key="other"))
    found = using(app, goods, second, lambda shop: shop.receipt_like(same))
    assert found is not None
    assert not found.is_own
    assert stock(goods) == {"CUP": 5, "POT": 1}


def test_receive_stock_when_another_data_set_has_the_invoice_then_it_is_none_of_its_business(
    app: AsApp, goods: Shop
) -> None:
    stranger = open_shop(goods.connection, "stranger")
    for sku in ("CUP", "POT"):
        add_product(goods.connection, stranger.data_set_id, sku, sku, "")
    using(app, goods, held(goods), lambda shop: shop.receive_stock(RECEIPT, key="k"))
    claim = held(stranger)
    assert using(app, stranger, claim, lambda shop: shop.receipt_like(RECEIPT)) is None
    assert using(app, stranger, claim, lambda shop: shop.receive_stock(RECEIPT, key="k")).is_own


def test_receive_stock_when_a_product_is_unknown_then_nothing_is_written(app: AsApp, goods: Shop) -> None:
    lines = [*RECEIPT.lines, ReceiptLine(sku="X\0", quantity=1, unit_price="1", amount="1")]
    wrong = msgspec.structs.replace(RECEIPT, lines=lines)
    with pytest.raises(UnknownProduct, match="no X\ufffd; nothing was written"):
        using(app, goods, held(goods), lambda shop: shop.receive_stock(wrong, key="k"))
    assert stock(goods) == {"CUP": 0, "POT": 0}
    assert rows(goods.connection, "SELECT FROM receipts") == []


def test_receive_stock_when_many_executions_receive_at_once_then_each_invoice_counts_once(
    app: AsApp, goods: Shop
) -> None:
    claims = [held(goods) for _ in range(6)]
    backwards = msgspec.structs.replace(RECEIPT, number="B", lines=RECEIPT.lines[::-1])

    async def run(database: Database) -> list[object]:
        given = zip(claims, (RECEIPT, backwards) * 3, strict=True)
        calls = [
            DataSetShop(database, goods.data_set_id, claim).receive_stock(receipt, key=f"{claim.execution_id}")
            for claim, receipt in given
        ]
        return await asyncio.gather(*calls, return_exceptions=True)

    ended = [type(each).__name__ for each in app.pooled(run)]
    assert sorted(ended) == ["AlreadyRecorded"] * 4 + ["Receipt"] * 2
    assert stock(goods) == {"CUP": 10, "POT": 2}


def test_receive_stock_when_the_same_call_runs_twice_at_once_then_it_counts_once(app: AsApp, goods: Shop) -> None:
    claim = held(goods)

    async def run(database: Database) -> list[object]:
        shop = DataSetShop(database, goods.data_set_id, claim)
        return await asyncio.gather(*[shop.receive_stock(RECEIPT, key=f"k{number % 2}") for number in range(4)])

    first, *others = app.pooled(run)
    assert others == [first] * 3
    assert stock(goods) == {"CUP": 5, "POT": 1}


@pytest.mark.parametrize("change", [{"epoch": 2}, {"worker_id": 999}])
def test_writes_when_the_claim_is_lost_then_nothing_is_written(app: AsApp, goods: Shop, change: dict[str, int]) -> None:
    claim = replace(held(goods), **change)
    with pytest.raises(LostClaim):
        using(app, goods, claim, lambda shop: shop.receive_stock(RECEIPT, key="k"))
    with pytest.raises(LostClaim):
        using(app, goods, claim, lambda shop: shop.place_order(ORDER, key="k"))
    assert rows(goods.connection, "SELECT id FROM receipts UNION ALL SELECT id FROM orders") == []


def test_place_order_when_done_then_it_is_on_record_and_the_stock_is_as_before(app: AsApp, goods: Shop) -> None:
    claim = held(goods)
    placed = using(app, goods, claim, lambda shop: shop.place_order(ORDER, key="k"))
    assert (placed.buyer, placed.reference, placed.requested_on, placed.is_own) == (
        "Café Nord", "PO 17", date(2026, 4, 1), True
    )  # fmt: skip
    assert placed.lines == ORDER.lines
    assert stock(goods) == {"CUP": 0, "POT": 0}
    assert using(app, goods, claim, lambda shop: shop.own_order()) == placed


@pytest.mark.parametrize("key", ["k", "another"])
def test_place_order_when_repeated_then_there_is_one_and_it_is_the_first(app: AsApp, goods: Shop, key: str) -> None:
    claim = held(goods)
    changed = msgspec.structs.replace(ORDER, reference="PO 18", lines=ORDER.lines[1:])
    first = using(app, goods, claim, lambda shop: shop.place_order(ORDER, key="k"))
    assert using(app, goods, claim, lambda shop: shop.place_order(changed, key=key)) == first
    assert rows(goods.connection, "SELECT count(*), (SELECT count(*) FROM order_lines) FROM orders") == [(1, 2)]


def test_place_order_when_another_execution_has_placed_it_then_refused(app: AsApp, goods: Shop) -> None:
    using(app, goods, held(goods), lambda shop: shop.place_order(ORDER, key="k"))
    second = held(goods)
    with pytest.raises(AlreadyRecorded, match="PO 17"):
        using(app, goods, second, lambda shop: shop.place_order(ORDER, key="other"))
    same = using(app, goods, second, lambda shop: shop.order_like(ORDER))
    assert same is not None
    assert not same.is_own


def test_place_order_without_a_reference_when_another_is_like_it_then_both_are_placed(app: AsApp, goods: Shop) -> None:
    nameless = msgspec.structs.replace(ORDER, reference="")
    for _ in range(2):
        claim = held(goods)
        assert using(app, goods, claim, lambda shop: shop.order_like(nameless)) is None
        using(app, goods, claim, lambda shop: shop.place_order(nameless, key=f"{claim.execution_id}"))  # noqa: B023
    assert rows(goods.connection, "SELECT count(*) FROM orders") == [(2,)]


def test_database_when_a_second_order_of_an_execution_is_written_past_the_shop_then_it_refuses(
    app: AsApp, goods: Shop
) -> None:
    claim = held(goods)
    using(app, goods, claim, lambda shop: shop.place_order(ORDER, key="k"))
    with pytest.raises(psycopg.errors.UniqueViolation, match="orders_execution_id_key"):
        goods.connection.execute(
            "INSERT INTO orders (data_set_id, execution_id, idempotency_key, buyer, buyer_key, currency)"
            " VALUES (%s, %s, 'x', 'x', 'x', 'EUR')",
            (goods.data_set_id, claim.execution_id),
        )


def test_products_when_asked_then_price_is_the_text_of_the_catalogue_and_nothing_else(app: AsApp, goods: Shop) -> None:
    for sku, details in (("CUP", {"price": 4.90, "currency": "EUR"}), ("POT", {"price": "12,50", "currency": "euro"})):
        goods.connection.execute("UPDATE products SET details = %s WHERE sku = %s", (Jsonb(details), sku))
    claim = held(goods)
    cup, pot = using(app, goods, claim, lambda shop: shop.products(["POT", "CUP", "none"]))
    (found,) = using(app, goods, claim, lambda shop: shop.search("pot"))
    assert (cup.price, cup.currency, pot.price, pot.currency) == ("4.9", "EUR", None, None)
    assert found == pot
