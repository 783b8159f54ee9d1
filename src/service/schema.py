"""The one MetaData that every resource's tables.py declares its tables on, and the column kinds they share."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, DateTime, Identity, MetaData, text

NAMING = {
    "pk": "%(table_name)s_pkey",
    "fk": "%(table_name)s_%(column_0_name)s_fkey",
    "uq": "%(table_name)s_%(column_0_N_name)s_key",
    "ck": "%(table_name)s_%(constraint_name)s_check",
    "ix": "%(table_name)s_%(column_0_N_name)s_idx",
}

metadata = MetaData(naming_convention=NAMING)


def identity_column() -> Column[int]:
    """A bigint identity primary key named id: the guide's integer ids."""
    return Column("id", BigInteger, Identity(always=True), primary_key=True)


def timestamp_column(name: str, *, nullable: bool = False, default_now: bool = False) -> Column[object]:
    """A timestamptz column; `default_now` takes the database's clock, the only clock that is stored."""
    return Column(
        name, DateTime(timezone=True), nullable=nullable, server_default=text("now()") if default_now else None
    )
