"""HEAD wherever GET is: the same answer without its body, for load balancers and link checkers."""

from __future__ import annotations

from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPDisconnectEvent, Message, Receive, ReceiveMessage, Scope, Send

OWN_HEAD = "/media/"
"""Files answer HEAD themselves, without reading what they would send."""


class HeadRequests:
    """Stands before the gate and hands a HEAD on as a GET."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Everything else passes through untouched."""
        if scope["type"] != ScopeType.HTTP or scope["method"] != "HEAD" or scope["path"].startswith(OWN_HEAD):
            await self._app(scope, receive, send)
            return
        asked = dict(scope)
        asked["method"] = "GET"

        async def send_without_body(message: Message) -> None:
            if message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        is_read = False

        async def receive_and_leave() -> ReceiveMessage:
            nonlocal is_read
            if is_read:
                return HTTPDisconnectEvent(type="http.disconnect")  # what goes on until its client leaves ends here
            is_read = True
            return await receive()

        await self._app(asked, receive_and_leave, send_without_body)  # type: ignore[arg-type]
