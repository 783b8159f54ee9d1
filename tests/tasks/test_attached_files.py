from __future__ import annotations

import asyncio
import hashlib
import struct
from dataclasses import replace
from typing import LiteralString

import psycopg
import pytest

from service.database import Database
from service.definitions.context import AttachedFile
from service.files.store import CHUNK_BYTES
from service.settings import Settings
from tasks.attached_files import FileTexts
from tests import postgres

LONG = b"sku,name\n" + b"S-1,Mug\n" * (3 * CHUNK_BYTES // 8)


class Conversation:
    """A conversation to put files into."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self.connection = connection
        self.account = self.insert("INSERT INTO accounts (name) VALUES ('a') RETURNING id")
        data_set = self.insert("INSERT INTO data_sets (name) VALUES ('d') RETURNING id")
        agent = self.insert(
            "INSERT INTO agents (name, agent_type, data_set_id) VALUES ('g', 'echo', %s) RETURNING id", data_set
        )
        self.id = self.insert(
            "INSERT INTO conversations (account_id, agent_id) VALUES (%s, %s) RETURNING id", self.account, agent
        )

    def insert(self, statement: LiteralString, *values: object) -> int:
        row = self.connection.execute(statement, values).fetchone()
        assert row is not None
        return int(row[0])

    def attach(self, filename: str, content_type: str, data: bytes) -> None:
        digest = hashlib.sha256(data).digest()
        blob = self.insert("INSERT INTO blobs (size_bytes, sha256) VALUES (%s, %s) RETURNING id", len(data), digest)
        for number, start in enumerate(range(0, len(data), CHUNK_BYTES)):
            self.connection.execute(
                "INSERT INTO blob_chunks (blob_id, number, data) VALUES (%s, %s, %s)",
                [blob, number, data[start : start + CHUNK_BYTES]],
            )
        self.insert(
            "INSERT INTO files (conversation_id, account_id, blob_id, filename, content_type)"
            " VALUES (%s, %s, %s, %s, %s) RETURNING id",
            *(self.id, self.account, blob, filename, content_type),
        )


@pytest.fixture
def conversation(connection: psycopg.Connection) -> Conversation:
    return Conversation(connection)


@pytest.fixture
def settings(database_url: str) -> Settings:
    return Settings.read({"DATABASE_URL": postgres.as_role(database_url, postgres.APP)})


def read(settings: Settings, conversation: Conversation, times: int = 1) -> list[list[AttachedFile]]:
    async def run() -> list[list[AttachedFile]]:
        database = Database(settings, application_name="worker")
        await database.open()
        try:
            texts = FileTexts(settings, database)
            return [await texts.of_conversation(conversation.id) for _ in range(times)]
        finally:
            await database.close()

    return asyncio.run(run())


def test_of_conversation_when_files_are_of_many_kinds_then_each_has_text_or_a_reason(
    settings: Settings, conversation: Conversation
) -> None:
    conversation.attach("b.txt", "text/plain", b"hello\r\nworld")
    conversation.attach("a.pdf", "application/pdf", b"%PDF-1.4\nbroken")
    conversation.attach("c.png", "image/png", b"\x89PNG")
    ((*texts,),) = read(settings, conversation)
    assert [replace(file, reference=None) for file in texts] == [
        AttachedFile("b.txt", "text/plain", "hello\nworld"),
        AttachedFile("a.pdf", "application/pdf", problem="it is damaged and cannot be read"),
        AttachedFile("c.png", "image/png", problem="it is an image, and images are not read as text"),
    ]
    assert [file.filename for file in texts if file.reference is not None] == ["c.png"]


@pytest.mark.parametrize(("width", "is_shown"), [(8000, True), (8001, False)])
def test_of_conversation_when_an_image_is_wider_than_models_take_then_it_says_so_and_is_not_shown(
    settings: Settings, conversation: Conversation, width: int, is_shown: bool
) -> None:
    header = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", width, 2) + b"\x08\x02" + bytes(7)
    conversation.attach("wide.png", "image/png", header)
    (((file,),),) = [read(settings, conversation)]

    assert (file.reference is not None) is is_shown
    assert file.problem is not None
    assert ("8,000 pixels on a side" in file.problem) is not is_shown


def test_of_conversation_when_read_again_then_takes_the_kept_text_and_not_the_bytes(
    settings: Settings, conversation: Conversation, connection: psycopg.Connection
) -> None:
    conversation.attach("a.txt", "text/plain", b"hello")
    first = read(settings, conversation)
    connection.execute("DELETE FROM blob_chunks")
    assert read(settings, conversation) == first


def test_of_conversation_when_a_text_is_cut_then_says_so_and_keeps_how_long_it_was(
    settings: Settings, conversation: Conversation, connection: psycopg.Connection
) -> None:
    conversation.attach("a.csv", "text/csv", LONG)
    ((file,),) = read(settings, conversation)
    assert file.is_cut
    assert file.text.endswith("[The rest of this file is missing: these are the first 199,992 of 786,440 characters.]")
    row = connection.execute("SELECT text_characters, text_truncated, text_at IS NOT NULL FROM files").fetchone()
    assert row == (786_440, True, True)


def test_of_conversation_when_the_database_goes_between_two_chunks_then_reads_on_when_it_is_back(
    settings: Settings, conversation: Conversation, connection: psycopg.Connection
) -> None:
    conversation.attach("a.csv", "text/csv", LONG)
    # The second look at a chunk breaks the connection that asks for it, once.
    connection.execute("CREATE SEQUENCE looks")
    connection.execute("GRANT ALL ON SEQUENCE looks TO agentic_app")
    connection.execute("ALTER TABLE blob_chunks RENAME TO real_chunks")
    connection.execute("GRANT SELECT ON real_chunks TO agentic_app")
    connection.execute(
        "CREATE VIEW blob_chunks WITH (security_invoker) AS SELECT * FROM real_chunks"
        " WHERE nextval('looks') <> 2 OR pg_terminate_backend(pg_backend_pid())"
    )
    connection.execute("GRANT SELECT ON blob_chunks TO agentic_app")
    ((file,),) = read(settings, conversation)
    assert file.is_cut
    assert "786,440 characters" in file.text
    assert connection.execute("SELECT last_value > 4 FROM looks").fetchone() == (True,)
