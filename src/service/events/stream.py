"""Events as server-sent events: from a cursor on, then as they come, until the client, the log or its right ends."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from litestar import Response
from litestar.response.base import ASGIResponse
from litestar.types import Receive, Send

from service.database import Database
from service.errors import Unavailable
from service.events.asking import EVENT_STREAM
from service.events.hub import PAGE, Hub, Source, Told, Watch

log = logging.getLogger(__name__)

HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no", "Vary": "Accept"}
FIRST = b"retry: 1000\n\n"
BEAT = b": \n\n"
PATIENCE_SECONDS = 30.0
"""How long a client may leave what it was sent unread before it is given up."""
OUTAGE_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True)
class Feed:
    """What a stream gives to whom: events after a cursor, for as long as `is_allowed` says so.

    `head` is how far they were found to go; a heartbeat is sent after `beat_seconds` of silence.
    """

    source: Source
    of: int
    after: int
    head: int
    is_allowed: Callable[[], Awaitable[bool]]
    beat_seconds: float


class EventStream(Response[Any]):
    """Reads the log and never touches the run; a client that went away ends its stream and nothing else."""

    def __init__(self, hub: Hub, database: Database, feed: Feed) -> None:
        super().__init__(b"", media_type=EVENT_STREAM, headers=HEADERS)
        self._streaming = _Streaming(hub, database, feed)

    def to_asgi_response(self, *_: Any, **__: Any) -> ASGIResponse:
        """The framework's door."""
        return self._streaming


class _Streaming(ASGIResponse):
    _should_set_content_length = False

    def __init__(self, hub: Hub, database: Database, feed: Feed) -> None:
        super().__init__(media_type=EVENT_STREAM, headers=HEADERS)
        self._hub, self._database, self._feed = hub, database, feed

    async def send_body(self, send: Send, receive: Receive) -> None:
        feed = self._feed
        with self._hub.watch(feed.source, feed.of, head=feed.head) as watch:
            gone = asyncio.ensure_future(until_gone(receive, watch))
            try:
                await _put(send, FIRST)
                await self._pump(send, watch)
                await _put(send, b"", more_body=False)
            except TimeoutError:
                log.info("client does not read its events; given up")
            finally:
                gone.cancel()

    async def _pump(self, send: Send, watch: Watch) -> None:
        feed, cursor = self._feed, self._feed.after
        beat_at = time.monotonic() + feed.beat_seconds
        while not watch.is_over:
            is_due = time.monotonic() >= beat_at
            told: list[Told] | None
            try:
                told, reached = await self._more(watch, cursor)
                if (told or is_due) and not await feed.is_allowed():
                    return
            except Unavailable:  # the client stays; what it misses comes when the database does
                told, reached = None, cursor
            if told or is_due:
                await _put(send, b"".join(each.frame for each in told or ()) or BEAT)
                beat_at = time.monotonic() + feed.beat_seconds
            if told and told[-1].is_final:
                return
            cursor = reached
            if not told:
                await watch.wait(OUTAGE_SECONDS if told is None else beat_at - time.monotonic())

    async def _more(self, watch: Watch, cursor: int) -> tuple[list[Told], int]:
        """What comes after the cursor, and the cursor after that: from the hub, or where it does not reach back so
        far, a page of the table. A page that is not full holds everything up to where the hub goes on."""
        told = watch.after(cursor)
        floor = watch.topic.floor
        if told is None:
            feed = self._feed
            async with self._database.connection() as connection:
                rows = await feed.source.one(connection, feed.of, after=cursor, limit=PAGE)
            told = [feed.source.told(row) for row in rows]
            if len(told) < PAGE:
                cursor = max(cursor, floor)
        return told, max(cursor, told[-1].cursor) if told else cursor


async def until_gone(receive: Receive, watch: Watch) -> None:
    """End the watch when the client goes away."""
    while (await receive())["type"] != "http.disconnect":
        pass
    watch.end()


async def _put(send: Send, body: bytes, *, more_body: bool = True) -> None:
    """Raises TimeoutError where nobody reads."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        await send({"type": "http.response.body", "body": body, "more_body": more_body})
