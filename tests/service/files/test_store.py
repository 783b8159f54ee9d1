from __future__ import annotations

import asyncio
import hashlib
import io
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import psycopg
import pytest

from service.database import Connection, Database
from service.files import store
from service.files.actions import keep
from service.files.multipart import SpooledUpload
from service.files.store import CHUNK_BYTES, NewFile, StoredText
from service.settings import Settings

Result = TypeVar("Result")
HOUR_AND_MORE = "now() - interval '61 minutes'"


def with_database(settings: Settings, use: Callable[[Database], Awaitable[Result]]) -> Result:
    async def run() -> Result:
        database = Database(settings, application_name="test")
        await database.open()
        try:
            return await use(database)
        finally:
            await database.close()

    return asyncio.run(run())


def upload(data: bytes, filename: str = "a.txt") -> SpooledUpload:
    spooled = SpooledUpload("files", filename, "text/plain", io.BytesIO())
    spooled.append(data)
    return spooled


async def keep_one(database: Database, data: bytes, filename: str = "a.txt") -> NewFile:
    (kept,) = await keep(database, [upload(data, filename)], [(filename, "text/plain")])
    return kept


async def refer(connection: Connection, ids: tuple[int, int], *files: NewFile) -> None:
    """What an accept does."""
    for file in files:
        await connection.execute(
            "INSERT INTO files (account_id, conversation_id, blob_id, filename, content_type)"
            " VALUES (%s, %s, %s, %s, %s)",
            [*ids, file.blob_id, file.filename, file.content_type],
        )


async def read(database: Database, blob_id: int, start: int, stop: int) -> bytes:
    return b"".join([chunk async for chunk in store.read_chunks(database, blob_id, start, stop)])


