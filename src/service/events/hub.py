"""What a process's streams and waits watch: told by one LISTEN connection, read by one statement for all of them.

A notification that is lost costs a second: the hub also looks at everything that is watched, in one statement. It
keeps the last few events of each, already written for the wire; whoever is further behind reads the table from a cursor
of its own. So nothing is kept for a client but its cursor, and a slow one holds up nobody.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import Context
from dataclasses import dataclass, field
from typing import Protocol

import msgspec
import psycopg
from psycopg import AsyncConnection

from service.database import Connection, Database, Row, direct_conninfo
from service.errors import Unavailable
from service.events import models, store
from service.events.numbering import Numbering
from service.loops import end_all
from service.settings import Settings

log = logging.getLogger(__name__)

PAGE = 100
KEPT = 32
"""Events that are kept of each execution and account that is watched."""
PAUSE_SECONDS = 0.005
"""Between two looks: what is told in a burst is read together."""


class ReadMany(Protocol):
    """Events of many, each from its own cursor."""

    def __call__(self, connection: Connection, after: Mapping[int, int], *, limit: int) -> Awaitable[list[Row]]: ...


class ReadOne(Protocol):
    """Events of one from a cursor."""

    def __call__(self, connection: Connection, of: int, /, *, after: int, limit: int) -> Awaitable[list[Row]]: ...


@dataclass(frozen=True, kw_only=True)
class Source:
    """Whose events are meant: a cursor's column, what they are in notifications, how they are read and shown."""

    letter: str
    whose: str
    cursor: str
    show: Callable[[Row], models.Event]
    one: ReadOne
    many: ReadMany
    ends: bool

    def told(self, row: Row) -> Told:
        """The event for the wire."""
        data = msgspec.json.encode(self.show(row)).decode()
        frame = f"id: {row[self.cursor]}\nevent: {row['kind']}\ndata: {data}\n\n"
        return Told(row[self.cursor], frame.encode(), self.ends and row["kind"] in models.FINAL)


@dataclass(frozen=True, slots=True)
class Told:
    """An event as a stream sends it."""

    cursor: int
    frame: bytes
    is_final: bool


EXECUTION = Source(
    letter="e",
    whose="execution_id",
    cursor="seq",
    show=models.event,
    one=store.of_execution,
    many=store.of_executions,
    ends=True,
)
ACCOUNT = Source(
    letter="a",
    whose="account_id",
    cursor="position",
    show=models.account_event,
    one=store.of_account,
    many=store.of_accounts,
    ends=False,
)


@dataclass(slots=True, eq=False)
class Topic:
    """What is known of one execution or account: every event after `floor` up to `head` is in `recent`."""

    source: Source
    id: int
    floor: int
    head: int
    is_final: bool = False
    recent: deque[Told] = field(default_factory=deque)
    watches: set[Watch] = field(default_factory=set)

    @property
    def word(self) -> str:
        """What notifications call it."""
        return f"{self.source.letter}{self.id}"

    def add(self, told: Iterable[Told]) -> None:
        """Keep them and wake everybody."""
        for each in told:
            self.recent.append(each)
            self.head, self.is_final = each.cursor, each.is_final
            if len(self.recent) > KEPT:
                self.floor = self.recent.popleft().cursor
        for watch in self.watches:
            watch.wake()


