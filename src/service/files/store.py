"""The SQL of files: bytes in chunks, the references that conversations hold to them, and their text.

Bytes are committed first, in short transactions, as blobs that nothing refers to; the statement that accepts an
execution adds the references. A sweep removes blobs that nothing came to refer to.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from service.database import Connection, Database, Row

CHUNK_BYTES = 256 * 1024
CHUNKS_PER_COMMIT = 4
MAX_LISTED = 1000
UNREFERENCED_SECONDS = 3600.0
"""How long a blob may stay without a reference: far longer than any request that is about to add one."""


@dataclass(frozen=True, kw_only=True)
class NewFile:
    """A file whose bytes are committed, for an accept to refer to; its name is clean and unique in its conversation."""

    blob_id: int
    filename: str
    content_type: str


@dataclass(frozen=True, kw_only=True)
class StoredFile:
    """A file of a conversation, without its bytes."""

    id: int
    conversation_id: int
    filename: str
    content_type: str
    blob_id: int
    size_bytes: int
    sha256: bytes


@dataclass(frozen=True, kw_only=True)
class StoredText:
    """What a file was read as. Either `text` or `problem` is given; `characters` counts the whole, before a cut."""

    text: str | None
    characters: int | None
    is_cut: bool
    problem: str | None


INSERT_BLOB = "INSERT INTO blobs (size_bytes, sha256) VALUES (%(size_bytes)s, %(sha256)s) RETURNING id"
INSERT_CHUNK = "INSERT INTO blob_chunks (blob_id, number, data) VALUES (%(blob_id)s, %(number)s, %(data)s)"
SELECT_CHUNK = "SELECT data FROM blob_chunks WHERE blob_id = %(blob_id)s AND number = %(number)s"
_FILE = """
    SELECT files.id, files.conversation_id, files.filename, files.content_type,
           files.blob_id, blobs.size_bytes, blobs.sha256
      FROM files JOIN blobs ON blobs.id = files.blob_id
"""
SELECT_FILE = _FILE + (
    " WHERE files.conversation_id = %(conversation_id)s AND files.filename = %(filename)s"
    " AND (%(account_id)s::bigint IS NULL OR files.account_id = %(account_id)s)"
)
SELECT_FILES = _FILE + " WHERE files.conversation_id = %(conversation_id)s ORDER BY files.id LIMIT %(limit)s"
SELECT_TEXT = """
    SELECT text, text_characters AS characters, text_truncated AS is_cut, text_problem AS problem
      FROM files WHERE id = %(file_id)s AND text_at IS NOT NULL
"""
# First writer wins: two workers that read the same file read the same text.
UPDATE_TEXT = """
    UPDATE files SET text = %(text)s, text_characters = %(characters)s, text_truncated = %(is_cut)s,
           text_problem = %(problem)s, text_at = now()
     WHERE id = %(file_id)s AND text_at IS NULL
"""
# Every blob in turn, a page a call: without a page the look for the few unreferenced ones would read all of them.
SELECT_UNREFERENCED = """
    WITH page AS (
        SELECT id, created_at FROM blobs WHERE id > %(after_id)s ORDER BY id LIMIT %(limit)s
    )
    SELECT max(id) AS last_id, array_agg(id ORDER BY id) FILTER (
               WHERE created_at < now() - make_interval(secs => %(age_seconds)s)
                 AND NOT EXISTS (SELECT FROM files WHERE files.blob_id = page.id)
           ) AS ids
      FROM page
"""
LOCK_BLOBS = "SELECT id FROM blobs WHERE id = ANY(%(ids)s) ORDER BY id FOR UPDATE SKIP LOCKED"
DELETE_BLOBS = """
    DELETE FROM blobs WHERE id = ANY(%(ids)s) AND NOT EXISTS (SELECT FROM files WHERE files.blob_id = blobs.id)
