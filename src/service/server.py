"""The ASGI server of `agentic serve`: told to stop it ends the streams first, which would otherwise keep it waiting."""

from __future__ import annotations

import resource
import socket
import sys

import uvicorn
from litestar import Litestar

from service.events.hub import Hub

UNREAD_SECONDS = 60
"""After so long without a sign from a client that was sent something, its connection is closed by the kernel."""


class Server(uvicorn.Server):
    """uvicorn's, for an application that streams."""

    def __init__(self, app: Litestar, *, host: str, port: int) -> None:
        config = uvicorn.Config(
            app,
            host=host,
            port=port,
            access_log=False,
            log_config=None,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=20,
        )
        super().__init__(config)
        self._hub: Hub = app.state.hub

    def serve_forever(self) -> None:
        """Until a signal. Exits 3 if it cannot start, 1 if it cannot listen."""
        _allow_many_connections()
        listener = self.config.bind_socket()
        _notice_silent_clients(listener)
        self.run(sockets=[listener])
        if not self.started:
            sys.exit(3)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Streams end at once and waits answer with what there is; other requests have their grace."""
        self._hub.end()
        await super().shutdown(sockets)


def _allow_many_connections() -> None:
    """A stream is an open file, and the soft limit is often 1024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _notice_silent_clients(listener: socket.socket) -> None:
    """Connections inherit it from the socket that accepts them."""
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNREAD_SECONDS * 1000)
