from __future__ import annotations

import gc
import hashlib
import warnings
from collections.abc import AsyncIterator

import anyio
import pytest
from litestar.exceptions import InternalServerException

from service.errors import BadRequest, PayloadTooLarge, ServiceError, UnsupportedMediaType
from service.files.limits import FileLimits
from service.files.multipart import MAX_FIELD_BYTES, MAX_FIELDS, Form, read_form

LIMITS = FileLimits(max_files=20, max_file_bytes=10_000_000, max_total_bytes=20_000_000, max_pixels=1)
TYPE = "multipart/form-data; boundary=XX"
Part = tuple[str, bytes]


def field(name: str, text: bytes) -> Part:
    return f'Content-Disposition: form-data; name="{name}"', text


def upload(name: str, filename: str, data: bytes) -> Part:
    return f'Content-Disposition: form-data; name="{name}"; filename="{filename}"\r\nContent-Type: text/plain', data


def encode(*parts: Part) -> bytes:
    return b"".join(b"--XX\r\n" + head.encode() + b"\r\n\r\n" + data + b"\r\n" for head, data in parts) + b"--XX--\r\n"


class Body:
    """A request's body in pieces; counts what was taken, and may end in an error as a lost client does."""

    def __init__(self, data: bytes, piece_bytes: int = 50, error: Exception | None = None) -> None:
        self.data, self.piece_bytes, self.error, self.taken = data, piece_bytes, error, 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self.data), self.piece_bytes):
            self.taken += self.piece_bytes
            yield self.data[start : start + self.piece_bytes]
        if self.error:
            raise self.error


async def read(
    body: Body, content_type: str = TYPE, limits: FileLimits | None = None, length: int | None = None
) -> tuple[Form, list[bytes]]:
    async with read_form(
        aiter(body), content_type=content_type, content_length=length, limits=limits or LIMITS, keep_files=True
    ) as form:
        contents = []
        for file in form.files:
            file.handle.seek(0)
            contents.append(file.handle.read())
    assert all(file.handle.closed for file in form.files)
    return form, contents


def run(body: Body, content_type: str = TYPE, limits: FileLimits | None = None, length: int | None = None) -> Form:
    return anyio.run(read, body, content_type, limits, length)[0]


