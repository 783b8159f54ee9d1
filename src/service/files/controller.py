"""GET /media/conversations/{id}/{name} and GET /api/supported-file-types/."""

from __future__ import annotations

from functools import partial

from litestar import Controller, HttpMethod, Response, get, route
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Stream

from service.accounts.gate import AccountRequest
from service.errors import NotFound
from service.files import store
from service.files.download import file_response
from service.files.kinds import supported_extensions
from service.files.models import SupportedFileTypes
from service.provided import Database
from service.wire import Id


class FilesController(Controller):
    """Uploaded files, served back to the account that sent them."""

    @route(
        "/media/conversations/{conversation_id:int}/{filename:str}",
        http_method=[HttpMethod.GET, HttpMethod.HEAD],
        operation_id="DownloadFile",
        summary="Download a file of an execution",
        media_type="application/octet-stream",
        tags=["Files"],
    )
    async def download(
        self,
        request: AccountRequest,
        database: NamedDependency[Database],
        conversation_id: Id,
        filename: FromPath[str],
    ) -> Response[bytes] | Stream:
        """Always as an attachment. Supports Range, If-Range, If-None-Match and HEAD."""
        if "\0" in filename:
            raise NotFound
        owner = None if request.user.is_admin else request.user.account_id
        async with database.connection() as connection:
            file = await store.find_file(
                connection, conversation_id=conversation_id, filename=filename, account_id=owner
            )
        if file is None:
            raise NotFound
        return file_response(
            request.method,
            request.headers,
            filename=file.filename,
            content_type=file.content_type,
            size_bytes=file.size_bytes,
            sha256=file.sha256,
            open_chunks=partial(store.read_chunks, database, file.blob_id),
        )

    @get(
        "/api/supported-file-types/",
        operation_id="SupportedFileTypes",
        summary="Which files executions take",
        tags=["Files"],
    )
    async def supported_file_types(self) -> SupportedFileTypes:
        """The content must fit the extension: a PNG named .pdf is refused."""
        return SupportedFileTypes(supported_extensions=supported_extensions())
