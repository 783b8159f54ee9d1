"""Data sets and products as REST takes and gives them; the CLI prints the same records."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from service.database import Row
from service.definitions.problems import NOT_BLANK
from service.definitions.shop import OrderLine, ReceiptLine
from service.times import ts

Name = Annotated[str, Meta(max_length=200, pattern=NOT_BLANK)]
Days = Annotated[int, Meta(ge=1, le=36500)]
MAX_PRODUCTS = 1000
"""Products that one request may carry."""


class NewDataSet(Struct, kw_only=True, forbid_unknown_fields=True):
    """A data set to create, and for how many days it keeps prompts, results of tools and files, and executions, each
    after the outcome. Null: for good."""

    name: Name
    content_days: Days | None = 90
    execution_days: Days | None = None


class DataSetChange(Struct, kw_only=True, forbid_unknown_fields=True):
    """What to change of a data set."""

    name: Name | UnsetType = UNSET
    content_days: Days | UnsetType | None = UNSET
    execution_days: Days | UnsetType | None = UNSET


class DataSet(Struct, kw_only=True):
    """What agents and service accounts are given access to."""

    id: int
    name: str
    created_at: str
    content_days: int | None
    execution_days: int | None


class ProductUpload(Struct, kw_only=True, forbid_unknown_fields=True):
    """A product to write: created if its SKU is new. What is left out stays; `details` are merged key by key."""

    sku: Annotated[str, Meta(max_length=200, pattern=NOT_BLANK)]
    name: Annotated[str, Meta(max_length=2000)] | None = None
    description: Annotated[str, Meta(max_length=100_000)] | None = None
    details: dict[str, Any] = msgspec.field(default_factory=dict)


ProductUploads = Annotated[list[ProductUpload], Meta(min_length=1, max_length=MAX_PRODUCTS)]


class ProductRecord(Struct, kw_only=True):
    """A product of the data set's catalogue. `stock` is what was received of it."""

    sku: str
    name: str
    description: str
    details: dict[str, Any]
    updated_at: str
    stock: int


class OrderRecord(Struct, kw_only=True):
    """An order that an execution placed. `execution` is null where it is another account's.

    `reference` is the buyer's own number of it; amounts are decimal strings.
    """

    id: int
    execution: int | None
    buyer: str
    reference: str
    currency: str | None
    requested_on: str | None
    lines: list[OrderLine]
    details: dict[str, Any]
    created_at: str


class ReceiptRecord(Struct, kw_only=True):
    """Goods of a supplier's invoice that an execution added to the stock. `execution` is null where it is another
    account's; amounts are decimal strings."""

    id: int
    execution: int | None
    supplier: str
    number: str
    issued_on: str
    currency: str
    total: str
    lines: list[ReceiptLine]
    details: dict[str, Any]
    created_at: str


def data_set(row: Row) -> DataSet:
    """The record of a row."""
    return DataSet(
        id=row["id"],
        name=row["name"],
        created_at=ts(row["created_at"]),
        content_days=row["content_days"],
        execution_days=row["execution_days"],
    )


def product(row: Row) -> ProductRecord:
    """The record of a row."""
    return ProductRecord(
        sku=row["sku"],
        name=row["name"],
        description=row["description"],
        details=row["details"],
        updated_at=ts(row["updated_at"]),
        stock=row["stock"],
    )


def order(row: Row) -> OrderRecord:
    """The record of a row with its lines."""
    return msgspec.convert(_dated(row, "requested_on"), OrderRecord)


def receipt(row: Row) -> ReceiptRecord:
    """The record of a row with its lines."""
    return msgspec.convert(_dated(row, "issued_on"), ReceiptRecord)


def _dated(row: Row, day: str) -> Row:
    return {**row, "created_at": ts(row["created_at"]), day: row[day] and row[day].isoformat()}
