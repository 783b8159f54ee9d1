"""What create_app hands to handlers by name, as the types that handlers declare: `database: Database`."""

from __future__ import annotations

from litestar.di import NamedDependency

from service import database, queue, settings
from service.accounts import access
from service.definitions import registry
from service.events import hub

Database = NamedDependency[database.Database]
Notifier = NamedDependency[queue.Notifier]
Hub = NamedDependency[hub.Hub]
Settings = NamedDependency[settings.Settings]
Registry = NamedDependency[registry.Registry]
Authenticator = NamedDependency[access.Authenticator]
