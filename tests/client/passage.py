"""A way between a client and an HTTP server that breaks after so many bytes of what the server says."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit


class Passage:
    """Forwards connections on loopback. `lengths()` says of each after how many bytes it breaks; None: never."""

    def __init__(self, url: str, lengths: Callable[[], int | None]) -> None:
        target = urlsplit(url)
        self._server = (target.hostname or "", target.port or 0)
        self._lengths = lengths
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.broken = 0

    def serve(self) -> None:
        """Until close."""
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._pass, args=(client, self._lengths()), daemon=True).start()

    def close(self) -> None:
        _end(self._listener)

    def _pass(self, client: socket.socket, left: int | None) -> None:
        try:
            server = socket.create_connection(self._server)
        except OSError:
            _end(client)
            return
        threading.Thread(target=_forward, args=(client, server), daemon=True).start()
        self._back(client, server, left)

    def _back(self, client: socket.socket, server: socket.socket, left: int | None) -> None:
        with suppress(OSError):
            while data := server.recv(65536):
                client.sendall(data[:left])
                if left is not None:
                    left -= len(data)
                    if left <= 0:
                        self.broken += 1
                        break
        _end(client)
        _end(server)


def _forward(client: socket.socket, server: socket.socket) -> None:
    with suppress(OSError):
        while data := client.recv(65536):
            server.sendall(data)
    _end(server)


def _end(opened: socket.socket) -> None:
    with suppress(OSError):
        opened.shutdown(socket.SHUT_RDWR)
    opened.close()


@contextmanager
def passage(url: str, lengths: Callable[[], int | None]) -> Iterator[Passage]:
    """A way to the server at this URL."""
    made = Passage(url, lengths)
    threading.Thread(target=made.serve, daemon=True).start()
    try:
        yield made
    finally:
        made.close()
