"""The ASGI application: the one list of controllers, the handlers of errors, what opens and closes with the process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from litestar import Litestar
from litestar.config.cors import CORSConfig
from litestar.datastructures import State
from litestar.di import Provide
from litestar.types import ControllerRouterHandler

from service.access_log import AccessLog
from service.accounts.access import Authenticator
from service.accounts.controller import ServiceAccountsController
from service.accounts.gate import TokenGate
from service.agents.controller import AgentsController
from service.approvals.controller import ApprovalsController
from service.attached import settings_with_database
from service.conversations.controller import ConversationsController
from service.database import Database
from service.datasets.controller import DataSetsController
from service.definitions.registry import Registry
from service.docs.controller import DocsController
from service.events.controller import EventsController
from service.events.hub import Hub
from service.events.numbering import Numbering
from service.executions.controller import ExecutionsController
from service.executions.ending import watch_overdue
from service.files.controller import FilesController
from service.head_requests import HeadRequests
from service.health.controller import HealthController
from service.limits.controller import LimitsController
from service.loops import end_all
from service.queue import Notifier
from service.responses import EXCEPTION_HANDLERS
from service.schedules.controller import SchedulesController
from service.settings import Settings
from service.webhooks.controller import ExecutionDeliveriesController, WebhooksController

CONTROLLERS: tuple[ControllerRouterHandler, ...] = (
    ExecutionsController,
    SchedulesController,
    EventsController,
    ApprovalsController,
    WebhooksController,
    ExecutionDeliveriesController,
    FilesController,
    ConversationsController,
    AgentsController,
    DataSetsController,
    ServiceAccountsController,
    LimitsController,
    HealthController,
    DocsController,
)

PARTS = ("settings", "database", "notifier", "numbering", "hub", "registry", "authenticator")
"""What handlers are handed by name."""


def create_app(settings: Settings | None = None, registry: Registry | None = None) -> Litestar:
    """The application; a factory for any ASGI server. Raises SetupError where a definition or setting is wrong.

    Without settings they are read from the environment. It starts before its database does, and answers 503 until then.
    """
    settings = settings or settings_with_database()
    parts: dict[str, object] = {}
    app = Litestar(
        route_handlers=list(CONTROLLERS),
        dependencies={name: _provide(parts, name) for name in PARTS},
        state=State({"parts": parts}),
        lifespan=[_lifespan],
        exception_handlers=EXCEPTION_HANDLERS,
        cors_config=CORSConfig(allow_origins=list(settings.cors_origins)) if settings.cors_origins else None,
        openapi_config=None,
        logging_config=None,
        request_max_body_size=settings.max_body_bytes,
    )
    app.state.routed = app.asgi_handler
    furnish(app, settings, Registry.discover() if registry is None else registry)
    return app


def furnish(app: Litestar, settings: Settings, registry: Registry) -> None:
    """Give the application what its handlers are handed.

    Routes are costly to register: what needs many applications one after the other furnishes one anew, while it does
    not serve. The limit of bodies and the origins stay as it was created.
    """
    database = Database(settings, application_name="agentic-api", answer_seconds=settings.pool_timeout_seconds)
    authenticator, numbering = Authenticator(database), Numbering(database)
    shared = {
        "settings": settings,
        "database": database,
        "notifier": Notifier(database, on_events=numbering.events_added),
        "numbering": numbering,
        "hub": Hub(database, numbering, settings),
        "registry": registry,
        "authenticator": authenticator,
    }
    app.state.parts.update(shared)
    app.state.update(shared)
    app.asgi_handler = app.state.routed
    app.asgi_handler = TokenGate(app, authenticator, settings)
    app.asgi_handler = AccessLog(HeadRequests(app.asgi_handler))


def _provide(parts: Mapping[str, object], name: str) -> Provide:
    return Provide(lambda: parts[name], sync_to_thread=False)


@asynccontextmanager
async def _lifespan(app: Litestar) -> AsyncIterator[None]:
    database: Database = app.state.database
    notifier: Notifier = app.state.notifier
    numbering: Numbering = app.state.numbering
    hub: Hub = app.state.hub
    await database.open()
    overdue = asyncio.create_task(watch_overdue(database, notifier))
    try:
        yield
    finally:
        await hub.close()
        await end_all([overdue])
        await notifier.close()
        await numbering.close()
        await database.close()