class Watch:
    """One stream's or one wait's look at a topic. `is_over`: its client went away, or the process stops."""

    __slots__ = ("_woken", "is_over", "topic")

    def __init__(self, topic: Topic, *, is_over: bool) -> None:
        self.topic = topic
        self.is_over = is_over
        self._woken = asyncio.Event()

    def after(self, cursor: int) -> list[Told] | None:
        """What the topic has after the cursor; None where it does not reach back so far."""
        if cursor < self.topic.floor:
            return None
        return [told for told in self.topic.recent if told.cursor > cursor]

    def wake(self) -> None:
        """There is something to look at."""
        self._woken.set()

    def end(self) -> None:
        """Nobody is there to look any more."""
        self.is_over = True
        self._woken.set()

    async def wait(self, seconds: float) -> None:
        """Until it is woken, or for so long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(max(seconds, 0)):
                await self._woken.wait()
        self._woken.clear()


class Hub:
    """Everything that is watched in this process."""

    def __init__(self, database: Database, numbering: Numbering, settings: Settings) -> None:
        self._database = database
        self._numbering = numbering
        self._poll_seconds = settings.poll_seconds
        self._conninfo = direct_conninfo(settings.direct_url, "agentic-api-events")
        self._topics: dict[str, Topic] = {}
        self._told: set[str] = set()
        self._poked = asyncio.Event()
        self._is_over = False
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def watching(self) -> int:
        """How many streams and waits there are."""
        return sum(len(topic.watches) for topic in self._topics.values())

    @contextmanager
    def watch(self, source: Source, of: int, *, head: int) -> Iterator[Watch]:
        """Watch one execution's or account's events after `head`, up to which the caller found them itself."""
        if not self._tasks and not self._is_over:
            begin = asyncio.get_running_loop().create_task
            # In a context of their own: what they log is not the first watcher's request.
            self._tasks = [begin(loop, context=Context()) for loop in (self._follow(), self._listen())]
            for task in self._tasks:
                task.add_done_callback(_complain)
        topic = Topic(source, of, floor=head, head=head)
        topic = self._topics.setdefault(topic.word, topic)
        watch = Watch(topic, is_over=self._is_over)
        topic.watches.add(watch)
        self._poke(topic.word)  # what was committed since the caller looked
        try:
            yield watch
        finally:
            topic.watches.discard(watch)
            if not topic.watches:
                self._topics.pop(topic.word, None)

    def end(self) -> None:
        """End every stream and wait, and any that comes. Call it when the process is told to stop."""
        self._is_over = True
        for topic in self._topics.values():
            for watch in topic.watches:
                watch.end()

    async def close(self) -> None:
        """End them, and let go of the connection."""
        self.end()
        await end_all(self._tasks)

    def _poke(self, *words: str) -> None:
        self._told.update(words)
        self._poked.set()

    async def _follow(self) -> None:
        """Read what was told at once, and everything that is watched once in a while."""
        look_at = time.monotonic() + self._poll_seconds
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(max(look_at - time.monotonic(), 0)):
                    await self._poked.wait()
            self._poked.clear()
            words, self._told = self._told, set()
            is_look = time.monotonic() >= look_at or store.EVERYTHING in words
            if is_look:
                words = set(self._topics)
                look_at = time.monotonic() + self._poll_seconds
                if any(topic.source is ACCOUNT for topic in self._topics.values()):
                    self._numbering.events_added()  # those of a process that died before it numbered them
            try:
                await self._read([self._topics[word] for word in words if word in self._topics])
                if is_look:
                    await self._end_erased()
            except Unavailable:
                self._told |= words
            except psycopg.Error:
                log.exception("events cannot be read")
            await asyncio.sleep(PAUSE_SECONDS)

    async def _read(self, topics: list[Topic]) -> None:
        for source in (EXECUTION, ACCOUNT):
            asked = {topic.id: topic for topic in topics if topic.source is source}
            if not asked:
                continue
            async with self._database.connection() as connection:
                rows = await source.many(connection, {of: topic.head for of, topic in asked.items()}, limit=PAGE)
            found: dict[int, list[Told]] = {}
            for row in rows:
                found.setdefault(row[source.whose], []).append(source.told(row))
            for of, told in found.items():
                asked[of].add(told)
                if len(told) == PAGE:
                    self._poke(asked[of].word)

    async def _end_erased(self) -> None:
        """End the watches of executions that were erased before anybody here read their last event."""
        asked = {topic.id: topic for topic in self._topics.values() if topic.source is EXECUTION}
        if not asked:
            return
        async with self._database.connection() as connection:
            gone = await store.erased(connection, list(asked))
        for topic in (asked[of] for of in gone):
            for watch in topic.watches:
                watch.end()

    async def _listen(self) -> None:
        """The process's one LISTEN connection. Without it, everything comes a little later."""
        while True:
            try:
                async with await AsyncConnection.connect(self._conninfo, autocommit=True) as connection:
                    await connection.execute(f"LISTEN {store.CHANNEL}")
                    self._poke(store.EVERYTHING)
                    async for notification in connection.notifies():
                        self._poke(*notification.payload.split())
            except (psycopg.Error, OSError) as error:
                log.warning("no notifications of events; looking for them", extra={"error": type(error).__name__})
            await asyncio.sleep(self._poll_seconds)


def _complain(task: asyncio.Task[None]) -> None:
    """These loops outlive outages; one that ended otherwise is a defect, and should not end in silence."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("streams are not fed any more", exc_info=error)
