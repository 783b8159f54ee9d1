"""The psycopg pool of a process: one transaction where one is asked for, autocommit everywhere else."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeAlias

import psycopg
from psycopg import AsyncConnection
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from service.errors import SetupError, Unavailable
from service.loops import Cancellations
from service.poolers import is_pooled_async
from service.settings import Settings
from service.turns import Turns

log = logging.getLogger(__name__)

Connection: TypeAlias = AsyncConnection[DictRow]
Row: TypeAlias = dict[str, Any]

OUTAGES = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    psycopg.errors.IdleInTransactionSessionTimeout,
    PoolTimeout,
)
"""What psycopg raises when the database is away, going down, or a connection broke. Nothing else is an outage."""

AWAY_CLASSES = ("08", "28", "3D", "53", "57")
"""Of SQLSTATE: no connection, no such login, no such database, no room, going down. None at all: it never answered."""

# Nobody waits inside a transaction. A process that is stopped in one, or whose host is gone, would keep its locks for
# hours: of an execution, and then no sweep of any worker gets past it. So the server ends such a transaction; and a
# statement that waits for somebody's lock, which otherwise waits on when its process has given up or died.
BOUNDS = """
SELECT set_config('idle_in_transaction_session_timeout', '10s', %(is_local)s),
       set_config('lock_timeout', '10s', %(is_local)s)
"""

RECONNECT_SECONDS = 2.0  # the pool's own delay between attempts doubles without a cap below this bound
CHECK_SECONDS = 2.0


class _Pool(AsyncConnectionPool[Connection]):
    """A pool whose look at idle connections ends, also where the server keeps them and says nothing."""

    @staticmethod
    async def check_connection(conn: Connection) -> None:
        """Raises psycopg.OperationalError for one that is broken or silent."""
        async with _patience(conn, CHECK_SECONDS):
            await AsyncConnectionPool.check_connection(conn)


class Database:
    """A pool of autocommit connections to DATABASE_URL; rows are dictionaries.

    Behind a pooler nothing is prepared: the next statement may run on another server connection.
    """

    def __init__(self, settings: Settings, *, application_name: str, answer_seconds: float | None = None) -> None:
        """`answer_seconds` bounds how long a connection may be in use at a time; None for as long as it takes."""
        self._answer_seconds = answer_seconds
        self._turns = Turns(max(1, settings.pool_size // 2))
        self._pool = _Pool(
            settings.database_url,
            min_size=1,
            max_size=settings.pool_size,
            open=False,
            timeout=settings.pool_timeout_seconds,
            reconnect_timeout=RECONNECT_SECONDS,
            configure=configure,
            kwargs={
                "application_name": application_name,
                "row_factory": dict_row,
                "prepare_threshold": None if settings.has_direct_url else 5,
            },
        )
        self._checks: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Start connecting; does not wait, so that a process may start before its database."""
        await self._pool.open(wait=False)

    async def close(self) -> None:
        """Close every connection."""
        await self._pool.close()

    @asynccontextmanager
    async def connection(
        self, *, answer_seconds: float | None = None, party: int | None = None
    ) -> AsyncIterator[Connection]:
        """A connection in autocommit: each statement is a transaction of its own. Raises Unavailable in an outage.

        `answer_seconds` instead of the pool's own. What may wait for locks of its account, or data set, names that as
        its `party`: so that never has more than half of the connections, and others go on.
        """
        seconds = answer_seconds or self._answer_seconds
        cancellations = Cancellations()
        try:
            async with (
                self._turns.turn(party, seconds),
                self._pool.connection() as connection,
                _patience(connection, seconds),
            ):
                cancellations.heed()
                try:
                    yield connection
                except psycopg.errors.ReadOnlySqlTransaction:
                    await connection.close()  # the server became a standby: the next one may be the new primary
                    raise
                cancellations.heed()
        except (*OUTAGES, psycopg.errors.ReadOnlySqlTransaction) as error:
            self._forget_broken_connections()
            log.warning("database unavailable", extra={"error_class": type(error).__name__})
            raise Unavailable from error

    @asynccontextmanager
    async def transaction(
        self, *, answer_seconds: float | None = None, party: int | None = None
    ) -> AsyncIterator[Connection]:
        """A connection in one transaction, committed at the end of the block, before anything is answered."""
        opened = self.connection(answer_seconds=answer_seconds, party=party)
        async with opened as connection, transaction_on(connection):
            yield connection

    def _forget_broken_connections(self) -> None:
        """After one broken connection the others are suspect; look at them now, not one failed request each."""
        task = asyncio.ensure_future(self._pool.check())
        self._checks.add(task)
        task.add_done_callback(self._checked)

    def _checked(self, task: asyncio.Task[None]) -> None:
        self._checks.discard(task)
        if not task.cancelled():
            task.exception()  # an outage that goes on is told by the next request


