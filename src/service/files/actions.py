"""Uploads judged and kept: every file is named and identified before a byte of any is stored."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from service.database import Database
from service.files import store
from service.files.kinds import identify
from service.files.limits import FileLimits
from service.files.multipart import SpooledUpload
from service.files.names import unique_names
from service.files.store import CHUNK_BYTES, CHUNKS_PER_COMMIT, NewFile


async def identify_all(uploads: Sequence[SpooledUpload], limits: FileLimits) -> list[tuple[str, str]]:
    """Clean name and content type of each upload. Raises BadRequest or PayloadTooLarge for the first refused."""
    names = unique_names(upload.filename for upload in uploads)
    return [
        (name, await asyncio.to_thread(identify, name, upload.handle, max_pixels=limits.max_pixels))
        for name, upload in zip(names, uploads, strict=True)
    ]


async def keep(
    database: Database, uploads: Sequence[SpooledUpload], identified: Sequence[tuple[str, str]]
) -> list[NewFile]:
    """Commit the bytes of judged uploads, in short transactions, for an accept to refer to.

    To be called when all else about the request is valid. What a failure leaves behind is unreferenced, and swept.
    """
    return [
        NewFile(blob_id=await _keep_bytes(database, upload), filename=name, content_type=content_type)
        for upload, (name, content_type) in zip(uploads, identified, strict=True)
    ]


async def _keep_bytes(database: Database, upload: SpooledUpload) -> int:
    async with database.connection() as connection:
        blob_id = await store.insert_blob(connection, size_bytes=upload.size_bytes, sha256=upload.sha256)
    upload.handle.seek(0)
    number = 0
    while chunks := await asyncio.to_thread(_read_chunks, upload):
        async with database.transaction() as connection:
            await store.insert_chunks(connection, blob_id, first_number=number, chunks=chunks)
        number += len(chunks)
    return blob_id


def _read_chunks(upload: SpooledUpload) -> list[bytes]:
    chunks = (upload.handle.read(CHUNK_BYTES) for _ in range(CHUNKS_PER_COMMIT))
    return [chunk for chunk in chunks if chunk]
