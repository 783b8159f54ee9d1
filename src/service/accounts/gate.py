"""The door of the API: without a valid token every path but the open ones answers 401, whether it exists or not."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from litestar import Litestar, Request
from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.enums import ScopeType
from litestar.handlers import BaseRouteHandler
from litestar.types import ASGIApp, Receive, Scope, Send

from service.accounts.access import Authenticator, Principal
from service.errors import Forbidden, NotFound, ServiceError, Unauthorized
from service.settings import Settings

AccountRequest: TypeAlias = Request[Principal, None, State]
"""A request that passed the gate: its `user` is a Principal."""

SCHEMES = frozenset({"token", "bearer"})
OPEN_PATHS = frozenset({"/healthz", "/readyz"})
DOCS_PATHS = frozenset({"/api/schema.json", "/api/docs"})
DOCS_PREFIX = "/api/docs/"


class TokenGate:
    """Stands before routing: `app.asgi_handler = TokenGate(app, authenticator, settings)`.

    Before routing, because what exists and which methods it has is nobody's business without a token.
    """

    def __init__(self, app: Litestar, authenticator: Authenticator, settings: Settings) -> None:
        self._app = app
        self._inside: ASGIApp = app.asgi_handler
        self._authenticator = authenticator
        self._open_docs = settings.open_docs

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request in with its Principal, or answer for the app."""
        if scope["type"] == ScopeType.HTTP and not self._is_open(scope["path"]) and not self._is_preflight(scope):
            try:
                scope["user"] = await self._authenticate(scope)
            except ServiceError as error:
                await self._refuse(error, scope, receive, send)
                return
        await self._inside(scope, receive, send)

    def _is_open(self, path: str) -> bool:
        bare = path.rstrip("/")
        return bare in OPEN_PATHS or (self._open_docs and (bare in DOCS_PATHS or path.startswith(DOCS_PREFIX)))

    def _is_preflight(self, scope: Scope) -> bool:
        """Browsers ask without credentials whether they may send them; Litestar answers that before routing."""
        is_asked = scope.get("method") == "OPTIONS" and any(name == b"origin" for name, _ in scope["headers"])
        return is_asked and self._app.cors_config is not None

    async def _authenticate(self, scope: Scope) -> Principal:
        principal = await self._authenticator.principal(token_of(scope))
        if principal is None:
            raise Unauthorized("Invalid token.")
        return principal

    async def _refuse(self, error: ServiceError, scope: Scope, receive: Receive, send: Send) -> None:
        request: Request[object, object, State] = Request(scope, receive, send)
        response = self._app.exception_handlers[ServiceError](request, error)
        origin, cors = request.headers.get("origin"), self._app.cors_config
        if origin is not None and cors is not None and cors.is_origin_allowed(origin):
            # A browser hides an answer without this from the page that asked.
            response.headers.update({"Access-Control-Allow-Origin": origin, "Vary": "Origin"})
        await response.to_asgi_response(app=None, request=request)(scope, receive, send)


def token_of(scope: Scope) -> str:
    """What the request was made with. Raises Unauthorized where it names none, or several."""
    headers = [value for name, value in scope["headers"] if name == b"authorization"]
    if not headers:
        raise Unauthorized("Authentication credentials were not provided.")
    if len(headers) > 1:
        raise Unauthorized("Send the header Authorization once.")
    scheme, _, token = headers[0].decode("latin-1").strip().partition(" ")
    if scheme.lower() not in SCHEMES:
        raise Unauthorized("Send the header Authorization: Token <your-token>.")
    return token.strip()


def still_allowed(request: AccountRequest, authenticator: Authenticator) -> Callable[[], Awaitable[bool]]:
    """For what outlives the moment in which its request was let in: whether its token means the same account yet."""
    token, principal = token_of(request.scope), request.user

    async def is_allowed() -> bool:
        return await authenticator.principal(token) == principal

    return is_allowed


def admins_only(connection: ASGIConnection[BaseRouteHandler, Principal, None, State], _: BaseRouteHandler) -> None:
    """Guard of set-up routes without an id: everybody may know that they exist. Raises Forbidden."""
    if not connection.user.is_admin:
        raise Forbidden("Only an admin account may do this.")


def absent_unless_admin(
    connection: ASGIConnection[BaseRouteHandler, Principal, None, State], _: BaseRouteHandler
) -> None:
    """Guard of routes whose ids only admins may know. Raises NotFound."""
    if not connection.user.is_admin:
        raise NotFound