@asynccontextmanager
async def transaction_on(connection: Connection) -> AsyncIterator[None]:
    """One transaction, committed at the end of the block and bound in how long it may idle or wait for locks."""
    async with connection.transaction():
        if connection.prepare_threshold is None:  # a pooler's: it was set for no session
            await connection.execute(BOUNDS, {"is_local": True})
        yield


async def configure(connection: AsyncConnection[Any]) -> None:
    """Make a new connection one of ours: in autocommit, and bound in what it may hold and wait for. Where a pooler
    answers, nothing is prepared, nor set."""
    await connection.set_autocommit(True)
    if connection.prepare_threshold is None:
        return
    async with _patience(connection, CHECK_SECONDS):
        if await is_pooled_async(connection):
            connection.prepare_threshold = None
        else:
            await connection.execute(BOUNDS, {"is_local": False})


@asynccontextmanager
async def own_transaction(settings: Settings, *, application_name: str) -> AsyncIterator[Connection]:
    """A connection of its own in one transaction, for a command: no pool, which would wait for a database that is away.
    Raises SetupError where it cannot be reached or refuses."""
    conninfo = direct_conninfo(settings.database_url, application_name)
    try:
        async with (
            await AsyncConnection.connect(
                conninfo, autocommit=True, row_factory=dict_row, prepare_threshold=None
            ) as connection,
            connection.transaction(),
        ):
            await connection.execute(BOUNDS, {"is_local": True})
            yield connection
    except psycopg.Error as error:
        raise explained(error) from error


def explained(error: psycopg.Error) -> SetupError:
    """What a person is told of a database that did not answer or refused: its first line, and where to look."""
    reason = str(error).strip().partition("\n")[0]
    if error.sqlstate is None or error.sqlstate[:2] in AWAY_CLASSES:
        return SetupError(
            f"The database cannot be reached: {reason}. Does its server run, and is DATABASE_URL right? "
            f"`agentic doctor` looks closer."
        )
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        return SetupError(
            f"The database refused: {reason}. `agentic doctor` says what is missing, and who is to connect."
        )
    if isinstance(error, (psycopg.errors.UndefinedTable, psycopg.errors.UndefinedColumn)):
        return SetupError(f"The database is older than this version: {reason}. `agentic migrate` brings it up to date.")
    return SetupError(f"The database refused: {reason}.")


def direct_conninfo(url: str, application_name: str) -> str:
    """The URL with parameters, where it has none of its own, that make a connection notice a host that went silent."""
    watchful: dict[str, str | int | None] = {
        "application_name": application_name,
        "connect_timeout": 5,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 15000,
    }
    given = {name: str(value) for name, value in conninfo_to_dict(url).items() if value is not None}
    return make_conninfo(url, **{**watchful, **given})


@asynccontextmanager
async def _patience(connection: AsyncConnection[Any], seconds: float | None) -> AsyncIterator[None]:
    """Hang up on a server that has not let the block end in time: frozen, cut off, or waiting for a lock.

    Whatever waits for it then fails as in any outage. Cancelling would first ask the server for its consent.
    """
    if seconds is None:
        yield
        return
    alarm = asyncio.get_running_loop().call_later(seconds, _hang_up, connection)
    try:
        yield
    finally:
        alarm.cancel()


def _hang_up(connection: AsyncConnection[Any]) -> None:
    if not connection.closed:
        with suppress(OSError), socket.socket(fileno=os.dup(connection.fileno())) as link:
            link.shutdown(socket.SHUT_RDWR)
