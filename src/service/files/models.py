"""Files on the wire."""

from __future__ import annotations

from urllib.parse import quote

import msgspec


class FileOut(msgspec.Struct, kw_only=True):
    """A file of an execution, fields in the guide's order."""

    id: int
    filename: str
    file_url: str
    content_type: str


class SupportedFileTypes(msgspec.Struct, kw_only=True):
    """Extensions with their dot, sorted."""

    supported_extensions: list[str]


def file_url(conversation_id: int, filename: str) -> str:
    """Where the file is served, as a path on this server: /media/conversations/198/product_data.pdf."""
    return f"/media/conversations/{conversation_id}/{quote(filename, safe='')}"
