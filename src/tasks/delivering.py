"""Deliveries beside the runs: events become messages, messages are signed and sent, every attempt is recorded.

It has a bound of its own and never takes a run's slot. Nothing is open while a receiver is asked. What a killed worker
had in hand is due again when its lease has ended, under the same webhook-id: at least once, so receivers deduplicate.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import Counter
from collections.abc import Callable

import msgspec
import psycopg

from service.database import Database
from service.errors import Unavailable
from service.executions import models
from service.executions import store as executions
from service.sealing import Unreadable
from service.settings import Settings
from service.times import ts
from service.webhooks import delivery_store as store
from service.webhooks.delivery_store import Attempted, Claimed
from service.webhooks.signing import signed_headers
from tasks.egress import Bounds, Door, NoAnswer, Received
from tasks.receipts import Trouble, judge, unreadable

log = logging.getLogger(__name__)

POLL_SECONDS = 1.0
LEASE_MARGIN_SECONDS = 30.0
"""How much longer than an attempt may take its worker is waited for."""
LAST_WORDS_SECONDS = 5.0
"""How long a worker that stops waits for the answers that it has asked for."""
FAILURES = (Unavailable, psycopg.Error)  # the loop may not end

NO_KEY = "AGENTIC_SECRET_KEY is not set here: this worker delivers no webhooks"


class Deliverer:
    """Delivers until cancelled. `chance` gives numbers from 0 to 1, `clock` the seconds since 1970."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        *,
        door: Door | None = None,
        chance: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._database = database
        self._door = door or Door(settings.egress_allow)
        self._chance = chance
        self._clock = clock
        seconds = settings.webhook_seconds
        self._bounds = Bounds(body_bytes=0, silence_seconds=seconds, total_seconds=seconds)
        self._under_way: dict[asyncio.Task[None], Claimed] = {}
        self._wake = asyncio.Event()

    def events_numbered(self) -> None:
        """Call after events got positions. Returns at once."""
        self._wake.set()

    async def run(self) -> None:
        """Look whenever something happened, and once a second. Outlives every outage."""
        if not self._settings.secret_keys:
            log.info(NO_KEY)
            return
        try:
            while True:
                try:
                    await self.look()
                except FAILURES as error:
                    if not isinstance(error, Unavailable):
                        log.error("deliveries failed", exc_info=error)
                await self._pause()
        finally:
            await self._end()

    async def look(self) -> int:
        """Make deliveries of new events, and begin what is due. Returns how many attempts were begun."""
        await self._fan_out()
        return await self._begin()

    async def settle(self) -> None:
        """Wait until no attempt is under way."""
        while self._under_way:
            await asyncio.wait(self._under_way)

    async def _pause(self) -> None:
        try:
            async with asyncio.timeout(POLL_SECONDS):
                await self._wake.wait()
        except TimeoutError:
            pass
        self._wake.clear()

    async def _end(self) -> None:
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=LAST_WORDS_SECONDS)
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)
        await self._door.close()

    async def _fan_out(self) -> None:
        has_more = True
        while has_more:
            async with self._database.connection() as connection:
                if not await store.is_behind(connection):
                    return
            async with self._database.transaction() as connection:
                has_more = (await store.fan_out(connection)).has_more

    async def _begin(self) -> int:
        """Claim as much as may be under way beside what is. One account takes at most half, one endpoint one retry."""
        most = self._settings.webhook_concurrency
        share = max(1, most // 2)
        free = most - len(self._under_way)
        if free < 1:
            return 0
        held = Counter(claimed.account_id for claimed in self._under_way.values())
        async with self._database.connection() as connection:
            found = await store.claim(
                connection,
                limit=free,
                share=share,
                lease_seconds=self._settings.webhook_seconds + LEASE_MARGIN_SECONDS,
                busy_lanes=[claimed.lane for claimed in self._under_way.values() if claimed.is_retry],
                busy_accounts=[account for account, count in held.items() if count >= share],
            )
        for claimed in found:
            task = asyncio.ensure_future(self._deliver(claimed))
            self._under_way[task] = claimed
            task.add_done_callback(self._delivered)
        return len(found)

    def _delivered(self, task: asyncio.Task[None]) -> None:
        del self._under_way[task]
        self._wake.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("delivery failed", exc_info=error)  # its lease ends, and it is tried again

    async def _deliver(self, claimed: Claimed) -> None:
        attempted = await self._attempt(claimed)
        try:
            async with self._database.transaction() as connection:
                await store.record(connection, claimed, attempted)
        except Unavailable:
            return  # not recorded, so it is made once more
        log.info(
            "webhook attempted",
            extra={
                "webhook_id": claimed.webhook_id,
                "delivery_id": claimed.id,
                "status_code": attempted.status_code,
                "error": attempted.error,
            },
        )

    async def _attempt(self, claimed: Claimed) -> Attempted:
        if not claimed.sealed:  # the webhook was deleted a moment ago
            return Attempted(status="dropped", error=Trouble.DELETED)
        try:
            secrets = [self._settings.secret_keys.open(bytes(sealed)) for sealed in claimed.sealed]
        except Unreadable:
            log.error("AGENTIC_SECRET_KEY does not open a webhook's secret", extra={"webhook_id": claimed.webhook_id})
            return unreadable(claimed.failures, self._chance())
        body = await self._body(claimed)
        message_id = f"msg_{claimed.message.hex}"
        headers = signed_headers(body, secrets, message_id=message_id, timestamp=int(self._clock()))
        headers |= {"content-type": "application/json", "user-agent": "agentic-webhooks/1"}
        began = time.monotonic()
        try:
            answer = await self._door.post(claimed.url, body, self._bounds, headers=headers)
        except NoAnswer as error:
            return self._judged(error, claimed, began)
        return self._judged(answer, claimed, began)

    def _judged(self, answer: Received | NoAnswer, claimed: Claimed, began: float) -> Attempted:
        took = round((time.monotonic() - began) * 1000)
        return judge(answer, failures=claimed.failures, milliseconds=took, chance=self._chance())

    async def _body(self, claimed: Claimed) -> bytes:
        """What is sent: the event's type and time, and of the execution what stands now."""
        data: dict[str, object] = {"webhook": claimed.webhook_id}
        if claimed.execution_id is not None:
            data = await self._execution(claimed, claimed.execution_id)
        return msgspec.json.encode({"type": claimed.type, "timestamp": ts(claimed.occurred_at), "data": data})

    async def _execution(self, claimed: Claimed, execution_id: int) -> dict[str, object]:
        address = f"{self._settings.public_url.rstrip('/')}/api/agentic-executions/{execution_id}/"
        added: dict[str, object] = {"sequence": claimed.seq, "url": address}
        if claimed.body == "full":
            async with self._database.connection() as connection:
                row = await executions.get(connection, claimed.account_id, execution_id)
            if row is not None:
                shown = models.execution(row)
                return {name: getattr(shown, name) for name in shown.__struct_fields__} | added
        return {
            "id": execution_id,
            "status": claimed.status,
            "external_id": claimed.external_id,
            "failure_code": claimed.failure_code,
            **added,
        }
