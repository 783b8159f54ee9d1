"""Webhooks without processes: a deliverer, receivers on loopback, and executions whose events are told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from psycopg.types.json import Jsonb
from standardwebhooks.webhooks import Webhook

from service.accounts.access import Principal
from service.database import Database
from service.settings import Settings
from service.webhooks import actions
from service.webhooks.models import NewWebhook, WebhookWithSecret
from tasks.delivering import Deliverer
from tasks.egress import Door
from tests.service.events.conftest import END, TELL
from tests.tasks.conftest import AsApp
from tests.tasks.seed import Shop
from tests.tasks.web_server import Answer, Names, WebServer, answer, serving

KEY = "vcMZyO1Cdh8VbYHtRC3hbFDHdjCnVd0Qq6ULMv3aRlM="
OTHER_KEY = "kpzcQv2Kg4MxnkyE0kEq0wZ1u2wB0oQH2Y0gqR2h9wU="
OK = answer("fine")


@dataclass
class Hooks:
    """The bench of one test. `answers` may be changed between looks."""

    environment: Mapping[str, str]
    settings: Settings
    database: Database
    deliverer: Deliverer
    web: WebServer
    answers: dict[str, Answer]
    shop: Shop

    def another(self, **environment: str) -> Hooks:
        """The same with a deliverer of other settings."""
        settings = Settings.read({**self.environment, **environment})
        return replace(self, settings=settings, deliverer=Deliverer(settings, self.database, chance=lambda: 0.0))

    async def make(self, path: str | None = "/hook", **given: Any) -> WebhookWithSecret:
        """A webhook of the shop's account; without a path, the one that signs for executions' own URLs."""
        url = None if path is None else self.url(path)
        async with self.database.transaction() as connection:
            principal = Principal(account_id=self.shop.account_id, is_admin=False)
            return await actions.create(connection, self.settings, principal, NewWebhook(url=url, **given))

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.web.port}{path}"

    def tell(self, execution_id: int, kind: str, **data: object) -> None:
        self.shop.connection.execute(TELL.encode(), {"id": execution_id, "kind": kind, "data": Jsonb(data)})

    def finished(self, *, webhook_url: str | None = None) -> int:
        """A new execution that has ended; its events are numbered."""
        execution_id = self.shop.accept()
        if webhook_url is not None:
            self.run("UPDATE executions SET webhook_url = %s WHERE id = %s", webhook_url, execution_id)
        self.shop.connection.execute(END.encode(), {"id": execution_id})
        self.number()
        return execution_id

    def number(self) -> None:
        self.run("SELECT number_new_events(500)")

    async def look(self) -> int:
        """One look, to the end of the attempts that it began; how many."""
        begun = await self.deliverer.look()
        await self.deliverer.settle()
        return begun

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait for something that tells nobody."""
        async with asyncio.timeout(20):
            while not holds():  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    def make_due(self) -> None:
        """As if the pauses were over."""
        self.run("UPDATE webhook_deliveries SET due_at = now() WHERE status = 'pending'")

    def run(self, statement: str, *values: object) -> None:
        self.shop.connection.execute(statement.encode(), values)

    def rows(self, statement: str, *values: object) -> list[Any]:
        return self.shop.connection.execute(statement.encode(), values).fetchall()

    def attempts(self) -> list[Any]:
        """Status code and error of every attempt, in order."""
        return self.rows("SELECT status_code, error FROM webhook_attempts ORDER BY delivery_id, number")

    def states(self) -> list[str]:
        """The status of every delivery, in order."""
        return [status for (status,) in self.rows("SELECT status FROM webhook_deliveries ORDER BY id")]

    def headers(self, number: int = -1) -> dict[str, str]:
        """Those of a request that was received, in lower case."""
        return headers_of(self.web.asked[number])

    def verified(self, secret: str, number: int = -1) -> Any:
        """The message of a request that was received, by the reference library. Raises for one that is not signed."""
        return Webhook(secret).verify(self.web.bodies[number], self.headers(number))


def headers_of(head: str) -> dict[str, str]:
    lines = [line.partition(":") for line in head.splitlines()[1:] if line]
    return {name.lower(): value.strip() for name, _, value in lines}


def delivering(
    app: AsApp,
    shop: Shop,
    use: Callable[[Hooks], Awaitable[None]],
    *,
    names: Names | None = None,
    **environment: str,
) -> None:
    """Run `use` with a bench; /hook answers 200. The environment is of the deliverer's settings."""
    given = {
        "DATABASE_URL": app.url,
        "AGENTIC_SECRET_KEY": KEY,
        "AGENTIC_EGRESS_ALLOW": "127.0.0.0/8",
        "PUBLIC_URL": "https://agents.example.com/",
        "AGENTIC_WEBHOOK_SECONDS": "5",
        **environment,
    }

    async def run(database: Database) -> None:
        settings = Settings.read(given)
        answers = {"/hook": OK}
        async with serving(answers) as web:
            door = Door(settings.egress_allow, resolver=names) if names else Door(settings.egress_allow)
            deliverer = Deliverer(settings, database, door=door, chance=lambda: 0.0)
            try:
                async with asyncio.timeout(60):
                    await use(Hooks(given, settings, database, deliverer, web, answers, shop))
            finally:
                await door.close()

    app.pooled(run)
