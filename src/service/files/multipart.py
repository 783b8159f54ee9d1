"""A multipart form read as it arrives: fields into memory, files into spooled temporary files, hashed on the way.

Written over the `multipart` package's push parser because Litestar's own form keeps text fields unbounded in memory
(a 300 MB field took 663 MB), answers text that is not UTF-8 with 500, and refuses a single part in `files[]`.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import IO, NoReturn, cast
from urllib.parse import unquote_to_bytes

from litestar.exceptions import InternalServerException
from multipart import (
    MultipartError,
    MultipartSegment,
    ParserLimitReached,
    PushMultipartParser,
    parse_options_header,
)

from service.errors import BadRequest, PayloadTooLarge, UnsupportedMediaType
from service.files.limits import MEBIBYTE, FileLimits

FILE_FIELDS = ("files[]", "files")
MAX_FIELDS = 32
MAX_FIELD_BYTES = 1 * MEBIBYTE
MAX_FIELDS_BYTES = 2 * MEBIBYTE
"""All text fields of one form together."""
_SPOOL_BYTES = 1 * MEBIBYTE
# Headers of parts, boundaries and what a client may put around them.
_FRAMING_BYTES = 1 * MEBIBYTE
_MAX_BOUNDARY_CHARACTERS = 200
# RFC 5987, as older Python and Java clients send names that are not ASCII; the parser reads only filename=.
_EXTENDED_FILENAME = re.compile(r";\s*filename\*\s*=\s*(utf-8|iso-8859-1)'[^';]*'([^\s;]+)", re.IGNORECASE)


@dataclass
class SpooledUpload:
    """One uploaded file: in memory up to 1 MiB, in an unnamed temporary file beyond. `filename` is as it was sent."""

    field_name: str
    filename: str
    declared_content_type: str
    handle: IO[bytes]
    size_bytes: int = 0
    _digest: hashlib._Hash = field(default_factory=hashlib.sha256, repr=False)

    @property
    def sha256(self) -> bytes:
        return self._digest.digest()

    def append(self, data: bytes, *, keep: bool = True) -> None:
        self.size_bytes += len(data)
        self._digest.update(data)
        if keep:
            self.handle.write(data)


@dataclass
class Form:
    """A whole form, parts in the order they were sent. The files close when the reader's context ends."""

    fields: dict[str, list[str]] = field(default_factory=dict)
    files: list[SpooledUpload] = field(default_factory=list)


@asynccontextmanager
async def read_form(
    body: AsyncIterator[bytes], *, content_type: str, content_length: int | None, limits: FileLimits, keep_files: bool
) -> AsyncIterator[Form]:
    """Read a form from a stream of body chunks; every temporary file is closed when the context ends, however it ends.

    Limits end the reading at once, before the rest has arrived. With `keep_files` false the files are counted, hashed
    and dropped: for an agent without uploads (any more), whose other fields must still be judged first.
    Raises UnsupportedMediaType, BadRequest (malformed, cut off, not UTF-8, a file in another field) or PayloadTooLarge.
    """
    boundary = _boundary(content_type)
    max_body_bytes = limits.max_total_bytes + MAX_FIELDS_BYTES + _FRAMING_BYTES
    if content_length is not None and content_length > max_body_bytes:
        raise PayloadTooLarge(f"The request has {content_length:,} bytes; the limit is {max_body_bytes:,}")
    builder = _FormBuilder(limits, keep_files=keep_files)
    try:
        with (
            _as_request_errors(),
            PushMultipartParser(boundary, max_segment_count=MAX_FIELDS + limits.max_files) as parser,
        ):
            received = 0
            async for chunk in body:
                received += len(chunk)
                if received > max_body_bytes:
                    raise PayloadTooLarge(f"The request is larger than the limit of {max_body_bytes:,} bytes")
                for event in parser.parse(chunk) if chunk else ():
                    builder.take(event)
        yield builder.form
    finally:
        for upload in builder.form.files:
            upload.handle.close()