def refusal(body: Body, content_type: str = TYPE, limits: FileLimits | None = None) -> ServiceError:
    """The error, after checking that no temporary file was left to the garbage collector."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        with pytest.raises(ServiceError) as refused:
            run(body, content_type, limits)
        gc.collect()
    return refused.value


@pytest.mark.parametrize("piece_bytes", [1, 7, 50, 100_000])
def test_read_form_when_fields_and_files_are_mixed_then_keeps_their_order(piece_bytes: int) -> None:
    data = encode(
        upload("files", "b.txt", b"first"),
        field("execution_key", b"echo"),
        upload("files[]", "a.txt", b"sec\r\n--X\r\nond"),
        field("tag", "größe".encode()),
        field("tag", b""),
    )
    form, contents = anyio.run(read, Body(data, piece_bytes))
    assert form.fields == {"execution_key": ["echo"], "tag": ["größe", ""]}
    assert [(file.field_name, file.filename) for file in form.files] == [("files", "b.txt"), ("files[]", "a.txt")]
    assert contents == [b"first", b"sec\r\n--X\r\nond"]
    assert [file.size_bytes for file in form.files] == [5, 13]
    assert form.files[0].sha256 == hashlib.sha256(b"first").digest()
    assert form.files[0].declared_content_type == "text/plain"


def test_read_form_when_one_file_is_sent_as_files_brackets_then_it_is_a_list_of_one() -> None:
    assert len(run(Body(encode(upload("files[]", "a.txt", b"x")))).files) == 1


def test_read_form_when_a_file_outgrows_memory_then_rolls_over_to_disk() -> None:
    data = b"0123456789abcdef" * 200_000
    form, contents = anyio.run(read, Body(encode(upload("files", "a.txt", data)), 65_536))
    assert contents == [data]
    assert form.files[0].sha256 == hashlib.sha256(data).digest()
    assert vars(form.files[0].handle)["_rolled"] is True


def test_read_form_when_a_browser_sends_an_empty_file_input_then_there_is_no_file() -> None:
    assert run(Body(encode(upload("files", "", b"")))).files == []


def test_read_form_when_the_name_comes_only_in_the_extended_form_then_decodes_it() -> None:
    head = "Content-Disposition: form-data; name=\"files\"; filename*=utf-8''gr%C3%B6%C3%9Fe.txt"
    assert run(Body(encode((head, b"x")))).files[0].filename == "größe.txt"


def test_read_form_when_files_are_not_kept_then_counts_and_drops_them() -> None:
    async def dropped() -> tuple[int, bytes]:
        body = aiter(Body(encode(upload("files", "a.txt", b"secret"))))
        async with read_form(body, content_type=TYPE, content_length=None, limits=LIMITS, keep_files=False) as form:
            form.files[0].handle.seek(0)
            return form.files[0].size_bytes, form.files[0].handle.read()

    assert anyio.run(dropped) == (6, b"")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (encode(field("a", b"\xff")), "The field 'a' is not valid UTF-8"),
        (encode(field("a", b"x\0y")), "The field 'a' contains a NUL character"),
        (encode(field("files[]", b"text")), "The field 'files[]' takes files; this part has no filename"),
        (encode(upload("document", "a.txt", b"x")), "The field 'document' takes no file"),
        (encode(("Content-Disposition: form-data", b"x")), "A part of the form has no usable name"),
        (encode(("Content-Type: text/plain", b"x")), "The multipart form is malformed or was cut off: Missing"),
        (encode(("Content-Disposition: attachment; name=a", b"x")), "The multipart form is malformed"),
        (encode(field("a", b"x"))[:-6], "The multipart form is malformed or was cut off: Unexpected end"),
        (encode(upload("files", "a.txt", b"x" * 500))[:300], "The multipart form is malformed or was cut off"),
        (b"", "The multipart form is malformed or was cut off"),
        (b"{}", "The multipart form is malformed or was cut off"),
        (b"--YY\r\n\r\n\r\n--YY--\r\n" * 10, "The multipart form is malformed or was cut off"),
        (b"--XX\nContent-Disposition: form-data; name=a\n\nx\n--XX--\n", "The multipart form is malformed"),
        (b'--XX\r\nContent-Disposition: form-data; name="\xff"\r\n\r\nx\r\n--XX--', "The multipart form is malformed"),
    ],
)
def test_read_form_when_the_form_is_bad_then_400_and_nothing_is_left_open(data: bytes, message: str) -> None:
    error = refusal(Body(data))
    assert isinstance(error, BadRequest)
    assert error.detail.startswith(message)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (encode(upload("files", "a.txt", b"x" * 5000)), "'a.txt' is larger than the limit of 1,000 bytes"),
        (
            encode(*[upload("files", "a.txt", b"x" * 900)] * 3, field("z", b"z" * 5000)),
            "The files are larger than 2,000",
        ),
        (encode(*[upload("files", "a.txt", b"x")] * 4, field("z", b"z" * 5000)), "The request has more than 3 files"),
        (encode(field("a", b"x" * (MAX_FIELD_BYTES + 5000))), "The field 'a' is larger than 1,048,576 bytes"),
        (encode(*[field(f"f{n}", b"x" * 1_000_000) for n in range(3)]), "The form's text fields are larger than 2,097"),
        (encode(*[field(f"f{n}", b"") for n in range(MAX_FIELDS + 20)]), f"The form has more than {MAX_FIELDS} fields"),
        (b"--XX\r\nX-Long: " + b"x" * 10_000, "The form exceeds a limit: Maximum segment header length"),
        (
            encode((field("a", b"")[0] + "\r\nX-More: 1" * 20, b"")) * 5,
            "The form exceeds a limit: Maximum segment header count",
        ),
        (b"--XX--\r\n" + b"x" * 4_000_000, "The request is larger than the limit of 3,147,728 bytes"),
    ],
)
def test_read_form_when_a_limit_is_passed_then_413_before_reading_the_rest(data: bytes, message: str) -> None:
    body = Body(data)
    error = refusal(body, limits=FileLimits(max_files=3, max_file_bytes=1000, max_total_bytes=2000, max_pixels=1))
    assert isinstance(error, PayloadTooLarge)
    assert error.detail.startswith(message)
    assert body.taken < len(data)


def test_read_form_when_the_announced_length_is_too_large_then_413_before_reading_anything() -> None:
    body = Body(encode(field("a", b"x")))
    with pytest.raises(PayloadTooLarge, match="The request has 999,999,999 bytes"):
        run(body, length=999_999_999)
    assert body.taken == 0


@pytest.mark.parametrize("content_type", ["application/json", "", "multipart/mixed; boundary=XX", "text/plain"])
def test_read_form_when_the_media_type_is_another_then_415(content_type: str) -> None:
    assert isinstance(refusal(Body(b""), content_type), UnsupportedMediaType)


@pytest.mark.parametrize("boundary", ["", "; boundary=", '; boundary=""', "; boundary=" + "x" * 300, '; boundary="ü"'])
def test_read_form_when_the_boundary_is_unusable_then_400(boundary: str) -> None:
    assert isinstance(refusal(Body(b""), "multipart/form-data" + boundary), BadRequest)


def test_read_form_when_the_body_fails_then_closes_its_files_and_passes_the_error_on() -> None:
    body = Body(encode(upload("files", "a.txt", b"x" * 3_000_000))[:-2_000], 65_536, ConnectionError("gone"))
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        with pytest.raises(ConnectionError, match="gone"):
            run(body)
        gc.collect()


def test_read_form_when_litestar_says_the_client_is_gone_then_is_no_defect_of_ours() -> None:
    error = refusal(Body(b"--XX\r\n", error=InternalServerException("client disconnected prematurely")))
    assert isinstance(error, BadRequest)
    assert error.detail == "The upload was cut off"


def test_read_form_when_the_caller_fails_then_closes_the_files() -> None:
    forms: list[Form] = []

    async def fail() -> None:
        body = aiter(Body(encode(upload("files", "a.txt", b"x"))))
        async with read_form(body, content_type=TYPE, content_length=9, limits=LIMITS, keep_files=True) as form:
            forms.append(form)
            raise RuntimeError("later")

    with pytest.raises(RuntimeError, match="later"):
        anyio.run(fail)
    assert forms[0].files[0].handle.closed
