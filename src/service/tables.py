"""Gathers the tables of all resources: what Alembic compares the database with."""

from __future__ import annotations

from service.accounts import tables as _accounts
from service.agents import tables as _agents
from service.approvals import tables as _approvals
from service.conversations import tables as _conversations
from service.datasets import tables as _datasets
from service.events import tables as _events
from service.executions import tables as _executions
from service.files import tables as _files
from service.idempotency import tables as _idempotency
from service.limits import tables as _limits
from service.retention import tables as _retention
from service.schedules import tables as _schedules
from service.schema import metadata
from service.webhooks import tables as _webhooks
from service.workers import tables as _workers

RESOURCES = (
    _accounts,
    _agents,
    _approvals,
    _conversations,
    _datasets,
    _events,
    _executions,
    _files,
    _idempotency,
    _limits,
    _retention,
    _schedules,
    _webhooks,
    _workers,
)

__all__ = ["RESOURCES", "metadata"]
