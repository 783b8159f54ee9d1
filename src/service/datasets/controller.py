"""/api/data-sets/, their products, orders and receipts. Accounts read what they were given; admins write."""

from __future__ import annotations

from litestar import Controller, delete, get, patch, post

from service.accounts.gate import AccountRequest, admins_only
from service.bodies import decode_body, read_body, read_json
from service.datasets import actions, shop_store, store
from service.datasets.models import (
    MAX_PRODUCTS,
    DataSet,
    DataSetChange,
    NewDataSet,
    OrderRecord,
    ProductRecord,
    ProductUpload,
    ProductUploads,
    ReceiptRecord,
    data_set,
    order,
    product,
    receipt,
)
from service.pages import Page, Source, paginate
from service.provided import Database, Settings
from service.wire import Id


class DataSetsController(Controller):
    """Data sets and their catalogue."""

    path = "/api/data-sets/"
    tags = ("Data sets",)

    @get("/", operation_id="ListDataSets", summary="List data sets")
    async def list_visible(self, request: AccountRequest, database: Database, settings: Settings) -> Page[DataSet]:
        """Those that the account was given, newest first, 25 a page; all for an admin."""
        async with database.connection() as connection:
            source = Source(
                rows=lambda offset, limit: store.visible_page(connection, request.user, limit=limit, offset=offset),
                count=lambda: store.count_visible(connection, request.user),
            )
            return await paginate(request, settings, source, data_set)

    @post(
        "/",
        guards=[admins_only],
        opt={"body": NewDataSet},
        operation_id="CreateDataSet",
        summary="Create a data set",
    )
    async def create(self, request: AccountRequest, database: Database) -> DataSet:
        """Empty at first; no account is given it. Admin only."""
        new = await read_body(request, NewDataSet)
        async with database.transaction() as connection:
            return await actions.create(connection, new)

    @get("/{data_set_id:int}/", operation_id="GetDataSet", summary="Get a data set")
    async def get_one(self, request: AccountRequest, database: Database, data_set_id: Id) -> DataSet:
        """Absent for accounts that were not given it."""
        async with database.connection() as connection:
            return await actions.get(connection, request.user, data_set_id)

    @patch(
        "/{data_set_id:int}/",
        opt={"body": DataSetChange},
        operation_id="ChangeDataSet",
        summary="Rename a data set",
    )
    async def change(self, request: AccountRequest, database: Database, data_set_id: Id) -> DataSet:
        """Admin only."""
        async with database.connection() as connection:
            await actions.require_admin(connection, request.user, data_set_id)
        change = await read_body(request, DataSetChange)  # no connection is held while a client sends
        async with database.transaction() as connection:
            return await actions.change(connection, data_set_id, change)

    @delete(
        "/{data_set_id:int}/",
        opt={"conflicts": True},
        operation_id="DeleteDataSet",
        summary="Delete a data set",
    )
    async def remove(self, request: AccountRequest, database: Database, data_set_id: Id) -> None:
        """Refused while agents work on it. What ran on it stays. Admin only."""
        async with database.transaction() as connection:
            await actions.require_admin(connection, request.user, data_set_id)
            await actions.delete(connection, data_set_id)

    @get("/{data_set_id:int}/products/", operation_id="ListProducts", summary="List the products of a data set")
    async def list_products(
        self, request: AccountRequest, database: Database, settings: Settings, data_set_id: Id
    ) -> Page[ProductRecord]:
        """By SKU, 25 a page."""
        async with database.connection() as connection:
            await actions.get(connection, request.user, data_set_id)
            source = Source(
                rows=lambda offset, limit: store.products_page(connection, data_set_id, limit=limit, offset=offset),
                count=lambda: store.count_products(connection, data_set_id),
            )
            return await paginate(request, settings, source, product)

    @post(
        "/{data_set_id:int}/products/",
        opt={"body": ProductUpload, "list_of": MAX_PRODUCTS},
        status_code=200,
        operation_id="WriteProducts",
        summary="Create or update products",
    )
    async def write_products(
        self, request: AccountRequest, database: Database, data_set_id: Id
    ) -> ProductRecord | list[ProductRecord]:
        """One product, or a list of up to 1000, all or none; answered in the same form, as they now are. Admin only."""
        async with database.connection() as connection:
            await actions.require_admin(connection, request.user, data_set_id)
        body = await read_json(request)
        is_list = isinstance(body, list)
        uploads: list[ProductUpload] = (
            decode_body(body, ProductUploads) if is_list else [decode_body(body, ProductUpload)]
        )
        async with database.transaction() as connection:
            written = await actions.upsert_products(connection, data_set_id, uploads)
        return written if is_list else written[0]

    @get("/{data_set_id:int}/orders/", operation_id="ListOrders", summary="List the orders of a data set")
    async def list_orders(
        self, request: AccountRequest, database: Database, settings: Settings, data_set_id: Id
    ) -> Page[OrderRecord]:
        """What executions ordered, with their lines, newest first, 25 a page."""
        async with database.connection() as connection:
            await actions.get(connection, request.user, data_set_id)
            source = Source(
                rows=lambda offset, limit: shop_store.orders_page(
                    connection, request.user, data_set_id, limit=limit, offset=offset
                ),
                count=lambda: shop_store.count_orders(connection, data_set_id),
            )
            return await paginate(request, settings, source, order)

    @get("/{data_set_id:int}/receipts/", operation_id="ListReceipts", summary="List the goods received")
    async def list_receipts(
        self, request: AccountRequest, database: Database, settings: Settings, data_set_id: Id
    ) -> Page[ReceiptRecord]:
        """What executions added to the stock, an invoice each with its lines, newest first, 25 a page."""
        async with database.connection() as connection:
            await actions.get(connection, request.user, data_set_id)
            source = Source(
                rows=lambda offset, limit: shop_store.receipts_page(
                    connection, request.user, data_set_id, limit=limit, offset=offset
                ),
                count=lambda: shop_store.count_receipts(connection, data_set_id),
            )
            return await paginate(request, settings, source, receipt)
