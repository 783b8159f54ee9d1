"""The files of an execution as text: read once, by the first worker that runs it, and kept."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial

import imagesize

from service.database import Connection, Database
from service.definitions.context import AttachedFile, FileReference
from service.files import store
from service.files.store import StoredFile, StoredText
from service.settings import Settings
from tasks.documents import EXPLANATIONS, DocumentReader, DocumentText, Problem, ReadingLimits
from tasks.llm.attachments import IMAGES, MAX_IMAGE_SIDE, can_be_shown
from tasks.outage import outlast

SHOWN_ALL_THE_SAME = {None, EXPLANATIONS[Problem.IMAGE], EXPLANATIONS[Problem.NO_TEXT]}
"""What may be the matter with a file's text where the file itself is sound: it can be looked at."""
IMAGE_HEADER_BYTES = 1 << 20
"""The size of an image stands within it: the API has read it there."""

TOO_WIDE = f"it is an image of more than {MAX_IMAGE_SIDE:,} pixels on a side, which models do not take; make it smaller"


class FileTexts:
    """Reads and keeps the text of files. One per worker: it bounds how many documents are read at a time."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._database = database
        self._max_shown_bytes = settings.max_shown_bytes
        self._reader = DocumentReader(ReadingLimits.of(settings))

    async def of_conversation(self, conversation_id: int) -> list[AttachedFile]:
        """The files in the order they were sent; one that cannot be read says why."""

        async def find(connection: Connection) -> list[StoredFile]:
            return await store.list_files(connection, conversation_id)

        attached: list[AttachedFile] = []
        shown: list[FileReference] = []
        for file in await outlast(self._database, find):
            text = await self._text(file)
            bytes_left = self._max_shown_bytes - sum(reference.size_bytes for reference in shown)
            if file.content_type in IMAGES and await self._is_too_wide(file):
                text = replace(text, problem=TOO_WIDE)
            reference = _reference(file, text, bytes_left=bytes_left, shown_already=len(shown))
            shown += [reference] if reference is not None else []
            attached.append(_attached(file, text, reference))
        return attached

    async def bytes_of(self, reference: FileReference) -> bytes:
        """All bytes of a file that a model is about to be shown."""
        content = bytearray()
        async for piece in self._chunks(reference.blob_id, reference.size_bytes):
            content += piece
        return bytes(content)

    async def _is_too_wide(self, file: StoredFile) -> bool:
        """Whether an image has more pixels on a side than providers take, by its header; they refuse the request."""
        header = bytearray()
        async for piece in self._chunks(file.blob_id, min(file.size_bytes, IMAGE_HEADER_BYTES)):
            header += piece
        width, height = await asyncio.to_thread(imagesize.get, io.BytesIO(header), exif_rotation=False)
        return bool(max(width, height) > MAX_IMAGE_SIDE)

    async def _text(self, file: StoredFile) -> StoredText:
        async def load(connection: Connection) -> StoredText | None:
            return await store.load_text(connection, file.id)

        return await outlast(self._database, load) or await self._read(file)

    async def _read(self, file: StoredFile) -> StoredText:
        found = await self._reader.read(self._chunks(file.blob_id, file.size_bytes), file.content_type)
        match found:
            case DocumentText():
                text = StoredText(text=found.text, characters=found.characters, is_cut=found.is_cut, problem=None)
            case unreadable:
                text = StoredText(text=None, characters=None, is_cut=False, problem=unreadable.explanation)

        async def save(connection: Connection) -> bool:
            return await store.save_text(connection, file.id, text)

        await outlast(self._database, save)
        return text

    async def _chunks(self, blob_id: int, size_bytes: int) -> AsyncIterator[bytes]:
        """The bytes of a file, a chunk at a time, across an outage in their midst."""
        for number in range(store.count_chunks(size_bytes)):
            yield await outlast(self._database, partial(store.read_chunk, blob_id=blob_id, number=number))


def _attached(file: StoredFile, text: StoredText, reference: FileReference | None) -> AttachedFile:
    return AttachedFile(
        filename=file.filename,
        content_type=file.content_type,
        text=text.text or "",
        is_cut=text.is_cut,
        problem=text.problem,
        reference=reference,
    )


def _reference(file: StoredFile, text: StoredText, *, bytes_left: int, shown_already: int) -> FileReference | None:
    """The file as a model that sees can be shown it; None where it is no such file, or there is no room for it."""
    fits = can_be_shown(file.content_type, file.size_bytes, bytes_left=bytes_left, shown_already=shown_already)
    if not fits or text.problem not in SHOWN_ALL_THE_SAME:
        return None
    return FileReference(
        blob_id=file.blob_id,
        filename=file.filename,
        content_type=file.content_type,
        size_bytes=file.size_bytes,
        sha256=bytes(file.sha256).hex(),
    )