class _FormBuilder:
    """Turns the parser's events (a part's header, its bytes, None at its end) into a Form, within the limits."""

    def __init__(self, limits: FileLimits, *, keep_files: bool) -> None:
        self.form = Form()
        self._limits = limits
        self._keep_files = keep_files
        self._upload: SpooledUpload | None = None
        self._field_name = ""
        self._text = bytearray()
        self._field_count = 0
        self._fields_bytes = 0
        self._files_bytes = 0

    def take(self, event: MultipartSegment | bytes | None) -> None:
        if isinstance(event, MultipartSegment):
            self._start_part(event)
        elif event is None:
            self._end_part()
        elif self._upload is None:
            self._add_text(event)
        else:
            self._add_bytes(self._upload, event)

    def _start_part(self, segment: MultipartSegment) -> None:
        self._field_name = segment.name or ""
        filename = _filename(segment)
        if "\0" in self._field_name or not self._field_name:
            raise BadRequest("A part of the form has no usable name")
        if filename is None:
            self._start_field()
        else:
            self._start_file(filename, segment.content_type or "application/octet-stream")

    def _start_field(self) -> None:
        if self._field_name in FILE_FIELDS:
            raise BadRequest(f"The field {self._field_name!r} takes files; this part has no filename")
        self._field_count += 1
        if self._field_count > MAX_FIELDS:
            raise PayloadTooLarge(f"The form has more than {MAX_FIELDS} fields")

    def _start_file(self, filename: str, declared_content_type: str) -> None:
        if self._field_name not in FILE_FIELDS:
            raise BadRequest(f"The field {self._field_name!r} takes no file; send files as 'files[]' or 'files'")
        if len(self.form.files) >= self._limits.max_files:
            raise PayloadTooLarge(f"The request has more than {self._limits.max_files} files")
        handle = cast("IO[bytes]", tempfile.SpooledTemporaryFile(max_size=_SPOOL_BYTES))  # noqa: SIM115 - the context closes it
        self._upload = SpooledUpload(self._field_name, filename, declared_content_type, handle)
        self.form.files.append(self._upload)

    def _add_text(self, data: bytes) -> None:
        self._text += data
        self._fields_bytes += len(data)
        if len(self._text) > MAX_FIELD_BYTES:
            raise PayloadTooLarge(f"The field {self._field_name!r} is larger than {MAX_FIELD_BYTES:,} bytes")
        if self._fields_bytes > MAX_FIELDS_BYTES:
            raise PayloadTooLarge(f"The form's text fields are larger than {MAX_FIELDS_BYTES:,} bytes together")

    def _add_bytes(self, upload: SpooledUpload, data: bytes) -> None:
        self._files_bytes += len(data)
        if upload.size_bytes + len(data) > self._limits.max_file_bytes:
            raise PayloadTooLarge(
                f"{upload.filename!r} is larger than the limit of {self._limits.max_file_bytes:,} bytes"
            )
        if self._files_bytes > self._limits.max_total_bytes:
            raise PayloadTooLarge(f"The files are larger than {self._limits.max_total_bytes:,} bytes together")
        upload.append(data, keep=self._keep_files)

    def _end_part(self) -> None:
        if self._upload is None:
            self._end_field()
        elif not self._upload.filename and not self._upload.size_bytes:
            # What a browser sends for a file input that was left empty.
            self.form.files.pop().handle.close()
        self._upload = None

    def _end_field(self) -> None:
        try:
            text = self._text.decode("utf-8")
        except UnicodeDecodeError:
            raise BadRequest(f"The field {self._field_name!r} is not valid UTF-8") from None
        if "\0" in text:
            raise BadRequest(f"The field {self._field_name!r} contains a NUL character")
        self.form.fields.setdefault(self._field_name, []).append(text)
        self._text.clear()


@contextmanager
def _as_request_errors() -> Iterator[None]:
    try:
        yield
    except ParserLimitReached as error:
        raise PayloadTooLarge(f"The form exceeds a limit: {error}") from error
    except MultipartError as error:
        _refuse_malformed(error)
    except InternalServerException as error:
        # What Litestar's stream raises when the client is gone, which is no defect of ours to log as one.
        raise BadRequest("The upload was cut off") from error


def _refuse_malformed(error: MultipartError) -> NoReturn:
    reason = str(error.args[0]) if error.args else "unknown error"
    raise BadRequest(f"The multipart form is malformed or was cut off: {reason}") from error


def _boundary(content_type: str) -> str:
    media_type, options = parse_options_header(content_type)
    if media_type != "multipart/form-data":
        raise UnsupportedMediaType(f"Expected multipart/form-data, got {media_type!r}")
    boundary = str(options.get("boundary", ""))
    if not boundary or len(boundary) > _MAX_BOUNDARY_CHARACTERS or not boundary.isascii() or not boundary.isprintable():
        raise BadRequest("The Content-Type of a multipart form needs a valid boundary")
    return boundary


def _filename(segment: MultipartSegment) -> str | None:
    if segment.filename is not None:
        return str(segment.filename)
    match = _EXTENDED_FILENAME.search(segment.header("Content-Disposition") or "")
    return None if match is None else unquote_to_bytes(match[2]).decode(match[1].lower(), errors="replace")
