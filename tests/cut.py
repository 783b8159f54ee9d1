"""A way between a process and PostgreSQL that can be cut while a commit is on it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import Enum
from urllib.parse import quote, urlsplit, urlunsplit

from psycopg.conninfo import conninfo_to_dict

READY = b"Z\x00\x00\x00\x05I"
"""ReadyForQuery, outside any transaction: what went before is committed."""


class Cut(Enum):
    """Where the connection breaks that carries the statement."""

    BEFORE = "the statement never arrives"
    UNDER_WAY = "the statement arrives, and the client hears no more"
    REPLY = "the statement is committed, and its reply is lost"


class Wire:
    """Forwards connections on loopback to a server's socket, and cuts those whose statement holds `mark`.

    `cuts` are used up one by one; `was_cut` is set at each.
    """

    def __init__(self, server: str, mark: bytes) -> None:
        self.cuts: list[Cut] = []
        self.was_cut = threading.Event()
        self._server, self._mark = server, mark
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = [self._listener]

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def serve(self) -> None:
        """Until close."""
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(self._server)
                self._open += [client, server]
                link = _Link(self, client, server)
                threading.Thread(target=link.forward, daemon=True).start()
                threading.Thread(target=link.back, daemon=True).start()

    def close(self) -> None:
        for opened in self._open:
            _end(opened)

    def next_cut(self, data: bytes) -> Cut | None:
        return self.cuts.pop(0) if self.cuts and self._mark in data else None


class _Link:
    """One connection in both directions."""

    def __init__(self, wire: Wire, client: socket.socket, server: socket.socket) -> None:
        self._wire, self._client, self._server = wire, client, server
        self._cut: Cut | None = None

    def forward(self) -> None:
        with suppress(OSError):
            while data := self._client.recv(65536):
                self._cut = self._wire.next_cut(data) or self._cut
                if self._cut is not Cut.BEFORE:
                    self._server.sendall(data)
                if self._cut in (Cut.BEFORE, Cut.UNDER_WAY):
                    self._break()
                    return
        _end(self._server)

    def back(self) -> None:
        lost = b""
        with suppress(OSError):
            while data := self._server.recv(65536):
                if self._cut is None:
                    self._client.sendall(data)
                    continue
                lost += data
                if self._cut is Cut.REPLY and lost.endswith(READY):
                    self._break()
                    return
        if self._cut is None:
            _end(self._client)

    def _break(self) -> None:
        _end(self._client)
        self._wire.was_cut.set()


def _end(opened: socket.socket) -> None:
    with suppress(OSError):
        opened.shutdown(socket.SHUT_RDWR)
    opened.close()


@contextmanager
def wire(database_url: str, mark: bytes) -> Iterator[tuple[str, Wire]]:
    """The database's URL by way of a new wire. The server must listen on a unix socket."""
    given = conninfo_to_dict(database_url)
    made = Wire(f"{given['host']}/.s.PGSQL.{given.get('port', 5432)}", mark)
    threading.Thread(target=made.serve, daemon=True).start()
    path = urlsplit(database_url).path
    try:
        yield urlunsplit(("postgresql", f"{quote(str(given['user']))}@127.0.0.1:{made.port}", path, "", "")), made
    finally:
        made.close()
