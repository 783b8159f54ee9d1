from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, LiteralString

import httpx
import psycopg
import pytest
from litestar import Litestar
from litestar.di import Provide
from litestar.testing import AsyncTestClient

from service.accounts.access import Authenticator
from service.accounts.gate import TokenGate
from service.accounts.tokens import digest_of, new_token
from service.database import Database
from service.files.controller import FilesController
from service.files.store import CHUNK_BYTES
from service.responses import EXCEPTION_HANDLERS
from service.settings import Settings

DATA = b"0123456789" * (CHUNK_BYTES // 5)
ETAG = f'"{hashlib.sha256(DATA).hexdigest()}"'
NAME = "größe 1.csv"


class Site:
    """Files behind the gate, with one file of one account."""

    def __init__(self, settings: Settings, connection: psycopg.Connection, ids: tuple[int, int]) -> None:
        self.settings, self.connection, self.ids = settings, connection, ids

    def token(self, account_id: int) -> str:
        token = new_token()
        self.connection.execute(
            "INSERT INTO tokens (account_id, digest) VALUES (%s, %s)", [account_id, digest_of(token)]
        )
        return token

    def account(self, *, is_admin: bool) -> int:
        return self.insert("INSERT INTO accounts (name, is_admin) VALUES ('other', %s) RETURNING id", is_admin)

    @property
    def path(self) -> str:
        return f"/media/conversations/{self.ids[1]}/gr%C3%B6%C3%9Fe%201.csv"

    def request(self, method: str, path: str, token: str | None = None, **headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        token = token or self.token(self.ids[0])
        return asyncio.run(self._request(method, path, {"Authorization": f"Token {token}", **named}))

    async def _request(self, method: str, path: str, headers: dict[str, str]) -> httpx.Response:
        async with self._client() as client:
            return await client.request(method, path, headers=headers)

    @asynccontextmanager
    async def _client(self) -> AsyncIterator[AsyncTestClient[Litestar]]:
        database = Database(self.settings, application_name="test")
        app = Litestar(
            [FilesController],
            dependencies={"database": Provide(lambda: database, sync_to_thread=False)},
            exception_handlers=EXCEPTION_HANDLERS,
            on_startup=[database.open],
            on_shutdown=[database.close],
            openapi_config=None,
        )
        app.asgi_handler = TokenGate(app, Authenticator(database), self.settings)
        async with AsyncTestClient(app) as client:
            yield client

    def add_file(self) -> None:
        digest = hashlib.sha256(DATA).digest()
        blob = self.insert("INSERT INTO blobs (size_bytes, sha256) VALUES (%s, %s) RETURNING id", len(DATA), digest)
        for number, start in enumerate(range(0, len(DATA), CHUNK_BYTES)):
            self.connection.execute(
                "INSERT INTO blob_chunks (blob_id, number, data) VALUES (%s, %s, %s)",
                [blob, number, DATA[start : start + CHUNK_BYTES]],
            )
        self.connection.execute(
            "INSERT INTO files (account_id, conversation_id, blob_id, filename, content_type)"
            " VALUES (%s, %s, %s, %s, 'text/csv')",
            [*self.ids, blob, NAME],
        )

    def insert(self, statement: LiteralString, *values: object) -> int:
        row = self.connection.execute(statement, values).fetchone()
        assert row is not None
        return int(row[0])


@pytest.fixture
def site(settings: Settings, connection: psycopg.Connection, conversation: tuple[int, int]) -> Site:
    site = Site(settings, connection, conversation)
    site.add_file()
    return site


def test_download_when_the_owner_asks_then_gets_the_whole_file_as_an_attachment(site: Site) -> None:
    response = site.request("GET", site.path)
    assert response.status_code == 200
    assert response.content == DATA
    headers = {
        "content-type": "text/csv",
        "content-length": str(len(DATA)),
        "content-disposition": "attachment; filename=\"gr__e 1.csv\"; filename*=UTF-8''gr%C3%B6%C3%9Fe%201.csv",
        "etag": ETAG,
        "accept-ranges": "bytes",
        "x-content-type-options": "nosniff",
        "content-security-policy": "default-src 'none'; sandbox",
        "cache-control": "private, no-cache",
    }
    assert {name: response.headers.get(name) for name in headers} == headers


def test_download_when_head_is_asked_then_sends_the_same_headers_and_no_body(site: Site) -> None:
    head, whole = site.request("HEAD", site.path), site.request("GET", site.path)
    assert (head.status_code, head.content) == (200, b"")
    assert dict(head.headers) == dict(whole.headers)


def test_download_when_a_range_is_asked_then_sends_that_part(site: Site) -> None:
    start, last = CHUNK_BYTES - 5, CHUNK_BYTES + 4
    response = site.request("GET", site.path, range=f"bytes={start}-{last}")
    assert (response.status_code, response.content) == (206, DATA[start : last + 1])
    assert response.headers["content-range"] == f"bytes {start}-{last}/{len(DATA)}"
    assert response.headers["content-length"] == "10"


def test_download_when_the_range_is_beyond_the_end_then_416(site: Site) -> None:
    response = site.request("GET", site.path, range=f"bytes={len(DATA)}-")
    assert (response.status_code, response.content) == (416, b"")
    assert response.headers["content-range"] == f"bytes */{len(DATA)}"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_download_when_the_client_has_the_file_then_304(site: Site, method: str) -> None:
    response = site.request(method, site.path, if_none_match=ETAG)
    assert (response.status_code, response.content, response.headers["etag"]) == (304, b"", ETAG)
    assert "content-type" not in response.headers


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_download_when_another_account_asks_then_404_as_if_absent(site: Site, method: str) -> None:
    foreign = site.request(method, site.path, site.token(site.account(is_admin=False)))
    absent = site.request(method, site.path + "x")
    assert foreign.status_code == absent.status_code == 404
    assert foreign.content == absent.content


def test_download_when_an_admin_asks_then_gets_it(site: Site) -> None:
    assert site.request("GET", site.path, site.token(site.account(is_admin=True))).content == DATA


def test_download_when_there_is_no_token_then_401(site: Site) -> None:
    assert site.request("GET", site.path, "agt_wrong").status_code == 401


@pytest.mark.parametrize(
    "path",
    [
        "/media/conversations/999999/a.csv",
        "/media/conversations/99999999999999999999999/a.csv",
        "/media/conversations/0/a.csv",
        "/media/conversations/-1/a.csv",
        "/media/conversations/abc/a.csv",
        "/media/conversations/{id}/nul%00.csv",
        "/media/conversations/{id}/..%2F..%2Fetc%2Fpasswd",
        "/media/conversations/{id}/%FF%FE.csv",
        "/media/conversations/{id}/",
        "/media/conversations/{id}/" + "x" * 3000,
    ],
)
def test_download_when_the_path_names_nothing_then_404(site: Site, path: str) -> None:
    response = site.request("GET", path.replace("{id}", str(site.ids[1])))
    assert response.status_code == 404
    assert response.json()["detail"] == "Not found."


def test_download_when_posted_to_then_405(site: Site) -> None:
    response = site.request("POST", site.path)
    assert response.status_code == 405
    assert {"GET", "HEAD"} <= {method.strip() for method in response.headers["allow"].split(",")}


@pytest.mark.parametrize("path", ["/api/supported-file-types/", "/api/supported-file-types"])
def test_supported_file_types_when_asked_then_lists_extensions(site: Site, path: str) -> None:
    body: dict[str, Any] = site.request("GET", path).json()
    assert body == {"supported_extensions": [".csv", ".jpeg", ".jpg", ".json", ".md", ".pdf", ".png", ".txt", ".webp"]}
