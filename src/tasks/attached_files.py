"""The files of an execution as text: read once, by the first worker that runs it, and kept."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial

from service.database import Connection, Database
from service.definitions.context import AttachedFile
from service.files import store
from service.files.store import StoredFile, StoredText
from service.settings import Settings
from tasks.documents import DocumentReader, DocumentText, ReadingLimits
from tasks.outage import outlast


class FileTexts:
    """Reads and keeps the text of files. One per worker: it bounds how many documents are read at a time."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._database = database
        self._reader = DocumentReader(ReadingLimits.of(settings))

    async def of_conversation(self, conversation_id: int) -> list[AttachedFile]:
        """The files in the order they were sent; one that cannot be read says why."""

        async def find(connection: Connection) -> list[StoredFile]:
            return await store.list_files(connection, conversation_id)

        return [await self._attached(file) for file in await outlast(self._database, find)]

    async def _attached(self, file: StoredFile) -> AttachedFile:
        async def load(connection: Connection) -> StoredText | None:
            return await store.load_text(connection, file.id)

        text = await outlast(self._database, load) or await self._read(file)
        return AttachedFile(
            filename=file.filename,
            content_type=file.content_type,
            text=text.text or "",
            is_cut=text.is_cut,
            problem=text.problem,
        )

    async def _read(self, file: StoredFile) -> StoredText:
        found = await self._reader.read(self._chunks(file), file.content_type)
        match found:
            case DocumentText():
                text = StoredText(text=found.text, characters=found.characters, is_cut=found.is_cut, problem=None)
            case unreadable:
                text = StoredText(text=None, characters=None, is_cut=False, problem=unreadable.explanation)

        async def save(connection: Connection) -> bool:
            return await store.save_text(connection, file.id, text)

        await outlast(self._database, save)
        return text

    async def _chunks(self, file: StoredFile) -> AsyncIterator[bytes]:
        """The bytes of a file, a chunk at a time, across an outage in their midst."""
        for number in range(store.count_chunks(file.size_bytes)):
            yield await outlast(self._database, partial(store.read_chunk, blob_id=file.blob_id, number=number))
