"""Worker processes and their leases: the only truth about which worker is alive."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Integer, Table, Text
from sqlalchemy.dialects.postgresql import ARRAY

from service.schema import identity_column, metadata, timestamp_column

workers = Table(
    "workers",
    metadata,
    identity_column(),
    Column("name", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("queue_worker_id", BigInteger, nullable=True, comment="Procrastinate's id; its heartbeat is not used"),
    Column("offers", ARRAY(Text), nullable=False, comment="definitions it has, as key@version"),
    Column("concurrency", Integer, nullable=False),
    timestamp_column("started_at", default_now=True),
    timestamp_column("lease_until"),
    Column(
        "models",
        ARRAY(Text),
        nullable=True,
        comment="beside offers: the model of runs whose agent names none; empty text where there is none",
    ),
)
