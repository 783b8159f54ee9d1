"""Workers and claims without processes: rows as a worker process would make them."""

from __future__ import annotations

from collections.abc import Sequence

from service.executions import runtime
from service.executions.runtime import Claim
from service.workers.store import Identity, WorkerDescription, register
from tests.tasks.conftest import AsApp, sync_connection


def add_worker(
    app: AsApp,
    *,
    name: str = "worker",
    offers: Sequence[str] = ("echo@1",),
    models: Sequence[str] = (),
    lease_seconds: float = 60,
) -> Identity:
    """A registered worker; with a negative lease, one whose lease has run out."""
    description = WorkerDescription(name=name, host="here", pid=1, offers=offers, models=models, concurrency=20)
    with sync_connection(app.url) as connection:
        return register(connection, description, lease_seconds=lease_seconds)


def claim(app: AsApp, worker: Identity, offers: Sequence[str] = ("echo@1",)) -> Claim | None:
    """What a ticket of this worker gets."""
    claimed, _ = app.connected(lambda connection: runtime.claim(connection, worker.worker_id, offers))
    return claimed


def hold(app: AsApp, worker: Identity, offers: Sequence[str] = ("echo@1",)) -> Claim:
    """The same, where there must be one."""
    claimed = claim(app, worker, offers)
    assert claimed is not None
    return claimed
