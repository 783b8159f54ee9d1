"""/healthz and /readyz: one status word each, for whoever watches processes; no token, so nothing else."""

from __future__ import annotations

import asyncio
from functools import cache

from litestar import Controller, Response, get
from litestar.status_codes import HTTP_200_OK, HTTP_503_SERVICE_UNAVAILABLE
from msgspec import Struct

from service.errors import Unavailable
from service.health import store
from service.provided import Database
from service.revisions import head_revision

READY_SECONDS = 2.0
"""Probes give up after a second or a few: a database that does not answer by then is as good as none."""

expected_revision = cache(head_revision)
"""The revision that this code was written for, read from the migrations once."""


class Health(Struct):
    """One word on how the process is."""

    status: str


class HealthController(Controller):
    """Whether the process is up, and whether it can serve."""

    tags = ("Health",)

    @get("/healthz", operation_id="Healthz", summary="Is the process up?", security=[])
    async def healthz(self) -> Health:
        """Answers without looking at the database."""
        return Health("ok")

    @get(
        "/readyz",
        opt={"may_be_unready": True},
        operation_id="Readyz",
        summary="Can the process serve?",
        security=[],
    )
    async def readyz(self, database: Database) -> Response[Health]:
        """`ok`; or 503 with `database_unreachable`, or with `database_not_migrated` (run `agentic migrate`)."""
        status = await _readiness(database)
        is_ready = status == "ok"
        return Response(
            Health(status),
            status_code=HTTP_200_OK if is_ready else HTTP_503_SERVICE_UNAVAILABLE,
            headers={} if is_ready else {"Retry-After": "2"},
        )


async def _readiness(database: Database) -> str:
    try:
        # Half of it for a connection, half for the answer: one that is told to cancel would ask the server first.
        async with asyncio.timeout(READY_SECONDS), database.connection(answer_seconds=READY_SECONDS / 2) as connection:
            revision = await store.revision(connection)
    except (Unavailable, TimeoutError):
        return "database_unreachable"
    return "ok" if revision == expected_revision() else "database_not_migrated"
