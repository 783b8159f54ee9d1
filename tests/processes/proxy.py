"""A proxy before PostgreSQL that drops the server's answer to a chosen statement, after the statement took effect."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import parse_qs, urlsplit

READY = b"Z\0\0\0\5I"  # the server is idle again: the statement's transaction has committed


class Proxy:
    """Listens on loopback for the server behind `server_url`, a socket's directory."""

    def __init__(self, server_url: str) -> None:
        parts = urlsplit(server_url)
        self._server = str(Path(parse_qs(parts.query)["host"][0]) / ".s.PGSQL.5432")
        self._listener = socket.create_server(("127.0.0.1", 0))
        port = self._listener.getsockname()[1]
        self.url = f"postgresql://{parts.netloc.rpartition('@')[0]}@127.0.0.1:{port}{parts.path}?sslmode=disable"
        self._marker: bytes | None = None
        self.dropped = 0

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.close()

    def lose_reply_to(self, marker: str) -> None:
        """Drop the answer to the next statement whose text holds the marker, and its connection."""
        self._marker = marker.encode()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                _Passage(self, client, self._server).start()

    def take(self, sent: bytes) -> bool:
        """Whether what a client sent holds the marker; then it is used up."""
        if self._marker is None or self._marker not in sent:
            return False
        self._marker = None
        return True


class _Passage:
    """One client's connection, passed on both ways by a thread each."""

    def __init__(self, proxy: Proxy, client: socket.socket, server: str) -> None:
        self._proxy = proxy
        self._client = client
        self._server = socket.socket(socket.AF_UNIX)
        self._server.connect(server)
        self._is_dropping = False

    def start(self) -> None:
        for target in (self._up, self._down):
            threading.Thread(target=target, daemon=True).start()

    def _up(self) -> None:
        tail = b""
        with suppress(OSError):
            while sent := self._client.recv(65536):
                if self._proxy.take(tail + sent):
                    self._is_dropping = True
                tail = sent[-100:]
                self._server.sendall(sent)
        self._close()

    def _down(self) -> None:
        dropped = b""
        with suppress(OSError):
            while answer := self._server.recv(65536):
                if not self._is_dropping:
                    self._client.sendall(answer)
                    continue
                dropped += answer
                if READY in dropped:
                    self._proxy.dropped += 1
                    break
        self._close()

    def _close(self) -> None:
        for end in (self._client, self._server):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
