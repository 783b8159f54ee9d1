"""What can be done to data sets and their products. Callers open the transaction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec

from service.accounts.access import Principal
from service.database import Connection
from service.datasets import store
from service.datasets.models import (
    DataSet,
    DataSetChange,
    NewDataSet,
    ProductRecord,
    ProductUpload,
    data_set,
    product,
)
from service.errors import Conflict, FieldError, Forbidden, InvalidInput, NotFound


async def get(connection: Connection, principal: Principal, data_set_id: int) -> DataSet:
    """Raises NotFound for a data set that the account was not given, as if it were absent."""
    row = await store.visible_data_set(connection, principal, data_set_id)
    if row is None:
        raise NotFound
    return data_set(row)


async def require_admin(connection: Connection, principal: Principal, data_set_id: int) -> None:
    """Raises NotFound for who may not even see the data set, Forbidden for who may only see it."""
    await get(connection, principal, data_set_id)
    if not principal.is_admin:
        raise Forbidden("Only an admin account may do this.")


async def create(connection: Connection, new: NewDataSet) -> DataSet:
    """An empty data set. Names may repeat."""
    return data_set(await store.insert(connection, new))


async def change(connection: Connection, data_set_id: int, change: DataSetChange) -> DataSet:
    """Raises NotFound."""
    row = await store.change(connection, data_set_id, change)
    if row is None:
        raise NotFound
    return data_set(row)


async def delete(connection: Connection, data_set_id: int) -> None:
    """Raises NotFound, and Conflict while agents work on the data set."""
    if not await store.lock(connection, data_set_id):
        raise NotFound
    if agents := await store.count_agents(connection, data_set_id):
        raise Conflict(f"{agents} agent(s) work on this data set; delete them first.")
    await store.delete(connection, data_set_id)


async def upsert_products(
    connection: Connection, data_set_id: int, uploads: Sequence[ProductUpload]
) -> list[ProductRecord]:
    """The products as they now are, in the order given. Raises InvalidInput for a SKU given twice, NotFound."""
    times = Counter(upload.sku for upload in uploads)
    if repeated := [place for place, upload in enumerate(uploads) if times[upload.sku] > 1]:
        raise InvalidInput([FieldError(f"[{place}].sku", "is given more than once") for place in repeated])
    if not await store.is_present(connection, data_set_id):
        raise NotFound
    rows = await store.upsert_products(connection, data_set_id, [msgspec.to_builtins(upload) for upload in uploads])
    return [product(row) for row in rows]