DATA = bytes(range(256)) * (CHUNK_BYTES // 256) * 5 + b"the end"


def test_keep_when_a_file_is_large_then_stores_it_in_chunks_nothing_refers_to(
    settings: Settings, connection: psycopg.Connection
) -> None:
    kept = with_database(settings, lambda database: keep_one(database, DATA))
    rows = connection.execute(
        "SELECT number, octet_length(data) FROM blob_chunks WHERE blob_id = %s ORDER BY number", [kept.blob_id]
    ).fetchall()
    assert rows == [(number, CHUNK_BYTES) for number in range(5)] + [(5, 7)]
    blob = connection.execute("SELECT size_bytes, sha256 FROM blobs WHERE id = %s", [kept.blob_id]).fetchone()
    assert blob == (len(DATA), hashlib.sha256(DATA).digest())
    assert connection.execute("SELECT count(*) FROM files").fetchone() == (0,)


@pytest.mark.parametrize(
    ("start", "stop"),
    [
        (0, len(DATA)),
        (0, 1),
        (0, CHUNK_BYTES),
        (CHUNK_BYTES - 1, CHUNK_BYTES + 1),
        (CHUNK_BYTES, 2 * CHUNK_BYTES),
        (100, 3 * CHUNK_BYTES + 5),
        (len(DATA) - 1, len(DATA)),
        (5, 5),
    ],
)
def test_read_chunks_when_asked_for_a_range_then_gives_exactly_that(settings: Settings, start: int, stop: int) -> None:
    async def use(database: Database) -> bytes:
        kept = await keep_one(database, DATA)
        return await read(database, kept.blob_id, start, stop)

    assert with_database(settings, use) == DATA[start:stop]


def test_read_chunks_when_suspended_then_holds_no_connection(database_url: str) -> None:
    async def use(database: Database) -> bytes:
        kept = await keep_one(database, DATA)
        taken = b""
        async for chunk in store.read_chunks(database, kept.blob_id, 0, len(DATA)):
            async with database.connection() as connection:
                await connection.execute("SELECT 1")
            taken += chunk
        return taken

    one_connection = Settings.read(
        {"DATABASE_URL": database_url, "AGENTIC_POOL_SIZE": "1", "AGENTIC_POOL_TIMEOUT_SECONDS": "5"}
    )
    assert with_database(one_connection, use) == DATA


def test_read_chunks_when_a_chunk_is_missing_then_fails_rather_than_skips(
    settings: Settings, connection: psycopg.Connection
) -> None:
    async def use(database: Database) -> bytes:
        kept = await keep_one(database, DATA)
        connection.execute("DELETE FROM blob_chunks WHERE number = 2")
        return await read(database, kept.blob_id, 0, len(DATA))

    with pytest.raises(LookupError):
        with_database(settings, use)


def test_list_files_when_a_conversation_has_files_then_gives_them_in_the_order_sent(
    settings: Settings, conversation: tuple[int, int]
) -> None:
    async def use(database: Database) -> list[store.StoredFile]:
        files = [await keep_one(database, b"bytes", name) for name in ("b.txt", "a.txt", "ü.txt")]
        async with database.transaction() as connection:
            await refer(connection, conversation, *reversed(files))
            return await store.list_files(connection, conversation[1])

    listed = with_database(settings, use)
    assert [file.filename for file in listed] == ["ü.txt", "a.txt", "b.txt"]
    assert (listed[0].size_bytes, listed[0].sha256) == (5, hashlib.sha256(b"bytes").digest())


def test_find_file_when_it_is_another_accounts_then_is_absent(
    settings: Settings, conversation: tuple[int, int]
) -> None:
    account, conversation_id = conversation

    async def find(connection: Connection, name: str, owner: int | None) -> bool:
        found = await store.find_file(connection, conversation_id=conversation_id, filename=name, account_id=owner)
        return found is not None

    async def use(database: Database) -> list[bool]:
        kept = await keep_one(database, b"bytes")
        async with database.transaction() as connection:
            await refer(connection, conversation, kept)
            owners = [
                ("a.txt", account),
                ("a.txt", None),
                ("a.txt", account + 1),
                ("A.txt", account),
                ("../a.txt", None),
            ]
            return [await find(connection, name, owner) for name, owner in owners]

    assert with_database(settings, use) == [True, True, False, False, False]


def test_save_text_when_saved_twice_then_the_first_stays(settings: Settings, conversation: tuple[int, int]) -> None:
    first = StoredText(text="größe", characters=99, is_cut=True, problem=None)
    second = StoredText(text=None, characters=None, is_cut=False, problem="it is damaged")

    async def use(database: Database) -> tuple[StoredText | None, bool, bool, StoredText | None]:
        kept = await keep_one(database, b"bytes")
        async with database.transaction() as connection:
            await refer(connection, conversation, kept)
            file_id = (await store.list_files(connection, conversation[1]))[0].id
            before = await store.load_text(connection, file_id)
            saved = [await store.save_text(connection, file_id, text) for text in (first, second)]
            return before, saved[0], saved[1], await store.load_text(connection, file_id)

    assert with_database(settings, use) == (None, True, False, first)


async def sweep_all(database: Database) -> int:
    after_id, total = 0, 0
    while True:
        async with database.transaction() as connection:
            deleted, after_id = await store.sweep_unreferenced(connection, after_id=after_id, limit=2)
        total += deleted
        if after_id == 0:
            return total


def test_sweep_when_blobs_are_old_and_unreferenced_then_deletes_those_alone(
    settings: Settings, conversation: tuple[int, int], connection: psycopg.Connection
) -> None:
    async def use(database: Database) -> tuple[int, list[int]]:
        files = [await keep_one(database, b"bytes", f"{n}.txt") for n in range(7)]
        young, referenced = files[1], files[3]
        connection.execute(f"UPDATE blobs SET created_at = {HOUR_AND_MORE} WHERE id <> %s", [young.blob_id])
        async with database.transaction() as transaction:
            await refer(transaction, conversation, referenced)
        return await sweep_all(database), [young.blob_id, referenced.blob_id]

    deleted, kept = with_database(settings, use)
    assert deleted == 5
    assert [row[0] for row in connection.execute("SELECT id FROM blobs ORDER BY id")] == kept
    assert [row[0] for row in connection.execute("SELECT blob_id FROM blob_chunks ORDER BY 1")] == kept


def test_sweep_when_an_accept_refers_at_the_same_time_then_leaves_the_blob(
    settings: Settings, conversation: tuple[int, int], connection: psycopg.Connection
) -> None:
    async def use(database: Database) -> int:
        kept = await keep_one(database, b"bytes")
        connection.execute(f"UPDATE blobs SET created_at = {HOUR_AND_MORE}")
        async with database.transaction() as accepting:
            await refer(accepting, conversation, kept)
            return await sweep_all(database)

    assert with_database(settings, use) == 0
    assert connection.execute("SELECT count(*) FROM files JOIN blobs ON blobs.id = blob_id").fetchone() == (1,)


def test_sweep_when_it_has_the_blob_first_then_the_accept_fails_on_its_foreign_key(
    settings: Settings, conversation: tuple[int, int], connection: psycopg.Connection
) -> None:
    async def use(database: Database) -> None:
        kept = await keep_one(database, b"bytes")
        connection.execute(f"UPDATE blobs SET created_at = {HOUR_AND_MORE}")
        async with database.transaction() as sweeping:
            deleted, _ = await store.sweep_unreferenced(sweeping, after_id=0)
            assert deleted == 1
            accepting = asyncio.create_task(_refer_in_transaction(database, conversation, kept))
            await _until_blocked(connection)
        await accepting

    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        with_database(settings, use)


MANY_FILES = """
    WITH kept AS (
        INSERT INTO blobs (size_bytes, sha256) SELECT 1, '' FROM generate_series(1, 2000) RETURNING id
    ), talks AS (
        INSERT INTO conversations (account_id, agent_id)
        SELECT account_id, agent_id FROM conversations, generate_series(1, 2000) RETURNING id
    )
    INSERT INTO files (conversation_id, account_id, blob_id, filename, content_type)
    SELECT talks.id, %(account)s, kept.id, 'a.txt', 'text/plain'
      FROM (SELECT id, row_number() OVER () AS n FROM kept) AS kept
      JOIN (SELECT id, row_number() OVER () AS n FROM talks) AS talks USING (n)
"""


async def _refer_in_transaction(database: Database, ids: tuple[int, int], file: NewFile) -> None:
    async with database.transaction() as connection:
        await refer(connection, ids, file)


async def _until_blocked(connection: psycopg.Connection) -> None:
    deadline = time.monotonic() + 10
    while connection.execute("SELECT count(*) FROM pg_locks WHERE NOT granted").fetchone() == (0,):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("statement", "values", "index"),
    [
        (
            store.SELECT_FILE,
            {"conversation_id": 1, "filename": "a", "account_id": 1},
            "files_conversation_id_filename_key",
        ),
        (store.SELECT_FILES, {"conversation_id": 1, "limit": 9}, "files_conversation_id_filename_key"),
        (store.SELECT_CHUNK, {"blob_id": 1, "number": 1}, "blob_chunks_pkey"),
        (store.SELECT_UNREFERENCED, {"after_id": 0, "limit": 9, "age_seconds": 1}, "files_blob_id_idx"),
        (store.DELETE_BLOBS, {"ids": [1]}, "files_blob_id_idx"),
    ],
)
def test_statements_when_planned_then_use_their_index(
    connection: psycopg.Connection,
    conversation: tuple[int, int],
    statement: Any,
    values: dict[str, object],
    index: str,
) -> None:
    connection.execute(MANY_FILES, {"account": conversation[0]})
    connection.execute("ANALYZE")
    connection.execute("SET enable_seqscan = off")
    plan = connection.execute("EXPLAIN " + statement, values).fetchall()
    assert index in "\n".join(line for (line,) in plan)
