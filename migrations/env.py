"""Alembic's entry. The connection comes from service.migrate, which holds the lock and knows the roles."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection

from service.tables import metadata


def run(connection: Connection) -> None:
    """Run the pending revisions, each in a transaction of its own."""
    context.configure(
        connection=connection,
        target_metadata=metadata,
        transaction_per_migration=True,
        include_name=lambda name, kind, _parents: kind != "table" or name in metadata.tables,
    )
    with context.begin_transaction():
        context.run_migrations()


run(context.config.attributes["connection"])
