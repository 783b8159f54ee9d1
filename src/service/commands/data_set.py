"""`agentic data-set`: data sets with their products, made straight in the database."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from service.database import Connection
    from service.datasets.models import DataSet


@click.group("data-set")
def command() -> None:
    """Create data sets with their products."""


@command.command("create", short_help="Create a data set, with the products of a file.")
@click.argument("name")
@click.option(
    "--products",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A .csv or .jsonl file with sku, name and description; further columns become details.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the record as REST gives it.")
def create(name: str, products: Path | None, as_json: bool) -> None:
    """Create the data set NAME, with the products of a file if one is given: all of them or nothing."""
    import msgspec

    from service.commands.target import checked, print_record, with_connection
    from service.datasets import actions
    from service.datasets.models import NewDataSet
    from service.datasets.product_files import read_products

    new = checked(NewDataSet, name=name)
    uploads = read_products(products) if products is not None else []

    async def make(connection: Connection) -> DataSet:
        made = await actions.create(connection, new)
        for start in range(0, len(uploads), 1000):
            await actions.upsert_products(connection, made.id, uploads[start : start + 1000])
        return made

    record = with_connection(make)
    if as_json:
        print_record(msgspec.to_builtins(record), as_json=True)
    else:
        click.echo(f"data set {record.id} {record.name!r} with {len(uploads)} products")