"""


async def insert_blob(connection: Connection, *, size_bytes: int, sha256: bytes) -> int:
    """Add a blob without chunks and return its id."""
    cursor = await connection.execute(INSERT_BLOB, {"size_bytes": size_bytes, "sha256": sha256})
    return int(_found(await cursor.fetchone())["id"])


async def insert_chunks(connection: Connection, blob_id: int, *, first_number: int, chunks: Sequence[bytes]) -> None:
    """Add consecutive chunks; all but a blob's last must have CHUNK_BYTES."""
    rows = [
        {"blob_id": blob_id, "number": number, "data": data} for number, data in enumerate(chunks, start=first_number)
    ]
    await connection.cursor().executemany(INSERT_CHUNK, rows)


async def find_file(
    connection: Connection, *, conversation_id: int, filename: str, account_id: int | None
) -> StoredFile | None:
    """The file of that exact name if it belongs to the account; with account None, to any."""
    given = {"conversation_id": conversation_id, "filename": filename, "account_id": account_id}
    row = await (await connection.execute(SELECT_FILE, given)).fetchone()
    return None if row is None else StoredFile(**row)


async def list_files(connection: Connection, conversation_id: int) -> list[StoredFile]:
    """The files of a conversation, in the order they were sent. The caller has checked whose it is."""
    given = {"conversation_id": conversation_id, "limit": MAX_LISTED}
    rows = await (await connection.execute(SELECT_FILES, given)).fetchall()
    return [StoredFile(**row) for row in rows]


async def read_chunks(database: Database, blob_id: int, start: int, stop: int) -> AsyncIterator[bytes]:
    """The bytes from `start` up to and without `stop`, a chunk at a time; no connection is held between two."""
    for number in range(start // CHUNK_BYTES, count_chunks(stop)):
        async with database.connection() as connection:
            data = await read_chunk(connection, blob_id, number)
        offset = number * CHUNK_BYTES
        yield data[max(0, start - offset) : stop - offset]


async def read_chunk(connection: Connection, blob_id: int, number: int) -> bytes:
    """One whole chunk; a blob of n bytes has `count_chunks(n)`, from 0."""
    cursor = await connection.execute(SELECT_CHUNK, {"blob_id": blob_id, "number": number})
    return bytes(_found(await cursor.fetchone())["data"])


def count_chunks(size_bytes: int) -> int:
    """How many chunks that many bytes take."""
    return -(-size_bytes // CHUNK_BYTES)


async def load_text(connection: Connection, file_id: int) -> StoredText | None:
    """What the file was read as, or None if nobody has read it yet."""
    row = await (await connection.execute(SELECT_TEXT, {"file_id": file_id})).fetchone()
    return None if row is None else StoredText(**row)


async def save_text(connection: Connection, file_id: int, text: StoredText) -> bool:
    """Keep what a file was read as. False, and nothing changed, if that was kept before."""
    given = {
        "file_id": file_id,
        "text": text.text,
        "characters": text.characters,
        "is_cut": text.is_cut,
        "problem": text.problem,
    }
    return (await connection.execute(UPDATE_TEXT, given)).rowcount == 1


async def sweep_unreferenced(
    connection: Connection, *, after_id: int, limit: int = 200, age_seconds: float = UNREFERENCED_SECONDS
) -> tuple[int, int]:
    """Look at the next `limit` blobs and delete those that are old and unreferenced; needs a transaction.

    Returns how many were deleted and the `after_id` of the next call: 0 when the end was reached. Safe beside an
    accept that refers to the same blob: candidates are locked first, and judged again in the statement that deletes,
    and an accept that comes later fails on its foreign key.
    """
    given = {"after_id": after_id, "limit": limit, "age_seconds": age_seconds}
    page = _found(await (await connection.execute(SELECT_UNREFERENCED, given)).fetchone())
    locked = await (await connection.execute(LOCK_BLOBS, {"ids": page["ids"] or []})).fetchall()
    deleted = await connection.execute(DELETE_BLOBS, {"ids": [row["id"] for row in locked]})
    return deleted.rowcount, page["last_id"] or 0


def _found(row: Row | None) -> Row:
    """The row of a statement that always has one; a stored blob always has all of its chunks."""
    if row is None:
        raise LookupError("a row that must exist is missing")
    return row
